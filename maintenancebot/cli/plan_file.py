"""The file of `dry-run --out`: written whole or not at all, and never over something that is no plan."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path

from maintenancebot.errors import UsageError
from maintenancebot.plan.document import KIND, Plan, plan_to_json


def check_place(path: Path) -> None:
    """Raise UsageError when a plan cannot be written there; asked before the hosts are."""
    folder = path.parent
    if not folder.is_dir():
        raise UsageError(f"--out {path}: there is no directory {folder}; make it first")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"--out {path}: the directory {folder} is not writable; choose another place")
    if (path.is_symlink() or path.exists()) and not _is_plan(path):
        raise UsageError(f"--out {path}: the file exists and is no plan; choose another name")


def write(plan: Plan, path: Path) -> None:
    """Write the plan, readable by its owner only; an earlier plan at the place is replaced in one step.

    Raises UsageError when the place cannot be written.
    """
    check_place(path)
    try:
        _replace(path, json.dumps(plan_to_json(plan), indent=1).encode("ascii") + b"\n")
    except OSError as error:
        raise UsageError(f"--out {path}: the plan cannot be written") from error


def _is_plan(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("kind") == KIND


def _replace(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
