"""A copy beside those before it, the memory of looks, trials that are due."""

import re
from pathlib import Path
from typing import ClassVar

import pytest

from maintenancebot.helper.backups import verdicts
from maintenancebot.model import Action, Finding, Host, HostFacts, Level, Reason, State, TaskType, Undo
from maintenancebot.plan import backups
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings import Settings, VerifyTask
from maintenancebot.settings.sources import FileSource, TrialRestore

PAGE = (Path(__file__).parents[3] / "docs" / "backups.md").read_text("utf-8")
HOST = Host("db-1", "192.0.2.1")
DAY = 86400
NOW = 1_700_000_000.0
COPIES, TRIAL = "copies of files /b/*", "trial restore of shop"


def task(**source) -> VerifyTask:
    one = FileSource(type="files", name="shop", path="/b/*", **source)
    return VerifyTask(name="backups", type=TaskType.VERIFY, check="backup_completed_within_24h", sources=(one,))


def look(day: int = 0, level: str = "readable", verdict: str = "ok", reason: str = "fresh", **more) -> ProbeResult:
    evidence = {"id": f"copy-{day}", "path": f"/b/{day}", "time": NOW + day * DAY, "age_hours": 1.0, "format": "gzip"}
    given = more.pop("evidence", {})
    data = {"source": 0, "verdict": verdict, "reason": reason, "detail": "", "level": level, **more}
    data["evidence"] = evidence | {"size": 1000, "entries": 100} | given
    return ProbeResult(State.DONE, findings=(Finding("backups", "backup", "shop", data),))


def remembered(wanted: VerifyTask, *looks: ProbeResult, known=None):
    rows = known or {}
    for number, one in enumerate(looks):
        rows = backups.learned(wanted, one, rows, NOW + number * DAY)
    return rows


def plan(wanted: VerifyTask, result: ProbeResult, rows, now: float = NOW, uid: int = 0):
    facts = HostFacts("m", "b", "db-1", "debian", "12", "6.1", "3.11.2", uid, now, 0.0)
    result = ProbeResult(result.state, result.reason, "", result.findings, {"remembered": rows})
    return backups.plan(HOST, wanted, Settings(name="x", tasks=(wanted,)), facts, result)


def judged(*looks: ProbeResult):
    wanted = task()
    made = plan(wanted, looks[-1], remembered(wanted, *looks))
    return made, made.facts["sources"][0]


def test_the_levels_are_one_closed_ordered_list() -> None:
    assert tuple(Level) == verdicts.LEVELS
    assert re.findall(r"^\| `([a-z]+)` \|", PAGE.split("## Levels")[1].split("## ")[0], re.MULTILINE) == list(Level)


