"""Renews one lineage by certbot, never forced, and believes only the serial number that the ports serve afterwards."""

import itertools
import os
import re
import subprocess
import tempfile
import time

from ..host import tools
from ..results import outcome, outcomes
from . import certbot_state, handshake, knocks, reloading
from .der import serial_of

NAME = re.compile(r"[A-Za-z0-9*_][A-Za-z0-9.*_-]*")
RUN_SECONDS = 900
HOOKS_SECONDS = 5
SERVED_SECONDS = 20
"""How long ports may take to serve the new certificate: after certbot's hooks, and after a reload of ours."""
NOT_DUE = re.compile(r"not (?:yet )?due for renewal|No renewals were attempted", re.IGNORECASE)
BUSY = "Another instance of Certbot is already running"
HOOK_FAILED = re.compile(
    r"Hook '(?P<hook>[a-z-]+)' reported error code (?P<code>\d+)"
    r"|(?P<old>[a-z-]+) command \"[^\n]*\" returned error code (?P<old_code>\d+)"
)
TELLING = tuple(re.compile(w, re.IGNORECASE) for w in ("^detail:", "with error:", "error|fail|unable|could not"))
NOISE = re.compile(r"^(- )+-?$|^\s*$|Ask for help or search|See the logfile|Saving debug log")


def renew(step, out):
    """Renew each lineage of the step; certbot goes on by itself should we be ended meanwhile."""
    if os.geteuid() != 0:
        return outcomes(step["changes"], "skipped", "needs_root")
    return [_renew(change, _Unheard(out)) for change in step["changes"]]


def recall(change):
    """What became of a renewal: done when the new serial number is served, unknown when it was not renewed."""
    planned, number = change["object"], change["id"]
    found = certbot_state.present(planned["lineage"])
    if found is None:
        return outcome(number, "unknown", "vanished", "there is no such lineage any more")
    now = found.serial
    if now == planned["serial"]:
        said = "the lineage still has the planned certificate"
        return outcome(number, "unknown", "unfinished", said, serial_after=now)
    served = _served(planned.get("served", []))
    measured = {"serial_after": now, "served": served}
    if not served:
        return outcome(number, "unknown", "unfinished", "the lineage has a new one", **measured)
    if _old(served, now):
        return outcome(number, "failed", "served_differs", _still_old(served, now), **measured)
    return outcome(number, "done", "verified", "", **measured)


class _Unheard:
    """Where signs of life go: once certbot runs, work is brought to its end whether the controller is there or not."""

    def __init__(self, out):
        self._out = out

    def alive(self, doing):
        try:
            self._out.alive(doing)
        except OSError:
            self._out = _Nobody()


class _Nobody:
    def alive(self, doing):
        """Nobody listens any more."""


def _renew(change, out):
    planned, number = change["object"], change["id"]
    lineage, program = planned["lineage"], certbot_state.program()
    if program is None:
        return outcome(number, "skipped", "not_installed", "there is no certbot")
    if not NAME.fullmatch(lineage):
        return outcome(number, "failed", "not_allowed", "not a lineage's name")
    before = certbot_state.present(lineage)
    if before is None:
        return outcome(number, "skipped", "vanished", "there is no such lineage any more")
    measured = {"serial_before": before.serial, "tried": False}
    if before.serial != planned["serial"]:
        return outcome(number, "skipped", "changed_since", "renewed by somebody else meanwhile", **measured)
    if certbot_state.settings(lineage) is None:
        said = "there is no renewal configuration for this lineage"
        return outcome(number, "failed", "renewal_failed", said, **measured)
    conflict = certbot_state.conflict(lineage)
    if conflict:
        return outcome(number, "failed", "renewal_failed", conflict, **measured)
    faults = [fault for fault in (reloading.fault(unit, out) for unit in _units(planned)) if fault]
    if faults:
        said = "nothing was renewed, since it could not be served: " + "; ".join(faults)
        return outcome(number, "failed", "config_invalid", said, **measured)
    code, said = _run(program, lineage, out)
    return _judge(number, planned, code, said, before, out)


