"""Certificates in files: which files, read without a trace, and whether the private key beside them is theirs."""

import base64
import fnmatch
import itertools
import os
import re
import stat
import time

from ..files import opening
from ..frames import raw, text
from ..host import tools

MOST_FILES = 1000
MOST_LOOKED_AT = 5000
MOST_NAMES = 100000
"""Certificates reported, files read for them, and names seen while patterns are followed: others may add junk."""
MOST_BYTES = 16 * 1024 * 1024
"""Of the certificates in files, and again of those that ports serve: what a host may answer in all is limited."""
MOST_IN_A_FILE = 20
FILE_BYTES = 256 * 1024
BLOCK = re.compile(rb"-----BEGIN (?:X509 )?CERTIFICATE-----\s([^-]*)(-----END (?:X509 )?CERTIFICATE-----)?")
KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
PUBLIC_KEY = re.compile(rb"-----BEGIN PUBLIC KEY-----\n([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----")
KEY_SECONDS = 10


class Source:
    """A certificate file: where the wish to look at it comes from, the key that belongs to it, the names it is for."""

    def __init__(self, origin, key="", names=(), lineage=""):
        self.origins = [origin]
        self.key = key
        self.names = set(names)
        self.lineage = lineage

    def join(self, other):
        """The same file wished for twice."""
        self.origins += [origin for origin in other.origins if origin not in self.origins]
        self.key = self.key or other.key
        self.names |= other.names
        self.lineage = self.lineage or other.lineage


class Looked:
    """What could not be looked at, and what is left of the limits."""

    def __init__(self):
        self.keys = Keys()
        self.names_left = MOST_NAMES
        self.bytes_left = MOST_BYTES
        self.unreadable = []
        self.left_out = 0


def matching(pattern, told, looked):
    """The files that a pattern names; a folder that may not be listed is told unless it is in `told`.

    Links are followed where a pattern names them, since certbot's files are links, but not by `**`: a link to its own
    folder would have no end.
    """
    parts = [part for part in pattern.split("/") if part]
    fixed = next((n for n, part in enumerate(parts) if re.search(r"[*?\[]", part)), len(parts))
    start = "/" + "/".join(parts[:fixed])
    if fixed == len(parts):
        return [start] if os.path.lexists(raw(start)) else []
    if os.path.isdir(raw(start)) and not os.access(raw(start), os.R_OK | os.X_OK):
        if start not in told:
            looked.unreadable.append(start)
        return []
    return (text(path) for path in _match(raw(start), [raw(part) for part in parts[fixed:]], looked))


def _match(start, parts, looked):
    """Paths below a folder that fit the parts of a pattern, in order, until the limit of names."""
    waiting = [(start, 0)]
    while waiting:
        folder, at = waiting.pop()
        if parts[at] == b"**" and at + 1 < len(parts):
            waiting.append((folder, at + 1))
        deep = parts[at] == b"**"
        inner = []
        for name in _listed(folder, looked):
            path = os.path.join(folder, name)
            if not ((deep and name[:1] != b".") or (not deep and _fits(name, parts[at]))):
                continue
            if at + 1 == len(parts):
                yield path
            if deep and os.path.isdir(path) and not os.path.islink(path):
                inner.append((path, at))
            elif not deep and at + 1 < len(parts) and os.path.isdir(path):
                inner.append((path, at + 1))
        waiting += reversed(inner)


def _fits(name, part):
    return fnmatch.fnmatchcase(name, part) and (name[:1] != b"." or part[:1] == b".")


def _listed(folder, looked):
    """The names of a folder in order; above the limit none, and that is told."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in itertools.islice(entries, looked.names_left + 1))
    except OSError:
        return []
    if len(names) > looked.names_left:
        looked.left_out += 1
        names = names[: looked.names_left]
    looked.names_left -= len(names)
    return names


def read(path):
    """The certificates of a PEM file as DER, and whether it holds a private key besides; OSError if it is unreadable.

    A link is followed, since certbot's files are links, and only a regular file is read.
    """
    descriptor = opening.open_file(os.path.realpath(raw(path)))
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("not a regular file")
        data = stream.read(FILE_BYTES)
    found = []
    for body, end in BLOCK.findall(data):
        try:
            found.append(base64.b64decode(b"".join(body.split()), validate=True) if end else b"")
        except ValueError:
            found.append(b"")
    return found, bool(KEY.search(data))


def encoded(chain):
    """Certificates as they travel."""
    return [base64.b64encode(der).decode("ascii") for der in chain]


def report(sources, out, looked, more):
    """Report each certificate: what programs use first, then what a pattern found, where anything may lie.

    `more` says by a source what else is told of it.
    """
    left = MOST_FILES
    order = sorted(sources, key=lambda path: (sources[path].origins == ["configured"], path))
    spoke = time.monotonic()
    for path in order[:MOST_LOOKED_AT]:
        if left <= 0:
            looked.left_out += 1
            continue
        if time.monotonic() - spoke > tools.ALIVE_SECONDS:
            out.alive("looking at certificate files")
            spoke = time.monotonic()
        left -= _report_one(path, sources[path], out, looked, more)
    looked.left_out += max(0, len(order) - MOST_LOOKED_AT)


def _report_one(path, source, out, looked, more):
    """Report one file; whether there was something to report."""
    try:
        chain, has_key = read(path)
    except OSError as error:
        named = source.origins != ["configured"]
        if isinstance(error, PermissionError):
            looked.unreadable.append(path)
        elif named:
            out.finding("certificate", path, where="file", path=path, chain=[], error=str(error.strerror or error))
        return named
    if not chain or len(chain) > MOST_IN_A_FILE:
        return False  # a key, DH parameters, or a bundle of authorities
    looked.bytes_left -= sum(map(len, chain))
    if looked.bytes_left < 0:
        looked.left_out += 1
        return False
    out.finding(
        "certificate",
        path,
        where="file",
        path=path,
        resolved=text(os.path.realpath(raw(path))),
        chain=encoded(chain),
        origins=source.origins,
        names=sorted(source.names),
        key=looked.keys.fit(path, source.key or (path if has_key else ""), out),
        **more(source),
    )
    return True


class Keys:
    """Compares certificates with private keys by their public halves; one hang of openssl is enough."""

    def __init__(self):
        self.failed = 0  # pairs that openssl gave no answer for
        self._program = tools.find("openssl")

    def fit(self, path, key, out):
        """Whether certificate and private key belong together: match, mismatch or unknown."""
        if not key or not os.path.isfile(raw(key)):
            return "unknown"
        of_certificate = self._public(out, "x509", "-in", path, "-noout", "-pubkey")
        of_key = self._public(out, "pkey", "-in", key, "-pubout", "-passin", "pass:")
        if of_certificate is None or of_key is None:
            self.failed += 1
            return "unknown"
        return "match" if of_certificate == of_key else "mismatch"

    def _public(self, out, *words):
        if self._program is None:
            return None
        try:
            answer = tools.run([self._program, *map(raw, words)], out=out, limit=KEY_SECONDS)
        except OSError:
            return None
        if answer.timed_out:
            self._program = None
        found = PUBLIC_KEY.search(answer.stdout) if answer.ok else None
        return found.group(1).split() if found else None
