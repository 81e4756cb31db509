"""The installed daemon as a process: its log, its signals, what it serves."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.lab.tools import wait_until

COMMAND = Path(sys.executable).parent / "maintenancebot"
SECONDS = 30


class Daemon:
    """One process of `maintenancebot daemon`."""

    def __init__(self, argv: Sequence[str], **environ: str) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("MAINTENANCEBOT_")}
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            argv, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env={**clean, **environ}
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def told(self, action: str, **facts: object) -> list[dict[str, Any]]:
        """The log's lines with this token, and with these facts."""
        found = []
        for line in list(self.lines):
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if entry.get("action") == action and all(entry.get(key) == value for key, value in facts.items()):
                    found.append(entry)
        return found

    def wait_for(self, action: str, number: int = 1, seconds: float = SECONDS, **facts: object) -> dict[str, Any]:
        """The latest of at least so many lines with this token."""

        def look() -> list[dict[str, Any]]:
            found = self.told(action, **facts)
            assert len(found) >= number or self.process.poll() is None, self.lines
            return found if len(found) >= number else []

        try:
            return wait_until(look, f"the daemon told {action}", seconds)[-1]
        except RuntimeError as error:
            raise AssertionError("\n".join([str(error), *self.lines])) from error

    @property
    def port(self) -> int:
        return int(self.wait_for("started")["port"])

    def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON, or text, of an address."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=SECONDS) as answer:
                return answer.status, _content(answer.read())
        except urllib.error.HTTPError as refused:
            return refused.code, _content(refused.read())

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = SECONDS) -> int:
        """Send a signal and return the exit code."""
        self.send(number)
        return self.wait(seconds)

    def wait(self, seconds: float = SECONDS) -> int:
        code = self.process.wait(seconds)
        self._reader.join(SECONDS)
        return code

    def discard(self) -> None:
        """Whatever became of it, it is gone."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(SECONDS)


def _content(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode()


class Ear:
    """systemd's end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[list[str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.heard.append(self._socket.recv(65536).decode("ascii").split("\n"))

    def number(self, line: str) -> int:
        """How often this line was heard."""
        return sum(line in lines for lines in self.heard)

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def listening(path: Path) -> Iterator[Ear]:
    ear = Ear(path)
    try:
        yield ear
    finally:
        ear.close()
