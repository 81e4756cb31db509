"""Opening the state: made once, checked each time, never replaced by an empty one."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from sqlalchemy import Connection, insert, inspect, select, text

from maintenancebot.errors import StoreError
from maintenancebot.store import migrations
from maintenancebot.store.audit import origin
from maintenancebot.store.database import Database, Empty, SqliteFile, SqliteFileReadOnly
from maintenancebot.store.tables import audit_head, identity

NAME = "state.db"
MARKER = "initialised"
RESTORE = "restore it from a backup, see docs/state.md"


def open_file(state: Path, path: Path, *, create: bool) -> SqliteFile:
    """The database for reading and writing, in its newest form; raises StoreError."""
    if not _exists(path):
        _refuse_after_use(state, path)
        if not create:
            raise StoreError(f"there is no state in {state} yet; the first `maintenancebot run` makes it")
        _make(path)
    _refuse_empty(path)
    database = SqliteFile(path)
    try:
        _check_content(database, path)
        _bring_up_to_date(database, path)
        _check_marker(database, state, path)
        _write_marker(database, state)
    except BaseException:
        database.close()
        raise
    return database


def open_read_only(state: Path, path: Path) -> Database:
    """The database for reading, nothing is written; an empty one where nothing was ever kept. Raises StoreError."""
    if not _exists(path):
        _refuse_after_use(state, path)
        return Empty(_first_rows)
    _refuse_empty(path)
    database = SqliteFileReadOnly(path)
    _check_content(database, path)
    revision = _revision(database, path)
    if revision != migrations.REVISIONS[-1]:
        raise StoreError(f"{path} has the older form {revision}; the next `maintenancebot run` renews it")
    _check_marker(database, state, path)
    return database


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise StoreError(f"{path} cannot be looked at; use the account that runs maintenancebot") from error


def _refuse_after_use(state: Path, path: Path) -> None:
    signs = [state / MARKER, path.with_name(path.name + "-wal")]
    for sign in signs:
        if os.path.lexists(sign):
            raise StoreError(
                f"the state {path} is missing, but {sign} shows that there was one: {RESTORE}. "
                "Only if its audit log and unfinished work may be forgotten, move that file away"
            )


def _refuse_empty(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise StoreError(f"{path} cannot be reached; is its disk there?") from error
    if size == 0:
        raise StoreError(f"{path} is empty, which no state ever is: {RESTORE}")


def _check_content(database: Database, path: Path) -> None:
    with database.read() as connection:
        found = connection.execute(text("PRAGMA quick_check(1)")).scalar()
    if found != "ok":
        raise StoreError(f"{path} is damaged ({found}): {RESTORE}")


def _revision(database: Database, path: Path) -> str:
    with database.read() as connection:
        tables = inspect(connection).get_table_names()
        if not {"alembic_version", "identity", "audit", "audit_head"} <= set(tables):
            raise StoreError(f"{path} is no state of maintenancebot; name another place with --state-dir")
        revision = str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())
    if revision not in migrations.REVISIONS:
        raise StoreError(f"{path} was written by a newer maintenancebot (form {revision}); use that one")
    return revision


def _bring_up_to_date(database: SqliteFile, path: Path) -> None:
    if _revision(database, path) != migrations.REVISIONS[-1]:
        with database.write() as connection:
            migrations.upgrade(connection)


def _check_marker(database: Database, state: Path, path: Path) -> None:
    marker = state / MARKER
    try:
        known = marker.read_text("ascii", "replace").strip() if marker.exists() else ""
    except OSError as error:
        raise StoreError(f"{marker} cannot be read") from error
    if known not in ("", _store_id(database)):
        raise StoreError(f"{path} is not the state that was kept here before (see {marker}): {RESTORE}")


def _write_marker(database: Database, state: Path) -> None:
    marker = state / MARKER
    try:
        if not marker.exists() or marker.stat().st_size == 0:
            _write_durably(marker, f"{_store_id(database)}\n")
    except OSError as error:
        raise StoreError(f"{marker} cannot be written") from error


def _store_id(database: Database) -> str:
    with database.read() as connection:
        return str(connection.scalar(select(identity.c.store_id)))


def _make(path: Path) -> None:
    """Make the database beside its place and put it there whole, so that a crash leaves none or all of it."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        _fill(draft)
        # Fails if another process was quicker; then its database is the one.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        _sync(path.parent)
    except OSError as error:
        raise StoreError(f"the state {path} cannot be made") from error
    finally:
        for ending in ("", "-wal", "-shm", "-journal"):
            draft.with_name(draft.name + ending).unlink(missing_ok=True)


def _fill(path: Path) -> None:
    database = SqliteFile(path)
    try:
        with database.write() as connection:
            migrations.upgrade(connection)
            _first_rows(connection)
    finally:
        database.close()


def _first_rows(connection: Connection) -> None:
    store_id = secrets.token_hex(16)
    connection.execute(insert(identity), {"id": 1, "store_id": store_id, "probed": ""})
    connection.execute(insert(audit_head), {"id": 1, "rows": 0, "hash": origin(store_id)})


def _write_durably(path: Path, content: str) -> None:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    with draft.open("w", encoding="ascii") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
