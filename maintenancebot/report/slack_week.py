"""A week's summary in Slack: one message that names all trouble, and a thread with the detail by host group.

What needs a person and the figures come first and are never left out; what does not fit follows in the thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain, islice

from maintenancebot.model import Reason, State
from maintenancebot.report import week_lines
from maintenancebot.report.explain import explain
from maintenancebot.report.slack_blocks import (
    REVIEWED,
    SYMBOLS,
    TEXT,
    Block,
    Draft,
    Payload,
    button,
    buttons,
    context,
    fields,
    fit,
    header,
    heading,
    lines,
    said,
)
from maintenancebot.report.week import Forecast, HostWeek, Line, Week

REPLIES = 20
"""Messages of a thread: Slack takes about one a second, and nobody reads more."""

DETAIL = 200
"""Characters of a detail, a subject or an advice in one line."""

OF_ONE_HOST = 10
"""Lines about one host in the thread."""

NAMES = 2500
"""Characters of hosts that are named in one go."""

CHANGED, DISKS = 8, 5
"""Lines of these parts; the page has them all."""

Part = tuple[str, Sequence[str]]
"""A title, and lines below it."""


def of_week(week: Week, prose: str = "") -> list[Payload]:
    """The main message first, then the replies of its thread; `prose` is what a model said of it, checked already.

    The same facts give the same messages in the same order, so that what was not sent can be sent later.
    """
    needs = week_lines.needs_person(week)
    main, left = _main(week, needs, prose)
    replies = (reply for title, texts in chain(left, _groups(week, needs)) for reply in _replies(week, title, texts))
    return [main, *_bounded(week, list(islice(replies, REPLIES + 1)))]


def _main(week: Week, needs: Sequence[Line], prose: str) -> tuple[Payload, list[Part]]:
    """The message, and the parts that did not fit into it."""
    end = [buttons(button(REVIEWED, "Reviewed", week.week))]
    figures = _figures(week)
    draft, left = Draft(), []
    draft.add(header(_title(week)), said(_short(week.headline)), context(week_lines.period(week)))
    _add_needs(draft, needs, [*figures, *end])
    draft.add(*figures, keep=end)
    for title, texts in _others(week, prose):
        if texts and not draft.add(heading(title), *lines(texts), keep=end):
            left.append((title, texts))
    draft.add(*end)
    return draft.payload(_fallback(week, needs)), left


def _add_needs(draft: Draft, needs: Sequence[Line], keep: Sequence[Block]) -> None:
    """Each line if they all fit, else one for each reason with its hosts, as many as fit: the thread has each line."""
    title = heading(f"Needs a person: {len(needs):,}" if needs else "Nothing needs a person")
    if draft.add(title, *lines(map(_line, needs)), keep=keep):
        return
    draft.add(title)
    for named in (len(needs), 100, 30, 10, 3):
        if draft.add(*lines(_by_reason(needs, named)), keep=keep):
            return
    draft.add_lines(_by_reason(needs, 1), keep=keep)


def _by_reason(needs: Sequence[Line], named: int) -> list[str]:
    """All hosts of a reason, worst reason first: `failed, unreachable: web1, web2 and 45 more`."""
    hosts: dict[tuple[State, Reason], dict[str, None]] = {}
    for line in needs:
        hosts.setdefault((line.state, line.reason), {})[line.host or "maintenancebot"] = None
    return [told for (state, reason), names in hosts.items() for told in _named(state, reason, list(names), named)]


def _named(state: State, reason: Reason, names: Sequence[str], named: int) -> list[str]:
    what = ": ".join(part for part in (state.value, explain(reason)) if part)
    told, more = _joined(names[:named]), len(names) - named
    if more > 0:
        told[-1] += f" and {more:,} more"
    return [f"{SYMBOLS[state]} {what}: {piece}" for piece in told]


def _joined(names: Sequence[str]) -> list[str]:
    """The names with commas, in pieces that a section takes."""
    pieces = [""]
    for name in (_short(name) for name in names):
        if pieces[-1] and len(fit(pieces[-1], TEXT)) + len(fit(name, TEXT)) > NAMES:
            pieces.append("")
        pieces[-1] += f", {name}" if pieces[-1] else name
    return pieces


def _others(week: Week, prose: str) -> list[Part]:
    """What stands below the figures, the most important first."""
    changed = [f"{SYMBOLS[line.state]} {week_lines.told(_cut(line))}" for line in week.changed[:CHANGED]]
    more = len(week.changed) - CHANGED
    disks = [_disk(disk) for disk in week.disks if disk.days is not None][:DISKS]
    return [
        ("Otherwise than the week before", [*changed, *([f"… and {more:,} more"] if more > 0 else [])]),
        ("Disks that fill up", disks),
        ("In a model's words, held against the facts above", [line for line in prose.splitlines() if line.strip()]),
    ]


def _groups(week: Week, needs: Sequence[Line]) -> Iterable[Part]:
    """What is told of each group of hosts: its trouble line by line, and who is well."""
    about: dict[str, list[Line]] = {}
    for line in needs:
        about.setdefault(line.host, []).append(line)
    if "" in about:
        yield "The fleet and the bot itself", _about_one(about.pop(""))
    calm: list[str] = []
    for group, hosts in week_lines.by_group(week.hosts):
        title = group or "Hosts without a group"
        troubled = [host for host in hosts if host.host in about]
        well = _calm([host for host in hosts if host.host not in about])
        if troubled:
            yield title, [*(text for host in troubled for text in _about_one(about.pop(host.host))), *well]
        else:
            calm += [f"{title}: {text}" for text in well]
    if about:
        yield "Other hosts", [text for found in about.values() for text in _about_one(found)]
    if calm:
        yield "All other groups", calm


def _about_one(needs: Sequence[Line]) -> list[str]:
    more = len(needs) - OF_ONE_HOST
    told = [_line(line) for line in needs[:OF_ONE_HOST]]
    return [*told, f"… and {more:,} more about {_short(needs[0].host)}"] if more > 0 else told


def _calm(hosts: Sequence[HostWeek]) -> list[str]:
    """The hosts that need nobody, by their states."""
    states: dict[State, list[str]] = {}
    for host in hosts:
        states.setdefault(host.state, []).append(host.host)
    return [f"{SYMBOLS[state]} {state.value}: {piece}" for state, names in states.items() for piece in _joined(names)]


def _replies(week: Week, title: str, texts: Sequence[str]) -> Iterable[Payload]:
    """The part in as many messages as it takes."""
    while texts:
        draft = Draft()
        draft.add(header(title))
        taken = draft.add_lines(texts)
        yield draft.payload(f"{week.name}, {week.week}: {title}")
        texts = texts[taken:]


def _bounded(week: Week, replies: Sequence[Payload]) -> Sequence[Payload]:
    if len(replies) <= REPLIES:
        return replies
    draft = Draft()
    draft.add(said(f"The rest would be too much for a thread: maintenancebot summary --week {week.week}"))
    return [*replies[: REPLIES - 1], draft.payload(f"{week.name}, {week.week}: there is more than a thread takes")]


def _figures(week: Week) -> list[Block]:
    told = fields(map(week_lines.figure_in_words, week_lines.figures(week)))
    return [heading("The week in figures"), *told] if told else []


def _line(line: Line) -> str:
    return f"{SYMBOLS[line.state]} {week_lines.sentence(_cut(line))}"


def _cut(line: Line) -> Line:
    return replace(line, subject=_short(line.subject), detail=_short(line.detail), action=_short(line.action))


def _disk(disk: Forecast) -> str:
    return f"{_short(disk.host)}, {_short(disk.mount)}: {disk.percent:.0f} % used, {week_lines.forecast(disk)}"


def _title(week: Week) -> str:
    return f"{SYMBOLS[week.state]} {_short(week.name)}, week {week.week}: {week.state.value}"


def _fallback(week: Week, needs: Sequence[Line]) -> str:
    """What a notification shows: the verdict, and who needs somebody."""
    hosts = ", ".join(dict.fromkeys(line.host for line in needs if line.host))
    return f"{week.name}, week {week.week}: {week.headline}" + (f" Needs a person: {hosts}" if hosts else "")


def _short(text: str) -> str:
    return text if len(text) <= DETAIL else f"{text[: DETAIL - 1]}…"
