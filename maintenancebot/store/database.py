"""Connections to the state: one writer at a time, each commit on disk before it returns, readers beside it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, NullPool, StaticPool, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from maintenancebot.errors import StoreError
from maintenancebot.store.tables import metadata

BUSY_MILLISECONDS = 5000


class Database(Protocol):
    """What the parts of the store are handed."""

    def write(self) -> Any:
        """A context with a connection in a transaction that is committed, durably, at its end; raises StoreError."""

    def read(self) -> Any:
        """A context with a connection that sees one state throughout; raises StoreError."""

    def close(self) -> None:
        """Let go of all connections."""


class SqliteFile:
    """An SQLite file that is read and written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _identity(path)
        self._lock = threading.Lock()
        self._writer = _engine(path, "BEGIN IMMEDIATE", "synchronous=FULL", pool_size=1, max_overflow=0)
        self._reader = _engine(path, "BEGIN", "query_only=ON", pool_size=4, max_overflow=64)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction, on disk when the context ends; raises StoreError, and then nothing of it is there."""
        with _told(self.path, "written"), self._lock:
            self._check_place()
            with self._writer.begin() as connection:
                yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A snapshot; raises StoreError."""
        with _told(self.path, "read"):
            self._check_place()
            with self._reader.connect() as connection:
                yield connection

    def close(self) -> None:
        """Let go of all connections; the last one folds the write-ahead log into the file."""
        self._reader.dispose()
        self._writer.dispose()

    def _check_place(self) -> None:
        # Writing to a file that was removed or replaced meanwhile would succeed, and keep nothing.
        if _identity(self.path) != self._file:
            raise StoreError(f"{self.path} was replaced while it was in use; start again")


class SqliteFileReadOnly:
    """An SQLite file that is only read: nothing is made or written beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine = create_engine("sqlite://", creator=self._connect, poolclass=NullPool, hide_parameters=True)
        _begin_with(self._engine, "BEGIN")

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Always raises StoreError."""
        raise StoreError("this command only reads; nothing was written")
        yield

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A snapshot; raises StoreError, also when a writer came in between."""
        with _told(self.path, "read"):
            before = self._signature()
            with self._engine.connect() as connection:
                yield connection
            if before[0] is None and self._signature() != before:
                raise StoreError(f"{self.path} was written to while it was read; try again")

    def close(self) -> None:
        """Nothing is kept open."""
        self._engine.dispose()

    def _connect(self) -> sqlite3.Connection:
        # `mode=ro` makes and leaves a log and an index where there is none; without a log the file itself is
        # complete, and `immutable` reads it as it lies. That nobody wrote meanwhile is checked afterwards.
        mode = "mode=ro" if self._signature()[0] else "immutable=1"
        connection = sqlite3.connect(f"file:{quote(str(self.path))}?{mode}", uri=True, isolation_level=None)
        connection.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
        return connection

    def _signature(self) -> tuple[bool | None, int, int, int]:
        status = self.path.stat()
        log = self.path.with_name(self.path.name + "-wal").exists()
        return log or None, status.st_ino, status.st_size, status.st_mtime_ns


class Empty:
    """The state of a place where nothing was ever kept; only read."""

    def __init__(self, fill: Callable[[Connection], None]) -> None:
        options = {"check_same_thread": False}
        self._lock = threading.Lock()
        self._engine = create_engine("sqlite://", poolclass=StaticPool, connect_args=options)
        with self._engine.begin() as connection:
            metadata.create_all(connection)
            fill(connection)

    write = SqliteFileReadOnly.write

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Empty tables."""
        with self._lock, self._engine.connect() as connection:
            yield connection

    def close(self) -> None:
        """Forget it."""
        self._engine.dispose()


def _engine(path: Path, begin: str, pragma: str, **pool: int) -> Engine:
    engine = create_engine(URL.create("sqlite", database=str(path)), hide_parameters=True, **pool)

    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # we begin, not the driver
        for setting in (f"busy_timeout={BUSY_MILLISECONDS}", "journal_mode=WAL", "foreign_keys=ON", pragma):
            connection.execute(f"PRAGMA {setting}")

    _begin_with(engine, begin)
    return engine


def _begin_with(engine: Engine, statement: str) -> None:
    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)


def _identity(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise StoreError(f"{path} cannot be reached; is its disk there?") from error
    return status.st_dev, status.st_ino


@contextmanager
def _told(path: Path, done: str) -> Iterator[None]:
    """Turn every failure of the database or the disk into a StoreError that says what to do."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        cause = str(error.orig) if isinstance(error, DBAPIError) else str(error)
        raise StoreError(f"{path} cannot be {done}: {cause}; {_advice(cause)}") from error


_ADVICE: tuple[tuple[str, str], ...] = (
    ("malformed", "the file is damaged: restore it from a backup, see docs/state.md"),
    ("not a database", "the file is damaged: restore it from a backup, see docs/state.md"),
    ("full", "free space on its disk"),
    ("disk I/O error", "look at its disk: full, over a quota, or failing"),
    ("locked", "another process keeps it locked; try again"),
    ("readonly", "make the file and its folder writable for this user"),
    ("unable to open", "make the file and its folder accessible for this user"),
)


def _advice(cause: str) -> str:
    return next((advice for sign, advice in _ADVICE if sign in cause), "no change is made without it")
