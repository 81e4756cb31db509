"""The port through which a run tells how far it is."""

from __future__ import annotations

from typing import Protocol

from maintenancebot.model import State

WAITS = "waits for"
"""How a note begins that tells who stands in the way: it is told even where only ends are."""


class Progress(Protocol):
    """Called from the threads of a run."""

    def start(self, total: int, phase: str) -> None:
        """A phase over `total` hosts begins: "probe" or "apply"."""
        ...

    def host(self, name: str, state: State | None, note: str) -> None:
        """A host is done with the phase; None when it is only at work on `note`."""
        ...

    def step(self, host: str, name: str, state: State) -> None:
        """One change on a host has an outcome."""
        ...

    def finish(self) -> None:
        """The phase is over."""
        ...


class Silent:
    """Tells nobody."""

    def start(self, total: int, phase: str) -> None:
        """Ignore."""

    def host(self, name: str, state: State | None, note: str) -> None:
        """Ignore."""

    def step(self, host: str, name: str, state: State) -> None:
        """Ignore."""

    def finish(self) -> None:
        """Ignore."""
