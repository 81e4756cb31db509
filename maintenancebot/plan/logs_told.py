"""What a cleanup tells besides its changes: why things stay, and what is wrong with the logs of a host. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from maintenancebot.model import Json, Reason, State

SHOWN = 3
"""Lines of one kind in a task's detail; the facts have all."""

PARTS = ("package_cache", "rotate")
HELD_BYTES = 10 * 2**20
CALM = frozenset({"", Reason.MISSING.value, Reason.NOT_INSTALLED.value})
"""Reasons of a pattern or part that are no trouble: there is nothing to look at."""

MEANT_TO_STAY = frozenset(
    reason.value
    for reason in (
        Reason.LOGROTATE_MANAGED,
        Reason.PROTECTED,
        Reason.OWN_FILE,
        Reason.SYMLINK,
        Reason.SPECIAL,
        Reason.HARD_LINKED,
        Reason.VANISHED,
    )
)
"""Why a large log is none of ours."""


def without_changes(told: Mapping[str, Json]) -> tuple[State, Reason]:
    """Nothing to do, unless something could not be looked at, or a log that is too large stays."""
    serious = [reason for reason in _reasons(told) if reason not in CALM]
    if serious:
        return State.UNKNOWN, _reason(serious[0])
    stay = _stuck(told)
    if stay:
        return State.SKIPPED, _reason(str(stay[0]["reason"]))
    return State.NOTHING, Reason.UP_TO_DATE if _looked_at(told) else Reason.NO_MATCH


def detail(told: Mapping[str, Json]) -> str:
    """One line: how much matched, why how much stays, and what is wrong."""
    parts = [_counted(told), *_patterns(told), *_caches(told), *_journals(told), *_first(_growing(told))]
    parts += [*_held_open(told), *_first(list(map(str, told.get("logrotate_problems") or ())))]
    return "; ".join(part for part in parts if part)


def _reasons(told: Mapping[str, Json]) -> list[str]:
    rotate = told.get("rotate") or {}
    rows = [*(told.get("patterns") or ()), *(rotate.get("patterns") or ())]
    rows += [*((told.get("journal") or {}).get("places") or ()), told.get("journal") or {}]
    rows += [told.get(part) or {} for part in PARTS]
    return [str(row.get("reason") or "") for row in rows]


def _looked_at(told: Mapping[str, Json]) -> bool:
    """Whether anything of what the task looks after is on the host."""
    return bool(
        told.get("matched")
        or (told.get("rotate") or {}).get("matched")
        or (told.get("journal") or {}).get("places")
        or "files" in (told.get("package_cache") or {})
    )


def _reason(word: str) -> Reason:
    try:
        return Reason(word)
    except ValueError:
        return Reason.HELPER_ERROR


def _counted(told: Mapping[str, Json]) -> str:
    kept = told.get("kept") or {}
    stay = ", ".join(f"{count} {reason}" for reason, count in sorted(kept.items(), key=lambda one: (-one[1], one[0])))
    return f"{told.get('matched', 0)} matched" + (f"; {stay} stay" if stay else "")


def _patterns(told: Mapping[str, Json]) -> Iterable[str]:
    rows = [*(told.get("patterns") or ()), *((told.get("rotate") or {}).get("patterns") or ())]
    return [f"{row['path']}: {row['reason']}" for row in rows if row.get("reason")]


def _caches(told: Mapping[str, Json]) -> Iterable[str]:
    for name in PARTS:
        part = told.get(name) or {}
        if part.get("reason"):
            yield f"{name}: {part['reason']} {part.get('detail', '')}".strip()


def _journals(told: Mapping[str, Json]) -> Iterable[str]:
    part = told.get("journal") or {}
    for row in [part, *(part.get("places") or ())]:
        if row.get("reason"):
            yield f"{row.get('folder', 'journal')}: {row['reason']} {row.get('detail', '')}".strip()
        elif row.get("folder"):
            yield f"journal {_size(row['bytes'])}, {_size(row['archived_bytes'])} of it archived"


def _stuck(told: Mapping[str, Json]) -> list[Mapping[str, Json]]:
    """Logs that are too large and that a person must look at, without those that are meant to stay."""
    return [row for row in (told.get("rotate") or {}).get("stay") or () if row["reason"] not in MEANT_TO_STAY]


def _growing(told: Mapping[str, Json]) -> list[str]:
    return [
        f"{row['path']}: {row['reason']}" + (f" ({row['detail']})" if row.get("detail") else "") for row in _stuck(told)
    ]


def _held_open(told: Mapping[str, Json]) -> Iterable[str]:
    """Space of deleted files that processes still have open; a little is on every host."""
    rows = [row for row in told.get("deleted_open") or () if row["bytes"] >= HELD_BYTES]
    if rows:
        total = sum(row["bytes"] for row in told.get("deleted_open_totals") or rows)
        files = [f"{row['process']} ({row['pid']}) {row['path']}" for row in rows]
        yield f"{_size(total)} held by deleted files that are open: {', '.join(_first(files))}"


def _first(lines: list[str]) -> list[str]:
    more = len(lines) - SHOWN
    return lines[:SHOWN] + ([f"and {more} more"] if more > 0 else [])


def _size(count: int) -> str:
    """Bytes for people."""
    power = min(max(int(count).bit_length() - 1, 0) // 10, 4)
    return f"{count / 1024**power:,.1f} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}" if power else f"{count} B"
