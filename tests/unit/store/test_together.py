import threading

import pytest

from maintenancebot.errors import StoreError
from maintenancebot.store.together import Together


class Disk:
    """Writes batches, the first of them only when it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.batches: list[list[int]] = []
        self.began, self.go_on, self.error = threading.Event(), threading.Event(), error

    def write(self, items: list[int]) -> None:
        self.batches.append(items)
        if len(self.batches) == 1:
            self.began.set()
            assert self.go_on.wait(10)
        elif self.error:
            raise self.error


def add_while_busy(disk: Disk, others: int) -> list[BaseException | None]:
    """One item that keeps the disk busy, and others that come meanwhile; what each of the others got."""
    together = Together(disk.write)
    ended: list[BaseException | None] = []

    def add(item: int) -> None:
        try:
            together.add(item)
            ended.append(None)
        except BaseException as error:
            ended.append(error)

    first = threading.Thread(target=together.add, args=(0,))
    first.start()
    assert disk.began.wait(10)
    threads = [threading.Thread(target=add, args=(item,)) for item in range(1, others + 1)]
    for thread in threads:
        thread.start()
    while len(together._waiting) < others:
        threading.Event().wait(0.001)
    assert ended == []
    disk.go_on.set()
    for thread in (first, *threads):
        thread.join(10)
    return ended


def test_what_comes_during_a_write_goes_into_the_next_one_together() -> None:
    disk = Disk()
    assert add_while_busy(disk, 5) == [None] * 5
    assert [sorted(batch) for batch in disk.batches] == [[0], [1, 2, 3, 4, 5]]


def test_nobody_is_told_that_a_failed_write_succeeded() -> None:
    ended = add_while_busy(Disk(StoreError("full")), 3)
    assert [str(error) for error in ended] == ["full"] * 3


def test_not_even_when_the_writer_itself_is_faulty() -> None:
    ended = add_while_busy(Disk(RuntimeError("a fault of ours")), 3)
    assert sorted(type(error).__name__ for error in ended) == ["RuntimeError", "StoreError", "StoreError"]


def test_a_failure_is_not_passed_on_to_the_next_item() -> None:
    disk = Disk(StoreError("full"))
    disk.go_on.set()
    together = Together(disk.write)
    together.add(0)
    with pytest.raises(StoreError, match="full"):
        together.add(1)
    disk.error = None
    together.add(2)
    assert disk.batches == [[0], [1], [2]]
