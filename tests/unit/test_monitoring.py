"""The alert rules and the dashboard ask for metrics and labels that exist, and each rule is tried."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from maintenancebot.daemon import metrics

ROOT = Path(__file__).parents[2]
RULES: dict[str, Any] = yaml.safe_load((ROOT / "monitoring" / "maintenancebot.rules.yml").read_text("utf-8"))
DASHBOARD: dict[str, Any] = json.loads((ROOT / "monitoring" / "grafana-dashboard.json").read_text("utf-8"))
TRIED = (ROOT / "tests" / "monitoring" / "rules_test.yml").read_text("utf-8")

ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"]}
NAME = re.compile(r"\bmaintenancebot_[a-z_]+")
SELECTOR = re.compile(r"(maintenancebot_[a-z_]+)\{([^}]*)\}")


def made() -> dict[str, set[str]]:
    """The metrics of the code, each with its labels, as its source says them."""
    source = Path(metrics.__file__).read_text("utf-8")
    found = {}
    for call in re.split(r"yield (?:_gauge|_counter)\(", source)[1:]:
        words = re.findall(r'"([a-z_]+)"', call.split("\n    yield")[0].split("\n\n\n")[0])
        found[words[0]] = set(words[1:])
    return found


MADE = made()


def expressions() -> Iterator[tuple[str, str]]:
    for name, rule in ALERTS.items():
        yield f"alert {name}", rule["expr"]
    for title, panel in PANELS.items():
        for target in panel["targets"]:
            yield f"panel {title}", target["expr"]


def test_the_code_has_metrics() -> None:
    assert {"maintenancebot_ready", "maintenancebot_slots_total", "maintenancebot_build_info"} <= set(MADE)


@pytest.mark.parametrize(("place", "expression"), list(expressions()))
def test_every_metric_that_is_asked_for_exists_with_the_labels_that_are_asked_for(place: str, expression: str) -> None:
    assert set(NAME.findall(expression)) <= set(MADE), place
    for name, matchers in SELECTOR.findall(expression):
        labels = set(re.findall(r"([a-z_]+)\s*(?:=|!)", matchers))
        assert labels <= MADE[name], place


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_has_a_severity_a_summary_and_a_trial(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert set(rule["annotations"]) == {"summary", "description"}
    assert name in TRIED


def test_the_labels_that_annotations_name_are_there() -> None:
    for name, rule in ALERTS.items():
        metrics_of_rule = NAME.findall(rule["expr"])
        for label in re.findall(r"\$labels\.([a-z_]+)", json.dumps(rule["annotations"])):
            assert any(label in MADE[metric] for metric in metrics_of_rule), (name, label)


def test_every_metric_is_shown_or_watched() -> None:
    asked = {name for _, expression in expressions() for name in NAME.findall(expression)}
    aside = {
        "maintenancebot_build_info",
        "maintenancebot_runs_total",
        "maintenancebot_run_seconds_total",
        "maintenancebot_hosts_left_out",
        "maintenancebot_work_pieces",
    }
    assert set(MADE) - asked == aside


def test_panels_have_their_own_ids_and_do_not_overlap() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_the_metrics_page_names_every_metric() -> None:
    page = (ROOT / "docs" / "daemon.md").read_text("utf-8")
    assert [name for name in MADE if f"`{name}`" not in page] == []
    assert [name for name in set(NAME.findall(page)) if name not in MADE] == []
