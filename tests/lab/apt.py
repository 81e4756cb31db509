"""Apt repositories of our own packages: any origin, label, suite, version, maintainer script, conffile and service."""

from __future__ import annotations

import functools
import http.server
import shutil
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

from tests.lab import addresses
from tests.lab.hosts import LabHost
from tests.lab.tools import LabError, remove_tree, run

HTTP_PORT = 80
RESTART = """\
#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl enable --quiet {units}
    systemctl restart {units}
fi
"""


@dataclass(frozen=True)
class Package:
    """What goes into one .deb; `files` maps absolute paths to content, `scripts` names like postinst to shell text."""

    name: str
    version: str = "1.0"
    depends: str = ""
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    modes: Mapping[str, int] = field(default_factory=dict)
    conffiles: Mapping[str, str | bytes] = field(default_factory=dict)
    scripts: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, str] = field(default_factory=dict)  # unit name: the ExecStart line or a whole unit
    fields: Mapping[str, str] = field(default_factory=dict)  # more control fields, e.g. Phased-Update-Percentage
    size_bytes: int = 0  # padding, to make a package large


@dataclass(frozen=True)
class Identity:
    """What a Release file says of its archive."""

    origin: str
    label: str
    suite: str
    codename: str


def security(codename: str = "bookworm", suite: str = "stable") -> Identity:
    """The identity of Debian's security archive."""
    return Identity("Debian", "Debian-Security", f"{suite}-security", f"{codename}-security")


def main(codename: str = "bookworm", suite: str = "stable") -> Identity:
    """The identity of Debian's main archive."""
    return Identity("Debian", "Debian", suite, codename)


def updates(codename: str = "bookworm", suite: str = "stable") -> Identity:
    """The identity of Debian's stable-updates archive."""
    return Identity("Debian", "Debian", f"{suite}-updates", f"{codename}-updates")


FOREIGN = Identity("Example Corp", "Example Corp tools", "stable", "stable")


class Repository:
    """A repository in a directory; publish packages, then attach it to hosts."""

    def __init__(self, directory: Path, identity: Identity, *, signed: bool = False) -> None:
        self.directory = directory.resolve()
        self.identity = identity
        self.signed = signed
        self._server: http.server.ThreadingHTTPServer | None = None
        self._address = ""
        self._keys = tempfile.mkdtemp(prefix="lab-gpg-") if signed else ""  # short, for the agent's socket
        self._pool.mkdir(parents=True, exist_ok=True)
        if signed:
            self._make_key()
        self.index()

    @property
    def _pool(self) -> Path:
        return self.directory / "pool/main"

    @property
    def _dist(self) -> Path:
        return self.directory / "dists" / self.identity.codename

    def publish(self, *packages: Package) -> list[Path]:
        """Add packages, older versions stay, and renew the index."""
        built = [build(package, self._pool) for package in packages]
        self.index()
        return built

    def withdraw(self, name: str, version: str) -> None:
        """Take a version away, as archives do with the one before the newest."""
        deb_path(self._pool, name, version).unlink()
        self.index()

    def index(self, *, dated: datetime | None = None, valid_for: timedelta | None = None) -> None:
        """Write Packages and Release; `dated` and `valid_for` make archives from the future or expired ones."""
        binary = self._dist / "main/binary-amd64"
        binary.mkdir(parents=True, exist_ok=True)
        listing = run(["env", "-C", self.directory, "dpkg-scanpackages", "--multiversion", "pool"]).stdout
        (binary / "Packages").write_text(listing)
        run(["gzip", "--keep", "--force", "--no-name", binary / "Packages"])
        self._release(dated or datetime.now(UTC), valid_for)

    def attach(self, host: LabHost, *, over_http: bool = False, alone: bool = True, refresh: bool = True) -> None:
        """Make it a source of the host, the only one unless told otherwise, and load its package list."""
        name = f"{self.directory.name}-{self.identity.codename}"
        if alone:
            remove_sources(host)
        place = f"/srv/apt/{name}"
        if not over_http and (str(self.directory), place) not in {tuple(pair) for pair in host.binds_ro}:
            host.bind(self.directory, place, read_only=True)
        uri = self.serve() if over_http else f"file:{place}"
        trust = "trusted=yes"
        if self.signed:
            trust = f"signed-by=/usr/share/keyrings/{name}.gpg"
            host.write(f"/usr/share/keyrings/{name}.gpg", (self.directory / "key.gpg").read_bytes())
        host.write(f"/etc/apt/sources.list.d/{name}.list", f"deb [{trust}] {uri} {self.identity.codename} main\n")
        if refresh:
            update(host)

    def serve(self) -> str:
        """Serve over HTTP on an own loopback address; idempotent."""
        if not self._server:
            self._address = self._address or addresses.claim(HTTP_PORT)
            handler = functools.partial(_Quiet, directory=str(self.directory))
            self._server = http.server.ThreadingHTTPServer((self._address, HTTP_PORT), handler)
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://{self._address}"

    def go_down(self) -> None:
        """Stop serving: the mirror refuses connections until `serve` is called again."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def close(self) -> None:
        """Stop serving for good and remove the files."""
        self.go_down()
        if self._address:
            addresses.release(self._address)
        if self._keys:
            remove_tree(Path(self._keys))
        remove_tree(self.directory)

    def _release(self, dated: datetime, valid_for: timedelta | None) -> None:
        said = {"Origin": self.identity.origin, "Label": self.identity.label, "Suite": self.identity.suite}
        said |= {"Codename": self.identity.codename, "Architectures": "amd64 all", "Components": "main"}
        said["Date"] = _release_date(dated)
        options = [word for key, value in said.items() for word in ("-o", f"APT::FTPArchive::Release::{key}={value}")]
        for old in ("Release", "InRelease"):
            (self._dist / old).unlink(missing_ok=True)
        text = run(["apt-ftparchive", *options, "release", self._dist]).stdout
        if valid_for is not None:
            text = f"Valid-Until: {_release_date(dated + valid_for)}\n{text}"
        (self._dist / "Release").write_text(text)
        if self.signed:
            self._gpg("--clearsign", "--output", str(self._dist / "InRelease"), str(self._dist / "Release"))

    def _make_key(self) -> None:
        self._gpg("--passphrase", "", "--quick-generate-key", "Lab <lab@example.org>", "ed25519", "sign", "never")
        self._gpg("--output", str(self.directory / "key.gpg"), "--export")

    def _gpg(self, *arguments: str) -> None:
        run(["gpg", "--homedir", self._keys, "--batch", "--yes", "--quiet", "--pinentry-mode", "loopback", *arguments])
        run(["gpgconf", "--homedir", self._keys, "--kill", "gpg-agent"])


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """A file server that keeps silent."""

    def log_message(self, format: str, *args: object) -> None:  # named so by the base class
        """Say nothing."""


def build(package: Package, directory: Path) -> Path:
    """Make the .deb of a package."""
    target = deb_path(directory, package.name, package.version)
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch)
        tree.chmod(0o755)
        for path, content in _contents(package).items():
            _put(tree / path.lstrip("/"), content, package.modes.get(path, 0o644))
        control = tree / "DEBIAN"
        control.mkdir()
        (control / "control").write_text(_control(package))
        (control / "conffiles").write_text("".join(f"{path}\n" for path in package.conffiles))
        for name, script in _scripts(package).items():
            _put(control / name, script, 0o755)
        run(["dpkg-deb", "--build", "--root-owner-group", "-Zgzip", "-z1", tree, target])
    return target


def deb_path(directory: Path, name: str, version: str) -> Path:
    """Where a version's .deb lies; epochs are left out of file names."""
    return directory / f"{name}_{version.partition(':')[2] or version}_all.deb"


