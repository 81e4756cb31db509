"""Whether logrotate works: its own complaints without a write, its last run, a state that is stale or locked."""

import fcntl
import os
import time
from pathlib import Path

import pytest

from maintenancebot.helper.cleanup import logrotate, logrotate_health
from maintenancebot.helper.host import tools, units

from ..driver import Gathered

needs_logrotate = pytest.mark.skipif(
    os.geteuid() != 0 or tools.find("logrotate") is None, reason="asks logrotate as root"
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)
    monkeypatch.setattr(logrotate, "CONFIG", str(tmp_path / "conf"))
    monkeypatch.setattr(logrotate, "STATES", (str(tmp_path / "status"),))
    monkeypatch.setattr(logrotate_health, "scheduled", lambda: True)
    monkeypatch.setattr(units, "show", lambda *_: {})
    return tmp_path


def problems() -> list[str]:
    return list(logrotate_health.look({}, Gathered())["problems"])


def configure(place: Path, *blocks: str) -> None:
    (place / "conf").write_text("\n".join(blocks))


def log(folder: Path, name: str = "a.log") -> Path:
    folder.mkdir(mode=0o755, exist_ok=True)
    path = folder / name
    path.write_text("line\n")
    return path


@needs_logrotate
def test_a_sound_configuration_has_no_problem(place: Path) -> None:
    configure(place, f"{log(place / 'log')} {{\n weekly\n}}")
    assert problems() == []


@needs_logrotate
def test_insecure_folders_doubled_logs_and_bad_lines_are_told_and_nothing_is_written(place: Path) -> None:
    insecure, twice = log(place / "open"), log(place / "log")
    (place / "open").chmod(0o777)
    configure(place, f"{insecure} {twice} {{\n size 1\n rotate 2\n}}", f"{twice} {{\n daily\n}}", "nonsense 5")
    before = sorted((path, os.lstat(path).st_ctime_ns) for path in place.rglob("*"))
    found = problems()
    assert any("insecure permissions" in line and str(insecure) in line for line in found), found
    assert any("duplicate log entry" in line for line in found), found
    assert any("nonsense" in line for line in found), found
    assert sorted((path, os.lstat(path).st_ctime_ns) for path in place.rglob("*")) == before


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("error: error opening state file /var/lib/logrotate/status: No such file or directory", []),
        ("warning: a:2 unknown option 'x' -- ignoring line", ["logrotate: a:2 unknown option 'x' -- ignoring line"]),
        ("warning: logrotate in debug mode does nothing except printing debug messages!", ["logrotate: exit code 1"]),
        ("error: same\nerror: same\nerror: other", ["logrotate: same", "logrotate: other"]),
    ],
)
def test_every_version_is_understood(monkeypatch: pytest.MonkeyPatch, said: str, told: list[str]) -> None:
    answer = tools.Answer(1, b"", said.encode(), False, False)
    monkeypatch.setattr(tools, "run", lambda *_args, **_more: answer)
    assert logrotate_health.errors("conf", Gathered()) == told


@needs_logrotate
def test_a_state_that_no_run_has_written_lately_is_stale(place: Path) -> None:
    configure(place, "")
    state = place / "status"
    state.write_text("logrotate state -- version 2\n")
    assert problems() == []
    os.utime(state, (time.time() - 5 * 86400,) * 2)
    assert problems() == [f"{state} is stale: not written for 5 days"]


def test_a_lock_that_is_held_for_long_is_told_with_its_holder(place: Path, monkeypatch) -> None:
    state = place / "status"
    state.touch()
    with state.open("r+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert logrotate_health.locked(str(state)) == []  # a logrotate that just runs
        monkeypatch.setattr(logrotate_health, "LOCKED_SECONDS", -1)
        (found,) = logrotate_health.locked(str(state))
    assert f"({os.getpid()})" in found
    assert logrotate_health.locked(str(state)) == []


@pytest.mark.parametrize(
    ("code", "words"), [("1", "exit code 1, errors in some logs"), ("3", "exit code 3, its state file was locked")]
)
def test_the_last_run_is_told_when_it_failed(monkeypatch: pytest.MonkeyPatch, code: str, words: str) -> None:
    told = {"LoadState": "loaded", "Result": "exit-code", "ExecMainStatus": code, "ExecMainExitTimestamp": "today"}
    monkeypatch.setattr(units, "show", lambda *_: told)
    (found,) = logrotate_health.last_run()
    assert words in found
    assert found.endswith("(today)")


@pytest.mark.parametrize(
    "told", [{}, {"LoadState": "masked", "Result": "exit-code"}, {"LoadState": "loaded", "Result": "success"}]
)
def test_a_run_that_was_well_or_never_was_is_no_problem(monkeypatch: pytest.MonkeyPatch, told: dict[str, str]) -> None:
    monkeypatch.setattr(units, "show", lambda *_: told)
    assert logrotate_health.last_run() == []


@pytest.mark.parametrize("unit", ["--now.service", "a b.service", "x.target", ""])
def test_only_names_of_units_are_asked_for(unit: str) -> None:
    assert units.show(unit, "ActiveState") == {}
