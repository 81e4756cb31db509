"""How an error is told: one clear message with its causes, the exit code, the traceback only with -v."""

from __future__ import annotations

import sys
import traceback

from maintenancebot.errors import BusyError, MaintenanceError, UsageError
from maintenancebot.model import GUARD_REASONS
from maintenancebot.report.clean import clean
from maintenancebot.report.exit_code import FAILED, REFUSED, USAGE


def tell(error: Exception, *, verbose: bool) -> int:
    """Print the error on standard error and return the exit code it ends with."""
    if verbose:
        sys.stderr.write(_clean_lines("".join(traceback.format_exception(error))) + "\n")
    sys.stderr.write(message(error) + "\n")
    return exit_code_of(error)


def message(error: Exception) -> str:
    """The error and the chain of its causes for people, host text made visible."""
    if isinstance(error, MaintenanceError):
        head, hint = f"maintenancebot: {error}", ""
    else:
        head = f"maintenancebot: internal error: {_described(error)}"
        hint = "\nThis is a fault of maintenancebot; run the command again with -v and report what it prints."
    causes = (f"\n  because: {_described(cause)}" for cause in _causes(error))
    return _clean_lines("".join([head, *causes])) + hint


def exit_code_of(error: Exception) -> int:
    """2 for what the operator can correct in the input, 3 for a guard's no, else 1."""
    if isinstance(error, UsageError):
        return USAGE
    if isinstance(error, BusyError):
        return REFUSED
    return REFUSED if getattr(error, "reason", None) in GUARD_REASONS else FAILED


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    current = error.__cause__
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__
    return found


def _described(error: BaseException) -> str:
    if isinstance(error, MaintenanceError | OSError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _clean_lines(text: str) -> str:
    return "\n".join(clean(line) for line in text.splitlines())
