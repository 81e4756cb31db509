"""Who was logged in at a time, by the records that hosts keep of it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.helper.drift import logins


def record(kind: int, line: bytes, user: bytes, host: bytes, moment: int) -> tuple[Any, ...]:
    row = logins.RECORD.pack(kind, 1, line, b"", user, host, 0, 0, 0, moment, 0, b"", b"")
    return logins.RECORD.unpack(row)


def test_who_was_logged_in_by_wtmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins.platform, "machine", lambda: "x86_64")
    rows = [
        record(logins.BOOT, b"~", b"reboot", b"6.1", 100),
        record(logins.USER, b"pts/0", b"alice", b"10.0.0.1", 200),
        record(logins.USER, b"tty1", b"bob\x1b[2J", b"", 300),
        record(logins.DEAD, b"pts/0", b"", b"", 400),
        record(logins.USER, b"pts/0", b"carol", b"h" * 256, 500),
        record(logins.BOOT, b"~", b"reboot", b"6.1", 600),
        record(logins.USER, b"pts/1", b"dave", b"", 700),
    ]
    assert struct.calcsize(logins.RECORD.format) == 384
    (tmp_path / "wtmp").write_bytes(b"".join(logins.RECORD.pack(*row) for row in rows) + b"half a record")
    monkeypatch.setattr(logins, "WTMP", (str(tmp_path / "wtmp"), str(tmp_path / "none")))
    monkeypatch.setattr(logins, "DATABASE", str(tmp_path / "none"))
    monkeypatch.setattr(logins, "SESSIONS", str(tmp_path / "none"))
    present = logins.Present()
    assert {moment: present.at(moment) for moment in (None, 150, 350, 450, 550, 650, 10**12)} == {
        None: [],
        150: [],
        350: ["alice from 10.0.0.1", "bob?[2J on tty1"],
        450: ["bob?[2J on tty1"],
        550: ["bob?[2J on tty1", f"carol from {'h' * 64}"],
        650: [],
        10**12: ["dave on pts/1"],
    }


def test_who_is_logged_in_by_logind_and_was_by_wtmpdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions/1").write_text("USER=erin\nCLASS=user\nREMOTE_HOST=10.0.0.9\nREALTIME=900000000\n")
    (tmp_path / "sessions/2").write_text("USER=erin\nCLASS=manager\nREALTIME=900000000\n")
    with sqlite3.connect(tmp_path / "wtmp.db") as database:
        database.execute(
            "CREATE TABLE wtmp (ID INTEGER PRIMARY KEY, Type, User, Login, Logout, TTY, RemoteHost, Service)"
        )
        rows = [(3, "frank", 800 * 10**6, 850 * 10**6, "pts/0", "h"), (3, "grace", 800 * 10**6, None, None, None)]
        database.executemany("INSERT INTO wtmp (Type, User, Login, Logout, TTY, RemoteHost) VALUES (?,?,?,?,?,?)", rows)
    monkeypatch.setattr(logins, "WTMP", ())
    monkeypatch.setattr(logins, "DATABASE", str(tmp_path / "wtmp.db"))
    monkeypatch.setattr(logins, "SESSIONS", str(tmp_path / "sessions"))
    present = logins.Present()
    assert present.at(820) == ["grace on no terminal", "frank from h"]
    assert present.at(950) == ["grace on no terminal", "erin from 10.0.0.9"]
