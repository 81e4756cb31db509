"""Pinned host keys: our own known_hosts file, read line by line, changed only by `hosts trust`."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import paramiko
from paramiko.hostkeys import HostKeyEntry, InvalidHostKey

from maintenancebot.errors import ConfigurationError, Fault


@dataclass(frozen=True)
class PinnedKeys:
    """The keys one address may show, and those it must never show."""

    keys: tuple[paramiko.PKey, ...]
    revoked: tuple[paramiko.PKey, ...] = ()


def server_name(address: str, port: int) -> str:
    """The name OpenSSH files a server under."""
    return address if port == 22 else f"[{address}]:{port}"


def fingerprint(key: paramiko.PKey) -> str:
    """The SHA-256 fingerprint as ssh-keygen prints it."""
    digest = hashlib.sha256(key.asbytes()).digest()
    return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")


class KnownHosts:
    """A known_hosts file in OpenSSH's format: plain and hashed names, `[host]:port`, `@revoked`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._plain: dict[str, list[paramiko.PKey]] = {}
        self._hashed: list[HostKeyEntry] = []
        self._revoked: list[paramiko.PKey] = []
        self._read()

    def pinned(self, address: str, port: int) -> PinnedKeys:
        """What is pinned for an address; empty means unknown."""
        name = server_name(address, port)
        keys = list(self._plain.get(name, ()))
        for entry in self._hashed:
            if _is(entry.hostnames[0], name):
                keys.append(entry.key)
        return PinnedKeys(tuple(keys), tuple(self._revoked))

    def pin_line(self, line: str) -> None:
        """Pin a known_hosts line in place of all that were pinned for its name; the file is replaced whole."""
        name = line.split(" ", 1)[0]
        kept = [rest for old in self._lines() if (rest := _without(old, name)) is not None]
        kept.append(line)
        self._replace("\n".join(kept) + "\n")
        self._plain, self._hashed, self._revoked = {}, [], []
        self._read()

    def _replace(self, text: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=".known_hosts.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            Path(temporary).replace(self.path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _lines(self) -> list[str]:
        try:
            return self.path.read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError([Fault(str(self.path), 0, 0, f"cannot be read: {error}")]) from error

    def _read(self) -> None:
        for number, line in enumerate(self._lines(), 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            mark, _, rest = text.replace("\t", " ").partition(" ") if text.startswith("@") else ("", "", text)
            if mark in ("", "@revoked"):  # certificate authorities: not supported, so such hosts stay unknown
                self._add(rest.strip(), mark == "@revoked", number)

    def _add(self, text: str, revoked: bool, number: int) -> None:
        try:
            entry = HostKeyEntry.from_line(text, number)
        except (InvalidHostKey, paramiko.SSHException, ValueError):
            entry = None
        if entry is None or entry.key is None:
            return  # a key type that this version does not know: the host stays unknown, others are not lost
        if revoked:
            self._revoked.append(entry.key)
            return
        for name in entry.hostnames:
            if name.startswith("|1|"):
                self._hashed.append(HostKeyEntry([name], entry.key))
            else:
                self._plain.setdefault(name, []).append(entry.key)


def _without(line: str, name: str) -> str | None:
    """A line without one of its names; None when no name is left."""
    fields = line.split(None, 1)
    if len(fields) < 2 or fields[0].startswith(("#", "@")):
        return line
    names = fields[0].split(",")
    others = [one for one in names if not _is(one, name)]
    if len(others) == len(names):
        return line
    return f"{','.join(others)} {fields[1]}" if others else None


def _is(entry: str, name: str) -> bool:
    """Whether a known_hosts name, plain or hashed, is this one; a damaged hash is nobody's."""
    if not entry.startswith("|1|"):
        return entry == name
    try:
        return paramiko.HostKeys.hash_host(name, entry) == entry
    except (ValueError, AssertionError, IndexError):
        return False
