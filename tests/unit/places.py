"""Where a command of the application finds its files, and the clock that it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from maintenancebot import app
from maintenancebot.app import allowances, capture, episodes, messages


@dataclass
class Place:
    """Configuration, inventory and state directory of a test, as the command line names them."""

    config: Path
    inventory: Path
    state_dir: Path

    def configure(self, *tasks: dict[str, Any], **more: Any) -> None:
        self.config.write_text(yaml.safe_dump({"tasks": list(tasks), "ssh": {"idle_timeout": 20}, **more}))

    def list_hosts(self, *names: str, **more: dict[str, Any]) -> None:
        hosts = {name: {"connection": "local", "become": False} for name in names}
        self.inventory.write_text(yaml.safe_dump({"hosts": {**hosts, **more}}))

    def snapshot(self) -> dict[str, tuple[bytes, int]]:
        """Every byte and every time below the state directory."""
        files = [self.state_dir, *self.state_dir.rglob("*")] if self.state_dir.exists() else []
        return {str(p): (p.read_bytes() if p.is_file() else b"", p.lstat().st_mtime_ns) for p in files}


def set_clock(monkeypatch: pytest.MonkeyPatch, clock: Callable[[], datetime]) -> None:
    """The real clock is read where a command begins; each of these modules has its name."""
    parts = (app.context, app.maintenance, app.hosts, app.trash, app.remediation, app.records, episodes, messages)
    for module in (*parts, allowances, capture):
        monkeypatch.setattr(module, "now", clock)
