"""When disks are full: from the samples that were kept at each look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from maintenancebot.app.weekly.records import Records
from maintenancebot.engine import samples
from maintenancebot.model import Host, Json, Reason, State
from maintenancebot.policy import growth
from maintenancebot.policy.growth import Sample
from maintenancebot.report.week import Forecast, Line
from maintenancebot.store import Store

MOST = 20
"""Disks that are told, the one that is full first, first."""
POINTS = 24
"""Samples of each that a plot shows."""
SOON_DAYS = 14.0
"""A disk that is full before that needs a person: there is one more cycle."""
FULL = 90.0
"""Percent: below it, a growth that may as well be none is not told as a trouble."""
WHOLE, NEARLY = 100.0, 99.9
"""Percent: only where nothing is left it is said that all is used."""
FAR_DAYS = 3650.0
"""What would take longer does not grow."""


def forecasts(hosts: Sequence[Host], store: Store, records: Records, at: datetime) -> tuple[Forecast, ...]:
    """The disks that are full first, in days from this time on, then the fullest; only mounts seen in the week."""
    rows = store.memories.everywhere(samples.KIND)
    found = [one for host in hosts for one in _of_host(host.name, rows.get(host.name, {}), records, at.timestamp())]
    return tuple(sorted(found, key=_full_first)[:MOST])


def lines(disks: Iterable[Forecast]) -> Iterable[Line]:
    """The disks that will be full before anybody looks again."""
    for disk in disks:
        if disk.days is not None and disk.days < SOON_DAYS and (disk.latest is not None or disk.percent >= FULL):
            yield Line(
                host=disk.host,
                subject=f"disk {disk.mount}",
                state=State.WAITING,
                reason=Reason.NO_SPACE,
                detail=_detail(disk, disk.days),
                action="free space, or make the file system larger",
            )


def _detail(disk: Forecast, days: float) -> str:
    if disk.percent >= WHOLE:
        return "it is full"
    return f"{disk.percent:.0f}% used, full in {days:.1f} days{_bounds(disk)} if it goes on so"


def _of_host(host: str, rows: Mapping[str, Json], records: Records, at: float) -> Iterable[Forecast]:
    since, until = records.span.starts_at.timestamp(), records.until.timestamp()
    for mount, row in rows.items():
        known = [one for one in growth.samples(row) if one.at < until]
        if known and known[-1].at >= since and known[-1].total > 0:
            yield _forecast(host, mount, known, at)


def _forecast(host: str, mount: str, known: Sequence[Sample], at: float) -> Forecast:
    estimate, age = growth.forecast(known), max(0.0, at - known[-1].at) / growth.DAY
    points = tuple((datetime.fromtimestamp(one.at, UTC), _percent(one)) for one in _thinned(known))
    seen = Forecast(host, mount, _percent(known[-1]), samples=points, age=round(age, 3))
    if seen.percent >= WHOLE:  # it grows no more, and is as bad as can be
        return replace(seen, days=0.0, soonest=0.0, latest=0.0)
    if estimate is None or (days := _left(estimate.days, age)) is None:
        return seen
    return replace(seen, days=days, soonest=_left(estimate.soonest, age), latest=_left(estimate.latest, age))


def _full_first(disk: Forecast) -> tuple[float, float]:
    return (disk.days if disk.days is not None else float("inf"), -disk.percent)


def _thinned(known: Sequence[Sample]) -> Sequence[Sample]:
    """So many of the samples as a plot shows, evenly, the newest always among them."""
    step = max(1, -(-len(known) // POINTS))
    return known[::-1][::step][::-1]


def _bounds(disk: Forecast) -> str:
    if disk.soonest is None:
        return ""
    return f" ({disk.soonest:.1f} to {f'{disk.latest:.1f}' if disk.latest is not None else 'never'})"


def _percent(sample: Sample) -> float:
    if sample.used >= sample.total:
        return WHOLE if sample.total > 0 else 0.0
    return min(round(100 * sample.used / sample.total, 1), NEARLY)


def _left(days: float | None, age: float) -> float | None:
    """What is left of the days since the newest sample, which may be as old as the week."""
    return None if days is None or days > FAR_DAYS else round(max(0.0, days - age), 1)
