"""Chooses how a full file system gets below its target: way after way until it is enough. Pure.

Only objects on that file system are chosen. An object goes one way: the first that takes it, unless all ways together
would not be enough; then a later way that frees more of it takes it over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from maintenancebot.model import Autonomy, Change, Json, Reason, State, TaskType
from maintenancebot.plan import filesystem, ways
from maintenancebot.plan.document import TaskPlan
from maintenancebot.plan.filesystem import Disk, Need
from maintenancebot.plan.ways import TASK, Item, Row, Stock
from maintenancebot.settings import CleanupTask, Journal, Settings, Way


@dataclass(frozen=True)
class Chosen:
    """The rows in the order in which they are made, and whether they are enough."""

    rows: tuple[Row, ...]
    is_enough: bool
    over_cap: int  # rows left out since one run may not delete more


def cleanup_task(settings: Settings, tasks: Iterable[CleanupTask]) -> CleanupTask | None:
    """What these tasks and `remediation.disk` allow to be cleaned, as one task; None when that is nothing.

    A task that only observes allows nothing.
    """
    disk = settings.remediation.disk
    own = [pattern for task in tasks if task.approval is not Autonomy.OBSERVE for pattern in task.patterns]
    patterns = tuple(dict.fromkeys(one.model_copy(update={"compress": False}) for one in (*own, *disk.patterns)))
    cache, journal = Way.PACKAGE_CACHE in disk.ways, Way.JOURNAL in disk.ways
    if not (patterns or cache or journal):
        return None
    return CleanupTask(
        name=TASK,
        type=TaskType.CLEANUP,
        patterns=patterns,
        package_cache=cache,
        journal=Journal(keep_bytes=disk.journal_keep_bytes) if journal else None,
    )


def plan(
    host: str, disk: Disk, cleanup: Sequence[Change], items: Sequence[Item], settings: Settings, now: datetime
) -> TaskPlan:
    """The changes that get the disk below its target; `cleanup` is what a cleanup of all patterns would do.

    Without changes: nothing is needed, or failed, since nothing allowed frees it. With changes that are not expected
    to be enough, the verdict stands in the facts.
    """
    target = settings.remediation.disk.target_percent
    needed = filesystem.need(disk.measure, target)
    facts = {"disk": filesystem.told(disk), "target_percent": target}
    if not needed:
        detail = f"{disk.mount}: {filesystem.use(disk.measure)} used"
        return TaskPlan(TASK, TaskType.CLEANUP, State.NOTHING, Reason.TARGET_MET, detail, facts=facts)
    stock = Stock(host, disk.measure.dev, cleanup, items, settings, now)
    offered = [(way, _helping(ways.rows(way, stock), needed)) for way in _open_ways(disk, settings)]
    chosen = choose(offered, disk, needed, settings)
    facts |= _told(chosen, needed)
    detail, changes = _detail(disk, needed, chosen), tuple(row.change for row in chosen.rows)
    if not changes:
        return TaskPlan(TASK, TaskType.CLEANUP, State.FAILED, Reason.NOT_ENOUGH, detail, facts=facts)
    return TaskPlan(TASK, TaskType.CLEANUP, State.PLANNED, Reason.NONE, detail, changes, facts)


def choose(offered: Sequence[tuple[Way, Sequence[Row]]], disk: Disk, needed: Need, settings: Settings) -> Chosen:
    """Rows in the order of the ways until they are enough, within the caps and the room elsewhere."""
    basket = _Basket(disk, needed, settings)
    for take in (basket.offer, basket.exchange):
        for row in (row for _, found in offered for row in found):
            if not basket.is_enough:
                take(row)
    order = [way for way, _ in offered]
    rows = sorted(basket.rows.values(), key=lambda row: (order.index(row.way), _turn(row)))
    return Chosen(tuple(rows), basket.is_enough, len(basket.over_cap - set(basket.rows)))


def _turn(row: Row) -> int:
    """What is compressed beside itself begins with the smallest, so that each leaves more room for the next."""
    return row.bytes if row.way is Way.COMPRESSED else 0


class _Basket:
    def __init__(self, disk: Disk, needed: Need, settings: Settings) -> None:
        self.rows: dict[str, Row] = {}
        self.over_cap: set[str] = set()
        self._needed = needed
        self._caps = settings.deletion.caps
        target = settings.remediation.disk.target_percent
        self._room = filesystem.room(disk.elsewhere, target) if disk.elsewhere else 0
        self._bytes = self._inodes = self._files = self._size = 0

    @property
    def is_enough(self) -> bool:
        inodes = not self._needed.inodes or self._inodes >= self._needed.inodes  # else some may be taken
        return inodes and self._bytes >= self._needed.bytes

    def offer(self, row: Row) -> None:
        if row.thing not in self.rows and self._fits(row):
            self._add(row, 1)

    def exchange(self, row: Row) -> None:
        held = self.rows.get(row.thing)
        if held is None or not _frees_more(row, held, self._needed):
            return
        self._add(held, -1)
        self._add(row if self._fits(row) else held, 1)

    def _fits(self, row: Row) -> bool:
        files, size = row.weight
        if self._files + files > self._caps.files or self._size + size > self._caps.bytes:
            self.over_cap.add(row.thing)
            return False
        return row.way is not Way.ELSEWHERE or row.bytes <= self._room

    def _add(self, row: Row, sign: int) -> None:
        files, size = row.weight
        self._files, self._size = self._files + sign * files, self._size + sign * size
        self._bytes, self._inodes = self._bytes + sign * row.bytes, self._inodes + sign * row.inodes
        self._room -= sign * row.bytes if row.way is Way.ELSEWHERE else 0
        if sign > 0:
            self.rows[row.thing] = row
        else:
            del self.rows[row.thing]


def _frees_more(row: Row, held: Row, needed: Need) -> bool:
    """Whether it is worth to go another way: a tenth more bytes, or more of the inodes that are needed."""
    if row.bytes < held.bytes or row.inodes < held.inodes:
        return False
    return row.bytes * 10 > held.bytes * 11 or (needed.inodes > 0 and row.inodes > held.inodes)


def _helping(rows: Iterable[Row], needed: Need) -> list[Row]:
    """Those that free something that is needed, and take nothing of it."""
    return [
        row
        for row in rows
        if not (needed.inodes and row.inodes < 0)
        and ((needed.bytes > 0 and row.bytes > 0) or (needed.inodes > 0 and row.inodes > 0))
    ]


def _open_ways(disk: Disk, settings: Settings) -> list[Way]:
    """The configured ways that can lead off this file system."""
    closed = set()
    if disk.elsewhere is None or disk.elsewhere.dev == disk.measure.dev:
        closed.add(Way.ELSEWHERE)
    if settings.deletion.trash.offload is None:
        closed.add(Way.OFFLOADED)
    return [way for way in settings.remediation.disk.ways if way not in closed]


def _told(chosen: Chosen, needed: Need) -> dict[str, Json]:
    """`goal` is what is available when it is enough; without it, inodes are needed and every change is made."""
    return {
        "need": {"bytes": needed.bytes, "inodes": needed.inodes},
        "goal": None if needed.inodes else needed.available,
        "expected": sum(int(row.change.effect["freed_now"]) for row in chosen.rows),
        "is_enough": chosen.is_enough,
        "over_cap": chosen.over_cap,
    }


def _detail(disk: Disk, needed: Need, chosen: Chosen) -> str:
    wanted = (
        filesystem.size(needed.bytes) if needed.bytes else "",
        f"{needed.inodes:,} inodes" if needed.inodes else "",
    )
    head = f"{disk.mount}: {filesystem.use(disk.measure)} used, {' and '.join(filter(None, wanted))} to free"
    if chosen.is_enough:
        return head
    found = "what may be freed is not enough for sure" if chosen.rows else "nothing that is allowed frees it"
    cap = f"{chosen.over_cap} more objects are over deletion.caps" if chosen.over_cap else ""
    return "; ".join(filter(None, (f"{head}: {found}", cap, filesystem.occupants(disk))))
