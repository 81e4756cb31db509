"""The daemon's log on standard error: a JSON object a line, with the ids of what it is about and no secret.

A line is a constant sentence, and what differs stands beside it: `log.info("a slot begins", extra={"action":
"slot_begun", "schedule": name})`. Each change of a state has its own word under `action`, to look for.
"""

from __future__ import annotations

import json as json_
import logging
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, TextIO

import structlog

from maintenancebot.redaction import redacted
from maintenancebot.report.clean import clean

DEEPEST = 6
"""Levels of values within values that are shown."""
LONGEST = 40_000
"""Characters of a line: journald would cut a longer one in two, and neither half is JSON."""
MOST_TEXT = 2_000
"""Characters of one value in a line that would be too long."""
FIRST = ("time", "level", "event", "action", "run", "host", "request", "episode")
"""The order in which a line tells; the rest follows."""

Line = MutableMapping[str, Any]


def configure(
    secrets: Iterable[str] = (),
    *,
    json: bool = True,
    verbose: bool = False,
    quiet: bool = False,
    stream: TextIO | None = None,
) -> None:
    """Send every log line of this process to standard error, as JSON or, for a person at a terminal, as text.

    -v lets through all that we say, -q only warnings; called again, it replaces what was configured before.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_formatter(_Hider(secrets), json=json))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
    logging.getLogger("maintenancebot").setLevel(level)
    # A host's trouble is a state in the report; paramiko would print a traceback of its own besides.
    logging.getLogger("paramiko").setLevel(logging.WARNING if verbose else logging.CRITICAL + 1)
    logging.captureWarnings(True)


def about(**ids: str) -> AbstractContextManager[None]:
    """While it lasts, each line of this thread, and of threads started with its context, has these ids."""
    return structlog.contextvars.bound_contextvars(**ids)


def _formatter(hider: _Hider, *, json: bool) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.ExtraAdder(),
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            hider,
            _ordered,
            _json if json else _text,
        ],
    )


class _Hider:
    """Makes every value plain, and replaces what must be seen nowhere."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(secrets)

    def __call__(self, _: object, __: str, line: Line) -> Line:
        return self._mapping(line, 0)

    def _mapping(self, values: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        return {self._text(str(key)): self._plain(value, depth) for key, value in values.items()}

    def _plain(self, value: object, depth: int) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping) and depth < DEEPEST:
            return self._mapping(value, depth + 1)
        if isinstance(value, list | tuple | set | frozenset) and depth < DEEPEST:
            return [self._plain(one, depth + 1) for one in value]
        return self._text(value if isinstance(value, str) else str(value))

    def _text(self, text: str) -> str:
        return redacted(text, self._secrets)


def _ordered(_: object, __: str, line: Line) -> Line:
    return {**{key: line[key] for key in FIRST if key in line}, **line}


def _json(_: object, __: str, line: Line) -> str:
    """One line of ASCII: what is not visible stands as its escape."""
    told = json_.dumps(line)
    if len(told) <= LONGEST:
        return told
    short = {key: line[key] for key in (*FIRST, "exception") if key in line}
    short = {key: value[-MOST_TEXT:] if isinstance(value, str) else "" for key, value in short.items()}
    return json_.dumps({**short, "cut": len(told)})


def _text(_: object, __: str, line: Line) -> str:
    """The line for a person: each value on the one line, a traceback below it."""
    traceback = line.pop("exception", "")
    shown = f"{line.pop('time')} {str(line.pop('level')).upper()} {line.pop('event')}"
    words = [clean(shown), *(clean(f"{key}={value}") for key, value in line.items())]
    return "\n".join([" ".join(words), *map(clean, traceback.splitlines())])
