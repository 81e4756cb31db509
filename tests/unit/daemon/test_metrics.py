"""Metrics: what is known in the store and of the process, few series, and nothing of hosts that are gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from maintenancebot.app.context import Context
from maintenancebot.daemon import metrics
from maintenancebot.daemon.health import Cause
from maintenancebot.daemon.vitals import CONFIGURATION, Vitals
from maintenancebot.engine import results
from maintenancebot.inventory import load_both
from maintenancebot.model import HostReport, Reason, Report, State, TaskReport, TaskType
from maintenancebot.policy.spending import Call, Silence, Use
from maintenancebot.settings import Llm, Secrets
from maintenancebot.store import Store
from tests.fakes.asgi import Client
from tests.unit.places import Place

SUNDAY = datetime(2026, 11, 15, 3, tzinfo=UTC)
TOKEN = "a-token-that-nobody-may-see"
TASKS: tuple[dict[str, Any], ...] = (
    {"name": "security_patches", "type": "package_update", "scope": "security_only"},
    {"name": "log_rotation", "type": "cleanup", "patterns": [{"path": "/var/log/**/*.*.log", "retention_days": 30}]},
    {"name": "docker_cleanup", "type": "docker_prune", "remove_unused_images": True, "min_age_hours": 48},
    {"name": "backup_verification", "type": "verify", "check": "backup_completed_within_24h"},
    {"name": "certificate_check", "type": "monitor", "check": "certificate_expiry_days > 30"},
)
TYPES = {task["name"]: TaskType(task["type"]) for task in TASKS}

Samples = dict[tuple[str, ...], float]
"""Name and the values of its labels, in the order of the labels' names -> value."""


