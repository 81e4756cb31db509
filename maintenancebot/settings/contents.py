"""The files that baselines name: read from below their folder, and from nowhere else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from maintenancebot.settings import templates
from maintenancebot.settings.refused import RefusedError

MOST_BYTES = 2**20


def read(folder: Path, name: str) -> bytes:
    """The bytes of a file below the folder; raises RefusedError where there is none that can be declared."""
    path = folder / name
    try:
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
            raise RefusedError(f"{name!r} leads out of the folder of the baselines", "put the file itself there")
        # Neither a pipe nor a device may hold up whoever loads a configuration.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise RefusedError(f"{name!r} is no regular file", "name a file")
            raw = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise RefusedError(
            f"{path} cannot be read: {error.strerror}", "correct the name, or make it readable"
        ) from None
    return checked(raw)


def read_template(folder: Path, name: str) -> str:
    """The template in a file below the folder; raises RefusedError where there is none."""
    try:
        text = read(folder, name).decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedError(f"{name!r} is not UTF-8", "save it as UTF-8, or name it by `source`") from None
    try:
        templates.check(text)
    except RefusedError as refused:
        raise RefusedError(f"{name!r}: {refused.problem}", refused.instead) from None
    return text


def checked(raw: bytes) -> bytes:
    """The same bytes; raises RefusedError for too many."""
    if len(raw) > MOST_BYTES:
        raise RefusedError("the content has more than 1 MiB", "declare only its hash, by `sha256`")
    return raw
