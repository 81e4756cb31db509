"""Where the trash lies: one private store per mount, since only there a rename moves a file without copying it.

The mount that holds /var/lib has it in /var/lib/maintenancebot/trash, any other in .maintenancebot/trash at its top.
A configured folder on another file system may hold what must leave its own; a note at the top of that mount names it.
"""

import binascii
import os
import re
import stat
import time

from .. import frames
from ..files import folders, walk
from . import manifest, places
from .item import BYTES, Item, is_settled

HOME = b"/var/lib"
FOLDER = places.FOLDER
ITEM = BYTES
ITEM_NAME = re.compile(r"^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{16}$")


class Store:
    """An open store."""

    def __init__(self, fd, path):
        self.fd = fd
        self.path = path

    def close(self):
        """Close it; items stay open on their own."""
        os.close(self.fd)

    def free(self):
        """Free bytes of its file system, as statvfs tells them."""
        found = os.fstatvfs(self.fd)
        return found.f_bfree * found.f_frsize

    def ids(self):
        """The ids of all items, in no order."""
        for name in walk.names(self.fd):
            if ITEM_NAME.match(frames.text(name)):
                yield frames.text(name)

    def unsettled(self):
        """The ids of those items that something half done may have been left of; opens none."""
        for name in self.ids():
            try:
                found = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISDIR(found.st_mode) and not is_settled(found):
                yield name

    def new(self, record, name=None):
        """Make an item whose record is on the disk before anything is moved; without a name it gets one of its own."""
        if name is None:
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            name = "%s-%s" % (stamp, binascii.hexlify(os.urandom(8)).decode("ascii"))
        os.mkdir(name, 0o700, dir_fd=self.fd)
        try:
            item = Item(self, name)
        except BaseException:
            os.rmdir(name, dir_fd=self.fd)
            raise
        item.record = dict(record, format=manifest.FORMAT, id=name, store=frames.text(self.path), state="intent")
        try:
            item.save()
            os.fsync(self.fd)
        except BaseException:
            item.discard()
            item.close()
            raise
        return item

    def item(self, name):
        """Open an item with its record. Raises Refused."""
        if not ITEM_NAME.match(name):
            raise walk.Refused("vanished", "not the id of an item")
        try:
            item = Item(self, name)
        except OSError as error:
            raise walk.Refused(walk.reason_of(error), error.strerror) from error
        try:
            folders.must_be_private(item.fd, name)
            item.load()
        except BaseException:
            item.close()
            raise
        return item

    def holds_bytes(self, name):
        """Whether there are bytes under that id, with a record or not."""
        try:
            os.stat(os.fsencode(name) + b"/" + ITEM, dir_fd=self.fd, follow_symlinks=False)
        except OSError:
            return False
        return True

    def private_folder(self, name):
        """Open a private folder in the store, made if needed; the caller closes it."""
        return folders.private(self.fd, name)


def for_mount(folder):
    """The store on the mount of an open folder, made if there is none yet. Raises Refused."""
    wanted = walk.mount_id(folder)
    for base, outer in places.usual(HOME, wanted):
        fd = places.inside(HOME, base, outer, wanted, places.TRASH)
        if fd is not None:
            return Store(fd, places.path_of(base, outer))
    raise walk.Refused("other_file_system", "no place for a trash on the same mount")


def elsewhere(path, origin):
    """The store in a configured folder on another file system than that of the store `origin`. Raises Refused."""
    parts = [frames.raw(part) for part in path.split("/") if part]
    if not path.startswith("/") or len(parts) < 2 or any(part in (b".", b"..") for part in parts):
        raise walk.Refused("not_allowed", "%s is no place for a trash" % path)
    places.must_be_mounted(walk.join(parts))
    parent, passed = walk.descend(parts[:-1], len(parts))
    try:
        places.must_stay(passed, path)
        fd = folders.private(parent, parts[-1])
    finally:
        os.close(parent)
    try:
        places.must_be_another(fd, origin.fd, path)
        place = Store(fd, walk.join(parts))
        places.note(HOME, place)
        return place
    except BaseException:
        os.close(fd)
        raise


def half_made():
    """{path: (inode, mtime_ns)} of packed copies that a killed step left beside their file; reads only.

    The next step removes each before it does anything else, so that none of them stands in the file's way.
    """
    found = {}
    for place in existing():
        for name in place.unsettled():
            try:
                item = place.item(name)
            except walk.Refused:
                continue
            copy = item.record.get("copy") or {}
            if item.record.get("state") == "intent" and item.held() is None and "ino" in copy:
                found[copy["path"]] = (copy["ino"], copy.get("mtime_ns"))
            item.close()
        place.close()
    return found


def existing():
    """Each store of the host once, opened; the caller closes it. Makes nothing."""
    seen = set()
    for path in places.known(HOME):
        parts = places.parts_of(path)
        try:
            fd, _ = walk.descend(parts, len(parts))
        except walk.Refused:
            continue
        here = os.fstat(fd)
        if (here.st_dev, here.st_ino) in seen or not folders.is_private(here):
            os.close(fd)
            continue
        seen.add((here.st_dev, here.st_ino))
        yield Store(fd, path)


def find(name):
    """The open item of that id, in whichever store it is; close it and its store. Raises Refused.

    While a copy replaces it there are two of that id: the one that counts has its bytes, the newer one first.
    """
    found = None
    for store in existing():
        try:
            item = store.item(name)
        except walk.Refused as error:
            store.close()
            if error.reason != "vanished":
                raise
            continue
        found = _better(found, item)
    if found is None:
        raise walk.Refused("vanished", "no item %s in any trash of this host" % name)
    return found


def superseded():
    """The ids of items whose complete copy in another store has not replaced them yet -> that store's path."""
    found = {}
    for place in existing():
        for name in place.unsettled():
            try:
                item = place.item(name)
            except walk.Refused:
                continue
            if item.record.get("previous") and item.state() != "nothing":
                found[name] = place.path
            item.close()
        place.close()
    return found


def _better(one, other):
    if one is None:
        return other
    keep, drop = (other, one) if other.record.get("previous") and other.state() == "held" else (one, other)
    if keep.state() == "nothing":
        keep, drop = drop, keep
    drop.close()
    drop.store.close()
    return keep
