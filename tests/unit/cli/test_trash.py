"""What the trash of the hosts looks like: every host has a row, also the one that could not be asked."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner, Result

from maintenancebot import app
from maintenancebot.catalog import TrashItem
from maintenancebot.cli.options import Options
from maintenancebot.cli.trash import trash_group
from maintenancebot.engine.trash import TrashResult
from maintenancebot.errors import UsageError
from maintenancebot.model import HostReport, Outcome, Reason, Report, State

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
ITEM = TrashItem(
    id="20261122T030000Z-1",
    host="web1",
    state="held",
    path="/var/log/a\x1b[2J.1.log",
    store="/var/lib/maintenancebot/trash",
    size=2000,
    allocated=4096,
    quarantined_at=datetime(2026, 11, 22, 3, tzinfo=UTC),
    purge_after=datetime(2026, 12, 22, 3, tzinfo=UTC),
    action="quarantine_file",
    task="logs",
    run="r1",
    identity={"ino": 7},
    stored_bytes=4096,
    form="gzip",
)
AWAY = replace(ITEM, id="20261122T030000Z-2", form="file", stored_bytes=0, offload="s3://bucket/key", state="offloaded")
DATES = ("2026-11-22 03:00 UTC", "2026-12-22 03:00 UTC")
DAMAGED = TrashItem("x-2", "web1", "unreadable", "", "/t", 0, 0, None, None, "", "", "", {}, "damaged record")
HELD = TrashResult("web1", State.DONE, items=(ITEM, AWAY, DAMAGED))
DOWN = TrashResult("db1", State.UNKNOWN, Reason.UNREACHABLE, "refused")
CLEAN = TrashResult("db2", State.NOTHING)


@pytest.fixture
def trash(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command over given answers of the hosts."""

    def run(results: list[TrashResult], *arguments: str, outcome: Outcome | None = None) -> Result:
        monkeypatch.setattr(app, "trash_list", lambda options, hosts, progress: results)
        monkeypatch.setattr(app, "trash_restore", lambda options, host, item, to: outcome)
        return CliRunner().invoke(trash_group, list(arguments), obj=Options(quiet=True), standalone_mode=False)

    return run


def code(result: Result) -> int:
    return result.return_value if isinstance(result.return_value, int) else result.exit_code


def test_every_host_has_its_rows(trash: Any) -> None:
    result = trash([HELD, DOWN, CLEAN], "list")
    assert [line.split("  ") for line in re.sub("   +", "  ", result.stdout).splitlines()] == [
        ["HOST", "ITEM", "STATE", "SIZE", "WHERE", "CAME", "PURGE FROM", "PATH"],
        [
            "web1",
            ITEM.id,
            "held",
            "4.0 KiB",
            "/var/lib/maintenancebot/trash (gzip)",
            *DATES,
            "/var/log/a\\x1b[2J.1.log",
        ],
        ["web1", AWAY.id, "offloaded", "0 B", "s3://bucket/key", *DATES, "/var/log/a\\x1b[2J.1.log"],
        ["web1", "x-2", "unreadable", "0 B", "/t", "-", "-", "damaged record"],
        ["db1", "-", "unknown", "-", "-", "-", "-", "unreachable: refused"],
        ["db2", "-", "nothing", "-", "-", "-", "-", "-"],
        ["3 items, 4.0 KiB on the hosts, 1 in an object store"],
    ]
    assert code(result) == 1


def test_a_fleet_that_answers_ends_with_0(trash: Any) -> None:
    assert code(trash([HELD, CLEAN], "list")) == 0


def test_the_list_is_one_document_with_json(trash: Any) -> None:
    document = json.loads(trash([HELD, DOWN], "list", "--json").stdout)
    assert [(host["host"], host["state"], host["reason"], len(host["items"])) for host in document["hosts"]] == [
        ("web1", "done", "", 3),
        ("db1", "unknown", "unreachable", 0),
    ]
    assert document["hosts"][0]["items"][0]["quarantined_at"] == "2026-11-22T03:00:00+00:00"
    assert document["hosts"][0]["items"][0]["path"] == ITEM.path


def test_one_item_is_shown_with_all_that_is_recorded(trash: Any) -> None:
    lines = trash([HELD], "show", "web1", ITEM.id).stdout.splitlines()
    assert lines[0] == "id              20261122T030000Z-1"
    assert "allocated       4.0 KiB" in lines
    assert "path            /var/log/a\\x1b[2J.1.log" in lines
    assert "identity        ino 7" in lines


def test_an_item_that_is_not_there_is_a_usage_error(trash: Any) -> None:
    result = trash([CLEAN], "show", "db2", "nope")
    assert isinstance(result.exception, UsageError)
    assert str(result.exception) == "db2 has no item nope in its trash; see `maintenancebot trash list --host db2`"


def test_a_host_that_cannot_be_asked_is_not_a_missing_item(trash: Any) -> None:
    result = trash([DOWN], "show", "db1", "nope")
    assert result.stdout == "db1  -  unknown  -  -  -  -  unreachable: refused\n"
    assert code(result) == 1


@pytest.mark.parametrize(
    ("outcome", "said", "ended"),
    [
        (Outcome("c", State.DONE, detail="back at /a"), "web1, i: done: back at /a\n", 0),
        (
            Outcome("c", State.SKIPPED, Reason.TARGET_EXISTS, "/a"),
            "web1, i: skipped: something is already in that place: /a\n",
            1,
        ),
        (
            Outcome("c", State.SKIPPED, Reason.STOPPED, "by root"),
            "web1, i: skipped: the kill switch is on: by root\n",
            3,
        ),
        (
            Outcome("c", State.UNKNOWN, Reason.LINK_LOST),
            "web1, i: unknown: the connection ended before the end of the answer\n",
            1,
        ),
    ],
)
def test_a_restore_says_what_was_measured(trash: Any, outcome: Outcome, said: str, ended: int) -> None:
    result = trash([], "restore", "web1", "i", outcome=outcome)
    assert (result.stdout, code(result)) == (said, ended)


@pytest.mark.parametrize("dry", [True, False])
def test_a_purge_is_told_as_a_run_is(dry: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    report = Report("trash purge", "r1", NOW, NOW, State.NOTHING, (HostReport("web1", State.NOTHING),))

    def purge(*given: Any) -> Report:
        asked.append(given[1:3])
        return report

    monkeypatch.setattr(app, "trash_purge_dry_run" if dry else "trash_purge", purge)
    words = ["purge", "--host", "web1", "--item", "a", "--item", "b", "--json", *(["--dry-run"] if dry else [])]
    result = CliRunner().invoke(trash_group, words, obj=Options(quiet=True), standalone_mode=False)
    assert (json.loads(result.stdout)["command"], code(result)) == ("trash purge", 0)
    assert asked == [(("web1",), ("a", "b"))]
