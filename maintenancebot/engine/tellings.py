"""What people are told of episodes: facts as data, and one line for a log. Each thing has a key, and is told once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maintenancebot.model import ChangeReport, HostReport, Json, Reason, State, TaskReport
from maintenancebot.plan import filesystem
from maintenancebot.policy import growth
from maintenancebot.policy.episodes import Episode, EpisodeState
from maintenancebot.policy.growth import Sample
from maintenancebot.store.episodes import Telling

ESCALATED, HEALED, APPROVAL = "escalated", "healed", "approval"
SHOWN = 10
"""Changes that are named one by one, what went wrong first."""


def of_opened(episode: Episode) -> Telling | None:
    """What is told of an episode that ends as it begins: a limit is reached, or nobody heals such alerts."""
    if episode.state is not EpisodeState.ESCALATED:
        return None
    return _telling(episode, ESCALATED, episode.reason, episode.detail, {})


def escalated(
    episode: Episode, reason: Reason, detail: str, report: HostReport | None, samples: Sequence[Sample]
) -> Telling:
    """A person is needed: how full it is, how fast it grows, who uses the space, and what was tried."""
    facts = _figures(episode.body, samples)
    task = report.tasks[0] if report is not None and report.tasks else None
    facts |= {"found": episode.body["found"]} if "found" in episode.body else {}
    return _telling(episode, ESCALATED, reason, detail, {**facts, "tried": _tried(task, episode.body)})


def healed(episode: Episode, detail: str, report: HostReport | None) -> Telling:
    """What was done, where people want to know at once."""
    task = report.tasks[0] if report is not None and report.tasks else None
    return _telling(episode, HEALED, Reason.VERIFIED, detail, {"tried": _tried(task, episode.body)})


def approval(episode: Episode, digest: str, notes: Sequence[str]) -> Telling:
    """A person's word is awaited."""
    facts = {"digest": digest, "notes": list(notes)}
    telling = _telling(episode, APPROVAL, Reason.NEEDS_APPROVAL, "; ".join(notes), facts)
    return Telling(f"{telling.key}:{digest[:12]}", telling.kind, telling.body)


def _telling(episode: Episode, kind: str, reason: Reason, detail: str, facts: Mapping[str, Json]) -> Telling:
    alert = episode.body.get("alert", {})
    body = {
        "episode": episode.id,
        "host": episode.host,
        "rule": episode.rule,
        "subject": episode.subject,
        "alert": alert.get("name", ""),
        "reason": reason.value,
        "detail": detail,
        "opened_at": episode.opened_at.isoformat(),
        "run": episode.run,
        **facts,
    }
    return Telling(f"episode:{episode.id}:{kind}", kind, body)


def _figures(body: Mapping[str, Json], samples: Sequence[Sample]) -> dict[str, Json]:
    disk = body.get("after") or body.get("before") or {}
    if not disk:
        return {}
    users = disk.get("users") or body.get("users") or {}
    rate = growth.bytes_a_day(samples)
    left = growth.hours_until_full(samples, int(disk["available"]))
    return {
        "before": _percent(body.get("before")),
        "after": _percent(body.get("after")),
        "growth": {
            "bytes_a_day": None if rate is None else round(rate),
            "hours_until_full": None if left is None else round(left, 1),
            "words": _growth_words(rate, left),
        },
        "users": {kind: list(rows)[:SHOWN] for kind, rows in users.items()},
    }


def _percent(disk: Json) -> Json:
    return {"percent": disk["percent"], "inode_percent": disk["inode_percent"]} if disk else None


def _growth_words(rate: float | None, left: float | None) -> str:
    if rate is None:
        return "how fast it grows is not known yet"
    if left is None:
        return "it does not grow"
    return f"it grows by {filesystem.size(round(rate))} a day; full in {left:,.0f} h if it goes on so"


def _tried(task: TaskReport | None, body: Mapping[str, Json]) -> dict[str, Json]:
    """What was made or tried; a run that was broken off before this one left only its count."""
    touched = [one for one in task.changes if one.state in _TOUCHED] if task is not None else []
    counts = dict(body.get("acted") or {})
    worst_first = sorted(touched, key=lambda one: one.state is State.DONE)
    return {"counts": counts, "changes": [_change(one) for one in worst_first[:SHOWN]]}


_TOUCHED = frozenset({State.DONE, State.FAILED, State.UNKNOWN})


def _change(one: ChangeReport) -> dict[str, Json]:
    return {
        "action": one.change.action.value,
        "name": one.change.name,
        "way": one.change.effect.get("way", ""),
        "state": one.state.value,
        "reason": one.reason.value,
        "freed_now": one.measured.get("freed_now"),
    }
