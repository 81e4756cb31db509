"""The kill switch: a row in the database and a file beside it; either of them stops everything."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import delete, insert, select

from maintenancebot.errors import StoreError
from maintenancebot.plan.document import canonical
from maintenancebot.store import location
from maintenancebot.store.audit import Record, append_in
from maintenancebot.store.database import Database
from maintenancebot.store.tables import guard

NAME = "STOP"
ONLY = 1  # the guard's one row
MOST_TEXT = 4096  # of a stop file that anybody may have written


@dataclass(frozen=True)
class StopInfo:
    """Who stopped everything, why and when."""

    reason: str
    by: str
    at: datetime | None = None


class StopFile:
    """A file that stops everything by being there, whatever is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> StopInfo | None:
        """Who stopped; what cannot be looked at counts as stopped."""
        try:
            status = os.lstat(self.path)
        except FileNotFoundError:
            return None if self.path.parent.is_dir() else StopInfo(f"{self.path.parent} is not there", "maintenancebot")
        except OSError as error:
            return StopInfo(f"{self.path} cannot be looked at: {error.strerror}", "maintenancebot")
        return self._told() or StopInfo(f"{self.path} exists", "a person", datetime.fromtimestamp(status.st_mtime, UTC))

    def write(self, info: StopInfo) -> None:
        """Make the file; on a full disk it may stay empty, and stops all the same. Raises OSError."""
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with contextlib.suppress(OSError):
                os.ftruncate(file, 0)
                os.write(file, canonical({"reason": info.reason, "by": info.by, "at": info.at and info.at.isoformat()}))
                os.fsync(file)
        finally:
            os.close(file)
        _sync_folder(self.path.parent)

    def remove(self) -> None:
        """Take the file away. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        _sync_folder(self.path.parent)

    def _told(self) -> StopInfo | None:
        try:
            with open(self.path, encoding="utf-8", errors="replace", opener=_no_link) as file:
                told = json.loads(file.read(MOST_TEXT))
            at = told["at"] and datetime.fromisoformat(told["at"])
            return StopInfo(str(told["reason"]), str(told["by"]), at)
        except (OSError, ValueError, TypeError, KeyError):
            return None


class Guard:
    """Reads and sets the kill switch."""

    def __init__(self, database: Database, state: Path, files: Sequence[StopFile]) -> None:
        self._database = database
        self._state = state
        self._files = files  # all that are looked at

    def stopped(self) -> StopInfo | None:
        """Who stopped everything, None if nobody did: cheap, asked before every change; fails closed."""
        for file in self._files:
            found = file.read()
            if found is not None:
                return found
        try:
            with self._database.read() as connection:
                row = connection.execute(select(guard.c.reason, guard.c.by, guard.c.set_at)).first()
        except StoreError as error:
            return StopInfo(f"the kill switch cannot be read: {error}", "maintenancebot")
        return StopInfo(row.reason, row.by, row.set_at) if row else None

    def stop(self, reason: str, by: str, *, at: datetime) -> None:
        """Stop everything, by file and by row; raises StoreError when the row cannot be written."""
        stop_by_file(self._state, reason, by, at=at)
        with self._database.write() as connection:
            connection.execute(delete(guard))
            connection.execute(insert(guard), {"id": ONLY, "set_at": at, "by": by, "reason": reason})
            append_in(connection, [Record("stop", "", "", {"by": by, "reason": reason}, at)])

    def resume(self, by: str, *, at: datetime) -> None:
        """Let work go on: row and file are taken away; raises StoreError, and then everything stays stopped."""
        with self._database.write() as connection:
            connection.execute(delete(guard))
            append_in(connection, [Record("resume", "", "", {"by": by}, at)])
            # Inside the transaction: if the file stays, so does the row.
            StopFile(self._state / NAME).remove()


def stop_by_file(state: Path, reason: str, by: str, *, at: datetime) -> bool:
    """Stop everything without a database; whether the file could be written."""
    try:
        location.prepare(state)
        StopFile(state / NAME).write(StopInfo(reason, by, at))
    except (OSError, StoreError):
        return False
    return True


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
