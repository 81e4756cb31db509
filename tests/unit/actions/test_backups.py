"""Trial restores as steps, and what is remembered of them."""

import pytest

from maintenancebot.actions import backups
from maintenancebot.model import Action, Outcome, Reason, State, TaskType, Undo
from maintenancebot.plan.document import make_change
from maintenancebot.settings import Settings, VerifyTask
from maintenancebot.settings.sources import FileSource, ResticSource, TrialRestore

FILES = FileSource(type="files", name="shop", path="/b/*.gz", restore=TrialRestore(max_bytes=1000))
RESTIC = ResticSource(type="restic", repository="/r", password_file="/p", restore=TrialRestore())
TASK = VerifyTask(name="backups", type=TaskType.VERIFY, check="backup_completed_within_24h", sources=(FILES, RESTIC))
SETTINGS = Settings(name="x", tasks=(TASK,))


def change(source: str, kind: str):
    identity = {"source": source, "type": kind, "copy": "c-1", "folder": "/var/tmp"}
    return make_change("db-1", "backups", Action.TRY_RESTORE, name="x", identity=identity, undo=Undo.NONE)


def test_each_trial_is_a_step_of_its_own_with_its_source():
    steps = backups.steps(TASK, SETTINGS, [change("shop", "files"), change("/r", "restic")])
    assert [(step.op, len(step.changes)) for step in steps] == [("backups.try_restore", 1)] * 2
    assert (steps[0].args["source"]["path"], steps[0].args["max_bytes"]) == ("/b/*.gz", 1000)
    assert steps[1].args["source"]["password_file"] == "/p"
    assert "restore" not in steps[1].args["source"]


def test_a_source_that_is_not_there_any_more_cannot_be_tried():
    with pytest.raises(ValueError, match="no such source"):
        backups.steps(TASK, SETTINGS, [change("gone", "files")])


def outcome(state: State, **measured):
    return Outcome("id", state, Reason.NONE, "said", measured)


def test_only_trials_that_were_made_are_remembered():
    good = backups.learned(change("shop", "files"), outcome(State.DONE, entries=3, bytes=9), None, 100.0)
    assert good == {
        "state": "done", "at": 100, "detail": "said", "good_at": 100, "good_copy": "c-1", "entries": 3, "bytes": 9,
    }  # fmt: skip
    failed = backups.learned(change("shop", "files"), outcome(State.FAILED), good, 200.0)
    assert (failed["state"], failed["at"], failed["good_at"]) == ("failed", 200, 100)
    assert backups.learned(change("shop", "files"), outcome(State.SKIPPED), good, 300.0) == good
    assert backups.learned(change("shop", "files"), outcome(State.UNKNOWN), None, 300.0) is None
    never = Outcome("id", State.FAILED, Reason.UNREACHABLE, "no connection", begun=False)
    assert backups.learned(change("shop", "files"), never, good, 300.0) == good
