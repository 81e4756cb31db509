"""Which services of systemd ran for a while at a time: those that timers start are the other tools of a host."""

import os
import re
import time

from .. import frames
from ..host import tools
from . import drift_units

PROPERTIES = ("Id", "ExecMainStartTimestampMonotonic", "ExecMainExitTimestampMonotonic")
NUMBER = re.compile(r"[0-9]{1,18}$")
SLACK = 1
"""Times of files come here in whole seconds, rounded down."""
LIMIT = 30


class Ran:
    """The last run of each service, read when it is first asked."""

    def __init__(self):
        self._spans = None

    def at(self, moment):
        """The services that ran then and have ended since, the shortest run first; none where nobody knows the time."""
        if moment is None:
            return []
        if self._spans is None:
            self._spans = spans(_told(), time.time() - time.monotonic())
        return [name for begin, end, name in self._spans if begin - SLACK <= moment <= end]


def spans(text, boot):
    """(begin, end, unit) of each run that ended, in epoch seconds, the shortest first; systemd counts from `boot`."""
    found = []
    for unit in drift_units.parse(text):
        told = [unit.get(name, "") for name in PROPERTIES[1:]]
        begin, end = (int(one) / 1e6 if NUMBER.match(one) else 0 for one in told)
        if 0 < begin <= end and unit.get("Id"):
            found.append((boot + begin, boot + end, unit["Id"]))
    return sorted(found, key=lambda span: span[1] - span[0])


def _told():
    program = tools.find("systemctl")
    if program is None or not os.path.isdir("/run/systemd/system"):
        return ""
    argv = [program, "show", "--no-pager", "--property=" + ",".join(PROPERTIES), "--", "*.service"]
    answer = tools.run(argv, limit=LIMIT)
    return frames.text(answer.stdout) if answer.ok else ""
