"""Asks systemd about units, and reloads one; argument vectors only."""

import re

from . import tools

NAME = re.compile(r"^[A-Za-z0-9:_.@][A-Za-z0-9:_.@-]{0,239}\.(service|timer)$")
LIMIT = 60


def show(unit, *names):
    """{property: value} of a unit; empty when there is no systemd, or it does not answer."""
    path = tools.find("systemctl")
    if path is None or not NAME.match(unit):
        return {}
    answer = tools.run([path, "show", "--no-pager", "--property=" + ",".join(names), "--", unit], limit=LIMIT)
    if not answer.ok:
        return {}
    lines = answer.stdout.decode("utf-8", "replace").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def reload(unit, out):
    """Reload a unit; returns the tool's Answer."""
    return tools.run([tools.find("systemctl"), "reload", "--", unit], out=out, limit=LIMIT)
