"""What people are told at once, as messages for Slack: an alert that needs a person, an approval that is awaited.

The bodies are our own records, but older versions wrote some of them: what is missing is not told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from maintenancebot.model import Json, Reason, State
from maintenancebot.report.explain import advice, explain
from maintenancebot.report.figures import size
from maintenancebot.report.slack_blocks import (
    APPROVE,
    DENY,
    SYMBOLS,
    Block,
    Draft,
    Payload,
    button,
    buttons,
    context,
    header,
)

Body = Mapping[str, Json]

LINE = 600
"""Characters of one line."""

ROWS = 10
"""Rows of one kind that are listed."""


class Form(NamedTuple):
    """How a kind of message is told."""

    state: State
    title: str  # words of ours; what it is about stands behind them
    lines: Callable[[Body], Iterable[str]]


def of_telling(kind: str, body: Body, answer: str = "") -> Payload:
    """The message; with an `answer` (who decided what) it stands where the buttons were."""
    form = FORMS.get(kind) or Form(State.UNKNOWN, kind, _all)
    title = ": ".join(part for part in (form.title, _about(body)) if part)
    texts = [_short(text) for text in form.lines(body) if text]
    end = [*_origin(body), *_end(kind, body, answer)]
    draft = Draft()
    draft.add(header(f"{SYMBOLS[form.state]} {title}"))
    draft.add_lines(texts, keep=end)
    draft.add(*end)
    return draft.payload(". ".join([title, *texts[:1]]))


def _about(body: Body) -> str:
    """What it is about: a host and what of it, or a task on several hosts."""
    hosts = body.get("hosts") or ()
    several = f"{len(hosts):,} host{'' if len(hosts) == 1 else 's'}" if hosts else ""
    parts = (body.get("host"), body.get("subject") or body.get("item") or body.get("task"), several)
    return ", ".join(_short(_flat(part)) for part in parts if part)


def _escalated(body: Body) -> Iterable[str]:
    yield _why(body)
    yield _fullness(body)
    yield _flat((body.get("growth") or {}).get("words") or "")
    yield from _rows(body.get("found") or (), _drifted)
    yield from _tried(body)
    yield from _users(body)
    if body.get("diagnosis"):
        yield f"In a model's words: {_flat(body['diagnosis'])}"
    todo = advice(_reason(body))
    yield f"To do: {todo}" if todo else ""


def _healed(body: Body) -> Iterable[str]:
    yield _why(body)
    yield from _tried(body)


def _approval(body: Body) -> Iterable[str]:
    yield _why(body)
    yield from (_flat(note) for note in body.get("notes") or ())
    changes, hosts = body.get("changes") or (), body.get("hosts") or {}
    yield f"Changes: {', '.join(f'{host}: {count}' for host, count in hosts.items())}" if hosts else ""
    yield from map(_change, changes)
    more = sum(hosts.values()) - len(changes)
    yield f"… and {more:,} more, which are approved together with these" if more > 0 else ""


def _contested(body: Body) -> Iterable[str]:
    yield _why(body)
    differing = body.get("differs") or ()
    for key, words in (("wanted", "Declared"), ("found", "Found instead")):
        values = {name: value for name, value in (body.get(key) or {}).items() if name in differing}
        yield f"{words}: {_flat(values)}" if values else ""
    yield f"Corrected within a day: {body['corrections']} times" if body.get("corrections") else ""
    yield f"Who may have written it: {_flat(body['writers'])}" if body.get("writers") else ""
    yield f"Declared in {_flat(body['place'])}" if body.get("place") else ""
    todo = advice(Reason.CONTESTED)
    yield f"To do: {todo}" if todo else ""


def _notified(body: Body) -> Iterable[str]:
    for host, made in (body.get("hosts") or {}).items():
        yield f"{host}: {_counts(made)}"


def _all(body: Body) -> Iterable[str]:
    for key, value in body.items():
        yield f"{key}: {_flat(value)}"


FORMS: Mapping[str, Form] = {
    "escalated": Form(State.FAILED, "A person is needed", _escalated),
    "healed": Form(State.DONE, "Healed", _healed),
    "approval": Form(State.WAITING, "Waits for approval", _approval),
    "contested": Form(State.FAILED, "Corrected, and put back by somebody", _contested),
    "notify": Form(State.DONE, "Done", _notified),
}
"""Each kind of message that is told at once; another one is told key by key."""


def _why(body: Body) -> str:
    return explain(_reason(body), _flat(body.get("detail") or ""))


def _reason(body: Body) -> Reason:
    given = body.get("reason")
    return Reason(given) if given in frozenset(Reason) else Reason.NONE


def _fullness(body: Body) -> str:
    told = [
        f"{disk['percent']} % {when} (inodes {disk['inode_percent']} %)"
        for when, disk in (("before", body.get("before")), ("after", body.get("after")))
        if isinstance(disk, Mapping) and {"percent", "inode_percent"} <= disk.keys()
    ]
    return f"Full: {', '.join(told)}" if told else ""


def _tried(body: Body) -> Iterable[str]:
    tried = body.get("tried") or {}
    if tried.get("counts"):
        yield f"Tried: {_counts(tried['counts'])}"
    yield from _rows(tried.get("changes") or (), _change)


def _change(row: Body) -> str:
    words = " ".join(_flat(row[key]) for key in ("state", "host", "action", "name") if row.get(key))
    undo = f"undo: {_flat(row['undo'])}" if row.get("undo") else ""
    risk = f"risk: {_flat(row['risk'])}" if row.get("risk") else ""
    freed = row.get("freed_now")
    space = f"freed {size(freed)}" if isinstance(freed, int) and freed > 0 else ""
    return "; ".join(part for part in (f"• {words}", explain(_reason(row)), space, risk, undo) if part)


def _drifted(row: Body) -> str:
    words = " ".join(_flat(row[key]) for key in ("state", "item") if row.get(key))
    differs = f"differs in {_flat(row['differs'])}" if row.get("differs") else ""
    return "; ".join(part for part in (f"• {words}", differs, _flat(row.get("note") or "")) if part)


def _users(body: Body) -> Iterable[str]:
    rows = [(kind, row) for kind, rows in (body.get("users") or {}).items() for row in rows if row.get("bytes")]
    largest = sorted(rows, key=lambda one: -one[1]["bytes"])[:ROWS]
    if largest:
        yield "Uses the space:"
    yield from (f"• {kind} {_flat(row.get('path', ''))}: {size(row['bytes'])}" for kind, row in largest)


def _rows(rows: Sequence[Body], told: Callable[[Body], str]) -> Iterable[str]:
    yield from (told(row) for row in rows[:ROWS])
    if len(rows) > ROWS:
        yield f"… and {len(rows) - ROWS:,} more"


def _origin(body: Body) -> list[Block]:
    known = ("alert", "rule", "episode", "run", "requested_by", "digest", "opened_at", "expires_at")
    told = ", ".join(f"{key.removesuffix('_at')} {_flat(body[key])}" for key in known if body.get(key))
    return [context(_short(told))] if told else []


def _end(kind: str, body: Body, answer: str) -> list[Block]:
    if answer:
        return [context(_short(answer))]
    digest = body.get("digest")
    if kind != "approval" or not isinstance(digest, str) or not digest:
        return []
    approve = button(APPROVE, "Approve", digest, style="primary", confirm="Exactly the changes of this plan are made.")
    return [buttons(approve, button(DENY, "Deny", digest, style="danger"))]


def _counts(counts: Json) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items()) if isinstance(counts, Mapping) else ""


def _flat(value: Json) -> str:
    """Any value in words, on one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_flat(item)}" for key, item in value.items() if item not in (None, "", [], {}))
    if isinstance(value, list | tuple):
        return ", ".join(_flat(item) for item in value)
    return value if isinstance(value, str) else str(value)


def _short(text: str) -> str:
    return text if len(text) <= LINE else f"{text[: LINE - 1]}…"
