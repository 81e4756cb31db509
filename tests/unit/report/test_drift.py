"""The same item across the fleet: hosts with one value stand together, the odd one out first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from maintenancebot.model import (
    Action,
    Change,
    ChangeReport,
    HostReport,
    Report,
    State,
    TaskReport,
    TaskType,
    Undo,
)
from maintenancebot.report import drift, text
from maintenancebot.report.totals import totals

MOTD, ISSUE = "file:/etc/motd", "file:/etc/issue"
AT = datetime(2026, 11, 21, 3, tzinfo=UTC)


def row(item: str, sha256: str = "bb", state: str = "differs", by: str = "") -> dict[str, Any]:
    found = {"sha256": sha256, "mode": "0644"} if state == "differs" else {}
    explained = {"by": by} if by else {}
    return {
        "item": item,
        "state": state,
        "differs": list(found)[:1],
        "wanted": {"sha256": "aa"},
        "found": found,
        "explained": explained,
        "writers": {},
        "place": "",
    }


def host(name: str, *made: str, **rows: list[Any]) -> HostReport:
    facts = {"items": 2, "matches": 0, **{kind: [] for kind in drift.KINDS}, **rows}
    changes = tuple(
        ChangeReport(Change(item, "drift", Action.CORRECT_FILE, item, {}, Undo.TRASH), State.DONE) for item in made
    )
    task = TaskReport("drift", TaskType.DRIFT, State.FAILED, changes=changes, facts=facts)
    return HostReport(name, State.FAILED, tasks=(task,))


def fleet(*hosts: HostReport) -> list[dict[str, Any]]:
    return drift.fleet(hosts, {one.host: [MOTD, ISSUE] for one in hosts})


def lines(*hosts: HostReport, verbose: bool = False) -> list[str]:
    return list(drift.lines({drift.KEY: fleet(*hosts)}, verbose=verbose))


def test_what_is_beyond_the_rows_of_a_host_is_not_said_to_be_as_declared() -> None:
    short = {"item": ISSUE, "as": "drifted", "state": "missing", "explained": {"by": ""}}
    found = fleet(host("a", beyond=[short]), host("b"))
    (issue,) = found
    assert (issue["item"], issue["hosts"], issue["as_declared"]) == (ISSUE, 2, 1)
    assert lines(host("a", beyond=[short]), host("b")) == [f"{ISSUE}: 1 of 2 hosts differ: a (missing)"]


def test_a_host_for_which_an_item_is_not_applicable_is_not_said_to_be_as_declared() -> None:
    (motd,) = fleet(host("a", drifted=[row(MOTD)]), host("b", not_applicable=[MOTD]), host("c"))
    assert (motd["hosts"], motd["as_declared"]) == (2, 1)


def test_hosts_of_one_value_stand_together_and_the_odd_one_out_first() -> None:
    found = fleet(
        host("a", drifted=[row(MOTD), row(ISSUE)]),
        host("b", drifted=[row(MOTD)]),
        host("c", drifted=[row(MOTD, "cc")]),
        host("d"),
    )
    assert [(one["item"], one["hosts"], one["as_declared"]) for one in found] == [(ISSUE, 4, 3), (MOTD, 4, 1)]
    assert [(other["found"], other["hosts"]) for other in found[1]["others"]] == [
        ({"sha256": "cc"}, ["c"]),
        ({"sha256": "bb"}, ["a", "b"]),
    ]


def test_what_is_explained_comes_last_and_says_by_what() -> None:
    told = lines(
        host("a", explained=[row(MOTD, by="package")], drifted=[row(ISSUE)]), host("b", drifted=[row(ISSUE)]), host("c")
    )
    assert told == [
        f"{ISSUE}: 2 of 3 hosts differ: a, b (differs in sha256)",
        f"{MOTD}: 1 of 3 hosts differ: a (differs in sha256, explained: package)",
    ]


def test_what_was_corrected_is_as_declared_and_what_will_be_says_so() -> None:
    told = lines(host("a", MOTD, corrected=[row(MOTD)]), host("b", corrected=[row(MOTD, state="missing")]))
    assert told == [f"{MOTD}: 1 of 2 hosts differ: b (missing, to be corrected)"]


def test_one_host_alone_is_no_fleet_and_one_that_was_not_seen_counts_for_nothing() -> None:
    unseen = HostReport("b", State.UNKNOWN)
    assert lines(host("a", drifted=[row(MOTD)]), unseen) == []


def test_a_long_list_is_cut_and_v_lists_all() -> None:
    items = [f"file:/etc/{number:02}" for number in range(30)]
    hosts = [host("a", drifted=[row(item) for item in items]), host("b")]
    found = {drift.KEY: drift.fleet(hosts, {"a": items, "b": items})}
    short = list(drift.lines(found, verbose=False))
    assert (len(short), short[-1]) == (21, "… and 10 more; -v lists all")
    assert len(list(drift.lines(found, verbose=True))) == 30


def test_names_of_hostile_files_forge_no_line_of_a_report() -> None:
    item = "file:/etc/x\nall is well \x1b[2J"
    hosts = (host("a", drifted=[row(item)]), host("b"))
    view = {drift.KEY: drift.fleet(hosts, {"a": [item], "b": [item]})}
    report = Report("drift scan", "r1", AT, AT, State.FAILED, hosts, {**totals(hosts), **view})
    shown = text.plain(report)
    assert f"{text.FLEET}:\n  file:/etc/x\\nall is well \\x1b[2J: 1 of 2 hosts differ: a (differs in sha256)" in shown
    assert text.FLEET in text.markdown(report)
