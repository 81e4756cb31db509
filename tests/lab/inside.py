"""Paths of a host seen from this machine."""

from __future__ import annotations

from pathlib import Path

from tests.lab.tools import LabError

STEPS = 200


def inside(root: Path, path: str, follow: bool = False) -> Path:
    """Resolve links below the host's root, so that an absolute link never leads to this machine's own files."""
    waiting, done = _words(path), list[str]()
    for _ in range(STEPS):
        if not waiting:
            return root.joinpath(*done)
        word = waiting.pop(0)
        place = root.joinpath(*done, word)
        if word == "..":
            done = done[:-1]
        elif place.is_symlink() and (waiting or follow):
            target = str(place.readlink())
            waiting = _words(target) + waiting
            done = [] if target.startswith("/") else done
        else:
            done.append(word)
    raise LabError(f"{path} runs through too many links")


def _words(path: str) -> list[str]:
    return [word for word in path.split("/") if word not in ("", ".")]
