"""Notes on restored files beside the trash: old as they are, the next night must not take them again."""

import os
import time

from .. import frames
from ..files import walk
from . import manifest, store

FOLDER = b"exempt"
SECONDS = 7 * 86400


def key(found):
    """What must be unchanged for a restored file to stay exempt, of a stat result."""
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def keys(now):
    """The keys of all files that are exempt at that time; reads only."""
    found = set()
    for place in store.existing():
        for note in _notes(place):
            if _until(note) > now:
                found.add((note.get("dev"), note.get("ino"), note.get("size"), note.get("mtime_ns")))
        place.close()
    return found


def note(item, target, found):
    """Note that the file of an item was restored to a path, where it has that lstat now."""
    text = {"item": item.id, "path": target, "until": int(time.time()) + SECONDS}
    text.update(dev=found.st_dev, ino=found.st_ino, size=found.st_size, mtime_ns=found.st_mtime_ns)
    folder = item.store.private_folder(FOLDER)
    try:
        manifest.write(folder, b"%d-%d" % (found.st_dev, found.st_ino), text)
    finally:
        os.close(folder)


def forget_old(place, now):
    """Remove the notes whose time is over, by the time when they were written, and those that were never completed."""
    try:
        folder = walk.open_folder(FOLDER, place.fd)
    except OSError:
        return
    try:
        for name in list(walk.names(folder)):
            written = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime
            if name.endswith(b".new") or written + SECONDS < now:
                os.unlink(name, dir_fd=folder)
    finally:
        os.close(folder)


def _until(note):
    until = note.get("until")
    return until if isinstance(until, int) else 0


def _names(folder):
    return (name for name in walk.names(folder) if frames.text(name).replace("-", "").isdigit())


def _notes(place):
    try:
        folder = walk.open_folder(FOLDER, place.fd)
    except OSError:
        return
    try:
        for name in list(_names(folder)):
            try:
                yield manifest.read(folder, name)
            except walk.Refused:
                continue
    finally:
        os.close(folder)
