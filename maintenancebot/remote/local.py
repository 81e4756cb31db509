"""This machine, through the same interface as a host behind SSH."""

from __future__ import annotations

import os
import selectors
import shlex
import socket
import subprocess
import time
from contextlib import suppress

from maintenancebot.errors import RemoteError
from maintenancebot.model import Host, Reason
from maintenancebot.remote import bundle
from maintenancebot.remote.session import Stream

EARLY_CAP = 4 * 1024 * 1024


class LocalExecution:
    """The helper as a child process in a session of its own."""

    def __init__(self, argv: list[str], timeout: float) -> None:
        self._timeout = timeout
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise RemoteError(Reason.UNSUPPORTED, f"cannot start {argv[0]}: {error.strerror}") from error
        assert self._process.stdin
        assert self._process.stdout
        assert self._process.stderr
        self._stdin = self._process.stdin
        os.set_blocking(self._stdin.fileno(), False)
        self._early = [bytearray(), bytearray()]  # what came while input was still being written
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ, 0)
        self._selector.register(self._process.stderr, selectors.EVENT_READ, 1)

    def send(self, data: bytes) -> None:
        """Write to standard input within the time limit; what it says meanwhile is kept, so that neither side waits."""
        end = time.monotonic() + self._timeout
        view = memoryview(data)
        self._selector.register(self._stdin, selectors.EVENT_WRITE, 2)
        try:
            while view:
                if sum(map(len, self._early)) > EARLY_CAP:
                    return  # a flood: told by whoever reads it
                if time.monotonic() > end:
                    raise RemoteError(Reason.HUNG, "the helper does not read its input")
                for key, _ in self._selector.select(max(0.0, end - time.monotonic())):
                    if key.data == 2:
                        view = view[os.write(self._stdin.fileno(), view[:65536]) :]
                    else:
                        self._read(key, self._early)
        except OSError:
            return  # it ended before reading all: what it said last is on its outputs
        finally:
            self._selector.unregister(self._stdin)

    def receive(self, timeout: float) -> tuple[bytes, bytes] | None:
        """What came on both outputs; None when both ended."""
        if not self._selector.get_map() and not any(self._early):
            return None
        parts, self._early = self._early, [bytearray(), bytearray()]
        for key, _ in self._selector.select(0 if any(parts) else timeout):
            self._read(key, parts)
        return bytes(parts[0]), bytes(parts[1])

    def _read(self, key: selectors.SelectorKey, parts: list[bytearray]) -> None:
        data = os.read(key.fd, 65536)
        if data:
            parts[key.data] += data
        else:
            self._selector.unregister(key.fileobj)

    def exit_status(self) -> int | None:
        """Exit code, None after a signal or while it runs on."""
        try:
            code = self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            return None
        return code if code >= 0 else None

    def close(self) -> None:
        """Close the streams: the end of its input ends the helper."""
        self._stdin.close()
        self._selector.close()
        for stream in (self._process.stdout, self._process.stderr):
            if stream:
                stream.close()
        with suppress(subprocess.TimeoutExpired):  # it finishes its change in hand by itself
            self._process.wait(timeout=1)


class LocalSession:
    """A `Session` on this machine."""

    def __init__(self, host: Host, timeout: float) -> None:
        self.host = host
        self._timeout = timeout

    def start_helper(self) -> LocalExecution:
        """Start the helper, by sudo where the inventory or a working sudo says so."""
        prefix = bundle.BECOME[self.host.become_method] if self._become() else ""
        return LocalExecution(shlex.split(prefix + bundle.COMMAND), self._timeout)

    def open_unix(self, path: str, timeout: float) -> Stream:
        """Connect to a unix socket of this machine."""
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        stream.settimeout(timeout)
        try:
            stream.connect(path)
        except PermissionError as error:
            stream.close()
            raise RemoteError(Reason.BECOME_REFUSED, f"{path}: permission denied") from error
        except OSError as error:
            stream.close()
            raise RemoteError(Reason.NOT_RESPONDING, f"{path}: {error.strerror or error}") from error
        return stream

    def close(self) -> None:
        """Nothing is held open."""

    def _become(self) -> bool:
        if os.geteuid() == 0 or self.host.become is False:
            return False
        if self.host.become:
            return True
        try:  # a newcomer without sudo still gets a plan: what needs root says so
            probe = subprocess.run(
                ["/usr/bin/sudo", "-n", "/bin/true"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return probe.returncode == 0
