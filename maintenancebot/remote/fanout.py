"""Many hosts at once: a bounded number of threads, one result for each host, whatever happens to one of them."""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class OverdueError(Exception):
    """A piece of work that did not end within its limit; its thread is left behind."""


class FanOut(Generic[Item, Result]):
    """Runs `work` for each item on up to `parallel` threads.

    The threads are daemons: one that is stuck where no limit reaches (a resolver, say) cannot keep the process.
    """

    def __init__(self, work: Callable[[Item], Result], parallel: int, limit: float) -> None:
        self._work = work
        self._parallel = max(1, parallel)
        self._limit = limit

    def results(self, items: Sequence[Item]) -> Iterator[tuple[Item, Result | Exception]]:
        """Yield each item with its result, or with the exception that its work raised, as they end."""
        todo: queue.SimpleQueue[int] = queue.SimpleQueue()
        done: queue.SimpleQueue[tuple[int, Result | Exception]] = queue.SimpleQueue()
        started: dict[int, float] = {}
        for index in range(len(items)):
            todo.put(index)
        self._threads(items, todo, done, started, min(self._parallel, len(items)))
        open_ = set(range(len(items)))
        while open_:
            try:
                index, result = done.get(timeout=1)
            except queue.Empty:
                for late in [i for i in open_ if i in started and time.monotonic() - started[i] > self._limit]:
                    open_.discard(late)
                    self._threads(items, todo, done, started, 1)  # in place of the one that is stuck
                    yield items[late], OverdueError(f"no end within {self._limit:.0f} s")
                continue
            if index in open_:
                open_.discard(index)
                yield items[index], result

    def _threads(
        self,
        items: Sequence[Item],
        todo: queue.SimpleQueue[int],
        done: queue.SimpleQueue[tuple[int, Result | Exception]],
        started: dict[int, float],
        count: int,
    ) -> None:
        def run() -> None:
            while True:
                try:
                    index = todo.get_nowait()
                except queue.Empty:
                    return
                started[index] = time.monotonic()
                try:
                    done.put((index, self._work(items[index])))
                except Exception as error:
                    done.put((index, error))

        for _ in range(count):
            context = contextvars.copy_context()
            threading.Thread(target=context.run, args=(run,), daemon=True).start()