def _units(planned):
    return reloading.units_at(planned.get("served", []))


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
    """What became of it: nothing new on disk is told apart by certbot's words, something new by what is served."""
    after = certbot_state.present(planned["lineage"])
    measured = {"serial_before": before.serial, "serial_after": after and after.serial, "exit_code": code}
    measured["tried"] = True
    if code is None:
        return outcome(number, "unknown", "timeout", "certbot still runs and was left alone", **measured)
    if after is not None and after.serial != before.serial:
        fault = _worse(before, after)
        if fault:
            return outcome(number, "failed", fault[0], fault[1], **measured)
        return _judge_served(number, planned, code, said, measured, out)
    if after is not None and BUSY in said:
        return outcome(number, "skipped", "busy", "another certbot is running", **dict(measured, tried=False))
    if after is not None and code == 0 and NOT_DUE.search(said):
        return outcome(number, "nothing", "not_due", "certbot says that it is not due yet", **measured)
    served = measured["served"] = _served(planned.get("served", []))
    lost = "the lineage has no certificate any more; " if after is None else ""
    old = [one for one in served if one["serial"] == before.serial]
    remark = "; the old certificate is still served" if served and len(old) == len(served) else ""
    return outcome(number, "failed", "renewal_failed", lost + _error_line(said, code) + remark, **measured)


def _worse(before, after):
    """The reason and words when the new certificate does not stand for the old one, None when it does."""
    if after.names != before.names:
        lost, new = (", ".join(sorted(one)[:5]) or "none" for one in (before.names, after.names))
        return "name_mismatch", "the new certificate is for %s, the old one was for %s" % (new, lost)
    if after.not_after < before.not_after:
        return "renewal_failed", "the new certificate ends before the old one: %s" % after.not_after
    return None


def _judge_served(number, planned, code, said, measured, out):
    """A new certificate lies on disk: what the ports serve decides, after a reload of ours if that is needed."""
    after, places = measured["serial_after"], planned.get("served", [])
    remarks = [_hook_fault(said) or ("" if code == 0 else "certbot ended with %s" % _error_line(said, code))]
    served = _await_served(places, after, HOOKS_SECONDS, out)
    reason = "served_differs"
    if _old(served, after):
        reason, done = _reload(_old(served, after), out)
        remarks.append(done)
        if reason != "config_invalid":
            served = _await_served(places, after, SERVED_SECONDS, out)
    measured["served"] = served
    remark = "; ".join(filter(None, remarks))
    if _old(served, after):
        detail = "; ".join(filter(None, (_still_old(served, after), remark or "check the deploy hook")))
        return outcome(number, "failed", reason, detail, **measured)
    if not served:
        remark = "; ".join(filter(None, (remark, "no port of this host served it; seen on disk only")))
    return outcome(number, "done", "verified", remark, **measured)


def _reload(places, out):
    """Reload what still serves the old one, each after its own test; the reason should that not help, and words."""
    reason, told = "served_differs", []
    for unit in reloading.units_at(places):
        fault = reloading.fault(unit, out)
        if fault:
            reason = "config_invalid"
            told.append("not reloaded, %s" % fault)
        else:
            told.append(reloading.reload(unit, out) or "certbot's hooks did not reload %s, so it was reloaded" % unit)
    return reason, "; ".join(told)


def _old(served, serial):
    return [one for one in served if one["serial"] != serial]


def _still_old(served, serial):
    places = ["%s:%d %s" % (one["address"], one["port"], _doing(one)) for one in _old(served, serial)]
    return "the new certificate is on disk, %s" % ", ".join(places)


def _doing(place):
    return "still serves another" if place["serial"] else "does not answer"


def _hook_fault(said):
    """What certbot says of a hook that failed: it renews nevertheless, and mostly ends well."""
    found = HOOK_FAILED.search(said)
    if found is None:
        return ""
    hook, code = found.group("hook") or found.group("old"), found.group("code") or found.group("old_code")
    return "%s failed with code %s" % (hook, code)


def _error_line(said, code):
    """The words of certbot's that say most; it wraps its lines."""
    lines = ["" if NOISE.search(line) else line.strip() for line in said.splitlines()]
    for telling in TELLING:
        for number, line in enumerate(lines):
            if telling.search(line):
                paragraph = itertools.takewhile(bool, lines[number : number + 5])
                return "exit code %s: %s" % (code, " ".join(paragraph)[:300])
    return "exit code %s: %s" % (code, next(filter(None, lines), "no message")[:300])


def _await_served(places, serial, seconds, out):
    """What each place serves, as soon as all serve the new serial number, at the latest after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        served = _served(places)
        if not _old(served, serial) or time.monotonic() > end:
            return served
        out.alive("waiting for the new certificate to be served")
        time.sleep(0.5)


def _served(places):
    return [dict(place, serial=_serial_at(place)) for place in places]


def _serial_at(place):
    protocol = place.get("protocol", "tls")
    try:
        chain, _ = handshake.served(place["address"], place["port"], place["sni"], knocks.HANDSHAKE_SECONDS, protocol)
        return serial_of(chain[0])
    except (OSError, ValueError):
        return ""
