"""Alerts become episodes on small hosts: once, step by step, and after a restart in any state never twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from maintenancebot import app
from maintenancebot.app import episodes
from maintenancebot.engine.progress import Progress, Silent
from maintenancebot.errors import StoreError
from maintenancebot.model import Json, Reason
from maintenancebot.policy.episodes import Episode, EpisodeState
from maintenancebot.store import Store
from tests.lab.disks import Disk
from tests.unit.alerts import full, received
from tests.unit.disks import configure, percent
from tests.unit.engine.boxes import Box, Told, clock
from tests.unit.places import Place, set_clock

CLOSED, ESCALATED, GATED = EpisodeState.CLOSED, EpisodeState.ESCALATED, EpisodeState.GATED


class KilledError(BaseException):
    """The process is gone."""


class Daemon:
    """What a daemon does with alerts, without its threads; each call is a process of its own."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.stop = threading.Event()

    @contextmanager
    def store(self) -> Iterator[Store]:
        with app.load(self.place).store() as store:
            yield store

    def receive(self, *rows: Any) -> None:
        with self.store() as store:
            store.alerts.receive(rows)

    def work(self, told: Progress | None = None, *, start: bool = False) -> list[Episode]:
        """Take up what waits, and work on it; with `start` on what was left behind too."""
        context = app.load(self.place)
        with context.store() as store:
            wanted = episodes.resume(context, store) if start else []
            wanted += [id for id in episodes.take_up(context, store, clock()) if id not in wanted]
            for id in wanted:
                episodes.work_on(context, store, id, progress=told or Silent(), stop=self.stop)
        return self.episodes()

    def episodes(self) -> list[Episode]:
        with self.store() as store:
            return store.episodes.latest()

    def messages(self) -> list[tuple[str, Json]]:
        with self.store() as store, store._database.read() as connection:
            rows = connection.exec_driver_sql("SELECT kind, body FROM messages ORDER BY id").all()
        return [(kind, json.loads(body)) for kind, body in rows]

    def settled(self) -> list[tuple[str, int]]:
        with self.store() as store, store._database.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql("SELECT reason, times FROM alerts ORDER BY id")]

    def changes(self) -> list[str]:
        """Ids of all changes that were intended, each as often as it was."""
        with self.store() as store, store._database.read() as connection:
            return list(connection.exec_driver_sql("SELECT change_id FROM intents").scalars())


@pytest.fixture
def daemon(place: Place) -> Daemon:
    return Daemon(place)


def states(episode: Episode) -> list[str]:
    """The states it went through, each once in a row."""
    names = [step[0] for step in episode.body["steps"]]
    return [name for number, name in enumerate(names) if number == 0 or names[number - 1] != name]


WHOLE_WAY = ["opened", "measured", "diagnosed", "planned", "gated", "acted", "verified", "closed"]


def test_an_alert_is_healed_and_each_step_is_kept(disk: Disk, daemon: Daemon) -> None:
    daemon.receive(full(clock(), "web-1", disk.mount_point))
    (episode,) = daemon.work()
    assert (episode.state, episode.reason) == (CLOSED, Reason.VERIFIED)
    assert states(episode) == WHOLE_WAY
    assert percent(disk) < 85
    assert episode.body["before"]["percent"] >= 94
    assert episode.body["users"]["directory"]
    assert episode.body["after"]["percent"] == percent(disk)
    assert daemon.messages() == []
    with daemon.store() as store:
        (run,) = store.runs.latest(5)
        assert (run.id, run.command, run.state) == (episode.run, "episode disk", "done")
        assert store.audit.verify().ok
        assert list(store.memories.read("web-1", "disk")[str(disk.mount_point)]) != []


def test_the_same_alert_again_is_one_remediation(disk: Disk, daemon: Daemon) -> None:
    alert = full(clock(), "web-1", disk.mount_point)
    for _ in range(3):
        daemon.receive(*[alert] * 50)
        daemon.work(start=True)
    assert [(one.state, one.reason) for one in daemon.episodes()] == [(CLOSED, Reason.VERIFIED)]
    assert daemon.settled() == [("", 150)]
    other = full(clock(), "web-1", disk.mount_point, key="k2")
    daemon.receive(other)
    daemon.work()
    assert len(daemon.episodes()) == 1
    assert daemon.settled()[1] == ("cooldown", 1)


