"""Lets a unit take up its new configuration, and watches whether it stays well; never one that does not run."""

import time

from .. import frames
from ..host import tools
from . import drift_units

SETTLE_SECONDS = 3
START_SECONDS = 30
POLL_SECONDS = 0.3
LIMIT = 90
PROPERTIES = ("ActiveState", "SubState", "Result", "NRestarts", "CanReload", "Type")
UP = ("active",)
ON_THE_WAY = ("reloading", "activating", "refreshing")


def look(unit):
    """What systemd says of a unit; empty when it says nothing."""
    program = tools.find("systemctl")
    if program is None or not drift_units.NAME.match(unit):
        return {}
    answer = tools.run([program, "show", "--no-pager", "--property=" + ",".join(PROPERTIES), "--", unit], limit=LIMIT)
    text = frames.text(answer.stdout) if answer.ok else ""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def reload(unit, out, restart=False):
    """Let a running unit read its configuration again, by a restart where it cannot reload; why it is not well then."""
    was = look(unit)
    if not was:
        return "%s: systemd does not answer" % unit
    if was.get("ActiveState") not in UP:
        return ""
    verb = "reload" if was.get("CanReload") == "yes" and not restart else "restart"
    answer = tools.run([tools.find("systemctl"), "--no-ask-password", verb, "--", unit], out=out, limit=LIMIT)
    if not answer.ok:
        return "%s of %s: %s" % (verb, unit, answer.error())
    return watch(unit, None if verb == "restart" else was)


def watch(unit, was=None):
    """Why a unit is not well, empty when it stays well for a few seconds; `was`: before a reload, for its restarts."""
    began = time.monotonic()
    settled = None
    while True:
        now, at = look(unit), time.monotonic()
        state = now.get("ActiveState", "unknown")
        # Older versions of systemd do not count the restarts, and kinds other than services have none.
        restarted = was is not None and now.get("NRestarts") != was.get("NRestarts")
        if state in UP and not restarted:
            settled = settled or at
            if at - settled >= SETTLE_SECONDS or now.get("Type") == "oneshot":
                return ""
        elif state not in ON_THE_WAY or restarted or at - began > START_SECONDS:
            return "%s is %s (%s), %s" % (unit, state, now.get("SubState", ""), now.get("Result", ""))
        else:
            settled = None
        time.sleep(POLL_SECONDS)


def bring_back(unit, ran, restart=False):
    """Let a unit that ran before run again with its old configuration; why it does not."""
    if not ran:
        return ""
    program = tools.find("systemctl")
    now = look(unit)
    if now.get("ActiveState") in UP and now.get("CanReload") == "yes" and not restart:
        told = reload(unit, None)
        if not told:
            return ""
    tools.run([program, "--no-ask-password", "reset-failed", "--", unit], limit=LIMIT)
    answer = tools.run([program, "--no-ask-password", "restart", "--", unit], limit=LIMIT)
    return watch(unit) if answer.ok else "restart of %s: %s" % (unit, answer.error())
