"""Prometheus' own tool takes the alert rules, and finds that each fires when it should and is silent when it should."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.lab


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if not found:
        required = os.environ.get("LAB_REQUIRED") == "1"
        told = "promtool is not there: run tests/lab/install.sh"
        pytest.fail(told, pytrace=False) if required else pytest.skip(told)
    return str(found)


@pytest.mark.parametrize(
    "words",
    [
        ("check", "rules", "monitoring/maintenancebot.rules.yml"),
        ("test", "rules", "tests/monitoring/rules_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_finds_no_fault_in_the_rules(words: tuple[str, ...], promtool: str) -> None:
    done = subprocess.run([promtool, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout
