"""`--help` stays quick because it loads next to nothing."""

import json
import subprocess
import sys

import pytest

from maintenancebot.cli.main import COMMANDS

SLOW = {
    "alembic",
    "boto3",
    "cronsim",
    "cryptography",
    "docker",
    "fabric",
    "paramiko",
    "pydantic",
    "pydantic_settings",
    "requests",
    "rich",
    "sqlalchemy",
    "yaml",
}

PROGRAM = """
import json, sys
from maintenancebot.cli.main import run
sys.stdout = sys.stderr
code = run(sys.argv[1:])
sys.__stdout__.write(json.dumps([code, sorted(sys.modules)]))
"""


def loaded_by(*arguments: str) -> set[str]:
    """The modules in memory after a command that ended well."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True)
    code, modules = json.loads(ended.stdout)
    assert code == 0, ended.stderr
    return set(modules)


@pytest.mark.parametrize("arguments", [("--help",), ("--version",)])
def test_help_and_version_load_nothing_slow(arguments: tuple[str, ...]) -> None:
    modules = loaded_by(*arguments)
    assert modules & SLOW == set()
    assert {name for name in modules if name.startswith("maintenancebot.")} <= {
        "maintenancebot.cli",
        "maintenancebot.cli.lazy",
        "maintenancebot.cli.main",
        "maintenancebot.cli.options",
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_loads_nothing_slow(command: str) -> None:
    reads_files = {"cronsim", "pydantic", "yaml"}  # 0.15 s that `check` may cost
    assert loaded_by(command, "--help") & (SLOW - reads_files) == set()
