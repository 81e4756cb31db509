"""`hosts` tells where each host comes from and how it was last; `hosts accept` believes a source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.cli.main import run

INVENTORY = """\
hosts: {{here: {{connection: local, cloud: home}}}}
sources: [{{type: command, name: ours, argv: [{program}], groups: [listed]}}]
"""


class Place:
    """An inventory with a source of our own making, and a state."""

    def __init__(self, folder: Path) -> None:
        self.program, self.inventory, self.state = folder / "list", folder / "hosts.yaml", folder / "state"
        self.inventory.write_text(INVENTORY.format(program=self.program))

    def says(self, *names: str, code: int = 0) -> None:
        answer = json.dumps({"g": {"hosts": list(names)}})
        self.program.write_text(f"#!/bin/sh\necho '{answer}'\nexit {code}\n")
        self.program.chmod(0o755)

    def __call__(self, *words: str) -> int:
        return run(["-q", "--inventory", str(self.inventory), "--state-dir", str(self.state), *words])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def listed(place: Place, capsys: Any) -> tuple[list[str], list[str]]:
    capsys.readouterr()
    assert place("hosts", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    return [row["host"] for row in document["hosts"]], document["notes"]


def test_hosts_tell_their_list_and_their_last_result(place: Place, capsys: Any) -> None:
    place.says("web-1")
    place("run", "--host", "here", "--task", "certificate_check")
    capsys.readouterr()
    assert place("hosts", "--json") == 0
    here, web = json.loads(capsys.readouterr().out)["hosts"]
    assert (here["source"], here["cloud"], here["groups"]) == (str(place.inventory), "home", [])
    assert here["last_seen"] is not None
    assert here["last_result"] in ("nothing", "done", "skipped")
    assert (web["source"], web["groups"], web["last_seen"], web["last_result"]) == ("ours", ["g", "listed"], None, None)


def test_a_list_that_shrinks_is_believed_only_after_a_person_said_so(place: Place, capsys: Any) -> None:
    place.says("a", "b", "c", "d", "e")
    place("run", "--host", "here", "--task", "certificate_check")
    place.says("a")
    hosts, notes = listed(place, capsys)
    assert hosts == ["here", "a", "b", "c", "d", "e"]
    assert "1 hosts instead of 5; if that is right: maintenancebot hosts accept ours" in notes[0]
    assert place("hosts", "accept", "ours") == 0
    assert capsys.readouterr().out == "ours lists 1 host; that is its answer now.\n"
    assert listed(place, capsys) == (["here", "a"], [])


def test_a_source_that_fails_is_not_accepted(place: Place, capsys: Any) -> None:
    place.says("a", code=3)
    assert place("hosts", "accept", "ours") == 2
    assert "source ours gives no answer to accept: list ended with 3" in capsys.readouterr().err
    assert place("hosts", "accept", "theirs") == 2
    assert "the inventory has no source 'theirs'; there are: ours" in capsys.readouterr().err


def test_a_run_without_an_answer_of_a_source_is_unknown(place: Place, capsys: Any) -> None:
    place.says("a", code=3)
    assert place("dry-run", "--host", "here", "--task", "certificate_check", "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["state"] == "unknown"
    assert document["notes"] == ["source ours: list ended with 3; there is no earlier answer"]


def test_what_a_source_cannot_tell_stands_on_standard_error(place: Place, capsys: Any) -> None:
    place.says("-oProxyCommand=x")
    assert place("hosts") == 0
    told = capsys.readouterr()
    assert "ProxyCommand" not in told.out
    assert "source ours: '-oProxyCommand=x' is left out" in told.err


def test_check_asks_the_sources_too(place: Place, capsys: Any) -> None:
    place.says("a", "b")
    assert place("check") == 0
    assert "Inventory: 3 hosts" in capsys.readouterr().out
    place.says(code=1)
    assert place("check") == 0
    assert "there is no earlier answer" in capsys.readouterr().err
