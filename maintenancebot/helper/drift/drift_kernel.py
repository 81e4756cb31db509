"""Declared settings of the running kernel, and words of its command line."""

import errno
import os
import re

from .. import frames, redact
from . import held_against

SETTINGS = "/proc/sys"
COMMAND_LINE = "/proc/cmdline"
PART = re.compile(r"^[A-Za-z0-9_.:@-]{1,255}$")
CAP = 64 << 10


def look(items, out=None):
    """See `drift.LOOKS`."""
    words = command_line()
    return [_setting(item) if item["kind"] == "sysctl" else _word(item, words) for item in items]


def _setting(item):
    try:
        value = setting(item["name"])
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return held_against.not_applicable("this kernel has no such setting")
        return held_against.unreadable(error.strerror)
    wanted = dict(item["wanted"])
    if "value" in wanted and squeezed(str(wanted["value"])) == value:
        wanted["value"] = value
    return held_against.compared(wanted, {"value": value})


def setting(name):
    """The value of a setting; OSError when there is none or it cannot be read."""
    with open(path_of(name), "rb") as stream:
        return squeezed(frames.text(stream.read(CAP)))


def path_of(name):
    """Where a setting lies. The separator that comes first is the separator, as in sysctl. OSError if it is none."""
    first = re.search(r"[./]", name)
    parts = name.split(first.group()) if first else [name]
    if first and first.group() == ".":
        parts = [part.replace("/", ".") for part in parts]
    if not all(PART.match(part) and part not in (".", "..") for part in parts):
        raise OSError(errno.ENOENT, "not a setting's name")
    path = "/".join([SETTINGS, *parts])
    if os.path.isdir(path):
        raise OSError(errno.ENOENT, "a folder of settings")
    return path


def squeezed(text):
    """A value with single blanks, as whoever writes it down has it."""
    return " ".join(text.split())


def command_line():
    """The words of the command line, with what is in quotes kept together; None when it cannot be read."""
    try:
        with open(COMMAND_LINE, "rb") as stream:
            text = frames.text(stream.read(CAP))
    except OSError:
        return None
    return re.findall(r"(?:\"[^\"]*\"|[^\s\"])+", text)


def _word(item, words):
    if words is None:
        return held_against.unreadable("the kernel's command line cannot be read")
    key = item["name"].partition("=")[0]
    others = [word for word in words if word.partition("=")[0] == key and word != item["name"]]
    error = redact.redact("there is %s" % " ".join(others[:5])) if others else ""
    if item["name"] not in words:
        return held_against.absent(item["wanted"], error)
    return held_against.unexpected() if held_against.is_unwanted(item["wanted"]) else held_against.Found()
