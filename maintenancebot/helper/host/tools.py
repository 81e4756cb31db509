"""Runs the few fixed programs that the helper needs, with a clean environment, limits and drained pipes."""

import os
import select
import signal
import subprocess
import time

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ALIVE_SECONDS = 5
OUTPUT_CAP = 8 * 1024 * 1024
MARGIN_SECONDS = 20
"""What is left of the helper's own time when a program is given up, so that its fault is still told."""

_end = []


class Answer:
    """What a program said: exit code (None if it was ended by the limit), output as bytes, whether output was cut."""

    def __init__(self, code, stdout, stderr, timed_out, cut):
        self.code = code
        self.stdout = stdout
        self.stderr = stderr
        self.timed_out = timed_out
        self.cut = cut

    @property
    def ok(self):
        """Exit code 0, in time and whole."""
        return self.code == 0 and not self.timed_out and not self.cut

    def error(self):
        """One short line that says how it failed."""
        if self.timed_out:
            return "did not end in time"
        if self.cut:
            return "printed without end"
        lines = [line for line in self.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        return "exit code %s%s" % (self.code, ": " + lines[-1][:300] if lines else "")


def must_end_by(moment):
    """Give no program longer than until shortly before that moment of the monotonic clock."""
    _end[:] = [moment]


def time_for(limit):
    """The limit in seconds, cut to what is left of the helper's own time."""
    return max(1.0, min(limit, _end[0] - MARGIN_SECONDS - time.monotonic())) if _end else limit


def find(name):
    """Absolute path of a program, or None; the caller's PATH is not trusted."""
    for folder in PATH.split(":"):
        path = folder + "/" + name
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return None


def environment(**more):
    """A fixed environment: C locale, no prompts, no proxy or option variables of a login."""
    env = {
        "PATH": PATH,
        "LC_ALL": "C",
        "LANGUAGE": "C",
        "TZ": "UTC",
        "HOME": "/root",
        "DEBIAN_FRONTEND": "noninteractive",
    }
    env.update(more)
    return env


def run(argv, out=None, limit=60, stdin=b"", env=None, uid=None, cap=OUTPUT_CAP):
    """Run a program given as an argument vector and return its `Answer`.

    `limit` in seconds: then the program's process group is ended, as it is when it writes more than `cap` bytes.
    `uid` runs it as that user without groups, so that it cannot write where root could. `out` gets `alive` while it
    runs. OSError if it cannot be started.
    """

    def drop():
        os.setsid()
        if uid is not None:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)

    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env or environment(),
        cwd="/",
        preexec_fn=drop,
        close_fds=True,
    )
    if stdin:
        _feed(process, stdin)
    return _drain(process, argv[0], out, time_for(limit), cap)


def _feed(process, data):
    try:
        process.stdin.write(data)
        process.stdin.close()
    except (BrokenPipeError, OSError):
        pass


def _drain(process, name, out, limit, cap):
    end = time.monotonic() + limit
    alive = _Alive(name, out)
    parts = {process.stdout.fileno(): [], process.stderr.fileno(): []}
    sizes = dict.fromkeys(parts, 0)
    waiting = set(parts)
    timed_out = cut = False
    while waiting and not timed_out and not cut:
        ready, _, _ = select.select(list(waiting), [], [], max(0.0, min(end - time.monotonic(), 1.0)))
        for fd in ready:
            data = os.read(fd, 65536)
            if not data:
                waiting.discard(fd)
            parts[fd].append(data[: cap - sizes[fd]])
            sizes[fd] += len(data)
            cut = cut or sizes[fd] > cap
        timed_out = time.monotonic() >= end
        alive.say()
    timed_out = timed_out or (not cut and not _ends_by(process, end, alive))
    code = _stop(process) if timed_out or cut else process.returncode
    stdout, stderr = (b"".join(parts[stream.fileno()]) for stream in (process.stdout, process.stderr))
    process.stdout.close()
    process.stderr.close()
    return Answer(code, stdout, stderr, timed_out, cut)


class _Alive:
    """Says now and then that a program still runs."""

    def __init__(self, name, out):
        self._name, self._out = name, out
        self._spoke = time.monotonic()

    def say(self):
        if self._out is not None and time.monotonic() - self._spoke > ALIVE_SECONDS:
            self._out.alive(self._name)
            self._spoke = time.monotonic()


def _ends_by(process, end, alive):
    """Whether it ends in time; one that has closed its outputs may still run."""
    while True:
        try:
            process.wait(timeout=max(0.1, min(1.0, end - time.monotonic())))
            return True
        except subprocess.TimeoutExpired:
            alive.say()
        if time.monotonic() >= end:
            return False


def _stop(process):
    """End its process group; no exit code then, for it said nothing of its own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except OSError:
            pass
        try:
            process.wait(timeout=2)
            break
        except subprocess.TimeoutExpired:
            continue
    return
