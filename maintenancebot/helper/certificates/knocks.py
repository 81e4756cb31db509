"""Asks local ports and configured endpoints for their certificates, name by name, each within bounds."""

import os
import threading
import time

from ..host import listeners
from . import handshake
from .certificate_files import MOST_BYTES, encoded

HANDSHAKE_SECONDS = 3
ALL_HANDSHAKES_SECONDS = 60
MOST_HANDSHAKES = 2000
MOST_SILENT = 2
"""So many names without an answer, and a port is asked for no more of them."""
FOR_ANYBODY = 1024
"""From this port on anybody may listen: these come last, so that they use up no limit that others need."""
ENDPOINT_SECONDS = 15
ENDPOINTS_AT_ONCE = 20
POLL_SECONDS = 2


class Knock:
    """One place to ask: names with the files that the configuration has for them, and further names."""

    def __init__(self, address, port, protocol, everywhere):
        self.address, self.port, self.protocol = address, port, protocol
        self.everywhere = everywhere
        self.expected = {}
        self.further = set()

    @property
    def names(self):
        """The nameless greeting first, then what is configured here."""
        return ["", *sorted(self.expected), *sorted(self.further - set(self.expected))]


class Answers:
    """What could not be asked, and what spoke something else."""

    def __init__(self):
        self.unseen = []
        self.elsewhere = []
        self.not_tls = []
        self.not_offered = []
        self.lacks = []
        self.left_out = 0
        self.bytes_left = MOST_BYTES
        self.trusts = {}


def local(ports, sites, lineages, out):
    """Report what every local listener serves. `ports`: port to protocol; `lineages`: their host names."""
    answers = Answers()
    found = listeners.listening(set(ports))
    if os.geteuid() != 0:
        answers.unseen = sorted({one.port for one in found if not one.seen})
    knocks = _knocks([one for one in found if one.seen], ports, sites)
    answers.elsewhere = sorted({knock.address for knock in knocks if not listeners.is_here(knock.address)})
    knocks = [knock for knock in knocks if knock.address not in answers.elsewhere]
    _name(knocks, sites, lineages)
    if knocks and not _can_tls():
        answers.lacks = ["ssl"]
        return answers
    end, left = time.monotonic() + ALL_HANDSHAKES_SECONDS, MOST_HANDSHAKES
    for knock in sorted(knocks, key=lambda knock: knock.port >= FOR_ANYBODY):
        left -= _ask_all(knock, left, end, out, answers)
    return answers


def _knocks(found, ports, sites):
    """The places to ask: where something listens, and each address of it that a configuration names by itself."""
    knocks = {}
    for one in found:
        if one.address.startswith("fe80:"):
            continue  # says nothing without the interface
        protocol = ports[one.port]
        knocks.setdefault((one.address, one.port), Knock(one.address, one.port, protocol, one.everywhere))
        for address, port in (place for site in sites for place in site.listens):
            if one.everywhere and address and port == one.port and (":" in address) == (":" in one.address):
                knocks.setdefault((address, port), Knock(address, port, protocol, False))
    return list(knocks.values())


def _name(knocks, sites, lineages):
    """Say which names are asked for where: a site's where it listens, and where that is not known, everywhere."""
    for site in sites:
        here = [knock for knock in knocks if _listens_at(site, knock)]
        for name in site.names:
            for knock in here:
                knock.expected.setdefault(name, []).extend(site.certificates)
            for knock in knocks if not here else ():
                knock.further.add(name)
    for knock in knocks:
        knock.further |= set(lineages)


def _listens_at(site, knock):
    return (knock.address, knock.port) in site.listens or (
        ("", knock.port) in site.listens and (knock.everywhere or site.server == "apache")
    )


def _can_tls():
    try:
        import ssl  # noqa: F401
    except ImportError:
        return False
    return True


def _ask_all(knock, left, end, out, answers):
    """Ask one place for all names; how many handshakes that were."""
    asked = silent = 0
    for name in knock.names:
        if asked >= left or time.monotonic() > end or silent >= MOST_SILENT:
            answers.left_out += len(knock.names) - asked
            break
        asked += 1
        out.alive("looking at port %d" % knock.port)
        fault = _report(knock, name, out, answers)
        if fault in ("not_tls", "not_offered", "garbled", "unreachable") or (fault == "hung" and not name):
            break
        silent += fault == "hung"
    return asked


