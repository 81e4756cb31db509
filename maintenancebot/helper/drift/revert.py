"""Takes a correction back that could lock everybody out, unless it is confirmed: by a timer of the host's own.

Armed before anything is changed, with all that it needs on the disk: a record, and the program that takes it back.
It fires with nobody connected, and at the next boot before the network is up. Only one who holds the record's lock
changes the host or the record, so that whoever comes second finds it settled.
"""

import contextlib
import fcntl
import os
import re
import sys
import time
import zipfile

from .. import frames
from ..files import folders, walk
from ..trash import manifest, store
from . import revert_units, undo, well

FOLDER = b"reverts"
PROGRAM = "program.zip"
RECORD = b"record"
NAME = re.compile(r"^[0-9a-f]{8,64}$")
LOCK_SECONDS = 30
"""Whoever holds the record longer has stopped; the host must not stay locked for him."""
HOST_SECONDS = 15
KEEP_SECONDS = 7 * 86400
ARMED, CONFIRMED, REVERTING, REVERTED, FAILED = "armed", "confirmed", "reverting", "reverted", "failed"
OPEN = (ARMED, REVERTING)
HOPELESS = ("changed_since", "vanished")
"""Somebody else has been there since: no later try will find it otherwise."""


class Revert:
    """One correction's way back; close it."""

    def __init__(self, name, fd):
        self.name = name
        self.fd = fd
        self.record = manifest.read(fd, RECORD) if _exists(fd) else {}

    def close(self):
        """Close it."""
        os.close(self.fd)

    @contextlib.contextmanager
    def held(self):
        """Nobody else confirms, changes or takes back meanwhile; the record is read anew."""
        lock = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.fd)
        try:
            _lock(lock, LOCK_SECONDS)
            self.record = manifest.read(self.fd, RECORD)
            yield self.record
        finally:
            os.close(lock)

    @contextlib.contextmanager
    def acting(self):
        """Make the change in here. Raises Refused when the timer came first, as after a long sleep of the machine."""
        with self.held() as record:
            if record["state"] != ARMED:
                raise walk.Refused("reverted", "the timer that takes it back came first; nothing was changed")
            yield

    def confirm(self):
        """It may stay: a new login works. False when it has been taken back already."""
        with self.held() as record:
            if record["state"] != ARMED:
                return False
            self.save(state=CONFIRMED)
            return True

    def take_back(self, booting=False, made=True):
        """Take it back now, or finish what was begun; returns why not all is as before, empty when it is."""
        with self.held() as record:
            if record["state"] not in OPEN:
                return record["detail"]
            self._note(state=REVERTING)
            told, final = taken_back(record, booting, made)
            self._note(state=REVERTED if not told else FAILED if final else REVERTING, detail=told)
        return told

    def save(self, **changed):
        """Change the record, on the disk when this returns."""
        self.record = dict(self.record, **changed)
        manifest.write(self.fd, RECORD, self.record)

    def _note(self, **changed):
        """The same where a full disk must stop nothing: taking back twice does no harm."""
        try:
            self.save(**changed)
        except OSError:
            self.record = dict(self.record, **changed)

    def disarm(self):
        """It is settled: nothing of it is to happen any more, and what is left of it would find that so."""
        try:
            revert_units.disarm(self.name)
            manifest.remove(self.fd, PROGRAM.encode("ascii"))
        except OSError:
            pass  # it is taken away with the record


def taken_back(record, booting=False, made=True):
    """Take back what a record tells of, and let its service run with it: (why not all is as before, for good).

    Nothing runs yet while the host boots, and what was not `made` to its end no service has seen.
    """
    try:
        undo.take_back(record["undo"], record["change"], record["args"], booting)
    except walk.Refused as error:
        return "%s: %s" % (error.reason, error.detail), error.reason in HOPELESS
    except OSError as error:
        return "%s: %s" % (walk.reason_of(error), error.strerror or error), False
    if booting or not made:
        return "", False
    told = revert_units.reload_systemd() if record["units"] else ""
    return told or (
        well.bring_back(record["reload"], record["ran"], record["units"]) if record["reload"] else ""
    ), False


