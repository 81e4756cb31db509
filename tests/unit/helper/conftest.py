"""A small host for the files subject: a tree of logs, a trash, and the helper's operations in a chosen Python."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from maintenancebot.helper import frames
from maintenancebot.helper.host import facts

from .driver import hide_foreign_stores
from .mounts import mounted

DRIVER = Path(__file__).with_name("driver.py")
ROOT = Path(__file__).parents[3]
DAY = 86400
VERSIONS = ("3.6", "3.9", "3.11", "3.13")


def pythons() -> dict[str, str]:
    """Version to interpreter: those of LAB_PYTHONS (paths, `:` between), or on PATH, that start."""
    named = os.environ.get("LAB_PYTHONS")
    paths = named.split(":") if named else [shutil.which(f"python{version}") for version in VERSIONS]
    found = {}
    for path in [sys.executable, *filter(None, paths)]:
        tell = [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(tell, capture_output=True, text=True)
        if done.returncode == 0:
            found[done.stdout.strip()] = path
    return found


PYTHONS = pythons()


class SmallHost:
    """A tree that may be cleaned, a home for the trash, and a clock that is `days` ahead so that files are old."""

    def __init__(self, base: Path, python: str = sys.executable, days: int = 40) -> None:
        self.base, self.python = base, python
        self.logs, self.home = base / "srv" / "log", base / "lib"
        self.now = time.time() + days * DAY
        self.logs.mkdir(parents=True)
        self.home.mkdir()
        for folder in (base, base / "srv", self.logs, self.home):
            folder.chmod(0o755)

    def file(self, name: str | bytes, content: bytes = b"line\n" * 100, mode: int = 0o640) -> bytes:
        path = os.path.join(os.fsencode(self.logs), os.fsencode(name))
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(content)
        os.chmod(path, mode)
        return path

    def call(self, op: str, asked: dict) -> dict:
        request = {"root": str(ROOT), "home": str(self.home), "op": op, "asked": asked}
        done = subprocess.run(
            [self.python, "-B", str(DRIVER)], input=json.dumps(request).encode(), capture_output=True, timeout=60
        )
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    def probe(self, pattern: str = "**/*.log", **more) -> dict:
        spec = {
            "path": f"{self.logs}/{pattern}",
            "retention_days": 30,
            "compress": False,
            "exclude": [],
            "links": False,
        }
        spec.update({key: more.pop(key) for key in list(more) if key in spec})
        asked = {"patterns": [spec], "allow": [str(self.logs)], "protect": [], "limit": 10000, "now": self.now}
        return self.call("cleanup.logs.probe", {**asked, **more})

    def changes(self, **more) -> list[dict]:
        action = "compress_file" if more.get("compress") else "quarantine_file"
        found = self.probe(**more)["findings"]
        return [
            {"id": f"change-{n}", "task": "logs", "action": action, "object": finding["data"]["identity"]}
            for n, finding in enumerate(found)
        ]

    def step(self, op: str, changes: list[dict], **args) -> list[dict]:
        base = {"allow": [str(self.logs)], "protect": [], "keep_days": 30}
        step = {
            "id": "s",
            "task": "logs",
            "changes": changes,
            "args": {**base, **args},
            "run": "r1",
            "now": time.time(),
        }
        return self.call(op, step)["outcomes"]

    def move(self, **more) -> list[dict]:
        return self.step("trash.trash.move", self.changes(**more))

    def compress(self, **more) -> list[dict]:
        return self.step("cleanup.compress.apply", self.changes(compress=True, **more))

    def relocate(self, into: str, **args) -> list[dict]:
        """All items to another form or place."""
        changes = [
            {
                "id": f"to-{item['subject']}",
                "action": "relocate_item",
                "object": {
                    "item": item["subject"],
                    "into": into,
                    **{key: item["data"]["identity"][key] for key in ("ino", "size")},
                },
            }
            for item in self.trash()
        ]
        return self.step("trash.trash.relocate", changes, **args)

    def trash(self) -> list[dict]:
        return self.call("trash.trash.probe", {})["findings"]

    def edit_record(self, item: str, **fields: object) -> None:
        """Change fields of an item's record, as time or a crash would; the item is not settled then."""
        path = self.home / "maintenancebot" / "trash" / item / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
        path.parent.chmod(0o700)

    def restore(self, item: str, to: str = "") -> dict:
        change = {"id": "back", "task": "trash", "action": "restore_file", "object": {"item": item, "to": to}}
        return self.step("trash.trash.restore", [change])[0]


def told(path: bytes) -> tuple:
    """All of a file that must come back."""
    facts = os.lstat(path)
    with open(path, "rb") as stream:
        content = stream.read()
    attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    return content, facts.st_mode, facts.st_uid, facts.st_gid, facts.st_mtime_ns, facts.st_ino, attributes


def identity_of(path: bytes) -> dict:
    facts = os.lstat(path)
    fields = ("dev", "ino", "size", "mtime_ns", "ctime_ns", "mode", "uid", "gid")
    return {"path": frames.text(path), **{field: getattr(facts, f"st_{field}") for field in fields}}


def append(path: bytes) -> None:
    """Change a file as a writer would."""
    with open(path, "ab") as stream:
        stream.write(b"more")


@pytest.fixture
def host(tmp_path: Path) -> SmallHost:
    if os.geteuid() != 0:
        pytest.skip("works on files as root")
    return SmallHost(tmp_path)


@pytest.fixture(params=PYTHONS.values(), ids=PYTHONS.keys())
def any_host(tmp_path: Path, request: pytest.FixtureRequest) -> SmallHost:
    if os.geteuid() != 0:
        pytest.skip("works on files as root")
    return SmallHost(tmp_path, request.param)


class TwoDisks(SmallHost):
    """A host whose tree lies on a disk of its own, and `other`, a folder on another disk."""

    @property
    def other(self) -> Path:
        return self.base / "other" / "kept"


@contextlib.contextmanager
def two_disks(base: Path, python: str = sys.executable) -> Iterator[TwoDisks]:
    with mounted(base / "srv"), mounted(base / "other"):
        yield TwoDisks(base, python)


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[TwoDisks]:
    if os.geteuid() != 0:
        pytest.skip("works on files as root")
    with two_disks(tmp_path) as host:
        yield host


@pytest.fixture(params=PYTHONS.values(), ids=PYTHONS.keys())
def any_disks(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[TwoDisks]:
    if os.geteuid() != 0:
        pytest.skip("works on files as root")
    with two_disks(tmp_path, request.param) as host:
        yield host


@pytest.fixture(autouse=True)
def no_foreign_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here settles or lists the trash of a lab that runs beside it."""
    monkeypatch.setattr(facts, "mount_table", facts.mount_table)
    hide_foreign_stores(facts, os.fsencode(tmp_path))
