"""The installed daemon, started, killed and started again as systemd would, with its webhook."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from tests.acceptance.command import Bot
from tests.lab.alerting import HOST, free_port
from tests.lab.tools import wait_until

TOKEN = "the-token-of-this-test"


class Daemon:
    """One daemon at a time on one configuration and state; `http.port` of its configuration is set by the maker."""

    def __init__(self, bot: Bot, port: int) -> None:
        self.bot, self.port = bot, port
        self.log = bot.config.with_name("daemon.log")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def webhook(self) -> str:
        """Where Alertmanager sends to."""
        return f"http://{HOST}:{self.port}/webhooks/alertmanager"

    def start(self) -> Daemon:
        """Start it and wait until alerts are taken in."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("MAINTENANCEBOT_")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.bot.argv("daemon"),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**env, "MAINTENANCEBOT_WEBHOOK_TOKEN": TOKEN},
            )
        wait_until(self._takes_alerts, f"alerts are taken in, see {self.log}", 60)
        return self

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """End it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()

    def _takes_alerts(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()[-3000:]
        with contextlib.suppress(OSError, HTTPException), self.sender() as sender:
            return sender.post({"alerts": []}) == 200
        return False

    @contextlib.contextmanager
    def sender(self) -> Iterator[Sender]:
        """A connection for alerts."""
        sender = Sender(self.port)
        try:
            yield sender
        finally:
            sender.close()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the state holds; the process may be at work on it."""
        with contextlib.closing(sqlite3.connect(f"file:{self.bot.state / 'state.db'}?mode=ro", uri=True)) as store:
            return store.execute(query).fetchall()

    def episodes(self) -> list[dict[str, Any]]:
        """All episodes, oldest first."""
        rows = self.rows("SELECT state, reason, subject, body, opened_at, closed_at FROM episodes ORDER BY opened_at")
        names = ("state", "reason", "subject", "body", "opened_at", "closed_at")
        found = [dict(zip(names, row, strict=True)) for row in rows]
        return [{**one, "body": json.loads(one["body"]), "subject": json.loads(one["subject"])} for one in found]

    def wait_for_end(self, count: int = 1, seconds: float = 60) -> list[dict[str, Any]]:
        """Wait until so many episodes are over."""

        def over() -> bool:
            found = self.episodes()
            return len(found) >= count and all(one["closed_at"] for one in found)

        wait_until(over, f"{count} episodes are over, see {self.log}", seconds)
        return self.episodes()

    def told(self, action: str) -> list[dict[str, Any]]:
        """The lines of the log with this token."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in map(json.loads, lines) if line.get("action") == action]


class Sender:
    """A connection that is kept open."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection(HOST, port, timeout=20)

    def post(self, document: Any, form: str = "generic") -> int:
        """Send a message; its status."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
        self._connection.request("POST", f"/webhooks/{form}", json.dumps(document), headers)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def close(self) -> None:
        """Close it."""
        self._connection.close()


def daemon_for(bot_directory: Path, fleet: Any, **settings: Any) -> Daemon:
    """A daemon with its webhook on a free port."""
    port = free_port()
    return Daemon(Bot(bot_directory, fleet, http={"port": port}, **settings), port)
