"""`cleanup explain`: a table of rules per pattern, one sentence at the end, and an exit code about the answer."""

import json
import os
from typing import Any

import pytest
from click.testing import CliRunner, Result

from maintenancebot import app
from maintenancebot.catalog import Explanation
from maintenancebot.cli.cleanup import cleanup_group
from maintenancebot.cli.options import Options
from maintenancebot.engine.explain import ExplainResult
from maintenancebot.model import Reason, State
from maintenancebot.probes.explain import Rule

PATH = "/srv/log/a\x1b.log"
YOUNG = Explanation(
    *("logs", "/srv/log/*.log", False, "", "too_young"),
    rules=(
        Rule("kind", True, "", "a regular file"),
        Rule("age", False, "too_young", "modified 1.0 days ago"),
        Rule("use", None, "use_unknown", "on a file system that other machines may use"),
        Rule("attributes", None, "", "not reached"),
    ),
)
OTHER = Explanation(
    "more", "/srv/other/*", False, "", "no_match", (Rule("pattern", False, "no_match", "/srv/other/*"),)
)
GOES = Explanation("logs", "/srv/log/*", True, "compress_file", "", (Rule("kind", True, "", "a regular file"),))


@pytest.fixture
def explain(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command over a given answer of the host."""

    def run(*patterns: Explanation, state: State = State.DONE, reason: Reason = Reason.NONE, more: Any = ()) -> Result:
        result = ExplainResult("web1", PATH, state, reason, "", patterns)
        monkeypatch.setattr(app, "explain", lambda options, host, path, progress: result)
        words = ["explain", "web1", PATH, *more]
        return CliRunner().invoke(cleanup_group, words, obj=Options(quiet=True), standalone_mode=False)

    return run


def test_what_was_asked_is_told_and_why_it_stays(explain: Any) -> None:
    result = explain(OTHER, YOUNG)
    assert result.stdout == (
        "more, /srv/other/*\n"
        "  RULE     PASSES  REASON    WHAT\n"
        "  pattern  no      no_match  /srv/other/*\n"
        "\n"
        "logs, /srv/log/*.log\n"
        "  RULE  PASSES       REASON       WHAT\n"
        "  kind  yes          -            a regular file\n"
        "  age   no           too_young    modified 1.0 days ago\n"
        "  use   cannot tell  use_unknown  on a file system that other machines may use\n"
        "\n"
        "/srv/log/a\\x1b.log on web1 stays: too young.\n"
    )
    assert result.return_value == 0


@pytest.mark.parametrize(
    ("patterns", "said"),
    [
        ((YOUNG, GOES), "would be compressed, by /srv/log/* of logs."),
        ((OTHER,), "stays: no cleanup pattern of this host is about it."),
        ((), "stays: no cleanup pattern of this host is about it."),
    ],
)
def test_the_sentence_says_the_verdict(explain: Any, patterns: Any, said: str) -> None:
    assert explain(*patterns).stdout.splitlines()[-1] == f"/srv/log/a\\x1b.log on web1 {said}"


def test_a_host_that_cannot_be_asked_is_code_1(explain: Any) -> None:
    result = explain(state=State.UNKNOWN, reason=Reason.UNREACHABLE)
    assert "on web1: unknown: " in result.stdout
    assert result.return_value == 1


def test_json_is_one_document(explain: Any) -> None:
    document = json.loads(explain(YOUNG, GOES, more=["--json"]).stdout)
    assert (document["command"], document["path"]) == ("cleanup explain", PATH)
    assert document["verdict"] == {
        "goes": True,
        "action": "compress_file",
        "task": "logs",
        "pattern": "/srv/log/*",
        "reason": "",
    }
    assert document["patterns"][0]["rules"][3] == {
        "rule": "attributes",
        "passes": None,
        "reason": "",
        "detail": "not reached",
    }


def test_bytes_that_are_not_utf_8_reach_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(options: Options, host: str, path: str, progress: object) -> ExplainResult:
        asked.append(path)
        return ExplainResult(host, path, State.DONE)

    monkeypatch.setattr(app, "explain", answer)
    words = ["explain", "web1", os.fsdecode(b"/srv/\xff.log")]
    CliRunner().invoke(cleanup_group, words, obj=Options(quiet=True), standalone_mode=False)
    assert asked == ["/srv/\udcff.log"]
