"""Who was logged in at a time: by wtmp, by wtmpdb where that took its place, and by the sessions that still are."""

import os
import platform
import struct

from .. import frames

WTMP = ("/var/log/wtmp", "/var/log/wtmp.1")
DATABASE = "/var/lib/wtmpdb/wtmp.db"
LOGINS = (
    "SELECT Login / 1000000, Logout / 1000000, User, TTY, RemoteHost FROM wtmp WHERE Type = 3 ORDER BY ID DESC LIMIT ?"
)
SESSIONS = "/run/systemd/sessions"

LONG_RECORDS = ("aarch64", "riscv64", "loongarch64", "sparc64", "alpha")
RECORD = struct.Struct("<hxxi32s4s32s256shhiii16s20s")
LONG_RECORD = struct.Struct("<hxxi32s4s32s256shhiqqq16s20sxxxx")
BOOT, RUN_LEVEL, USER, DEAD = 2, 1, 7, 8
CAP = 8 << 20
MOST = 2000


class Present:
    """All logins that the host still knows of, read when it is first asked."""

    def __init__(self):
        self._spans = None

    def at(self, moment):
        """Who was there then, as `user from host`, or `user on terminal`; empty where nobody knows the time."""
        if moment is None:
            return []
        if self._spans is None:
            self._spans = _of_wtmp() + _of_database() + _of_sessions()
        told = []
        for begin, end, user, terminal, host in self._spans:
            if begin <= moment and (end is None or moment <= end):
                words = "%s from %s" % (user, host) if host else "%s on %s" % (user, terminal or "no terminal")
                told += [] if words in told else [words]
        return told


def _of_wtmp():
    shape = LONG_RECORD if platform.machine() in LONG_RECORDS else RECORD
    records = []
    for path in reversed(WTMP):
        data = _tail(path, shape.size)
        records += [shape.unpack_from(data, at) for at in range(0, len(data) - shape.size + 1, shape.size)]
    return spans(records)


def spans(records):
    """(begin, end or None, user, terminal, host) of each login of wtmp; a boot ends all that were there before."""
    made, here = [], {}
    for record in records:
        kind, line, moment = record[0], record[2], record[9]
        if kind in (USER, DEAD) and line in here:
            made.append(_ended(here.pop(line), moment))
        if kind == BOOT or (kind == RUN_LEVEL and record[4].startswith(b"shutdown")):
            made += [_ended(one, moment) for one in here.values()]
            here = {}
        if kind == USER and record[4].strip(b"\0"):
            here[line] = (moment, None, _text(record[4]), _text(line), _text(record[5]))
    return made + list(here.values())


def _ended(span, moment):
    return (span[0], moment, *span[2:])


def _of_database():
    if not os.path.exists(DATABASE):
        return []
    try:
        import sqlite3
    except ImportError:
        return []
    try:
        database = sqlite3.connect("file:%s?mode=ro&immutable=1" % DATABASE, uri=True)
        try:
            rows = database.execute(LOGINS, (MOST,)).fetchall()
        finally:
            database.close()
    except sqlite3.Error:
        return []
    whole = [row for row in rows if isinstance(row[0], int) and isinstance(row[1], (int, type(None)))]
    return [(row[0], row[1], *(_shown(word) for word in row[2:])) for row in whole]


def _of_sessions():
    """Those that logind still has."""
    try:
        names = os.listdir(SESSIONS)
    except OSError:
        return []
    found = []
    for name in names[:MOST]:
        fields = _fields(SESSIONS + "/" + name)
        if fields.get("USER") and fields.get("CLASS", "user") == "user" and fields.get("REALTIME", "").isdigit():
            begin = int(fields["REALTIME"]) // 1000000
            told = (fields["USER"], fields.get("TTY"), fields.get("REMOTE_HOST"))
            found.append((begin, None, *(_shown(word) for word in told)))
    return found


def _fields(path):
    try:
        with open(path, "rb") as stream:
            lines = frames.text(stream.read(16384)).splitlines()
    except OSError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _tail(path, size):
    """The end of a file, in whole records."""
    try:
        with open(path, "rb") as stream:
            whole = os.fstat(stream.fileno()).st_size // size * size
            stream.seek(max(0, whole - CAP // size * size))
            return stream.read(CAP // size * size)
    except OSError:
        return b""


def _text(field):
    return _shown(frames.text(field.split(b"\0", 1)[0]))


def _shown(word):
    return "".join(letter if letter.isprintable() else "?" for letter in str(word or ""))[:64]
