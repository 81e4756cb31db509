"""Killed at every single call of every operation, each file is in its place or held once and comes back exactly."""

import hashlib
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from maintenancebot.helper import frames
from maintenancebot.helper.cleanup import compress
from maintenancebot.helper.trash import offload, recovery, relocation, store, trash

from ..conftest import TwoDisks, identity_of, told
from ..driver import Gathered
from ..killing import killed_at, killed_within
from ..mounts import debris

TEXT = b"2026-01-01 something happened\n" * 2000
FORMS = ("here", "compressed", "elsewhere", "offloaded")
KILLS = int(os.environ.get("LAB_KILLS", "25"))


class Case:
    """One file of a host on two disks, and the operations on it, in this very process."""

    def __init__(self, host: TwoDisks, link: bool = False) -> None:
        self.host, self.link = host, link
        self.number = 0
        self.path = b""
        self.before: tuple = ()

    def fresh(self) -> None:
        """Another file, in its place."""
        self.number += 1
        if self.link:
            self.path = os.path.join(os.fsencode(self.host.logs), b"%d.log" % self.number)
            os.symlink(b"/nowhere/\xff", self.path)
            os.utime(self.path, ns=(10**18 + 1, 10**18 + 2), follow_symlinks=False)
        else:
            self.path = self.host.file(b"%d-\xff.log" % self.number, TEXT + b"%d" % self.number)
            os.chown(self.path, 1234, 4321)
            os.chmod(self.path, 0o6640)
            os.setxattr(self.path, "user.note", b"kept")
            os.utime(self.path, ns=(10**18 + 1, 10**18 + 2))
        self.before = look(self.path)

    def args(self, **more) -> dict:
        base = {"allow": [str(self.host.logs)], "protect": [], "keep_days": 30, "elsewhere": str(self.host.other)}
        base["offload"] = {"bucket": "b"}
        return {**base, "cap_files": 10**6, "cap_bytes": 10**12, "now": time.time(), **more}

    def do(self, function: Callable, change: dict, **args) -> None:
        step = {"changes": [{"id": f"c{self.number}", **change}], "args": self.args(**args), "now": time.time()}
        (one,) = function(step, Gathered())
        assert one["state"] == "done", one

    def move(self, keep: str = "here") -> None:
        self.do(trash.move, {"action": "quarantine_file", "object": identity_of(self.path)}, keep=keep)

    def compress(self) -> None:
        self.do(compress.apply, {"action": "compress_file", "object": identity_of(self.path)})

    def relocate(self, into: str) -> None:
        item, data = self.item()
        wanted = {"item": item, "into": into, "ino": data["identity"]["ino"], "size": data["identity"]["size"]}
        self.do(relocation.relocate, {"action": "relocate_item", "object": wanted})

    def restore(self, to: str = "") -> None:
        self.do(trash.restore, {"action": "restore_file", "object": {"item": self.item()[0], "to": to}})

    def purge(self) -> None:
        item, data = self.item()
        wanted = {"item": item, "ino": data["identity"]["ino"], "size": data["identity"]["size"]}
        self.do(trash.purge, {"action": "purge_item", "object": wanted}, for_space=True, minimum_days=1)

    def listed(self) -> list[tuple[str, dict]]:
        out = Gathered()
        trash.probe({}, out)
        path = frames.text(self.path)
        return [(one["subject"], one["data"]) for one in out.findings if one["data"].get("path") == path]

    def item(self) -> tuple[str, dict]:
        (found,) = self.listed()
        return found

    def make_old(self) -> None:
        """As if the item had come days ago."""
        item = store.find(self.item()[0])
        item.save(quarantined_at=int(time.time()) - 5 * 86400)
        item.settle()
        item.close()
        item.store.close()


def look(path: bytes) -> tuple:
    """All that must come back; not the inode, which a copy cannot keep."""
    if os.path.islink(path):
        found = os.lstat(path)
        return os.readlink(path), found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns
    content, mode, uid, gid, mtime_ns, _, attributes = told(path)
    return content, mode, uid, gid, mtime_ns, attributes


def check(case: Case, target: bytes, gone: bool, settled: bool) -> None:
    """In place, or listed once as held; after recovery not both, and nothing half done is left."""
    there = os.path.lexists(target)
    items = case.listed()
    assert len(items) <= 1, items
    assert there or items or gone, "lost"
    assert {data["state"] for _, data in items} <= {"held", "offloaded"}
    if there:
        assert look(target) == case.before
    if settled:
        assert not (there and items), "twice"
        assert debris(case.host.base) == []


def put_back(case: Case, target: bytes) -> None:
    """What is held comes back; then it all goes away for the next round."""
    if not os.path.lexists(target):
        case.restore()
        target = case.path
    assert look(target) == case.before
    assert case.listed() == []
    os.unlink(target)
    for path in (case.path + b".gz",):
        if os.path.lexists(path):
            os.unlink(path)


