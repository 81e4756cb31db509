import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from maintenancebot.cli import history
from maintenancebot.cli.options import Options
from maintenancebot.errors import UsageError
from maintenancebot.model import State
from maintenancebot.store import Store
from tests.unit.store.examples import NOON, later, tamper


@pytest.fixture
def state(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    with Store.open(state, create=True) as store:
        store.runs.start("run-1", "run", "c" * 64, at=NOON)
        store.runs.finish("run-1", State.DONE, {"changes": {"done": 2, "skipped": 1}}, {}, at=later(seconds=75))
        store.runs.start("run-2", "run", "c" * 64, at=later(hours=1))
    return state


def history_of(state: Path, *arguments: str) -> Result:
    return CliRunner().invoke(history.history_command, arguments, obj=Options(state_dir=state))


def verified(state: Path, *arguments: str) -> Result:
    return CliRunner().invoke(history.audit_group, ["verify", *arguments], obj=Options(state_dir=state))


def test_runs_are_listed_newest_first(state: Path) -> None:
    lines = history_of(state).output.splitlines()
    assert [line.split()[0] for line in lines] == ["RUN", "run-2", "run-1"]
    assert "unfinished" in lines[1]
    assert "1 min 15 s" in lines[2]
    assert lines[2].endswith("2 done, 1 skipped")


def test_as_json_with_a_limit(state: Path) -> None:
    document = json.loads(history_of(state, "--limit", "1", "--json").output)
    assert document["command"] == "history"
    assert document["runs"] == [
        {
            "run_id": "run-2",
            "command": "run",
            "configuration": "c" * 64,
            "started_at": "2026-11-21T13:00:00+00:00",
            "finished_at": None,
            "state": None,
            "totals": {},
        }
    ]


def test_without_any_run_there_is_only_the_heading_and_nothing_is_made(tmp_path: Path) -> None:
    assert len(history_of(tmp_path / "none").output.splitlines()) == 1
    assert not (tmp_path / "none").exists()


def test_a_whole_log_is_said_to_be_whole(state: Path) -> None:
    said = verified(state)
    assert said.exit_code == 0
    assert said.output.startswith("The audit log is whole: 3 rows, head ")


def test_a_broken_log_ends_with_code_1_and_says_where(state: Path) -> None:
    tamper(state, "UPDATE audit SET body = '{}' WHERE seq = 2")
    said = verified(state)
    assert (said.exit_code, said.output) == (
        1,
        "The audit log is broken at row 2: row 2 was changed: its hash does not fit\n",
    )
    document = json.loads(verified(state, "--json").output)
    assert (document["ok"], document["first_bad_seq"]) == (False, 2)


def test_a_wrong_configuration_is_a_usage_error(tmp_path: Path) -> None:
    said = CliRunner().invoke(history.history_command, [], obj=Options(config=tmp_path / "missing.yaml"))
    assert isinstance(said.exception, UsageError)
