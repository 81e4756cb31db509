"""Names of images and volumes in the files of a host: compose files, unit files, cron tables, scripts.

Read-only, bounded, no links followed where users may write. What is named anywhere is kept, so reading a name too
many does no harm.
"""

import errno
import os
import stat
import time

from .. import frames
from ..host import facts
from . import image_texts, volume_texts

FILE_CAP = 1024 * 1024
NAME_CAP = 20000

PLACES = (
    # (folder, levels below it, what any regular file there is, whether links to files are followed)
    ("/etc/systemd", 4, "unit", True),
    ("/run/systemd/system", 2, "unit", True),
    ("/run/systemd/generator", 2, "unit", True),
    ("/usr/local/lib/systemd", 3, "unit", True),
    ("/usr/lib/systemd/system", 2, "unit", True),
    ("/lib/systemd/system", 2, "unit", True),
    ("/etc/containers/systemd", 2, "unit", True),
    ("/usr/share/containers/systemd", 2, "unit", True),
    ("/etc/default", 1, "names", True),
    ("/etc/sysconfig", 1, "names", True),
    ("/etc/cron.d", 1, "cron", True),
    ("/etc/cron.hourly", 1, "cron", True),
    ("/etc/cron.daily", 1, "cron", True),
    ("/etc/cron.weekly", 1, "cron", True),
    ("/etc/cron.monthly", 1, "cron", True),
    ("/var/spool/cron", 2, "cron", False),
    ("/etc/init.d", 1, "script", True),
    ("/usr/local/bin", 2, "script", True),
    ("/usr/local/sbin", 2, "script", True),
    ("/etc/gitlab-runner", 1, "names", True),
    ("/etc/kubernetes/manifests", 1, "names", True),
    ("/etc/docker", 4, "", False),
    ("/opt", 5, "", False),
    ("/srv", 5, "", False),
    ("/root", 5, "", False),
    ("/home", 6, "", False),
    ("/data", 4, "", False),
    ("/docker", 4, "", False),
    ("/stacks", 4, "", False),
    ("/var/www", 4, "", False),
)
SINGLE_FILES = (("/etc/crontab", "cron"), ("/etc/rc.local", "script"), ("/etc/environment", "names"))

PASSED_OVER = frozenset(
    ("node_modules", "site-packages", "__pycache__", ".git", ".svn", ".cache", ".npm", ".cargo", ".rustup", ".local")
)
COMPOSE_WORDS = ("compose", "stack", "swarm")
UNIT_ENDINGS = (".service", ".container", ".image", ".kube", ".pod")


class Enough(Exception):
    """A limit was reached; what was not looked at is a gap."""


