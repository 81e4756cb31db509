"""Log lines on standard error, one line each whatever a host's name or answer holds."""

from __future__ import annotations

import logging
import sys
from types import TracebackType

from maintenancebot.report.clean import clean

FORMAT = "%(levelname)s %(name)s: %(message)s"


class OneLine(logging.Formatter):
    """Makes control characters visible; only a traceback of ours has lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the name that logging calls
        """The line without its traceback."""
        return clean(super().formatMessage(record))

    def formatException(  # noqa: N802  the name that logging calls
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        """The traceback, each line cleaned."""
        return "\n".join(map(clean, super().formatException(ei).splitlines()))


def log_to_stderr(*, verbose: bool, quiet: bool) -> None:
    """Warnings go to standard error; with -v everything of ours, with -q errors only."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine(FORMAT))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    level = logging.DEBUG if verbose else logging.ERROR if quiet else logging.WARNING
    logging.getLogger("maintenancebot").setLevel(level)
    # A host's trouble is a state in the report; paramiko would print a traceback of its own besides.
    logging.getLogger("paramiko").setLevel(logging.WARNING if verbose else logging.CRITICAL + 1)
