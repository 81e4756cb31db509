"""Dumps of databases as SQL text: what made them, what is in them, whether they came to their end."""

import re

from .streams import Damaged, Empty

DUMPS = (
    ("pg_dump", b"PostgreSQL database dump", (b"PostgreSQL database dump complete",)),
    ("pg_dumpall", b"PostgreSQL database cluster dump", (b"PostgreSQL database cluster dump complete",)),
    ("mysqldump", b"-- MySQL dump", (b"-- Dump completed",)),
    ("mysqldump", b"-- MariaDB dump", (b"-- Dump completed",)),
    ("sqlite3", b"PRAGMA foreign_keys=OFF;", (b"COMMIT;",)),
)
"""Dump program, what its first lines say, what its last lines say when it ended well."""

TAIL = 8192
AFTER = re.compile(rb"[^\n]*(?:\n(?:--[^\n]*|\\unrestrict [^\n]*|[ \t\r]*))*")
"""What may stand after the last words of a dump: comments, and the last line of newer versions of pg_dump."""

LINE = 4096
"""The most that is looked at of one line: what it does stands at its beginning."""

NAME = rb'((?:"(?:[^"\n]|"")*"|`(?:[^`\n]|``)*`|[^\s(;.]+)(?:\.(?:"(?:[^"\n]|"")*"|`(?:[^`\n]|``)*`|[^\s(;.]+))?)'
OPENS = re.compile(
    rb"^(?:(CREATE|INSERT INTO|COPY|USE|\\connect)\b ?([^\n]{0,60000})|(\\\.)\r?$|-- Host: .* Database: (\S+))",
    re.MULTILINE,
)
CREATED = re.compile(
    rb"(?:GLOBAL |LOCAL |TEMPORARY |TEMP |UNLOGGED |FOREIGN )*TABLE (?:IF NOT EXISTS )?(?:ONLY )?" + NAME
)
FILLED = re.compile(NAME)
DATABASE = re.compile(rb"DATABASE (?:/\*.*?\*/ ?)?(?:IF NOT EXISTS ?)?(?:\*/ ?)?" + NAME)
NO_OBJECT = (b"DATABASE", b"SCHEMA", b"ROLE", b"USER", b"EXTENSION")


STATEMENT = re.compile(
    rb"^\s*(?:--|/\*|#|\\|(?:alter|begin|copy|create|delete|delimiter|drop|grant|insert|lock|pragma|replace|select|set|"
    rb"start|update|use|with)\b)",
    re.MULTILINE | re.IGNORECASE,
)
"""How a line of SQL begins; what a dump program says instead of a dump, when it fails, does not begin so."""


def program_of(head):
    """The program that made a dump, what its last line says, by the first bytes; None when it is none.

    What is said first counts: the dump of a cluster holds those of its databases.
    """
    made = [(head.find(first), program, last) for program, first, last in DUMPS if first in head]
    return min(made)[1:] if made else None


def read(feed, program, last, wanted):
    """Read a dump to its end and count what is in it; raises Damaged or Empty."""
    seen, tail, carried = _Seen(wanted), b"", b""
    for chunk in feed.rest():
        tail = (tail + chunk)[-TAIL:]
        lines, found, rest = (carried + chunk).rpartition(b"\n")
        if found:
            seen.lines(lines)
        carried = rest[:LINE] if len(rest) > 16 * LINE else rest
    seen.lines(carried)
    if not any(_ends_with(tail, words) for words in last):
        raise Damaged("%s's last line is missing: the dump was cut off" % program)
    if not seen.objects and not seen.filled:
        raise Empty("%s of a database without tables" % program)
    return {
        "content": program,
        "whole": True,
        "entries": seen.objects,
        "filled": seen.filled,
        "bytes": feed.total,
        "remark": "" if seen.filled else "no table in it has a row",
    }


def _ends_with(tail, words):
    """Whether nothing of a dump comes after these words; another dump that begins there has its own."""
    at = tail.rfind(words)
    return at >= 0 and AFTER.fullmatch(tail, at + len(words)) is not None


class _Seen:
    """Counts of what a dump creates and fills; lines between COPY and its end are data and no statements."""

    def __init__(self, wanted):
        self.objects = self.filled = 0
        self._wanted = wanted
        self._database = b""
        self._copying = None

    def lines(self, data):
        """Whole lines of the dump."""
        for found in OPENS.finditer(data):
            word, rest, end, database = found.groups()
            if end:
                self._copying = None
            elif self._copying is None:
                self._take(word, rest, database)
            if self._copying is False and not end and self._has_row(data, found.end()):
                self._copying = True
                self.filled += 1

    def _has_row(self, data, at):
        """Whether the line after a COPY is a row; one at the end of what was read counts as one."""
        return data[at : at + 4].strip(b"\r\n")[:2] != b"\\."

    def _take(self, word, rest, database):
        if database:
            self._in_database(database)
        elif word == b"CREATE":
            self._create(rest)
        elif word in (b"USE", b"\\connect"):
            self._in_database(_plain(rest.strip(b"; \r").split(b" ")[-1]))
        elif word == b"COPY" and b" FROM stdin" not in rest:
            pass
        else:
            self._name(FILLED.match(rest))
            self._copying = False if word == b"COPY" else None
            self.filled += word == b"INSERT INTO"

    def _create(self, rest):
        database = DATABASE.match(rest)
        if database:
            self._in_database(_plain(database.group(1)))
        if not rest.startswith(NO_OBJECT):
            self.objects += 1
            self._name(CREATED.match(rest))

    def _in_database(self, name):
        self._database = name
        self._wanted.saw(name)

    def _name(self, found):
        if found is None or not self._wanted:
            return
        name = _plain(found.group(1))
        names = [name, name.rpartition(b".")[2]]
        if self._database:
            names += [self._database + b"." + one for one in names]
        self._wanted.saw(*names)


def _plain(name):
    """A name without its quotes; psql's `\\connect` may say dbname='…'."""
    name = name.replace(b'"', b"").replace(b"`", b"")
    return name[8:-1] if name.startswith(b"dbname='") else name