def test_what_is_not_full_when_it_is_measured_is_left_alone(disk: Disk, daemon: Daemon) -> None:
    (disk.mount_point / "db" / "table").unlink()
    daemon.receive(full(clock(), "web-1", disk.mount_point))
    (episode,) = daemon.work()
    assert (episode.state, episode.reason, states(episode)) == (
        CLOSED,
        Reason.OBSERVED,
        ["opened", "measured", "closed"],
    )
    assert (daemon.changes(), daemon.messages()) == ([], [])


def test_what_nothing_allowed_frees_is_tried_once_and_told_once(disk: Disk, daemon: Daemon, place: Place) -> None:
    configure(place, disk, pattern={"path": f"{disk.mount_point}/logs/1.log", "retention_days": 30})
    daemon.receive(full(clock(), "web-1", disk.mount_point))
    (episode,) = daemon.work()
    assert (episode.state, episode.reason) == (ESCALATED, Reason.NOT_ENOUGH)
    daemon.receive(full(clock(), "web-1", disk.mount_point), full(clock(), "web-1", disk.mount_point, key="k2"))
    assert len(daemon.work(start=True)) == 1
    ((kind, body),) = daemon.messages()
    assert (kind, body["reason"], body["subject"]) == ("escalated", "not_enough", str(disk.mount_point))
    assert f"{disk.mount_point}/db" in {row["path"] for row in body["users"]["directory"]}
    assert body["tried"]["counts"] == {"done": 1}
    assert body["tried"]["changes"][0]["name"] == f"{disk.mount_point}/logs/1.log"
    assert body["growth"]["words"] == "how fast it grows is not known yet"
    assert len(daemon.changes()) == 1


def test_a_mount_that_the_host_does_not_have_is_recorded_only(disk: Disk, daemon: Daemon) -> None:
    for number, mount in enumerate((disk.mount_point / "logs", "/no/such", "/srv/\n<!channel>")):
        daemon.receive(full(clock(), "web-1", mount, key=f"k{number}"))
    assert {(one.state, one.reason) for one in daemon.work()} == {(CLOSED, Reason.UNKNOWN_MOUNT)}
    assert (daemon.changes(), daemon.messages()) == ([], [])


@pytest.mark.parametrize("mount", ["/proc", "/dev/shm"])
def test_what_cannot_be_healed_is_named(disk: Disk, daemon: Daemon, mount: str) -> None:
    daemon.receive(full(clock(), "web-1", mount))
    (episode,) = daemon.work()
    assert (episode.state, episode.reason, daemon.changes()) == (ESCALATED, Reason.SPECIAL, [])


def test_a_spent_budget_holds_and_is_told(disk: Disk, daemon: Daemon, place: Place) -> None:
    configure(place, disk, guards={"actions_per_hour": 1})
    daemon.receive(full(clock(), "web-1", disk.mount_point))
    (episode,) = daemon.work()
    assert (episode.state, episode.reason) == (ESCALATED, Reason.BUDGET_SPENT)
    assert [body["reason"] for _, body in daemon.messages()] == ["budget_spent"]


def test_the_kill_switch_holds_and_is_told(disk: Disk, daemon: Daemon, place: Place) -> None:
    app.stop(place, "wait", "ann")
    daemon.receive(full(clock(), "web-1", disk.mount_point))
    (episode,) = daemon.work()
    assert (episode.state, episode.reason, daemon.changes()) == (ESCALATED, Reason.STOPPED, [])
    assert [body["reason"] for _, body in daemon.messages()] == ["stopped"]


def test_the_kill_switch_ends_it_after_the_change_in_hand(disk: Disk, daemon: Daemon, place: Place) -> None:
    told = Told()
    told.after = lambda host, name: app.stop(place, "wait", "ann")
    daemon.receive(full(clock(), "web-1", disk.mount_point))
    (episode,) = daemon.work(told)
    assert (episode.state, episode.reason) == (ESCALATED, Reason.STOPPED)
    assert episode.body["acted"]["done"] == 1