def _report(knock, name, out, answers):
    """Report one handshake and return its fault, empty for none.

    A port that speaks something else, or stays with clear text, is no fault of a certificate: it is listed.
    """
    subject = "%s:%d" % (knock.address, knock.port) + (" " + name if name else "")
    seen = {"where": "served", "address": knock.address, "port": knock.port, "sni": name, "protocol": knock.protocol}
    if name in knock.expected:
        seen.update(configured=True, expected=sorted(set(knock.expected[name]))[:20])
    try:
        chain, whole, trust = _ask(knock, name, answers)
        answers.bytes_left -= sum(map(len, chain))
        if answers.bytes_left < 0:
            answers.left_out += 1
        else:
            _finding(out, subject, seen, chain, whole, trust)
        return ""
    except OSError as error:
        fault = handshake.fault_of(error)
        if fault in ("not_tls", "not_offered") or (fault == "garbled" and knock.protocol != "tls"):
            told = answers.not_offered if fault == "not_offered" else answers.not_tls
            told.append(knock.port)
            return fault
        out.finding("certificate", subject, chain=[], fault=fault, error=_words(error, knock.protocol), **seen)
        return fault


def _words(error, protocol):
    return ("" if protocol == "tls" else protocol + ": ") + str(error)[:200]


def _ask(knock, name, answers):
    return _look(knock.address, knock.port, name, knock.protocol, answers.trusts, HANDSHAKE_SECONDS)


def _look(address, port, name, protocol, trusts, limit):
    """Certificates, whether that is the whole chain, and what the host's store says, asked once for each chain."""
    chain, whole = handshake.served(address, port, name, limit, protocol)
    key = (address, port, tuple(chain))
    if key not in trusts:
        trusts[key] = handshake.trust(address, port, name, limit, protocol)
    return chain, whole, trusts[key]


def _finding(out, subject, seen, chain, whole, trust):
    out.finding("certificate", subject, chain=encoded(chain), chain_whole=whole, trust=trust, **seen)


def endpoints(wanted, out):
    """Report what configured endpoints serve, many at once; how many there was no time for."""
    if wanted and not _can_tls():
        return len(wanted)
    end = time.monotonic() + ALL_HANDSHAKES_SECONDS
    for start in range(0, len(wanted), ENDPOINTS_AT_ONCE):
        if time.monotonic() > end:
            return len(wanted) - start
        _together(wanted[start : start + ENDPOINTS_AT_ONCE], out)
    return 0


def _together(wanted, out):
    """A name service that hangs must not hold up the rest: each has a thread, and what does not end is left behind."""
    answers = [None] * len(wanted)
    threads = [threading.Thread(target=_endpoint, args=(one, answers, at)) for at, one in enumerate(wanted)]
    for thread in threads:
        thread.daemon = True
        thread.start()
    end = time.monotonic() + ENDPOINT_SECONDS
    while any(thread.is_alive() for thread in threads) and time.monotonic() < end:
        out.alive("looking at endpoints")
        next(thread for thread in threads if thread.is_alive() or thread is threads[-1]).join(POLL_SECONDS)
    for at, one in enumerate(wanted):
        _tell_endpoint(one, answers[at], out)


def _endpoint(one, answers, at):
    limit = ENDPOINT_SECONDS / 3.0  # connected to, asked, and judged
    name = one["name"] or ("" if listeners.is_address(one["address"]) else one["address"])
    try:
        answers[at] = _look(one["address"], one["port"], name, one["protocol"], {}, limit)
    except OSError as error:
        answers[at] = error
    except ValueError as error:  # a name that cannot be written for the network
        answers[at] = OSError(str(error))


def _tell_endpoint(one, answer, out):
    subject = "%s:%d" % (one["address"], one["port"]) + (" " + one["name"] if one["name"] else "")
    seen = {"where": "endpoint", "address": one["address"], "port": one["port"], "protocol": one["protocol"]}
    seen.update(sni=one["name"] or one["address"], configured=True)
    if isinstance(answer, tuple):
        _finding(out, subject, seen, *answer)
        return
    fault = handshake.fault_of(answer) if answer else "hung"
    words = _words(answer, one["protocol"]) if answer else "timed out"
    out.finding("certificate", subject, chain=[], fault=fault, error=words, **seen)
