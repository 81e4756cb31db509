"""Runs the few fixed programs that the helper needs, with a clean environment, limits and drained pipes."""

import os
import select
import signal
import subprocess
import time

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ALIVE_SECONDS = 5
OUTPUT_CAP = 8 * 1024 * 1024


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
        lines = [line for line in self.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        return "exit code %s%s" % (self.code, ": " + lines[-1][:300] if lines else "")


def find(name):
    """Absolute path of a program, or None; the caller's PATH is not trusted."""
    for folder in PATH.split(":"):
        path = folder + "/" + name
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return None


def environment(**more):
    """A fixed environment: C locale, no prompts, no proxy or option variables of a login."""
    env = {"PATH": PATH, "LC_ALL": "C", "LANGUAGE": "C", "TZ": "UTC", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
    env.update(more)
    return env


def run(argv, out=None, limit=60, stdin=b"", env=None, uid=None, cap=OUTPUT_CAP):
    """Run a program given as an argument vector and return its `Answer`.

    `limit` in seconds: then the program's process group is ended. `uid` runs it as that user without groups, so that
    it cannot write where root could. `out` gets `alive` while it runs. OSError if it cannot be started.
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
    return _drain(process, argv[0], out, limit, cap)


def _feed(process, data):
    try:
        process.stdin.write(data)
        process.stdin.close()
    except (BrokenPipeError, OSError):
        pass


def _drain(process, name, out, limit, cap):
    end = time.monotonic() + limit
    spoke = time.monotonic()
    parts = {process.stdout.fileno(): [], process.stderr.fileno(): []}
    sizes = dict.fromkeys(parts, 0)
    waiting = set(parts)
    timed_out = cut = False
    while waiting:
        left = end - time.monotonic()
        if left <= 0:
            timed_out = True
            break
        ready, _, _ = select.select(list(waiting), [], [], min(left, 1.0))
        for fd in ready:
            data = os.read(fd, 65536)
            if not data:
                waiting.discard(fd)
            elif sizes[fd] < cap:
                parts[fd].append(data[: cap - sizes[fd]])
                sizes[fd] += len(data)
            cut = cut or sizes[fd] > cap
        if out is not None and time.monotonic() - spoke > ALIVE_SECONDS:
            out.alive(name)
            spoke = time.monotonic()
    code = _reap(process, timed_out, end)
    stdout, stderr = (b"".join(parts[stream.fileno()]) for stream in (process.stdout, process.stderr))
    process.stdout.close()
    process.stderr.close()
    return Answer(code, stdout, stderr, timed_out, cut)


def _reap(process, timed_out, end):
    if not timed_out:
        try:
            return process.wait(timeout=max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
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
    return None
