"""A local ACME authority (Pebble) with its own DNS, and web servers in hosts that use it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from cryptography import x509

from tests.lab import addresses
from tests.lab.certificates import authority, certificate
from tests.lab.hosts import LabHost
from tests.lab.tools import LabError, remove_tree, wait_until

ACME_PORT, MANAGEMENT_PORT, DNS_PORT, DNS_MANAGEMENT_PORT = 14000, 15000, 8053, 8055
PLAIN_SITE = """\
server {{
    listen {address}:80;
    server_name {name};
    location /.well-known/acme-challenge/ {{ root /var/www/acme; }}
}}
"""
TLS_SITE = """\
server {{
    listen {address}:443 ssl;
    server_name {name};
    ssl_certificate /etc/letsencrypt/live/{name}/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/{name}/privkey.pem;
}}
"""


class Acme:
    """Pebble and its DNS on a loopback address; certificates from it need no waiting and no internet."""

    def __init__(self, directory: Path, *, validity_days: float = 90) -> None:
        self.directory = directory.resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.address = addresses.claim(ACME_PORT)
        self.validity_days = validity_days
        self.root = authority("Lab ACME API")
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        """The directory URL for ACME clients."""
        return f"https://{self.address}:{ACME_PORT}/dir"

    def start(self) -> Acme:
        """Start both programs and wait until they answer."""
        dns = f"{self.address}:{DNS_PORT}"
        listens = ["-dns01", dns, "-management", f"{self.address}:{DNS_MANAGEMENT_PORT}"]
        silent = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv4", "", "-defaultIPv6", ""]
        self._launch("pebble-challtestsrv", *listens, *silent)
        self._launch("pebble", "-config", str(self._configuration()), "-dnsserver", dns)
        wait_until(self._answers, "pebble answers")
        return self

    def stop(self) -> None:
        """Stop both programs; the authority forgets its accounts and orders."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(10)
        self._processes.clear()

    def close(self) -> None:
        """Stop for good and remove the files."""
        self.stop()
        addresses.release(self.address)
        remove_tree(self.directory)

    def resolve(self, name: str, address: str) -> None:
        """Let a host name point to an address, for the authority's eyes."""
        order = json.dumps({"host": name, "addresses": [address]}).encode()
        for action in ("clear-a", "add-a"):
            urllib.request.urlopen(f"http://{self.address}:{DNS_MANAGEMENT_PORT}/{action}", order, timeout=5).close()

    def issuer_pem(self) -> bytes:
        """The root under which certificates are issued; a new one at each start."""
        return self._get(f"https://{self.address}:{MANAGEMENT_PORT}/roots/0")

    def trust(self, host: LabHost) -> None:
        """Let a host trust the authority's API and its certificates."""
        host.write("/usr/local/share/ca-certificates/lab-api.crt", self.root.pem)
        host.write("/usr/local/share/ca-certificates/lab-issuer.crt", self.issuer_pem())
        host.run(["update-ca-certificates", "--fresh"])

    def obtain(self, host: LabHost, name: str, *more: str) -> None:
        """Get a first certificate in a `web` host by certbot: from a running nginx's webroot, else standalone."""
        self.trust(host)
        self.resolve(name, host.address)
        how = ["--standalone", "--http-01-address", host.address]
        if host.run(["systemctl", "is-active", "nginx"], check=False).returncode == 0:
            how = ["--webroot", "--webroot-path", "/var/www/acme"]
        fixed = ["--non-interactive", "--agree-tos", "--register-unsafely-without-email", "--server", self.url]
        host.run(["certbot", "certonly", *fixed, *how, "--domain", name, *more])

    def equip(self, host: LabHost, name: str) -> None:
        """Let a `web` host serve `name` over TLS with a certificate from here, renewable through its webroot."""
        web_site(host, name)
        self.obtain(host, name)
        web_site(host, name)

    def _configuration(self) -> Path:
        pair = certificate(self.address, "localhost", issuer=self.root)
        (self.directory / "api.pem").write_bytes(pair.pem)
        (self.directory / "api.key").write_bytes(pair.key_pem)
        (self.directory / "ca.pem").write_bytes(self.root.pem)
        said: dict[str, Any] = {
            "listenAddress": f"{self.address}:{ACME_PORT}",
            "managementListenAddress": f"{self.address}:{MANAGEMENT_PORT}",
            "certificate": str(self.directory / "api.pem"), "privateKey": str(self.directory / "api.key"),
            "httpPort": 80, "tlsPort": 443, "ocspResponderURL": "", "externalAccountBindingRequired": False,
            "certificateValidityPeriod": int(self.validity_days * 86400),
        }  # fmt: skip
        path = self.directory / "pebble.json"
        path.write_text(json.dumps({"pebble": said}))
        return path

    def _launch(self, *argv: str) -> None:
        environment = os.environ | {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
        with (self.directory / f"{argv[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                argv, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._processes.append(process)

    def _answers(self) -> bool:
        if any(process.poll() is not None for process in self._processes):
            raise LabError(f"pebble ended: see the logs in {self.directory}")
        with contextlib.suppress(OSError):
            return bool(self._get(self.url)) and bool(self.issuer_pem())
        return False

    def _get(self, url: str) -> bytes:
        trust = ssl.create_default_context(cafile=self.directory / "ca.pem")
        with urllib.request.urlopen(url, timeout=5, context=trust) as answer:
            data: bytes = answer.read()
        return data


def web_site(host: LabHost, name: str) -> None:
    """Let nginx serve `name` on the host's own address: port 80, and 443 once certbot has a lineage of that name."""
    has_lineage = host.path(f"/etc/letsencrypt/live/{name}/fullchain.pem").exists()
    template = PLAIN_SITE + (TLS_SITE if has_lineage else "")
    host.write(f"/etc/nginx/sites-enabled/{name}", template.format(address=host.address, name=name))
    host.path("/var/www/acme").mkdir(parents=True, exist_ok=True)
    host.run(["nginx", "-t"])
    host.run(["systemctl", "reload-or-restart", "nginx"])
    wait_until(lambda: _listens(host.address, 443 if has_lineage else 80), f"nginx of {host.name} listens")


def served(address: str, port: int = 443, name: str | None = None) -> x509.Certificate:
    """The certificate that a port shows now, whatever it is worth."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((address, port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        return x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b"")


def _listens(address: str, port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection((address, port), timeout=1).close()
        return True
    return False
