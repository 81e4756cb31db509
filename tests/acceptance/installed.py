"""The product installed into a lab host as its page says: from the built wheel, with its unit and its own user."""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.command import TASKS
from tests.lab.bases import RELEASES
from tests.lab.fleet import Fleet
from tests.lab.hosts import HostSpec, LabHost
from tests.lab.tools import wait_until

ROOT = Path(__file__).parents[2]
PREFIX = "/opt/maintenancebot"
LIBRARIES = "/opt/maintenancebot-libraries"
ETC = "/etc/maintenancebot"
STATE = "/var/lib/maintenancebot"
UNIT = "maintenancebot.service"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def release() -> str:
    """The release whose Python can load the libraries of ours; skips where there is none."""
    fitting = [name for name, version in RELEASES.items() if version == VERSION]
    if not fitting:
        pytest.skip(f"no release of the lab has Python {VERSION}, for which this machine's libraries are made")
    return fitting[0]


def build(folder: Path) -> Path:
    """An environment with the wheel in it, for `PREFIX`; the libraries are seen by way of `LIBRARIES`."""
    prefix, wheels = folder / "prefix", folder / "wheels"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    _do([*pip, "wheel", "--no-deps", "--wheel-dir", str(wheels), str(ROOT)])
    (wheel,) = wheels.glob("*.whl")
    _do([*pip, "install", "--no-deps", "--ignore-installed", "--prefix", str(prefix), str(wheel)])
    (prefix / "bin" / "python").symlink_to("/usr/bin/python3")
    (prefix / "pyvenv.cfg").write_text(f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {VERSION}\n")
    (prefix / "lib" / f"python{VERSION}" / "site-packages" / "libraries.pth").write_text(LIBRARIES + "\n")
    script = prefix / "bin" / "maintenancebot"
    script.write_text("\n".join([f"#!{PREFIX}/bin/python", *script.read_text().splitlines()[1:], ""]))
    return prefix


def _do(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass
class Installed:
    """The daemon in its host, and the hosts that it looks after."""

    host: LabHost
    fleet: Fleet
    port: int
    token: str
    is_as_installed: bool = False  # running by the configuration that `install` wrote

    def configure(self, **settings: Any) -> None:
        """Write the configuration; the service reads it at its next start or reload."""
        self.is_as_installed = False
        self.host.write(f"{ETC}/maintenancebot.yaml", yaml.safe_dump(self.settings(**settings)), 0o640)
        self.host.sh(f"chgrp maintenancebot {ETC}/maintenancebot.yaml")

    def settings(self, **more: Any) -> dict[str, Any]:
        ssh = {
            "keys": [f"/run/credentials/{UNIT}/ssh_key"],
            "known_hosts": f"{ETC}/known_hosts",
            "agent": False,
        }
        return {"tasks": TASKS, "http": {"port": self.port}, **more, "ssh": ssh}

    def systemctl(self, *words: str, check: bool = True) -> str:
        self.is_as_installed = self.is_as_installed and words[0] == "show"
        done = self.host.run(["systemctl", *words], check=False)
        assert done.returncode == 0 or not check, done.stdout + done.stderr + self.log()
        return done.stdout.strip()

    def show(self, *names: str) -> list[str]:
        """Properties of the unit."""
        return [self.systemctl("show", "--value", "-p", name, UNIT) for name in names]

    def pid(self) -> int:
        return int(self.show("MainPID")[0])

    def log(self, *words: str) -> str:
        return self.host.run(["journalctl", "-u", UNIT, "-o", "cat", "--no-pager", *words]).stdout

    def lines(self, action: str) -> list[dict[str, Any]]:
        """The log's lines with this token."""
        found = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in found if line.get("action") == action]

    def command(self, *words: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        """A command beside the service, as its user."""
        places = ["--state-dir", STATE, "--config", f"{ETC}/maintenancebot.yaml", "--inventory", f"{ETC}/hosts.yaml"]
        user = ["setpriv", "--reuid", "maintenancebot", "--regid", "maintenancebot", "--clear-groups"]
        return self.host.run([*user, f"{PREFIX}/bin/maintenancebot", *places, *words], check=check)

    def ask(self, path: str, **headers: str) -> tuple[int, str]:
        """What the server answers; (0, reason) when nobody listens."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def not_well(self) -> dict[str, str]:
        """The causes that keep it from being ready, with their details."""
        code, text = self.ask("/health/ready")
        causes = json.loads(text)["causes"] if code else [{"name": "server", "ok": False, "detail": text}]
        return {one["name"]: one["detail"] for one in causes if not one["ok"]}

    def wait_ready(self, seconds: float = 60) -> None:
        try:
            wait_until(lambda: self.not_well() == {}, "the daemon to be ready", seconds)
        except Exception as error:
            raise AssertionError(f"not ready: {self.not_well()}\n{self.log()}") from error


def install(fleet: Fleet, folder: Path, *, name: str = "bot", **options: Any) -> Installed:
    """A host with the product installed and configured, not started; `folder` has what `build` made."""
    binds = ((str(folder), PREFIX), (str(Path(pytest.__file__).parents[1]), LIBRARIES))
    (host,) = fleet.boot(HostSpec(name, release=release(), binds_ro=binds, **options))
    made = Installed(host, fleet, _free_port(), secrets.token_hex(32))
    for source, target in (
        ("maintenancebot.sysusers", "/usr/lib/sysusers.d/maintenancebot.conf"),
        ("maintenancebot.tmpfiles", "/usr/lib/tmpfiles.d/maintenancebot.conf"),
        (UNIT, f"/etc/systemd/system/{UNIT}"),
    ):
        host.write(target, (ROOT / "systemd" / source).read_bytes())
    host.sh("systemd-sysusers && systemd-tmpfiles --create maintenancebot.conf && systemctl daemon-reload")
    host.write(f"{ETC}/id_ed25519", fleet.key.read_bytes(), 0o600)
    host.write(f"{ETC}/webhook_token", made.token + "\n", 0o600)
    host.write(f"{ETC}/known_hosts", fleet.known_hosts.read_bytes())
    shutil.copy(fleet.inventory, host.live_path(f"{ETC}/hosts.yaml"))
    host.sh(f"chgrp maintenancebot {ETC}/hosts.yaml && chmod 640 {ETC}/hosts.yaml")
    made.configure()
    return made


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
