"""Declared files are held against real ones: each state by itself, nothing followed, nothing waited for."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from maintenancebot.helper import frames
from maintenancebot.helper.drift import drift, drift_files
from maintenancebot.helper.host import facts

from ..conftest import SmallHost

TEXT = b"Port 22\nPermitRootLogin no\n"


def item(path: object, **wanted: Any) -> dict[str, Any]:
    name = frames.text(path) if isinstance(path, bytes) else str(path)
    return {"id": f"file:{name}", "kind": "file", "name": name, "wanted": {"state": "present", **wanted}}


def content(data: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


def scan(host: SmallHost, *items: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Findings by item; what is as declared is not among them."""
    answer = host.call("drift.drift.probe", {"items": list(items)})
    assert answer["state"] == "ok"
    found = {one["subject"]: one["data"] for one in answer["findings"]}
    assert answer["facts"] == {"items": len(items), "matches": len(items) - len(found)}
    return found


def one(host: SmallHost, path: object, **wanted: Any) -> dict[str, Any]:
    (found,) = scan(host, item(path, **wanted)).values()
    return found


def test_a_file_as_declared_is_only_counted(any_host: SmallHost) -> None:
    path = any_host.file("conf", TEXT, mode=0o600)
    assert scan(any_host, item(path, **content(TEXT), mode="0600", owner="root", group="0")) == {}
    assert scan(any_host, item(path)) == {}
    assert scan(any_host, item(path + b"-no", state="absent")) == {}


def test_content_mode_and_owner_differ_each_by_name(any_host: SmallHost) -> None:
    path = any_host.file("conf", TEXT + b"X11Forwarding yes\n")
    os.chown(path, 0, 12345)
    os.chmod(path, 0o4755)
    found = one(any_host, path, **content(TEXT), mode="0644", owner="root", group="root")
    assert (found["state"], found["differs"]) == ("differs", ["group", "mode", "sha256", "size"])
    assert found["found"] == {
        "state": "present",
        **content(TEXT + b"X11Forwarding yes\n"),
        "mode": "4755",
        "owner": "root",
        "group": "12345",
    }
    there = os.lstat(path)
    assert {key: found["identity"][key] for key in ("path", "dev", "ino", "mtime_ns")} == {
        "path": path.decode(),
        "dev": there.st_dev,
        "ino": there.st_ino,
        "mtime_ns": there.st_mtime_ns,
    }
    assert found["identity"]["sha256"] == found["found"]["sha256"]
    assert (found["explained"], found["diff"], found["writers"]["at"]) == ({}, [], int(there.st_ctime))


def test_missing_unexpected_link_and_special_are_states_of_their_own(any_host: SmallHost) -> None:
    logs = any_host.logs
    (logs / "link").symlink_to("/etc/shadow")
    (logs / "dangling").symlink_to("nowhere")
    (logs / "folder").mkdir()
    os.mkfifo(logs / "pipe")
    socket.socket(socket.AF_UNIX).bind(os.path.relpath(logs / "socket"))
    os.mknod(logs / "device", 0o20600, os.makedev(1, 3))
    any_host.file("there", TEXT)
    names = ("gone", "link", "dangling", "folder", "pipe", "socket", "device", "link/below", "there/below")
    found = scan(any_host, *(item(logs / name, **content(TEXT)) for name in names))
    assert [found[f"file:{logs}/{name}"]["state"] for name in names] == [
        *("missing", "link", "link", "special", "special", "special", "special", "link", "unreadable")
    ]
    assert found[f"file:{logs}/link"]["error"] == "leads to /etc/shadow"
    assert "sha256" not in found[f"file:{logs}/link"]["identity"]  # its target was not opened
    assert found[f"file:{logs}/pipe"]["error"] == "is a pipe"
    assert found[f"file:{logs}/link/below"]["error"] == f"{logs}/link is a link: declare the path that it leads to"
    unwanted = scan(any_host, *(item(logs / name, state="absent") for name in ("there", "link", "folder", "gone")))
    assert {name: told["state"] for name, told in unwanted.items()} == dict.fromkeys(
        (f"file:{logs}/{name}" for name in ("there", "link", "folder")), "unexpected"
    )
    assert unwanted[f"file:{logs}/there"]["identity"]["sha256"] == content(TEXT)["sha256"]


