"""`remediate disk` names one mount exactly, and ends as what was measured."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner, Result

from maintenancebot import app
from maintenancebot.cli.options import Options
from maintenancebot.cli.remediate import remediate_group
from maintenancebot.errors import UsageError
from maintenancebot.model import HostReport, Reason, Report, State

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)


def invoke(monkeypatch: pytest.MonkeyPatch, *words: str, state: State = State.DONE) -> tuple[Result, list[Any]]:
    asked: list[Any] = []
    report = Report("remediate disk", "r1", NOW, NOW, state, (HostReport("web1", state, Reason.NONE),))
    for name in ("remediate_disk", "remediate_disk_dry_run"):

        def remediate(_: Any, host: str, mount: str, *more: Any, name: str = name) -> Report:
            asked.append((name, host, mount))
            return report

        monkeypatch.setattr(app, name, remediate)
    arguments = ["disk", "--host", "web1", *words]
    return CliRunner().invoke(remediate_group, arguments, obj=Options(quiet=True), standalone_mode=False), asked


def code(result: Result) -> int:
    return result.return_value if isinstance(result.return_value, int) else result.exit_code


def test_the_mount_is_taken_as_a_mount_table_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    result, asked = invoke(monkeypatch, "--mount", "/srv//data/", "--json")
    assert (json.loads(result.stdout)["command"], code(result)) == ("remediate disk", 0)
    assert asked == [("remediate_disk", "web1", "/srv/data")]
    assert invoke(monkeypatch, "--mount", "/", "--dry-run")[1] == [("remediate_disk_dry_run", "web1", "/")]


@pytest.mark.parametrize("path", ["", "var", "./var", "/var/..", "/srv/./data", "~"])
def test_what_can_be_no_mount_point_is_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    result, asked = invoke(monkeypatch, "--mount", path)
    assert isinstance(result.exception, UsageError)
    assert asked == []


@pytest.mark.parametrize(("state", "ended"), [(State.NOTHING, 0), (State.FAILED, 1), (State.WAITING, 3)])
def test_it_ends_as_what_was_measured(state: State, ended: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert code(invoke(monkeypatch, "--mount", "/var", state=state)[0]) == ended
