"""A folder as a compressed archive of GNU tar, and back: owners by number, modes, times, attributes, holes, links."""

import os
import select
import signal
import stat
import subprocess
import time

from ..files import fresh, walk
from ..host import tools
from ..pulse import Pulse

LIMIT_SECONDS = 4 * 3600
SAID = 64 * 1024
CHUNK = 256 * 1024
SPARE = 16 * 1024 * 1024
"""Bytes that stay free beside an archive."""

COMMON = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "--use-compress-program=gzip -1"]
PACK = ["--create", "--format=posix", "--sparse", "--one-file-system", "--atime-preserve=system", *COMMON]
UNPACK = ["--extract", "--preserve-permissions", "--same-owner", "--delay-directory-restore", *COMMON]


def pack(folder, target, out):
    """Write what an open folder holds into an open empty file, and wait until it is on the disk. Raises Refused."""

    def take(data):
        room = os.fstatvfs(target)
        if room.f_bavail * room.f_frsize < SPARE + len(data):
            raise walk.Refused("no_space", "the archive of the volume does not fit into the trash")
        fresh.write_all(target, data)

    _tar([*PACK, "--file=-", "--directory=/proc/self/fd/%d" % folder, "."], folder, None, take, out)
    os.fsync(target)


def unpack(source, folder, out):
    """Unpack an open archive into an open empty folder, on the disk. Raises Refused."""
    os.lseek(source, 0, os.SEEK_SET)
    _tar([*UNPACK, "--file=-", "--directory=/proc/self/fd/%d" % folder], folder, source, None, out)
    _settle(folder)


def _settle(folder):
    """Wait for each file and folder; a sync of all would wait for everybody else's, too."""
    for _, _, names, fd in os.fwalk(".", dir_fd=folder, follow_symlinks=False):
        for name in names:
            if stat.S_ISREG(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | walk.O_NOATIME | os.O_CLOEXEC, dir_fd=fd)
                try:
                    os.fsync(file)
                finally:
                    os.close(file)
        os.fsync(fd)


def must_have_tar():
    """Raise Refused where no GNU tar with gzip is."""
    if any(tools.find(name) is None for name in ("tar", "gzip")):
        raise walk.Refused("lacks", "no tar or gzip on this host")


def _tar(argv, folder, source, take, out):
    """Run tar; its archive goes through us, so that it ends when we are killed."""
    must_have_tar()
    process = subprocess.Popen(
        [tools.find("tar"), *argv],
        stdin=subprocess.DEVNULL if source is None else subprocess.PIPE,
        stdout=subprocess.DEVNULL if take is None else subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=tools.environment(),
        cwd="/",
        pass_fds=(folder,),
        preexec_fn=os.setsid,
    )
    try:
        said = _Talk(process, source, take).run(out)
        _judge(process.wait(60), said.decode("utf-8", "replace"))
    finally:
        _end(process)


def _end(process):
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            _close(stream)
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _close(stream):
    try:
        stream.close()
    except OSError:
        pass  # what was still to be written is wanted by nobody


class _Talk:
    """Feeds a program, takes what it writes, and keeps the first of what it complains of."""

    def __init__(self, process, source, take):
        self._process = process
        self._source = source
        self._take = take
        self._left = b""
        self._said = b""

    def run(self, out):
        """Until it has closed all its outputs."""
        pulse, end = Pulse(out, "tar"), time.monotonic() + tools.time_for(LIMIT_SECONDS)
        reading = [stream for stream in (self._process.stdout, self._process.stderr) if stream is not None]
        if self._process.stdin is not None:
            os.set_blocking(self._process.stdin.fileno(), False)
        while reading:
            if time.monotonic() > end:
                raise walk.Refused("timeout", "tar did not end in time")
            feeding = [self._process.stdin] if self._process.stdin and not self._process.stdin.closed else []
            ready, free, _ = select.select(reading, feeding, [], 1)
            if free:
                self._feed()
            reading = [stream for stream in reading if stream not in ready or self._hear(stream)]
            pulse.beat()
        return self._said

    def _hear(self, stream):
        """Whether there may be more."""
        data = os.read(stream.fileno(), CHUNK)
        if stream is self._process.stdout and data:
            self._take(data)
        elif stream is self._process.stderr:
            self._said = (self._said + data)[:SAID]
        return bool(data)

    def _feed(self):
        self._left = self._left or os.read(self._source, CHUNK)
        try:
            if self._left:
                self._left = self._left[os.write(self._process.stdin.fileno(), self._left) :]
                return
        except BlockingIOError:
            return
        except BrokenPipeError:
            pass  # it says why
        _close(self._process.stdin)


def _judge(code, said):
    if code == 0:
        return
    lines = [line for line in said.splitlines() if line.strip() and "socket ignored" not in line]
    why = " ".join(lines[:1])[:300] or "exit code %s" % code
    if "No space left" in said or "Disk quota" in said:
        raise walk.Refused("no_space", "the volume does not fit: %s" % why)
    if code == 1:
        raise walk.Refused("changed_since", "tar: %s" % why)
    raise walk.Refused("tool_failed", "tar: %s" % why)
