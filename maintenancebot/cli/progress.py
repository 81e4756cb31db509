"""Progress on standard error: a live bar on a terminal, one line per host otherwise, nothing with -q."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, TextIO

from maintenancebot.cli.options import Options
from maintenancebot.engine.progress import WAITS, Progress, Silent
from maintenancebot.model import State
from maintenancebot.report.clean import clean
from maintenancebot.report.figures import states

if TYPE_CHECKING:
    from rich.progress import TaskID


def make_progress(options: Options) -> Progress:
    """The progress that fits standard error and the options."""
    if options.quiet:
        return Silent()
    return Bar(sys.stderr) if sys.stderr.isatty() else Lines(sys.stderr, verbose=options.verbose)


class Lines:
    """One line per host and phase; with `verbose` one per change too."""

    def __init__(self, stream: TextIO, *, verbose: bool = False) -> None:
        self._stream, self._verbose = stream, verbose
        self._phase = ""
        self._lock = threading.Lock()

    def start(self, total: int, phase: str) -> None:
        """Remember the phase."""
        self._phase = phase

    def host(self, name: str, state: State | None, note: str) -> None:
        """Tell that a host is done, or what it waits for."""
        if state is not None:
            self._say(f"{self._phase} {name}: {state.value}" + (f" ({note})" if note else ""))
        elif note.startswith(WAITS):
            self._say(f"{name}: {note}")

    def step(self, host: str, name: str, state: State) -> None:
        """Tell the outcome of a change, if everything is wanted."""
        if self._verbose:
            self._say(f"{self._phase} {host}: {name}: {state.value}")

    def finish(self) -> None:
        """Nothing is left open."""

    def _say(self, line: str) -> None:
        # A run must not fail because nobody reads its progress any more.
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._stream.write(clean(line) + "\n")
            self._stream.flush()


class Bar:
    """A live bar: hosts done, their states, and what was said last."""

    def __init__(self, stream: TextIO) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        from maintenancebot.cli.terminal import console

        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[said]}", markup=False),
            console=console(stream),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task: TaskID | None = None
        self._seen: Counter[State] = Counter()
        self._steps = 0
        self._lock = threading.Lock()

    def start(self, total: int, phase: str) -> None:
        """Begin a bar."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._seen.clear()
            self._steps = 0
            self._task = self._bar.add_task(clean(phase), total=total, said="")
            self._bar.start()

    def host(self, name: str, state: State | None, note: str) -> None:
        """Count a host that is done, or say what one is doing."""
        if state is None:
            self._update(0, f"{name}: {note}")
        else:
            self._seen[state] += 1
            self._update(1, states(self._seen.elements()))

    def step(self, host: str, name: str, state: State) -> None:
        """Count a change, and say what was just made: a single host may have thousands."""
        self._steps += 1
        self._update(0, f"change {self._steps:,}, {host}: {name}: {state.value}")

    def finish(self) -> None:
        """Take the bar off the screen."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            if self._task is not None:
                self._bar.stop()
                self._bar.remove_task(self._task)
                self._task = None

    def _update(self, advance: int, said: str) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):
            if self._task is not None:
                self._bar.update(self._task, advance=advance, said=clean(said))
