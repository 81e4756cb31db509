"""Every item gets exactly one result, whatever its work does."""

from __future__ import annotations

import threading
import time

from maintenancebot.remote.fanout import FanOut, OverdueError


def test_results_and_exceptions_come_for_every_item() -> None:
    def work(number: int) -> int:
        if number % 7 == 0:
            raise ValueError(number)
        return number * 2

    results = dict(FanOut(work, 8, 10).results(list(range(100))))
    assert len(results) == 100
    assert all(isinstance(results[n], ValueError) if n % 7 == 0 else results[n] == n * 2 for n in range(100))


def test_stuck_work_is_overdue_and_does_not_hold_up_the_rest() -> None:
    stuck = threading.Event()

    def work(number: int) -> int:
        if number < 2:
            stuck.wait(30)
        return number

    started = time.monotonic()
    results = dict(FanOut(work, 2, 1).results(list(range(10))))
    stuck.set()
    assert isinstance(results[0], OverdueError)
    assert isinstance(results[1], OverdueError)
    assert [results[n] for n in range(2, 10)] == list(range(2, 10))
    assert time.monotonic() - started < 15


def test_no_more_than_the_allowed_number_run_at_once() -> None:
    running, peak, lock = 0, 0, threading.Lock()

    def work(_: int) -> None:
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        time.sleep(0.01)
        with lock:
            running -= 1

    list(FanOut(work, 4, 10).results(list(range(40))))
    assert peak <= 4
