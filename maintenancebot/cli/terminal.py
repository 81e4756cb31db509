"""Rich's console for a terminal, without its habit to end the process."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console


def console(stream: TextIO) -> Console:
    """A console on a stream; when nobody reads it any more it falls silent.

    Rich itself would close standard output and raise SystemExit, in the middle of a run.
    """
    from rich.console import Console

    class Patient(Console):
        def on_broken_pipe(self) -> None:
            self.quiet = True

    return Patient(file=stream, highlight=False)
