"""Asks all sources at once; for one that fails, or lists far fewer hosts than before, its last good answer stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256

from maintenancebot.inventory_sources import AnySource
from maintenancebot.model import Json
from maintenancebot.sources.listing import Listed, Listing, SourceError

KIND = "inventory"
FLEET = ""
"""Where the memory keeps last good answers: under no host."""

HOUR = 3600
MOST_AT_ONCE = 8


Reader = Callable[[AnySource], Listing]
"""Asks one source; raises SourceError, or anything else, when there is no answer."""


@dataclass(frozen=True)
class Gathered:
    """What a source says now, or said last."""

    source: AnySource
    name: str
    hosts: tuple[Listed, ...]
    at: datetime | None  # when it gave this answer; None: never any
    problems: tuple[str, ...] = ()  # for people
    stale: str = ""  # why nothing may be changed on its hosts


def named(sources: Sequence[AnySource]) -> list[tuple[str, AnySource]]:
    """The sources with the names that they have in reports: their own, else their type, numbered where it repeats."""
    found: dict[str, AnySource] = {}
    for source in sources:
        first = source.name or source.type
        name, number = first, 2
        while name in found:
            name, number = f"{first}-{number}", number + 1
        found[name] = source
    return list(found.items())


@dataclass(frozen=True)
class Answers:
    """The answers of all sources in their order, and the rows to remember: good ones, by name of the source."""

    gathered: tuple[Gathered, ...] = ()
    rows: Mapping[str, Json] = field(default_factory=dict)


def gather(sources: Sequence[AnySource], read: Reader, known: Mapping[str, Json], now: datetime) -> Answers:
    """Ask all sources; `known` are the rows that were remembered. Nothing is raised for a source."""
    wanted = named(sources)
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        answers = list(pool.map(lambda pair: _ask(pair[1], read), wanted))
    gathered, rows = [], {}
    for (name, source), answer in zip(wanted, answers, strict=True):
        row = _row_of(known.get(name), source)
        one, keeps = _judge(name, source, answer, row, now)
        gathered.append(one)
        rows[name] = keeps if keeps is not None else row
    return Answers(tuple(gathered), {name: row for name, row in rows.items() if row})


def remembered(source: AnySource, listing: Listing, now: datetime) -> dict[str, Json]:
    """The row of a good answer."""
    hosts = [{"name": one.name, "values": dict(one.values), "groups": list(one.groups)} for one in listing.hosts]
    return {"source": _digest(source), "at": int(now.timestamp()), "hosts": hosts}


def _ask(source: AnySource, read: Reader) -> Listing | str:
    try:
        return read(source)
    except SourceError as error:
        return str(error)
    except Exception as error:  # a plugin's fault, or a library's, spoils its own source alone
        return f"a fault of its reader: {type(error).__name__}"  # its words may hold an address with a token


def _judge(
    name: str, source: AnySource, answer: Listing | str, row: dict[str, Json], now: datetime
) -> tuple[Gathered, dict[str, Json] | None]:
    """What counts of an answer, and the row to remember if it is a new good one."""
    last = _hosts(row)
    if isinstance(answer, str):
        return _last(name, source, f"source {name}: {answer}", row, now), None
    problems = tuple(f"source {name}: {one}" for one in answer.problems)
    if answer.partial:
        names = {host.name for host in answer.hosts}
        missing = tuple(host for host in last if host.name not in names)
        more = (f"source {name}: {len(missing)} hosts are known from {_since(row, now)} alone",) if missing else ()
        at = now if row else None  # whoever the part that is silent has was never known
        return Gathered(source, name, answer.hosts + missing, at, problems + more, _stale(source, row, now)), None
    if last and len(answer.hosts) < source.min_share * len(last):
        said = (
            f"source {name}: {len(answer.hosts)} hosts instead of {len(last)}; "
            f"if that is right: maintenancebot hosts accept {name}"
        )
        return _last(name, source, said, row, now), None
    return Gathered(source, name, answer.hosts, now, problems), remembered(source, answer, now)


def _last(name: str, source: AnySource, why: str, row: dict[str, Json], now: datetime) -> Gathered:
    """The last good answer in place of one that cannot be used."""
    if not row:
        return Gathered(source, name, (), None, (f"{why}; there is no earlier answer",), "")
    said = f"{why}; its hosts are known from {_since(row, now)}"
    return Gathered(source, name, _hosts(row), _at(row), (said,), _stale(source, row, now))


def _stale(source: AnySource, row: dict[str, Json], now: datetime) -> str:
    old = row and now.timestamp() - row["at"] > source.max_age_hours * HOUR
    return f"the list of its servers is from {_since(row, now)}" if old else ""


def _since(row: dict[str, Json], now: datetime) -> str:
    hours = max(0.0, now.timestamp() - row["at"]) / HOUR if row else 0.0
    return f"{hours:.0f} hours ago" if hours >= 1 else "less than an hour ago"


def _at(row: dict[str, Json]) -> datetime:
    return datetime.fromtimestamp(row["at"], UTC)


def _row_of(row: Json, source: AnySource) -> dict[str, Json]:
    """The row, unless it is of another definition of the source, or not as we write it."""
    try:
        if row["source"] == _digest(source) and isinstance(row["at"], int) and _hosts(row) is not None:
            return dict(row)
    except (KeyError, TypeError):
        pass
    return {}


def _hosts(row: Mapping[str, Json]) -> tuple[Listed, ...]:
    rows = row["hosts"] if row else ()
    return tuple(Listed(str(one["name"]), dict(one["values"]), tuple(one["groups"])) for one in rows)


def _digest(source: AnySource) -> str:
    """What makes it this source: not how long it may take or how far it is believed."""
    return sha256(
        source.model_dump_json(exclude={"timeout", "max_age_hours", "min_share", "name"}).encode()
    ).hexdigest()
