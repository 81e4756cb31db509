import os
from pathlib import Path

import pytest

from maintenancebot.errors import StoreError
from maintenancebot.store.location import prepare, state_dir


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/anna")


def as_user(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: number)


def test_what_is_given_wins_and_is_made_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/other")
    assert state_dir(Path("/srv/state")) == Path("/srv/state")
    assert state_dir(Path("state")) == Path.cwd() / "state"


def test_systemd_gives_the_place_of_its_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two")
    assert state_dir(None) == Path("/var/lib/one")


def test_root_has_the_place_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 0)
    assert state_dir(None) == Path("/var/lib/maintenancebot")


@pytest.mark.parametrize(
    ("xdg", "expected"),
    [
        ("", "/home/anna/.local/state/maintenancebot"),
        ("/data/state", "/data/state/maintenancebot"),
        ("not/absolute", "/home/anna/.local/state/maintenancebot"),
    ],
)
def test_others_have_their_own(monkeypatch: pytest.MonkeyPatch, xdg: str, expected: str) -> None:
    as_user(monkeypatch, 1000)
    monkeypatch.setenv("XDG_STATE_HOME", xdg)
    assert state_dir(None) == Path(expected)


def test_a_place_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        prepare(tmp_path / "file" / "state")
