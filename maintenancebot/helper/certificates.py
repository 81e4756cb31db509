"""Looks at certificates: in files, in certbot's lineages, in web server configurations, and as local ports serve them.

Only certificates leave the host, and they are public; keys are compared here, by their public halves.
"""

import base64
import fnmatch
import itertools
import os
import re
import stat
import time

from . import listeners, opening, tools, webservers
from .frames import raw, text
from .results import Result

LIVE = "/etc/letsencrypt/live"
RENEWAL = "/etc/letsencrypt/renewal"
MOST_FILES = 300
MOST_LOOKED_AT = 5000
MOST_NAMES = 100000
"""Certificates reported, files read for them, and names seen while patterns are followed: others may add junk."""
MOST_IN_A_FILE = 20
FILE_BYTES = 256 * 1024
HANDSHAKE_SECONDS = 3
ALL_HANDSHAKES_SECONDS = 60
MOST_HANDSHAKES = 200
NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")
STARTTLS_PORTS = (25, 587, 143, 110, 5432, 389)
BLOCK = re.compile(rb"-----BEGIN (?:X509 )?CERTIFICATE-----\s.*?-----END (?:X509 )?CERTIFICATE-----", re.DOTALL)
KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
PUBLIC_KEY = re.compile(rb"-----BEGIN PUBLIC KEY-----\n([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----")
KEY_SECONDS = 10
HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+")


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
        self.unreadable = []
        self.unseen = []
        self.not_tls = []
        self.left_out = 0
        self.lacks = []


def probe(args, out):
    """Report a finding for each certificate file and each served certificate. `args`: files (globs), ports."""
    looked = Looked()
    sources, names = _sources(args["files"], looked)
    _report_files(sources, out, looked)
    names |= {source.lineage for source in sources.values() if HOST_NAME.fullmatch(source.lineage)}
    _served(args["ports"], sorted(names), out, looked)
    facts = {"not_tls": looked.not_tls, "unreadable": looked.unreadable[:20], "unseen_ports": looked.unseen}
    facts["certbot"] = _certbot_there()
    facts["not_checked_yet"] = sorted({one.port for one in listeners.listening(STARTTLS_PORTS) if one.seen})
    facts["left_out"] = looked.left_out
    facts["keys_not_compared"] = looked.keys.failed
    if looked.lacks:
        return Result(
            "unknown", "lacks", "this host's python3 has no ssl: what its ports serve was not looked at", facts
        )
    if os.geteuid() != 0 and (looked.unreadable or looked.unseen):
        return Result("ok", "needs_root", "what only root may see was not looked at", facts)
    return Result("ok", "", "", facts)


def _certbot_there():
    return tools.find("certbot") is not None or os.access("/snap/bin/certbot", os.X_OK)


def _sources(patterns, looked):
    """Certificate files by path, and the host names that configurations mention."""
    sources = {}

    def add(path, source):
        if path in sources:
            sources[path].join(source)
        else:
            sources[path] = source

    for path in _lineage_files(looked):
        lineage = os.path.basename(os.path.dirname(path))
        add(path, Source("certbot", os.path.join(os.path.dirname(path), "privkey.pem"), (), lineage))
    sites, unreadable = webservers.sites()
    looked.unreadable += unreadable
    names = set()
    for site in sites:
        wanted = [name for name in site.names if HOST_NAME.fullmatch(name)]
        names.update(wanted)
        for number, path in enumerate(site.certificates):
            add(path, Source(site.server, site.keys[number] if number < len(site.keys) else "", wanted))
    for pattern in patterns:
        for path in _glob(pattern, looked):
            add(path, Source("configured"))
    return sources, names


def _lineage_files(looked):
    try:
        lineages = sorted(os.listdir(LIVE))
    except PermissionError:
        looked.unreadable.append(LIVE)
        return []
    except OSError:
        return []
    return [path for path in (os.path.join(LIVE, name, "fullchain.pem") for name in lineages) if os.path.lexists(path)]


def _glob(pattern, looked):
    """The files that a pattern names; a folder that may not be listed is told.

    Links are followed where a pattern names them, since certbot's files are links, but not by `**`: a link to its own
    folder would have no end.
    """
    parts = [part for part in pattern.split("/") if part]
    fixed = next((n for n, part in enumerate(parts) if re.search(r"[*?\[]", part)), len(parts))
    start = "/" + "/".join(parts[:fixed])
    if fixed == len(parts):
        return [start] if os.path.lexists(raw(start)) else []
    if os.path.isdir(start) and not os.access(start, os.R_OK | os.X_OK):
        if start != LIVE:  # told already
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


