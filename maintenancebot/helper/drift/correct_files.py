"""Corrects a declared file in the one way that its difference asks for; each way says before how it is taken back.

Whatever leaves its place lies in the trash. No way follows a link, and none touches a file that is not the one that
was planned with, that has several names, is immutable, or is being written to.
"""

import hashlib
import os
import stat

from .. import frames
from ..files import globs, inodes, renames, walk
from ..host import usage
from ..trash import exchange, manifest, restore, source, store, trash
from ..trash.item import BYTES
from . import dressing

ACCOUNTS = ("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow", "/etc/subuid", "/etc/subgid")
MODE, OWNER = 0o644, 0
"""Of a new file whose baseline says nothing of them."""
NOBODY = dict.fromkeys(inodes.IDENTITY, 0)


def prepare(change, args, _out):
    """The way to correct the file, ready to be made; close it. Raises Refused."""
    wanted = change["object"]["wanted"]
    return prepared(change, args, change["object"]["name"], wanted, dressing.content_of(wanted, args))


def prepared(change, args, path, wanted, content, defaults=(OWNER, OWNER, MODE)):
    """The same for any file with that path; `content` None leaves it as it is, `defaults` are a new file's."""
    if path in ACCOUNTS:
        raise walk.Refused("protected", "declare users and groups instead of %s" % path)
    identity = change["object"]["identity"]
    args = dict(args, allow=[os.path.dirname(path)], protect=[])
    if wanted.get("state") == "absent":
        return Removed(change, args, dict(identity, path=path))
    if "ino" not in identity:
        return Created(change, args, path, content, dressing.declared(wanted, defaults))
    if content is not None and identity.get("sha256") != hashlib.sha256(content).hexdigest():
        return Replaced(change, args, dict(identity, path=path), content, wanted)
    return Dressed(change, args, dict(identity, path=path), wanted)


class Declared(source.Source):
    """A file that is to be replaced or dressed: it may be read meanwhile, not be written to."""

    def must_be_idle(self):
        """Raise Refused when somebody has it open for writing."""
        alone = usage.nobody_writes(self.fd)
        if not alone:
            raise walk.Refused("in_use" if alone is False else "use_unknown", "it may be written to right now")


class Dressable(source.Source):
    """A file that keeps its bytes: who has it open does not matter."""

    def must_be_idle(self):
        """It need not be."""


class Replaced:
    """Another content, and mode and owner where they are declared; all else is as it was."""

    def __init__(self, change, args, expected, content, wanted):
        self._source = Declared(dict(change, object=expected), args)
        try:
            was = os.fstat(self._source.fd)
            self.dress = dressing.declared(wanted, (was.st_uid, was.st_gid, stat.S_IMODE(was.st_mode)))
            self.path, self.content = expected["path"], content
            kept = dressing.kept(self._source.fd, self.dress[:2])
            self._exchange = exchange.Exchange(
                self._source, change, args, lambda fd: dressing.fill(fd, content, self.dress, kept)
            )
        except BaseException:
            self._source.close()
            raise

    def undo(self):
        """How it is taken back."""
        return [dict(self._exchange.undo(), do="exchange")]

    def make(self):
        """Replace it."""
        self._exchange.make()

    def measured(self):
        """What the report tells."""
        return {"trash_item": self._exchange.item.id}

    def close(self):
        """Let go."""
        self._exchange.close()
        self._source.close()


