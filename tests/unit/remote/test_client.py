"""The helper's client against real processes that misbehave in every way a host can."""

from __future__ import annotations

import os
import shlex
import signal
import time
from collections.abc import Mapping
from typing import Any

import pytest

from maintenancebot.errors import RemoteError
from maintenancebot.model import Host, Reason
from maintenancebot.remote import bundle
from maintenancebot.remote.client import HelperCall, Limits, diagnose
from maintenancebot.remote.local import LocalExecution, LocalSession

PROBE = {"mode": "probe", "now": 0, "lock": "none", "lock_wait": 0, "machine_id": "", "tasks": []}
LIMITS = Limits(idle=2, deadline=10)


class Shell(LocalSession):
    """A host whose login runs the given shell text; HELPER in it stands for the helper's command line."""

    def __init__(self, text: str) -> None:
        super().__init__(Host("box", "local", connection="local"), 5)
        self._text = text.replace("HELPER", bundle.COMMAND)

    def start_helper(self) -> LocalExecution:
        return LocalExecution(["/bin/sh", "-c", self._text], 5)


def call(text: str, request: Mapping[str, Any] = PROBE, limits: Limits = LIMITS) -> list[tuple[str, dict[str, Any]]]:
    return list(HelperCall(Shell(text), request, limits).frames())


def failure(text: str, request: Mapping[str, Any] = PROBE, limits: Limits = LIMITS) -> RemoteError:
    with pytest.raises(RemoteError) as caught:
        call(text, request, limits)
    return caught.value


def test_a_login_that_prints_noise_and_likely_looking_frames_changes_nothing() -> None:
    noise = 'printf \'{"state": "ok"}\\n\\n%%MB1 %s 0 end 12 00000000\\n{"frames":0}\\n\' deadbeef; echo oops >&2; '
    kinds = [kind for kind, _ in call(noise + "exec HELPER")]
    assert kinds == ["facts"]


def test_a_host_that_hangs_after_login_is_hung_within_the_idle_limit() -> None:
    started = time.monotonic()
    error = failure("exec sleep 30", limits=Limits(idle=1, deadline=20))
    assert error.reason is Reason.HUNG
    assert time.monotonic() - started < 8


def test_a_host_that_floods_is_garbled() -> None:
    assert failure("exec yes").reason is Reason.GARBLED


def test_a_full_standard_error_does_not_stop_the_answer() -> None:
    assert [kind for kind, _ in call("yes flood | head -c 4000000 >&2; exec HELPER")] == ["facts"]


def test_a_helper_killed_in_the_middle_is_a_lost_link() -> None:
    started = HelperCall(Shell("exec HELPER"), {**PROBE, "mode": "apply", "steps": STEPS}, LIMITS)
    with pytest.raises(RemoteError) as caught:
        for kind, _ in started.frames():
            if kind == "step":
                assert started._execution is not None
                os.kill(started._execution._process.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    assert caught.value.reason is Reason.LINK_LOST


STEPS = [{"id": "s1", "task": "t", "op": "no.such.operation", "changes": [{"id": "c1"}], "args": {}}]


def test_an_operation_that_is_not_in_the_table_is_not_run() -> None:
    helper = HelperCall(Shell("exec HELPER"), {**PROBE, "mode": "apply", "steps": STEPS}, LIMITS)
    outcomes = []
    for kind, payload in helper.frames():
        if kind == "step":
            helper.answer("go", {"step": "s1"})
        if kind == "outcome":
            outcomes += payload["outcomes"]
    assert [(outcome["state"], outcome["reason"]) for outcome in outcomes] == [("unknown", "helper_error")]


def test_a_halted_step_has_no_outcome() -> None:
    helper = HelperCall(Shell("exec HELPER"), {**PROBE, "mode": "apply", "steps": STEPS}, LIMITS)
    kinds = []
    for kind, _ in helper.frames():
        kinds.append(kind)
        if kind == "step":
            helper.answer("halt", {"step": "s1", "reason": "stopped"})
    assert kinds == ["facts", "step"]


def test_another_machine_is_refused_before_anything_is_done() -> None:
    error = failure("exec HELPER", {**PROBE, "mode": "apply", "steps": STEPS, "machine_id": "0" * 32})
    assert error.reason is Reason.MACHINE_CHANGED


HIDE_JSON = """import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name == "json":
            raise ImportError(name)
sys.meta_path.insert(0, Hide())
"""


def test_a_python_without_json_says_what_it_lacks() -> None:
    *python, program = shlex.split(bundle.COMMAND)
    error = failure("exec " + shlex.join([*python, HIDE_JSON + program]))
    assert error.reason is Reason.UNSUPPORTED
    assert str(error).startswith("lacks json")


@pytest.mark.parametrize(
    ("status", "words", "reason"),
    [
        (1, "sudo: a password is required", Reason.BECOME_PASSWORD),
        (1, "sudo: sorry, you must have a tty to run sudo", Reason.BECOME_TTY),
        (1, "web is not in the sudoers file.", Reason.BECOME_REFUSED),
        (1, "Sorry, user web is not allowed to execute '/usr/bin/python3' as root", Reason.BECOME_REFUSED),
        (127, "/usr/bin/env: '/usr/bin/sudo': No such file or directory", Reason.BECOME_MISSING),
        (127, "bash: line 1: /usr/bin/python3: No such file or directory", Reason.UNSUPPORTED),
        (1, "This account is currently not available.", Reason.LOGIN_REFUSED),
        (None, "", Reason.LINK_LOST),
        (0, "", Reason.UNSUPPORTED),
    ],
)
def test_silence_is_told_apart_by_its_cause(status: int | None, words: str, reason: Reason) -> None:
    assert diagnose(status, words).reason is reason
