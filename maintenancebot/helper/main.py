"""The helper's one request: take the lock, probe or apply, answer in frames, end."""

import errno
import fcntl
import importlib
import os
import signal
import sys
import time

from . import frames, results
from .host import facts, tools

PROBES = {
    "patches": "packages.patches",
    "cleanup": "cleanup.cleanup",
    "containers": "containers.containers",
    "backups": "backups.backups",
    "certificates": "certificates.certificates",
    "recall": "recall",
    "trash": "trash.trash",
    "disk": "host.disk",
    "explain": "cleanup.explain",
    "drift": "drift.drift",
    "capture": "drift.capture",
    "reboot_check": "packages.reboot",
}
"""Probe operation -> module of this package with `probe(args, out)`."""

STEPS = {
    "patches.upgrade": ("packages.patches", "upgrade"),
    "patches.repair": ("packages.repair", "repair"),
    "host.reboot": ("packages.reboot", "reboot"),
    "logs.compress": ("cleanup.compress", "apply"),
    "caches.drop": ("cleanup.caches", "drop"),
    "journal.vacuum": ("cleanup.journal", "vacuum"),
    "rotate.rotate": ("cleanup.rotate", "rotate"),
    "trash.move": ("trash.trash", "move"),
    "trash.restore": ("trash.trash", "restore"),
    "trash.purge": ("trash.trash", "purge"),
    "trash.relocate": ("trash.trash", "relocate"),
    "certificates.renew": ("certificates.certificates", "renew"),
    "backups.try_restore": ("backups.trial", "try_restore"),
    "volumes.remove": ("containers.volumes", "remove"),
    "images.remove": ("containers.images", "remove"),
    "leftovers.remove": ("containers.leftovers", "remove"),
    "drift.correct": ("drift.correct", "correct"),
}
"""Step operation -> module and function `(step, out)`; there is no operation that runs a given command."""

SLOW = ("patches",)
"""Probes whose programs may wait long, for mirrors or for locks."""

LOCK_FOLDERS = ("/root", "/")
"""A lock on a folder that exists everywhere writes nothing, and other users cannot open /root to hold it."""


PROTOCOL = 1


class Refused(Exception):
    """The request cannot be served; nothing was touched."""

    def __init__(self, reason, detail=""):
        self.reason = reason
        self.detail = detail
        Exception.__init__(self, detail)


class Deadline(BaseException):
    """The time that the controller gave is over; no `except Exception` on the way may swallow it."""


def main(marker, stdin):
    """Answer one request; stdout belongs to the frames alone from here on."""
    channel = os.fdopen(os.dup(1), "wb", 0)
    os.dup2(2, 1)
    os.umask(0o077)
    writer = frames.Writer(channel, marker)
    reader = frames.Reader(stdin, marker)
    try:
        _, request = reader.next()
        serve(request, reader, writer)
        writer.end()
    except frames.StdinClosed:
        os._exit(3)
    except (BrokenPipeError, ConnectionResetError):
        os._exit(3)
    os._exit(0)


def serve(request, reader, writer):
    """Run the request's mode; every failure becomes a frame."""

    def expired(_number, _frame):
        raise Deadline()

    signal.signal(signal.SIGALRM, expired)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a dropped login must not stop a change half-way
    seconds = max(1, int(request["deadline"]))
    signal.alarm(seconds)
    tools.must_end_by(time.monotonic() + seconds)
    lock = None
    try:
        if request["protocol"] != PROTOCOL:
            raise Refused("helper_error", "this helper speaks protocol %d" % PROTOCOL)
        facts_frame = facts.collect()
        writer.send("facts", facts_frame)
        expected = request.get("machine_id")
        if expected and facts_frame["machine_id"] != expected:
            raise Refused("machine_changed", "machine-id is %s" % facts_frame["machine_id"])
        lock = take_lock(request.get("lock", "none"), request.get("lock_wait", 0), writer)
        if request["mode"] == "probe":
            watch_stdin(reader)
            probe_all(request["tasks"], writer)
        else:
            run = {"run": request.get("run", ""), "now": request.get("now", 0)}
            apply_all([dict(step, **run) for step in request["steps"]], reader, writer)
    except Refused as error:
        writer.send("refused", {"reason": error.reason, "detail": error.detail})
    except Deadline:
        writer.send("refused", {"reason": "deadline", "detail": "the host's deadline passed"})
    finally:
        signal.alarm(0)
        if lock is not None:
            os.close(lock)


