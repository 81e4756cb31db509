"""The summary of a week of real runs says what the runs did, and what a host that is off could not say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.command import TASKS, Bot
from tests.lab.fleet import Fleet
from tests.lab.hosts import HostSpec, LabHost

pytestmark = pytest.mark.lab

OLD = {f"/var/log/app/old-{number}.1.log": 90.0 for number in range(3)}


def prepare(host: LabHost) -> None:
    for path in OLD:
        host.write(path, b"line\n" * 5000)
    host.age(OLD)


def test_the_week_is_told_as_the_runs_were(own_fleet: Fleet, tmp_path: Path) -> None:
    own_fleet.boot(HostSpec("web-1", disk_mib=400, prepare=prepare), HostSpec("web-2"))
    bot = Bot(tmp_path, own_fleet, tasks=[task for task in TASKS if task["type"] in ("cleanup", "monitor")])
    first = bot("run", "--json")
    own_fleet["web-2"].power_off()
    bot("run", "--json")
    files = {path: path.stat().st_mtime_ns for path in bot.state.iterdir()}

    told = bot("summary", "--format", "json")
    week = told.document
    assert told.code == 1
    assert week["state"] == "unknown"
    assert week["headline"].startswith("unknown: 2 hosts, 1 well, 1 unknown; ")
    assert week["figures"]["freed_now"] == first.document["totals"]["freed_now"]
    assert [run["state"] for run in week["runs"]] == ["done", "unknown"]
    cells = {host["host"]: {task: cell["state"] for task, cell in host["tasks"].items()} for host in week["hosts"]}
    assert cells["web-2"] == {"log_rotation": "unknown", "certificate_check": "unknown"}
    assert cells["web-1"]["log_rotation"] in ("done", "nothing")
    assert {host["host"]: sum(cell["changes"] for cell in host["tasks"].values()) for host in week["hosts"]} == {
        "web-1": len(OLD),
        "web-2": 0,
    }
    assert [(line["host"], line["reason"]) for line in week["needs_person"]] == [("web-2", "unreachable")]
    assert {disk["host"] for disk in week["disks"]} == {"web-1", "web-2"}
    assert bot("summary").out.splitlines()[4] == "Needs a person:"
    assert {path: path.stat().st_mtime_ns for path in bot.state.iterdir()} == files

    slack = json.loads(bot("summary", "--format", "slack").out)
    assert "web-2" in json.dumps(slack[0])
    assert "web-2" in bot("summary", "--format", "html").out
