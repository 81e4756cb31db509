"""Where the trash lies: one private store per mount, since only there a rename moves a file without copying it.

The mount that holds /var/lib has it in /var/lib/maintenancebot/trash, any other in .maintenancebot/trash at its top.
An item is a folder `<UTC stamp>-<random>` with `item`, the bytes, and `manifest.json`, all that restoring needs.
"""

import binascii
import os
import re
import stat
import time

from . import facts, frames, manifest, usage, walk

HOME = b"/var/lib"
FOLDER = b"maintenancebot"
TRASH = b"trash"
ITEM = b"item"
ITEM_NAME = re.compile(r"^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{16}$")


class Store:
    """An open store."""

    def __init__(self, fd, path):
        self.fd = fd
        self.path = path

    def close(self):
        """Close it; items stay open on their own."""
        os.close(self.fd)

    def ids(self):
        """The ids of all items, in no order."""
        for name in walk.names(self.fd):
            if ITEM_NAME.match(frames.text(name)):
                yield frames.text(name)

    def new(self, record):
        """Make an item whose record is on the disk before anything is moved."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        name = "%s-%s" % (stamp, binascii.hexlify(os.urandom(8)).decode("ascii"))
        os.mkdir(name, 0o700, dir_fd=self.fd)
        item = Item(self, name)
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
            _must_be_private(item.fd, name)
            item.record = manifest.load(item.fd)
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
        return _private_folder(self.fd, name)


class Item:
    """An open item; `record` is its manifest."""

    def __init__(self, store, name):
        self.store = store
        self.id = name
        self.fd = walk.open_folder(name, store.fd)
        self.record = {}

    def close(self):
        """Close it."""
        os.close(self.fd)

    def save(self, **changed):
        """Change the record, on the disk when this returns."""
        self.record.update(changed)
        manifest.save(self.fd, self.record)

    def held(self):
        """lstat of the bytes, None when they are not here, or the whole item is gone."""
        try:
            return os.stat(ITEM, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def state(self):
        """The state that the record and the bytes together stand for, whatever was interrupted."""
        recorded = self.record.get("state")
        if self.held() is not None:
            return "held"
        return {"restoring": "restored", "purging": "purged", "held": "lost"}.get(recorded, "nothing")

    def discard(self):
        """Remove the record of an item whose bytes are gone, and its folder; never while the bytes are here."""
        if self.held() is not None:
            raise walk.Refused("target_exists", "item %s still holds its bytes" % self.id)
        for name in (manifest.NAME + b".new", manifest.NAME):
            manifest.remove(self.fd, name)
        try:
            os.rmdir(self.id, dir_fd=self.store.fd)
        except FileNotFoundError:
            return
        os.fsync(self.store.fd)


def for_mount(folder):
    """The store on the mount of an open folder, made if there is none yet. Raises Refused."""
    wanted = walk.mount_id(folder)
    for base, outer in _places(wanted):
        found = _make(base, outer, wanted)
        if found is not None:
            return found
    raise walk.Refused("other_file_system", "no place for a trash on the same mount")


def existing():
    """Each store of the host once, opened; the caller closes it. Makes nothing."""
    seen = set()
    for base, outer in _places(None):
        try:
            fd, _ = walk.descend([*_parts(base), outer, TRASH], len(_parts(base)))
        except walk.Refused:
            continue
        here = os.fstat(fd)
        if (here.st_dev, here.st_ino) in seen or not _is_private(here):
            os.close(fd)
            continue
        seen.add((here.st_dev, here.st_ino))
        yield Store(fd, base.rstrip(b"/") + b"/" + outer + b"/" + TRASH)


def find(name):
    """The open item of that id, in whichever store it is; close it and its store. Raises Refused."""
    found = None
    for store in existing():
        if found is None:
            try:
                found = store.item(name)
                continue
            except walk.Refused as error:
                if error.reason != "vanished":
                    raise
        store.close()
    if found is None:
        raise walk.Refused("vanished", "no item %s in any trash of this host" % name)
    return found


def _places(wanted):
    """(base, folder name) of where stores may lie: all, or those on the mount with that id."""
    home = _home_mount()
    if home is not None and wanted in (None, home):
        yield HOME, FOLDER
    for row in facts.mount_table():
        if wanted in (None, row["id"]) and row["type"] not in facts.PSEUDO and not usage.is_shared(row["type"]):
            yield row["path"], b"." + FOLDER


def _home_mount():
    try:
        fd, _ = walk.descend(_parts(HOME), len(_parts(HOME)))
    except walk.Refused:
        return None
    try:
        return walk.mount_id(fd)
    finally:
        os.close(fd)


def _make(base, outer, wanted):
    fds = []
    try:
        fds.append(walk.descend(_parts(base), len(_parts(base)))[0])
        if walk.mount_id(fds[0]) != wanted:
            return None
        _must_be_safe_base(fds[0], base)
        fds.append(_outer_folder(fds[0], outer))
        if walk.mount_id(fds[1]) != wanted:
            return None
        fds.append(_private_folder(fds[1], TRASH))
        if walk.mount_id(fds[2]) != wanted:
            return None
        return Store(os.dup(fds[2]), base.rstrip(b"/") + b"/" + outer + b"/" + TRASH)
    finally:
        for fd in fds:
            os.close(fd)


def _must_be_safe_base(fd, path):
    found = os.fstat(fd)
    writable = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
    if found.st_uid != os.geteuid() or writable:
        raise walk.Refused("write_error", "no trash in %s: others could move it away" % frames.text(path))


def _outer_folder(parent, name):
    fd = _folder(parent, name)
    found = os.fstat(fd)
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        os.close(fd)
        raise walk.Refused("write_error", "%s belongs to somebody else, or others may write it" % frames.text(name))
    return fd


def _private_folder(parent, name):
    fd = _folder(parent, name)
    try:
        _must_be_private(fd, frames.text(name))
    except BaseException:
        os.close(fd)
        raise
    return fd


def _folder(parent, name):
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
        os.fsync(parent)
    except FileExistsError:
        pass
    except OSError as error:
        raise walk.Refused(walk.reason_of(error), "the trash cannot be made: %s" % error.strerror) from error
    try:
        return walk.open_folder(name, parent)
    except OSError as error:
        raise walk.Refused(
            "write_error", "%s is not a folder of ours: %s" % (frames.text(name), error.strerror)
        ) from error


def _must_be_private(fd, name):
    if not _is_private(os.fstat(fd)):
        raise walk.Refused("write_error", "%s in the trash is not ours alone" % name)


def _is_private(found):
    return found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _parts(path):
    return [part for part in path.split(b"/") if part]
