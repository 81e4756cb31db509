"""A mail server that is only its wire: ESMTP with STARTTLS, logins, and refusals on demand."""

from __future__ import annotations

import base64
import contextlib
import ssl
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import cast

USER, PASSWORD = "bot", "pass-word-of-the-bot"


class Mail(ThreadingTCPServer):
    """`answers` holds what it says to a word (RCPT, DATA, `.`, QUIT …) instead, "" closes without one."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.context = context
        self.answers: dict[str, list[str]] = {}
        self.taken: list[EmailMessage] = []
        self.to: list[list[str]] = []
        self.logins: list[tuple[str, str]] = []
        self.was_protected: list[bool] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(StreamRequestHandler):
    server: Mail

    def handle(self) -> None:
        self.protected, self.receivers = False, list[str]()
        with contextlib.suppress(OSError, EOFError):
            self._say("220 fake ESMTP")
            while True:
                self._serve(self._line())

    def _serve(self, line: str) -> None:
        word = line.split(" ")[0].upper()
        given = self.server.answers.get(word)
        if given:
            self._say(given.pop(0))
        elif word == "EHLO":
            more = [] if self.protected or self.server.context is None else ["250-STARTTLS"]
            self._say("\r\n".join(["250-fake", *more, "250-AUTH PLAIN", "250 SMTPUTF8"]))
        elif word == "STARTTLS":
            self._protect()
        elif word == "AUTH":
            self._login(line.split(" ")[2])
        elif word == "RCPT":
            self.receivers.append(line.partition("<")[2].rstrip(">"))
            self._say("250 ok")
        elif word == "DATA":
            self._take()
        elif word == "QUIT":
            self._say("221 bye")
            raise EOFError
        else:
            self._say("250 ok")

    def _protect(self) -> None:
        assert self.server.context is not None
        self._say("220 go on")
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", 0)
        self.protected = True

    def _login(self, told: str) -> None:
        _, user, password = base64.b64decode(told).decode().split("\0")
        self.server.logins.append((user, password))
        self._say("235 welcome" if (user, password) == (USER, PASSWORD) else "535 5.7.8 wrong password")

    def _take(self) -> None:
        self._say("354 go on")
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        given = self.server.answers.get(".")
        if given:
            self._say(given.pop(0))
            return
        message = message_from_bytes(b"".join(lines), policy=policy.default)
        self.server.taken.append(cast(EmailMessage, message))
        self.server.to.append(self.receivers)
        self.server.was_protected.append(self.protected)
        self._say("250 taken")

    def _line(self) -> str:
        line = self.rfile.readline()
        if not line:
            raise EOFError
        return line.decode("utf-8").rstrip("\r\n")

    def _say(self, words: str) -> None:
        if not words:
            raise EOFError
        self.wfile.write(f"{words}\r\n".encode())


@contextlib.contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Mail]:
    with Mail(context) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()
