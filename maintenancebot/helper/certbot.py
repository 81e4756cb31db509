"""Renews one lineage by certbot, never forced, and believes only the serial number that the ports serve afterwards."""

import itertools
import os
import re
import subprocess
import tempfile
import time

from . import certificates, listeners, tools
from .results import outcome, outcomes

NAME = re.compile(r"[A-Za-z0-9*_][A-Za-z0-9.*_-]*")
RUN_SECONDS = 900
SERVED_SECONDS = 20
NOT_DUE = re.compile(r"not (?:yet )?due for renewal|No renewals were attempted", re.IGNORECASE)
BUSY = "Another instance of Certbot is already running"
CONFIG = re.compile(r"^\s*(authenticator|pre_hook|http01_port)\s*=\s*(.+?)\s*$", re.MULTILINE)
TELLING = tuple(re.compile(w, re.IGNORECASE) for w in ("^detail:", "with error:", "error|fail|unable|could not"))
NOISE = re.compile(r"^(- )+-?$|^\s*$|Ask for help or search|See the logfile|Saving debug log")


def renew(step, out):
    """Renew each lineage of the step; certbot goes on by itself should we be ended meanwhile."""
    if os.geteuid() != 0:
        return outcomes(step["changes"], "skipped", "needs_root")
    return [_renew(change, out) for change in step["changes"]]


def recall(change):
    """Whether the lineage has another serial number by now; what its ports serve was not seen, so it stays unknown."""
    planned = change["object"]
    now = lineage_serial(planned["lineage"])
    if now is None:
        return outcome(change["id"], "unknown", "vanished", "there is no such lineage any more")
    said = "the lineage still has the planned certificate" if now == planned["serial"] else "the lineage has a new one"
    return outcome(change["id"], "unknown", "unfinished", said, serial_after=now)


def serial_of(der):
    """The serial number of a certificate in hex; ValueError when it is none."""
    try:
        inside = _value(_value(der, 0x30)[0], 0x30)[0]
        if inside[0] == 0xA0:  # the version
            inside = _value(inside, 0xA0)[1]
        return format(int.from_bytes(_value(inside, 0x02)[0], "big", signed=True), "x")
    except IndexError:
        raise ValueError("not a certificate") from None


def _value(data, tag):
    """The value of the first element, and what follows it."""
    if data[0] != tag:
        raise ValueError("not a certificate")
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    if start + length > len(data):
        raise ValueError("not a whole certificate")
    return data[start : start + length], data[start + length :]


def lineage_serial(lineage):
    """The serial number of a lineage's present certificate, None when there is none to read."""
    try:
        chain, _ = certificates.read_certificates(os.path.join(certificates.LIVE, lineage, "fullchain.pem"))
        return serial_of(chain[0])
    except (OSError, IndexError, ValueError):
        return None


def _renew(change, out):
    planned, number = change["object"], change["id"]
    lineage = planned["lineage"]
    program = tools.find("certbot") or ("/snap/bin/certbot" if os.access("/snap/bin/certbot", os.X_OK) else None)
    if program is None:
        return outcome(number, "skipped", "not_installed", "there is no certbot")
    if not NAME.fullmatch(lineage):
        return outcome(number, "failed", "not_allowed", "not a lineage's name")
    before = lineage_serial(lineage)
    if before is None:
        return outcome(number, "skipped", "vanished", "there is no such lineage any more")
    if before != planned["serial"]:
        return outcome(number, "skipped", "changed_since", "renewed by somebody else meanwhile", serial_before=before)
    conflict = _port_conflict(lineage)
    if conflict:
        return outcome(number, "failed", "renewal_failed", conflict, serial_before=before)
    code, said = _run(program, lineage, out)
    return _judge(number, planned, code, said, before, out)


