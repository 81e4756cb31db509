"""Alerts: what each of them comes to, by exact look-up and by what happened before. Pure.

An alert proves nothing and commands nothing: its labels are looked up in the inventory, and the host is measured.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from maintenancebot.model import Host, Reason
from maintenancebot.policy.episodes import (
    DECLARED,
    DISK,
    DRIFT,
    ENDED,
    FIRING,
    OTHER,
    OUR_OWN,
    Alert,
    Episode,
    EpisodeState,
    Verdict,
    moved,
)
from maintenancebot.settings import Settings

FLAPS = 3
"""Times that something may be healed within a day; when it is back once more, healing does not last."""

DAY, HOUR = timedelta(days=1), timedelta(hours=1)

MOST_MOUNT = 4096


@dataclass(frozen=True)
class Surroundings:
    """What alerts are judged by."""

    settings: Settings
    hosts: Sequence[Host]
    at: datetime


def judge(alerts: Sequence[Alert], history: Sequence[Episode], around: Surroundings) -> list[Verdict]:
    """A verdict for each alert, in their order; `history` has the open episodes and those of the last day."""
    known, verdicts = list(history), []
    for alert in alerts:
        verdict = _judge(alert, known, around)
        known += [verdict.opens] if verdict.opens else []
        verdicts.append(verdict)
    return verdicts


def _judge(alert: Alert, history: Sequence[Episode], around: Surroundings) -> Verdict:
    host, label = find_host(alert.labels, around)
    verdict = Verdict(alert.id, Reason.NONE, host=host.name if host else "")
    no = _no(alert, around)
    if no is not None:
        return replace(verdict, reason=no[0], detail=no[1])
    rule = rule_of(alert.name, around.settings)
    if rule == OTHER:
        if not around.settings.remediation.alerts.escalate_others:
            return replace(verdict, reason=Reason.NO_RULE)
        return _taken_up(verdict, alert, OTHER, alert.name, history, around)
    if host is None:
        return replace(verdict, reason=Reason.UNKNOWN_HOST, detail=label)
    if host.maintenance:
        return replace(verdict, reason=Reason.MAINTENANCE)
    if rule == DRIFT:
        return _taken_up(verdict, alert, DRIFT, DECLARED, history, around)
    mount = find_mount(alert.labels, around.settings)
    if not mount:
        return replace(verdict, reason=Reason.UNKNOWN_MOUNT, detail="no label names a mount point")
    return _taken_up(verdict, alert, DISK, mount, history, around)


def _no(alert: Alert, around: Surroundings) -> tuple[Reason, str] | None:
    """Why an alert is only recorded, whatever it is about."""
    if alert.status != FIRING:
        return Reason.RESOLVED, ""
    if alert.name.startswith(OUR_OWN):
        return Reason.NO_RULE, "an alert about this bot itself"
    minutes = around.settings.remediation.alerts.max_age_minutes
    if around.at - alert.last_at > timedelta(minutes=minutes):
        return Reason.STALE, f"it waited for more than {minutes} minutes"
    return None


def rule_of(name: str, settings: Settings) -> str:
    """By which rule alerts of this name are healed."""
    rules = settings.remediation.alerts
    globs = {DISK: rules.disk, DRIFT: rules.drift}
    return next((rule for rule in globs if any(fnmatch.fnmatchcase(name, glob) for glob in globs[rule])), OTHER)


def find_host(labels: Mapping[str, str], around: Surroundings) -> tuple[Host | None, str]:
    """The host that a label names exactly, by name or by address; else None and why, in words."""
    named = [labels[name] for name in around.settings.remediation.alerts.host_labels if labels.get(name)]
    for value in named:
        for wanted in (value, without_port(value)):
            found = [host for host in around.hosts if host.name == wanted]
            found = found or [host for host in around.hosts if host.address == wanted]
            if len(found) == 1:
                return found[0], ""
            if found:
                return None, f"{wanted} is the address of {len(found)} hosts"
    return None, f"no host is named or addressed {named[0]}" if named else "no label names a host"


def without_port(value: str) -> str:
    """`10.0.0.7:9100` and `[::1]:9100` without their port."""
    place, colon, port = value.rpartition(":")
    if not colon or not port.isdecimal():
        return value
    if place.startswith("[") and place.endswith("]"):
        return place[1:-1]
    return value if ":" in place else place


def find_mount(labels: Mapping[str, str], settings: Settings) -> str:
    """The mount point that the labels name; whether there is one the host says."""
    for name in settings.remediation.alerts.mount_labels:
        value = labels.get(name, "")
        if value.startswith("/") and "\0" not in value and len(value) <= MOST_MOUNT:
            return value
    return ""


def _taken_up(
    verdict: Verdict, alert: Alert, rule: str, subject: str, history: Sequence[Episode], around: Surroundings
) -> Verdict:
    same = [one for one in history if (one.rule, one.host, one.subject) == (rule, verdict.host, subject)]
    earlier = _repetition(same, around)
    if earlier is not None:
        return replace(verdict, reason=earlier[0], episode=earlier[1])
    opened = _opened(verdict, alert, rule, subject, around.at)
    limit = _limit(opened, same, history, around)
    if limit is not None:
        reason, detail, told = limit
        if told:
            return replace(verdict, reason=reason, detail=detail)
        ended = moved(opened, EpisodeState.ESCALATED, around.at, reason, detail)
        return replace(verdict, reason=reason, detail=detail, episode=opened.id, opens=ended)
    if rule == OTHER:
        opened = moved(opened, EpisodeState.ESCALATED, around.at, Reason.NO_RULE)
        return replace(verdict, reason=Reason.NO_RULE, episode=opened.id, opens=opened)
    return replace(verdict, reason=Reason.NONE, episode=opened.id, opens=opened)


def _opened(verdict: Verdict, alert: Alert, rule: str, subject: str, at: datetime) -> Episode:
    body = {
        "alert": {"name": alert.name, "source": alert.source, "key": alert.key, "at": alert.received_at.isoformat()}
    }
    return Episode(f"{at:%Y%m%dT%H%M%SZ}-{alert.key[:12]}", rule, verdict.host, subject, at, at, body=body)


def _repetition(same: Sequence[Episode], around: Surroundings) -> tuple[Reason, str] | None:
    """An episode about the same thing that is open, or ended a short while ago."""
    cooldown = timedelta(minutes=around.settings.remediation.alerts.cooldown_minutes)
    for one in same:
        if one.state not in ENDED:
            return Reason.SAME_EPISODE, one.id
        if one.closed_at is not None and around.at - one.closed_at < cooldown:
            return Reason.COOLDOWN, one.id
    return None


def _limit(
    opened: Episode, same: Sequence[Episode], history: Sequence[Episode], around: Surroundings
) -> tuple[Reason, str, bool] | None:
    """Which limit is reached, in words, and whether a person was told so within the same span already."""
    rules = around.settings.remediation.alerts
    today = [one for one in history if around.at - one.opened_at < DAY]
    healed = [one for one in same if one in today and one.reason is Reason.VERIFIED]
    if len(healed) >= FLAPS:
        told = any(one.reason is Reason.FLAPPING for one in same if one in today)
        return Reason.FLAPPING, f"healed {len(healed)} times within a day, and back again", told
    of_rule = [one for one in today if one.rule == opened.rule]
    of_host = [one for one in of_rule if one.host == opened.host]
    if _count(of_host) >= rules.per_host_a_day:
        told = any(one.reason is Reason.CAP_REACHED for one in of_host)
        return Reason.CAP_REACHED, f"{rules.per_host_a_day} episodes of this host within a day", told
    this_hour = [one for one in of_rule if around.at - one.opened_at < HOUR]
    if _count(this_hour) >= rules.per_rule_an_hour:
        told = any(one.reason is Reason.CAP_REACHED for one in this_hour)
        return Reason.CAP_REACHED, f"{rules.per_rule_an_hour} episodes of this rule within an hour", told
    return None


def _count(episodes: Sequence[Episode]) -> int:
    """Those that were worked on: what only told of a limit does not count against it."""
    return sum(one.reason not in (Reason.CAP_REACHED, Reason.FLAPPING) for one in episodes)