class Created:
    """A file where there is none; its folder must be there."""

    def __init__(self, change, args, path, content, dress):
        if content is None:
            raise walk.Refused("lacks", "the baseline has a hash of it and no content")
        self.path, self.content, self.dress = path, content, dress
        parts, anchor = source.rules(path, args)
        raw = [frames.raw(part) for part in parts]
        self._name = raw[-1]
        self._folder, parents = _folder_of(raw, anchor)
        try:
            self._item = self._new_item(change, args, parents)
        except BaseException:
            os.close(self._folder)
            raise

    def _new_item(self, change, args, parents):
        if walk.lstat(self.path) is not None:
            raise walk.Refused("changed_since", "there is something now")
        place = store.for_mount(self._folder)
        record = {"change": change["id"], "action": change["action"], "path": self.path, "root": args["allow"][0]}
        record.update(identity=NOBODY, allocated=0, atime_ns=0, parents=parents, candidate=exchange.UNKNOWN)
        item = place.new(dict(record, task=change.get("task", ""), run=args.get("run", "")))
        try:
            fd = os.open(BYTES, manifest.WRITE, 0o600, dir_fd=item.fd)
            try:
                dressing.fill(fd, self.content, self.dress, dressing.label(self._folder))
                self._made = exchange.known(os.fstat(fd))
            finally:
                os.close(fd)
            return item
        except BaseException:
            _drop(item)
            raise

    def undo(self):
        """How it is taken back."""
        return [{"do": "create", "path": self.path, "item": self._item.id, "installed": self._made}]

    def make(self):
        """Give it its name, unless there is one by now."""
        try:
            renames.give(self._item.fd, BYTES, self._folder, self._name)
        except FileExistsError as error:
            raise walk.Refused("changed_since", "there is something now") from error
        os.fsync(self._folder)

    def measured(self):
        """What the report tells."""
        return {}

    def close(self):
        """Let go; what never got its name goes away."""
        _drop(self._item)
        os.close(self._folder)


class Removed:
    """A file that should not be there: into the trash."""

    content = dress = None

    def __init__(self, change, args, expected):
        self.path = expected["path"]
        self._source = source.Source(dict(change, object=expected), args)
        try:
            self._item = trash.new_item(self._source, change, args)
        except BaseException:
            self._source.close()
            raise

    def undo(self):
        """How it is taken back."""
        return [{"do": "remove", "path": self.path, "item": self._item.id}]

    def make(self):
        """Move it."""
        trash.hold(self._source, self._item)
        touch(self._source.folder)

    def measured(self):
        """What the report tells."""
        return {"trash_item": self._item.id}

    def close(self):
        """Let go."""
        if self._item.held() is None:
            self._item.discard()
        self._item.close()
        self._item.store.close()
        self._source.close()


class Dressed:
    """Another mode or owner, in place."""

    def __init__(self, change, args, expected, wanted):
        self.path = expected["path"]
        self._source = Dressable(dict(change, object=expected), args)
        self._was = os.fstat(self._source.fd)
        self.dress = dressing.declared(wanted, (self._was.st_uid, self._was.st_gid, stat.S_IMODE(self._was.st_mode)))

    @property
    def content(self):
        """The bytes, as they are and stay."""
        with os.fdopen(os.dup(self._source.fd), "rb") as stream:
            stream.seek(0)
            return stream.read()

    def undo(self):
        """How it is taken back."""
        was = self._was
        dress = [was.st_uid, was.st_gid, stat.S_IMODE(was.st_mode)]
        part = {"do": "dress", "path": self.path, "ino": was.st_ino, "dress": dress}
        return [dict(part, attributes=dressing.capability(self._source.fd))]

    def make(self):
        """Set them."""
        self._source.must_be_same()
        dressing.dress(self._source.fd, self.dress)

    def measured(self):
        """What the report tells."""
        return {}

    def close(self):
        """Let go."""
        self._source.close()


def touch(folder):
    """Let those who look at a folder's time, as cron does, see that something in it has changed."""
    os.utime(folder)


def make_folder(path, uid, gid, mode):
    """Make the folder of a path if it is missing, for that user; its own folder must be there. Raises Refused."""
    parts = [frames.raw(part) for part in globs.components(path)][:-1]
    outer, _ = walk.descend(parts[:-1], len(parts) - 1)
    try:
        os.stat(parts[-1], dir_fd=outer, follow_symlinks=False)
    except FileNotFoundError:
        os.close(restore.make_folder(outer, parts[-1], {"uid": uid, "gid": gid, "mode": mode}))
    finally:
        os.close(outer)


def _folder_of(raw, anchor):
    try:
        return walk.descend(raw[:-1], anchor)
    except walk.Refused as error:
        if error.reason != "vanished":
            raise
        raise walk.Refused("missing", "its folder is not there: %s" % error.detail) from error


def _drop(item):
    """What never got its place goes away, and then the item."""
    try:
        item.drop()
    finally:
        item.close()
        item.store.close()