def take_lock(kind, wait, writer):
    """Hold the host's lock until the descriptor is closed; None without root or when none is wanted.

    A shared lock for looking, an exclusive one for changing: two names of one machine, two controllers and a run that
    outlived its connection meet here. Raises Refused(busy) after `wait` seconds.
    """
    if kind == "none" or os.geteuid() != 0:
        return None
    descriptor = None
    for folder in LOCK_FOLDERS:
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            break
        except OSError:
            continue
    if descriptor is None:
        raise Refused("helper_error", "no folder to lock")
    how = fcntl.LOCK_SH if kind == "shared" else fcntl.LOCK_EX
    end = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
            return descriptor
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
        if time.monotonic() >= end:
            os.close(descriptor)
            raise Refused("busy", "another piece of work holds this host's lock")
        writer.send("alive", {"task": "", "doing": "waiting for the host's lock"})
        time.sleep(0.5)


def watch_stdin(reader):
    """While only looking, the end of stdin ends the helper at once, whatever it is waiting for."""
    import threading

    def watch():
        while not reader.closed:
            with reader._ready:
                reader._ready.wait(1)
        os._exit(3)

    thread = threading.Thread(target=watch)
    thread.daemon = True
    thread.start()


def probe_all(tasks, writer):
    """Run each task's probe; one that fails, or takes all the time, does not spoil what the others found.

    Those whose programs may wait for networks and locks come last.
    """
    waiting = sorted(tasks, key=lambda task: task["op"] in SLOW)
    try:
        while waiting:
            tell(waiting[0], probe_one(waiting[0], writer), writer)
            waiting.pop(0)
    except Deadline:
        for task in waiting:
            tell(task, results.Result("unknown", "deadline", "the host's deadline passed"), writer)


def probe_one(task, writer):
    """Run one probe to its end and return its result."""
    out = frames.Output(writer, task["id"])
    try:
        module = importlib.import_module("." + PROBES[task["op"]], __package__)
        return module.probe(task["args"], out)
    except (Deadline, BrokenPipeError, frames.StdinClosed):
        raise
    except Exception as error:
        return results.Result("unknown", "helper_error", describe(error))
    finally:
        out.flush()


def tell(task, result, writer):
    """Report the end of one task's probe."""
    writer.send(
        "task",
        {
            "task": task["id"],
            "state": result.state,
            "reason": result.reason,
            "detail": result.detail[:1000],
            "facts": result.facts,
        },
    )


def apply_all(steps, reader, writer):
    """Ask for each step, do it only on `go`, report it; a halted step is the controller's to account for."""
    for step in steps:
        writer.send("step", {"step": step["id"]})
        kind, answer = reader.next()
        if answer.get("step") != step["id"]:
            raise Refused("garbled", "answer to another step")
        if kind != "go":
            continue
        out = frames.Output(writer, step["task"], asker(step["id"], reader, writer))
        try:
            name, function = STEPS[step["op"]]
            module = importlib.import_module("." + name, __package__)
            found = getattr(module, function)(step, out)
        except (Deadline, frames.StdinClosed):
            raise
        except Exception as error:
            found = results.outcomes(step["changes"], "unknown", "helper_error", describe(error))
        writer.send("outcome", {"step": step["id"], "outcomes": found})


def asker(step, reader, writer):
    """How a step asks the controller something: one question, one answer."""

    def ask(question):
        writer.send("ask", {"step": step, "question": question})
        kind, answer = reader.next()
        if kind != "answer" or answer.get("step") != step:
            raise Refused("garbled", "not an answer to what was asked")
        return answer["answer"]

    return ask


def describe(error):
    """One line for our own bugs: type, message, and the place in our code."""
    place = ""
    trace = sys.exc_info()[2]
    while trace is not None:
        place = "%s:%d" % (trace.tb_frame.f_code.co_filename, trace.tb_lineno)
        trace = trace.tb_next
    return "%s: %s (%s)" % (type(error).__name__, error, place)
