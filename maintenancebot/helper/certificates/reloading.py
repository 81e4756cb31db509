"""Tests the configuration of the few servers that we may reload, and reloads them; never a restart."""

import re

from ..host import listeners, tools

TEST_SECONDS = 60
RELOAD_SECONDS = 90
SERVERS = (
    (re.compile(r"nginx\.service"), ("nginx", "-t", "-q")),
    (re.compile(r"apache2(@[A-Za-z0-9_-]+)?\.service"), ("apache2ctl", "configtest")),
    (re.compile(r"httpd\.service"), ("httpd", "-t")),
    (re.compile(r"haproxy\.service"), ("haproxy", "-c", "-q", "-f", "/etc/haproxy/haproxy.cfg")),
    (re.compile(r"postfix(@-)?\.service"), ("postfix", "check")),
    (re.compile(r"dovecot\.service"), ("doveconf", "-n")),
)
"""A unit, and the server's own test of its configuration. What is not in here is never reloaded by us."""


def known(unit):
    """Whether it is a unit that we may reload."""
    return _test_of(unit) is not None


def units_at(places):
    """The units, of those that we know, that serve these places of a plan."""
    return sorted(filter(known, listeners.units_at({(one["address"], one["port"]) for one in places})))


def fault(unit, out):
    """Why the unit's configuration would not load, empty when it passes its own test."""
    words = _test_of(unit)
    program = tools.find(words[0])
    if program is None:
        return "%s: there is no %s to test its configuration with" % (unit, words[0])
    answer = tools.run([program, *words[1:]], out=out, limit=TEST_SECONDS)
    return "" if answer.ok else "%s: %s" % (unit, _said(answer))


def reload(unit, out):
    """Reload the unit; why it failed, empty when it did not. Only after `fault` said nothing."""
    answer = tools.run([tools.find("systemctl"), "reload", "--", unit], out=out, limit=RELOAD_SECONDS)
    return "" if answer.ok else "reloading %s: %s" % (unit, answer.error())


def _test_of(unit):
    return next((test for pattern, test in SERVERS if pattern.fullmatch(unit)), None)


def _said(answer):
    """The line that names the fault; servers say it on either stream."""
    lines = (answer.stderr + b"\n" + answer.stdout).decode("utf-8", "replace").splitlines()
    telling = [line.strip() for line in lines if re.search(r"emerg|error|syntax|alert|fatal|invalid", line, re.I)]
    return telling[0][:300] if telling and answer.code else answer.error()
