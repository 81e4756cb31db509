"""Declared units of systemd: enabled, active, masked; one question for all of them."""

import os
import re

from .. import frames
from ..host import tools
from . import held_against

NAME = re.compile(r"^[A-Za-z0-9:_.@\\-]{1,239}\.[a-z]+$")
PROPERTIES = ("Id", "Names", "LoadState", "ActiveState", "SubState", "UnitFileState", "FragmentPath")
AT_ONCE = 200
LIMIT = 60

FIXED = ("static", "indirect", "generated", "transient")
"""States of a unit file in which there is nothing to switch on or off."""
TEMPLATE = "a template has no state of its own: declare its instances, such as getty@tty1.service"
ENABLED = ("enabled", "alias")
ACTIVE = ("active", "reloading", "refreshing")


def look(items, out=None):
    """See `drift.LOOKS`."""
    program = tools.find("systemctl")
    if program is None or not os.path.isdir("/run/systemd/system"):
        return [held_against.not_applicable("systemd does not run here") for _ in items]
    names = [unit_of(item["name"]) for item in items]
    units, error = shown(program, [name for name in names if not is_template(name)], out)
    return [
        _compare(item["wanted"], units.get(name), TEMPLATE if is_template(name) else error)
        for item, name in zip(items, names)  # noqa: B905  strict is not in Python 3.6
    ]


def is_template(name):
    """Whether a unit's name stands for instances; systemctl, asked for it among others, tells of none of them."""
    return "@." in name


def unit_of(name):
    """The unit's full name; one without an ending is a service."""
    return name if "." in name else name + ".service"


def shown(program, names, out=None):
    """({unit: {property: value}}, why not all were told)."""
    found, errors = {}, []
    asked = [name for name in sorted(set(names)) if NAME.match(name)]
    for start in range(0, len(asked), AT_ONCE):
        some = asked[start : start + AT_ONCE]
        argv = [program, "show", "--no-pager", "--property=" + ",".join(PROPERTIES), "--", *some]
        answer = tools.run(argv, out=out, limit=LIMIT)
        told = parse(frames.text(answer.stdout))
        if not answer.ok or len(told) != len(some):
            errors.append(answer.error() if not answer.ok else "systemctl told of %d units" % len(told))
        else:
            found.update(zip(some, told))  # noqa: B905  strict is not in Python 3.6
    return found, "; ".join(errors)


def parse(text):
    """The properties of each unit, in the order in which they were asked for; a blank line stands between two."""
    blocks = [block for block in text.split("\n\n") if block.strip()]
    return [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in blocks]


def _compare(wanted, unit, error):
    if unit is None:
        return held_against.unreadable(error or "this is not the name of a unit")
    if unit["LoadState"] == "not-found" and any(wanted.values()):
        return held_against.Found(
            held_against.MISSING,
            dict.fromkeys(wanted, False),
            [key for key, value in wanted.items() if value],
            error="the host has no such unit",
        )
    made = held_against.compared(wanted, _state(unit, wanted))
    made.error = "is %s (%s), its file %s" % (unit["ActiveState"], unit["SubState"], unit["UnitFileState"] or "absent")
    return made.lies_in(unit["FragmentPath"])


def _state(unit, wanted):
    file_state = unit["UnitFileState"]
    masked = file_state.startswith("masked") or unit["LoadState"] == "masked"
    switched = file_state in ENABLED and not masked
    return {
        "enabled": wanted.get("enabled") if file_state in FIXED else switched,
        "active": unit["ActiveState"] in ACTIVE,
        "masked": masked,
    }
