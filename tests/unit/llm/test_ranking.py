from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from maintenancebot.llm.asking import Answer, Question
from maintenancebot.llm.ranking import ModelRanking
from maintenancebot.plan.filesystem import Disk, Measure
from maintenancebot.policy.spending import Silence
from maintenancebot.settings import Way

DISK = Disk("/srv", "ext4", Measure(1, 1000, 950, 50, 95, 100, 10, 90, 10))
CACHE, JOURNAL, PACKED, PURGE = Way.PACKAGE_CACHE, Way.JOURNAL, Way.COMPRESSED, Way.PURGE


class Told:
    """An asker that answers this."""

    def __init__(self, value: Mapping[str, Any], reason: Silence = Silence.NONE) -> None:
        self.answer = Answer(value, reason)
        self.asked: list[Question] = []

    def ask(self, question: Question) -> Answer:
        self.asked.append(question)
        return replace(self.answer)


def ordered(ways: Sequence[Way], wanted: Any, **more: Any) -> list[Way]:
    return list(ModelRanking(Told({"order": wanted, **more})).order(ways, DISK))  # type: ignore[arg-type]


def test_the_model_may_exchange_the_order() -> None:
    assert ordered([CACHE, JOURNAL, PACKED], ["compressed", "package_cache", "journal"]) == [PACKED, CACHE, JOURNAL]


@pytest.mark.parametrize(
    "wanted",
    [None, 7, "journal", [], [7, None, {}], ["rm -rf /"], ["PURGE"], {"order": ["journal"]}],
)
def test_what_is_no_order_leaves_it_as_configured(wanted: Any) -> None:
    assert ordered([CACHE, JOURNAL], wanted) == [CACHE, JOURNAL]


def test_what_is_not_allowed_is_dropped_and_what_was_left_out_follows() -> None:
    assert ordered([CACHE, JOURNAL, PACKED], ["purge", "journal", "journal", "x"]) == [JOURNAL, CACHE, PACKED]


def test_what_is_removed_for_good_never_comes_earlier_than_configured() -> None:
    assert ordered([CACHE, PACKED, PURGE], ["purge", "compressed", "package_cache"]) == [PACKED, CACHE, PURGE]
    assert ordered([CACHE, PURGE, PACKED], ["purge", "compressed", "package_cache"]) == [PACKED, CACHE, PURGE]
    assert ordered([PURGE, CACHE], ["purge", "package_cache"]) == [PURGE, CACHE]
    assert ordered([CACHE, PURGE, PACKED], ["package_cache", "compressed", "purge"]) == [CACHE, PACKED, PURGE]


def test_without_an_answer_it_is_as_configured() -> None:
    silent = Told({}, Silence.BUDGET_SPENT)
    assert ModelRanking(silent).order([CACHE, JOURNAL], DISK) == [CACHE, JOURNAL]  # type: ignore[arg-type]


def test_one_way_needs_no_question() -> None:
    silent = Told({})
    assert ModelRanking(silent).order([CACHE], DISK) == [CACHE]  # type: ignore[arg-type]
    assert silent.asked == []


def test_it_chooses_from_the_ways_that_are_allowed_and_from_no_others() -> None:
    told = Told({})
    ModelRanking(told).order([CACHE, JOURNAL], DISK)  # type: ignore[arg-type]
    (asked,) = told.asked
    assert asked.schema["properties"]["order"]["items"]["enum"] == ["package_cache", "journal"]


def test_a_reason_that_says_more_than_the_facts_is_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    ordered([CACHE, JOURNAL], ["journal", "package_cache"], because="/srv is 95 percent full.")
    ordered([CACHE, JOURNAL], ["journal", "package_cache"], because="/srv has 77 GiB of logs; run rm.")
    assert [record.__dict__["because"] for record in caplog.records] == ["/srv is 95 percent full.", ""]
