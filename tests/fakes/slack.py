"""A Slack that is only its wire: its API, incoming webhooks, response addresses, and everything bad that it does.

What it takes it keeps; what breaks one of its documented limits it refuses with its own word for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import itertools
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from maintenancebot.model import Json
from tests.fakes import slack_rules

TOKEN = "xoxb-1-fake-token-of-the-bot"
SIGNING = "0123456789abcdef-signing"
CHANNEL, CHANNEL_NAME = "C0000OPS", "#ops"
HOOK = "/services/T0000/B0000/fakehook"
HUGE = 10 * 2**20

TAKE = "take"
"""A message that is taken as it should be."""

HANG, HALF, BIG, DROP = "hang", "half", "huge", "drop"
"""Says nothing for ever; half a JSON; 10 MB; closes at once."""
KEEP_AND_DROP, KEEP_AND_HANG = "keep_and_drop", "keep_and_hang"
"""Takes the message, and closes without a word, or says nothing for ever."""


@dataclass(frozen=True)
class Posted:
    """A message that is there."""

    ts: str
    channel: str
    text: str
    blocks: Sequence[Mapping[str, Json]] = ()
    thread_ts: str = ""
    metadata: Mapping[str, Json] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """Everything that can be read in it."""
        return json.dumps([self.text, *self.blocks], ensure_ascii=False)


class Slack(ThreadingHTTPServer):
    """The server; `next` holds what it does in place of taking messages, one for each message.

    An integer is a status, a pair a status with Retry-After, a word an error of the API or one of the bad things.
    """

    daemon_threads = True
    request_queue_size = 100

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.posted: list[Posted] = []
        self.answered: list[tuple[str, Any]] = []  # what came to response addresses
        self.calls: list[str] = []
        self.next: list[int | str | tuple[int, int]] = []
        self.may_read = True
        self.at: float | None = None  # the time, where a test tells it: looks leave out what is older than asked for
        self.released = threading.Event()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    @property
    def base_url(self) -> str:
        """Of the API."""
        return f"http://127.0.0.1:{self.server_port}/api/"

    @property
    def hook(self) -> str:
        """An incoming webhook."""
        return f"http://127.0.0.1:{self.server_port}{HOOK}"

    @property
    def response_url(self) -> str:
        """Where an answer to a pressed button goes."""
        return f"http://127.0.0.1:{self.server_port}/actions/T0000/1/x"

    def keep(self, channel: str, body: Mapping[str, Json]) -> Posted:
        with self._lock:
            ts = f"{self.at or 1763000000:.0f}.{next(self._numbers):06d}"
            told = (body.get("text", ""), body.get("blocks", ()), body.get("thread_ts", ""), body.get("metadata", {}))
            self.posted.append(Posted(ts, channel, *told))
            return self.posted[-1]

    def after(self, count: int, what: int | str | tuple[int, int]) -> None:
        """Do it once, after so many messages that are taken."""
        self.next += [TAKE] * count + [what]

    def take(self) -> int | str | tuple[int, int] | None:
        with self._lock:
            return self.next.pop(0) if self.next else None


class _Handler(BaseHTTPRequestHandler):
    server: Slack
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._read()

    def do_POST(self) -> None:
        self._read()

    def _read(self) -> None:
        url = urlsplit(self.path)
        self.server.calls.append(url.path.rsplit("/", 1)[-1])
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(data) if data and "json" in self.headers.get("Content-Type", "") else {}
        asked = {key: values[0] for key, values in parse_qs(url.query or data.decode("ascii", "replace")).items()}
        if url.path.startswith("/actions/"):
            self.server.answered.append((url.path, body))
            self._say(200, "ok")
        elif url.path == HOOK:
            self._hook(body)
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._no("invalid_auth")
        elif url.path == "/api/chat.postMessage":
            self._post(body)
        elif url.path == "/api/chat.update":
            self._update(body)
        elif url.path in ("/api/conversations.history", "/api/conversations.replies"):
            self._history(asked, threads=url.path.endswith("replies"))
        else:
            self._no("unknown_method")

    def _post(self, body: Mapping[str, Json]) -> None:
        if self._misbehaves(CHANNEL, body):
            return
        if body.get("channel") not in (CHANNEL, CHANNEL_NAME):
            self._no("channel_not_found")
        elif fault := fault_of(body):
            self._no(fault)
        else:
            posted = self.server.keep(CHANNEL, body)
            self._json({"ok": True, "channel": CHANNEL, "ts": posted.ts, "message": {"text": posted.text}})

    def _update(self, body: Mapping[str, Json]) -> None:
        known = [one.ts for one in self.server.posted]
        if body.get("channel") != CHANNEL:  # a name is not enough here
            self._no("channel_not_found")
        elif body.get("ts") not in known:
            self._no("message_not_found")
        elif fault := fault_of(body):
            self._no(fault)
        else:
            at = known.index(body["ts"])
            new = {"text": body.get("text", ""), "blocks": body.get("blocks", ())}
            self.server.posted[at] = replace(self.server.posted[at], **new)
            self._json({"ok": True, "channel": CHANNEL, "ts": body["ts"], "text": body.get("text", "")})

    def _hook(self, body: Mapping[str, Json]) -> None:
        if self._misbehaves("hook", body):
            return
        if fault := fault_of(body):
            self._say(400, fault)
        else:
            self.server.keep("hook", body)
            self._say(200, "ok")

    def _history(self, asked: Mapping[str, str], *, threads: bool) -> None:
        if not self.server.may_read:
            return self._no("missing_scope")
        if asked.get("channel") != CHANNEL:
            return self._no("channel_not_found")
        thread = asked.get("ts", "")
        found = [one for one in self.server.posted if (one.thread_ts == thread or one.ts == thread) or not threads]
        rows = [one for one in reversed(found) if (threads or not one.thread_ts) and one.channel == CHANNEL]
        if self.server.at is not None:
            rows = [one for one in rows if float(one.ts) > float(asked.get("oldest", 0))]
        at, size = int(asked.get("cursor", 0)), int(asked.get("limit", 100))
        page = [{"ts": one.ts, "text": one.text, "metadata": one.metadata} for one in rows[at : at + size]]
        more = str(at + size) if at + size < len(rows) else ""
        return self._json({"ok": True, "messages": page, "response_metadata": {"next_cursor": more}})

    def _misbehaves(self, channel: str, body: Mapping[str, Json]) -> bool:
        what = self.server.take()
        if what in (None, TAKE):
            return False
        if isinstance(what, tuple):
            self._say(what[0], json.dumps({"ok": False, "error": "ratelimited"}), {"Retry-After": str(what[1])})
        elif isinstance(what, int):
            self._say(what, "something strange happened")
        elif what == HALF:
            self._say(200, '{"ok": tr')
        elif what == BIG:
            self._say(200, "x" * HUGE)
        elif what in (DROP, HANG, KEEP_AND_DROP, KEEP_AND_HANG):
            self._say_nothing(str(what), channel, body)
        else:
            self._no(what)
        return True

    def _say_nothing(self, what: str, channel: str, body: Mapping[str, Json]) -> None:
        if what in (KEEP_AND_DROP, KEEP_AND_HANG):
            self.server.keep(channel, body)
        if what in (HANG, KEEP_AND_HANG):
            self.server.released.wait(60)
        self.close_connection = True

    def _no(self, error: str) -> None:
        self._json({"ok": False, "error": error})

    def _json(self, document: Json) -> None:
        self._say(200, json.dumps(document), {"Content-Type": "application/json; charset=utf-8"})

    def _say(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        data = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": "text/plain", **(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):  # who asked may have gone
            self.wfile.write(data)


def fault_of(body: Mapping[str, Json]) -> str:
    """Slack's word for what is wrong with a message, "" if nothing is."""
    if not body.get("text") and not body.get("blocks"):
        return "no_text"
    if not body.get("blocks"):
        return "msg_too_long" if len(body["text"]) > 40_000 else ""
    return "invalid_blocks" if slack_rules.faults(body) else ""


def pressed(action: str, value: str, user: str = "U0001", name: str = "anna", *, slack: Slack) -> bytes:
    """The body of a request by which Slack says that a button was pressed."""
    payload = {
        "type": "block_actions",
        "user": {"id": user, "username": name, "name": name, "team_id": "T0000"},
        "response_url": slack.response_url,
        "container": {"type": "message", "message_ts": "1763000000.000001", "channel_id": CHANNEL},
        "actions": [{"type": "button", "action_id": action, "block_id": "b1", "value": value, "action_ts": "1.1"}],
    }
    return urlencode({"payload": json.dumps(payload)}).encode("ascii")


def signed(body: bytes, at: float, secret: str = SIGNING) -> dict[str, str]:
    """The headers of such a request."""
    stamp = str(int(at))
    digest = hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": f"v0={digest}",
    }


@contextlib.contextmanager
def serving() -> Iterator[Slack]:
    with Slack() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
