"""Which names of volumes stand in the files of a host."""

from pathlib import Path

import pytest

from maintenancebot.helper.containers import references, volume_texts

from .test_containers import Streamed

COMPOSE = """\
name: shop
services:
  db:
    image: postgres:16
    volumes:
      - pgdata:/var/lib/postgresql/data
      - ./conf:/etc/conf
      - /srv/host:/srv
volumes:
  pgdata:
    driver: local
  "cache.1": {}
  theirs:
    external: true
    name: elsewhere
networks:
  inner: {}
"""


def test_a_compose_file_names_its_volumes_under_any_project() -> None:
    found, unknown = volume_texts.from_compose(COMPOSE, "folder", {})
    assert found == sorted(
        {
            *("pgdata", "*_pgdata", "shop_pgdata"),
            *("cache.1", "*_cache.1", "shop_cache.1"),
            *("theirs", "*_theirs", "shop_theirs", "elsewhere"),
        }
    )
    assert not unknown


@pytest.mark.parametrize(
    "text",
    [
        "'volumes':\n  pgdata:\n",
        "volumes :\n  pgdata:\n",
        "\ufeffvolumes:\n  pgdata:\n",
        "---\n  services:\n    a: {}\n  volumes:\n    pgdata:\n",
        '{"services": {}, "volumes": {"pgdata": {}}}',
        '{\n  "services": {"a": {}},\n  "volumes": {\n    "pgdata": {}\n  }\n}',
        "x-kept: &kept\n  pgdata:\nvolumes: *kept\n",
        "x-kept: &kept\n  pgdata:\nvolumes:\n  <<: *kept\n",
    ],
)
def test_every_way_to_write_the_volumes_of_a_compose_file_is_read(text: str) -> None:
    assert {"pgdata", "*_pgdata"} <= set(volume_texts.from_compose(text, "shop", {})[0])


def test_what_other_parts_of_an_indented_file_say_are_no_volumes() -> None:
    text = "  volumes:\n    pgdata:\n  services:\n    web:\n      volumes: [./src]\n"
    assert volume_texts.from_compose(text, "shop", {}) == (["*_pgdata", "pgdata", "shop_pgdata"], False)


@pytest.mark.parametrize("value", [">-\n      real", "*given", "&given real"])
def test_a_name_that_stands_elsewhere_is_not_known(value: str) -> None:
    assert volume_texts.from_compose(f"volumes:\n  db:\n    name: {value}\n", "shop", {})[1]


@pytest.mark.parametrize(
    ("line", "names", "unknown"),
    [
        ("volumes: {db: {}, 'log': }", {"db", "*_db", "x_db", "log", "*_log", "x_log"}, False),
        ("volumes:\n  db:\n    name: ${UNSET}", {"db", "*_db", "x_db"}, True),
        ("volumes:\n  db:\n    name: a-${UNSET}", {"db", "*_db", "x_db", "a-*"}, False),
        ("volumes:\n  db:\n    name: ${SET:-b}", {"db", "*_db", "x_db", "b", "c"}, False),
    ],
)
def test_names_with_variables_become_patterns(line: str, names: set[str], unknown: bool) -> None:
    found, hangs = volume_texts.from_compose(line, "x", {"SET": "c"})
    assert (set(found), hangs) == (names, unknown)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("docker run -v pgdata:/var/lib/pg -v /srv:/srv pg", ["pgdata"]),
        ("docker run --mount type=volume,source=pgdata,target=/x pg", ["pgdata"]),
        ("docker run \\\n  --volume=pgdata:/x pg", ["pgdata"]),
        ("Volume=pgdata.volume:/var/lib/pg", ["pgdata.volume"]),
        ("VolumeName=pgdata", ["pgdata"]),
        ("docker volume inspect pgdata", ["pgdata"]),
        ("echo http://x/", ["http"]),
        ("docker run -v $DATA:/x -v ./data:/y pg", []),
    ],
)
def test_commands_and_units_name_what_they_mount(text: str, names: list[str]) -> None:
    assert volume_texts.from_text(text) == names


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("VOL=pgdata\ndocker run -v $VOL:/x pg", True),
        ("docker cp /srv/pgdata/x y", False),
        ("docker run -v pgdata-old:/x", False),
        ("nothing of that kind: pgdata", False),
    ],
)
def test_a_wanted_name_is_found_wherever_it_stands_as_a_word(text: str, found: bool) -> None:
    assert (volume_texts.mentions(text, ["pgdata"], "script") == ["pgdata"]) is found


def test_a_hostile_line_costs_no_time() -> None:
    for text in ("a" * 200_000, "volumes:\n" + "  " * 100_000, "volumes:\n name: " + "${" * 100_000, "-v " * 60_000):
        volume_texts.from_text(text)
        volume_texts.from_compose(text, "x", {})


def test_a_search_finds_names_and_wanted_words_with_their_files(tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text(COMPOSE)
    (tmp_path / "run.sh").write_text("VOL=orphan\ndocker run -v $VOL:/x pg")
    search = references.Search(Streamed(), wanted=["orphan"])
    search.run([(str(tmp_path), 2, "", False)], [])
    assert search.volumes["*_pgdata"] == f"{tmp_path}/compose.yml"
    assert search.mentions == {"orphan": f"{tmp_path}/run.sh"}
    assert search.unnamed == []
