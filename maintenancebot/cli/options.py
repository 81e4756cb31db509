"""What is given before the command, and holds for every command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """The global options; None where the default place holds."""

    config: Path | None = None
    inventory: Path | None = None
    state_dir: Path | None = None
    verbose: bool = False
    quiet: bool = False
