"""Takes a correction back, by what it said before it was made; each part may be taken back twice, or never made.

The parts are plain data, since it may be another process that takes them back: the one that a timer starts.
"""

import os
import stat

from .. import frames
from ..files import globs, inodes, renames, walk
from ..trash import exchange, store, trash
from ..trash.item import BYTES
from . import correct_files, dressing


def take_back(parts, change, args, booting=False):
    """Take back the parts, the last first. Raises Refused, or OSError, at the first that cannot be.

    `booting`: nothing runs yet, so that only what lies on the disk is taken back.
    """
    for part in reversed(parts):
        if part["do"] in LIVE:
            _live(part, booting)
        else:
            FILES[part["do"]](part, change, args)


def _live(part, booting):
    from . import correct_units, correct_values

    known = {"unit": correct_units.set_back, "setting": correct_values.set_back, "hold": correct_values.hold_back}
    known[part["do"]](part, booting)


def _exchange(part, _change, _args):
    item = _item(part, part["installed"])
    if item is not None:
        try:
            exchange.back(item, part["path"], part["installed"])
        finally:
            _close(item)


def _create(part, change, args):
    """What was installed goes again; what somebody made of it since stays."""
    there = walk.lstat(part["path"])
    if there is None or there.st_ino != part["installed"]["ino"]:
        return
    if exchange.known(there) != part["installed"]:
        raise walk.Refused("changed_since", "somebody has written to it since")
    try:
        item = store.find(part["item"])
    except walk.Refused:
        _into_trash(inodes.values(there), part["path"], change, args)
        return
    try:
        _take_again(item, part)
    finally:
        _close(item)


def _take_again(item, part):
    """Into the item that it came from, which needs no room on the disk."""
    folder, name = _place(part["path"])
    try:
        renames.take(folder, name, item.fd, BYTES)
        if exchange.known(item.held()) != part["installed"]:
            renames.give(item.fd, BYTES, folder, name)
            raise walk.Refused("changed_since", "it was replaced in this very moment")
        os.fsync(folder)
        correct_files.touch(folder)
        item.drop()
    finally:
        os.close(folder)


def _into_trash(identity, path, change, args):
    args = dict(args, allow=[os.path.dirname(path)], protect=[])
    found = correct_files.Dressable(dict(change, object=dict(identity, path=path)), args)
    try:
        item = trash.new_item(found, change, args)
        try:
            trash.hold(found, item)
            correct_files.touch(found.folder)
        finally:
            _close(item)
    finally:
        found.close()


def _remove(part, _change, _args):
    item = _item(part)
    if item is None:
        return
    try:
        item.unsettle()
        if item.held() is not None:
            item.note(state="restoring", target=part["path"])
            _give(item, part["path"])
        item.discard()
    finally:
        _close(item)


def _give(item, path):
    folder, name = _place(path)
    try:
        renames.give(item.fd, BYTES, folder, name)
        os.fsync(folder)
    except FileExistsError as error:
        item.save(state="held", target=None)
        item.settle()
        raise walk.Refused("changed_since", "another file lies there; the old one is %s" % item.id) from error
    finally:
        os.close(folder)


def _dress(part, _change, _args):
    folder, name = _place(part["path"])
    try:
        look = walk.open_inside(name, folder, inodes.LOOK)
        try:
            there = os.fstat(look)
            if there.st_ino != part["ino"] or not stat.S_ISREG(there.st_mode):
                raise walk.Refused("changed_since", "another file lies there now")
            fd = inodes.reopen(look)
        finally:
            os.close(look)
        try:
            dressing.dress(fd, part["dress"], part.get("attributes"))
        finally:
            os.close(fd)
    finally:
        os.close(folder)


FILES = {"exchange": _exchange, "create": _create, "remove": _remove, "dress": _dress}
LIVE = ("unit", "setting", "hold")


def _item(part, installed=None):
    """The item, None when it went away because nothing was made, or all was taken back. Raises Refused."""
    try:
        return store.find(part["item"])
    except walk.Refused as error:
        there = walk.lstat(part["path"])
        ours = installed is not None and there is not None and there.st_ino == installed["ino"]
        if error.reason != "vanished" or ours or there is None:
            raise
        return None


def _place(path):
    parts = [frames.raw(part) for part in globs.components(path)]
    return walk.descend(parts[:-1], len(parts) - 1)[0], parts[-1]


def _close(item):
    item.close()
    item.store.close()
