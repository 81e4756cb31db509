"""How an error is told: one clear message with its causes, the exit code, the traceback only with -v."""

from __future__ import annotations

import errno
import sys
import traceback

from maintenancebot.errors import BusyError, MaintenanceError, UsageError
from maintenancebot.model import GUARD_REASONS
from maintenancebot.report.clean import clean
from maintenancebot.report.exit_code import FAILED, REFUSED, USAGE

NOT_OURS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO})
"""Errors of this machine's disks and permissions; they are no fault of maintenancebot."""


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
    elif isinstance(error, OSError) and error.errno in NOT_OURS:
        place = error.filename or "the output"
        head, hint = f"maintenancebot: {place}: {error.strerror}; make room, or make it writable for this user", ""
    else:
        head = f"maintenancebot: internal error: {_described(error)}"
        hint = "\nThis is a fault of maintenancebot; run the command again with -v and report what it prints."
    causes = (f"\n  because: {cause}" for cause in _told_causes(error))
    return _clean_lines("".join([head, *causes])) + hint


def exit_code_of(error: Exception) -> int:
    """2 for what the operator can correct in the input, 3 for a guard's no, else 1."""
    if isinstance(error, UsageError):
        return USAGE
    if isinstance(error, BusyError):
        return REFUSED
    return REFUSED if getattr(error, "reason", None) in GUARD_REASONS else FAILED


def _told_causes(error: Exception) -> list[str]:
    """The causes in words, without those that only say again what stands before them."""
    said = [str(error)]
    for cause in _causes(error):
        own = _first_line(str(cause))
        if own and not any(own in one for one in said):
            said.append(_first_line(_described(cause)))
    return said[1:]


def _first_line(text: str) -> str:
    """What went wrong; SQLAlchemy puts the statement and a link below it."""
    return text.splitlines()[0] if text else ""


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
