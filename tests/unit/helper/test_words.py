"""The helper speaks only words of the controller's closed lists."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import maintenancebot.helper
from maintenancebot.model import Reason, State

HELPER = Path(maintenancebot.helper.__file__).parent
SOURCES = sorted(HELPER.rglob("*.py"))
REASON_AT = {"Result": 1, "outcome": 2, "outcomes": 2, "Refused": 0}
STATE_AT = {"outcome": 1, "outcomes": 1}


def words(path: Path, places: dict[str, int]) -> Iterator[tuple[int, str]]:
    """The literal words at the given argument of the given calls, with their line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        index = places.get(name)
        if index is not None and len(node.args) > index:
            value = node.args[index]
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield node.lineno, value.value


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(HELPER)))
def test_every_reason_is_in_the_closed_list(path: Path) -> None:
    assert [
        (line, word) for line, word in words(path, REASON_AT) if word not in {reason.value for reason in Reason}
    ] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(HELPER)))
def test_every_state_is_in_the_closed_list(path: Path) -> None:
    assert [(line, word) for line, word in words(path, STATE_AT) if word not in {state.value for state in State}] == []


def test_the_words_are_found_at_all() -> None:
    assert sum(1 for path in SOURCES for _ in words(path, REASON_AT)) > 40
