"""The daemon's log: one JSON object a line, with its context, without secrets, and no host can forge one."""

from __future__ import annotations

import io
import json
import logging
import re
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from maintenancebot.daemon import logs
from maintenancebot.daemon.server import Server
from maintenancebot.settings import Http

SECRET = 'tok"en with\\ sp/ace'
FORGED = 'web1\x1b[2J\n{"level": "error", "event": "all servers lost"}\u202e\udcff'

Said = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    names = ("", "maintenancebot", "paramiko")
    levels = [logging.getLogger(name).level for name in names]
    handlers = root.handlers[:]
    root.handlers[:] = []  # those of the test runner are not to be closed
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    for name, level in zip(names, levels, strict=True):
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def said(stream: io.StringIO) -> Said:
    logs.configure([SECRET], stream=stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


LOG = logging.getLogger("maintenancebot.daemon.schedule")


def test_a_line_tells_time_level_sentence_token_and_ids(said: Said) -> None:
    with logs.about(run="20261121T030000Z-abc", host="web-1"):
        LOG.info("a slot begins", extra={"action": "slot_begun", "schedule": "cycle"})
    LOG.warning("nothing is about a run now")
    first, second = said()
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "info",
        "event": "a slot begins",
        "action": "slot_begun",
        "run": "20261121T030000Z-abc",
        "host": "web-1",
        "schedule": "cycle",
        "logger": "maintenancebot.daemon.schedule",
    }
    assert {"run", "host"} & set(second) == set()


def test_the_words_that_are_looked_for_come_first(said: Said, stream: io.StringIO) -> None:
    with logs.about(episode="e1", request="q1", host="h", run="r"):
        LOG.info("said", extra={"zone": "UTC", "action": "said"})
    keys = list(said()[0])
    assert keys == ["time", "level", "event", "action", "run", "host", "request", "episode", "zone", "logger"]
    assert '"action": "said"' in stream.getvalue()


def test_a_thread_started_with_the_context_has_its_ids(said: Said) -> None:
    with logs.about(episode="e-1"):
        thread = threading.Thread(target=copy_context().run, args=(LOG.info, "from a thread"))
        thread.start()
        thread.join()
    assert said()[0]["episode"] == "e-1"


def test_a_host_forges_no_line_and_no_colour(said: Said, stream: io.StringIO) -> None:
    LOG.info("a host said", extra={"host": FORGED, "more": [{"answer": FORGED}]})
    assert stream.getvalue().isascii()
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()
    (line,) = said()
    assert (line["event"], line["host"]) == ("a host said", FORGED)


def test_a_secret_is_seen_in_no_field(said: Said, stream: io.StringIO) -> None:
    class Holder:
        def __repr__(self) -> str:
            return f"Holder({SECRET})"

    try:
        raise ValueError(f"refused: {SECRET!r}, {json.dumps(SECRET)}")
    except ValueError:
        LOG.exception("the token %s was refused", SECRET, extra={"one": Holder(), SECRET: {"deep": [(SECRET,)]}})
    LOG.info("asked for https://x/?t=tok%22en%20with%5C%20sp%2Face")
    for part in ("en with", "sp/ace", "%20with"):
        assert part not in stream.getvalue()
    line, address = said()
    assert line["event"] == "the token [redacted] was refused"
    assert line["one"] == "Holder([redacted])"
    assert line["[redacted]"] == {"deep": [["[redacted]"]]}
    assert line["exception"].endswith("ValueError: refused: '[redacted]', \"[redacted]\"")
    assert address["event"] == "asked for https://x/?t=[redacted]"


def test_a_line_that_the_journal_would_cut_is_cut_by_us_and_says_so(said: Said, stream: io.StringIO) -> None:
    with logs.about(run="r-1"):
        LOG.error("too much", extra={"answer": "\x00" * 100_000})
    (line,) = said()
    assert len(stream.getvalue()) < logs.LONGEST
    assert (line["event"], line["run"], line["cut"] > 100_000) == ("too much", "r-1", True)


def test_a_value_within_itself_ends(said: Said) -> None:
    loop: list[Any] = []
    loop.append(loop)
    LOG.info("round", extra={"loop": loop})
    assert said()[0]["event"] == "round"


@pytest.mark.parametrize(
    ("options", "heard"),
    [
        ({}, ["INFO", "WARNING", "ERROR"]),
        ({"verbose": True}, ["DEBUG", "INFO", "WARNING", "ERROR"]),
        ({"quiet": True}, ["WARNING", "ERROR"]),
    ],
)
def test_v_and_q_say_how_much_is_heard(options: dict[str, bool], heard: list[str], stream: io.StringIO) -> None:
    logs.configure(stream=stream, **options)
    for level in ("DEBUG", "INFO", "WARNING", "ERROR"):
        LOG.log(logging.getLevelName(level), "said")
    logging.getLogger("uvicorn").info("not heard")
    levels = [json.loads(line)["level"].upper() for line in stream.getvalue().splitlines()]
    assert levels == heard


def test_on_a_terminal_the_line_is_text_and_still_one_line(stream: io.StringIO) -> None:
    logs.configure([SECRET], json=False, stream=stream)
    with logs.about(host=FORGED):
        LOG.warning("a host is odd", extra={"action": "odd", "said": SECRET})
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert " WARNING a host is odd action=odd host=web1\\x1b[2J\\n{" in text
    assert "said=[redacted] logger=maintenancebot.daemon.schedule" in text


def test_configured_again_it_says_everything_once(stream: io.StringIO) -> None:
    logs.configure(stream=io.StringIO())
    logs.configure(stream=stream)
    LOG.info("said")
    assert len(stream.getvalue().splitlines()) == 1


def test_every_line_of_a_request_has_its_id_in_threads_too(said: Said) -> None:
    async def here(_: Request) -> Response:
        LOG.info("asked on the loop")
        return Response()

    def in_a_thread(_: Request) -> Response:
        LOG.info("asked in a thread")
        return Response()

    server = Server(Http(port=0), [Route("/here", here), Route("/thread", in_a_thread)])
    port = server.start()
    try:
        for path in ("here", "thread"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10).close()
    finally:
        assert server.stop(10)
    first, second = (line["request"] for line in said() if line["event"].startswith("asked"))
    assert re.fullmatch("[0-9a-f]{12}", first)
    assert re.fullmatch("[0-9a-f]{12}", second)
    assert first != second