def test_hostile_names_are_compared_as_any_other(any_host: SmallHost) -> None:
    names = (b"new\nline", b"\xff\xfe\x80", b"<!channel>", b"x" * 255, "ünï".encode(), b"* ? [a]", b"\x1b[31m")
    paths = [any_host.file(name, TEXT) for name in names]
    assert scan(any_host, *(item(path, **content(TEXT)) for path in paths)) == {}
    found = scan(any_host, *(item(path, **content(b"")) for path in paths))
    assert [frames.raw(told["identity"]["path"]) for told in found.values()] == paths


def test_a_folder_that_may_never_answer_is_not_looked_at(host: SmallHost, monkeypatch: pytest.MonkeyPatch) -> None:
    path = host.file("nfs/conf", TEXT)
    rows = [{"path": os.path.dirname(path), "type": "nfs4"}, {"path": b"/", "type": "overlay"}]
    monkeypatch.setattr(facts, "mount_table", lambda: rows)
    monkeypatch.setattr(drift_files.walk, "descend", lambda *_: pytest.fail("looked at"))
    ((_, found),) = drift.look([item(path)])
    assert (found.state, found.error) == (
        "unreadable",
        "lies on a file system that another machine or process answers for",
    )


def test_a_file_that_changes_while_it_is_read_is_not_compared(host: SmallHost, monkeypatch: pytest.MonkeyPatch) -> None:
    path = host.file("busy", TEXT)
    real = os.read

    def read(fd: int, size: int) -> bytes:
        data = real(fd, size)
        if data == TEXT:
            os.truncate(path, 3)
        return data

    monkeypatch.setattr(drift_files.os, "read", read)
    ((_, found),) = drift.look([item(path, **content(TEXT))])
    assert (found.state, found.error) == ("unreadable", "it changes while it is read")


def test_a_large_file_of_another_size_is_not_read(host: SmallHost) -> None:
    path = host.file("large", b"")
    os.truncate(path, drift_files.HASHED + 1)
    found = one(host, path, **content(TEXT))
    assert (found["differs"], found["found"]["sha256"]) == (["sha256", "size"], "")


def test_a_large_file_that_should_not_be_there_is_not_read(host: SmallHost) -> None:
    path = host.file("large", b"")
    os.truncate(path, drift_files.HASHED + 1)
    found = one(host, path, state="absent")
    assert (found["state"], found["identity"]["sha256"]) == ("unexpected", "")


def test_a_file_that_takes_long_is_no_silence(host: SmallHost, monkeypatch: pytest.MonkeyPatch) -> None:
    path, doing = host.file("large", TEXT * 100), []
    monkeypatch.setattr(drift_files, "CHUNK", 8)
    monkeypatch.setattr(drift_files.walk, "ALIVE_SECONDS", 0)
    drift_files.look([item(path, **content(TEXT))], SimpleNamespace(alive=doing.append))
    assert doing.count("comparing files") > 100


def test_without_root_what_cannot_be_read_is_unreadable(host: SmallHost) -> None:
    path = host.file("secret", TEXT, mode=0o600)
    for folder in (host.logs, host.base, host.base.parent):
        folder.chmod(0o755)
    assert _by_nobody(item(path, **content(TEXT))) == ["unreadable", {}, {}]


