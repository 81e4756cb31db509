"""Which services of systemd ran for a while at a time: those that timers start are the other tools of a host."""

import os
import time

from . import drift_units, frames, tools

PROPERTIES = ("Id", "ExecMainStartTimestampMonotonic", "ExecMainExitTimestampMonotonic")
SLACK = 1
STARTED = 5
"""Seconds after its start in which a service that still runs may have set itself up."""
LIMIT = 30


class Ran:
    """The last run of each service, read when it is first asked."""

    def __init__(self):
        self._spans = None

    def at(self, moment):
        """The services that ran then and have ended since, or began then; empty where nobody knows the time."""
        if moment is None:
            return []
        if self._spans is None:
            self._spans = spans(_told(), time.time() - time.monotonic())
        return [name for begin, end, name in self._spans if begin - SLACK <= moment <= end + SLACK]


def spans(text, boot):
    """(begin, end, unit) of each, by what systemctl shows, in seconds since the epoch; `boot` is the clock's zero."""
    found = []
    for unit in drift_units.parse(text):
        begin, end = (int(unit.get(name) or 0) / 1e6 for name in PROPERTIES[1:])
        if begin:
            found.append((boot + begin, boot + (end if end >= begin else begin + STARTED), unit["Id"]))
    return sorted(found)


def _told():
    program = tools.find("systemctl")
    if program is None or not os.path.isdir("/run/systemd/system"):
        return ""
    argv = [program, "show", "--no-pager", "--property=" + ",".join(PROPERTIES), "--", "*.service"]
    answer = tools.run(argv, limit=LIMIT)
    return frames.text(answer.stdout) if answer.ok else ""
