"""Whether logrotate does its work on this host: errors of its configuration, its last run, a stale or locked state."""

import os
import re
import time

from ..host import facts, tools, units
from . import logrotate

SERVICE, TIMER = "logrotate.service", "logrotate.timer"
CRON = "/etc/cron.daily/logrotate"
STALE_DAYS = 3
LOCKED_SECONDS = 3600
LIMIT = 60
SHOWN = 10
ERROR = re.compile(r"^error: (.*)$|^warning: (.*ignoring line)$", re.MULTILINE)
"""Since 3.22 an option that it does not know is only a warning."""

FIRST_RUN = re.compile(r"^error opening state file .*: No such file or directory$")
"""What 3.18 says on a host where it never ran."""

CODES = {"1": "exit code 1, errors in some logs", "3": "exit code 3, its state file was locked by another logrotate"}


def look(args, out):
    """{"problems": [one line each]}, none without a logrotate. Runs it only in the mode that writes nothing."""
    if tools.find("logrotate") is None or not os.path.exists(logrotate.CONFIG):
        return {"problems": []}
    state = next((path for path in logrotate.STATES if os.path.exists(path)), None)
    problems = errors(logrotate.CONFIG, out) + last_run()
    if state is not None:
        problems += locked(state) + (stale(state, args.get("now") or time.time()) if scheduled() else [])
    return {"problems": problems}


def errors(config, out):
    """What logrotate itself says against a configuration and the logs that it names."""
    answer = tools.run([tools.find("logrotate"), "--debug", config], out=out, limit=LIMIT)
    text = answer.stderr.decode("utf-8", "surrogateescape")
    found = dict.fromkeys((error or warning).strip() for error, warning in ERROR.findall(text))
    if not found and not answer.ok:
        found = [answer.error() if answer.timed_out or answer.cut else "exit code %s" % answer.code]
    told = [line for line in found if not FIRST_RUN.match(line)]
    return ["logrotate: " + line[:300] for line in told[:SHOWN]]


def last_run():
    """How systemd's last run of it ended, when that was not well."""
    told = units.show(SERVICE, "LoadState", "Result", "ExecMainStatus", "ExecMainExitTimestamp")
    if told.get("LoadState") != "loaded" or told.get("Result", "success") == "success":
        return []
    code = told.get("ExecMainStatus", "")
    ended = CODES.get(code, "%s, exit code %s" % (told["Result"], code))
    return ["%s failed: %s (%s)" % (SERVICE, ended, told.get("ExecMainExitTimestamp") or "time unknown")]


def scheduled():
    """Whether something starts it: systemd's timer, or cron where there is no systemd."""
    if os.path.isdir("/run/systemd/system"):
        return units.show(TIMER, "ActiveState").get("ActiveState") == "active"
    return os.path.exists(CRON)


def stale(state, now):
    """A state file that no run has written lately."""
    days = (now - os.stat(state).st_mtime) / 86400
    return ["%s is stale: not written for %d days" % (state, days)] if days > STALE_DAYS else []


def locked(state):
    """A lock on the state file that is held for long: every other logrotate ends with exit code 3 meanwhile.

    Read from the kernel's list: to try the lock would disturb a logrotate that starts now.
    """
    found = os.stat(state)
    place = (os.major(found.st_dev), os.minor(found.st_dev), found.st_ino)
    for pid in _holders(place):
        seconds = _running_for(pid)
        if seconds is not None and seconds > LOCKED_SECONDS:
            name = facts.read_line("/proc/%d/comm" % pid)
            return ["%s is locked by %s (%d), which runs for %d hours" % (state, name, pid, seconds // 3600)]
    return []


def _holders(place):
    try:
        with open("/proc/locks", "rb") as stream:
            lines = [line.split() for line in stream]
    except OSError:
        return
    for words in lines:
        if len(words) >= 6 and words[1] == b"FLOCK":
            numbers = words[5].split(b":")
            if (int(numbers[0], 16), int(numbers[1], 16), int(numbers[2])) == place and int(words[4]) > 0:
                yield int(words[4])


def _running_for(pid):
    try:
        with open("/proc/%d/stat" % pid, "rb") as stream:
            started = int(stream.read(4096).rpartition(b")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        with open("/proc/uptime", "rb") as stream:
            return float(stream.read().split()[0]) - started
    except (OSError, ValueError, IndexError):
        return None
