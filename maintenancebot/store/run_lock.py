"""One run at a time on a state directory."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from maintenancebot.errors import BusyError, StoreError
from maintenancebot.store import location


class RunLock:
    """Held while a run is at work; the kernel lets it go when the process ends, however it ends.

    Entering raises BusyError while another process holds it.
    """

    def __init__(self, state: Path) -> None:
        self._path = state / "run.lock"
        self._file = -1

    def is_held(self) -> bool:
        """Whether some run is at work now; looks without leaving a trace."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def __enter__(self) -> RunLock:
        location.prepare(self._path.parent)
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._take()
        except OSError as error:
            raise StoreError(f"the lock {self._path} cannot be taken") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._file)

    def _take(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise BusyError(
                f"another run is at work (process {holder}); wait for its end, or end it with SIGTERM"
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, b"%d\n" % os.getpid(), 0)
