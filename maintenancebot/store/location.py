"""Where the state lies, and who may see it."""

from __future__ import annotations

import os
from pathlib import Path

from maintenancebot.errors import StoreError

OTHERS_MAY_WRITE = 0o022


def state_dir(explicit: Path | None) -> Path:
    """The state directory: the given one, else systemd's, else root's or the user's own place."""
    if explicit is not None:
        return explicit.absolute()
    from_systemd = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if from_systemd:
        return Path(from_systemd)
    if os.geteuid() == 0:
        return Path("/var/lib/maintenancebot")
    xdg = os.environ.get("XDG_STATE_HOME", "")
    # The XDG rule: a path that is not absolute is ignored.
    base = Path(xdg) if xdg.startswith("/") else Path.home() / ".local" / "state"
    return base / "maintenancebot"


def prepare(folder: Path) -> None:
    """Make the state directory, for its owner alone; raises StoreError if it cannot be, or others can write there."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = folder.stat().st_mode
    except OSError as error:
        raise StoreError(f"the state directory {folder} cannot be made; name another with --state-dir") from error
    # Never tightened by us: a --state-dir that is /tmp by mistake would be taken from everybody.
    if mode & OTHERS_MAY_WRITE:
        raise StoreError(f"others can write in the state directory {folder}; `chmod 700` it, or name another one")
