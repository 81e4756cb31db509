"""The two ways in which the helper opens what it walks over: by openat2, and component by component without it."""

from .conftest import SmallHost

WAYS = ("openat2", "component-wise")
WITHOUT = """
import runpy, sys
sys.modules["ctypes"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def take(way: str, host: SmallHost) -> SmallHost:
    """Let the host's helper open in that way; without ctypes, as in python3-minimal, it has only the second."""
    if way == "component-wise":
        path = host.base / "python-minimal"
        path.write_text(f"#!/bin/sh\nshift\nexec {host.python} -B -c '{WITHOUT}' \"$@\"\n")
        path.chmod(0o755)
        host.python = str(path)
    return host
