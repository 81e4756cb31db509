"""A folder of baselines."""

from pathlib import Path

import pytest

from tests.unit.settings.baselines import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "baselines")
