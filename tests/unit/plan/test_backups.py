"""The verdict over all backup sources of a task."""

import pytest

from maintenancebot.model import Finding, Host, HostFacts, Reason, State, TaskType
from maintenancebot.plan import backups
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.probes import backups as probe
from maintenancebot.settings import FileSource, Settings, VerifyTask

HOST = Host("web-1", "192.0.2.1")


def task(*paths: str) -> VerifyTask:
    sources = tuple(FileSource(type="files", path=path) for path in paths)
    return VerifyTask(name="backups", type=TaskType.VERIFY, check="backup_completed_within_24h", sources=sources)


def facts(offset: float = 0.0) -> HostFacts:
    return HostFacts("m", "b", "web-1", "debian", "12", "6.1", "3.11.2", 0, 1_700_000_000.0, offset)


def finding(number: int, verdict: str, reason: str, detail: str = "") -> Finding:
    data = {"source": number, "verdict": verdict, "reason": reason, "detail": detail, "level": "readable"}
    return Finding("backups", "backup", f"/b/{number}", data)


GOOD = ("ok", "fresh")
BAD = ("bad", "stale", "30 hours old")
UNREADABLE = ("unknown", "unreadable", "permission denied")


def plan(paths=1, answers=(GOOD,), offset=0.0, state=State.DONE, reason=Reason.NONE):
    wanted = task(*(f"/b/{number}" for number in range(paths)))
    findings = tuple(finding(number, *answer) for number, answer in enumerate(answers))
    result = ProbeResult(state, reason, "", findings)
    made = backups.plan(HOST, wanted, Settings(name="x", tasks=(wanted,)), facts(offset), result)
    assert made.changes == ()
    return made


def test_a_task_without_sources_says_what_to_write():
    made = plan(paths=0, answers=())
    assert (made.state, made.reason) == (State.SKIPPED, Reason.NOT_CONFIGURED)
    assert "sources: [{type: files, path:" in made.detail
    assert probe.request(task(), Settings(name="x", tasks=(task(),)), HOST, refresh=False) is None


def test_all_fresh_is_done_and_names_the_level():
    made = plan(2, (GOOD, GOOD))
    assert (made.state, made.reason) == (State.DONE, Reason.FRESH)
    assert made.detail == "/b/0: readable; /b/1: readable"


@pytest.mark.parametrize(
    ("answers", "state", "reason"),
    [
        ((GOOD, BAD), State.FAILED, Reason.STALE),
        ((GOOD, UNREADABLE), State.UNKNOWN, Reason.UNREADABLE),
        ((UNREADABLE, BAD), State.FAILED, Reason.STALE),
        ((GOOD,), State.UNKNOWN, Reason.LINK_LOST),
        ((GOOD, ("ok", "stale")), State.UNKNOWN, Reason.HELPER_ERROR),
        ((GOOD, ("splendid", "fresh")), State.UNKNOWN, Reason.HELPER_ERROR),
        ((GOOD, ("bad", "never heard of")), State.FAILED, Reason.HELPER_ERROR),
    ],
)
def test_the_worst_source_decides(answers, state, reason):
    made = plan(2, answers)
    assert (made.state, made.reason, made.facts["good"]) == (
        state,
        reason,
        answers.count(GOOD) if len(answers) > 1 else 1,
    )


def test_ages_by_a_wrong_clock_are_not_believed():
    assert (plan(offset=3600).state, plan(offset=3600).reason) == (State.UNKNOWN, Reason.CLOCK_SKEW)
    assert plan(answers=(BAD,), offset=3600).state is State.FAILED


def test_a_probe_that_failed_is_unknown():
    made = plan(answers=(), state=State.UNKNOWN, reason=Reason.HELPER_ERROR)
    assert (made.state, made.reason) == (State.UNKNOWN, Reason.HELPER_ERROR)
