"""Standard output: the answer of a command, as text, as a table on a terminal, or as one JSON document."""

from __future__ import annotations

import os
import sys

from maintenancebot.model import Json, Report


def write_report(report: Report, *, as_json: bool, verbose: bool) -> None:
    """Print a report: one JSON document, a table on a terminal, or plain text."""
    if as_json:
        from maintenancebot.report.document import report_to_json

        write_json(report_to_json(report))
    elif sys.stdout.isatty():
        _show(report, verbose=verbose)
    else:
        from maintenancebot.report.text import plain

        write(plain(report, verbose=verbose))


def write_json(document: Json) -> None:
    """Print one JSON document."""
    from maintenancebot.report.document import dump_json

    write(dump_json(document) + "\n")


def write_table(rows: list[tuple[str, ...]]) -> None:
    """Print rows in columns, the first one as their heading; text from hosts is made visible."""
    from maintenancebot.report.clean import clean
    from maintenancebot.report.text import aligned

    write("\n".join(aligned([tuple(map(clean, row)) for row in rows])) + "\n")


def write(text: str) -> None:
    """Print text; a reader that went away (`| head`) is no error, and the exit code stays the command's."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _close_quietly()


def _show(report: Report, *, verbose: bool) -> None:
    from maintenancebot.cli.terminal import console
    from maintenancebot.report.text import show

    try:
        show(report, console(sys.stdout), verbose=verbose)
        sys.stdout.flush()
    except BrokenPipeError:
        _close_quietly()


def _close_quietly() -> None:
    # The interpreter flushes standard output once more at its end, and would complain then.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