def arm(change, record, seconds):
    """The armed way back. Raises Refused when the host cannot promise it; nothing is changed then."""
    if not NAME.match(change["id"]):
        raise walk.Refused("garbled", "this is not the id of a change")
    others = [one for one in existing() if one.record.get("state") in OPEN]
    for other in others:
        other.close()
    if others:
        raise walk.Refused("busy", "%s may still be taken back by its timer" % others[0].record["change"]["name"])
    made = Revert(change["id"], _folder(change["id"]))
    try:
        _write_program(made.fd)
        made.save(**dict(record, state=ARMED, detail="", armed_at=int(time.time()), seconds=seconds))
        revert_units.arm(made.name, _path(made), seconds)
        return made
    except BaseException:
        _forget(made)
        raise


def existing():
    """Each record of the host, opened; the caller closes it."""
    try:
        fd, _ = walk.descend([*_parts(), FOLDER], len(_parts()) + 1)
    except walk.Refused:
        return
    try:
        for name in [frames.text(name) for name in walk.names(fd)]:
            if NAME.match(name):
                yield Revert(name, walk.open_folder(name, fd))
    finally:
        os.close(fd)


def find(name):
    """The record of a change, open; None when there is none."""
    found = None
    for one in existing():
        if one.name == name:
            found = one
        else:
            one.close()
    return found


def settle(out):
    """Take back what a timer should have and has not, since somebody stopped it; forget what is long settled."""
    for one in existing():
        try:
            if one.record.get("state") in OPEN and not revert_units.is_waiting(one.name):
                out.alive("taking back %s" % one.record["change"]["name"])
                one.take_back()
                one.disarm()
            elif one.record.get("state") not in OPEN and _age(one) > KEEP_SECONDS:
                _forget(one, close=False)
        finally:
            one.close()


def main(path, how):
    """What the timer's unit, and the boot's, run; exit code 1 lets systemd try again."""
    os.umask(0o077)
    parts = [frames.raw(part) for part in path.split("/") if part]
    one = Revert(os.path.basename(path), walk.descend(parts, len(parts))[0])
    host = os.open("/root", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    _lock(host, HOST_SECONDS)  # whoever looks after the trash meanwhile; but not whoever hangs
    told = one.take_back(booting=how == "boot")
    sys.stdout.write("%s: %s\n" % (one.record["change"]["name"], told or one.record["state"]))  # for the journal
    if one.record["state"] in OPEN:
        sys.exit(1)
    one.disarm()


def _lock(fd, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError:
            time.sleep(0.1)


def _write_program(fd):
    """This very helper as a program of its own, which needs nothing of us any more."""
    sources = sys.modules[__package__].__spec__.loader.sources
    manifest.remove(fd, PROGRAM.encode("ascii"))
    target = os.open(PROGRAM, manifest.WRITE, 0o600, dir_fd=fd)
    with os.fdopen(target, "w+b") as stream:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as program:
            for name, text in sorted(sources.items()):
                is_package = any(other.startswith(name + ".") for other in sources)
                program.writestr(name.replace(".", "/") + ("/__init__.py" if is_package else ".py"), text)
        stream.flush()
        os.fsync(stream.fileno())


def _folder(name):
    home, _ = walk.descend(_parts()[:-1], len(_parts()))
    ours = outer = None
    try:
        ours = folders.outer(home, _parts()[-1])
        outer = folders.private(ours, FOLDER)
        return folders.private(outer, frames.raw(name))
    finally:
        for fd in (home, ours, outer):
            if fd is not None:
                os.close(fd)


def _parts():
    return [part for part in store.HOME.split(b"/") if part] + [store.FOLDER]


def _path(one):
    return frames.text(walk.join([*_parts(), FOLDER])) + "/" + one.name


def _forget(one, close=True):
    revert_units.disarm(one.name)
    for name in list(walk.names(one.fd)):
        manifest.remove(one.fd, name)
    os.rmdir(_path(one))
    if close:
        one.close()


def _exists(fd):
    return RECORD in list(walk.names(fd))


def _age(one):
    """Seconds since it was settled; without a record, since whoever would have armed it was killed."""
    found = os.stat(RECORD, dir_fd=one.fd) if _exists(one.fd) else os.fstat(one.fd)
    return time.time() - found.st_mtime
