"""The one exception by which a rule refuses a value; it never leaves this package's loading code."""

from __future__ import annotations


class RefusedError(ValueError):
    """A value that is refused: what is wrong, and what to write instead."""

    def __init__(self, problem: str, instead: str = "") -> None:
        self.problem, self.instead = problem, instead
        super().__init__(problem)
