"""`check` says what a configuration means, `schema` prints one JSON document; both change nothing."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from maintenancebot.cli.check import check_command, describe, describe_runs, schema_command
from maintenancebot.errors import ConfigurationError
from maintenancebot.inventory import load_both
from maintenancebot.settings import Settings

NOW = datetime(2026, 3, 21, 12, 0, tzinfo=UTC)
TASK = {"name": "patches", "type": "package_update", "scope": "all"}
CONFIG = """\
name: Night shift
tasks:
  - {name: patches, type: package_update, scope: all}
  - {name: front, type: package_update, scope: security_only, hosts: [web], approval: required}
"""
HOSTS = "groups: {web: {}, spare: {}}\nhosts:\n  web-1: {groups: [web]}\n  db-1: {}\n"


@pytest.fixture
def files(tmp_path):
    config, hosts = tmp_path / "config.yaml", tmp_path / "hosts.yaml"
    config.write_text(CONFIG)
    hosts.write_text(HOSTS)
    return config, hosts


def options(config=None, inventory=None):
    return SimpleNamespace(config=config, inventory=inventory, state_dir=None)


def test_hosts_by_group_and_tasks_with_their_hosts_are_told(files):
    assert list(describe(*load_both(*files))) == [
        "Configuration 'Night shift': 2 tasks",
        "Inventory: 2 hosts",
        "  group web: 1 host",
        "  group spare: 0 hosts",
        "Tasks:",
        "  patches (package_update, approval auto): all 2 hosts",
        "  front (package_update, approval required): 1 host: web-1",
    ]


def test_the_next_three_runs_have_weekday_zone_and_offset_through_a_clock_change():
    berlin = {"schedule": "0 3 * * 0", "timezone": "Europe/Berlin", "tasks": [TASK]}
    settings = Settings.model_validate({**berlin, "schedules": {"purge": None, "summary": None}})
    assert list(describe_runs(settings, NOW)) == [
        "Next runs of the cycle (0 3 * * 0, Europe/Berlin), kept by `maintenancebot daemon`:",
        "  Sunday 2026-03-22 03:00 Europe/Berlin (UTC+01:00)",
        "  Sunday 2026-03-29 03:00 Europe/Berlin (UTC+02:00)",
        "  Sunday 2026-04-05 03:00 Europe/Berlin (UTC+02:00)",
    ]


def test_a_run_that_could_change_nothing_is_told():
    settings = Settings.model_validate(
        {
            "schedule": "0 3 * * *",
            "schedules": {"purge": None, "summary": None},
            "tasks": [TASK],
            "window": {"days": ["sun"]},
            "freeze": [{"start": "2026-03-23", "end": "2026-03-24", "reason": "fair"}],
        }
    )
    assert list(describe_runs(settings, NOW))[1:] == [
        "  Sunday 2026-03-22 03:00 UTC (UTC+00:00)",
        "  Monday 2026-03-23 03:00 UTC (UTC+00:00), changes nothing: frozen from 2026-03-23 to 2026-03-24: fair",
        "  Tuesday 2026-03-24 03:00 UTC (UTC+00:00), changes nothing: frozen from 2026-03-23 to 2026-03-24: fair",
    ]
    open_on_sunday = settings.model_copy(update={"freeze": ()})
    assert list(describe_runs(open_on_sunday, NOW))[2].endswith("UTC+00:00), changes nothing: outside the window")


def test_every_schedule_has_its_next_runs():
    monitor = {"name": "certificates", "type": "monitor", "check": "certificate_expiry_days > 30"}
    settings = Settings.model_validate({"schedule": "0 3 * * 0", "tasks": [TASK, monitor]})
    assert [line for line in describe_runs(settings, NOW) if not line.startswith("  ")] == [
        "Next runs of the cycle (0 3 * * 0, UTC), kept by `maintenancebot daemon`:",
        "Next runs of the look at certificates (0 6 * * *, UTC), kept by `maintenancebot daemon`:",
        "Next runs of the purge of the trash (30 4 * * *, UTC), kept by `maintenancebot daemon`:",
        "Next runs of the summary of the week (0 8 * * 1, UTC), kept by `maintenancebot daemon`:",
    ]


def test_without_a_schedule_that_is_said():
    settings = Settings.model_validate({"tasks": [TASK], "schedules": {"purge": None, "summary": None}})
    assert list(describe_runs(settings, NOW)) == ["Next runs of the cycle: none, there is no `schedule`"]


def test_the_bundled_files_pass(monkeypatch):
    result = CliRunner().invoke(check_command, obj=options())
    assert result.exit_code == 0
    assert "  log_rotation (cleanup, approval auto): localhost" in result.stdout.splitlines()
    assert "Sunday" in result.stdout


def test_the_faults_of_both_files_are_told_together(files):
    config, hosts = files
    config.write_text("nmae: x\n" + CONFIG)
    hosts.write_text(HOSTS + "  bad host: {}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_both(config, hosts)
    assert [(fault.file, fault.line) for fault in caught.value.faults] == [(str(config), 1), (str(hosts), 5)]


def test_the_schema_is_one_json_document():
    result = CliRunner().invoke(schema_command)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["title"] == "maintenancebot configuration"
