"""Health is honest: ready only when the daemon could do its job now, with each cause named, and no secret in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from maintenancebot.app.context import Context
from maintenancebot.daemon import health
from maintenancebot.daemon.vitals import CONFIGURATION, INTAKE, SCHEDULE, Vitals
from maintenancebot.inventory import load_both
from maintenancebot.model import State
from maintenancebot.policy import slots
from maintenancebot.settings import Secrets
from maintenancebot.settings.serving import Tls
from maintenancebot.store import Store
from tests.fakes.asgi import Client
from tests.unit.places import Place

NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)  # a Wednesday
SUNDAY = int(datetime(2026, 11, 15, 3, tzinfo=UTC).timestamp())
TOKEN = "a-token-that-nobody-may-see"


class Ticking:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def ticking() -> Ticking:
    return Ticking()


@pytest.fixture
def vitals(ticking: Ticking) -> Vitals:
    alive = Vitals(ticking)
    alive.beat(SCHEDULE)
    alive.beat(INTAKE)
    return alive


@pytest.fixture
def context(place: Place) -> Context:
    task = {"name": "certificate_check", "type": "monitor", "check": "certificate_expiry_days > 30"}
    place.configure(task, schedule="0 3 * * 0", schedules={"certificates": None, "purge": None, "summary": None})
    place.list_hosts("web-1", "web-2")
    settings, inventory = load_both(place.config, place.inventory)
    return Context(settings, inventory, place.state_dir, Secrets(webhook_token=TOKEN))


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with Store.open(place.state_dir, create=True) as opened:
        rule = slots.rule("0 3 * * 0", "UTC")
        at = datetime.fromtimestamp(SUNDAY, UTC)
        opened.slots.claim("cycle", SUNDAY, rule, "run-1", at=at)
        opened.slots.finish("cycle", SUNDAY, State.DONE, at=at + timedelta(hours=1))
        yield opened


Look = Callable[[], dict[str, str]]


@pytest.fixture
def bad(context: Context, store: Store, vitals: Vitals) -> Look:
    """What is not well, with its detail."""

    def look() -> dict[str, str]:
        return {one.name: one.detail for one in health.causes(context, store, vitals, NOON) if not one.ok}

    return look


def test_all_is_well(bad: Look) -> None:
    assert bad() == {}


def test_every_cause_is_named_whether_it_is_well_or_not(context: Context, store: Store, vitals: Vitals) -> None:
    assert [one.name for one in health.causes(context, store, vitals, NOON)] == [
        "scheduler", "intake", "work", "store", "audit", "disk", "inventory", "configuration", "schedule", "webhook",
    ]  # fmt: skip


def test_a_part_that_fell_silent(bad: Look, ticking: Ticking, vitals: Vitals) -> None:
    ticking.at = 121
    vitals.beat(INTAKE)
    assert bad() == {"scheduler": "its last sign of life was 121 s ago"}


def test_a_part_that_never_began(context: Context, store: Store) -> None:
    new = health.causes(context, store, Vitals(), NOON)
    assert [(one.name, one.detail) for one in new if not one.ok] == [
        ("scheduler", "it has not begun"),
        ("intake", "it has not begun"),
    ]


def test_a_piece_of_work_that_hangs(bad: Look, ticking: Ticking, vitals: Vitals) -> None:
    vitals.begin("cycle", 50)
    ticking.at = 51
    assert bad() == {"work": "cycle has not got on for 51 s"}


def test_a_slot_that_nobody_took_up(context: Context, store: Store, vitals: Vitals) -> None:
    next_sunday = datetime.fromtimestamp(SUNDAY, UTC) + timedelta(weeks=1)
    early, late = (health.causes(context, store, vitals, next_sunday + timedelta(minutes=n)) for n in (9, 11))
    assert [one.detail for one in early if not one.ok] == []
    assert [one.detail for one in late if not one.ok] == ["nobody has taken up cycle of 2026-11-22 03:00 UTC"]


def test_a_webhook_without_token_is_closed(context: Context, store: Store, vitals: Vitals) -> None:
    bare = Context(context.settings, context.inventory, context.state)
    found = {one.name: (one.ok, one.detail) for one in health.causes(bare, store, vitals, NOON)}
    assert found["webhook"] == (False, "it is closed: give the secret `webhook_token`, or write http.tls.client_ca")
    assert found["intake"] == (True, "off, see webhook")


def test_a_refused_reload_is_told_and_the_daemon_stays_ready(
    context: Context, store: Store, vitals: Vitals, bad: Look
) -> None:
    vitals.note(CONFIGURATION, "hosts.yaml:3:1: the key `hostz` is not known")
    assert bad() == {}
    (found,) = [one for one in health.causes(context, store, vitals, NOON) if one.name == "configuration"]
    assert found.detail == "the last reload was refused, the configuration before it holds; see the log"


def test_a_state_that_is_gone(bad: Look, place: Place) -> None:
    shutil.move(place.state_dir, place.state_dir.with_name("elsewhere"))
    assert set(bad()) == {"store", "audit", "disk", "schedule"}
    shutil.move(place.state_dir.with_name("elsewhere"), place.state_dir)
    assert bad() == {}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"f_bavail": 7 * 256}, "7 MiB and 9999 inodes are free for the state"),
        ({"f_favail": 9}, "40000 MiB and 9 inodes are free for the state"),
        ({"f_flag": os.ST_RDONLY}, "the file system of the state is read-only"),
        ({"f_favail": 0, "f_files": 0}, None),  # btrfs counts no inodes
    ],
)
def test_a_disk_of_the_state_that_is_full_or_read_only(change: dict[str, int], told: str | None, bad: Look) -> None:
    names = ("f_bavail", "f_frsize", "f_flag", "f_files", "f_favail")
    values = {"f_bavail": 10_240_000, "f_frsize": 4096, "f_flag": 0, "f_files": 10_000, "f_favail": 9999, **change}
    found = type("Found", (), {name: values[name] for name in names})
    with patch.object(health.os, "statvfs", return_value=found):
        assert bad() == ({"disk": told} if told else {})


def test_an_audit_log_that_cannot_be_written(context: Context, store: Store, vitals: Vitals, place: Place) -> None:
    with Store.open_readonly(place.state_dir) as looking:
        found = [one for one in health.causes(context, looking, vitals, NOON) if not one.ok]
    assert [(one.name, one.detail) for one in found] == [
        ("audit", "the audit log cannot be written, so nothing is changed on any host")
    ]


@pytest.mark.parametrize(("ok", "looked"), [(True, [0.0, 5.0]), (False, [0.0, 1.0, 4.9, 6.0])])
def test_the_same_answer_is_given_for_a_while_a_bad_one_for_less(
    ok: bool, looked: list[float], ticking: Ticking
) -> None:
    asked: list[float] = []

    def look() -> list[health.Cause]:
        asked.append(ticking.at)
        return [health.Cause("one", ok)]

    ask = health.kept(look, 5, ticking)
    for ticking.at in (0.0, 0.9, 1.0, 4.9, 5.0, 6.0):
        assert ask()[0].name == "one"
    assert asked == looked


# What is served


@pytest.fixture
def client(context: Context, store: Store, vitals: Vitals) -> Client:
    return Client(
        health.routes(
            lambda: health.causes(context, store, vitals, NOON),
            lambda: health.status(context, store, vitals, NOON),
            health.permission(lambda: context),
        )
    )


def test_live_says_that_the_process_answers(client: Client) -> None:
    answer = client.get("/health/live")
    assert (answer.code, answer.json()) == (200, {"live": True})


def test_ready_is_200_or_503_with_the_causes(client: Client, vitals: Vitals, ticking: Ticking) -> None:
    answer = client.get("/health/ready")
    assert (answer.code, answer.json()["ready"]) == (200, True)
    ticking.at = 500
    answer = client.get("/health/ready")
    assert (answer.code, answer.json()["ready"]) == (503, False)
    assert [one["name"] for one in answer.json()["causes"] if not one["ok"]] == ["scheduler", "intake"]
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("address", "headers", "code"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("10.0.0.9", {}, 401),
        ("127.0.0.1", {"X_Forwarded_For": "10.0.0.9"}, 401),
        ("127.0.0.1", {"Forwarded": "for=10.0.0.9"}, 401),
        ("10.0.0.9", {"Authorization": f"Bearer {TOKEN}"}, 200),
        ("10.0.0.9", {"Authorization": "Bearer wrong"}, 401),
        ("10.0.0.9", {"Authorization": "Bearer "}, 401),
        ("somewhere", {}, 401),
    ],
)
def test_who_may_see_the_status(address: str, headers: dict[str, str], code: int, client: Client) -> None:
    answer = replace(client, address=address).get("/status", **headers)
    assert answer.code == code
    assert ("hosts" in answer.json()) == (code == 200)


def test_without_a_token_an_empty_one_opens_nothing(context: Context) -> None:
    bare = Context(context.settings, context.inventory, context.state)
    client = Client(health.routes(list, dict, health.permission(lambda: bare)), "10.0.0.9")
    assert client.get("/status", Authorization="Bearer ").code == 401


def test_where_tls_asks_for_certificates_everybody_who_gets_in_may_see_it(context: Context) -> None:
    tls = Tls(certificate=Path("/c"), key=Path("/k"), client_ca=Path("/ca"))
    http = context.settings.http.model_copy(update={"tls": tls})
    strict = replace(context, settings=context.settings.model_copy(update={"http": http}))
    client = Client(health.routes(list, dict, health.permission(lambda: strict)), "10.0.0.9")
    assert client.get("/status").code == 200


def test_the_status_tells_what_is_done_what_comes_and_what_holds_it_back(
    client: Client, store: Store, vitals: Vitals, ticking: Ticking
) -> None:
    vitals.begin("cycle of Sunday", 600)
    ticking.at = 30
    vitals.note("web-1", "waits for an episode (process 7)")
    store.guard.stop("a release", "ann", at=NOON)
    lease = store.leases.take("host:web-1", "a run of run r-1", at=NOON, seconds=60)
    assert lease
    told: dict[str, Any] = client.get("/status").json()
    assert told["next_runs"] == [
        {
            "schedule": "cycle",
            "at": "2026-11-22T03:00:00+00:00",
            "words": "Sunday 2026-11-22 03:00 UTC (UTC+00:00)",
            "hindrance": "",
        }
    ]
    assert told["work"] == [{"name": "cycle of Sunday", "seconds": 30.0, "silent_seconds": 30.0}]
    assert told["notes"] == {"web-1": "waits for an episode (process 7)"}
    assert told["stopped"] == {"by": "ann", "reason": "a release", "at": NOON.isoformat()}
    assert [(one["name"], one["doing"]) for one in told["leases"]] == [("host:web-1", "a run of run r-1")]
    (last,) = told["last_slots"]
    assert (last["schedule"], last["state"], last["run"]) == ("cycle", "done", "run-1")
    assert told["actions_left"] == {"hour": 20_000, "day": 100_000, "now": 20_000}
    assert (told["hosts"], told["episodes"], told["breakers"], told["alerts_waiting"]) == (2, [], [], 0)


def test_no_answer_holds_a_secret(client: Client, vitals: Vitals) -> None:
    vitals.note("odd", "bytes \udcff and \x1b[2J")
    for path in ("/health/live", "/health/ready", "/status"):
        answer = client.get(path)
        assert answer.text.isascii()
        assert TOKEN not in answer.text


def test_a_store_that_cannot_be_read_is_an_answer(client: Client, place: Place) -> None:
    (place.state_dir / "state.db").rename(place.state_dir / "moved.db")
    answer = client.get("/status")
    assert answer.code == 503
    assert "cannot be reached" in answer.json()["error"]


def test_other_methods_change_nothing(client: Client) -> None:
    for path in ("/health/live", "/health/ready", "/status"):
        assert client.ask("POST", path, b"{}").code == 405