class TestHistory:
    def test_a_copy_like_those_before_it_is_good(self) -> None:
        made, source = judged(*(look(day) for day in range(5)))
        assert (made.state, source["level"], source["evidence"]["compared_with"]) == (State.DONE, "readable", 4)
        assert made.detail == "shop: readable, 1 hours old, 1,000 bytes, 100 entries"

    @pytest.mark.parametrize(
        ("key", "value", "state"),
        [
            ("size", 299, State.FAILED),
            ("size", 301, State.DONE),
            ("entries", 49, State.FAILED),
            ("entries", 51, State.DONE),
            ("size", 4000, State.DONE),
        ],
    )
    def test_one_that_is_far_smaller_is_not(self, key, value, state) -> None:
        made, source = judged(*(look(day) for day in range(4)), look(4, evidence={key: value}))
        assert made.state is state
        if state is State.FAILED:
            assert (made.reason, source["level"]) == (Reason.IMPLAUSIBLE, "complete")
            assert source["detail"].endswith(
                "the 4 copies before it had 1,000" if key == "size" else "before it had 100"
            )

    def test_few_copies_are_compared_roughly(self) -> None:
        assert judged(look(0), look(1, evidence={"size": 200}))[0].state is State.DONE
        assert judged(look(0), look(1, evidence={"size": 99}))[0].state is State.FAILED

    def test_a_first_look_compares_with_what_lies_there_or_says_that_it_could_not(self) -> None:
        others = [{"path": f"/b/{n}", "time": NOW - n * DAY, "size": 9000} for n in range(1, 4)]
        assert judged(look(0, others=others))[0].reason is Reason.IMPLAUSIBLE
        made, source = judged(look(0))
        assert source["evidence"]["compared_with"] == 0
        assert made.detail.endswith("no earlier copy to compare it with")

    def test_what_is_complete_and_like_those_before_it_is_plausible(self) -> None:
        looks = [look(day, level="complete") for day in range(3)]
        assert judged(*looks)[1]["level"] == "plausible"
        assert judged(looks[0])[1]["level"] == "complete"

    def test_only_copies_of_one_series_are_compared(self) -> None:
        looks = [look(day, evidence={"series": "large-0"}) for day in range(4)]
        made, source = judged(*looks, look(4, evidence={"series": "small-0", "size": 10, "entries": 1}))
        assert (made.state, source["evidence"]["compared_with"]) == (State.DONE, 0)

    def test_what_shrank_for_good_becomes_the_norm(self) -> None:
        looks = [look(day) for day in range(6)] + [look(day, evidence={"size": 100}) for day in range(6, 14)]
        assert judged(*looks[:9])[0].state is State.FAILED
        assert judged(*looks)[0].state is State.DONE

    def test_the_same_copy_seen_again_is_one_copy_and_thirty_are_kept(self) -> None:
        rows = remembered(task(), *(look(day // 2) for day in range(90)))
        assert len(rows[COPIES]["copies"]) == 30
        assert rows[COPIES]["copies"][-1]["id"] == "copy-44"

    def test_bad_copies_and_silence_leave_the_history_as_it_was(self) -> None:
        rows = remembered(task(), look(0))
        again = remembered(task(), look(1, verdict="bad", reason="damaged"), ProbeResult(State.UNKNOWN), known=rows)
        assert again[COPIES]["copies"] == rows[COPIES]["copies"]

    def test_fewer_good_copies_than_before_are_noted(self) -> None:
        _, source = judged(*(look(day, count=14) for day in range(4)), look(4, count=3))
        assert source["notes"] == ["only 3 copies are left, 14 were there before"]

    def test_how_much_of_a_repository_was_read_is_summed_over_a_month(self) -> None:
        def part(number: int):
            return {"part": {"number": number, "of": 4, "packs": 2, "all_packs": 8}}

        made, source = judged(*(look(0, evidence=part(number)) for number in (1, 2, 2, 3)))
        assert source["evidence"]["read_share"] == 0.75
        assert "75% of the data read in 30 days" in made.detail
        rows = backups.learned(
            task(), look(0, evidence=part(4)), remembered(task(), look(0, evidence=part(1))), NOW + 40 * DAY
        )
        assert list(rows[COPIES]["parts"]["read"]) == ["4"]

    def test_no_value_of_a_row_is_null(self) -> None:
        assert all(value is not None for value in remembered(task(), look(0))[COPIES].values())


class TestTrials:
    WANTED = task(restore=TrialRestore(every_days=30))
    OBJECT: ClassVar = {"path": "/b/0", "dev": 1, "ino": 2, "size": 1000, "mtime_ns": 3}

    def plan(self, rows=None, now: float = NOW, **more):
        found = look(0, object=self.OBJECT, **more)
        return plan(self.WANTED, found, {**remembered(self.WANTED, found), **(rows or {})}, now)

    def row(self, state: State = State.DONE, days: float = 1, copy: str = "copy-9"):
        return {TRIAL: {"state": state.value, "at": 0, "good_at": NOW - days * DAY, "good_copy": copy, "detail": "why"}}

    def test_one_that_was_never_made_is_planned_for_the_exact_copy(self) -> None:
        made = self.plan()
        (change,) = made.changes
        assert (made.state, change.action, change.name, change.undo) == (
            State.PLANNED, Action.TRY_RESTORE, TRIAL, Undo.NONE,
        )  # fmt: skip
        assert change.object == {
            "source": "shop",
            "type": "files",
            "copy": "copy-0",
            "folder": "/var/tmp",
            **self.OBJECT,
        }
        assert made.facts["verdict_state"] == "done"
        assert "which goes again" in change.note

    @pytest.mark.parametrize(("days", "planned"), [(29, 0), (31, 1)])
    def test_it_has_its_own_rhythm(self, days, planned) -> None:
        assert len(self.plan(self.row(days=days)).changes) == planned

    def test_the_level_is_restored_for_the_very_copy_alone(self) -> None:
        assert self.plan(self.row(copy="copy-0")).facts["sources"][0]["level"] == "restored"
        other = self.plan(self.row())
        assert other.facts["sources"][0]["level"] == "readable"
        assert "restored 1 days ago" in other.detail

    def test_a_trial_that_failed_makes_the_source_bad_and_is_made_again(self) -> None:
        made = self.plan(self.row(State.FAILED))
        assert (made.facts["verdict_state"], made.facts["verdict_reason"]) == ("failed", "restore_failed")
        assert made.facts["sources"][0]["detail"] == "the last trial restore failed: why"
        assert len(made.changes) == 1

    @pytest.mark.parametrize(
        "more",
        [
            {"verdict": "bad", "reason": "stale"},
            {"verdict": "unknown", "reason": "unreadable"},
            {"evidence": {"format": ""}, "level": "complete"},
        ],
    )
    def test_what_is_not_good_or_cannot_be_unpacked_is_not_tried(self, more) -> None:
        assert self.plan(**more).changes == ()

    def test_without_root_none_is_planned(self) -> None:
        made = plan(self.WANTED, look(0, object=self.OBJECT), {}, uid=1000)
        assert (made.changes, made.facts["sources"][0]["notes"]) == ((), ["a restore is tried by root alone"])

    def test_the_same_object_is_tried_once(self) -> None:
        twice = self.WANTED.model_copy(update={"sources": self.WANTED.sources * 2})
        found = look(0, object=self.OBJECT)
        second = Finding("backups", "backup", "shop", {**found.findings[0].data, "source": 1})
        both = ProbeResult(State.DONE, findings=(*found.findings, second))
        assert len(plan(twice, both, {}).changes) == 1

    def test_sources_that_are_not_configured_to_be_tried_are_not(self) -> None:
        assert plan(task(), look(0, object=self.OBJECT), {}).changes == ()
