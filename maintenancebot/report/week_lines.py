"""A week's facts in words, the same in every form of the summary; text from hosts is not cleaned yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from maintenancebot.model import Json, Reason, State
from maintenancebot.report.explain import advice, explain
from maintenancebot.report.figures import size
from maintenancebot.report.week import FIGURES, Forecast, HostWeek, Line, Week

SEVERITY = (
    State.FAILED,
    State.UNKNOWN,
    State.WAITING,
    State.SKIPPED,
    State.PLANNED,
    State.DONE,
    State.NOTHING,
)
"""The states in the order in which people read them."""

BYTES = ("freed_now", "freed_at_purge")
WHOLE = 100.0
CENT = 0.01


@dataclass(frozen=True)
class Figure:
    """One figure of a week."""

    key: str
    label: str
    value: str
    change: str  # against the week before, such as `+3`; empty where it is the same or not known


def needs_person(week: Week) -> list[Line]:
    """What needs a person, worst first; a host that failed or was not found out about is in it, named or not.

    One for whose verdict nobody wants to be called is not, as in the headline.
    """
    named = {line.host for line in week.needs_person}
    bad = [host for host in week.hosts if _is_bad(host) and not host.is_quiet and host.host not in named]
    found = [*week.needs_person, *(Line(host.host, "", host.state, host.reason, host.detail) for host in bad)]
    return sorted(found, key=lambda line: SEVERITY.index(line.state))


def where(line: Line) -> str:
    """What a line is about: `web1, security_patches`."""
    return ", ".join(part for part in (line.host, line.subject) if part) or "maintenancebot"


def why(line: Line) -> str:
    """What is the matter, and for how long: `no connection: refused (since 9 Nov, 2 weeks in a row)`."""
    cause = explain(line.reason, line.detail).rstrip(".")
    past = ", ".join(part for part in (_since(line.since), _weeks(line.weeks)) if part)
    return " ".join(part for part in (cause, f"({past})" if past else "") if part)


def what_to_do(line: Line) -> str:
    """What a person can do about it; empty when nobody knows."""
    return (line.action or advice(line.reason)).rstrip(".")


def told(line: Line) -> str:
    """What is so: `web1, security_patches: failed: …`."""
    return ": ".join(part for part in (where(line), line.state.value, why(line)) if part)


def sentence(line: Line) -> str:
    """What is so, and what a person can do: `web1, security_patches: failed: … To do: …`."""
    todo = what_to_do(line)
    return f"{told(line)}. To do: {todo}." if todo else f"{told(line)}."


def period(week: Week) -> str:
    """Which days the week has, in its zone."""
    last = week.ends_at - timedelta(seconds=1)  # a week that ends at midnight does not have the day that begins then
    return f"{day(week.starts_at)} to {day(last)} {last.year}, {week.zone}"


def day(at: datetime) -> str:
    """`9 Nov`, in the zone that the time carries."""
    return f"{at.day} {at:%b}"


def moment(at: datetime) -> str:
    """`Sun 22 Nov 03:00`, in the zone that the time carries."""
    return f"{at:%a} {day(at)} {at:%H:%M}"


def figures(week: Week) -> list[Figure]:
    """The figures that say something: each that is not zero now, and each that was not a week ago."""
    known = [key for key in FIGURES if week.figures.get(key) or week.before.get(key)]
    return [_figure(week, key) for key in known]


def figure_in_words(figure: Figure) -> str:
    """`packages upgraded: 42 (+4)`."""
    return f"{figure.label}: {figure.value}" + (f" ({figure.change})" if figure.change else "")


def forecast(disk: Forecast) -> str:
    """When a disk is full: `in 12 days (9 to 17)`."""
    if disk.days is None:
        return "does not grow, or is not known yet"
    return "full" if disk.percent >= WHOLE else f"full in {disk.days:,.0f} days{_between(disk)}"


def by_group(hosts: Sequence[HostWeek]) -> list[tuple[str, list[HostWeek]]]:
    """The hosts by the first group of each, worst first in a group and among groups; "" for hosts without one."""
    groups: dict[str, list[HostWeek]] = {}
    for host in worst_first(hosts):
        groups.setdefault(host.groups[0] if host.groups else "", []).append(host)
    return list(groups.items())


def worst_first(hosts: Sequence[HostWeek]) -> list[HostWeek]:
    """The hosts with the worst state first, otherwise in their order."""
    return sorted(hosts, key=lambda host: SEVERITY.index(host.state))


def _is_bad(host: HostWeek) -> bool:
    """Whether a look found it so; a host that nobody looked at has no reason, and a figure counts it."""
    return host.state is State.FAILED or (host.state is State.UNKNOWN and host.reason is not Reason.NONE)


def _figure(week: Week, key: str) -> Figure:
    now, before = week.figures.get(key, 0), week.before.get(key, 0)
    difference = now - before if week.before else 0
    sign = "+" if difference > 0 else "-"
    change = f"{sign}{_value(key, abs(difference))}" if difference else ""
    return Figure(key, FIGURES[key].removeprefix("bytes ").removeprefix("that "), _value(key, now), change)


def _value(key: str, value: Json) -> str:
    if key in BYTES:
        return size(value)
    return _dollars(value) if key == "dollars" else f"{value:,}"


def _dollars(value: float) -> str:
    """To the cent; what is less, and not nothing, as it is."""
    return f"${value:.6f}".rstrip("0") if 0 < round(value, 6) < CENT else f"${value:,.2f}"


def _between(disk: Forecast) -> str:
    if disk.soonest is None:
        return ""
    return f" ({disk.soonest:,.0f} {'or later' if disk.latest is None else f'to {disk.latest:,.0f}'})"


def _since(at: datetime | None) -> str:
    return f"since {day(at)}" if at else ""


def _weeks(count: int) -> str:
    return f"{count + 1} weeks in a row" if count else ""
