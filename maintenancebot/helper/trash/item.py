"""One item of a trash: a folder with `item`, the bytes, and `manifest.json`, all that restoring needs.

An item is *settled* when nothing is half done. That is a bit of its folder's mode, the sticky one, so that recovery
finds the others without opening any, and a full disk can keep it. Without the bit the item is looked at: in doubt,
after a copy of the whole trash by other tools, or after an older version of ours.
"""

import os
import stat

from ..files import walk
from . import manifest

BYTES = b"item"
PARTIAL = b"item.new"
GOING = b"item.gone"
"""Bytes that nobody needs any more: said by a name, since a full disk takes no record."""
LEFTOVERS = (PARTIAL, GOING, manifest.BESIDE)
OPEN, SETTLED = 0o700, 0o1700


class Item:
    """An open item; `record` is its manifest."""

    def __init__(self, store, name):
        self.store = store
        self.id = name
        self.fd = walk.open_folder(name, store.fd)
        self.record = {}

    def load(self):
        """Read the record. Raises Refused."""
        self.record = manifest.load(self.fd)
        coming, held = self.record.get("next"), self.held()
        if coming and held is not None and held.st_ino == coming["ino"]:
            self.record.update(coming["fields"])  # killed after the bytes were exchanged and before the record was

    def close(self):
        """Close it."""
        os.close(self.fd)

    def save(self, **changed):
        """Change the record, on the disk when this returns; a value None takes the field away."""
        wanted = {key: value for key, value in dict(self.record, **changed).items() if value is not None}
        manifest.save(self.fd, wanted)
        self.record = wanted

    def note(self, **changed):
        """The same where it may go on without: on a full disk the record is changed in here alone."""
        try:
            self.save(**changed)
        except OSError:
            self.record = {key: value for key, value in dict(self.record, **changed).items() if value is not None}

    def settle(self):
        """Mark that nothing of it is half done."""
        os.fchmod(self.fd, SETTLED)

    def unsettle(self):
        """Take that mark away before anything is begun."""
        os.fchmod(self.fd, OPEN)
        os.fsync(self.fd)

    def held(self):
        """lstat of the bytes, None when they are not here, or the whole item is gone."""
        return self._look(BYTES)

    def place(self):
        """The state that the item rests in."""
        return "offloaded" if self.record.get("offload") else "held"

    def state(self):
        """The state that the record and the bytes together stand for, whatever was interrupted.

        `nothing` is an intent that came to nothing, a candidate that never took a file's place, or a copy that is not
        complete while the older item is held.
        """
        recorded = self.record.get("state")
        if self.record.get("offload"):
            return "offloaded"
        if self.held() is not None:
            return "nothing" if self.holds_candidate() else "held"
        if self._look(GOING) is not None:
            return "purged"
        if self.record.get("previous"):
            return "nothing"
        return {"restoring": "restored", "purging": "purged", "held": "lost", "relocating": "lost"}.get(
            recorded, "nothing"
        )

    def holds_candidate(self):
        """Whether its bytes are ours, made to change places with a file that is replaced, and not that file.

        Ours that somebody wrote to while they had the place are his.
        """
        coming, held = self.record.get("candidate"), self.held()
        if not coming or held is None:
            return False
        known = (coming["ino"], coming["size"], coming["mtime_ns"])
        return not coming["ino"] or known == (held.st_ino, held.st_size, held.st_mtime_ns)

    def must_be(self, expected):
        """lstat of the bytes, None if they lie in an object store. Raises Refused unless a plan means this item."""
        identity, held = self.record["identity"], self.held()
        if (identity["ino"], identity["size"]) != (expected["ino"], expected["size"]):
            raise walk.Refused("changed_since", "the item is not the one that the plan names")
        if self.record.get("offload"):
            return None
        if held is None:
            raise walk.Refused("vanished", "the item has no bytes any more")
        copied = self.record.get("copied")
        known = self.record.get("stored_size") if copied else identity["size"]
        if held.st_size != known or (not copied and held.st_ino != identity["ino"]):
            raise walk.Refused("changed_since", "the item holds other bytes than the plan names")
        return held

    def stored(self):
        """Bytes that it takes on this file system."""
        held = self.held()
        return held.st_blocks * 512 if held is not None else 0

    def drop(self):
        """Delete the bytes, which are not needed any more, and then the item. Needs no room on the disk."""
        if self.held() is not None:
            self.unsettle()
            os.rename(BYTES, GOING, src_dir_fd=self.fd, dst_dir_fd=self.fd)
            os.fsync(self.fd)
        self.discard()

    def is_going(self):
        """Whether a drop was begun."""
        return self._look(GOING) is not None and self.held() is None

    def discard(self):
        """Remove the record of an item whose bytes are gone, and its folder; never while the bytes are here."""
        if self.held() is not None:
            raise walk.Refused("target_exists", "item %s still holds its bytes" % self.id)
        for name in (PARTIAL, manifest.BESIDE, manifest.NAME):
            manifest.remove(self.fd, name)
        os.fsync(self.fd)
        manifest.remove(self.fd, GOING)  # last: without it a record would speak of lost bytes
        try:
            os.rmdir(self.id, dir_fd=self.store.fd)
        except FileNotFoundError:
            return
        os.fsync(self.store.fd)

    def _look(self, name):
        try:
            return os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None


def is_settled(found):
    """Whether the lstat of an item's folder says that nothing is half done."""
    return bool(found.st_mode & stat.S_ISVTX)