class Daemon:
    """Metrics of a configuration whose inventory can change."""

    def __init__(self, place: Place, store: Store) -> None:
        self.place, self.store, self.vitals = place, store, Vitals()
        self.causes = [Cause("scheduler", True), Cause("disk", True)]
        self.hosts("web-1", "web-2")

    def hosts(self, *names: str) -> None:
        self.place.configure(*TASKS, schedule="0 3 * * 0")
        self.place.list_hosts(*names)
        settings, inventory = load_both(self.place.config, self.place.inventory)
        self.context = Context(settings, inventory, self.place.state_dir, Secrets(TOKEN))

    @property
    def client(self) -> Client:
        return Client([metrics.route(self.store, self.vitals, lambda: self.context, lambda: self.causes)])

    def text(self) -> str:
        answer = self.client.get("/metrics")
        assert (answer.code, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        return answer.text

    def samples(self) -> Samples:
        families = text_string_to_metric_families(self.text())
        return {
            (one.name, *(one.labels[key] for key in sorted(one.labels))): one.value
            for family in families
            for one in family.samples
        }

    def ran(self, at: datetime, *hosts: HostReport, command: str = "run", **totals: int) -> None:
        ended = Report(command, "r", at - timedelta(seconds=60), at, State.DONE, hosts, totals)
        results.keep(ended, self.store)


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with Store.open(place.state_dir, create=True) as opened:
        yield opened


@pytest.fixture
def daemon(place: Place, store: Store) -> Daemon:
    return Daemon(place, store)


def task(name: str, state: State = State.DONE, reason: Reason = Reason.NONE, **facts: Any) -> TaskReport:
    return TaskReport(name, TYPES[name], state, reason, facts=facts)


def host(name: str, *tasks: TaskReport) -> HostReport:
    return HostReport(name, State.DONE, tasks=tasks)


SUCCESS = "maintenancebot_task_last_success_timestamp_seconds"


def test_every_host_and_task_has_its_last_success_and_zero_stands_for_never(daemon: Daemon) -> None:
    daemon.ran(SUNDAY, host("web-1", *(task(name) for name in TYPES)))
    daemon.ran(SUNDAY + timedelta(weeks=1), host("web-1", task("log_rotation", State.FAILED)))
    found = daemon.samples()
    assert {key[1:]: value for key, value in found.items() if key[0] == SUCCESS} == {
        **{("web-1", name): SUNDAY.timestamp() for name in TYPES},
        **{("web-2", name): 0 for name in TYPES},
    }
    assert found["maintenancebot_task_hosts", "failed", "log_rotation", "cleanup"] == 1
    assert found["maintenancebot_task_hosts", "done", "log_rotation", "cleanup"] == 0
    assert found["maintenancebot_inventory_hosts",] == 2


def test_the_comparison_with_the_declared_state_is_a_task_of_the_hosts_that_have_one(
    daemon: Daemon, place: Place
) -> None:
    folder = place.config.parent / "baselines"
    folder.mkdir()
    (folder / "base.yaml").write_text("hosts: [web-2]\npackages: [{name: curl}]\n")
    daemon.hosts("web-1", "web-2")
    daemon.ran(SUNDAY, host("web-2", TaskReport("drift", TaskType.DRIFT, State.FAILED, Reason.DRIFTED)))
    found = daemon.samples()
    assert found["maintenancebot_task_hosts", "failed", "drift", "drift"] == 1
    assert [key for key in found if key[0] == SUCCESS and key[2] == "drift"] == [(SUCCESS, "web-2", "drift")]


def test_patches_certificates_and_freed_bytes_are_told(daemon: Daemon) -> None:
    ends = [{"not_after": "2027-01-01T00:00:00+00:00"}, {"not_after": "2026-12-01T00:00:00+00:00"}]
    tasks = (task("security_patches", due=4), task("certificate_check", certificates=ends))
    daemon.ran(SUNDAY, host("web-1", *tasks), freed_now=1000, freed_at_purge=50)
    daemon.ran(SUNDAY, command="purge", freed_now=7)
    found = daemon.samples()
    assert found["maintenancebot_patches_due", "web-1"] == 4
    first_end = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
    assert found["maintenancebot_certificate_first_expiry_timestamp_seconds", "web-1"] == first_end
    assert found["maintenancebot_freed_bytes_total", "now"] == 1007
    assert found["maintenancebot_freed_bytes_total", "at_purge"] == 50
    assert found["maintenancebot_runs_total", "run", "done"] == 1
    assert found["maintenancebot_run_seconds_total", "purge"] == 60
    assert found["maintenancebot_last_run_duration_seconds", "run"] == 60
    assert found["maintenancebot_task_results_total", "done", "security_patches"] == 1


def test_a_host_that_left_the_inventory_is_gone_at_the_next_scrape(daemon: Daemon) -> None:
    daemon.ran(SUNDAY, host("web-1", task("log_rotation")), host("web-2", task("log_rotation")))
    daemon.hosts("web-2")
    assert {key[1] for key in daemon.samples() if key[0] == SUCCESS} == {"web-2"}
    assert 'host="web-1"' not in daemon.text()


def test_counters_and_last_successes_outlive_a_restart(daemon: Daemon, place: Place) -> None:
    daemon.ran(SUNDAY, host("web-1", task("log_rotation")), freed_now=10)
    before = daemon.samples()
    with Store.open(place.state_dir, create=False) as again:
        after = Daemon(place, again).samples()
    kept = {key for key in before if key[0].endswith("_total") and not key[0].startswith("process")}
    assert ("maintenancebot_freed_bytes_total", "now") in kept
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
    assert after[SUCCESS, "web-1", "log_rotation"] == SUNDAY.timestamp()


def test_readiness_and_the_last_reload_are_told(daemon: Daemon) -> None:
    daemon.causes = [Cause("scheduler", True), Cause("disk", False, "full")]
    daemon.vitals.note(CONFIGURATION, "no")
    found = daemon.samples()
    assert found["maintenancebot_ready",] == 0
    assert (found["maintenancebot_ready_cause", "scheduler"], found["maintenancebot_ready_cause", "disk"]) == (1, 0)
    assert found["maintenancebot_config_last_reload_successful",] == 0


def test_guards_are_told(daemon: Daemon, store: Store) -> None:
    found = daemon.samples()
    assert found["maintenancebot_stopped",] == 0
    assert found["maintenancebot_actions_left", "hour"] == 20_000
    store.guard.stop("a release", "ann", at=SUNDAY)
    assert daemon.samples()["maintenancebot_stopped",] == 1


def test_what_the_model_used_is_told(daemon: Daemon, store: Store) -> None:
    assert "maintenancebot_model_tokens_left" not in {name for name, *_ in daemon.samples()}
    daemon.context = replace(daemon.context, settings=daemon.context.settings.model_copy(update={"llm": Llm()}))
    most = Call("summary", "a-model", "d" * 64, Use(9_000, 20_000))
    now = datetime.now(UTC)
    for number in (1, 2):
        assert store.spending.reserve(most, Llm().caps, at=now) == number
    store.spending.settle(1, 1_000, 203, 7_015, at=now)
    store.spending.lose(2, Silence.LATE, at=now)
    samples = daemon.samples()
    assert samples["maintenancebot_model_tokens_total", "summary"] == 10_203
    assert samples["maintenancebot_model_dollars_total", "summary"] == pytest.approx(0.027015)
    assert samples["maintenancebot_model_calls_total", "summary", "answered"] == 1
    assert samples["maintenancebot_model_calls_total", "summary", "late"] == 1
    assert samples["maintenancebot_model_tokens_left", "hour"] == 49_797
    assert samples["maintenancebot_model_dollars_left", "day"] == pytest.approx(0.972985)
    assert ("maintenancebot_model_dollars_left", "hour") not in samples


def test_missed_slots_are_counted_from_the_first_on(daemon: Daemon, store: Store) -> None:
    assert daemon.samples()["maintenancebot_slots_total", "cycle", "missed"] == 0
    store.slots.miss("cycle", {int(SUNDAY.timestamp()): "it was late"}, "rule", at=SUNDAY)
    assert daemon.samples()["maintenancebot_slots_total", "cycle", "missed"] == 1
    assert daemon.samples()["maintenancebot_next_run_timestamp_seconds", "cycle"] > SUNDAY.timestamp()


def test_a_store_that_cannot_be_read_leaves_what_the_process_knows(daemon: Daemon, place: Place) -> None:
    (place.state_dir / "state.db").rename(place.state_dir / "moved.db")
    daemon.causes = [Cause("store", False, "gone")]
    found = daemon.samples()
    assert found["maintenancebot_ready_cause", "store"] == 0
    assert not [key for key in found if key[0] in (SUCCESS, "maintenancebot_stopped")]


@pytest.mark.parametrize("count", [100, 1500])
def test_there_are_never_too_many_series_and_the_worst_hosts_keep_theirs(count: int, daemon: Daemon) -> None:
    names = [f"host-{number:04d}" for number in range(count)]
    daemon.hosts(*names)
    ends = [{"not_after": "2027-01-01T00:00:00+00:00"}]
    facts = {"security_patches": {"due": 1}, "certificate_check": {"certificates": ends}}
    reports = [host(name, *(task(one, **facts.get(one, {})) for one in TYPES)) for name in names[1:]]
    daemon.ran(SUNDAY, *reports)
    found = daemon.samples()
    assert len(found) <= metrics.MOST_SERIES
    shown = {key[1] for key in found if key[0] == SUCCESS}
    assert "host-0000" in shown, "it never had any success"
    assert found["maintenancebot_hosts_left_out",] == count - len(shown)
    assert (len(shown) == count) == (count == 100)


def test_scrapes_side_by_side_give_the_same(daemon: Daemon) -> None:
    daemon.ran(SUNDAY, *(host(name, task("log_rotation")) for name in ("web-1", "web-2")))
    ask: Callable[[int], str] = lambda _: daemon.text()  # noqa: E731
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(ask, range(24)))
    own = {"\n".join(line for line in text.splitlines() if "process_" not in line) for text in texts}
    assert len(own) == 1


def test_names_have_a_unit_a_help_sentence_and_few_labels(daemon: Daemon) -> None:
    for family in text_string_to_metric_families(daemon.text()):
        if family.name.startswith("process_"):
            continue
        assert family.name.startswith("maintenancebot_")
        assert family.documentation.endswith("."), family.name
        assert max((len(one.labels) for one in family.samples), default=0) <= 3
        assert all(one.name.endswith("_total") for one in family.samples if family.type == "counter")


def test_no_label_holds_a_secret_or_breaks_a_line(daemon: Daemon, store: Store) -> None:
    assert TOKEN not in daemon.text()
    assert metrics._shown("a\udcff\nb") == "a\\udcff\nb"
