"""An image as the daemon gives it out: received compressed, read to its end, and seen to be that image, whole."""

import gzip
import hashlib
import json
import os

from ..files import fresh, tree_digest, walk
from ..pulse import Pulse
from .volume_archive import SPARE

LEVEL = 1
CHUNK = 1024 * 1024
TEXT_CAP = 4 * 1024 * 1024
BLOBS = "blobs/sha256/"


def pack(daemon, path, target, out):
    """Write what the daemon sends into an open empty file, on the disk. Raises Refused, or docker_api.Trouble."""
    pulse = Pulse(out, "saving the image")
    with gzip.GzipFile("", "wb", LEVEL, _Target(target), mtime=0) as packer:

        def write(data):
            packer.write(data)
            pulse.beat()

        daemon.receive(path, write)
    os.fsync(target)


class _Target:
    """Writes to an open file, as long as the disk has room to spare."""

    def __init__(self, fd):
        self._fd = fd

    def write(self, data):
        """All of it."""
        room = os.fstatvfs(self._fd)
        if room.f_bavail * room.f_frsize < SPARE + len(data):
            raise walk.Refused("no_space", "the image does not fit into the trash")
        fresh.write_all(self._fd, data)
        return len(data)

    def flush(self):
        """Nothing waits here."""


def verify(stream, identity, out):
    """Read an archive to its end; its content must be complete and that of the image. Raises Refused."""
    found, pulse = _Found(), Pulse(out, "reading the image back")
    try:
        with gzip.GzipFile("", "rb", fileobj=stream) as plain, tree_digest.opened(plain) as archive:
            for member in archive:
                found.member(archive, member, pulse)
                archive.members = []
        why = found.objection(identity)
    except tree_digest.UNREADABLE as error:
        raise walk.Refused("compress_mismatch", "the image cannot be read back: %s" % error) from error
    if why:
        raise walk.Refused("compress_mismatch", "the saved image is not whole: %s" % why)


class _Found:
    """What an archive of an image holds: digests by name, and the few texts that say what belongs together."""

    def __init__(self):
        self._digests = {}
        self._links = {}
        self._texts = {}
        self._damaged = ""

    def member(self, archive, member, pulse):
        """Take in one member."""
        if member.issym() or member.islnk():
            base = os.path.dirname(member.name) if member.issym() else ""
            self._links[member.name] = os.path.normpath(os.path.join(base, member.linkname))
        elif member.isfile():
            digest, text = self._read(archive.extractfile(member), member, pulse)
            self._digests[member.name] = digest
            if member.name.startswith(BLOBS) and member.name[len(BLOBS) :] != digest:
                self._damaged = member.name
            if text is not None:
                self._texts[member.name] = text

    def _read(self, stream, member, pulse):
        digest = hashlib.sha256()
        keep = b"" if member.size <= TEXT_CAP and not member.name.endswith("layer.tar") else None
        while True:
            data = stream.read(CHUNK)
            if not data:
                return digest.hexdigest(), keep if keep is not None and keep[:1] in (b"{", b"[") else None
            digest.update(data)
            keep = keep + data if keep is not None else None
            pulse.beat()

    def objection(self, identity):
        """What is missing or another's; empty for a whole image."""
        if self._damaged:
            return "%s has other bytes" % self._damaged
        if identity.partition(":")[2] not in self._digests.values():
            return "nothing in it has the image's id"
        listing = json.loads(self._texts.get("manifest.json", b"[]").decode("utf-8"))
        if not isinstance(listing, list) or len(listing) != 1:
            return "it lists %s images" % (len(listing) if isinstance(listing, list) else "no")
        config = self._texts.get(listing[0].get("Config"))
        if config is None:
            return "its configuration is missing"
        return self._layers(listing[0].get("Layers") or [], json.loads(config.decode("utf-8")))

    def _layers(self, names, config):
        wanted = (config.get("rootfs") or {}).get("diff_ids") or []
        if len(wanted) != len(names):
            return "%d layers of %d" % (len(names), len(wanted))
        for number, name in enumerate(names):
            found = self._digests.get(self._links.get(name, name))
            if found is None:
                return "layer %s is missing" % name
            if not name.startswith(BLOBS) and found != wanted[number].partition(":")[2]:
                return "layer %s has other bytes" % name
        return ""
