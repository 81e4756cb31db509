"""File backups on real hosts of every release: good ones pass with their level, bad ones are named, none is changed."""

from __future__ import annotations

import gzip
import io
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from maintenancebot.errors import RemoteError
from maintenancebot.model import Reason, State, TaskType
from maintenancebot.settings import FileSource, VerifyTask
from maintenancebot.settings.sources import TrialRestore
from tests.acceptance.command import Bot
from tests.acceptance.subjects import Controller
from tests.lab.fleet import Fleet
from tests.lab.hosts import LabHost
from tests.lab.tools import wait_until
from tests.lab.watch import Watch, differences, manifest

DUMP = (
    b"-- PostgreSQL database dump\n\nCREATE TABLE public.t (id integer);\nCOPY public.t (id) FROM stdin;\n1\n\\.\n\n"
    b"-- PostgreSQL database dump complete\n"
)


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        facts = tarfile.TarInfo("data")
        facts.size = 100_000
        archive.addfile(facts, io.BytesIO(bytes(range(250)) * 400))
    return buffer.getvalue()


GOOD = {"dump.sql.gz": gzip.compress(DUMP), "files.tar.gz": gzip.compress(tar()), "files.tar": tar()}
BAD = {
    "zero.sql": (b"", Reason.EMPTY),
    "pipe-failed.sql.gz": (gzip.compress(b""), Reason.EMPTY),
    "cut.tar.gz": (gzip.compress(tar())[:-100], Reason.DAMAGED),
    "cut-before.sql.gz": (gzip.compress(DUMP[:-20]), Reason.DAMAGED),
    "padded.tar.gz": (gzip.compress(tar()) + bytes(512), Reason.DAMAGED),
    "dump.sql.part": (DUMP, Reason.MISSING),
    "db-2020-01-01.sql": (DUMP, Reason.STALE),
    "db-2090-01-01.sql": (DUMP, Reason.FUTURE_DATED),
    "odd<!channel> name.sql": (DUMP[:-20], Reason.DAMAGED),
}


@pytest.fixture(params=["bookworm", "trixie", "bullseye"])
def host(request: pytest.FixtureRequest, own_fleet: Fleet) -> LabHost:
    made = own_fleet.host("db-1", release=request.param)
    for name, data in {**GOOD, **{name: data for name, (data, _) in BAD.items()}}.items():
        made.write(f"/srv/backup/{name}", data, mode=0o600)
    made.run(["chmod", "0700", "/srv/backup"])
    return made


def task(*names: str) -> VerifyTask:
    sources = tuple(FileSource(type="files", name=name, path=f"/srv/backup/{name}") for name in names)
    return VerifyTask(name="backups", type=TaskType.VERIFY, check="backup_completed_within_24h", sources=sources)


def test_backups_of_every_kind(own_fleet: Fleet, host: LabHost) -> None:
    before = manifest(host)
    with Watch(host) as watch:
        made = Controller(own_fleet).plan("db-1", task(*GOOD, *BAD))
        assert watch.events() == []
    assert differences(before, manifest(host)) == []
    assert made.state is State.FAILED
    seen = {one["source"]: one for one in made.facts["sources"]}
    assert {name: seen[name]["reason"] for name in BAD} == {name: reason.value for name, (_, reason) in BAD.items()}
    assert {seen[name]["level"] for name in GOOD} == {"readable"}
    made = Controller(own_fleet).plan("db-1", task(*GOOD))
    assert (made.state, made.reason) == (State.DONE, Reason.FRESH)


@pytest.mark.parametrize("host", ["bullseye"], indirect=True)
def test_a_dump_of_another_database_and_a_pipe_are_no_backup(own_fleet: Fleet, host: LabHost) -> None:
    host.run(["mkfifo", "/srv/backup/pipe.sql"])
    host.sh("mkdir /srv/odd; cp /srv/backup/dump.sql.gz \"$(printf '/srv/odd/a\\nb\\377.gz')\"")
    right = FileSource(type="files", name="right", path="/srv/backup/dump.sql.gz", contains=("public.t",))
    wrong = FileSource(type="files", name="wrong", path="/srv/backup/dump.sql.gz", contains=("shop.*",))
    pipe = FileSource(type="files", name="pipe", path="/srv/backup/pipe.sql")
    odd = FileSource(type="files", name="odd", path="/srv/odd/*")
    made = Controller(own_fleet).plan("db-1", task().model_copy(update={"sources": (right, wrong, pipe, odd)}))
    assert [(one["state"], one["reason"]) for one in made.facts["sources"]] == [
        (State.DONE, Reason.FRESH),
        (State.FAILED, Reason.WRONG_CONTENT),
        (State.FAILED, Reason.MISSING),
        (State.DONE, Reason.FRESH),
    ]


