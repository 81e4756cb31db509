import json
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from maintenancebot import app
from maintenancebot.cli import guards
from maintenancebot.cli.options import Options
from maintenancebot.errors import StoreError, UsageError
from maintenancebot.policy.spending import Call, Use
from maintenancebot.settings.sections import Guards
from maintenancebot.settings.telling import Spending
from maintenancebot.store import Store
from tests.unit.store.examples import request, steps


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options(state_dir=tmp_path / "state")


def call(options: Options, command: click.Command, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, obj=options)


def stopped(options: Options) -> str:
    assert options.state_dir is not None
    with Store.open_readonly(options.state_dir) as store:
        found = store.guard.stopped()
    return found.reason if found else ""


def test_stop_wants_a_reason(options: Options) -> None:
    assert call(options, guards.stop_command).exit_code == 2
    assert call(options, guards.stop_command, "--reason", " ").exit_code == 2
    assert stopped(options) == ""


def test_stop_holds_until_resume(options: Options) -> None:
    said = call(options, guards.stop_command, "--reason", "disk swap")
    assert (said.exit_code, said.output) == (0, "Stopped: nothing is changed until `maintenancebot resume`.\n")
    assert stopped(options) == "disk swap"
    resumed = call(options, guards.resume_command)
    assert (resumed.exit_code, stopped(options)) == (0, "")
    assert resumed.output == f"Resumed; {app.person()} had stopped it: disk swap\n"


def test_resume_of_what_was_not_stopped_says_so(options: Options) -> None:
    assert call(options, guards.resume_command).output == "Nothing was stopped.\n"


def test_stop_works_with_a_damaged_database_and_says_what_is_missing(options: Options) -> None:
    assert options.state_dir is not None
    options.state_dir.mkdir(mode=0o700)
    (options.state_dir / "state.db").write_bytes(b"x" * 5000)
    said = call(options, guards.stop_command, "--reason", "why")
    assert said.exit_code == 0
    assert "Only the stop file was written, not the database" in said.output
    assert (options.state_dir / "STOP").exists()


