"""Real Alertmanagers and a real Prometheus, which send to a webhook; and the metrics of one file system for them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.lab.tools import LabError, remove_tree, wait_until

HOST = "127.0.0.1"


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server((HOST, 0)) as listening:
        return int(listening.getsockname()[1])


class Program:
    """A program that runs until it is closed, with its files in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"http://{HOST}:{self.port}"

    def run(self, argv: list[str], ready: str) -> None:
        """Start it and wait until it answers at a path."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_until(lambda: self._answers(ready), f"{argv[0]} answers, see {self.directory}/log")

    def _answers(self, path: str) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise LabError(f"ended {self._process.returncode}: {(self.directory / 'log').read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def close(self) -> None:
        """End it and remove its files."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        remove_tree(self.directory)


class Alertmanager(Program):
    """One Alertmanager that sends every alert to one webhook at once; with peers it is one of a cluster."""

    def __init__(self, directory: Path, webhook: str, token: str) -> None:
        super().__init__(directory)
        self.cluster_port = free_port()
        receiver = {
            "url": webhook,
            "max_alerts": 100,
            "http_config": {"authorization": {"credentials": token}},
        }
        route = {
            "receiver": "maintenancebot",
            "group_by": ["alertname", "instance"],
            "group_wait": "0s",
            "group_interval": "1s",
            "repeat_interval": "1s",
        }
        document = {"route": route, "receivers": [{"name": "maintenancebot", "webhook_configs": [receiver]}]}
        (self.directory / "alertmanager.yml").write_text(yaml.safe_dump(document))

    def start(self, *peers: Alertmanager) -> Alertmanager:
        """Start it, beside others of its cluster."""
        argv = [
            "prometheus-alertmanager",
            f"--config.file={self.directory}/alertmanager.yml",
            f"--storage.path={self.directory}/data",
            f"--web.listen-address={HOST}:{self.port}",
            f"--cluster.listen-address={HOST}:{self.cluster_port}" if peers else "--cluster.listen-address=",
        ]
        if peers:
            argv += [f"--cluster.advertise-address={HOST}:{self.cluster_port}", "--cluster.settle-timeout=1s"]
            argv += [f"--cluster.peer={HOST}:{peer.cluster_port}" for peer in peers]
        self.run(argv, "/-/ready")
        return self

    def send(self, labels: Mapping[str, str], *, starts_at: str) -> None:
        """Give it an alert, as Prometheus does."""
        body = json.dumps([{"labels": dict(labels), "startsAt": starts_at}]).encode()
        request = urllib.request.Request(
            f"{self.url}/api/v2/alerts", body, {"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            if answer.status != 200:
                raise LabError(f"Alertmanager answered {answer.status}")


RULE = {
    "alert": "NodeFilesystemAlmostOutOfSpace",
    "expr": "node_filesystem_avail_bytes / node_filesystem_size_bytes < 0.15",
    "labels": {"severity": "critical"},
    "annotations": {"summary": "{{ $labels.mountpoint }} of {{ $labels.instance }} is nearly full"},
}


class Prometheus(Program):
    """A Prometheus that scrapes one exporter each second and sends alerts to some Alertmanagers."""

    def __init__(self, directory: Path, exporter: Exporter, *alertmanagers: Alertmanager) -> None:
        super().__init__(directory)
        (self.directory / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "disks", "rules": [RULE]}]}))
        relabel = {"target_label": "instance", "replacement": exporter.instance}
        targets = [f"{HOST}:{one.port}" for one in alertmanagers]
        document = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [f"{self.directory}/rules.yml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": targets}]}]},
            "scrape_configs": [
                {
                    "job_name": "node",
                    "relabel_configs": [relabel],
                    "static_configs": [{"targets": [f"{HOST}:{exporter.port}"]}],
                }
            ],
        }
        (self.directory / "prometheus.yml").write_text(yaml.safe_dump(document))

    def start(self) -> Prometheus:
        """Start it."""
        argv = [
            "prometheus",
            f"--config.file={self.directory}/prometheus.yml",
            f"--storage.tsdb.path={self.directory}/data",
            f"--web.listen-address={HOST}:{self.port}",
        ]
        self.run(argv, "/-/ready")
        return self


class Exporter:
    """Serves the size of one file system as a node exporter of its host would."""

    def __init__(self, instance: str, mount: str, seen_here: Path) -> None:
        self.instance = instance
        labels = f'device="/dev/loop0",fstype="ext4",mountpoint="{mount}"'

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                told = os.statvfs(seen_here)
                rows = [("avail", told.f_bavail * told.f_frsize), ("size", told.f_blocks * told.f_frsize)]
                text = "".join(f"node_filesystem_{name}_bytes{{{labels}}} {value}\n" for name, value in rows)
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
