from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maintenancebot.store import Store
from tests.unit.engine.boxes import Box, can_make_boxes


@pytest.fixture
def make_box(tmp_path: Path) -> Callable[..., Box]:
    """Make a small host: `make_box("web-1", machine_id="1" * 32)`."""
    if not can_make_boxes():
        pytest.skip("makes small hosts as root")
    made: list[Box] = []

    def make(name: str = "web-1", machine_id: str = "") -> Box:
        made.append(Box(tmp_path / "boxes", name, machine_id or f"{len(made) + 1:032x}"))
        return made[-1]

    return make


@pytest.fixture
def box(make_box: Callable[..., Box]) -> Box:
    return make_box()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "state", create=True) as opened:
        yield opened
