"""The quarantines of the fleet: read from the hosts' own records, so that they survive the loss of our store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from maintenancebot.model import Finding, Json

OP = "trash"
OBJECTS = ("volume", "image")
"""Forms of what is no file; each has a part of the record under the same name."""


@dataclass(frozen=True)
class TrashItem:
    """An item in a host's trash."""

    id: str
    host: str
    state: str  # held, offloaded: can be restored; lost: its bytes are gone; unreadable: its record is
    path: str  # where it came from
    store: str  # where it lies
    size: int
    allocated: int  # bytes that a purge frees
    quarantined_at: datetime | None
    purge_after: datetime | None
    action: str  # what the change was: quarantine_file or compress_file
    task: str
    run: str
    identity: Mapping[str, Json]
    detail: str = ""
    form: str = "file"  # or gzip, volume, image
    stored_bytes: int = 0  # that it takes on the host
    dev: int = -1  # of the file system where it lies
    offload: str = ""  # where its bytes lie in an object store
    link: str = ""  # what it points to, if it is a link
    holds: Mapping[str, Json] = field(default_factory=dict)  # of a volume or an image: names, labels, sizes


def request(item: str = "") -> Mapping[str, Json]:
    """Arguments for the helper's operation: all items, or one."""
    return {"item": item}


def items(host: str, findings: Iterable[Finding]) -> list[TrashItem]:
    """A host's items, the oldest first."""
    found = [_item(host, finding) for finding in findings if finding.kind == "item"]
    return sorted(found, key=lambda item: (item.quarantined_at is not None, item.quarantined_at or _NEVER, item.id))


def _item(host: str, finding: Finding) -> TrashItem:
    data = finding.data
    identity = data.get("identity")
    identity = dict(identity) if isinstance(identity, Mapping) else {}
    return TrashItem(
        id=finding.subject,
        host=host,
        state=str(data.get("state") or "unreadable"),
        path=str(data.get("path") or ""),
        store=str(data.get("store") or ""),
        size=_number(identity.get("size")),
        allocated=_number(data.get("allocated")),
        quarantined_at=_moment(data.get("quarantined_at")),
        purge_after=_moment(data.get("purge_after")),
        action=str(data.get("action") or ""),
        task=str(data.get("task") or ""),
        run=str(data.get("run") or ""),
        identity=identity,
        detail=str(data.get("detail") or ""),
        form=str(data.get("form") or "file"),
        stored_bytes=_number(data.get("stored_bytes")),
        dev=_number(data.get("dev", -1)),
        offload=str(data.get("offload") or ""),
        link=str(data.get("link") or ""),
        holds=dict(data.get(str(data.get("form"))) or {}) if data.get("form") in OBJECTS else {},
    )


def _number(value: Json) -> int:
    return value if isinstance(value, int) else 0


def _moment(value: Json) -> datetime | None:
    try:
        return datetime.fromtimestamp(value, UTC) if isinstance(value, int) else None
    except (OverflowError, ValueError, OSError):
        return None


_NEVER = datetime.fromtimestamp(0, UTC)
