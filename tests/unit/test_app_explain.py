"""`app.explain` asks this very machine through the helper, and refuses what is no path of a file."""

import os
from pathlib import Path

import pytest
import yaml

from maintenancebot import app
from maintenancebot.cli.options import Options
from maintenancebot.engine.progress import Silent
from maintenancebot.errors import UsageError
from maintenancebot.model import State


@pytest.fixture
def options(tmp_path: Path) -> Options:
    logs = tmp_path / "log"
    logs.mkdir()
    tasks = [
        {"name": name, "type": "cleanup", "hosts": [hosts], "patterns": [{"path": f"{logs}/*.log", **more}]}
        for name, hosts, more in (
            ("first", "*", {"retention_days": 30}),
            ("second", "*", {"retention_days": 9, "compress": True}),
            ("elsewhere", "other", {"retention_days": 1}),
        )
    ]
    config, inventory = tmp_path / "config.yaml", tmp_path / "inventory.yaml"
    config.write_text(yaml.safe_dump({"tasks": tasks, "deletion": {"allow": [str(logs)]}}))
    inventory.write_text(
        yaml.safe_dump({"hosts": {"here": {"connection": "local"}, "other": {"address": "192.0.2.1"}}})
    )
    return Options(config, inventory, tmp_path / "state")


@pytest.mark.skipif(os.geteuid() != 0, reason="who has a file open can only be seen as root")
def test_every_cleanup_task_of_the_host_says_what_its_patterns_say(options: Options, tmp_path: Path) -> None:
    (tmp_path / "log" / "a.log").write_text("fresh")
    told = app.explain(options, "here", f"{tmp_path}/log/a.log", Silent())
    assert (told.state, told.reason) == (State.DONE, "")
    assert [(one.task, one.goes, one.reason) for one in told.patterns] == [
        ("first", False, "too_young"),
        ("second", False, "too_young"),
    ]
    assert told.deciding == told.patterns[0]


@pytest.mark.parametrize("path", ["a.log", "/", "/srv/../a.log", ""])
def test_what_is_no_path_of_a_file_is_refused(options: Options, path: str) -> None:
    with pytest.raises(UsageError):
        app.explain(options, "here", path, Silent())


def test_an_unknown_host_is_refused(options: Options) -> None:
    with pytest.raises(UsageError, match="no host is named 'nobody'"):
        app.explain(options, "nobody", "/srv/a.log", Silent())
