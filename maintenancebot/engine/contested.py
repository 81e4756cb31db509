"""Tells people of declared items that somebody else keeps putting back: each once a day, with both values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from maintenancebot.model import HostReport, Json, Reason, TaskType
from maintenancebot.store import Store

CONTESTED = "contested"
"""Kind of the message."""

KIND = "drift_contested"
"""Of the rows in the memory: by item, when people were told of it."""

EVERY = timedelta(days=1)


def tell(hosts: Sequence[HostReport], run: str, store: Store, at: datetime) -> None:
    """Put a message for each contested item that nobody was told of within a day; raises StoreError."""
    for host in hosts:
        rows = [row for task in host.tasks if task.type is TaskType.DRIFT for row in task.facts.get("contested", ())]
        if rows:
            _tell(host.host, rows, run, store, at)


def _tell(host: str, rows: Sequence[Mapping[str, Json]], run: str, store: Store, at: datetime) -> None:
    known = store.memories.read(host, KIND)
    told = {item: when for item, when in known.items() if at - datetime.fromisoformat(when) < EVERY}
    new = [row for row in rows if row["item"] not in told]
    for row in new:
        # The key holds when it was told before: should we end right here, the next one puts the same message.
        key = f"contested:{host}:{row['item']}:{known.get(row['item'], '')}"
        store.messages.put(key, CONTESTED, _body(host, row, run), at=at)
    store.memories.keep(host, KIND, {**told, **{row["item"]: at.isoformat() for row in new}}, at=at)


def _body(host: str, row: Mapping[str, Json], run: str) -> dict[str, Json]:
    about = {key: row[key] for key in ("item", "wanted", "found", "differs", "writers", "corrections", "place")}
    return {"host": host, "run": run, "reason": Reason.CONTESTED.value, "detail": row["note"], **about}
