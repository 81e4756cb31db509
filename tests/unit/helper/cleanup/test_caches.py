"""The package cache: what apt can fetch again goes, exactly as listed, and only while apt is not at work."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from maintenancebot.helper.cleanup import caches
from maintenancebot.helper.host import tools
from maintenancebot.helper.packages import apt

from ..driver import Gathered

HOLD = "import fcntl,sys; f=open(sys.argv[1],'w'); fcntl.lockf(f,fcntl.LOCK_EX); print(); sys.stdin.read()"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="works on the cache as root")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An own file system as the place of apt's archives, so that free space is ours alone."""
    archives = tmp_path / "archives"
    archives.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m,mode=755", "lab", archives], check=True)
    (archives / "partial").mkdir()
    (archives / "lock").touch()
    monkeypatch.setattr(caches, "archives", lambda _out: str(archives))
    yield archives
    subprocess.run(["umount", archives], check=True)


def fill(folder: Path, *names: str, size: int = 1 << 20) -> None:
    for name in names:
        (folder / name).write_bytes(os.urandom(size))


def planned(folder: Path, **args: object) -> dict:
    out = Gathered()
    caches.look({"protect": [], **args}, out)
    (found,) = out.findings
    return {"id": "c", "action": "drop_package_cache", "object": found["data"]}


def drop(change: dict, **args: object) -> dict:
    step = {"changes": [change], "args": {"allow": [], "protect": [], **args}}
    (outcome,) = caches.drop(step, Gathered())
    return outcome


def test_apt_itself_says_where_its_packages_are() -> None:
    if tools.find("apt-config") is None:
        pytest.skip("no apt here")
    assert caches.archives(Gathered()) == "/var/cache/apt/archives"


def test_packages_are_listed_and_nothing_else(folder: Path) -> None:
    fill(folder, "a_1_all.deb", "b_1_all.deb", "notes.txt")
    fill(folder / "partial", "c_1_all.deb")
    (folder / "link.deb").symlink_to("a_1_all.deb")
    os.link(folder / "notes.txt", folder / "two-names.deb")
    out = Gathered()
    facts = caches.look({"protect": []}, out)
    assert facts == {"folder": str(folder), "files": 2, "bytes": 2 << 20}
    (found,) = out.findings
    assert [row[0] for row in found["data"]["files"]] == ["a_1_all.deb", "b_1_all.deb"]
    assert (found["data"]["size"], found["data"]["allocated"]) == (2 << 20, 2 << 20)


def test_exactly_the_listed_packages_go_and_the_measure_says_how_much(folder: Path) -> None:
    fill(folder, "a_1_all.deb", "b_1_all.deb", "changed_1_all.deb")
    change = planned(folder)
    fill(folder, "new_1_all.deb", "changed_1_all.deb")
    before = os.statvfs(folder).f_bfree
    outcome = drop(change)
    assert (outcome["state"], outcome["reason"]) == ("done", "verified")
    assert outcome["detail"] == "2 of 3 packages"
    freed = (os.statvfs(folder).f_bfree - before) * os.statvfs(folder).f_frsize
    assert outcome["measured"] == {"freed_now": freed, "freed_at_purge": 0, "files": 2, "bytes": 2 << 20}
    assert freed == 2 << 20
    assert sorted(os.listdir(folder)) == ["changed_1_all.deb", "lock", "new_1_all.deb", "partial"]


def test_a_package_that_is_still_open_frees_nothing_and_that_is_said(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr("maintenancebot.helper.host.freed.WAIT_SECONDS", 0)
    fill(folder, "a_1_all.deb")
    with (folder / "a_1_all.deb").open("rb"):
        outcome = drop(planned(folder))
    assert (outcome["state"], outcome["reason"], outcome["measured"]["freed_now"]) == ("done", "no_effect", 0)


def test_while_apt_holds_its_lock_nothing_goes(folder: Path) -> None:
    fill(folder, "a_1_all.deb")
    change = planned(folder)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, folder / "lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as apt_get:
        assert apt_get.stdout
        apt_get.stdout.readline()
        outcome = drop(change)
        apt_get.communicate()
    assert (outcome["state"], outcome["reason"]) == ("skipped", "busy")
    assert (folder / "a_1_all.deb").exists()


def test_what_is_not_as_planned_stays(folder: Path) -> None:
    fill(folder, "a_1_all.deb")
    change = planned(folder)
    fill(folder, "a_1_all.deb", size=5)
    assert drop(change)["reason"] == "changed_since"
    (folder / "a_1_all.deb").unlink()
    outcome = drop(change)
    assert (outcome["state"], outcome["reason"]) == ("nothing", "already_gone")


def test_a_folder_of_others_and_a_protected_one_are_left_alone(folder: Path) -> None:
    fill(folder, "a_1_all.deb")
    change = planned(folder)
    assert caches.look({"protect": [str(folder)]}, Gathered())["reason"] == "protected"
    assert drop(change, protect=[str(folder)])["reason"] == "protected"
    folder.chmod(0o775)
    assert caches.look({"protect": []}, Gathered())["reason"] == "not_allowed"
    assert (folder / "a_1_all.deb").exists()


def test_without_apt_that_is_a_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "find", lambda name: "/usr/bin/dnf" if name == "dnf" else None)
    monkeypatch.setattr(apt, "readable_by_all", lambda: False)
    facts = caches.look({"protect": []}, Gathered())
    assert facts == {"reason": "not_installed", "detail": "dnf's cache is left alone"}


def test_what_became_of_a_drop_is_seen_on_the_host(folder: Path) -> None:
    fill(folder, "a_1_all.deb", "b_1_all.deb")
    change = planned(folder)
    assert caches.recall(change)["reason"] == "not_started"
    (folder / "a_1_all.deb").unlink()
    assert caches.recall(change)["state"] == "unknown"
    (folder / "b_1_all.deb").unlink()
    assert caches.recall(change)["state"] == "done"


def test_the_lock_is_given_back(folder: Path) -> None:
    fill(folder, "a_1_all.deb")
    drop(planned(folder))
    with (folder / "lock").open("w") as stream:
        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