class Objects:
    """An object store as a folder, in the place of the real one, which has tests of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def upload(self, fd: int, record: dict, _args: dict, _out: Gathered) -> dict:
        content = os.pread(fd, 10**7, 0)
        (self.folder / record["id"]).write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        return {"bucket": "b", "key": record["id"], "size": len(content), "sha256": sha256}

    def fetch(self, record: dict, fd: int, _out: Gathered, _holes: bool = False) -> None:
        os.write(fd, (self.folder / record["offload"]["key"]).read_bytes())

    def forget(self, record: dict, _out: Gathered) -> None:
        (self.folder / record["offload"]["key"]).unlink(missing_ok=True)


@pytest.fixture
def case(disks: TwoDisks, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Case:
    monkeypatch.setattr(store, "HOME", os.fsencode(disks.home))
    monkeypatch.setattr(recovery, "_done", [True])
    objects = Objects(disks.base / "objects")
    for name in ("upload", "fetch", "forget"):
        monkeypatch.setattr(offload, name, getattr(objects, name))
    return Case(disks, getattr(request, "param", False))


def in_form(case: Case, form: str) -> None:
    case.fresh()
    case.move(form)


def prepared(form: str) -> Callable[[Case], None]:
    return lambda case: in_form(case, form)


def old(form: str) -> Callable[[Case], None]:
    def prepare(case: Case) -> None:
        in_form(case, form)
        case.make_old()

    return prepare


OPERATIONS: dict[str, tuple[Callable[[Case], None], Callable[[Case], None]]] = {
    "move": (Case.fresh, Case.move),
    "compress": (Case.fresh, Case.compress),
    **{f"move-{form}": (Case.fresh, lambda case, form=form: case.move(form)) for form in FORMS[1:]},
    **{
        f"relocate-{form}-{into}": (prepared(form), lambda case, into=into: case.relocate(into))
        for form, into in [
            ("here", "compressed"),
            ("here", "elsewhere"),
            ("compressed", "elsewhere"),
            ("elsewhere", "compressed"),
            ("here", "offloaded"),
            ("compressed", "offloaded"),
            ("elsewhere", "offloaded"),
        ]
    },
    **{f"restore-{form}": (prepared(form), Case.restore) for form in FORMS},
    "restore-to": (prepared("here"), lambda case: case.restore(other_target(case))),
    **{f"purge-{form}": (old(form), Case.purge) for form in FORMS},
}
FOR_LINKS = ("move", "restore-here", "restore-to", "purge-here")


def other_target(case: Case) -> str:
    return f"{case.host.base}/other/{case.number}"


def kill_everywhere(case: Case, name: str, plain: bool) -> int:
    """Kill the operation at each of its calls, and now and then the recovery after it. Returns how many calls."""
    prepare, operate = OPERATIONS[name]
    number, killed = 0, True
    while killed:
        number += 1
        prepare(case)
        target = os.fsencode(other_target(case)) if name == "restore-to" else case.path
        gone = name.startswith("purge")
        killed = killed_at(number, lambda: operate(case), plain)
        check(case, target, gone, settled=False)
        killed_at(1 + number * 7 % 23, lambda: recovery.recover(Gathered()), plain)
        check(case, target, gone, settled=False)
        recovery.recover(Gathered())
        check(case, target, gone, settled=True)
        if os.path.lexists(target) or case.listed():
            put_back(case, target)
    return number - 1


@pytest.mark.parametrize("plain", [False, True], ids=["kernel", "plain"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_killed_at_every_call(case: Case, name: str, plain: bool) -> None:
    assert kill_everywhere(case, name, plain) > 5


@pytest.mark.parametrize("case", [True], indirect=True)
@pytest.mark.parametrize("plain", [False, True], ids=["kernel", "plain"])
@pytest.mark.parametrize("name", FOR_LINKS)
def test_links_killed_at_every_call(case: Case, name: str, plain: bool) -> None:
    assert kill_everywhere(case, name, plain) > 5


def test_killed_at_any_moment(case: Case) -> None:
    chance = random.Random(KILLS)
    for _ in range(KILLS):
        name = chance.choice(list(OPERATIONS))
        prepare, operate = OPERATIONS[name]
        prepare(case)
        target = os.fsencode(other_target(case)) if name == "restore-to" else case.path
        gone = name.startswith("purge")
        killed_within(0.03, lambda operate=operate: operate(case), chance)
        check(case, target, gone, settled=False)
        recovery.recover(Gathered())
        check(case, target, gone, settled=True)
        if os.path.lexists(target) or case.listed():
            put_back(case, target)


def test_recovery_opens_only_what_is_not_settled(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.fresh()
    case.move()
    opened = []
    real = store.Store.item
    monkeypatch.setattr(store.Store, "item", lambda self, name: opened.append(name) or real(self, name))
    recovery.recover(Gathered())
    assert opened == []
    item = Path(case.item()[1]["store"], case.item()[0])
    item.chmod(0o700)
    opened.clear()
    recovery.recover(Gathered())
    assert opened == [item.name]
    assert item.stat().st_mode & 0o7777 == 0o1700
