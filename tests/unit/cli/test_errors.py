"""One clear message per error, the exit code that fits, and host text that cannot forge a line."""

import pytest

from maintenancebot.cli.errors import exit_code_of, message, tell
from maintenancebot.errors import (
    ConfigurationError,
    Fault,
    MaintenanceError,
    PlanError,
    RemoteError,
    StoreError,
    UsageError,
)
from maintenancebot.model import Reason


def caused(error: Exception, *causes: Exception) -> Exception:
    """The error as it arrives: raised from its causes."""
    current = error
    for cause in causes:
        current.__cause__ = cause
        current = cause
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (ConfigurationError([Fault("f", 1, 1, "p")]), 2),
        (PlanError(Reason.PLAN_EXPIRED, "x"), 2),
        (StoreError("x"), 1),
        (RemoteError(Reason.UNREACHABLE), 1),
        (RemoteError(Reason.MACHINE_CHANGED), 3),
        (MaintenanceError("x"), 1),
        (ValueError("x"), 1),
    ],
)
def test_input_that_can_be_corrected_is_2_a_guard_is_3_all_else_is_1(error: Exception, code: int) -> None:
    assert exit_code_of(error) == code


def test_the_message_names_every_cause() -> None:
    disk = OSError(28, "No space left on device", "/var/lib/maintenancebot/state.db")
    error = caused(StoreError("the audit log cannot be written; make space"), RuntimeError("commit"), disk)
    assert message(error) == (
        "maintenancebot: the audit log cannot be written; make space\n"
        "  because: RuntimeError: commit\n"
        "  because: [Errno 28] No space left on device: '/var/lib/maintenancebot/state.db'"
    )


def test_a_cause_that_only_repeats_what_was_said_is_left_out() -> None:
    error = caused(RemoteError(Reason.UNREACHABLE, "bastion gate: no route"), RuntimeError("no route"))
    assert message(error) == "maintenancebot: bastion gate: no route"


def test_of_a_cause_only_the_first_line_is_told() -> None:
    database = RuntimeError("read-only database\n[SQL: DELETE FROM guard]\n(Background on this error at: https://x)")
    assert message(caused(StoreError("cannot be written"), database)) == (
        "maintenancebot: cannot be written\n  because: RuntimeError: read-only database"
    )


def test_a_full_or_read_only_disk_is_no_fault_of_ours() -> None:
    assert message(OSError(30, "Read-only file system", "/var/lib/maintenancebot/.known_hosts.x")) == (
        "maintenancebot: /var/lib/maintenancebot/.known_hosts.x: Read-only file system; "
        "make room, or make it writable for this user"
    )
    assert message(OSError(28, "No space left on device")) == (
        "maintenancebot: the output: No space left on device; make room, or make it writable for this user"
    )


def test_each_fault_of_a_configuration_has_its_line() -> None:
    faults = [Fault("a.yaml", 3, 5, "unknown key 'taks'", "write 'tasks'"), Fault("a.yaml", 9, 1, "no tasks")]
    assert message(ConfigurationError(faults)) == (
        "maintenancebot: a.yaml:3:5: unknown key 'taks'; write 'tasks'\na.yaml:9:1: no tasks"
    )


def test_a_fault_of_ours_is_called_so() -> None:
    assert message(KeyError("host")) == (
        "maintenancebot: internal error: KeyError: 'host'\n"
        "This is a fault of maintenancebot; run the command again with -v and report what it prints."
    )


def test_text_from_a_host_in_an_error_is_made_visible() -> None:
    assert message(RemoteError(Reason.TOOL_FAILED, "sudo said \x1b[2J\u202e")) == (
        "maintenancebot: sudo said \\x1b[2J\\u202e"
    )


def test_causes_that_go_round_end() -> None:
    first, second = StoreError("a"), StoreError("b")
    first.__cause__, second.__cause__ = second, first
    assert message(first) == "maintenancebot: a\n  because: b"


def test_the_traceback_is_for_v_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell(StoreError("broken"), verbose=False) == 1
    assert capsys.readouterr().err == "maintenancebot: broken\n"
    assert tell(StoreError("broken"), verbose=True) == 1
    assert capsys.readouterr().err == "maintenancebot.errors.StoreError: broken\nmaintenancebot: broken\n"
