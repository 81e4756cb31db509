"""`report RUN` in each of its forms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from maintenancebot.cli.options import Options
from maintenancebot.cli.report import report_command
from maintenancebot.model import Reason, State
from maintenancebot.report.document import report_to_json
from maintenancebot.store import Store
from tests.fakes.slack_rules import faults
from tests.unit.report.examples import host, package, patches, report
from tests.unit.store.examples import NOON, later

EVIL = "<!channel>\x1b\udcff=8"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    bad = patches(package(EVIL, State.FAILED, Reason.VERSION_DIFFERS, "is 7"))
    document = report_to_json(report(host("web-1", bad), command="run"))
    with Store.open(tmp_path / "state", create=True) as store:
        store.runs.start("r1", "run", "c" * 64, at=NOON)
        store.runs.finish("r1", State.FAILED, {}, document, at=later(seconds=75))
    return tmp_path / "state"


def shown(state: Path, *arguments: str) -> Result:
    return CliRunner().invoke(report_command, ["r1", *arguments], obj=Options(state_dir=state))


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("text", r"upgrade_package  <!channel>\x1b\xff=8"),
        ("markdown", r"upgrade\_package &lt;\!channel&gt;\\x1b\\xff=8"),
        ("html", r"upgrade_package <b>&lt;!channel&gt;\x1b\xff=8</b>"),
        ("json", r'"object": "<!channel>\u001b\udcff=8"'),
        ("slack", r"&lt;!channel&gt;\\x1b\\xff=8: is 7"),
    ],
)
def test_each_form_tells_the_run_and_ends_with_its_exit_code(state: Path, form: str, said: str) -> None:
    result = shown(state, "--format", form)
    assert said in result.output
    assert result.exit_code == 1


def test_for_slack_it_is_one_message_that_slack_takes(state: Path) -> None:
    message = json.loads(shown(state, "--format", "slack").output)
    assert set(message) == {"text", "blocks"}
    assert faults(message) == []


def test_without_a_form_it_is_text(state: Path) -> None:
    assert shown(state).output == shown(state, "--format", "text").output