def careful(place: Place, disk: Disk, word: str) -> None:
    """Let the group of web-1 do so much by itself."""
    configure(place, disk, guards={"autonomy": {"db": word}})
    place.list_hosts(**{"web-1": {"connection": "local", "become": False, "groups": ["db"]}})


def test_who_only_observes_records_what_would_be_done(disk: Disk, daemon: Daemon, place: Place) -> None:
    careful(place, disk, "observe")
    daemon.receive(full(clock(), "web-1", disk.mount_point))
    (episode,) = daemon.work()
    assert (episode.state, episode.reason, daemon.changes()) == (CLOSED, Reason.OBSERVE_ONLY, [])
    assert set(episode.body["plan"]["ways"]) == {"compressed"}
    assert daemon.messages() == []


def test_who_wants_to_know_at_once_is_told_of_what_was_healed(disk: Disk, daemon: Daemon, place: Place) -> None:
    careful(place, disk, "notify")
    daemon.receive(full(clock(), "web-1", disk.mount_point))
    (episode,) = daemon.work()
    assert (episode.state, episode.reason) == (CLOSED, Reason.VERIFIED)
    ((kind, body),) = daemon.messages()
    assert (kind, body["reason"]) == ("healed", "verified")


@pytest.mark.parametrize("word", ["approve", "deny"])
def test_it_waits_for_a_persons_word(disk: Disk, daemon: Daemon, place: Place, word: str) -> None:
    careful(place, disk, "required")
    daemon.receive(full(clock(), "web-1", disk.mount_point))
    for _ in range(2):
        (episode,) = daemon.work(start=True)
        assert (episode.state, episode.reason, daemon.changes()) == (GATED, Reason.NEEDS_APPROVAL, [])
    ((kind, body),) = daemon.messages()
    assert (kind, body["digest"]) == ("approval", episode.body["approval"])
    with daemon.store() as store:
        store.approvals.decide(body["digest"], approve=word == "approve", by="ann", at=clock())
    (episode,) = daemon.work()
    assert episode.state is CLOSED
    if word == "approve":
        assert (episode.reason, percent(disk) < 85) == (Reason.VERIFIED, True)
    else:
        assert (episode.reason, episode.detail, daemon.changes()) == (Reason.NEEDS_APPROVAL, "denied by ann", [])


def test_who_is_never_answered_tells_a_person_so(
    disk: Disk,
    daemon: Daemon,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    careful(place, disk, "required")
    daemon.receive(full(clock(), "web-1", disk.mount_point))
    daemon.work()
    later = clock() + timedelta(days=4)
    set_clock(monkeypatch, lambda: later)
    context = app.load(place)
    with context.store() as store:
        (due,) = episodes.take_up(context, store, later)
        episodes.work_on(context, store, due, progress=Silent(), stop=daemon.stop)
    (episode,) = daemon.episodes()
    assert (episode.state, episode.reason, daemon.changes()) == (ESCALATED, Reason.NEEDS_APPROVAL, [])


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, 9))
def test_a_restart_at_any_step_goes_on_and_never_acts_twice(
    disk: Disk,
    daemon: Daemon,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    after: bool,
) -> None:
    """The process ends before or after the n-th step is on disk."""
    from maintenancebot.store.episodes import Episodes

    real, count = Episodes.move, 0

    def move(self: Episodes, *words: Any) -> None:
        nonlocal count
        count += 1
        if count == number and not after:
            raise KilledError
        real(self, *words)
        if count == number:
            raise KilledError

    monkeypatch.setattr(Episodes, "move", move)
    daemon.receive(full(clock(), "web-1", disk.mount_point))
    with pytest.raises(KilledError):
        daemon.work()
    daemon.receive(full(clock(), "web-1", disk.mount_point))
    (episode,) = daemon.work(start=True)
    assert (episode.state, episode.reason) == (CLOSED, Reason.VERIFIED)
    assert percent(disk) < 85
    assert len(daemon.changes()) == len(set(daemon.changes()))
    assert daemon.messages() == []


def test_a_helper_that_dies_is_gone_on_with_at_most_as_often_as_is_allowed(
    disk: Disk,
    box: Box,
    daemon: Daemon,
) -> None:
    told = Told()
    told.before = lambda host, name: box.kill_helper()
    daemon.receive(full(clock(), "web-1", disk.mount_point))
    (episode,) = daemon.work(told)
    assert (episode.state, episode.reason) == (ESCALATED, Reason.LINK_LOST)
    assert len(daemon.messages()) == 1
    again = daemon.work(start=True)
    assert again == [episode]


