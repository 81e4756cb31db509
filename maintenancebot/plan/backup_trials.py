"""Trial restores: which are due, and what the last one says of a source. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from maintenancebot.model import Action, Change, Host, Json, State, Undo
from maintenancebot.plan.document import make_change
from maintenancebot.settings.sources import BorgSource, FileSource, ResticSource

DAY = 86_400

Restorable = FileSource | ResticSource | BorgSource


def key(label: str) -> str:
    """The name of a source's trials, under which their outcome is remembered."""
    return f"trial restore of {label}"


def verdict(row: Mapping[str, Json] | None, copy: str, now: float) -> tuple[bool, dict[str, Json], str]:
    """Whether this very copy was restored, what to tell of trials, and the fault of the last one that failed."""
    if not row:
        return False, {}, ""
    told: dict[str, Json] = {}
    if row.get("good_at"):
        days = round((now - row["good_at"]) / DAY, 1)
        told = {"restored": {"copy": row["good_copy"], "days_ago": days, "entries": row.get("entries", 0)}}
    fault = f"the last trial restore failed: {row.get('detail', '')}" if row.get("state") == State.FAILED else ""
    return not fault and row.get("good_copy") == copy, told, fault


def due(
    host: Host, task: str, source: object, label: str, data: Mapping[str, Json],
    row: Mapping[str, Json] | None, now: float,
) -> Change | None:  # fmt: skip
    """The trial of a source's newest copy, None when it is not its time."""
    trial = source.restore if isinstance(source, Restorable) else None
    if trial is None or not isinstance(source, Restorable):
        return None
    if row and row.get("state") == State.DONE and now - row["good_at"] < trial.every_days * DAY:
        return None
    evidence = data["evidence"]
    return make_change(
        host.name,
        task,
        Action.TRY_RESTORE,
        name=key(label),
        identity={"source": label, "type": source.type, "copy": str(evidence["id"]), "folder": trial.folder}
        | dict(data["object"]),
        undo=Undo.NONE,
        effect={"unpacked_bytes": evidence.get("bytes", evidence.get("size", 0)), "freed_now": 0},
        note=f"of {evidence.get('path', '')} into a fresh folder below {trial.folder}, which goes again",
    )


def obstacle(source: object, data: Mapping[str, Json], *, is_root: bool) -> str:
    """Why a source that should be tried cannot be, empty when it can."""
    if not isinstance(source, Restorable) or source.restore is None:
        return ""
    evidence = data.get("evidence") or {}
    if isinstance(source, FileSource) and not (evidence.get("format") or evidence.get("content")):
        return "a restore of it cannot be tried: no form that is known here"
    if not data.get("object"):
        return "a restore of a folder is not tried"
    return "" if is_root else "a restore is tried by root alone"
