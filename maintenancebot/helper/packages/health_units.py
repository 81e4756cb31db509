"""The systemd units of a host: one call for all that are loaded, and which changes between two looks are faults."""

import fnmatch
import os
import time

from .. import frames
from ..host import tools

PROPERTIES = (
    *("Id", "LoadState", "ActiveState", "SubState", "Type", "Result", "NRestarts", "InvocationID", "Transient"),
    *("ActiveEnterTimestampMonotonic", "FragmentPath", "BusName", "TriggeredBy", "WantedBy", "RequiredBy"),
    *("ConditionResult", "ConditionTimestampMonotonic"),
)
KINDS = ("*.service", "*.socket", "*.timer", "*.mount", "*.path")
OURS = (
    *("maintenancebot-*", "user@*.service", "user-runtime-dir@*.service"),
    *("getty@*", "serial-getty@*", "console-getty.service"),
)
"""Units that come and go with logins, or with us."""

UP = ("active", "reloading", "refreshing")
FLAPPING_RESTARTS = 3
FLAPPING_SECONDS = 60
LIMIT = 30


def look():
    """{unit: what is known of it}; None where systemd does not run or does not answer."""
    program = tools.find("systemctl")
    if program is None or not os.path.isdir("/run/systemd/system"):
        return None
    return ask(program, *KINDS)


def ask(program, *names):
    """The same for some units, or patterns of loaded ones."""
    argv = [program, "show", "--all", "--no-pager", "--property=" + ",".join(PROPERTIES), "--", *names]
    answer = tools.run(argv, limit=LIMIT)
    if not answer.ok:
        return None
    return parse(frames.text(answer.stdout), time.clock_gettime(time.CLOCK_MONOTONIC))


def parse(text, now):
    """What `systemctl show` printed: paragraphs of Name=value; `now` is the time of the clock that it uses."""
    found = {}
    for paragraph in text.split("\n\n"):
        said = dict(line.split("=", 1) for line in paragraph.splitlines() if "=" in line)
        if not said.get("Id") or said.get("Transient") == "yes":
            continue
        if said["Id"].endswith(".mount") and not said.get("FragmentPath"):
            continue  # mounted by hand or by a program, without a unit file
        found[said["Id"]] = about(said, now)
    return found


def about(said, now):
    """One unit, as a record keeps it."""
    since = number(said.get("ActiveEnterTimestampMonotonic")) / 1e6
    asked = number(said.get("ConditionTimestampMonotonic")) and said.get("ConditionResult") == "no"
    return {
        "load": said.get("LoadState", ""),
        "state": said.get("ActiveState", ""),
        "sub": said.get("SubState", ""),
        "result": said.get("Result", ""),
        "restarts": number(said.get("NRestarts")),
        "start": said.get("InvocationID", ""),
        "age": int(now - since) if since else None,
        "file": said.get("FragmentPath", ""),
        "wanted": bool(said.get("WantedBy") or said.get("RequiredBy")),
        "needless": bool(asked and said.get("Type") == "oneshot"),
        "on_demand": bool(said.get("BusName") or said.get("TriggeredBy")),
    }


def number(text):
    """A count as systemd prints it; 0 for none, or for the largest number, which means none."""
    return int(text) if text and text.isdigit() and len(text) < 19 else 0


def compare(before, after, args):
    """{unit: why} of units that were well before and are not now, or that failed since."""
    bad = {}
    for name, was in before.items():
        now = after.get(name)
        if now is not None and now["needless"] and now["state"] == "inactive":
            continue  # work of an earlier boot: by its own condition there is nothing to do in this one
        if counts(name, was, args) and (now is None or now["state"] not in UP or flapping(now)):
            bad[name] = fault(now)
    for name, now in after.items():
        was = before.get(name)
        new = was is None or (was["state"] != "failed" and not flapping(was))
        if now["state"] == "failed" and new and name not in bad and not ignored(name, args):
            bad[name] = fault(now)
    return named(bad)


def counts(name, was, args):
    """Whether a unit was well before, so that it must be well afterwards.

    What only the bus, a socket or a timer starts may end when nobody needs it.
    """
    by_itself = was["wanted"] or not was["on_demand"]
    return was["state"] in UP and by_itself and not flapping(was) and not ignored(name, args)


def flapping(seen):
    """Whether it restarts again and again."""
    return seen["restarts"] >= FLAPPING_RESTARTS and seen["age"] is not None and seen["age"] < FLAPPING_SECONDS


def ignored(name, args):
    """Whether nobody wants to hear of a unit."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in (*OURS, *args["ignore_units"]))


def fault(now):
    """What became of a unit, in words."""
    if now is None:
        return "is not running any more"
    if now["load"] == "masked":
        return "was masked"
    if now["load"] == "not-found":
        return "its unit file was removed"
    if now["sub"] == "auto-restart":
        return "ended (%s) and waits to be started again" % now["result"]
    if now["state"] in UP:
        return "restarted %d times by itself, the last time %d s ago" % (now["restarts"], now["age"])
    words = "is %s (%s)" % (now["state"], now["sub"])
    return words + (", " + now["result"] if now["result"] not in ("", "success") else "")


def named(bad):
    """The same with the truth about units that systemd has forgotten: ended, masked or removed."""
    gone = [name for name, why in bad.items() if why == fault(None)]
    found = ask(tools.find("systemctl"), *gone) if gone and tools.find("systemctl") else None
    for name in gone:
        if found and name in found and found[name]["load"] != "loaded":
            bad[name] = fault(found[name])
    return bad
