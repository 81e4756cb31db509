"""Small plots as coordinates for SVG: pure arithmetic, nothing in them is text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from maintenancebot.report.week import Forecast

WIDTH, HEIGHT = 240, 64
DAY = 86400.0

AHEAD = 0.5
"""How much of the plot's time lies after the last sample, as a share of the time before it."""

LEAST_DAYS = 1.0
"""Of samples: those of one minute draw no line that says anything."""


@dataclass(frozen=True)
class Plot:
    """Used percent over time: what was measured, and how it goes on if it goes on so. Points are `x,y x,y`."""

    measured: str
    ahead: str = ""  # the line of the fit
    between: str = ""  # the corners of what its uncertainty allows
    today: float = 0.0  # where the last sample is


def of_disk(disk: Forecast) -> Plot | None:
    """The plot of a disk, None when there are too few samples for a line."""
    times = [_days(at) for at, _ in disk.samples]
    if len(times) < 2 or times[-1] - times[0] < LEAST_DAYS:
        return None
    scale = _Scale(times[0], (times[-1] - times[0]) * (1 + AHEAD))
    measured = [scale.point(at, percent) for at, (_, percent) in zip(times, disk.samples, strict=True)]
    last = (times[-1], disk.samples[-1][1])
    ahead = [last, scale.towards(last, _since_last(disk, disk.days))] if disk.days is not None else []
    bounds = (_since_last(disk, disk.soonest), _since_last(disk, disk.latest)) if _is_bounded(disk) else ()
    corners = [last, *(scale.towards(last, days) for days in bounds)] if bounds else []
    return Plot(
        measured=" ".join(measured),
        ahead=" ".join(scale.point(*one) for one in ahead),
        between=" ".join(scale.point(*one) for one in corners),
        today=scale.x(times[-1]),
    )


def shares(counts: Sequence[int]) -> list[tuple[float, float]]:
    """Where each part of a bar begins and how wide it is, in percent."""
    whole, begin, found = sum(counts) or 1, 0.0, []
    for count in counts:
        wide = 100 * count / whole
        found.append((round(begin, 3), round(wide, 3)))
        begin += wide
    return found


@dataclass(frozen=True)
class _Scale:
    begin: float
    days: float

    def x(self, at: float) -> float:
        return round(WIDTH * (at - self.begin) / self.days, 1)

    def point(self, at: float, percent: float) -> str:
        return f"{self.x(at)},{round(HEIGHT * (1 - min(max(percent, 0.0), 100.0) / 100), 1)}"

    def towards(self, last: tuple[float, float], full_in: float | None) -> tuple[float, float]:
        """The last point of the plot on the way to a full disk; level where it never is."""
        at, percent = last
        left = self.begin + self.days - at
        if full_in is None:
            return at + left, percent
        reached = min(left, max(full_in, 0.0))
        return at + reached, percent + (100 - percent) * (reached / full_in if full_in > 0 else 1)


def _since_last(disk: Forecast, days: float | None) -> float | None:
    """Days from the newest sample on; those of a forecast begin when it is told."""
    return None if days is None else days + disk.age


def _is_bounded(disk: Forecast) -> bool:
    return disk.days is not None and disk.soonest is not None


def _days(at: datetime) -> float:
    return at.timestamp() / DAY
