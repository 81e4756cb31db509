"""The pages: whole in themselves, well formed, and every text in them only text."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from maintenancebot.model import Reason, State, TaskReport, TaskType
from maintenancebot.report.clean import clean
from maintenancebot.report.html import MARKS, TOPICS, week_page
from maintenancebot.report.html import run_page as page_of_run
from maintenancebot.report.week import FIGURES, Forecast, Line
from tests.unit.report.any_weeks import HOSTILE, NAMES, STATES, TEXTS, WEEKS, bad_week, host, week
from tests.unit.report.examples import cleanup, package, patches, planned, report
from tests.unit.report.examples import host as host_of_run

ALONE = {"meta", "line", "polygon", "polyline"}
"""Elements without content."""


class Page(HTMLParser):
    """What a reader of the page sees, and what it is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ALONE:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ALONE:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.texts))


def read(text: str) -> Page:
    page = Page(text)
    assert page.open == []
    return page


def loads_and_runs_nothing(page: Page) -> bool:
    names = {name for _, attributes in page.tags for name in attributes}
    kinds = {tag for tag, _ in page.tags}
    return not kinds & {"script", "link", "img", "iframe", "a", "form"} and not any(
        name in ("src", "href") or name.startswith("on") for name in names
    )


def test_a_page_shows_what_needs_a_person_before_the_figures_the_words_and_the_fleet() -> None:
    told = read(week_page(bad_week(), "One host needs a look.")).text
    places = [
        told.index(part)
        for part in (
            "2 hosts.",
            "Needs a person",
            "db-1, nightly",
            "too old: newest is 9 days old (since 9 Nov)",
            "To do: find out why the backup did not run",
            "The week in figures",
            "3.0 GiB -1.0 GiB",
            "One host needs a look.",
            "Otherwise than the week before",
            "66 % used, full in 34 days (30 to 40)",
            "Runs",
            "never",
            "The fleet",
        )
    ]
    assert places == sorted(places)


def test_the_matrix_has_a_cell_for_each_host_and_task_and_the_worst_host_first() -> None:
    page = read(week_page(bad_week()))
    cells = [
        attributes["title"] for tag, attributes in page.tags if tag == "span" and "mark" in str(attributes.get("class"))
    ]
    assert cells == [
        "failed: too old",
        "done: 2 changes made",
        "failed: 2 changes made",
        "done",
        "done: 2 changes made",
        "nothing: 2 changes made",
    ]
    assert [row for row in ("db-1", "web-1") if row in page.text] == ["db-1", "web-1"]


def test_three_hundred_hosts_are_all_on_the_page() -> None:
    hosts = [host(f"web-{number:03}", patches=State.DONE, logs=State.NOTHING) for number in range(299)]
    page = read(week_page(week(*hosts, host("zebra", State.FAILED))))
    headers = [attributes for tag, attributes in page.tags if tag == "th" and attributes.get("scope") == "row"]
    assert len(headers) == 300
    assert page.text.index("zebra") < page.text.index("web-000")
    assert "failed 1 host" in page.text.replace("✕ ", "")


def test_hosts_with_the_same_trouble_share_a_line_that_names_them_all() -> None:
    needs = tuple(Line(f"web-{number}", "patches", State.UNKNOWN, Reason.HUNG) for number in range(3))
    page = read(week_page(week(needs_person=needs, state=State.UNKNOWN)))
    assert "web-0, web-1, web-2, patches" in page.text
    assert "Needs a person 1" in page.text


def test_what_comes_from_hosts_is_text_on_the_page() -> None:
    evil = f'{HOSTILE}"><script>alert(1)</script><!-- \x1b[31m \u202e \udcff'
    line = Line(evil, evil, State.FAILED, Reason.HUNG, evil, action=evil)
    disk = Forecast(evil, evil, 200.0)
    page = read(week_page(week(host(evil, State.FAILED), needs_person=(line,), disks=(disk,), name=evil), evil))
    assert loads_and_runs_nothing(page)
    assert clean(evil) in page.text
    run = read(
        page_of_run(report(host_of_run(evil, patches(package(evil, State.FAILED, Reason.HUNG, evil))), notes=(evil,)))
    )
    assert loads_and_runs_nothing(run)
    assert run.text.count("<script>") >= 5


def test_a_page_asks_nobody_for_anything() -> None:
    text = week_page(bad_week())
    assert "http" not in text.replace("http-equiv", "").replace('content="default', "")
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


@settings(max_examples=40, deadline=None)
@given(WEEKS, TEXTS)
def test_whatever_happened_in_a_week_its_page_is_well_formed(found, prose) -> None:
    text = week_page(found, prose)
    text.encode()
    page = read(text)
    assert loads_and_runs_nothing(page)
    assert all(clean(one.host).strip() in "".join(page.texts) for one in found.hosts)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(NAMES, STATES, TEXTS), max_size=5))
def test_whatever_a_run_did_its_page_is_well_formed(rows) -> None:
    hosts = [host_of_run(name, state=state, reason=Reason.HUNG, detail=text) for name, state, text in rows]
    text = page_of_run(report(*hosts))
    text.encode()
    assert loads_and_runs_nothing(read(text))


def test_a_run_shows_its_verdict_its_hosts_and_its_changes() -> None:
    bad = patches(package("curl=8", State.FAILED, Reason.VERSION_DIFFERS, "is 7"))
    told = read(page_of_run(report(host_of_run("web-1", bad), host_of_run("web-2", cleanup(planned("/a")))))).text
    parts = (
        "failed: 2 hosts",
        "web-1, security_patches: failed",
        "Hosts",
        "Tasks",
        "upgrade_package curl=8",
    )
    assert [told.index(part) for part in parts] == sorted(told.index(part) for part in parts)


def drifted(*lines: str) -> TaskReport:
    row = {
        "item": "motd",
        "state": "differs",
        "differs": ["mode"],
        "wanted": {"mode": "0644"},
        "found": {"mode": "0600"},
    }
    facts = {"drifted": [{**row, "explained": {}, "writers": {}, "place": "web.yaml:3", "diff": list(lines)}]}
    return TaskReport("drift", TaskType.DRIFT, State.FAILED, Reason.DRIFTED, facts=facts)


def test_a_run_shows_what_drifted_with_its_lines_and_across_the_hosts() -> None:
    hosts = [host_of_run("web-1", drifted("-hello", "+<b>evil</b>"))]
    others = [{"hosts": ["web-1"], "state": "differs", "found": {"mode": "0600"}, "as": "drifted", "explained": ""}]
    totals = {"drift": [{"item": "motd", "hosts": 2, "as_declared": 1, "others": others}]}
    page = read(page_of_run(replace(report(*hosts), totals={**report(*hosts).totals, **totals})))
    assert "mode 0644, found 0600" in page.text
    assert "-hello+<b>evil</b>" in page.text
    assert "the odd one out first motd: 1 of 2 hosts differ: web-1 (differs in mode)" in page.text


def test_changes_that_are_not_listed_are_counted() -> None:
    many = report(host_of_run("web-1", cleanup(*(planned(f"/var/log/{number}") for number in range(12)))))
    assert "… and 2 more" in page_of_run(many)
    assert "… and" not in page_of_run(many, verbose=True)


def test_every_state_has_a_mark_and_every_figure_a_place() -> None:
    assert set(MARKS) == set(State)
    assert sorted(key for keys in TOPICS.values() for key in keys) == sorted(FIGURES)
