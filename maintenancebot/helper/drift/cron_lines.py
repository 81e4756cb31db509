"""Whether cron would understand a file: five fields of time and a command on each line, or a setting."""

import os
import re

from .. import frames
from ..host import accounts
from . import drift_crontabs

SYSTEM = re.compile(r"/etc/(?:crontab|cron\.d/[^/]+)")
SETTING = re.compile(r"^\s*(?:[A-Za-z_][A-Za-z0-9_]*|\"[^\"]*\"|'[^']*')\s*=")
DIGITS = re.compile(r"[0-9]{1,9}$")
WORDS = ("@reboot", "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, MONTHS),
    ("weekday", 0, 7, DAYS),
)
"""Name, least and most, and the names that stand for numbers, the first for the least."""


def is_one(kind, path):
    """Whether cron reads that file; of any other the content need not be known."""
    return kind == "crontab" or (kind == "file" and bool(SYSTEM.fullmatch(path)))


def fault(kind, path, content):
    """The first line that cron would not understand, in words; empty for what is right, or no crontab."""
    system = kind == "file"
    if content is None or not is_one(kind, path):
        return ""
    if content and not content.endswith(b"\n"):
        return "the last line does not end, so that cron would leave it out"
    for number, line in enumerate(frames.text(content).split("\n"), 1):
        line = line.strip(" \t")
        told = _fault_of(line[1:] if line.startswith("-") and _knows_quiet_lines() else line, system)
        if told:
            return "line %d: %s" % (number, told)
    return ""


def _knows_quiet_lines():
    """Whether a line may begin with a dash, which keeps it out of the log: cronie's may, Debian's cron stops there."""
    return not os.path.isdir(drift_crontabs.FOLDERS[0])


def _fault_of(line, system):
    if not line or line.startswith("#") or SETTING.match(line):
        return ""
    if line.startswith("@"):
        times, rest = line.split(None, 1)[:1], line.split(None, 1)[1:]
        told = "" if times[0] in WORDS else "%s is no time" % times[0]
    else:
        parts = line.split(None, 5)
        times, rest = parts[:5], parts[5:]
        told = _times(times)
    if told or not rest:
        return told or "there is no command"
    return _user(rest[0]) if system else ""


def _times(times):
    if len(times) < len(FIELDS):
        return "a time has five fields"
    told = [_field(text, *field) for text, field in zip(times, FIELDS)]  # noqa: B905  strict is not in Python 3.6
    return next(filter(None, told), "")


def _field(text, name, least, most, names):
    """Why a field is wrong: `*`, numbers or names, ranges, steps, with commas between."""
    for part in text.split(","):
        span, slash, step = part.partition("/")
        ends = (
            [_number(end, least, names) for end in re.split("[-~]", span, maxsplit=1)] if span != "*" else [least, most]
        )
        is_step = not slash or (bool(DIGITS.match(step)) and int(step) > 0)
        if not is_step or None in ends or not least <= ends[0] <= ends[-1] <= most:
            return "%s is no %s" % (text, name)
    return ""


def _number(text, least, names):
    if DIGITS.match(text):
        return int(text)
    return names.index(text.lower()) + least if text.lower() in names else None


def _user(rest):
    words = rest.split(None, 1)
    name = words[0].lstrip("-")
    if name not in accounts.users() and not accounts.others("passwd"):
        return "there is no user %s" % name
    return "" if len(words) > 1 else "there is no command"