class Search:
    """One search over all places: `names` maps each name to the file and kind that mentions it first.

    `volumes` maps names, or patterns of names, of volumes to a file; `mentions` those of the `wanted` names that stand
    anywhere in a file as a word.
    """

    def __init__(self, out, entries=400000, seconds=30, skip=(), wanted=()):
        self.names = {}
        self.volumes = {}
        self.mentions = {}
        self.unnamed = []  # files that name a volume by a variable whose value nobody knows
        self._wanted = wanted
        self.unresolved = []  # files that name an image by a variable whose value nobody knows
        self.gaps = []  # what should have been looked at and could not be
        self.passed = []  # other file systems over the network
        self._out = out
        self._left = entries
        self._end = time.monotonic() + seconds
        self._spoke = time.monotonic()
        self._skip = frozenset(skip)
        self._seen = set()
        self._foreign = foreign_mounts()

    def run(self, places=PLACES, single_files=SINGLE_FILES):
        """Search all places; a limit ends it and leaves a gap."""
        try:
            for path, kind in single_files:
                self._start_file(path, kind)
            for path, levels, kind, follow in places:
                self._start_folder(path, levels, kind, follow)
        except Enough as error:
            self.gaps.append(str(error))

    def _start_file(self, path, kind):
        folder, name = os.path.split(path)
        with Folder(folder) as fd:
            if fd is not None:
                self._read(fd, folder, name, kind, True)

    def _start_folder(self, path, levels, kind, follow):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                self._gap(path, error)
            return
        try:
            self._walk(fd, path, levels, kind, follow)
        finally:
            os.close(fd)

    def _walk(self, fd, path, levels, kind, follow):
        if path in self._skip:
            return
        if path in self._foreign:
            self.passed.append(path)
            return
        try:
            entries = os.listdir(fd)
        except OSError as error:
            self._gap(path, error)
            return
        for name in entries:
            self._count()
            try:
                info = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except OSError:
                continue  # it went meanwhile
            if stat.S_ISDIR(info.st_mode):
                if levels > 1 and name not in PASSED_OVER:
                    self._descend(fd, path, name, levels - 1, kind, follow)
            elif stat.S_ISREG(info.st_mode) or (follow and stat.S_ISLNK(info.st_mode)):
                of_kind = kind_of(name, kind)
                if of_kind:
                    self._read(fd, path, name, of_kind, follow)

    def _descend(self, fd, path, name, levels, kind, follow):
        below = os.path.join(path, name)
        try:
            child = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                self._gap(below, error)
            return
        try:
            self._walk(child, below, levels, kind, follow)
        finally:
            os.close(child)

    def _read(self, fd, folder, name, kind, follow):
        path = os.path.join(folder, name)
        try:
            text = read_text(fd, name, follow, self._seen)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ELOOP):
                self._gap(path, error)
            return
        if text is None:
            return
        if len(text) >= FILE_CAP and kind != "script":
            self.gaps.append("%s: longer than 1 MiB" % frames.text(os.fsencode(path)))
        if kind == "compose":
            found, unknown = image_texts.from_compose(text, os.path.basename(folder), variables_beside(fd))
            if unknown:
                self.unresolved.append(frames.text(os.fsencode(path)))
        else:
            found = image_texts.from_text(text, kind)
        self._add(found, path, kind)
        self._add_volumes(fd, text, path, kind)

    def _add_volumes(self, fd, text, path, kind):
        source = frames.text(os.fsencode(path))
        if kind == "compose":
            folder = os.path.basename(os.path.dirname(path))
            found, unknown = volume_texts.from_compose(text, folder, variables_beside(fd))
            if unknown:
                self.unnamed.append("%s names a volume by a variable that is not set" % source)
        else:
            found = volume_texts.from_text(text)
        for name in found:
            if len(self.volumes) >= NAME_CAP:
                raise Enough("more than %d names that could be volumes" % NAME_CAP)
            self.volumes.setdefault(name, source)
        for name in volume_texts.mentions(text, self._wanted, kind):
            self.mentions.setdefault(name, source)

    def _add(self, found, path, kind):
        source = frames.text(os.fsencode(path))
        for name in found:
            if name not in self.names:
                if len(self.names) >= NAME_CAP:
                    raise Enough("more than %d names that could be images" % NAME_CAP)
                self.names[name] = (source, kind)

    def _count(self):
        self._left -= 1
        if self._left < 0:
            raise Enough("more files than are searched for names of images")
        now = time.monotonic()
        if now > self._end:
            raise Enough("the search for names of images took too long")
        if now - self._spoke > 5:
            self._spoke = now
            self._out.alive("looking for names of images")

    def _gap(self, path, error):
        self.gaps.append("%s: %s" % (frames.text(os.fsencode(path)), error.strerror))


class Folder:
    """An open folder for a `with` block, None when it cannot be opened."""

    def __init__(self, path):
        self._path = path
        self._fd = None

    def __enter__(self):
        try:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            self._fd = None
        return self._fd

    def __exit__(self, *_):
        if self._fd is not None:
            os.close(self._fd)


def foreign_mounts():
    """Mount points that a search does not enter: network, pseudo, containers' own."""
    kinds = ("nfs", "cifs", "smb", "ceph", "glusterfs", "fuse", "overlay", "9p", "autofs")
    rows = [row for row in facts.mount_table() if row["type"] in facts.PSEUDO or row["type"].startswith(kinds)]
    return frozenset(os.fsdecode(row["path"]) for row in rows if row["path"] != b"/")


def kind_of(name, kind):
    """What a file is by its place, or by its name in places where anything lies; empty when it is of no interest."""
    if kind:
        return kind
    low = name.lower()
    if low.endswith((".yml", ".yaml")) and any(word in low for word in COMPOSE_WORDS):
        return "compose"
    if low.endswith(".sh"):
        return "script"
    return "unit" if low.endswith(UNIT_ENDINGS) else ""


def read_text(fd, name, follow, seen=None):
    """The first part of a regular file as text; None for anything else, binaries, and files already read."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW)
    file = os.open(name, flags, dir_fd=fd)
    try:
        info = os.fstat(file)
        if not stat.S_ISREG(info.st_mode) or (seen is not None and (info.st_dev, info.st_ino) in seen):
            return None
        if seen is not None:
            seen.add((info.st_dev, info.st_ino))
        data = b""
        while len(data) < FILE_CAP:
            part = os.read(file, FILE_CAP - len(data))
            if not part:
                break
            data += part
            if b"\0" in part[:4096]:
                return None
        return data.decode("utf-8", "replace")
    finally:
        os.close(file)


def variables_beside(fd):
    """The settings in the `.env` beside a compose file; they stay on the host."""
    try:
        text = read_text(fd, ".env", False) or ""
    except OSError:
        return {}
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.replace("export ", "").strip(): value.strip().strip("\"'") for key, _, value in pairs}
