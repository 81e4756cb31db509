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
FAR_DAYS = 3650.0
"""What would take longer does not grow."""


def forecasts(hosts: Sequence[Host], store: Store, records: Records) -> tuple[Forecast, ...]:
    """The disks that are full first, then the fullest; only of mounts that were seen in the week."""
    rows = store.memories.everywhere(samples.KIND)
    found = [one for host in hosts for one in _of_host(host.name, rows.get(host.name, {}), records)]
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
                detail=f"{disk.percent:.0f}% used, full in {disk.days:.1f} days{_bounds(disk)} if it goes on so",
                action="free space, or make the file system larger",
            )


def _of_host(host: str, rows: Mapping[str, Json], records: Records) -> Iterable[Forecast]:
    since, until = records.span.starts_at.timestamp(), records.until.timestamp()
    for mount, row in rows.items():
        known = [one for one in growth.samples(row) if one.at < until]
        if known and known[-1].at >= since and known[-1].total > 0:
            yield _forecast(host, mount, known)


def _forecast(host: str, mount: str, known: Sequence[Sample]) -> Forecast:
    estimate = growth.forecast(known)
    points = tuple((datetime.fromtimestamp(one.at, UTC), _percent(one)) for one in _thinned(known))
    seen = Forecast(host, mount, _percent(known[-1]), samples=points)
    if estimate is None or (days := _rounded(estimate.days)) is None:
        return seen
    return replace(seen, days=days, soonest=_rounded(estimate.soonest), latest=_rounded(estimate.latest))


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
    return round(100 * sample.used / sample.total, 1) if sample.total > 0 else 0.0


def _rounded(days: float | None) -> float | None:
    return None if days is None or days > FAR_DAYS else round(days, 1)
