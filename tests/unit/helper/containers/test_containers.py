"""What a host tells about its containers without connecting to anything."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.helper.containers import containers, references


class Streamed:
    def __init__(self) -> None:
        self.names: dict[str, tuple[str, str]] = {}

    def finding(self, kind: str, subject: str, **data: Any) -> None:
        assert kind == "image_reference"
        self.names[subject] = (data["source"], data["how"])

    def alive(self, doing: str) -> None:
        pass


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mb-") as path:
        yield Path(path)


def search(folder: Path, kind: str = "", *, follow: bool = False, **limits: int) -> references.Search:
    found = references.Search(Streamed(), **limits)
    found.run([(str(folder), 4, kind, follow)], [])
    return found


def names(folder: Path, kind: str = "") -> set[str]:
    return set(search(folder, kind).names)


COMPOSE = """\
name: shop
x-base: &base
  image: &worker reg.example:5000/shop/worker:3
services:
  web:
    image: "nginx:1.25"  # the front
  jobs: {image: 'redis', restart: always}
  worker:
    <<: *base
    image: *worker
  built:
    build: .
  pinned:
    image: postgres@sha256:%s
  # image: dropped:1
  tagged:
    image: app:${TAG}
  chosen:
    image: ${REGISTRY:-docker.io}/chosen:1
volumes:
  data:
