"""A real Docker daemon for a host, with images, containers and volumes made here; nothing is pulled."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import docker
from docker.models.containers import Container
from docker.models.images import Image
from docker.models.volumes import Volume

from tests.lab.bases import base
from tests.lab.disks import Disk, make_disk
from tests.lab.hosts import LabHost
from tests.lab.tools import LabError, end_processes_of, process_started, remove_tree, run, unmount_below, wait_until

SOCKET = "/run/docker.sock"
SWARM_BRIDGE = Path("/sys/class/net/docker_gwbridge")
PROGRAMS = ("/bin/sh", "/bin/sleep", "/bin/cat", "/bin/touch", "/bin/true", "/bin/false")


class Docker:
    """dockerd with a data root of its own; `client` talks to it, `give_to` puts it into a host."""

    def __init__(self, directory: Path, *, disk_mib: int = 0) -> None:
        self.directory = directory.resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.disk: Disk | None = make_disk(self.directory / "disk", size_mib=disk_mib) if disk_mib else None
        self.data_root = (self.disk.mount_point if self.disk else self.directory) / "data"
        self.socket = self.directory / "docker.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._hosts: list[LabHost] = []
        self._made_bridge = False
        if len(str(self.directory / "exec/containerd/containerd.sock.ttrpc")) > 107:
            raise LabError(f"{self.directory} is too long for sockets: set LAB_HOME to a shorter path")

    @property
    def client(self) -> docker.DockerClient:
        """A client of this daemon, of no other."""
        return docker.DockerClient(base_url=f"unix://{self.socket}", timeout=60)

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        if not self._process:
            raise LabError("dockerd is not running")
        return self._process.pid

    def start(self) -> Docker:
        """Start the daemon and wait until it answers."""
        with (self.directory / "dockerd.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._argv(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(self._answers, "dockerd answers", 60)
        for host in self._hosts:
            self._show_socket(host)
        return self

    def stop(self) -> None:
        """Stop the daemon in good order; containers stop too."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the daemon; containers stay."""
        self._end(signal.SIGKILL)

    def hang(self) -> None:
        """Let the daemon accept connections and answer nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Wake a hung daemon."""
        os.kill(self.pid, signal.SIGCONT)

    def give_to(self, host: LabHost, *, client: bool = False) -> None:
        """Show socket and data root in a host, the data root under the path that the daemon itself names.

        The command line client, if wanted, is this machine's and needs a host of its own age.
        """
        self._hosts.append(host)
        if client:
            host.bind(str(shutil.which("docker")), "/usr/bin/docker", read_only=True)
        host.bind(self.data_root, str(self.data_root))
        if self.disk:
            host.bind(self.disk.mount_point, str(self.disk.mount_point))
        self._show_socket(host)

    def image(
        self,
        tag: str | None = "lab:1",
        *,
        built_days_ago: float = 0,
        arrived_days_ago: float = 0,
        labels: Mapping[str, str] | None = None,
        size_bytes: int = 4096,
        seed: str = "",
    ) -> Image:
        """Load an image that can run /bin/sh; its build date and its arrival here are told apart. No tag: dangling."""
        built = datetime.now(UTC) - timedelta(days=built_days_ago)
        name = tag or f"dangling:{hashlib.sha256(seed.encode()).hexdigest()[:12]}"
        archive = image_archive(name, built, dict(labels or {}), size_bytes, seed or name)
        image = self.client.images.load(archive)[0]
        if tag is None:
            self._untag(image, name)
        if arrived_days_ago:
            self.age_image(image, arrived_days_ago)
        return self.client.images.get(str(image.id))

    def age_image(self, image: Image, days: float) -> None:
        """Move into the past what tells of an image's arrival: last tag time, and the date of its record."""
        arrived = datetime.now(UTC) - timedelta(days=days)
        database = self.data_root / "image" / self._driver() / "imagedb"
        digest = str(image.id).partition(":")[2]
        os.utime(database / "content/sha256" / digest, (arrived.timestamp(), arrived.timestamp()))
        record = database / "metadata/sha256" / digest
        record.mkdir(parents=True, exist_ok=True)
        (record / "lastUpdated").write_text(arrived.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))

    def container(
        self, image: Image | str, command: str = "exec sleep 1000000", *, start: bool = True, **more: Any
    ) -> Container:
        """A container without network, running unless told otherwise."""
        words = ["/bin/sh", "-c", command]
        made = self.client.containers.create(image, words, network_mode="none", **more)
        if start:
            made.start()
        return made

    def volume(self, name: str | None = None, files: Mapping[str, bytes] | None = None, **more: Any) -> Volume:
        """A volume with files in it."""
        volume = self.client.volumes.create(name, **more)
        for path, content in (files or {}).items():
            target = Path(volume.attrs["Mountpoint"]) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return volume

    def swarm(self, address: str) -> None:
        """Make the daemon a swarm of one, listening on an address of the lab; services with 0 replicas are enough."""
        self._made_bridge = not SWARM_BRIDGE.exists()
        self.client.swarm.init(advertise_addr="127.0.0.1", listen_addr=f"{address}:2377")

    def close(self) -> None:
        """Stop everything and remove it."""
        with contextlib.suppress(Exception):
            for container in self.client.containers.list(all=True):
                container.remove(force=True)
            self.client.swarm.leave(force=True)
        self.stop()
        if self._made_bridge and SWARM_BRIDGE.exists():
            run(["ip", "link", "delete", SWARM_BRIDGE.name])
        end_processes_of(self.directory)  # containers that a killed daemon left
        unmount_below(self.directory)
        remove_tree(self.directory)

    def _argv(self) -> list[str]:
        return [
            "dockerd", "--data-root", str(self.data_root), "--exec-root", str(self.directory / "exec"),
            "--pidfile", str(self.directory / "dockerd.pid"), "--host", f"unix://{self.socket}",
            "--config-file", str(self._configuration()), "--iptables=false", "--ip6tables=false",
            "--ip-forward=false", "--ip-masq=false", "--bridge=none", "--shutdown-timeout=5",
        ]  # fmt: skip

    def _configuration(self) -> Path:
        """An empty file, so that this machine's own daemon.json has no say."""
        path = self.directory / "daemon.json"
        path.write_text("{}")
        return path

    def _answers(self) -> bool:
        if self._process and self._process.poll() is not None:
            raise LabError(f"dockerd ended: {(self.directory / 'dockerd.log').read_text()[-2000:]}")
        with contextlib.suppress(Exception):
            return bool(self.client.ping())
        return False

    def _end(self, by: signal.Signals) -> None:
        if not self._process:
            return
        containerd = self._containerd_pid()
        for sign in (signal.SIGCONT, by):
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(sign)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process = None
        (self.directory / "dockerd.pid").unlink(missing_ok=True)
        if containerd and process_started(containerd):
            os.kill(containerd, signal.SIGTERM)
            wait_until(lambda: process_started(containerd) is None, "containerd ends", 20)
        self._containerd_pid_file.unlink(missing_ok=True)

    @property
    def _containerd_pid_file(self) -> Path:
        return self.directory / "exec/containerd/containerd.pid"

    def _containerd_pid(self) -> int:
        try:
            return int(self._containerd_pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def _show_socket(self, host: LabHost) -> None:
        if not host.is_on():
            return
        while host.run(["umount", SOCKET], check=False).returncode == 0:
            continue
        host.binds = [pair for pair in host.binds if pair[1] != SOCKET]
        host.bind(self.socket, SOCKET)

    def _driver(self) -> str:
        return str(self.client.info()["Driver"])

    def _untag(self, image: Image, name: str) -> None:
        """An image loses its tag, as in life, when another takes it."""
        other = image_archive(name, datetime.now(UTC), {}, 16, name + " successor")
        self.client.images.load(other)
        self.client.images.remove(name, noprune=True)


def image_archive(tag: str, built: datetime, labels: dict[str, str], size_bytes: int, seed: str) -> bytes:
    """The bytes of `docker save` for an image with a shell, of any build date."""
    layers = [_programs_layer(), _tar({"payload": (seed.encode() + bytes(size_bytes))[:size_bytes] or seed.encode()})]
    digests = [hashlib.sha256(layer).hexdigest() for layer in layers]
    config = {
        "architecture": "amd64", "os": "linux", "created": built.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "config": {"Cmd": ["/bin/sh"], "StopSignal": "SIGKILL", "Labels": labels | {"lab.seed": seed}},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
    }  # fmt: skip
    data = json.dumps(config).encode()
    name = hashlib.sha256(data).hexdigest() + ".json"
    entries = [f"{digest}/layer.tar" for digest in digests]
    listing = json.dumps([{"Config": name, "RepoTags": [tag], "Layers": entries}]).encode()
    return _tar({name: data, "manifest.json": listing, **dict(zip(entries, layers, strict=True))})


def _programs_layer() -> bytes:
    """A shell and what it needs, out of a base."""
    root = base("bookworm")
    wanted = {program for name in PROGRAMS for program in (name, *_libraries(root, name))}
    return _tar({name.lstrip("/"): (root / name.lstrip("/")).read_bytes() for name in sorted(wanted)}, mode=0o755)


def _libraries(root: Path, program: str) -> list[str]:
    listing = run(["chroot", root, "ldd", program]).stdout
    return re.findall(r"(/\S+) \(0x", listing)


def _tar(files: Mapping[str, bytes], mode: int = 0o644) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return data.getvalue()
