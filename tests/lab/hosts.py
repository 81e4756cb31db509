"""One booted Debian host: an overlay over a base, systemd as its init, an sshd on an address of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.lab import addresses, cgroups
from tests.lab.bases import base
from tests.lab.disks import Ages, Disk, make_disk
from tests.lab.inside import inside
from tests.lab.tools import LabError, children_of, process_started, remove_tree, run, unmount_below, wait_until

HOST_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}
REBOOT = 133
SUPERVISE = f"""
while :; do
  sh "$0"
  ended=$?
  [ $ended -eq {REBOOT} ] || {{ echo "the container ended with $ended"; exit 0; }}
done
"""
SSHD = """\
Port {port}
ListenAddress {address}
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
"""


@dataclass(frozen=True)
class HostSpec:
    """What a test wants of a host; everything but the name has a default."""

    name: str
    release: str = "bookworm"
    variant: str = ""
    user: str = "ops"
    groups: tuple[str, ...] = ()
    binds: tuple[tuple[str, str], ...] = ()  # (path here, path in the host), writable
    binds_ro: tuple[tuple[str, str], ...] = ()
    disk_mib: int = 0  # the root gets a file system of its own of this size, which can be full and hold old files
    sshd: str = ""  # further lines of sshd_config, before Debian's own
    prepare: Callable[[LabHost], None] | None = field(default=None, compare=False)  # called before the boot


class LabHost:
    """A host of the lab: files by `root`, commands by `run` (from inside) and `ssh` (as a user would)."""

    def __init__(self, spec: HostSpec, directory: Path, address: str, port: int, public_key: str = "") -> None:
        self.spec = spec
        self.name = spec.name
        self.directory = directory
        self.address = address
        self.port = port
        self.public_key = public_key
        self.pid = 0
        self.binds = list(spec.binds)
        self.binds_ro = list(spec.binds_ro)

    def __repr__(self) -> str:
        return f"<LabHost {self.name} {self.spec.release} {self.address}:{self.port}>"

    # Life

    def create(self) -> LabHost:
        """Make the root file system; nothing runs yet."""
        self._mount()
        self._identify()
        if self.spec.prepare:
            self.spec.prepare(self)
        return self

    def start(self, wait: bool = True) -> LabHost:
        """Switch on, and wait until logins work."""
        if self.is_on():
            return self
        self._mount()
        self.save()
        with (self.directory / "console.log").open("ab") as console:
            process = subprocess.Popen(
                ["sh", "-c", SUPERVISE, str(self.directory / "boot.sh")],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        self.pid = process.pid
        addresses.hand_over(self.address, self.pid)
        self.save()
        return self.wait_up() if wait else self

    def wait_up(self, seconds: float = 90) -> LabHost:
        """Wait until systemd is done booting and sshd answers."""
        wait_until(lambda: self._path_in("/run/systemd/private").exists(), f"{self.name} runs systemd", seconds)
        state = self.run(["systemctl", "is-system-running", "--wait"], check=False, timeout=seconds).stdout.strip()
        if state not in ("running", "degraded"):
            raise LabError(f"{self.name} is {state or 'silent'} after boot; see {self.directory / 'console.log'}")
        wait_until(self.answers, f"sshd of {self.name} answers", seconds)
        return self

    def shut_down(self, seconds: float = 15) -> None:
        """Switch off in good order, by force at the deadline."""
        with contextlib.suppress(ProcessLookupError):
            if nspawn := self._nspawn_pid():
                os.kill(nspawn, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while self.is_on() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.power_off()

    def power_off(self) -> None:
        """Pull the plug: every process of the host dies at once."""
        if self.pid and self.is_on():
            addresses.hand_over(self.address, os.getpid())  # the supervisor goes first; its processes still listen
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        cgroups.kill(self.machine)
        self._reap()
        cgroups.clear(self.machine)
        with contextlib.suppress(OSError):
            os.rmdir(f"/run/systemd/nspawn/propagate/{self.machine}")

    def reboot(self) -> LabHost:
        """Reboot from inside and wait until the host is up again."""
        before = self.boot_id()
        self.run(["systemctl", "reboot"], check=False)
        wait_until(lambda: self._boot_id_or_none() not in (None, before), f"{self.name} reboots", 60)
        return self.wait_up()

    def freeze(self) -> None:
        """Stop every process where it is: connections stay open and nobody answers."""
        cgroups.freeze(self.machine, True)

    def thaw(self) -> None:
        """Let a frozen host go on."""
        cgroups.freeze(self.machine, False)

    def destroy(self) -> None:
        """Switch off and remove everything the host had."""
        self.power_off()
        unmount_below(self.directory)
        addresses.release(self.address)
        remove_tree(self.directory)

    # Looking

    @property
    def root(self) -> Path:
        """The host's root directory as seen from here; without what the host mounted itself (see `live_root`)."""
        return self.directory / "root"

    @property
    def live_root(self) -> Path:
        """The root of the running host with all its mounts, /run and /tmp included."""
        return Path(f"/proc/{self.init_pid()}/root")

    @property
    def machine(self) -> str:
        """A machine name that no other lab on this machine uses."""
        return "lab-" + self.address.replace(".", "-")

    @property
    def machine_id(self) -> str:
        """The host's /etc/machine-id."""
        return self.read("/etc/machine-id").decode().strip()

    def is_on(self) -> bool:
        """Whether the host's supervisor lives."""
        if self.pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, os.WNOHANG)
        return bool(self.pid) and process_started(self.pid) is not None

    def answers(self) -> bool:
        """Whether an SSH server greets at the host's address."""
        try:
            with socket.create_connection((self.address, self.port), timeout=2) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def boot_id(self) -> str:
        """The kernel's boot id as the host sees it."""
        return self._path_in("/proc/sys/kernel/random/boot_id").read_text().strip()

    def init_pid(self) -> int:
        """The process id, on this machine, of the host's init."""
        for child in children_of(self._nspawn_pid()):
            status = Path(f"/proc/{child}/status").read_text()
            if re.search(r"^NSpid:\t\d+\t1$", status, re.MULTILINE):
                return child
        raise LabError(f"{self.name} is not running")

    # Acting from inside, past sshd

    def run(
        self, argv: Sequence[str], *, stdin: str | bytes | None = None, check: bool = True, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root in the host, not over SSH."""
        environment = [f"{key}={value}" for key, value in HOST_ENVIRONMENT.items()]
        inside = ["env", "-i", *environment, "timeout", "--foreground", "-s", "KILL", str(timeout), *argv]
        enter = ["nsenter", "-t", str(self.init_pid()), "-a"]
        return run([*enter, *inside], stdin=stdin, check=check, timeout=timeout + 10)

    def sh(self, script: str, **options: Any) -> str:
        """Run a shell script as root in the host and return its standard output."""
        return self.run(["sh", "-euc", script], **options).stdout

    def path(self, path: str) -> Path:
        """The path here of a file in the host's root file system, valid while the host is on or off."""
        return inside(self.root, path)

    def live_path(self, path: str) -> Path:
        """The path here of a file as the running host sees it, bound disks, /run and /tmp included."""
        return inside(self.live_root, path)

    def read(self, path: str) -> bytes:
        """The bytes of a file as the host would read them."""
        return self._followed(path).read_bytes()

    def write(self, path: str, data: bytes | str, mode: int = 0o644, owner: str = "root") -> Path:
        """Write a file as the host sees it, with parents; `owner` is user or user:group by the host's own names."""
        target = self._followed(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data.encode() if isinstance(data, str) else data)
        os.chown(target, *self.ids(owner))
        target.chmod(mode)
        return target

    def age(self, ages: Ages) -> None:
        """Make files of a host with `disk_mib` that is off (or about to boot) old by days, in all their times."""
        if self.is_on() or not self.spec.disk_mib:
            raise LabError(f"{self.name} must be off and have disk_mib to get old files")
        wait_until(lambda: not run(["umount", self.root], check=False).returncode, "the root to be let go of", 20)
        try:
            self._disk().age({b"upper/" + os.fsencode(path).lstrip(b"/"): days for path, days in ages.items()})
        finally:
            self._mount()

    def ids(self, owner: str) -> tuple[int, int]:
        """Numeric user and group of `user` or `user:group` in the host."""
        user, _, group = owner.partition(":")
        entry = self._entry("/etc/passwd", user)
        return int(entry[2]), int(self._entry("/etc/group", group)[2] if group else entry[3])

    def bind(self, source: Path | str, target: str, read_only: bool = False) -> None:
        """Bind a file or directory of this machine into the host, running or not; it stays over reboots."""
        (self.binds_ro if read_only else self.binds).append((str(source), target))
        self.save()
        if self.is_on():
            mover = Path(__file__).with_name("bindmount.py")
            flags = ["--read-only"] if read_only else []
            run([sys.executable, mover, *flags, str(self.init_pid()), str(source), target])

    # Acting from outside

    def ssh_argv(self, user: str = "", *options: str) -> list[str]:
        """The ssh command line to this host with the lab's key and known hosts."""
        config = self.directory.parent.parent / "ssh_config"
        return ["ssh", "-F", str(config), "-o", "BatchMode=yes", *options, "-l", user or self.spec.user, self.name]

    def ssh(self, command: str, user: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a shell command over a real SSH login."""
        return run([*self.ssh_argv(user), "--", command], **options)

    # Keeping

    def save(self) -> None:
        """Write down what another process needs to find this host, and how to boot it (again)."""
        spec = {key: value for key, value in asdict(self.spec).items() if key != "prepare"}
        record = {
            "spec": spec, "address": self.address, "port": self.port, "pid": self.pid,
            "started": process_started(self.pid) if self.pid else None, "binds": self.binds, "binds_ro": self.binds_ro,
        }  # fmt: skip
        # Replaced as a whole: a shell that just reads the script must never meet an empty file.
        for name, text in (("host.json", json.dumps(record, indent=1)), ("boot.sh", self._boot_script())):
            part = self.directory / f"{name}.part"
            part.write_text(text)
            part.replace(self.directory / name)

    @classmethod
    def load(cls, directory: Path) -> LabHost:
        """The host that another process made in a directory."""
        record = json.loads((directory / "host.json").read_text())
        spec = HostSpec(**{key: _frozen(value) for key, value in record["spec"].items()})
        host = cls(spec, directory, record["address"], record["port"])
        host.binds, host.binds_ro = _frozen(record["binds"], list), _frozen(record["binds_ro"], list)
        if record["pid"] and process_started(record["pid"]) == record["started"]:
            host.pid = record["pid"]
        return host

    # Inner parts

    def _mount(self) -> None:
        if os.path.ismount(self.root):
            return
        top = self._disk().mount().mount_point if self.spec.disk_mib else self.directory
        upper, work = top / "upper", top / "work"
        for part in (upper, work, self.root):
            part.mkdir(parents=True, exist_ok=True)
        lower = base(self.spec.release, self.spec.variant)
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        run(["mount", "-t", "overlay", "-o", options, "overlay", self.root])

    def _disk(self) -> Disk:
        place = self.directory / "rootdisk"
        if not place.exists():
            return make_disk(place, size_mib=self.spec.disk_mib)
        return Disk(place / "disk.img", place / "mount")

    def _identify(self) -> None:
        self.write("/etc/machine-id", secrets.token_hex(16) + "\n", mode=0o444)
        self.write("/etc/hostname", self.name + "\n")
        self.write("/etc/hosts", f"127.0.0.1 localhost\n{self.address} {self.name}\n")
        listen = SSHD.format(port=self.port, address=self.address)
        self.write("/etc/ssh/sshd_config.d/lab.conf", listen + self.spec.sshd)
        key = self.path("/etc/ssh/ssh_host_ed25519_key")
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", key])
        for user, home in {"root": "/root", "ops": "/home/ops", "asks": "/home/asks", "plain": "/home/plain"}.items():
            self._authorize(user, home)

    def _authorize(self, user: str, home: str) -> None:
        self.write(f"{home}/.ssh/authorized_keys", self.public_key, mode=0o600, owner=user)
        self.path(f"{home}/.ssh").chmod(0o700)
        os.chown(self.path(f"{home}/.ssh"), *self.ids(user))

    def _boot_script(self) -> str:
        options = ["-q", "-b", "--register=no", "--keep-unit", "--console=pipe", "--timezone=off"]
        options += [f"--directory={self.root}", f"--machine={self.machine}", f"--hostname={self.name}"]
        options += [f"--bind={_bind_words(*pair)}" for pair in self.binds]
        options += [f"--bind-ro={_bind_words(*pair)}" for pair in self.binds_ro]
        group = shlex.quote(str(cgroups.cgroup(self.machine)))
        enter = f"mkdir -p {group} && echo $$ >{group}/cgroup.procs && export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1"
        return f"{enter} && exec {shlex.join(['systemd-nspawn', *options])}\n"

    def _nspawn_pid(self) -> int:
        return next(iter(children_of(self.pid)), 0) if self.pid else 0

    def _path_in(self, path: str) -> Path:
        try:
            return self.live_root / path.lstrip("/")
        except (LabError, FileNotFoundError, ProcessLookupError):
            if not self.is_on():
                tail = (self.directory / "console.log").read_text(errors="replace")[-2000:]
                raise LabError(f"{self.name} is off; its console said: {tail}") from None
            return Path("/nonexistent")

    def _boot_id_or_none(self) -> str | None:
        try:
            return self.boot_id()
        except OSError:
            return None

    def _followed(self, path: str) -> Path:
        return inside(self.live_root if self.is_on() else self.root, path, follow=True)

    def _entry(self, path: str, name: str) -> list[str]:
        for line in self.path(path).read_text().splitlines():
            if line.startswith(name + ":"):
                return line.split(":")
        raise LabError(f"{self.name} has no {name} in {path}")

    def _reap(self) -> None:
        if self.pid:
            wait_until(lambda: not self.is_on(), f"{self.name} is off")
            self.pid = 0


def _bind_words(source: str, target: str) -> str:
    return ":".join(part.replace("\\", "\\\\").replace(":", "\\:") for part in (source, target))


def _frozen(value: Any, outer: type = tuple) -> Any:
    return outer(_frozen(item) for item in value) if isinstance(value, list) else value
