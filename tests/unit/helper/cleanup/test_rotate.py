"""Logs that nobody rotates: found when they are large, and rotated by the real logrotate without losing a line."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from maintenancebot.helper.cleanup import growing, logrotate, rotate, rotation
from maintenancebot.helper.host import tools, writers
from maintenancebot.helper.trash import store

from ..driver import Gathered

KIB = 1024
NOBODY = 65534
WRITER = "import sys,time; f=open(sys.argv[1],'ab',0); f.write(b'x'); print(flush=True); sys.stdin.read()"

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or tools.find("logrotate") is None, reason="rotates logs as root, with logrotate"
)


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of logs that nobody rotates, which every user can reach: pytest's own folders are for one user."""
    with TemporaryDirectory(dir="/var/tmp") as name:
        base = Path(name)
        base.chmod(0o755)
        monkeypatch.setattr(store, "HOME", os.fsencode(base / "lib"))
        monkeypatch.setattr(logrotate, "CONFIG", str(base / "none.conf"))
        monkeypatch.setattr(logrotate.read, "__defaults__", (str(base / "none.conf"), (), None))
        for folder in ("lib", "log"):
            (base / folder).mkdir(mode=0o755)
        yield base / "log"


def write(logs: Path, name: str | bytes = "app.log", kib: int = 20, mode: int = 0o640, owner: int = 0) -> bytes:
    path = os.path.join(os.fsencode(logs), os.fsencode(name))
    with open(path, "wb") as stream:
        stream.write(b"a line of 16 by\n" * (kib * KIB // 16))
    os.chown(path, owner, owner)
    os.chmod(path, mode)
    return path


def arguments(logs: Path, glob: str = "*", reload: str | None = None, **more: object) -> dict:
    rule = {"path": f"{logs}/{glob}", "max_bytes": 10 * KIB, "reload": reload}
    return {"allow": [str(logs)], "protect": [], "rotate": [rule], **more}


def look(logs: Path, **more: object) -> tuple[dict, list]:
    out = Gathered()
    told = rotate.look(arguments(logs, **more), out)
    return told, out.findings


def stay(logs: Path, **more: object) -> list[tuple[str, str]]:
    return [(Path(row["path"]).name, row["reason"]) for row in look(logs, **more)[0]["stay"]]


def planned(logs: Path, **more: object) -> dict:
    (found,) = look(logs, **more)[1]
    return {"id": "c0ffee", "action": "rotate_log", "object": found["data"]["identity"]}


def apply(change: dict, **more: object) -> dict:
    root = change["object"]["root"]
    (outcome,) = rotate.rotate({"changes": [change], "args": {"allow": [root], "protect": [], **more}}, Gathered())
    return outcome


@pytest.fixture
def writer() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.communicate()


def open_by(path: bytes | Path, started: list) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(["python3", "-c", WRITER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    started.append(process)
    assert process.stdout
    process.stdout.readline()
    return process


def test_a_large_log_gets_another_name_and_a_new_one_of_its_owner_takes_its_place(logs: Path) -> None:
    path = write(logs, mode=0o604, owner=33)
    before, content = os.stat(path), Path(os.fsdecode(path)).read_bytes()
    outcome = apply(planned(logs))
    assert (outcome["state"], outcome["reason"]) == ("done", "verified"), outcome
    measured = outcome["measured"]
    assert (measured["freed_now"], measured["freed_at_purge"], measured["bytes"]) == (0, 0, 20 * KIB)
    assert measured["rotated"].startswith(f"{logs}/app.log-2")
    old, new = os.stat(measured["rotated"]), os.stat(path)
    assert (old.st_ino, Path(measured["rotated"]).read_bytes()) == (before.st_ino, content)
    assert (new.st_size, new.st_mode, new.st_uid, new.st_gid) == (0, before.st_mode, 33, 33)


def test_rotated_logs_are_never_rotated_again_or_removed(logs: Path) -> None:
    for _ in range(4):
        write(logs)
        assert apply(planned(logs))["state"] == "done"
        time.sleep(1.01 - time.time() % 1)  # the name has the second
    assert len(os.listdir(logs)) == 5
    assert look(logs)[0]["matched"] == 1


def test_small_logs_and_rotated_names_are_not_due(logs: Path) -> None:
    write(logs, kib=5)
    for name in ("app.log.1", "app.log-20260101", "app.log.2.gz", "old.log.old", "x.log-20260101-1767225600"):
        write(logs, name)
    told, found = look(logs)
    assert (told["matched"], told["due"], told["stay"], found) == (1, 0, [], [])


@pytest.mark.parametrize("name", ["with blank.log", "a,b;c$d%e(f)&g!.log", "ümlaut.log", b"latin-\xe4.log", "-x.log"])
def test_odd_names_are_carried_exactly(logs: Path, name: str | bytes) -> None:
    path = write(logs, name)
    outcome = apply(planned(logs))
    assert outcome["state"] == "done", outcome
    assert os.stat(path).st_size == 0
    assert len(os.listdir(logs)) == 2


@pytest.mark.parametrize("name", ['a".log', "a\\.log", "a\nb.log", "a*.log", "a[1].log", "a'.log", "{a}.log", "a#.log"])
def test_names_that_a_configuration_cannot_carry_are_refused(logs: Path, name: str) -> None:
    write(logs, name)
    assert stay(logs) == [(name, "not_allowed")]


def test_what_logrotate_manages_is_left_to_it(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(logs)
    change = planned(logs)
    config = logs.parent / "conf"
    config.write_text(f"{logs}/*.log {{\n weekly\n}}\n")
    monkeypatch.setattr(logrotate.read, "__defaults__", (str(config), (), None))
    assert stay(logs) == [("app.log", "logrotate_managed")]
    assert apply(change)["reason"] == "logrotate_managed"
    assert os.listdir(logs) == ["app.log"]


def test_links_second_names_and_protected_logs_stay(logs: Path) -> None:
    (logs / "link.log").symlink_to("/etc/passwd")
    os.link(write(logs, "one.log"), logs / "two.log")
    write(logs, "keep.log")
    assert sorted(stay(logs, protect=["keep.*"])) == [
        ("keep.log", "protected"),
        ("one.log", "hard_linked"),
        ("two.log", "hard_linked"),
    ]


def test_a_writer_that_nothing_makes_reopen_keeps_its_log(logs: Path, writer: list) -> None:
    path = write(logs)
    change = planned(logs)
    process = open_by(path, writer)
    told, found = look(logs)
    assert found == []
    (row,) = told["stay"]
    assert (row["reason"], row["detail"]) == ("needs_reload", f"open by python3 ({process.pid})")
    outcome = apply(change)
    assert (outcome["state"], outcome["reason"]) == ("skipped", "needs_reload")
    assert stay(logs, reload="other.service") == [("app.log", "needs_reload")]
    assert os.listdir(logs) == ["app.log"]


def test_a_rotated_log_that_somebody_still_writes_is_told(logs: Path, writer: list) -> None:
    write(logs)
    process = open_by(Path(apply(planned(logs))["measured"]["rotated"]), writer)
    (row,) = look(logs, glob="*.log")[0]["stay"]
    assert (row["reason"], row["detail"]) == ("in_use", f"rotated, and python3 ({process.pid}) still writes it")


def test_a_reader_does_not_matter(logs: Path) -> None:
    with open(write(logs), "rb"):
        assert apply(planned(logs))["state"] == "done"


def test_a_writer_out_of_sight_is_known_to_the_kernel(logs: Path, writer: list, monkeypatch) -> None:
    open_by(write(logs), writer)
    monkeypatch.setattr(writers, "of", lambda _key: [])
    assert stay(logs) == [("app.log", "use_unknown")]


def test_another_file_in_its_place_is_left_alone(logs: Path) -> None:
    write(logs)
    change = planned(logs)
    os.rename(logs / "app.log", logs / "moved")
    write(logs)
    assert apply(change)["reason"] == "changed_since"
    assert sorted(os.listdir(logs)) == ["app.log", "moved"]


def test_a_log_that_is_small_by_now_is_left_alone(logs: Path) -> None:
    path = write(logs)
    change = planned(logs)
    os.truncate(path, 5)
    assert apply(change)["reason"] == "up_to_date"


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_in_a_folder_of_others_logrotate_works_as_the_owner(logs: Path, mode: int) -> None:
    logs.chmod(mode)
    os.chown(logs, NOBODY, NOBODY)
    path = write(logs, owner=NOBODY)
    config = rotation.configuration(growing.Log(os.fsdecode(path), arguments(logs)), 1)
    assert f"    su {NOBODY} {NOBODY}\n" in config
    outcome = apply(planned(logs))
    assert outcome["state"] == "done", outcome
    assert os.stat(path).st_uid == NOBODY


def test_roots_log_in_a_folder_of_others_stays(logs: Path) -> None:
    os.chown(logs, NOBODY, NOBODY)
    write(logs)
    assert stay(logs) == [("app.log", "not_allowed")]


def test_when_logrotate_cannot_the_log_is_in_its_place_and_its_words_are_told(logs: Path) -> None:
    logs.chmod(0o1777)
    path = write(logs, owner=NOBODY)
    change = planned(logs)
    os.chown(logs, 0, 0)
    logs.chmod(0o757)
    subprocess.run(["mount", "--bind", logs, logs], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", logs], check=True)
        outcome = apply(change)
    finally:
        subprocess.run(["umount", logs], check=True)
    assert (outcome["state"], outcome["reason"]) == ("failed", "tool_failed"), outcome
    assert "Read-only" in outcome["detail"]
    assert os.stat(path).st_size == 20 * KIB


def test_our_own_state_is_private_and_nothing_else_is_left(logs: Path) -> None:
    write(logs)
    apply(planned(logs))
    folder = logs.parent / "lib" / "maintenancebot" / "logrotate"
    assert os.listdir(folder) == ["state"]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_looking_writes_nothing(logs: Path) -> None:
    write(logs)
    before = sorted((path, os.lstat(path).st_ctime_ns) for path in logs.parent.rglob("*"))
    look(logs)
    assert sorted((path, os.lstat(path).st_ctime_ns) for path in logs.parent.rglob("*")) == before


def test_what_became_of_a_rotation_is_seen_on_the_host(logs: Path) -> None:
    write(logs)
    change = planned(logs)
    assert rotate.recall(change)["reason"] == "not_started"
    apply(change)
    assert rotate.recall(change)["state"] == "done"
    next(path for path in logs.iterdir() if path.name != "app.log").unlink()
    assert rotate.recall(change)["state"] == "unknown"
