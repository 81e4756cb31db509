"""Group commit: what many threads want written while one commit is on its way goes into the next one together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from maintenancebot.errors import StoreError

Item = TypeVar("Item")


@dataclass
class _Entry(Generic[Item]):
    item: Item
    done: bool = False
    error: StoreError | None = None


class Together(Generic[Item]):
    """Hands the items of many threads to one writing call; each thread returns when its own item is on disk."""

    def __init__(self, write: Callable[[list[Item]], None]) -> None:
        self._write = write  # all of the items or none; raises StoreError
        self._waiting: list[_Entry[Item]] = []
        self._queue = threading.Lock()
        self._turn = threading.Lock()

    def add(self, item: Item) -> None:
        """Write the item, alone or with others; raises StoreError when it could not be written."""
        entry = _Entry(item)
        with self._queue:
            self._waiting.append(entry)
        with self._turn:
            if not entry.done:
                self._write_waiting()
        if entry.error is not None:
            raise entry.error

    def _write_waiting(self) -> None:
        with self._queue:
            batch, self._waiting = self._waiting, []
        error: StoreError | None = StoreError("the write was broken off")
        try:
            self._write([entry.item for entry in batch])
            error = None
        except StoreError as failure:
            error = failure
        finally:
            for entry in batch:
                entry.done, entry.error = True, error