def read_certificates(path):
    """The certificates of a PEM file as DER, and whether it holds a private key besides; OSError if it is unreadable.

    A link is followed, since certbot's files are links, and only a regular file is read.
    """
    descriptor = opening.open_file(os.path.realpath(raw(path)))
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("not a regular file")
        data = stream.read(FILE_BYTES)
    found = []
    for block in BLOCK.findall(data):
        body = b"".join(block.split(b"-----")[2].split())
        try:
            found.append(base64.b64decode(body, validate=True))
        except ValueError:
            found.append(b"")
    return found, bool(KEY.search(data))


def _report_files(sources, out, looked):
    """Report each certificate: what programs use first, then what a pattern found, where anything may lie."""
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
        left -= _report_file(path, sources[path], out, looked)
    looked.left_out += max(0, len(order) - MOST_LOOKED_AT)


def _report_file(path, source, out, looked):
    """Report one file; whether there was something to report."""
    try:
        chain, has_key = read_certificates(path)
    except OSError as error:
        named = source.origins != ["configured"]
        if isinstance(error, PermissionError):
            looked.unreadable.append(path)
        elif named:
            out.finding("certificate", path, where="file", path=path, chain=[], error=str(error.strerror or error))
        return named
    if not chain or len(chain) > MOST_IN_A_FILE:
        return False  # a key, DH parameters, or a bundle of authorities
    out.finding(
        "certificate",
        path,
        where="file",
        path=path,
        resolved=text(os.path.realpath(raw(path))),
        chain=[base64.b64encode(der).decode("ascii") for der in chain],
        origins=source.origins,
        names=sorted(source.names),
        lineage=source.lineage,
        renewable=bool(source.lineage) and os.path.isfile(os.path.join(RENEWAL, source.lineage + ".conf")),
        key=looked.keys.fit(path, source.key or (path if has_key else ""), out),
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


def _served(ports, names, out, looked):
    found = listeners.listening(set(ports))
    looked.unseen = sorted({listener.port for listener in found if not listener.seen}) if os.geteuid() != 0 else []
    end = time.monotonic() + ALL_HANDSHAKES_SECONDS
    knocks = []
    for listener in found:
        if listener.address.startswith("fe80:"):
            continue  # says nothing without the interface
        if listener.seen and (listener.address, listener.port) not in knocks:
            knocks.append((listener.address, listener.port))
    if knocks and not _can_tls():
        looked.lacks = ["ssl"]
        return
    left = MOST_HANDSHAKES
    for address, port in knocks:
        for name in ["", *names]:
            if left <= 0 or time.monotonic() > end:
                looked.left_out += 1
                continue
            left -= 1
            if not _report_served(address, port, name, out, looked):
                break


def _can_tls():
    try:
        import ssl  # noqa: F401
    except ImportError:
        return False
    return True


def _report_served(address, port, name, out, looked):
    """Report one handshake; False when it makes no sense to ask this port for more names."""
    import ssl  # late, as in listeners

    out.alive("looking at port %d" % port)
    subject = "%s:%d" % (address, port) + (" " + name if name else "")
    seen = {"where": "served", "address": address, "port": port, "sni": name}
    try:
        chain, whole = listeners.handshake(address, port, name, HANDSHAKE_SECONDS)
    except OSError as error:
        if isinstance(error, ssl.SSLError) and error.reason in NOT_TLS:
            looked.not_tls.append(port)
            return False
        if not name or isinstance(error, ssl.SSLError):
            out.finding("certificate", subject, chain=[], error=str(error)[:200], **seen)
        return isinstance(error, ssl.SSLError)
    encoded = [base64.b64encode(der).decode("ascii") for der in chain]
    out.finding("certificate", subject, chain=encoded, chain_whole=whole, **seen)
    return True


def renew(step, out):
    """Renew one lineage by certbot and look at what the ports serve then."""
    from . import certbot

    return certbot.renew(step, out)


def recall(change):
    """What became of a renewal whose outcome was never recorded."""
    from . import certbot

    return certbot.recall(change)
