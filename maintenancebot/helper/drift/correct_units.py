"""Corrects a unit of systemd: enabled, active, masked; only what differs is touched."""

from ..files import walk
from ..host import tools
from . import drift_units, taking_up, well

LIMIT = 90
ON = {"masked": "mask", "enabled": "enable", "active": "start"}
OFF = {"masked": "unmask", "enabled": "disable", "active": "stop"}


def prepare(change, _args, _out):
    """The way to correct the unit. Raises Refused."""
    asked = change["object"]
    name = drift_units.unit_of(asked["name"])
    if not drift_units.NAME.match(name):
        raise walk.Refused("not_allowed", "this is not the name of a unit")
    differs = {key: value for key, value in asked["wanted"].items() if asked["found"].get(key) != value}
    if asked["lockout"]:
        taking_up.must_be_tried(
            name, {key: asked["wanted"][key] for key in (*differs, "active") if key in asked["wanted"]}
        )
    return Switched(name, differs, {key: asked["found"][key] for key in differs})


class Switched:
    """A unit that becomes as declared."""

    path = None

    def __init__(self, unit, wanted, was):
        self._unit, self._wanted, self._was = unit, wanted, was

    def undo(self):
        """How it is taken back."""
        return [{"do": "unit", "unit": self._unit, "was": self._was}]

    def make(self):
        """Do it."""
        switch(self._unit, self._wanted)
        if self._wanted.get("active"):
            fault = well.watch(self._unit)
            if fault:
                raise walk.Refused("unhealthy", fault)

    def measured(self):
        """What the report tells."""
        return {}

    def close(self):
        """Nothing is held."""


def switch(unit, wanted, more=()):
    """Bring a unit to some state: it can only be switched on while it is not masked. Raises Refused."""
    steps = [key for key in ("masked", "enabled", "active") if key in wanted]
    if wanted.get("masked"):
        steps.append(steps.pop(0))
    for key in steps:
        verb = (ON if wanted[key] else OFF)[key]
        answer = tools.run([tools.find("systemctl"), "--no-ask-password", *more, verb, "--", unit], limit=LIMIT)
        if not answer.ok:
            raise walk.Refused("tool_failed", "systemctl %s %s: %s" % (verb, unit, answer.error()))


def set_back(part, booting):
    """Take it back; while the host boots, only what is on the disk."""
    was = {key: value for key, value in part["was"].items() if not (booting and key == "active")}
    switch(part["unit"], was, ("--no-reload",) if booting else ())