def test_a_stop_in_its_middle_leaves_it_to_the_next_start(disk: Disk, daemon: Daemon) -> None:
    told = Told()
    told.after = lambda host, name: daemon.stop.set()
    daemon.receive(full(clock(), "web-1", disk.mount_point))
    (episode,) = daemon.work(told)
    assert (episode.state, len(told.steps) >= 1) == (GATED, True)
    daemon.stop.clear()
    (episode,) = daemon.work(start=True)
    assert (episode.state, episode.reason) == (CLOSED, Reason.VERIFIED)
    assert daemon.messages() == []


def test_without_a_record_nothing_is_touched(
    disk: Disk,
    daemon: Daemon,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from maintenancebot.store.episodes import Episodes

    def move(self: Episodes, episode: Episode, *_: Any) -> None:
        raise StoreError("the disk is full")

    before = sorted(path.name for path in (disk.mount_point / "logs").iterdir())
    daemon.receive(full(clock(), "web-1", disk.mount_point))
    with monkeypatch.context() as patched:
        patched.setattr(Episodes, "move", move)
        with pytest.raises(StoreError):
            daemon.work()
    assert sorted(path.name for path in (disk.mount_point / "logs").iterdir()) == before
    (episode,) = daemon.work(start=True)
    assert (episode.state, episode.reason) == (CLOSED, Reason.VERIFIED)


def test_who_is_at_work_on_the_host_is_waited_for_in_turns(
    disk: Disk, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(episodes, "WAIT_SECONDS", 0.1)
    daemon.receive(full(clock(), "web-1", disk.mount_point))
    with daemon.store() as store:
        lease = store.leases.take("host:web-1", "a run", at=clock(), seconds=60)
        assert lease is not None
        for _ in range(2):
            (episode,) = daemon.work()
            assert (episode.state, episode.reason) == (EpisodeState.OPENED, Reason.BUSY)
        store.leases.release(lease, at=clock())
    (episode,) = daemon.work()
    assert (episode.state, episode.reason) == (CLOSED, Reason.VERIFIED)


def test_a_no_ends_it_while_others_have_the_host(
    disk: Disk, daemon: Daemon, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(episodes, "WAIT_SECONDS", 0.1)
    careful(place, disk, "required")
    daemon.receive(full(clock(), "web-1", disk.mount_point))
    (episode,) = daemon.work()
    with daemon.store() as store:
        store.approvals.decide(episode.body["approval"], approve=False, by="ann", at=clock())
        lease = store.leases.take("host:web-1", "a run", at=clock(), seconds=60)
        assert lease is not None
        (episode,) = daemon.work()
        assert (episode.state, episode.reason, episode.detail) == (CLOSED, Reason.NEEDS_APPROVAL, "denied by ann")
        store.leases.release(lease, at=clock())
    daemon.work(start=True)
    assert [kind for kind, _ in daemon.messages()] == ["approval"]


@pytest.mark.parametrize("word", ["required", "auto"])
def test_who_waited_long_for_something_else_still_waits_for_the_host(
    disk: Disk, daemon: Daemon, place: Place, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setattr(episodes, "WAIT_SECONDS", 0.1)
    careful(place, disk, word)
    daemon.receive(full(clock(), "web-1", disk.mount_point))
    if word == "required":
        (episode,) = daemon.work()
        with daemon.store() as store:
            store.approvals.decide(episode.body["approval"], approve=True, by="ann", at=clock())
    else:
        with daemon.store() as store:
            episodes.take_up(app.load(place), store, clock())
    later = [clock() + timedelta(hours=5)]
    set_clock(monkeypatch, lambda: later[-1])
    with daemon.store() as store:
        lease = store.leases.take("host:web-1", "a run", at=later[-1], seconds=10 * 3600)
        assert lease is not None
        (episode,) = daemon.work()
        assert episode.state is not ESCALATED
        store.leases.release(lease, at=later[-1])
    later.append(clock())  # the host's clock is the real one
    (episode,) = daemon.work()
    assert (episode.state, episode.reason) == (CLOSED, Reason.VERIFIED)


def test_the_host_is_not_waited_for_for_ever(
    disk: Disk, daemon: Daemon, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(episodes, "WAIT_SECONDS", 0.1)
    daemon.receive(full(clock(), "web-1", disk.mount_point))
    later = [clock()]
    set_clock(monkeypatch, lambda: later[-1])
    with daemon.store() as store:
        assert store.leases.take("host:web-1", "a run", at=later[-1], seconds=10 * 3600) is not None
        (episode,) = daemon.work()
        assert episode.reason is Reason.BUSY
        later.append(later[-1] + timedelta(hours=5))
        (episode,) = daemon.work()
    assert (episode.state, episode.reason) == (ESCALATED, Reason.BUSY)


def test_who_waits_for_the_host_writes_nothing_over_who_works_on_the_episode(
    disk: Disk, daemon: Daemon, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from maintenancebot.policy.episodes import moved

    monkeypatch.setattr(episodes, "WAIT_SECONDS", 0.1)
    daemon.receive(full(clock(), "web-1", disk.mount_point))
    context = app.load(place)

    class Other(Silent):
        """While we wait, the one that has the host takes a step."""

        def host(self, name: str, state: Any, note: str) -> None:
            (episode,) = store.episodes.open()
            store.episodes.move(moved(episode, EpisodeState.MEASURED, clock(), runs=["other"]))

    with context.store() as store:
        (due,) = episodes.take_up(context, store, clock())
        assert store.leases.take("host:web-1", "another daemon", at=clock(), seconds=60) is not None
        episodes.work_on(context, store, due, progress=Other(), stop=daemon.stop)
        episode = store.episodes.get(due)
    assert (episode.state, episode.body["runs"]) == (EpisodeState.MEASURED, ["other"])


def test_other_alerts_are_recorded_and_told_only_where_that_is_wanted(disk: Disk, daemon: Daemon, place: Place) -> None:
    alert = received(clock(), "o1", name="HighLoad", host="web-1")
    daemon.receive(alert)
    assert (daemon.work(), daemon.settled()) == ([], [("no_rule", 1)])
    configure(place, disk, remediation={"alerts": {"escalate_others": True}})
    daemon.receive(
        received(clock(), "o2", name="HighLoad", host="web-1"),
        received(clock(), "o3", name="HighLoad", host="web-1"),
        received(clock(), "o4", name="MaintenancebotEscalated", host="web-1"),
    )
    assert [(one.state, one.subject) for one in daemon.work()] == [(ESCALATED, "HighLoad")]
    assert [body["alert"] for _, body in daemon.messages()] == ["HighLoad"]
    assert daemon.settled()[1:] == [("no_rule", 1), ("cooldown", 1), ("no_rule", 1)]


def test_after_it_acted_a_restart_only_looks_even_if_more_is_allowed_by_now(
    disk: Disk, daemon: Daemon, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from maintenancebot.store.episodes import Episodes

    real = Episodes.move

    def move(self: Episodes, episode: Episode, *words: Any) -> None:
        real(self, episode, *words)
        if episode.state is EpisodeState.ACTED:
            raise KilledError

    configure(place, disk, pattern={"path": f"{disk.mount_point}/logs/1.log", "retention_days": 30})
    daemon.receive(full(clock(), "web-1", disk.mount_point))
    with monkeypatch.context() as patched:
        patched.setattr(Episodes, "move", move)
        with pytest.raises(KilledError):
            daemon.work()
    configure(place, disk)
    (episode,) = daemon.work(start=True)
    assert (episode.state, episode.reason, len(daemon.changes())) == (ESCALATED, Reason.NOT_ENOUGH, 1)
    assert len(daemon.messages()) == 1


def test_what_is_over_is_not_taken_up_again(disk: Disk, daemon: Daemon, place: Place) -> None:
    (disk.mount_point / "db" / "table").unlink()
    daemon.receive(full(clock(), "web-1", disk.mount_point))
    (episode,) = daemon.work()
    context = app.load(place)
    with context.store() as store:
        episodes.work_on(context, store, episode.id, progress=Silent(), stop=daemon.stop)
        assert len(store.runs.latest(5)) == 1
    assert daemon.episodes() == [episode]
