"""Every exception of ours.

    MaintenanceError
     +- UsageError             bad configuration, inventory, plan file or argument: exit code 2, nothing touched
     |   +- ConfigurationError     carries file, line, column and what to write instead
     |   +- PlanError              a plan file that is damaged, changed or stale
     +- StoreError             the state cannot be read or written: no change is made
     |   +- BusyError              other work has what is wanted: exit code 3
     |   +- FencedError            somebody took over this work: its former owner writes and changes nothing more
     +- ListenError            the daemon's address cannot be listened on now: exit code 1, so that it is tried again
     +- RemoteError            a host could not be worked with; becomes a state in the report, never ends a run

A host's failure is a value (`Reason`), so `RemoteError` carries one and is turned into it at the edge of a host's work.
"""

from __future__ import annotations

from maintenancebot.model import Reason


class MaintenanceError(Exception):
    """Base of all errors that are ours; the message says what is wrong and what to do."""


class ListenError(MaintenanceError):
    """The address that the daemon serves on cannot be had now; another process may let go of it."""


class UsageError(MaintenanceError):
    """The operator's input cannot be used; nothing was touched."""


class ConfigurationError(UsageError):
    """One or more faults in a configuration or inventory file."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__("\n".join(str(fault) for fault in faults))


class Fault:
    """One fault at one place: where it is, what is wrong, what to write instead."""

    def __init__(self, file: str, line: int, column: int, problem: str, instead: str = "") -> None:
        self.file, self.line, self.column = file, line, column
        self.problem, self.instead = problem, instead

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where}: {self.problem}" + (f"; {self.instead}" if self.instead else "")


class PlanError(UsageError):
    """A plan that is not run: damaged, edited after it was written, expired, or made for something else."""

    def __init__(self, reason: Reason, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class StoreError(MaintenanceError):
    """The state store or the audit log cannot be trusted or written."""


class BusyError(StoreError):
    """Other work holds the lease; the message says whose."""


class FencedError(StoreError):
    """The lease under which this is written is another owner's by now."""


class RemoteError(MaintenanceError):
    """A host could not be reached or worked with."""

    def __init__(self, reason: Reason, message: str = "") -> None:
        self.reason = reason
        super().__init__(message or reason.value)