def install(host: LabHost, *packages: Package) -> None:
    """Install packages with dpkg, as if they had always been there."""
    with tempfile.TemporaryDirectory() as scratch:
        for package in packages:
            deb = build(package, Path(scratch))
            shutil.copy(deb, host.path(f"/var/cache/{deb.name}"))
            try:
                host.run(["dpkg", "--install", f"/var/cache/{deb.name}"])
            finally:
                host.path(f"/var/cache/{deb.name}").unlink()


def update(host: LabHost) -> str:
    """Load the package lists; raises LabError when a source failed."""
    done = host.run(["apt-get", "update", "-o", "Acquire::Retries=0"], check=False)
    if done.returncode or "\nW:" in done.stderr or done.stderr.startswith("W:"):
        raise LabError(f"apt-get update in {host.name}: {done.stderr}")
    return done.stdout


def remove_sources(host: LabHost) -> None:
    """Leave the host without any apt source or package list."""
    host.write("/etc/apt/sources.list", "")
    for old in host.path("/etc/apt/sources.list.d").iterdir():
        old.unlink()
    host.run(["sh", "-c", "rm -rf /var/lib/apt/lists/*"])


def installed(host: LabHost, name: str) -> str:
    """The installed version of a package, empty if it is not."""
    return host.run(["dpkg-query", "-W", "-f", "${Version}", name], check=False).stdout.strip()


def _release_date(when: datetime) -> str:
    return format_datetime(when.astimezone(UTC)).replace("+0000", "UTC")


def _control(package: Package) -> str:
    said = {"Package": package.name, "Version": package.version, "Architecture": "all", "Section": "misc"}
    said |= {"Priority": "optional", "Maintainer": "Lab <lab@example.org>", "Depends": package.depends}
    said["Description"] = f"package {package.name} of the lab"
    said |= package.fields
    return "".join(f"{key}: {value}\n" for key, value in said.items() if value)


def _contents(package: Package) -> dict[str, str | bytes]:
    contents = {**package.files, **package.conffiles}
    for unit, text in package.services.items():
        contents[f"/lib/systemd/system/{unit}"] = text if "[" in text else _unit(package, text)
    contents[f"/usr/share/doc/{package.name}/VERSION"] = package.version + "\n"
    if package.size_bytes:
        contents[f"/usr/share/{package.name}/padding"] = bytes(package.size_bytes)
    return contents


def _unit(package: Package, command: str) -> str:
    lines = ["[Unit]", f"Description={package.name} {package.version}", "[Service]", f"ExecStart={command}"]
    return "\n".join([*lines, "[Install]", "WantedBy=multi-user.target", ""])


def _scripts(package: Package) -> dict[str, str]:
    scripts = {name: "#!/bin/sh\nset -e\n" + text + "\n" for name, text in package.scripts.items()}
    if package.services and "postinst" not in scripts:
        units = " ".join(package.services)
        scripts["postinst"] = RESTART.format(units=units)
        scripts.setdefault("prerm", f'#!/bin/sh\n[ "$1" != remove ] || systemctl disable --now --quiet {units}\n')
    return scripts


def _put(path: Path, content: str | bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
