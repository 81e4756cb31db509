"""The installed command, run as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.lab.fleet import Fleet
from tests.lab.tools import wait_until

COMMAND = Path(sys.executable).parent / "maintenancebot"
TASKS: list[dict[str, Any]] = [
    {"name": "security_patches", "type": "package_update", "scope": "security_only", "approval": "auto"},
    {
        "name": "log_rotation",
        "type": "cleanup",
        "patterns": [{"path": "/var/log/**/*.*.log", "retention_days": 30, "compress": True}],
    },
    {
        "name": "docker_cleanup",
        "type": "docker_prune",
        "remove_unused_images": True,
        "remove_dangling_volumes": True,
        "min_age_hours": 48,
    },
    {"name": "backup_verification", "type": "verify", "check": "backup_completed_within_24h"},
    {
        "name": "certificate_check",
        "type": "monitor",
        "check": "certificate_expiry_days > 30",
        "alert_threshold": 30,
        "auto_renew": True,
    },
]


@dataclass(frozen=True)
class Answer:
    """What the command said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Standard output as the one JSON document that it must be."""
        assert self.out, f"exit {self.code}: {self.err}"
        loaded: dict[str, Any] = json.loads(self.out)
        return loaded

    def host(self, name: str) -> dict[str, Any]:
        """One host's part of the document."""
        (found,) = [host for host in self.document["hosts"] if host["host"] == name]
        return dict(found)

    def task(self, host: str, task: str) -> dict[str, Any]:
        """One task of one host."""
        (found,) = [one for one in self.host(host)["tasks"] if one["task"] == task]
        return dict(found)


class Bot:
    """A configuration, an inventory and a state directory for the command."""

    def __init__(self, directory: Path, fleet: Fleet, **more: Any) -> None:
        self.fleet = fleet
        self.config = directory / "maintenancebot.yaml"
        self.state = directory / "state"
        self.inventory = fleet.inventory
        ssh = {"keys": [str(fleet.key)], "known_hosts": str(fleet.known_hosts), "agent": False}
        self.configure(ssh={**ssh, **more.pop("ssh", {})}, **more)

    def configure(self, **settings: Any) -> None:
        """Write the configuration; the five tasks where none are given."""
        self.config.write_text(yaml.safe_dump({"tasks": TASKS, **settings}))

    def argv(self, *words: str) -> list[str]:
        """The command line with the places of this test."""
        places = ["--config", str(self.config), "--inventory", str(self.inventory), "--state-dir", str(self.state)]
        return [str(COMMAND), *places, *words]

    def __call__(self, *words: str, limit: float = 300, env: Mapping[str, str] | None = None) -> Answer:
        """Run it to its end."""
        done = subprocess.run(
            self.argv(*words), capture_output=True, text=True, timeout=limit, stdin=subprocess.DEVNULL, env=_env(env)
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start it and leave it running."""
        return subprocess.Popen(
            self.argv(*words),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            stdin=subprocess.DEVNULL,
            env=_env(None),
        )


def wait_while_running(process: subprocess.Popen[str], check: Callable[[], object], what: str) -> None:
    """Wait for something that a running command brings about; fails with its output when it ends before."""

    def ended_or_done() -> bool:
        return bool(check()) or process.poll() is not None

    wait_until(ended_or_done, what, 60)
    if not check():
        out, err = process.communicate(timeout=10)
        raise AssertionError(f"ended with {process.returncode} before {what}\n{out}\n{err}")


def _env(more: Mapping[str, str] | None) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MAINTENANCEBOT_")}
    return {**clean, **(more or {})}
