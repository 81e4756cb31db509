"""A source that fails, shrinks or answers in part never makes hosts vanish unseen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from maintenancebot.inventory_sources import CommandSource
from maintenancebot.model import Json
from maintenancebot.sources.gathering import Gathered, gather, named
from maintenancebot.sources.listing import Listed, Listing, SourceError

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Notes:
    """What is remembered between two questions."""

    def __init__(self, **rows: Json) -> None:
        self.rows: Mapping[str, Json] = rows


def listing(count: int, **more: Any) -> Listing:
    return Listing(tuple(Listed(f"web-{n}", {"address": f"10.0.0.{n}"}, ("web",)) for n in range(count)), **more)


def source(**more: Any) -> CommandSource:
    return CommandSource(type="command", argv=("/bin/list",), **more)


def ask(answer: Listing | Exception, notes: Notes, hours: float = 0, **more: Any) -> Gathered:
    def read(_: object) -> Listing:
        if isinstance(answer, Exception):
            raise answer
        return answer

    answers = gather([source(**more)], read, notes.rows, NOON + timedelta(hours=hours))
    notes.rows = json.loads(json.dumps(answers.rows))
    (one,) = answers.gathered
    return one


def test_a_good_answer_counts_and_is_remembered() -> None:
    notes = Notes()
    one = ask(listing(3), notes)
    assert (len(one.hosts), one.at, one.problems, one.stale) == (3, NOON, (), "")
    assert len(notes.rows["command"]["hosts"]) == 3


@pytest.mark.parametrize("error", [SourceError("it hangs"), ValueError("a plugin's fault")])
def test_a_failure_keeps_the_last_good_answer_and_tells_its_age(error: Exception) -> None:
    notes = Notes()
    good = ask(listing(3), notes)
    one = ask(error, notes, hours=5)
    assert (one.hosts, one.at, one.stale) == (good.hosts, NOON, "")
    assert one.problems[0].endswith("; its hosts are known from 5 hours ago")


def test_above_its_age_nothing_may_be_changed_until_an_answer_comes() -> None:
    notes = Notes()
    ask(listing(3), notes)
    assert ask(SourceError("down"), notes, hours=24).stale == ""
    assert ask(SourceError("down"), notes, hours=25).stale == "the list of its servers is from 25 hours ago"
    assert ask(SourceError("down"), notes, hours=3, max_age_hours=2).stale
    assert ask(listing(3), notes, hours=26).stale == ""
    assert ask(SourceError("down"), notes, hours=27).stale == ""


def test_a_failure_without_any_earlier_answer_is_said() -> None:
    one = ask(SourceError("down"), Notes())
    assert (one.hosts, one.at) == ((), None)
    assert one.problems == ("source command: down; there is no earlier answer",)


def test_far_fewer_hosts_need_a_person() -> None:
    notes = Notes()
    ask(listing(10), notes)
    assert len(ask(listing(5), notes, hours=1).hosts) == 5
    ask(listing(10), notes)
    few = ask(listing(4), notes, hours=2)
    assert len(few.hosts) == 10
    assert "4 hosts instead of 10; if that is right: maintenancebot hosts accept command" in few.problems[0]
    assert len(ask(listing(0), notes, hours=3).hosts) == 10
    assert len(ask(listing(0), notes, hours=3, min_share=0.001).hosts) == 10
    assert ask(listing(4), notes, hours=40).stale


def test_a_part_without_an_earlier_whole_answer_is_no_whole_one() -> None:
    assert ask(listing(2, partial=True), Notes()).at is None


def test_what_a_partial_answer_lacks_is_taken_from_the_last_whole_one() -> None:
    notes = Notes()
    ask(listing(10), notes)
    part = ask(listing(2, partial=True, problems=("eu-west-1 does not answer",)), notes, hours=1)
    assert len(part.hosts) == 10
    assert part.problems == (
        "source command: eu-west-1 does not answer",
        "source command: 8 hosts are known from 1 hours ago alone",
    )
    assert ask(listing(2, partial=True), notes, hours=30).stale


def test_another_definition_of_the_source_has_no_past() -> None:
    notes = Notes()
    ask(listing(10), notes)
    other = CommandSource(type="command", argv=("/bin/other",))
    (one,) = gather([other], lambda _: listing(1), notes.rows, NOON).gathered
    assert len(one.hosts) == 1


@pytest.mark.parametrize("row", [5, [], {}, {"source": "x"}, {"source": "x", "at": "y", "hosts": 3}])
def test_a_damaged_memory_is_no_memory(row: Json) -> None:
    assert len(ask(listing(1), Notes(command=row)).hosts) == 1


def test_sources_of_one_type_are_told_apart() -> None:
    assert [name for name, _ in named([source(), source(), source(name="mine")])] == ["command", "command-2", "mine"]