""" % ("a" * 64)


def test_a_compose_file_names_its_images_and_those_it_builds(folder: Path) -> None:
    (folder / "docker-compose.yml").write_text(COMPOSE)
    found = names(folder)
    assert {
        "reg.example:5000/shop/worker:3",
        "nginx:1.25",
        "redis",
        "postgres@sha256:" + "a" * 64,
        "app:*",
        "docker.io/chosen:1",
        "shop-built",
        "shop_built",
    } <= found
    assert not any(name.startswith("shop-data") for name in found)


def test_variables_come_from_the_file_beside_it_and_leave_no_trace(folder: Path) -> None:
    (folder / "compose.yaml").write_text("services:\n  a:\n    image: $IMAGE\n  b:\n    image: app:${TAG:-latest}\n")
    (folder / ".env").write_text("IMAGE=reg.example/app:7\nTAG='9'\nPASSWORD=secret/thing:1\n")
    found = search(folder)
    assert {"reg.example/app:7", "app:9", "app:latest"} <= set(found.names)
    assert not any("secret" in name for name in found.names)
    assert found.unresolved == []


def test_an_image_that_is_only_a_variable_is_said_to_be_unknown(folder: Path) -> None:
    (folder / "compose.yaml").write_text("services:\n  a:\n    image: ${IMAGE}\n")
    assert search(folder).unresolved == [str(folder / "compose.yaml")]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("ExecStart=/usr/bin/docker run --rm --name x reg.example/app:1 serve", "reg.example/app:1"),
        ("ExecStart=/usr/bin/docker run \\\n  --rm \\\n  nginx", "nginx"),
        ("Environment=IMAGE=reg.example/app:2", "reg.example/app:2"),
        ('Environment="IMAGE=app:3"', "app:3"),
        ("ExecStart=/usr/bin/podman run app:%i", "app:*"),
        ("Image=quay.io/me/app:4", "quay.io/me/app:4"),
        ("ExecStart=/bin/sh -c 'docker run $REG/app:5'", "*/app:5"),
    ],
)
def test_a_unit_file_names_images(folder: Path, line: str, name: str) -> None:
    (folder / "app.service").write_text(f"[Service]\n{line}\n")
    assert name in names(folder, "unit")


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("0 3 * * * root docker run --rm report:1", "report:1"),
        ("0 3 * * * root docker run --rm busybox", "busybox"),
        ("@daily root podman run quay.io/a/b@sha256:%s x" % ("c" * 64), "quay.io/a/b@sha256:" + "c" * 64),
    ],
)
def test_a_cron_table_names_images(folder: Path, line: str, name: str) -> None:
    (folder / "report").write_text(f"MAILTO=root\n{line}\n")
    assert name in names(folder, "cron")


def test_a_script_that_runs_docker_names_images_also_in_its_variables(folder: Path) -> None:
    (folder / "start.sh").write_text("IMAGE=reg.example/app:1\n# docker run old:1\nexec docker run $IMAGE\n")
    found = names(folder)
    assert "reg.example/app:1" in found
    assert "old:1" not in found


def test_a_script_that_has_nothing_to_do_with_docker_names_none(folder: Path) -> None:
    (folder / "start.sh").write_text("exec java -cp a/b:c/d Main\n")
    assert names(folder) == set()


def test_files_below_users_folders_are_not_followed(folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "real" / "secret").write_text("image: a/b:1\n")
    (folder / "users").mkdir()
    (folder / "users" / "compose.yml").symlink_to(folder / "real" / "secret")
    (folder / "users" / "sub").symlink_to(folder / "real")
    assert names(folder / "users") == set()


def test_links_to_files_are_followed_where_only_root_writes(folder: Path) -> None:
    (folder / "real.service").write_text("ExecStart=docker run app:1\n")
    (folder / "units").mkdir()
    (folder / "units" / "app.service").symlink_to(folder / "real.service")
    assert "app:1" in search(folder / "units", "unit", follow=True).names


def test_special_files_do_not_hang_the_search(folder: Path) -> None:
    os.mkfifo(folder / "compose.yml")
    (folder / "compose.yaml").symlink_to("/dev/zero")
    (folder / "linked.service").symlink_to(folder / "compose.yml")
    assert names(folder) == set()
    assert search(folder, "unit", follow=True).names == {}


def test_a_limit_leaves_a_gap(folder: Path) -> None:
    for number in range(20):
        (folder / f"file-{number}").touch()
    assert search(folder, entries=10).gaps == ["more files than are searched for names of images"]
    assert search(folder, seconds=-1).gaps == ["the search for names of images took too long"]
    assert search(folder).gaps == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_a_gap(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0)
    assert search(folder).gaps == [f"{folder}/closed: Permission denied"]


def test_a_folder_that_is_not_there_is_no_gap(folder: Path) -> None:
    assert search(folder / "none").gaps == []


def test_a_long_line_takes_no_long_time(folder: Path) -> None:
    for number, text in enumerate(
        ("a" * 900_000, "image: " + "${" * 400_000, "a/" * 400_000, "services:\n" + " \n" * 300_000)
    ):
        (folder / f"compose{number}.yml").write_text("docker run\n" + text + "\n")
        (folder / f"script{number}.sh").write_text("docker run " + text + "\n")
    assert search(folder, seconds=20).gaps == []


def test_a_socket_is_seen_with_its_real_path_and_not_connected_to(folder: Path) -> None:
    path, link = str(folder / "docker.sock"), str(folder / "link.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.setblocking(False)
        os.symlink(path, link)
        about = containers.socket_facts(link)
        with pytest.raises(BlockingIOError):
            listener.accept()
    held = False if os.access("/proc/1/fd", os.R_OK) else None
    assert about == {
        "path": link,
        "real": path,
        "exists": True,
        "is_socket": True,
        "access": True,
        "held_by_systemd": held,
    }


def test_a_plain_file_is_no_socket(folder: Path) -> None:
    (folder / "docker.sock").touch()
    about = containers.socket_facts(str(folder / "docker.sock"))
    assert (about["exists"], about["is_socket"]) == (True, False)


def test_a_host_without_docker_is_not_searched(folder: Path) -> None:
    out = Streamed()
    result = containers.probe({"sockets": [str(folder / "docker.sock")]}, out)
    assert result.state == "ok"
    assert [socket["exists"] for socket in result.facts["sockets"]] == [False]
    assert "names" not in result.facts
    assert out.names == {}


def test_two_names_of_one_socket_are_one(folder: Path) -> None:
    (folder / "a").touch()
    (folder / "b").symlink_to(folder / "a")
    assert containers.unique([str(folder / "a"), str(folder / "b")]) == [str(folder / "a")]
