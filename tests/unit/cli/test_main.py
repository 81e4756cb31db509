"""The installed command: what it prints, where, and how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from maintenancebot import __version__
from maintenancebot.cli.main import COMMANDS

COMMAND = Path(sys.executable).with_name("maintenancebot")

SPEC_CONFIGURATION = "tasks: [{name: logs, type: cleanup, patterns: [{path: /var/log/x/*.log, retention_days: 30}]}]\n"


def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """The installed command, with nobody at the keyboard."""
    return subprocess.run(
        [str(COMMAND), *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
        env={**os.environ, **variables},
    )


def test_the_version_is_told() -> None:
    ended = run("--version")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"maintenancebot {__version__}\n", "")


def test_help_lists_every_command_with_its_words() -> None:
    ended = run("--help")
    assert ended.returncode == 0
    listed = dict(line.split(maxsplit=1) for line in ended.stdout.split("Commands:\n")[1].splitlines())
    assert listed == {name: row.help for name, row in COMMANDS.items()}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_row_of_the_table_is_a_command_of_that_name(command: str) -> None:
    ended = run(command, "--help")
    assert ended.returncode == 0
    assert ended.stdout.startswith(f"Usage: maintenancebot {command} ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("frobnicate",), "Error: No such command 'frobnicate'."),
        (("-v", "-q", "hosts"), "Error: -v and -q contradict each other; give one of them."),
        (
            ("run", "--plan", "p.json", "--host", "a"),
            "Error: --plan does exactly what the plan lists; leave out --host, --group and --task.",
        ),
        (("report", "r1", "--format", "pdf"), "Error: Invalid value for '--format': 'pdf' is not one of"),
        (("hosts", "--json", "ping"), "Error: put --json behind ping."),
    ],
)
def test_a_usage_error_is_2_and_goes_to_standard_error(arguments: tuple[str, ...], said: str) -> None:
    ended = run(*arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert said in ended.stderr


def test_a_bad_configuration_is_one_message_with_its_line_and_2(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(SPEC_CONFIGURATION.replace("retention_days: 30", "retention_days: 0"))
    ended = run("--config", str(config), "--state-dir", str(tmp_path / "state"), "dry-run")
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith(f"maintenancebot: {config}:1:")
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("command", ["dry-run", "run", "hosts"])
def test_an_inventory_that_is_not_there_is_2(tmp_path: Path, command: str) -> None:
    ended = run("--inventory", str(tmp_path / "none.yaml"), "--state-dir", str(tmp_path / "state"), command)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert str(tmp_path / "none.yaml") in ended.stderr
    assert "Traceback" not in ended.stderr


def test_variables_stand_for_the_options_and_options_count_before_them(tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.yaml"
    inventory.write_text("hosts: {web-1: {}}\n")
    missing = str(tmp_path / "none.yaml")
    assert "web-1" in run("hosts", MAINTENANCEBOT_INVENTORY=str(inventory)).stdout
    assert "web-1" in run("--inventory", str(inventory), "hosts", MAINTENANCEBOT_INVENTORY=missing).stdout
    assert run("hosts", MAINTENANCEBOT_INVENTORY=missing).returncode == 2
    assert run("check", MAINTENANCEBOT_CONFIG=missing).returncode == 2
    stopped = run("stop", "--reason", "test", MAINTENANCEBOT_STATE_DIR=str(tmp_path / "state"))
    assert (stopped.returncode, (tmp_path / "state" / "STOP").exists()) == (0, True)


def test_a_reader_that_goes_away_is_no_error() -> None:
    ended = subprocess.run(
        ["bash", "-c", f'{COMMAND} hosts --json | true; echo "${{PIPESTATUS[0]}}"'],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.stdout, ended.stderr) == ("0\n", "")


def test_the_inventory_is_listed_as_table_and_as_json(tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.yaml"
    inventory.write_text("groups: {web: {}}\nhosts: {web-1: {address: 10.0.0.11, groups: [web], user: maint}}\n")
    ended = run("--inventory", str(inventory), "hosts")
    assert (ended.returncode, ended.stderr) == (0, "")
    rows = [line.split() for line in ended.stdout.splitlines()]
    heading = ["HOST", "ADDRESS", "USER", "GROUPS", "VIA", "CLOUD", "MAINTENANCE", "LAST SEEN", "LAST RESULT", "SOURCE"]
    assert rows[0] == " ".join(heading).split()
    assert rows[1] == ["web-1", "10.0.0.11:22", "maint", "web", "-", "-", "-", "-", "-", str(inventory)]
    document = json.loads(run("--inventory", str(inventory), "hosts", "--json").stdout)
    assert (document["schema"], document["command"]) == (1, "hosts")
    assert [(host["host"], host["address"], host["groups"]) for host in document["hosts"]] == [
        ("web-1", "10.0.0.11", ["web"])
    ]
