"""Runs a program of this machine for a source: an argument vector, a limit in time and in output, no terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from maintenancebot.sources.listing import SourceError

MOST_BYTES = 64 * 2**20
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
        late = threading.Event()
        timer = threading.Timer(timeout, _end, (process, late))
        timer.daemon = True
        timer.start()
        try:
            assert process.stdout is not None
            with process.stdout as stream:
                data = stream.read(MOST_BYTES + 1)
            if len(data) > MOST_BYTES:
                _end(process)
            code = process.wait()
        finally:
            timer.cancel()
        if late.is_set():
            raise SourceError(f"{name} did not end within {timeout:.0f} s")
        if len(data) > MOST_BYTES:
            raise SourceError(f"{name} printed more than {MOST_BYTES >> 20} MiB")
        if code:
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - 4096))
            raise SourceError(f"{name} ended with {code}{_last_line(errors.read())}")
        return data


def _end(process: subprocess.Popen[bytes], late: threading.Event | None = None) -> None:
    if process.poll() is None:
        if late:
            late.set()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _last_line(said: bytes) -> str:
    lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    return f": {lines[-1][:300]}" if lines else ""
