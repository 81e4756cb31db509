"""What a person lets hosts differ in: given until a time, listed, taken back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from difflib import get_close_matches
from zoneinfo import ZoneInfo

from maintenancebot.app.context import Context, Options, chosen_hosts, load, now
from maintenancebot.errors import UsageError
from maintenancebot.inventory import declared
from maintenancebot.model import Host
from maintenancebot.store.allowances import Given as Given

LONGEST = timedelta(days=366)

_SPAN = re.compile(r"([1-9][0-9]{0,3})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def accept(options: Options, hosts: Sequence[str], item: str, until: str, reason: str) -> list[Given]:
    """Let an item differ on hosts until a time; raises UsageError for what is declared nowhere, and for no end."""
    if not reason.strip() or not reason.isprintable():
        raise UsageError("the reason must be one line that says why")
    context, at = load(options), now()
    chosen = chosen_hosts(context.inventory, hosts)
    _check_declared(context, chosen, item)
    end = parse_until(until, at, ZoneInfo(context.settings.timezone))
    given = [Given(host.name, item, end, context.by, reason, at) for host in chosen]
    with context.store() as store:
        store.allowances.give(given)
    return given


def allowances(options: Options, hosts: Sequence[str]) -> list[Given]:
    """Those that hold now, on these hosts or on all."""
    context = load(options)
    names = {host.name for host in chosen_hosts(context.inventory, hosts)}
    with context.store_readonly() as store:
        return [one for one in store.allowances.all(at=now()) if one.host in names]


def revoke(options: Options, hosts: Sequence[str], item: str) -> list[str]:
    """Take allowances back; returns the hosts that had one, and raises UsageError when none had."""
    context, at = load(options), now()
    chosen = [host.name for host in chosen_hosts(context.inventory, hosts)]
    with context.store() as store:
        gone = [name for name in chosen if store.allowances.revoke(name, item, context.by, at=at)]
    if not gone:
        raise UsageError(f"no allowance holds for {item!r} there; see `maintenancebot drift allowances`")
    return gone


def parse_until(text: str, at: datetime, zone: tzinfo) -> datetime:
    """A time from `7d`, `12h`, `2w`, a day (its end counts) or a day and a time; raises UsageError for all else."""
    span = _SPAN.fullmatch(text)
    end = at + int(span[1]) * _UNITS[span[2]] if span else _moment(text, zone)
    if end <= at:
        raise UsageError(f"{text!r} is over already; write a time to come")
    if end - at > LONGEST:
        raise UsageError(f"{text!r} is more than a year away; what is to stay belongs into the baseline")
    return end


def _moment(text: str, zone: tzinfo) -> datetime:
    try:
        found = datetime.fromisoformat(text)
        if re.fullmatch(r"[0-9-]+", text):
            found = datetime.combine(found.date(), time(23, 59, 59))
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:  # on its way to UTC into the year 10000, or before the first
        raise UsageError(f"{text!r} cannot be reckoned with; write a time within the next year") from None
    except ValueError:
        raise UsageError(
            f'{text!r} is not a time; write "7d", "12h", "2w", "2026-12-24" or "2026-12-24 18:00"'
        ) from None


def _check_declared(context: Context, hosts: Sequence[Host], item: str) -> None:
    states = declared(context.settings, context.inventory, hosts)
    for host in hosts:
        state = states.get(host.name)
        known = [one.id for one in state.items] if state else []
        if item not in known:
            near = get_close_matches(item, known, n=1, cutoff=0.5)
            advice = f"did you mean {near[0]!r}?" if near else "`maintenancebot drift scan` names the items"
            raise UsageError(f"no item {item!r} is declared for {host.name}; {advice}")
