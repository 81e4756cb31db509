"""File backups on real hosts of every release: good ones pass with their level, bad ones are named, none is changed."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest

from maintenancebot.model import Reason, State, TaskType
from maintenancebot.settings import FileSource, VerifyTask
from tests.acceptance.subjects import Controller
from tests.lab.fleet import Fleet
from tests.lab.hosts import LabHost
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
    assert {seen[name]["level"] for name in GOOD} == {"data_read"}
    made = Controller(own_fleet).plan("db-1", task(*GOOD))
    assert (made.state, made.reason) == (State.DONE, Reason.FRESH)


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
