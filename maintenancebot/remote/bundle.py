"""The helper as bytes: its modules are read as text, packed once, and sent over each execution's standard input."""

from __future__ import annotations

import json
import zlib
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

COMMAND = (
    "/usr/bin/python3 -I -S -B -c "
    '\'import sys;b=sys.stdin.buffer;exec(compile(b.read(int(b.readline())),"maintenancebot","exec"))\''
)
"""The same for every execution: -I ignores the login's environment, -S and -B write no compiled files into the host."""

BECOME = {
    "sudo": "/usr/bin/env LC_ALL=C /usr/bin/sudo -n -- ",
    "doas": "/usr/bin/env LC_ALL=C /usr/bin/doas -n -- ",
}
"""What stands before the command where root is not the login."""

HELPER = "maintenancebot.helper"
PACKAGE = "mb_helper"
STAGE0 = "stage0"


@cache
def packed() -> bytes:
    """The modules of the helper, zlib-compressed JSON of module name to source."""
    return zlib.compress(json.dumps(_sources(resources.files(HELPER), PACKAGE), sort_keys=True).encode("ascii"), 9)


def _sources(folder: Traversable, package: str) -> dict[str, str]:
    sources = {}
    for entry in folder.iterdir():
        name = entry.name.removesuffix(".py")
        if entry.is_dir() and (entry / "__init__.py").is_file():
            sources.update(_sources(entry, f"{package}.{name}"))
        elif entry.name.endswith(".py") and name != STAGE0:
            sources[package if name == "__init__" else f"{package}.{name}"] = entry.read_text("utf-8")
    return sources


@cache
def stage0() -> bytes:
    """The first program: builtins only, looks at what python3 offers."""
    return (resources.files(HELPER) / f"{STAGE0}.py").read_bytes()


def preamble(marker: str) -> bytes:
    """All that standard input carries before the first frame."""
    first, bundle = stage0(), packed()
    return b"%d\n%s%s %d\n%s" % (len(first), first, marker.encode("ascii"), len(bundle), bundle)
