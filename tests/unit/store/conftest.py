from collections.abc import Iterator
from pathlib import Path

import pytest

from maintenancebot.store import Store


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def store(state: Path) -> Iterator[Store]:
    with Store.open(state, create=True) as opened:
        yield opened
