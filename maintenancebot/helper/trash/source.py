"""The file or link that a change names, opened and checked to be the very one that was judged."""

import os

from .. import frames
from ..files import globs, inodes, untouchable, walk
from ..host import usage


def rules(path, args):
    """Components of a path that may be touched, and how many of them are the allowed tree. Raises Refused."""
    try:
        parts = globs.components(path)
    except ValueError as error:
        raise walk.Refused("not_allowed", str(error)) from error
    anchor = globs.inside(parts, args["allow"])
    if not anchor:
        raise walk.Refused("not_allowed", "outside the allowed trees")
    found = untouchable.reason(parts)
    if found:
        raise walk.Refused(found)
    for text in args["protect"]:
        if globs.Rule(text).keeps(parts):
            raise walk.Refused("protected", "protected by %s" % text)
    return parts, anchor


class Source:
    """An open file in its open folder. Raises Refused when it is not to be touched, or not any more.

    A link is never followed: `fd` is the link itself, opened without access; nobody can have that in use.
    """

    def __init__(self, change, args):
        self.expected = change["object"]
        self.is_link = inodes.is_link(self.expected)
        if self.is_link and change["action"] != "quarantine_file":
            raise walk.Refused("symlink", "a link can only be moved")
        parts, anchor = rules(self.expected["path"], args)
        raw = [frames.raw(part) for part in parts]
        self.name = raw[-1]
        self._root = "/" + "/".join(parts[:anchor])
        self._folder_path = walk.join(raw[:-1])
        self.folder, self.parents = walk.descend(raw[:-1], anchor)
        self.fd = None
        try:
            self._before = os.fstat(self.folder)
            self.fd = inodes.open_exact(self.folder, self.name, self.expected)
            if not self.is_link and inodes.attributes(self.fd):
                raise walk.Refused("immutable")
            self.must_be_idle()
            self.must_be_here()
        except BaseException:
            self.close()
            raise

    def close(self):
        """Close both descriptors."""
        if self.fd is not None:
            os.close(self.fd)
        os.close(self.folder)

    def must_be_idle(self):
        """Raise Refused when anybody has it open, mapped or locked."""
        used = "" if self.is_link else usage.busy(self.fd)
        if used:
            raise walk.Refused(used)

    def must_be_here(self):
        """Raise Refused when the folder was moved elsewhere while we hold it."""
        if not walk.located_at(self.folder, self._folder_path):
            raise walk.Refused("changed_since", "its folder was moved")

    def must_be_same(self):
        """Raise Refused when its name stands for another file now, or the file changed."""
        try:
            found = os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)
        except OSError as error:
            raise walk.Refused(walk.reason_of(error), error.strerror) from error
        inodes.check(found, self.expected)

    def put_back_times(self):
        """Give the folder the times that it had: what looks for changed folders must not see our work."""
        os.utime(self.folder, ns=(self._before.st_atime_ns, self._before.st_mtime_ns))

    def free(self):
        """Free bytes of its file system, as statvfs tells them."""
        found = os.fstatvfs(self.folder)
        return found.f_bfree * found.f_frsize

    def record(self, change, args):
        """What the manifest of its item says."""
        looked = os.fstat(self.fd)
        more = {"link": frames.text(inodes.target(self.fd))} if self.is_link else {}
        return {
            **more,
            "change": change["id"],
            "task": change.get("task", ""),
            "action": change["action"],
            "run": args.get("run", ""),
            "path": self.expected["path"],
            "root": self._root,
            "identity": {field: self.expected[field] for field in inodes.IDENTITY},
            "atime_ns": looked.st_atime_ns,
            "allocated": looked.st_blocks * 512,
            "parents": self.parents,
        }