def test_stop_works_with_an_unusable_configuration(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("tasks: 3")
    said = call(Options(config=config, state_dir=tmp_path / "state"), guards.stop_command, "--reason", "why")
    assert said.exit_code == 0
    assert (tmp_path / "state" / "STOP").exists()


def test_a_stop_that_nothing_could_take_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    failed = call(Options(state_dir=tmp_path / "file" / "state"), guards.stop_command, "--reason", "why")
    assert isinstance(failed.exception, StoreError)


def test_resume_says_when_another_switch_still_stops(tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    switch.touch()
    config = tmp_path / "config.yaml"
    config.write_text(
        f"guards: {{kill_switch_file: {switch}}}\n"
        'tasks: [{name: logs, type: cleanup, patterns: [{path: "/var/log/**/*.log", retention_days: 30}]}]\n'
    )
    said = call(Options(config=config, state_dir=tmp_path / "state"), guards.resume_command)
    assert (said.exit_code, said.output) == (
        3,
        f"Still stopped: {switch} exists; that file is not ours to remove: remove it by hand\n",
    )


def test_approvals_are_listed_with_what_they_are_about(options: Options) -> None:
    digest = waiting(options)
    listed = json.loads(call(options, guards.approvals_group, "list", "--json").output)
    [row] = listed["approvals"]
    assert (row["digest"], row["hosts"], row["changes"]) == (digest, ["web-1"], 2)
    assert digest[:12] in call(options, guards.approvals_group, "list").output


@pytest.mark.parametrize(("word", "state"), [("approve", "approved"), ("deny", "denied")])
def test_a_decision_is_kept(options: Options, word: str, state: str) -> None:
    digest = waiting(options)
    assert call(options, guards.approvals_group, word, digest[:12]).output == f"Plan {digest[:12]} is {state}.\n"
    [row] = json.loads(call(options, guards.approvals_group, "list", "--json").output)["approvals"]
    assert (row["state"], row["decided_by"]) == (state, app.person())
    again = call(options, guards.approvals_group, word, digest[:12])
    assert isinstance(again.exception, UsageError)


def waiting(options: Options) -> str:
    """A plan of two changes that waits for a person now, by the real clock."""
    assert options.state_dir is not None
    with Store.open(options.state_dir, create=True) as store:
        return request(store, 1, 2, at=datetime.now(UTC))


@pytest.mark.parametrize(("user", "expected"), [("anna", "anna"), ("", "root")])
def test_who_used_sudo_is_named(monkeypatch: pytest.MonkeyPatch, user: str, expected: str) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("os.getuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", user)
    assert app.person() == expected


def open_breakers(options: Options) -> None:
    """The rule's and the fleet's breaker open, by the real clock."""
    assert options.state_dir is not None
    with Store.open(options.state_dir, create=True) as store:
        for host in ("web-1", "web-2", "web-3"):
            rules = Guards(breaker_fleet_hosts=3, breaker_failures=9)
            store.breakers.learn("run", host, (), {"cleanup": False}, rules=rules, at=datetime.now(UTC))


def listed(options: Options) -> list[tuple[str, str, str]]:
    rows = json.loads(call(options, guards.breakers_group, "--json").output)["breakers"]
    return [(row["scope"], row["name"], row["state"]) for row in rows]


def test_breakers_are_listed_with_their_state(options: Options) -> None:
    open_breakers(options)
    hosts = [("host", f"web-{number}", "closed") for number in (1, 2, 3)]
    assert listed(options) == [("fleet", "all", "open"), *hosts, ("rule", "cleanup", "open")]
    assert "cleanup" in call(options, guards.breakers_group).output


def test_one_or_all_breakers_are_closed_and_that_is_audited(options: Options) -> None:
    open_breakers(options)
    said = call(options, guards.breakers_group, "reset", "rule", "cleanup")
    assert (said.exit_code, said.output) == (0, "Closed: rule cleanup\n")
    assert ("fleet", "all", "open") in listed(options)
    assert "Closed: fleet all" in call(options, guards.breakers_group, "reset").output
    assert listed(options) == []
    assert call(options, guards.breakers_group, "reset").output == "All breakers were closed.\n"
    assert options.state_dir is not None
    with Store.open_readonly(options.state_dir) as store:
        assert store.audit.verify().rows == 7


def test_a_breaker_that_counts_nothing_cannot_be_closed(options: Options) -> None:
    open_breakers(options)
    assert call(options, guards.breakers_group, "reset", "rule").exit_code == 2
    assert isinstance(call(options, guards.breakers_group, "reset", "rule", "verify").exception, UsageError)


def test_the_budget_says_what_was_made_and_what_is_left(options: Options, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "guards: {actions_per_hour: 10, actions_per_day: 3}\n"
        'tasks: [{name: logs, type: cleanup, patterns: [{path: "/var/log/**/*.log", retention_days: 30}]}]\n'
    )
    limited = Options(config=config, state_dir=options.state_dir)
    assert options.state_dir is not None
    with Store.open(options.state_dir, create=True) as store:
        store.intents.record("run", "web-1", "d" * 64, steps("web-1", 4), at=datetime.now(UTC))
    rows = json.loads(call(limited, guards.budget_command, "--json").output)["budgets"]
    assert rows == [
        {"span": "hour", "changes": 4, "limit": 10, "left": 6},
        {"span": "day", "changes": 4, "limit": 3, "left": 0},
    ]
    assert "hour" in call(limited, guards.budget_command).output


@pytest.mark.parametrize(
    ("dollars", "said"),
    [(0.000042, "0.000042"), (0.5, "0.5"), (10.0, "10"), (0.0, "0"), (None, "-"), (48_797, "48797")],
)
def test_dollars_are_written_without_an_exponent(dollars: float | None, said: str) -> None:
    assert guards._shown(dollars) == said


def test_the_budget_says_what_the_model_used(options: Options, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "llm: {caps: {tokens_per_hour: 50000, dollars_per_day: 0.5}}\n"
        'tasks: [{name: logs, type: cleanup, patterns: [{path: "/var/log/**/*.log", retention_days: 30}]}]\n'
    )
    with_model = Options(config=config, state_dir=options.state_dir)
    assert options.state_dir is not None
    with Store.open(options.state_dir, create=True) as store:
        most = Call("summary", "a-model", "d" * 64, Use(9_000, 20_000))
        assert store.spending.reserve(most, Spending(), at=datetime.now(UTC)) == 1
        store.spending.settle(1, 1_000, 203, 7_015, at=datetime.now(UTC))
    hour, day, month = json.loads(call(with_model, guards.budget_command, "--json").output)["model"]
    assert list(hour.values()) == ["hour", 1203, 50_000, 48_797, 0.007015, None, None]
    assert (day["dollars_limit"], day["dollars_left"]) == (0.5, 0.492985)
    assert month["tokens_left"] == 1_998_797
    assert "48797" in call(with_model, guards.budget_command).output
    assert "0.007015" in call(with_model, guards.budget_command).output
    assert "TOKENS" not in call(options, guards.budget_command).output
