"""What the helper is asked of backups, and how the clouds' answers join its own."""

from datetime import datetime

import pytest

from maintenancebot.model import Finding, Host, Reason, State, TaskType
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.probes import backups, cloud_backups
from maintenancebot.settings import Settings, VerifyTask
from maintenancebot.settings.sources import FileSource, ResticSource, S3Source, TrialRestore

HOST = Host("db-1", "192.0.2.1")
FILES = FileSource(type="files", path="/b/*.gz", restore=TrialRestore(folder="/srv/trials"))
RESTIC = ResticSource(type="restic", repository="/r", password_file="/p")
S3 = S3Source(type="s3", bucket="bucket", key="x/*")


class Connection:
    host = HOST


def task(*sources):
    return VerifyTask(name="backups", type=TaskType.VERIFY, check="backup_completed_within_24h", sources=sources)


def request(*sources):
    return backups.request(task(*sources), Settings(name="x", tasks=(task(*sources),)), HOST, refresh=False)


@pytest.fixture(autouse=True)
def cloud(monkeypatch):
    def look(task, number, source, host, now):
        assert isinstance(now, datetime)
        assert now.tzinfo is not None
        return Finding(task.name, "backup", source.type, {"source": number, "verdict": "ok", "reason": "fresh"})

    monkeypatch.setattr(cloud_backups, "look", look)


def complete(result, *sources):
    wanted = task(*sources)
    return backups.complete(wanted, Settings(name="x", tasks=(wanted,)), result, Connection())


def test_the_helper_is_asked_of_what_the_host_reaches_by_number():
    asked = request(S3, FILES, RESTIC)
    assert [(one["number"], one["type"], one["folder"]) for one in asked["sources"]] == [
        (1, "files", "/srv/trials"),
        (2, "restic", None),
    ]
    assert asked["max_age_hours"] == 24
    assert "restore" not in asked["sources"][0]


def test_nothing_is_asked_of_a_host_that_has_no_source():
    assert request(S3) is None
    assert request() is None


def test_sources_of_the_cloud_are_judged_whatever_the_host_said():
    broken = ProbeResult(State.UNKNOWN, Reason.HELPER_ERROR, "told")
    found = complete(broken, FILES, S3)
    assert (found.state, found.reason, [one.data["source"] for one in found.findings]) == (
        State.UNKNOWN, Reason.HELPER_ERROR, [1],
    )  # fmt: skip


def test_a_task_of_clouds_alone_was_looked_at():
    found = complete(ProbeResult(State.SKIPPED, Reason.NOT_CONFIGURED), S3)
    assert (found.state, found.reason, len(found.findings)) == (State.DONE, Reason.NONE, 1)
