"""Runs a program of this machine for a source: an argument vector, a limit in time and in output, no terminal."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from maintenancebot.sources.listing import SourceError

MOST_BYTES = 64 * 2**20
PIECE = 256 * 1024
KEPT = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "VIRTUAL_ENV")
FAMILIES = ("ANSIBLE_", "AWS_", "GOOGLE_", "AZURE_", "HCLOUD_", "DO_", "DIGITALOCEAN_", "OS_")
"""Variables that inventory programs need: their own settings and the credentials of their clouds."""


def output(
    argv: Sequence[str], *, timeout: float, cwd: Path | None = None, more: Mapping[str, str] | None = None
) -> bytes:
    """What the program prints; raises SourceError when it fails, hangs or prints without end."""
    environment = {k: v for k, v in os.environ.items() if k in KEPT or k.startswith(FAMILIES)}
    environment |= {"LC_ALL": "C.UTF-8", **(more or {})}
    name = Path(argv[0]).name
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                cwd=cwd,
                start_new_session=True,
            )
        except OSError as error:
            raise SourceError(f"{argv[0]} cannot be started: {error.strerror}") from error
        end = time.monotonic() + timeout
        try:
            data = _printed(process, end)
            code = process.wait(max(0.0, end - time.monotonic())) if len(data) <= MOST_BYTES else 0
        except (TimeoutError, subprocess.TimeoutExpired):
            raise SourceError(f"{name} did not end within {timeout:.0f} s") from None
        finally:
            _end(process)
        if len(data) > MOST_BYTES:
            raise SourceError(f"{name} printed more than {MOST_BYTES >> 20} MiB")
        if code:
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - 4096))
            raise SourceError(f"{name} ended with {code}{_last_line(errors.read())}")
        return data


def _printed(process: subprocess.Popen[bytes], end: float) -> bytes:
    """All that it prints, a little more than is allowed at most; TimeoutError when that does not end.

    What it has started may hold its output open after its own end.
    """
    assert process.stdout is not None
    data = bytearray()
    with process.stdout as stream:
        while len(data) <= MOST_BYTES:
            if not select.select([stream], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError
            piece = os.read(stream.fileno(), PIECE)
            if not piece:
                break
            data += piece
    return bytes(data)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:  # not waited for, so that its number is still its own, even when it has ended
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _last_line(said: bytes) -> str:
    lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    return f": {lines[-1][:300]}" if lines else ""
