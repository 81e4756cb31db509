"""Repositories of restic and borg on real hosts: good ones pass, bad ones are named, none is touched."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from maintenancebot.model import Action, Reason, State, TaskType
from maintenancebot.settings import VerifyTask
from maintenancebot.settings.sources import BorgSource, FileSource, ResticSource, TrialRestore
from tests.acceptance.subjects import Controller
from tests.lab import repositories
from tests.lab.fleet import Fleet
from tests.lab.hosts import HostSpec
from tests.lab.watch import Watch, differences, manifest

RELEASES = ("bullseye", "bookworm", "trixie")
RESTIC = {
    "good": ("readable", Reason.FRESH),
    "other": ("none", Reason.WRONG_HOST),
    "old": ("exists", Reason.STALE),
    "future": ("exists", Reason.FUTURE_DATED),
    "damaged": ("complete", Reason.DAMAGED),
    "holes": ("fresh", Reason.INCOMPLETE),
    "absent": ("none", Reason.MISSING),
}
BORG = {
    "good": ("readable", Reason.FRESH),
    "other": ("none", Reason.WRONG_HOST),
    "old": ("exists", Reason.STALE),
    "checkpoint": ("none", Reason.MISSING),  # from 1.2 on borg itself does not list them
    "plain": ("none", Reason.WRONG_CONTENT),
    "damaged": ("complete", Reason.DAMAGED),
    "absent": ("none", Reason.MISSING),
}


@pytest.fixture(scope="module")
def stores(make_fleet: Callable[..., Fleet]) -> Fleet:
    """A host of each release with its repositories; the tests leave them as they were."""
    fleet = make_fleet(*(HostSpec(release, release=release, variant="backup") for release in RELEASES))
    with ThreadPoolExecutor(len(RELEASES)) as pool:
        list(pool.map(repositories.make, fleet))
    return fleet


def restic(name: str, **more: object) -> ResticSource:
    return ResticSource(
        type="restic",
        name=f"restic {name}",
        repository=f"/srv/restic/{name}",
        password_file=repositories.PASSWORD_FILE,
        read_data_percent=100,
        **more,
    )


def borg(name: str, **more: object) -> BorgSource:
    return BorgSource(
        type="borg",
        name=f"borg {name}",
        repository=f"/srv/borg/{name}",
        passphrase_file=repositories.PASSWORD_FILE,
        **{"archives": "data-*", **more},
    )


def task(*sources: FileSource | ResticSource | BorgSource) -> VerifyTask:
    return VerifyTask(name="backups", type=TaskType.VERIFY, check="backup_completed_within_24h", sources=sources)


@pytest.mark.parametrize("release", RELEASES)
def test_repositories_of_every_kind(stores: Fleet, release: str) -> None:
    host = stores[release]
    wanted = {f"restic {name}": row for name, row in RESTIC.items()}
    wanted |= {f"borg {name}": row for name, row in BORG.items()}
    if release == "bullseye":
        wanted["borg checkpoint"] = ("none", Reason.INCOMPLETE)
    before = manifest(host)
    with Watch(host) as watch:
        made = Controller(stores).plan(release, task(*map(restic, RESTIC), *map(borg, BORG)))
        assert watch.events() == []
    assert differences(before, manifest(host)) == []
    assert made.state is State.FAILED
    seen = {one["source"]: one for one in made.facts["sources"]}
    odd = {name: one for name, one in seen.items() if (one["level"], one["reason"]) != wanted[name]}
    assert odd == {}
    assert (seen["restic good"]["evidence"]["check"], seen["borg good"]["evidence"]["check"]) == ("data", "repository")


def test_the_wrong_password_is_unknown_and_what_must_be_there_is_looked_for(stores: Fleet) -> None:
    host = stores["bookworm"]
    host.write("/root/wrong", "wrong\n", mode=0o600)
    made = Controller(stores).plan(
        "bookworm",
        task(
            restic("good").model_copy(update={"name": "locked out", "password_file": "/root/wrong"}),
            borg("good").model_copy(update={"name": "locked out too", "passphrase_file": "/root/wrong"}),
            restic("good").model_copy(update={"name": "paths", "paths": ("/srv/data/docs", "/srv/data/none")}),
            borg("plain").model_copy(update={"name": "not encrypted", "passphrase_file": None}),
        ),
    )
    seen = {one["source"]: (one["state"], one["reason"]) for one in made.facts["sources"]}
    assert seen == {
        "locked out": (State.UNKNOWN, Reason.CREDENTIALS),
        "locked out too": (State.UNKNOWN, Reason.CREDENTIALS),
        "paths": (State.FAILED, Reason.INCOMPLETE),
        "not encrypted": (State.DONE, Reason.FRESH),
    }


def test_trial_restores_leave_nothing(stores: Fleet) -> None:
    host = stores["bullseye"]
    controller = Controller(stores)
    host.sh("tar -czf /srv/data.tar.gz -C / srv/data && mkdir /srv/trials")
    trial = TrialRestore(folder="/srv/trials")
    files = FileSource(type="files", name="files", path="/srv/data.tar.gz", restore=trial)
    wanted = task(files, restic("good", restore=trial), borg("good", restore=trial))
    made = controller.plan("bullseye", wanted)
    assert [change.action for change in made.changes] == [Action.TRY_RESTORE] * 3
    before = manifest(host)
    outcomes = controller.apply("bullseye", wanted, made.changes)
    assert [(one.state, one.reason, one.measured.get("level")) for one in outcomes] == [
        (State.DONE, Reason.VERIFIED, "restored")
    ] * 3, outcomes
    assert [line for line in differences(before, manifest(host)) if "/srv/trials" not in line] == []
    assert host.sh("ls -A /srv/trials") == ""
