"""The program that makes a snapshot before an upgrade: only root's own, and nothing happens without its success."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.helper.host import tools
from maintenancebot.helper.packages import snapshot_hook
from maintenancebot.helper.packages.transactions import Refused


class Quiet:
    def alive(self, doing: str) -> None:
        """Nobody listens."""


def refusal(path: str) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        snapshot_hook.make({"snapshot_hook": path}, "run-1", Quiet())
    return caught.value.state, caught.value.reason


def test_a_program_of_the_system_may_be_run() -> None:
    assert snapshot_hook.objection(os.path.realpath("/bin/true")) == ""


def test_no_hook_is_no_obstacle() -> None:
    snapshot_hook.make({"snapshot_hook": ""}, "run-1", Quiet())


@pytest.mark.parametrize("path", ["/no/such/program", "/etc/passwd", "/etc"])
def test_what_is_no_program_is_refused(path: str) -> None:
    assert refusal(path) == ("skipped", "lacks")


def test_a_program_in_a_folder_that_others_may_write_is_refused(tmp_path: Path) -> None:
    program = tmp_path / "snapshot"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    tmp_path.chmod(0o777)
    assert "can be changed by others" in snapshot_hook.objection(str(program))


def test_a_link_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "snapshot"
    link.symlink_to("/bin/true")
    assert "is no program" in snapshot_hook.objection(str(link))


def test_a_name_that_is_no_text_is_refused_in_words() -> None:
    assert "No such file" in snapshot_hook.objection("/no/such\udcff")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (tools.Answer(1, b"", b"volume group is full\n", False, False), "tool_failed"),
        (tools.Answer(None, b"", b"", True, False), "timeout"),
    ],
)
def test_without_success_there_is_no_upgrade(answer: Any, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_hook.tools, "run", lambda *_args, **_more: answer)
    assert refusal(os.path.realpath("/bin/true")) == ("failed", reason)
