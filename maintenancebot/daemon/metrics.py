"""Metrics: every name with its help stands in this file, and every value is read when it is asked for.

Nothing is kept between two scrapes: hosts that left the inventory are gone with the next one, counters come from the
store and outlive restarts, and scrapes side by side do not meet. At most `MOST_SERIES` series are shown.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from maintenancebot import __version__
from maintenancebot.app.context import Context
from maintenancebot.app.targets import targets
from maintenancebot.daemon import health
from maintenancebot.daemon.vitals import CONFIGURATION, Vitals
from maintenancebot.engine import results
from maintenancebot.errors import StoreError
from maintenancebot.inventory import declared
from maintenancebot.model import Json, State, TaskType
from maintenancebot.policy import slots, spending
from maintenancebot.policy.breakers import Breaker, BreakerState, Key, Scope
from maintenancebot.policy.episodes import DISK, ENDED, EpisodeState
from maintenancebot.policy.spending import Use
from maintenancebot.settings import DRIFT
from maintenancebot.store import Store
from maintenancebot.store.deliveries import OVER
from maintenancebot.store.figures import Snapshot
from maintenancebot.store.spending import Totals

MOST_SERIES = 2_000
SERIES_OF_FLEET = 500
"""What is set aside for series that are not of one host each: tasks by state, breakers, schedules, ..."""
MOST_BREAKERS = 100

Families = Iterator[Metric]


def route(store: Store, vitals: Vitals, context: Callable[[], Context], ready: health.Causes) -> Route:
    """`/metrics`, rendered in a thread."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Daemon(store, vitals, context, ready))
    ProcessCollector(registry=registry)

    def scrape(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return Route("/metrics", scrape, methods=["GET"])


class _Daemon(Collector):
    """Everything that is known now, as metrics."""

    def __init__(self, store: Store, vitals: Vitals, context: Callable[[], Context], ready: health.Causes) -> None:
        self._store, self._vitals, self._context, self._ready = store, vitals, context, ready

    def collect(self) -> Families:
        """All families; what needs the store is left out while the store cannot be read, and readiness says why."""
        context, now = self._context(), datetime.now(UTC)
        yield from _process(self._vitals, self._ready(), context)
        with suppress(StoreError):
            figures = self._store.figures.at(now)
            totals = self._store.memories.read(results.FLEET, results.TOTALS)
            known = self._store.memories.everywhere(results.KIND)
            left = health.actions_left(context, self._store, now)
            breakers = self._store.breakers.all()
            stopped = self._store.guard.stopped() is not None
            yield from _fleet(context, known)
            yield from _hosts(context, known)
            yield from _totals(totals)
            yield from _guards(figures, left, breakers, now, stopped=stopped)
            yield from _work(context, figures, now)
            yield from _model(context, self._store.spending.totals(), self._store.spending.used(now))


def _process(vitals: Vitals, causes: Sequence[health.Cause], context: Context) -> Families:
    yield _gauge(
        "maintenancebot_build_info",
        "Version of maintenancebot and of the Python that runs it.",
        {(__version__, platform.python_version()): 1},
        "version",
        "python",
    )
    yield _gauge(
        "maintenancebot_ready",
        "Whether everything that the daemon needs for its job is well.",
        {(): all(one.ok for one in causes)},
    )
    yield _gauge(
        "maintenancebot_ready_cause",
        "Whether one thing that readiness depends on is well.",
        {(one.name,): one.ok for one in causes},
        "cause",
    )
    yield _gauge(
        "maintenancebot_config_last_reload_successful",
        "Whether the last reload was taken; if not, the configuration before it holds.",
        {(): CONFIGURATION not in vitals.notes()},
    )
    yield _gauge("maintenancebot_inventory_hosts", "Hosts of the inventory.", {(): len(context.inventory.hosts)})
    pieces = vitals.pieces()
    yield _gauge("maintenancebot_work_pieces", "Pieces of work that are under way.", {(): len(pieces)})
    yield _gauge(
        "maintenancebot_work_silence_seconds",
        "How long the quietest piece of work has not got on.",
        {(): max((one.silent for one in pieces), default=0)},
    )


def _fleet(context: Context, known: Mapping[str, Json]) -> Families:
    counted = Counter((task, row["state"]) for _, task, row in _rows(context, known) if row)
    yield _gauge(
        "maintenancebot_task_hosts",
        "Hosts by the state in which the last run left a task.",
        {
            (task, type_, state.value): counted[task, state.value]
            for task, type_, _ in _wanted(context)
            for state in State
        },
        "task",
        "type",
        "state",
    )


def _hosts(context: Context, known: Mapping[str, Json]) -> Families:
    rows = list(_rows(context, known))
    shown = _worst(rows, len(_wanted(context)))
    yield _gauge(
        "maintenancebot_task_last_success_timestamp_seconds",
        "When a task was last done, or had nothing to do, on a host; 0 if never.",
        {(host, task): _epoch(row["success_at"]) if row else 0 for host, task, row in rows if host in shown},
        "host",
        "task",
    )
    yield _gauge(
        "maintenancebot_hosts_left_out",
        "Hosts without series of their own, as there would be too many: the worst are shown.",
        {(): len({host for host, _, _ in rows} - shown)},
    )
    figures = [(host, row["figures"]) for host, _, row in rows if row and host in shown]
    due: Counter[tuple[str, ...]] = Counter()
    ends: dict[tuple[str, ...], float] = {}
    for host, told in figures:
        if "due" in told:
            due[host,] += told["due"]
        if "first_end" in told:
            ends[host,] = min(_epoch(told["first_end"]), ends.get((host,), float("inf")))
    yield _gauge("maintenancebot_patches_due", "Updates that were due on a host at the last look.", due, "host")
    yield _gauge(
        "maintenancebot_certificate_first_expiry_timestamp_seconds",
        "When the first of a host's certificates ends.",
        ends,
        "host",
    )


def _totals(totals: Mapping[str, Json]) -> Families:
    yield _counter(
        "maintenancebot_task_results_total",
        "Tasks on hosts that ended, by task and state.",
        _by_words(totals.get("results", {})),
        "state",
        "task",
    )
    yield _counter(
        "maintenancebot_changes_total",
        "Changes that were listed, by what became of them and by action.",
        _by_words(totals.get("changes", {})),
        "state",
        "action",
    )
    yield _counter(
        "maintenancebot_runs_total",
        "Runs that ended, by the worst state of their hosts and by command.",
        _by_words(totals.get("runs", {})),
        "state",
        "command",
    )
    yield _counter(
        "maintenancebot_run_seconds_total",
        "Seconds that runs took, by command.",
        {(command,): seconds for command, seconds in totals.get("seconds", {}).items()},
        "command",
    )
    yield _gauge(
        "maintenancebot_last_run_duration_seconds",
        "Seconds that the last run took, by command.",
        {(command,): seconds for command, seconds in totals.get("last_seconds", {}).items()},
        "command",
    )
    yield _counter(
        "maintenancebot_freed_bytes_total",
        "Bytes that runs freed, as measured: at once, or at the purge of the trash.",
        {(when,): freed for when, freed in totals.get("freed", {}).items()},
        "when",
    )


def _guards(
    figures: Snapshot, left: Mapping[str, int], breakers: Mapping[Key, Breaker], now: datetime, *, stopped: bool
) -> Families:
    yield _gauge("maintenancebot_stopped", "Whether the kill switch is on.", {(): stopped})
    yield _gauge(
        "maintenancebot_actions_left",
        "Changes that the budgets still allow, in the last hour and in the last day.",
        {(per,): left[per] for per in ("hour", "day")},
        "per",
    )
    open_ = {key: one.state(now) for key, one in breakers.items() if one.state(now) is not BreakerState.CLOSED}
    yield _gauge(
        "maintenancebot_breaker_open",
        "Breakers that are not closed: 1 open, 0 half-open, which lets one host try.",
        {
            (key.scope.value, key.name): state is BreakerState.OPEN
            for key, state in islice(open_.items(), MOST_BREAKERS)
        },
        "scope",
        "name",
    )
    yield _gauge(
        "maintenancebot_breakers",
        "Breakers by scope, those that are not closed.",
        {(scope.value,): sum(key.scope is scope for key in open_) for scope in Scope},
        "scope",
    )
    yield _gauge("maintenancebot_approvals_waiting", "Plans that wait for a person.", {(): figures.approvals_waiting})


def _work(context: Context, figures: Snapshot, now: datetime) -> Families:
    yield _gauge(
        "maintenancebot_alerts",
        "Alerts of the last 30 days by the reason with which they were settled; copies of one alert count once.",
        {(reason or "episode_opened",): number for (reason,), number in figures.alerts.items()},
        "reason",
    )
    yield _gauge("maintenancebot_alerts_waiting", "Alerts that nobody took up yet.", {(): figures.alerts_waiting})
    yield _gauge(
        "maintenancebot_episodes_open",
        "Episodes that are not over, by state.",
        {(state.value,): figures.open_episodes.get((state.value,), 0) for state in EpisodeState if state not in ENDED},
        "state",
    )
    yield _counter(
        "maintenancebot_episodes_ended_total",
        "Episodes that are over, by rule and by how they ended.",
        {(DISK, state.value): 0 for state in sorted(ENDED)} | dict(figures.ended_episodes),
        "rule",
        "state",
    )
    yield _gauge("maintenancebot_messages_waiting", "Messages that were not sent yet.", {(): figures.messages_waiting})
    yield _counter(
        "maintenancebot_messages_total",
        "Messages that are over at a target, by how they ended.",
        {(target.name, state.value): 0 for target in targets(context) for state in OVER} | dict(figures.deliveries),
        "target",
        "state",
    )
    names = slots.schedules(context.settings)
    counted: Counter[tuple[str, ...]] = Counter({(name, state): 0 for name in names for state in ("done", "missed")})
    for (schedule, state, reason), number in figures.slots.items():
        counted[schedule, "missed" if reason == "missed" else state or "running"] += number
    yield _counter(
        "maintenancebot_slots_total", "Slots of the schedules, by what became of them.", counted, "schedule", "state"
    )
    yield _gauge(
        "maintenancebot_next_run_timestamp_seconds",
        "When a schedule comes next.",
        {(one.schedule,): one.at.timestamp() for one in slots.coming(context.settings, now, 1)},
        "schedule",
    )


def _model(context: Context, totals: Mapping[str, Totals], used: Mapping[str, Use]) -> Families:
    yield _counter(
        "maintenancebot_model_tokens_total",
        "Tokens that calls of the model used, or may have used, by purpose.",
        {(purpose,): one.use.tokens for purpose, one in totals.items()},
        "purpose",
    )
    yield _counter(
        "maintenancebot_model_dollars_total",
        "Dollars that calls of the model cost, or may have cost, by purpose.",
        {(purpose,): one.use.dollars for purpose, one in totals.items()},
        "purpose",
    )
    yield _counter(
        "maintenancebot_model_calls_total",
        "Calls of the model by purpose and by how they ended.",
        {
            (purpose, reason or "answered"): many
            for purpose, one in totals.items()
            for reason, many in one.calls.items()
        },
        "purpose",
        "reason",
    )
    rules = context.settings.llm
    left = spending.left(rules.caps, used) if rules else {}
    yield _gauge(
        "maintenancebot_model_tokens_left",
        "Tokens that the caps still allow, in the last hour, day and 30 days.",
        {(per,): one.tokens for per, one in left.items()},
        "per",
    )
    yield _gauge(
        "maintenancebot_model_dollars_left",
        "Dollars that the caps still allow, in the last day and 30 days.",
        {(per,): one.cost / spending.MICRO for per, one in left.items() if one.cost is not None},
        "per",
    )


def _rows(context: Context, known: Mapping[str, Json]) -> Iterator[tuple[str, str, Json]]:
    """Host, task and last result, None where there is none, for what the configuration wants of the inventory."""
    for task, _, hosts in _wanted(context):
        for host in hosts:
            yield host, task, known.get(host, {}).get(task)


def _wanted(context: Context) -> list[tuple[str, str, list[str]]]:
    """Each task with its type and its hosts; the comparison with the declared state is one where any is declared."""
    settings, inventory = context.settings, context.inventory
    found = [(task.name, task.type.value, [h.name for h in inventory.select(task.hosts)]) for task in settings.tasks]
    compared = list(declared(settings, inventory, inventory.hosts))
    return [*found, (DRIFT, TaskType.DRIFT.value, compared)] if compared else found


def _worst(rows: Sequence[tuple[str, str, Json]], tasks: int) -> set[str]:
    """The hosts that have series of their own: all, or as many as may be, those first whose success is longest ago."""
    oldest: dict[str, str] = {}
    for host, _, row in rows:
        success = row["success_at"] if row else ""
        oldest[host] = min(success, oldest.get(host, success))
    room = max(1, (MOST_SERIES - SERIES_OF_FLEET) // (tasks + 2))
    return set(sorted(oldest, key=lambda host: (oldest[host], host))[:room])


def _epoch(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp() if moment else 0


def _by_words(counted: Mapping[str, float]) -> dict[tuple[str, ...], float]:
    return {tuple(words.split(" ", 1)): number for words, number in counted.items()}


def _gauge(name: str, words: str, values: Mapping[tuple[str, ...], float], *labels: str) -> Metric:
    return _filled(GaugeMetricFamily(name, words, labels=labels), values)


def _counter(name: str, words: str, values: Mapping[tuple[str, ...], float], *labels: str) -> Metric:
    return _filled(CounterMetricFamily(name, words, labels=labels), values)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: Mapping[tuple[str, ...], float]) -> Metric:
    for key, value in values.items():
        family.add_metric([_shown(word) for word in key], float(value))
    return family


def _shown(word: str) -> str:
    """A label that UTF-8 can carry."""
    return word.encode("utf-8", "backslashreplace").decode("utf-8")