def _by_nobody(wanted: dict[str, Any]) -> list[Any]:
    """What a process without any rights finds; the modules are loaded before, wherever they lie."""
    drift.look([wanted])
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setresuid(65534, 65534, 65534)
            ((_, found),) = drift.look([wanted])
            os.write(writing, json.dumps([found.state, found.found, found.identity]).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        told = answer.read()
    os.waitpid(child, 0)
    return json.loads(told)


def test_a_fault_of_ours_is_about_its_item_alone(host: SmallHost, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = item(host.file("good", TEXT)), item("/x")
    bad["wanted"] = None
    pairs = {one["id"]: found.state for one, found in drift.look([bad, good])}
    assert pairs == {bad["id"]: "unreadable", good["id"]: ""}


def test_a_key_that_nobody_compares_is_no_match(host: SmallHost) -> None:
    found = one(host, host.file("conf", TEXT), mode="0640", selinux="etc_t")
    assert (found["state"], found["error"]) == ("unreadable", "cannot be compared: selinux")


def test_looking_changes_no_access_time(host: SmallHost) -> None:
    path = host.file("conf", TEXT)
    os.utime(path, (1, 1))
    one(host, path, **content(b"other"))
    assert os.lstat(path).st_atime == 1


def test_line_ends_are_named_as_such(host: SmallHost) -> None:
    path = host.file("dos", TEXT.replace(b"\n", b"\r\n"))
    assert one(host, path, **content(TEXT))["error"] == "differs only in the ends of its lines"


class TestDiff:
    def told(self, host: SmallHost, here: bytes, wanted: bytes) -> list[str]:
        asked = item(host.file("conf", here), **content(wanted))
        asked["content"] = base64.b64encode(wanted).decode()
        (found,) = scan(host, asked).values()
        return found["diff"]

    def test_lines_around_are_told(self, any_host: SmallHost) -> None:
        wanted = b"a\nb\nPort 22\nc\nd\n"
        assert self.told(any_host, wanted.replace(b"22", b"2222"), wanted) == [
            *("--- here", "+++ declared", "@@ -2,3 +2,3 @@", " b", "-Port 2222", "+Port 22", " c")
        ]

    def test_without_content_nothing_is_told(self, host: SmallHost) -> None:
        assert one(host, host.file("conf", b"password=x"), **content(TEXT))["diff"] == []

    @pytest.mark.parametrize("line", ["token = {}", "{}", "x {} y", "https://u:{}@h/", '"k": "{}"', "/{}", "a={};"])
    def test_a_random_secret_is_not_told(self, host: SmallHost, line: str) -> None:
        from random import Random

        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
        secrets = ["".join(Random(seed).choices(letters, k=40)) for seed in range(100)]
        here = "\n".join(line.format(secret) for secret in secrets)
        told = "\n".join(self.told(host, here.encode() + b"\nmore\n", b"Port 22\n"))
        assert told
        assert [secret for secret in secrets if secret[:20] in told or secret[-20:] in told] == []

    @pytest.mark.parametrize("line", ["auth_pass {}", "pass\t{}", "BINDPW {}", "snmp community {}", 'secret "{}";'])
    def test_a_secret_after_its_name_and_a_blank_is_not_told(self, host: SmallHost, line: str) -> None:
        told = self.told(host, line.format("geheim").encode() + b"\nmore\n", b"Port 22\n")
        assert "geheim" not in "\n".join(told)

    @pytest.mark.parametrize(
        "line",
        [
            "proxy_pass http://app;",
            "proxy_cache_bypass $http_upgrade;",
            "PasswordAuthentication no",
            "password requisite pam_pwquality.so",
            "-password [success=1 default=ignore] pam_unix.so",
            "passwd: files sss",
        ],
    )
    def test_what_only_speaks_of_secrets_is_told(self, host: SmallHost, line: str) -> None:
        assert f"-{line}" in self.told(host, line.encode() + b"\nmore\n", b"Port 22\n")

    def test_a_private_key_is_not_told_in_parts(self, host: SmallHost, tmp_path: Path) -> None:
        key = tmp_path / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        told = "\n".join(self.told(host, key.read_bytes(), b"nothing\n"))
        assert [line for line in key.read_text().splitlines()[1:-1] if line in told] == []

    @pytest.mark.parametrize(
        ("here", "words"),
        [
            (b"\x00\x01" * 9, ["(not text: 18 bytes here, 8 declared)"]),
            (b"x\n" * 200000, ["(too large: 400000 bytes here, 8 declared)"]),
            (b"x\n" * 5000, ["(too long: 5000 lines here, 1 declared)"]),
            (b"Port 22\r\n", ["(differs only in how its lines end)"]),
        ],
    )
    def test_what_is_no_text_of_a_person_is_counted(self, host: SmallHost, here: bytes, words: list[str]) -> None:
        assert self.told(host, here, b"Port 22\n") == words

    def test_it_has_an_end(self, host: SmallHost) -> None:
        told = self.told(host, b"".join(b"word %d %s\n" % (n, b"y " * 300) for n in range(300)), b"")
        assert len(told) == 61
        assert max(map(len, told)) == 200
        assert told[-1].startswith("(and ")

    def test_only_what_is_hidden_differs(self, host: SmallHost) -> None:
        told = self.told(host, b"password = hunter2secret\n", b"password = swordfish99\n")
        assert told == ["(differs only in what is hidden)"]
