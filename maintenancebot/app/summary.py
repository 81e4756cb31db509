"""The summary of a week: facts by code, prose below them where a model is asked, and a message that tells it once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from maintenancebot.app import weekly
from maintenancebot.app.context import Context, Options, load, now
from maintenancebot.app.messages import deliver
from maintenancebot.app.targets import targets
from maintenancebot.app.worded import worded
from maintenancebot.delivery.log import Log
from maintenancebot.errors import UsageError
from maintenancebot.llm.wording import evidence
from maintenancebot.model import Json
from maintenancebot.policy import weeks
from maintenancebot.policy.weeks import Span
from maintenancebot.report.week import Week
from maintenancebot.report.week_json import week_to_json
from maintenancebot.store import Store
from maintenancebot.store.summaries import KIND, Summary

NOBODY = (
    "nobody is told: no Slack, mailbox or address is configured; the summary is kept and stands in the daemon's log"
)


@dataclass(frozen=True)
class Told:
    """A summary, when it was posted last, and what is to be said of that."""

    week: Week
    prose: str = ""
    posted_at: datetime | None = None
    notes: tuple[str, ...] = ()


def summary(options: Options, name: str = "") -> Told:
    """The summary of the week of this name, as it was posted or else as it is recorded; nothing is written.

    Without a name it is the week in which most of the last seven days lie, or the one at hand if nothing ran in that.
    Raises UsageError for a name that is none or of a week to come, and StoreError.
    """
    context, at = load(options), now()
    with context.store_readonly() as store:
        return _told(context, store, _span(context, store, name, at), at)


def post_summary(options: Options, name: str = "") -> Told:
    """Post the summary and deliver it; a week that is over is posted once. Raises UsageError and StoreError."""
    context, at = load(options), now()
    with context.store() as store:
        span = _span(context, store, name, at)
        posted = _post(context, store, span, at)
        told = posted or _told(context, store, span, at)
        held_up = [f"{target} is not told yet: {why}" for target, why in deliver(context, store).items()]
    before = [] if posted else [f"the summary of {span.name} was posted before; it is not posted again"]
    alone = [NOBODY] if [target.name for target in targets(context)] == [Log.name] else []
    return replace(told, notes=(*told.notes, *before, *held_up, *alone))


def post_in(context: Context, store: Store, due: datetime) -> bool:
    """Put the summary that was due at this time among the messages; False when it is there. Raises StoreError."""
    return _post(context, store, weeks.told_at(due, context.settings.timezone), due) is not None


def _post(context: Context, store: Store, span: Span, due: datetime) -> Told | None:
    """Keep the message; None when it is kept already. A week at hand may be told again, at another time."""
    is_whole = span.is_over(due)
    key = f"{KIND}:{span.name}" if is_whole else f"{KIND}:{span.name}:{due:%Y%m%dT%H%M%SZ}"
    if store.summaries.is_posted(key):
        return None  # no model is asked for what nobody will read
    at = now()
    week = weekly.facts(context, store, span, at)
    facts = week_to_json(week)
    prose = worded(context, store, facts)
    is_new = store.summaries.post(key, Summary(span.name, at, facts, prose), is_whole=is_whole)
    return Told(week, _text(prose), at) if is_new else None


def _told(context: Context, store: Store, span: Span, at: datetime) -> Told:
    posted = store.summaries.get(span.name)
    week = weekly.as_told(posted) if posted else None
    told = _as_it_is(context, store, span, at) if posted is None or week is None else _as_posted(week, posted)
    read = [f"{one.by} has reviewed it, {one.at:%Y-%m-%d %H:%M} UTC" for one in store.reviews.of(span.name)]
    return replace(told, notes=tuple(read))


def _as_posted(week: Week, posted: Summary) -> Told:
    return Told(week, _text(posted.prose), posted.made_at)


def _as_it_is(context: Context, store: Store, span: Span, at: datetime) -> Told:
    """A week as it stands now; what a model said of it stands below as long as its facts have not changed."""
    week, last = weekly.facts(context, store, span, at), store.summaries.latest(span.name)
    if last is None:
        return Told(week)
    told = weekly.as_told(last)
    is_same = told is not None and evidence(week_to_json(told)) == evidence(week_to_json(week))
    return Told(week, _text(last.prose) if is_same else "", last.made_at)


def _text(prose: Mapping[str, Json]) -> str:
    return str(prose.get("text", ""))


def _span(context: Context, store: Store, name: str, at: datetime) -> Span:
    zone = context.settings.timezone
    if name:
        return _named(name, zone, at)
    told = weeks.told_at(at, zone)
    return told if store.runs.any_between(told.starts_at, told.ends_at) else weeks.containing(at, zone)


def _named(name: str, zone: str, at: datetime) -> Span:
    try:
        span = weeks.named(name, zone)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if span.starts_at > at:
        raise UsageError(f"the week {name} has not begun; the one at hand is {weeks.containing(at, zone).name}")
    return span
