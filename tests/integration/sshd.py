"""A real sshd on 127.0.0.1 with keys, users and sudo rules of its own, in a mount namespace of its own.

Users: `root`, `ops` (sudo without a password), `asks` (sudo wants one), `plain` (no sudo).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import paramiko

SSHD = "/usr/sbin/sshd"
NEEDED = (SSHD, "/usr/bin/unshare", "/usr/bin/sudo", "/usr/bin/ssh-keygen")
USERS = {"ops": 64001, "asks": 64002, "plain": 64003}
SUDOERS = "root ALL=(ALL) ALL\nops ALL=(ALL) NOPASSWD: ALL\nasks ALL=(ALL) ALL\n"
PRIVATE_MOUNTS = ("unshare", "-m", "--propagation", "private")
ENTER = """\
mount -t tmpfs -o mode=755 none /mnt && cp "$1/authorized_keys" /mnt && chmod 644 /mnt/authorized_keys || exit 9
for file in passwd shadow group sudoers; do mount --bind "$1/etc/$file" /etc/$file || exit 9; done
exec "$2" -D -e -f "$1/sshd_config"
"""


def missing() -> str:
    """Why no sshd can be started here; empty when one can."""
    if os.geteuid() != 0:
        return "starts an sshd as root"
    return next((f"needs {path}" for path in NEEDED if not os.path.exists(path)), "")


class Sshd:
    """One running sshd; what it logged can be counted."""

    def __init__(self, directory: Path, client_key: Path, *, namespace: str = "", **options: str) -> None:
        """`namespace`: the network namespace that it runs in; without it, this machine's own."""
        self.directory = directory
        self._enter = ["ip", "netns", "exec", namespace] if namespace else []
        self.port = free_port()
        self.host_key = make_key(directory / "host_key")
        self._log = directory / "log"
        self._write_files(client_key.with_suffix(".pub").read_text(), options)
        self._start()

    @property
    def known_hosts_line(self) -> str:
        """The pinned key."""
        return self.known_hosts_at("127.0.0.1")

    def known_hosts_at(self, address: str) -> str:
        """The pinned key, for another address that it listens on."""
        return f"[{address}]:{self.port} {self.host_key.get_name()} {self.host_key.get_base64()}"

    def logged(self, pattern: str) -> int:
        """How many lines of the log match."""
        return len(re.findall(pattern, self._log.read_text(), re.MULTILINE))

    def change_key(self) -> None:
        """Show another host key from now on."""
        self.stop()
        for path in self.directory.glob("host_key*"):
            path.unlink()
        self.host_key = make_key(self.directory / "host_key")
        self._start()

    def cut(self) -> None:
        """End every connection from the server's side, at once."""
        for pid in children(self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)

    def stop(self) -> None:
        """End it and its connections."""
        self.cut()
        self._process.kill()
        self._process.wait()

    def _start(self) -> None:
        self._log.touch()
        before = self.logged("^Server listening")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._enter,
                    "unshare",
                    "-m",
                    "--propagation",
                    "private",
                    "/bin/sh",
                    "-c",
                    ENTER,
                    "enter",
                    self.directory,
                    SSHD,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + 20
        while self.logged("^Server listening") == before:
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < end, self._log.read_text()
            time.sleep(0.02)

    def _write_files(self, public_key: str, options: dict[str, str]) -> None:
        etc = self.directory / "etc"
        etc.mkdir()
        for name in ("passwd", "shadow", "group"):
            shutil.copy(f"/etc/{name}", etc / name)
        with (etc / "passwd").open("a") as passwd, (etc / "shadow").open("a") as shadow:
            for name, uid in USERS.items():
                passwd.write(f"{name}:x:{uid}:65534::/:/bin/sh\n")
                shadow.write(f"{name}:*:20000:0:99999:7:::\n")
        (etc / "sudoers").write_text(SUDOERS)
        (etc / "sudoers").chmod(0o440)
        (self.directory / "authorized_keys").write_text(public_key)
        settings = {
            "Port": str(self.port),
            "ListenAddress": "127.0.0.1",
            "HostKey": str(self.directory / "host_key"),
            "PidFile": "none",
            "AuthorizedKeysFile": "/mnt/authorized_keys",  # every user can read it there
            "StrictModes": "no",
            "UsePAM": "no",
            "PermitRootLogin": "prohibit-password",
            "PasswordAuthentication": "no",
            "LogLevel": "VERBOSE",
            **options,
        }
        if _knows("PerSourcePenalties"):
            settings["PerSourcePenalties"] = "no"  # all logins of a test come from one address
        (self.directory / "sshd_config").write_text("".join(f"{key} {value}\n" for key, value in settings.items()))


def make_key(path: Path) -> paramiko.PKey:
    """A new key in a file and its .pub."""
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True, stdin=subprocess.DEVNULL)
    return paramiko.PKey.from_path(str(path))


def free_port() -> int:
    """A port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def children(pid: int) -> list[int]:
    """The processes below a process, deepest last."""
    found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    with contextlib.suppress(FileNotFoundError):
        return found + [inner for child in found for inner in children(child)]
    return found


def _knows(option: str) -> bool:
    tried = subprocess.run(
        [SSHD, "-T", "-f", "/dev/null", "-o", f"{option}=no", "-h", "/dev/null"], capture_output=True
    )
    return b"Bad configuration option" not in tried.stderr
