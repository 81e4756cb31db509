"""Pieces of work: bounded, each once at a time, seen by the vitals, with the log's ids in their threads."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from maintenancebot.daemon.vitals import Vitals
from maintenancebot.daemon.workers import Piece, Workers
from maintenancebot.engine.progress import Progress
from maintenancebot.errors import StoreError
from maintenancebot.model import State
from tests.lab.tools import wait_until

SECONDS = 10


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    opened = threading.Event()
    yield opened
    opened.set()


def piece(key: str, work: Callable[[Progress], None]) -> Piece:
    return Piece(key, 60, work)


def test_no_more_are_at_work_than_may_be_and_all_are_done(gate: threading.Event) -> None:
    vitals, done = Vitals(), []
    workers = Workers("test", lambda: 2, vitals)

    def work(progress: Progress) -> None:
        gate.wait(SECONDS)
        done.append(len(vitals.pieces()))

    assert all(workers.submit(piece(str(n), work)) for n in range(6))
    wait_until(lambda: len(vitals.pieces()) == 2, "two pieces are at work")
    gate.set()
    wait_until(lambda: workers.is_idle() and len(done) == 6, "all are done")
    assert max(done) <= 2
    assert vitals.pieces() == ()
    assert workers.stop(SECONDS)


def test_without_a_thread_the_work_waits_and_is_done_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    done: list[str] = []
    workers = Workers("test", lambda: 1, Vitals())
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert workers.submit(piece("cycle", lambda progress: done.append("cycle")))
        assert workers.has("cycle")
    workers.go_on()
    wait_until(workers.is_idle, "it was done")
    assert done == ["cycle"]
    assert workers.stop(SECONDS)


def test_threads_are_gone_when_nothing_is_to_be_done() -> None:
    workers = Workers("short-lived", lambda: 4, Vitals())
    for n in range(50):
        workers.submit(piece(str(n), lambda progress: None))
    wait_until(lambda: not [t for t in threading.enumerate() if t.name == "short-lived"], "the threads ended")


def test_a_key_is_at_work_once(gate: threading.Event) -> None:
    workers = Workers("test", lambda: 4, Vitals())

    def wait(progress: Progress) -> None:
        gate.wait(SECONDS)

    assert workers.submit(piece("cycle", wait))
    assert not workers.submit(piece("cycle", lambda progress: None))
    assert workers.has("cycle")
    gate.set()
    wait_until(lambda: not workers.has("cycle"), "it ended")
    assert workers.submit(piece("cycle", lambda progress: None))


@pytest.mark.parametrize("error", [StoreError("the disk is full"), ValueError("a fault")])
def test_a_piece_that_fails_is_told_and_harms_no_other(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    vitals = Vitals()
    workers, done = Workers("test", lambda: 1, vitals), threading.Event()

    def fail(progress: Progress) -> None:
        raise error

    with caplog.at_level(logging.INFO):
        workers.submit(piece("bad", fail))
        workers.submit(piece("good", lambda progress: done.set()))
        assert done.wait(SECONDS)
        wait_until(workers.is_idle, "all ended")
    (told,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert told.__dict__["piece"] == "bad"
    assert (told.exc_info is not None) == isinstance(error, ValueError)
    assert vitals.pieces() == ()


def test_what_the_log_says_of_the_caller_it_says_of_the_piece() -> None:
    ids: contextvars.ContextVar[str] = contextvars.ContextVar("ids", default="")
    seen, done = [], threading.Event()
    workers = Workers("test", lambda: 1, Vitals())
    ids.set("run-1")

    def work(progress: Progress) -> None:
        seen.append(ids.get())
        done.set()

    workers.submit(piece("one", work))
    assert done.wait(SECONDS)
    assert seen == ["run-1"]


def test_every_sign_of_progress_is_a_beat_and_who_waits_is_noted(gate: threading.Event) -> None:
    class Counting(Vitals):
        beats = 0

        def progress(self, token: int) -> None:
            self.beats += 1
            super().progress(token)

    vitals, noted = Counting(), []
    workers = Workers("test", lambda: 1, vitals)

    def work(progress: Progress) -> None:
        progress.start(3, "apply")
        progress.host("web-1", None, "waits for a run (process 7)")
        noted.append(vitals.notes())
        progress.host("web-1", State.DONE, "")
        progress.step("web-1", "/var/log/a", State.DONE)
        progress.finish()

    workers.submit(piece("cycle", work))
    wait_until(workers.is_idle, "it ended")
    assert (vitals.beats, noted, vitals.notes()) == (5, [{"cycle": "web-1 waits for a run (process 7)"}], {})


def test_a_stop_forgets_what_waits_and_waits_for_what_is_at_work(gate: threading.Event) -> None:
    workers, done = Workers("test", lambda: 1, Vitals()), []
    begun = threading.Event()

    def first(progress: Progress) -> None:
        begun.set()
        gate.wait(SECONDS)
        done.append("first")

    workers.submit(piece("first", first))
    workers.submit(piece("second", lambda progress: done.append("second")))
    assert begun.wait(SECONDS)
    assert not workers.stop(0.05)
    gate.set()
    assert workers.stop(SECONDS)
    assert done == ["first"]
    assert not workers.submit(piece("third", lambda progress: None))
