"""A host cannot forge a log line."""

import io
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from maintenancebot.cli.logs import FORMAT, OneLine

FORGED = "web1\x1b[2J\nERROR maintenancebot: all servers lost"
MADE_VISIBLE = "web1\\x1b[2J\\nERROR maintenancebot: all servers lost"


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(OneLine(FORMAT))
    logger = logging.getLogger("test_logs")
    logger.propagate = False
    logger.addHandler(handler)
    yield logger, stream
    logger.removeHandler(handler)


def test_text_from_a_host_stays_in_its_line(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    logger.error("host %s is odd", FORGED)
    assert stream.getvalue() == f"ERROR test_logs: host {MADE_VISIBLE} is odd\n"


def test_a_traceback_keeps_its_lines_and_shows_host_text(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    try:
        raise ValueError("said \x1b[2J")
    except ValueError:
        logger.exception("a host was odd")
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["ERROR test_logs: a host was odd", "Traceback (most recent call last):"]
    assert lines[-1] == "ValueError: said \\x1b[2J"


PROGRAM = """
import logging, sys
from maintenancebot.cli.logs import log_to_stderr
log_to_stderr(verbose="v" in sys.argv, quiet="q" in sys.argv)
for name in ("maintenancebot.engine", "paramiko.transport", "urllib3"):
    for level in (logging.DEBUG, logging.WARNING, logging.ERROR):
        logging.getLogger(name).log(level, "said")
"""


@pytest.mark.parametrize(
    ("option", "lines"),
    [
        ("", ["WARNING maintenancebot.engine", "ERROR maintenancebot.engine", "WARNING urllib3", "ERROR urllib3"]),
        ("q", ["ERROR maintenancebot.engine", "WARNING urllib3", "ERROR urllib3"]),
        (
            "v",
            [
                *(f"{level} maintenancebot.engine" for level in ("DEBUG", "WARNING", "ERROR")),
                *(f"{level} {name}" for name in ("paramiko.transport", "urllib3") for level in ("WARNING", "ERROR")),
            ],
        ),
    ],
)
def test_what_is_logged_depends_on_v_and_q_and_paramiko_is_silent_without_v(option: str, lines: list[str]) -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM, option], capture_output=True, text=True, check=True)
    assert ended.stdout == ""
    assert ended.stderr.splitlines() == [f"{line}: said" for line in lines]
