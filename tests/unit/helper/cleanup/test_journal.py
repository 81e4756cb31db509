"""The journal: whole files beyond the limits, the oldest first, removed by the real journalctl and measured."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from maintenancebot.helper.cleanup import journal
from maintenancebot.helper.host import facts, tools

from ..driver import Gathered

MACHINE = "0123456789abcdef0123456789abcdef"
SOURCE = "a" * 32
MIB = 1 << 20
DAY = 86400
BEGAN = time.time() - 1000

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or tools.find("journalctl") is None, reason="works on a journal as root, with journalctl"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    base = tmp_path / "journal"
    base.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=755", "lab", base], check=True)
    monkeypatch.setattr(journal, "PLACES", (str(base),))
    monkeypatch.setattr(facts, "machine_id", lambda: MACHINE)
    (base / MACHINE).mkdir()
    yield base / MACHINE
    subprocess.run(["umount", base], check=True)


def write(folder: Path, name: str, mib: int = 2) -> Path:
    """A file with the header of a journal that has entries; journalctl judges by name and header alone."""
    path = folder / name
    path.write_bytes(b"LPKSHHRH" + os.urandom(mib * MIB - 8))
    return path


def archived(number: int, began: float | None = None, **more: int) -> str:
    moment = int((began or BEGAN + number) * 1e6)
    return f"system@{SOURCE}-{number:016x}-{moment:016x}.journal"


def look(**limits: int | None) -> tuple[dict, list]:
    out = Gathered()
    told = journal.look({"journal": {"keep_days": None, "keep_bytes": None, **limits}, "protect": []}, out)
    return told, out.findings


def changes(**limits: int | None) -> list[dict]:
    return [{"id": "j", "action": "vacuum_journal", "object": found["data"]} for found in look(**limits)[1]]


def vacuum(change: dict, protect: tuple[str, ...] = ()) -> dict:
    (outcome,) = journal.vacuum({"changes": [change], "args": {"allow": [], "protect": protect}}, Gathered())
    return outcome


def test_its_size_is_what_journalctl_says_and_within_the_limits_nothing_is_due(folder: Path) -> None:
    for number in range(1, 4):
        write(folder, archived(number))
    write(folder, "system.journal")
    told, found = look(keep_bytes=8 * MIB)
    (place,) = told["places"]
    assert (place["bytes"], place["archived"], place["archived_bytes"], place["due"]) == (8 * MIB, 3, 6 * MIB, 0)
    assert found == []


def test_the_oldest_files_beyond_the_bytes_go_and_no_other(folder: Path) -> None:
    names = [archived(number) for number in (1, 2, 3, 4, 10)]
    for name in reversed(names):
        write(folder, name)
    write(folder, "system.journal")
    (change,) = changes(keep_bytes=7 * MIB)
    assert [row[0] for row in change["object"]["files"]] == names[:3]
    write(folder, archived(11))  # journald goes on: the limit is passed again, but only the plan's files go
    before = os.statvfs(folder).f_bfree
    outcome = vacuum(change)
    freed = (os.statvfs(folder).f_bfree - before) * os.statvfs(folder).f_frsize
    assert (outcome["state"], outcome["reason"]) == ("done", "verified")
    assert outcome["measured"] == {"freed_now": freed, "freed_at_purge": 0, "files": 3, "bytes": 6 * MIB}
    assert freed == 6 * MIB
    assert sorted(os.listdir(folder)) == sorted([*names[3:], archived(11), "system.journal"])


def test_by_age_a_file_goes_only_when_its_last_entry_is_too_old(folder: Path) -> None:
    now = time.time() + 40 * DAY
    old = write(folder, archived(1))
    half = write(folder, archived(2, time.time() - 100 * DAY))
    os.utime(half, (now - DAY, now - DAY))  # began long ago, ended yesterday
    out = Gathered()
    journal.look({"journal": {"keep_days": 30, "keep_bytes": None}, "protect": [], "now": now}, out)
    assert [row[0] for row in out.findings[0]["data"]["files"]] == [old.name]


def test_files_of_crashes_and_of_users_are_counted_in_their_time(folder: Path) -> None:
    first = f"user-1000@{int((BEGAN - 5000) * 1e6):016x}-0123456789abcdef.journal~"
    for name in (archived(1), first, archived(2)):
        write(folder, name)
    (change,) = changes(keep_bytes=4 * MIB)
    assert [row[0] for row in change["object"]["files"]] == [first]
    assert vacuum(change)["measured"]["files"] == 1
    assert first not in os.listdir(folder)


def test_active_files_are_due_last_and_stay_when_journald_does_not_archive_them(folder: Path) -> None:
    write(folder, archived(1))
    write(folder, "system.journal", mib=4)
    (change,) = changes(keep_bytes=1 * MIB)
    assert [(row[0], row[4]) for row in change["object"]["files"]] == [(archived(1), False), ("system.journal", True)]
    outcome = vacuum(change)  # no journald runs here, so that nothing is rotated
    assert (outcome["state"], outcome["measured"]["files"]) == ("done", 1)
    assert outcome["detail"].startswith("1 of 2 files")
    assert os.listdir(folder) == ["system.journal"]


def test_when_journalctl_removes_nothing_that_is_a_failure(folder: Path) -> None:
    name = write(folder, archived(1)).name
    (change,) = changes(keep_bytes=1 * MIB)
    subprocess.run(["chattr", "+i", folder / name], check=False)
    subprocess.run(["mount", "-o", "remount,ro", folder.parent], check=True)
    outcome = vacuum(change)
    subprocess.run(["mount", "-o", "remount,rw", folder.parent], check=True)
    assert (outcome["state"], outcome["reason"]) == ("failed", "no_effect")
    assert (folder / name).exists()


def test_what_is_not_as_planned_stays(folder: Path) -> None:
    name = write(folder, archived(1)).name
    (change,) = changes(keep_bytes=1 * MIB)
    (folder / name).unlink()
    assert vacuum(change)["reason"] == "already_gone"
    write(folder, name)  # another file of that name
    assert vacuum(change)["state"] == "nothing"
    assert vacuum({**change, "object": {**change["object"], "folder": "/var/log"}})["reason"] == "changed_since"
    assert os.listdir(folder) == [name]


@pytest.mark.parametrize("swap", ["content", "name"])
def test_another_file_in_the_same_inode_or_of_another_name_is_not_the_planned_one(folder: Path, swap: str) -> None:
    planned = write(folder, archived(1))
    (change,) = changes(keep_bytes=1 * MIB)
    if swap == "content":
        write(folder, archived(1))
    else:
        planned.rename(folder / archived(5))
    assert vacuum(change)["reason"] == "already_gone"
    assert len(os.listdir(folder)) == 1


def test_a_protected_journal_stays(folder: Path) -> None:
    write(folder, archived(1))
    (change,) = changes(keep_bytes=1 * MIB)
    assert vacuum(change, protect=(str(folder),))["reason"] == "protected"


def test_what_became_of_a_vacuum_is_seen_on_the_host(folder: Path) -> None:
    for number in (1, 2):
        write(folder, archived(number))
    (change,) = changes(keep_bytes=1)
    assert journal.recall(change)["reason"] == "not_started"
    (folder / archived(1)).unlink()
    assert journal.recall(change)["state"] == "unknown"
    (folder / archived(2)).unlink()
    assert journal.recall(change)["state"] == "done"
