"""Drift alerts on small hosts: corrected once, verified by a second scan, a person's where that does not hold."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from maintenancebot import app
from maintenancebot.engine.progress import Silent
from maintenancebot.errors import UsageError
from maintenancebot.model import Reason, Report, State
from maintenancebot.plan.document import plan_to_json
from maintenancebot.policy.episodes import Episode, EpisodeState
from maintenancebot.store.episodes import Episodes
from tests.unit.alerts import received
from tests.unit.engine.boxes import Box, cleanup, clock
from tests.unit.places import Place
from tests.unit.test_app_episodes import WHOLE_WAY, Daemon, KilledError, states

CLOSED, ESCALATED, GATED = EpisodeState.CLOSED, EpisodeState.ESCALATED, EpisodeState.GATED
PATH = "/var/lib/app.conf"
DECLARED = "as declared\n"


@pytest.fixture
def daemon(place: Place) -> Daemon:
    return Daemon(place)


@pytest.fixture
def file(box: Box, place: Place) -> Path:
    """A declared file that differs on its small host."""
    declare(place)
    path = box.base / "var" / "lib" / "app.conf"
    path.write_text("changed at 3 AM\n")
    return path


def declare(place: Place, correct: str = "safe", content: str = DECLARED, **more: Any) -> None:
    folder = place.config.parent / "baselines"
    folder.mkdir(exist_ok=True)
    item = {"path": PATH, "content": content, "correct": correct}
    (folder / "all.yaml").write_text(yaml.safe_dump({"hosts": ["all"], "files": [item, *more.get("files", ())]}))


def drifted(daemon: Daemon, key: str = "k1", host: str = "web-1") -> None:
    daemon.receive(received(clock(), key, name="ConfigDrift", host=host))


def work(daemon: Daemon) -> Episode:
    drifted(daemon)
    return daemon.work()[0]


def test_drift_is_corrected_and_seen_again_and_each_step_is_kept(daemon: Daemon, file: Path) -> None:
    episode = work(daemon)
    assert (episode.state, episode.reason, episode.detail) == (
        CLOSED,
        Reason.VERIFIED,
        "1 corrected, as declared at the second look",
    )
    assert states(episode) == WHOLE_WAY
    assert file.read_text() == DECLARED
    assert (episode.rule, episode.subject) == ("drift", "declared state")
    assert episode.body["drift"]["counts"] == {"differs": 1}
    assert episode.body["found"][0]["item"] == f"file:{PATH}"
    assert daemon.messages() == []
    with daemon.store() as store:
        (run,) = store.runs.latest(5)
        assert (run.id, run.command, run.state) == (episode.run, "episode drift", "done")
        assert store.audit.verify().ok


def test_a_host_as_declared_is_left_alone(daemon: Daemon, file: Path) -> None:
    file.write_text(DECLARED)
    episode = work(daemon)
    assert (episode.state, episode.reason) == (CLOSED, Reason.OBSERVED)
    assert states(episode) == ["opened", "measured", "closed"]
    assert daemon.changes() == []


def test_what_is_only_reported_is_a_persons_once(daemon: Daemon, place: Place, file: Path) -> None:
    declare(place, correct="never")
    episode = work(daemon)
    assert (episode.state, episode.reason) == (ESCALATED, Reason.DRIFTED)
    drifted(daemon, "k2")
    assert len(daemon.work(start=True)) == 1
    ((kind, body),) = daemon.messages()
    assert (kind, body["reason"], body["rule"]) == ("escalated", "drifted", "drift")
    assert body["found"][0]["item"] == f"file:{PATH}"
    assert file.read_text() == "changed at 3 AM\n"


def test_what_is_back_after_its_correction_is_a_persons(daemon: Daemon, place: Place, file: Path) -> None:
    place.configure(cleanup(), remediation={"alerts": {"cooldown_minutes": 1}})
    work(daemon)
    file.write_text("changed at 3 AM\n")
    with daemon.store() as store, store._database.write() as connection:
        connection.exec_driver_sql("UPDATE episodes SET closed_at = closed_at - 3600000000")
    drifted(daemon, "k2")
    episode = daemon.work()[0]
    assert (episode.state, episode.reason) == (ESCALATED, Reason.CONTESTED)
    assert "what was replaced is back" in episode.detail
    assert file.read_text() == "changed at 3 AM\n"
    assert len(daemon.changes()) == 1


def test_an_item_that_asks_for_approval_waits_and_goes_on_with_it(daemon: Daemon, place: Place, file: Path) -> None:
    declare(place, correct="approval")
    episode = work(daemon)
    assert (episode.state, episode.reason) == (GATED, Reason.NEEDS_APPROVAL)
    assert file.read_text() == "changed at 3 AM\n"
    ((kind, body),) = daemon.messages()
    assert kind == "approval"
    with daemon.store() as store:
        store.approvals.decide(body["digest"], approve=True, by="ann", at=clock())
    episode = daemon.work()[0]
    assert (episode.state, episode.reason) == (CLOSED, Reason.VERIFIED)
    assert file.read_text() == DECLARED


def test_what_waits_stands_over_what_is_only_reported(daemon: Daemon, place: Place, file: Path) -> None:
    declare(place, correct="approval", files=[{"path": "/var/lib/other", "content": "x", "correct": "never"}])
    assert work(daemon).state is GATED


def test_a_host_for_which_nothing_is_declared_is_a_persons(daemon: Daemon, box: Box) -> None:
    episode = work(daemon)
    assert (episode.state, episode.reason) == (ESCALATED, Reason.NOT_CONFIGURED)
    assert episode.detail == "no baseline declares anything for this host"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["measured", "planned", "gated", "acted", "verified"])
def test_after_a_kill_at_any_step_it_is_corrected_once(
    daemon: Daemon, file: Path, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    real = Episodes.move

    def move(self: Episodes, episode: Episode, *words: Any) -> None:
        if episode.state == step and not after:
            raise KilledError
        real(self, episode, *words)
        if episode.state == step:
            raise KilledError

    drifted(daemon)
    with monkeypatch.context() as patched, pytest.raises(KilledError):
        patched.setattr(Episodes, "move", move)
        daemon.work()
    (episode,) = daemon.work(start=True)
    assert (episode.state, episode.reason) == (CLOSED, Reason.VERIFIED)
    assert file.read_text() == DECLARED
    assert len(daemon.changes()) == 1


def correct(place: Place, **more: Any) -> Report:
    return app.run(place, tasks=("drift",), progress=Silent(), stop=threading.Event(), command="drift correct", **more)


def test_without_baselines_a_scan_says_where_they_would_lie(place: Place, box: Box) -> None:
    with pytest.raises(UsageError, match="nothing is declared: no baseline lies in 'baselines'"):
        app.dry_run(place, tasks=("drift",), progress=Silent(), stop=threading.Event())


def test_a_plan_of_a_file_installs_what_was_declared(place: Place, file: Path, tmp_path: Path) -> None:
    _, plan = app.dry_run(place, tasks=("drift",), progress=Silent(), stop=threading.Event())
    (tmp_path / "plan").write_text(json.dumps(plan_to_json(plan)))
    told = app.run(place, plan_file=tmp_path / "plan", progress=Silent(), stop=threading.Event())
    assert told.state is State.DONE
    assert file.read_text() == DECLARED


def test_who_is_fought_is_told_once_by_the_runs_that_see_it(daemon: Daemon, place: Place, file: Path) -> None:
    before = file.read_text()
    assert correct(place).state is State.DONE
    file.write_text(before)
    for _ in range(2):
        told = correct(place)
        assert (told.state, told.hosts[0].tasks[0].reason) == (State.FAILED, Reason.CONTESTED)
    ((kind, body),) = daemon.messages()
    assert (kind, body["item"], body["reason"]) == ("contested", f"file:{PATH}", "contested")
    assert body["wanted"]["sha256"] != body["found"]["sha256"]
    with daemon.store() as store:
        assert {run.command for run in store.runs.latest(9)} == {"drift correct"}
    assert file.read_text() == before


def test_what_the_host_itself_leaves_alone_is_a_persons(daemon: Daemon, place: Place, file: Path) -> None:
    file.with_name("other").hardlink_to(file)
    (task,) = correct(place).hosts[0].tasks
    assert (task.state, task.reason) == (State.FAILED, Reason.DRIFTED)
    assert f"1 left alone by the host: file:{PATH} (hard_linked)" in task.detail
    episode = work(daemon)
    assert (episode.state, episode.reason) == (ESCALATED, Reason.HARD_LINKED)


def test_what_is_known_of_a_fight_outlives_a_kill_before_the_end_of_the_run(
    place: Place, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = file.read_text()

    def dies(*_: object, **__: object) -> None:
        raise KilledError

    with monkeypatch.context() as patched, pytest.raises(KilledError):
        patched.setattr("maintenancebot.app.maintenance.finish", dies)
        correct(place)
    assert file.read_text() == DECLARED
    file.write_text(before)
    assert correct(place).hosts[0].tasks[0].reason is Reason.CONTESTED


def test_who_only_observes_sees_drift_and_nothing_is_corrected(daemon: Daemon, place: Place, file: Path) -> None:
    place.configure(cleanup(), remediation={"drift": {"approval": "observe"}})
    (task,) = correct(place).hosts[0].tasks
    assert (task.state, task.reason, task.changes) == (State.FAILED, Reason.DRIFTED, ())
    assert task.facts["drifted"][0]["note"] == "autonomy is `observe`"
    assert work(daemon).reason is Reason.DRIFTED
    assert daemon.changes() == []


def test_who_wants_to_know_at_once_is_told_of_what_was_corrected(daemon: Daemon, place: Place, file: Path) -> None:
    place.configure(cleanup(), remediation={"drift": {"approval": "notify"}})
    assert work(daemon).reason is Reason.VERIFIED
    ((kind, body),) = daemon.messages()
    assert (kind, body["rule"], body["tried"]["changes"][0]["name"]) == ("healed", "drift", f"file:{PATH}")


def test_in_a_freeze_drift_is_a_persons(daemon: Daemon, place: Place, file: Path) -> None:
    first, last = clock(), clock() + timedelta(days=1)
    place.configure(cleanup(), freeze=[{"start": f"{first:%Y-%m-%d}", "end": f"{last:%Y-%m-%d}"}])
    episode = work(daemon)
    assert (episode.state, episode.reason) == (ESCALATED, Reason.FREEZE)
    assert daemon.changes() == []