@pytest.mark.parametrize("host", ["trixie"], indirect=True)
def test_a_huge_sparse_file_and_a_bomb_cost_no_more_than_they_may(own_fleet: Fleet, host: LabHost) -> None:
    host.sh("truncate -s 20G /srv/backup/hole.img; truncate -s 2G /srv/zeros; gzip -1c /srv/zeros >/srv/backup/bomb.gz")
    began = time.monotonic()
    made = Controller(own_fleet).plan("db-1", task("hole.img", "bomb.gz"))
    assert time.monotonic() - began < 60
    assert {one["reason"] for one in made.facts["sources"]} == {Reason.EMPTY.value}


@pytest.mark.parametrize("host", ["bookworm"], indirect=True)
def test_a_trial_that_is_killed_leaves_a_folder_that_the_next_one_removes(own_fleet: Fleet, host: LabHost) -> None:
    host.sh("truncate -s 600M /srv/zeros; tar -cf - -C /srv zeros | gzip -1 >/srv/backup/zeros.tar.gz")
    source = FileSource(type="files", name="zeros", path="/srv/backup/zeros.tar.gz", restore=TrialRestore())
    wanted, controller = task().model_copy(update={"sources": (source,)}), Controller(own_fleet)
    (change,) = controller.plan("db-1", wanted).changes

    def kill() -> None:
        wait_until(lambda: host.sh("find /var/tmp -name zeros -size +1M"), "the restore begins", 60)
        host.sh("for p in /proc/[0-9]*; do ls -l $p/fd | grep -q bot-trial && kill -9 ${p#/proc/}; done 2>&-; true")

    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill)
        with pytest.raises(RemoteError):
            controller.apply("db-1", wanted, [change])
        killing.result()
    (left,) = host.sh("ls -A /var/tmp | grep maintenancebot").split()
    again = controller.plan("db-1", wanted)
    assert any(left in note for note in again.facts["sources"][0]["notes"])
    (outcome,) = controller.apply("db-1", wanted, again.changes)
    assert (outcome.state, outcome.measured["level"], outcome.measured["cleared"]) == (State.DONE, "restored", [left])
    assert "maintenancebot" not in host.sh("ls -A /var/tmp")


def test_a_user_who_may_not_look_knows_nothing(own_fleet: Fleet, host: LabHost) -> None:
    made = Controller(own_fleet, "plain").plan("db-1", task("dump.sql.gz"))
    assert (made.state, made.reason) == (State.UNKNOWN, Reason.UNREADABLE)


def test_a_backup_that_a_process_still_writes_is_none(own_fleet: Fleet, host: LabHost) -> None:
    host.run(["systemd-run", "--unit=writer", "sh", "-c", "exec 3>>/srv/backup/dump.sql.gz; sleep 60"])
    host.sh("for i in $(seq 50); do test -e /proc/$(systemctl show -P MainPID writer)/fd/3 && break; sleep 0.1; done")
    made = Controller(own_fleet).plan("db-1", task("dump.sql.gz"))
    assert (made.state, made.reason) == (State.FAILED, Reason.BEING_WRITTEN)


@pytest.mark.parametrize("days", [2, 400])
def test_a_backup_that_stopped_is_stale(own_fleet: Fleet, host: LabHost, days: int) -> None:
    host.run(["touch", "-d", f"{days} days ago", "/srv/backup/dump.sql.gz"])
    made = Controller(own_fleet).plan("db-1", task("dump.sql.gz"))
    assert (made.state, made.reason) == (State.FAILED, Reason.STALE)


def test_the_command_tries_a_restore_remembers_it_and_tells_the_level(own_fleet: Fleet, tmp_path: Path) -> None:
    host = own_fleet.host("db-1", release="bookworm")
    host.write("/srv/backup/dump.sql.gz", gzip.compress(DUMP), mode=0o600)
    source = {"type": "files", "name": "shop", "path": "/srv/backup/*.gz", "contains": ["public.t"], "restore": {}}
    backups = {"name": "backups", "type": "verify", "check": "backup_completed_within_24h", "sources": [source]}
    bot = Bot(tmp_path, own_fleet, tasks=[backups])
    before = manifest(host)
    found = bot("dry-run", "--json").task("db-1", "backups")
    assert differences(before, manifest(host)) == []
    assert [(one["action"], one["state"], one["undo"]) for one in found["changes"]] == [
        ("try_restore", "planned", "none")
    ]
    first = bot("run", "--json")
    assert first.code == 0, first.err
    found = first.task("db-1", "backups")
    assert [(one["state"], one["measured"]["level"]) for one in found["changes"]] == [("done", "restored")]
    assert [line for line in differences(before, manifest(host)) if not line.startswith("'/var/tmp' ")] == []
    second = bot("run", "--json").task("db-1", "backups")
    assert (second["state"], second["reason"], second["changes"]) == ("done", "fresh", [])
    assert second["facts"]["sources"][0]["level"] == "restored"
    host.run(["truncate", "-s", "-5", "/srv/backup/dump.sql.gz"])
    bad = bot("run", "--json")
    assert (bad.code, bad.task("db-1", "backups")["reason"]) == (1, "damaged")
    assert "damaged" in bot("run").out
