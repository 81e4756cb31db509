"""The words with which the model is asked: a file for each purpose, with a version that changes with each word."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "prompts"

SUMMARY = "summary.v2"
RANKING = "ranking.v1"
DIAGNOSIS = "diagnosis.v2"
REPAIR = "repair.v1"


@dataclass(frozen=True)
class Prompt:
    """What is asked, without the facts."""

    name: str  # with its version: part of what an answer is kept by
    text: str


def prompt(name: str) -> Prompt:
    """The prompt of this name and version."""
    return Prompt(name, (FOLDER / f"{name}.txt").read_text("utf-8").strip())