def _port_conflict(lineage):
    """certbot's own web server needs its port: see the conflict before it fails half-way."""
    try:
        with open(os.path.join(certificates.RENEWAL, lineage + ".conf"), encoding="utf-8", errors="replace") as stream:
            settings = dict(CONFIG.findall(stream.read(65536)))
    except OSError:
        return "there is no renewal configuration for this lineage"
    if settings.get("authenticator") != "standalone" or settings.get("pre_hook"):
        return ""
    port = settings.get("http01_port", "80")
    if port.isdigit() and listeners.listening({int(port)}):
        return "certbot's standalone server needs port %s, which something listens on" % port
    return ""


def _run(program, lineage, out):
    """certbot's exit code (None while it still runs) and its words, through a file that outlives us."""
    argv = [program, "renew", "--cert-name", lineage, "--non-interactive", "--no-random-sleep-on-renew"]
    with tempfile.TemporaryFile(dir="/run") as words:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
            env=tools.environment(),
            cwd="/",
            preexec_fn=_own_session,
        )
        end = time.monotonic() + RUN_SECONDS
        while process.poll() is None and time.monotonic() < end:
            out.alive("certbot")
            _wait(process, tools.ALIVE_SECONDS)
        words.seek(max(0, words.seek(0, os.SEEK_END) - 65536))
        return process.poll(), words.read().decode("utf-8", "replace")


def _own_session():
    os.setsid()
    os.umask(0o022)  # ours is tighter, and hooks copy certificates for others to read


def _wait(process, seconds):
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        pass


def _judge(number, planned, code, said, before, out):
    after = lineage_serial(planned["lineage"])
    measured = {"serial_before": before, "serial_after": after, "exit_code": code}
    if code is None:
        return outcome(number, "unknown", "timeout", "certbot still runs and was left alone", **measured)
    if after is None:
        detail = "the lineage has no certificate any more; %s" % _error_line(said, code)
        return outcome(number, "failed", "renewal_failed", detail, **measured)
    if after == before:
        if BUSY in said:
            return outcome(number, "skipped", "busy", "another certbot is running", **measured)
        if code == 0 and NOT_DUE.search(said):
            return outcome(number, "nothing", "not_due", "certbot says that it is not due yet", **measured)
        return outcome(number, "failed", "renewal_failed", _error_line(said, code), **measured)
    served = _await_served(planned.get("served", []), after, out)
    measured["served"] = served
    old = [one for one in served if one["serial"] != after]
    remark = "" if code == 0 else "renewed, but certbot ended with %s" % _error_line(said, code)
    if old:
        places = ", ".join("%s:%d" % (one["address"], one["port"]) for one in old)
        detail = "the new certificate is on disk, %s still serves another; %s" % (
            places,
            remark or "check the deploy hook",
        )
        return outcome(number, "failed", "served_differs", detail, **measured)
    if not served:
        remark = remark or "no port of this host served it; seen on disk only"
    return outcome(number, "done", "verified", remark, **measured)


def _error_line(said, code):
    """The words of certbot's that say most; it wraps its lines."""
    lines = ["" if NOISE.search(line) else line.strip() for line in said.splitlines()]
    for telling in TELLING:
        for number, line in enumerate(lines):
            if telling.search(line):
                paragraph = itertools.takewhile(bool, lines[number : number + 5])
                return "exit code %s: %s" % (code, " ".join(paragraph)[:300])
    return "exit code %s: %s" % (code, next(filter(None, lines), "no message")[:300])


def _await_served(places, serial, out):
    """What each place serves, as soon as all serve the new serial number, at the latest after a while."""
    end = time.monotonic() + SERVED_SECONDS
    while True:
        served = [dict(place, serial=_serial_at(place)) for place in places]
        if all(one["serial"] == serial for one in served) or time.monotonic() > end:
            return served
        out.alive("waiting for the new certificate to be served")
        time.sleep(1)


def _serial_at(place):
    try:
        chain, _ = listeners.handshake(place["address"], place["port"], place["sni"], certificates.HANDSHAKE_SECONDS)
        return serial_of(chain[0])
    except (OSError, ValueError):
        return ""
