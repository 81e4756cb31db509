"""Signs of life: which parts of the daemon beat, which pieces of work are under way, and how long each is silent.

The watchdog of systemd is fed from here and from nowhere else: a thread that only says "alive" would hide a daemon
that does nothing any more.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

SCHEDULE = "schedule"
INTAKE = "intake"
CONFIGURATION = "configuration"
"""The note under which a refused reload stands."""
BEAT_SECONDS = 120.0
"""How long a part may be silent; the schedule beats every 30 s."""


@dataclass(frozen=True)
class Piece:
    """A piece of work that is under way."""

    name: str
    age: float  # seconds since it began
    silent: float  # seconds since its last progress
    deadline: float  # the longest silence that is well

    @property
    def is_hung(self) -> bool:
        """Whether it has been silent for too long."""
        return self.silent > self.deadline


@dataclass
class _Entry:
    name: str
    began: float
    heard: float
    deadline: float


class Vitals:
    """Told by all threads, asked by watchdog, health and metrics; counts in monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._beats: dict[str, float] = {}
        self._pieces: dict[int, _Entry] = {}
        self._tokens = itertools.count(1)
        self._notes: dict[str, str] = {}

    def beat(self, part: str) -> None:
        """A part is alive."""
        with self._lock:
            self._beats[part] = self._clock()

    def age(self, part: str) -> float:
        """Seconds since a part's last beat; infinite before its first."""
        with self._lock:
            return self._clock() - self._beats.get(part, -math.inf)

    def begin(self, piece: str, deadline: float) -> int:
        """A piece of work begins, which must never be silent for longer than `deadline` seconds; returns its token."""
        with self._lock:
            token, at = next(self._tokens), self._clock()
            self._pieces[token] = _Entry(piece, at, at, deadline)
            return token

    def progress(self, token: int) -> None:
        """A piece got on."""
        with self._lock:
            if token in self._pieces:
                self._pieces[token].heard = self._clock()

    def end(self, token: int) -> None:
        """A piece is over; ending it twice is ending it once."""
        with self._lock:
            self._pieces.pop(token, None)

    def pieces(self) -> tuple[Piece, ...]:
        """What is under way, oldest first."""
        with self._lock:
            at = self._clock()
            return tuple(Piece(one.name, at - one.began, at - one.heard, one.deadline) for one in self._pieces.values())

    def note(self, about: str, words: str) -> None:
        """What is to be known for now, such as who waits for what; without words it is over."""
        with self._lock:
            self._notes.pop(about, None)
            if words:
                self._notes[about] = words

    def notes(self) -> dict[str, str]:
        """Everything that is to be known, by what it is about, oldest first."""
        with self._lock:
            return dict(self._notes)

    def trouble(self) -> str:
        """What keeps the watchdog from being fed, for people; empty when all is well.

        A part that never beat is not there: without a webhook, say, nothing is taken in.
        """
        with self._lock:
            silent = sorted(part for part, at in self._beats.items() if self._clock() - at > BEAT_SECONDS)
        hung = [f"{one.name} is silent for {one.silent:.0f} s" for one in self.pieces() if one.is_hung]
        return "; ".join([*(f"the {part} does not beat" for part in silent), *hung])
