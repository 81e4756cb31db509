"""Runs one long program detached from this helper, from its login and from the controller, and finds it again.

The program belongs to a transient systemd unit, or to a session of its own where there is no systemd. It writes its
log and at the end its exit code into a folder of its own, by which any later helper can tell what
became of it. It is never ended by us, and a shutdown waits for it.
"""

import json
import os
import signal
import time

from .. import frames
from . import tools

FOLDER = "/var/lib/maintenancebot/upgrades"
SCRIPT = (
    'exec </dev/null >>"$1/log" 2>&1; folder=$1; shift; '
    '"$@"; echo "$?" >"$folder/result.new"; mv "$folder/result.new" "$folder/result"'
)
"""The one fixed text; what is run and where comes as arguments. systemd would eat a doubled dollar sign."""

PROPERTIES = (
    "KillMode=process",  # daemons that a maintainer script starts by hand outlive the unit, as in a login
    "KillSignal=SIGCONT",  # stopping the unit, as a shutdown does, disturbs nothing
    "SendSIGKILL=no",
    "TimeoutStopSec=3600",
)
START_SECONDS = 10
POLL_SECONDS = 0.5
START_LIMIT = 60
LOG_TAIL = 65536


class StartError(Exception):
    """The program could not be started; nothing ran."""


class Run:
    """A detached run, by its folder."""

    def __init__(self, folder):
        self.folder = folder
        self.name = os.path.basename(folder)
        self.log = folder + "/log"
        self._pid = None

    def record(self):
        """What was written down before it was started; empty when that cannot be read."""
        try:
            with open(self.folder + "/record", "rb") as stream:
                return json.loads(stream.read().decode("ascii"))
        except (OSError, ValueError):
            return {}

    def note(self, **facts):
        """Add to what is known of the run, for a helper that takes over."""
        told = dict(self.notes(), **facts)
        replace(self.folder + "/notes", json.dumps(told, sort_keys=True).encode("ascii"))

    def notes(self):
        """What was noted since its start: `phase`, and at the end `outcomes`."""
        try:
            with open(self.folder + "/notes", "rb") as stream:
                return json.loads(stream.read().decode("ascii"))
        except (OSError, ValueError):
            return {}

    def started(self):
        """When it was started, epoch seconds."""
        return os.stat(self.folder + "/record").st_mtime

    def exit_code(self):
        """The program's exit code, None while it runs or when it was ended from outside."""
        text = self._read("result")
        return int(text) if text.isdigit() else None

    def alive(self):
        """Whether it still runs: seen by its command line, which needs no room on the disk."""
        if self.exit_code() is not None:
            return False
        if not self._pid or not self._is_ours(self._pid):
            self._pid = next((pid for pid in os.listdir("/proc") if pid.isdigit() and self._is_ours(pid)), None)
        return self._pid is not None

    def tail(self):
        """The last lines of its log."""
        try:
            with open(self.log, "rb") as stream:
                stream.seek(max(0, os.fstat(stream.fileno()).st_size - LOG_TAIL))
                return frames.text(stream.read()).splitlines()
        except OSError:
            return []

    def wait(self, out):
        """Wait until it has ended and return the exit code, None when it ended without leaving one."""
        began = spoke = time.monotonic()
        seen = self._pid is not None
        while self.exit_code() is None:
            alive = self.alive()
            if not alive and (seen or time.monotonic() - began > START_SECONDS):
                break
            seen = seen or alive
            if time.monotonic() - spoke >= tools.ALIVE_SECONDS:
                lines = self.tail()
                out.alive(lines[-1][:200] if lines else self.name)
                spoke = time.monotonic()
            time.sleep(POLL_SECONDS)
        return self.exit_code()

    def _is_ours(self, pid):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as stream:
                words = stream.read(4096).split(b"\0")
        except OSError:
            return False
        return words[:2] == [b"/bin/sh", b"-c"] and os.fsencode(self.folder) in words

    def _read(self, name):
        try:
            with open(self.folder + "/" + name, "rb") as stream:
                return stream.read(100).decode("ascii", "replace").strip()
        except OSError:
            return ""


def start(name, argv, env, record, systemd=None):
    """Start a program and return its Run; `record` is written down first. StartError, OSError: it did not start."""
    folder = make_folder(name)
    _write(folder + "/log", b"")
    _write(folder + "/record", json.dumps(record, sort_keys=True).encode("ascii"))
    words = ["/bin/sh", "-c", SCRIPT, "sh", folder, tools.find("env"), "-i"]
    words += ["%s=%s" % pair for pair in sorted(env.items())] + argv
    if systemd is None:
        systemd = os.path.isdir("/run/systemd/system") and tools.find("systemd-run") is not None
    if systemd:
        _start_unit(name, words)
    else:
        _start_session(words)
    return Run(folder)


def make_folder(name):
    """The folder of a run; what its start needs may be laid there before."""
    folder = FOLDER + "/" + name
    for path in (FOLDER, folder):
        os.makedirs(path, mode=0o700, exist_ok=True)
    return folder


def runs():
    """All runs that left a folder, the newest last."""
    try:
        names = sorted(os.listdir(FOLDER))
    except OSError:
        return []
    return [Run(FOLDER + "/" + name) for name in names if os.path.isdir(FOLDER + "/" + name)]


def replace(path, data):
    """Write a file whole or not at all."""
    new = path + ".new"
    if os.path.lexists(new):
        os.unlink(new)
    _write(new, data)
    os.rename(new, path)


def _write(path, data):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _start_unit(name, words):
    argv = [tools.find("systemd-run"), "--quiet", "--collect", "--no-ask-password", "--unit=" + name]
    argv.append("--description=maintenancebot: package upgrade")
    for setting in PROPERTIES:
        argv.append("--property=" + setting)
    answer = tools.run([*argv, "--", *words], limit=START_LIMIT)
    if not answer.ok:
        raise StartError("systemd-run: %s" % answer.error())


def _start_session(words):
    """A grandchild in a session of its own, which nobody waits for and no hang-up reaches."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGHUP, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            os.umask(0o022)
            os.chdir("/")
            null = os.open(os.devnull, os.O_RDWR)
            for number in range(3):
                os.dup2(null, number)
            os.closerange(3, 65536)
            os.execv(words[0], words)  # noqa: S606  an argument vector
    finally:
        os._exit(0)
