"""Declared users, groups, authorized keys and crontabs, held against what a host has."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from maintenancebot.helper.drift import drift_accounts, drift_crontabs, drift_files, drift_keys
from maintenancebot.helper.host import accounts
from maintenancebot.settings import baseline_values

from .test_drift_kinds import look, verdict

PASSWD = (
    "root:x:0:0:root:/root:/bin/bash\nadm:x:3:4::/var/adm:/usr/sbin/nologin\ntoor:x:0:0::/root:/bin/sh\nbroken\n"
    "bad:x:zero:0::/:/\nalice:x:1000:1000:Alice:/home/alice:/bin/bash\n+nis\n"
)
GROUP = "root:x:0:\nadm:x:4:alice,bob\nalice:x:1000:\nsudo:x:27:alice\n"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPk6eYMFf5NSl{}fCn3Xv0y3sKgkpBm2Hq0V1mXo+ab"
ONE, OTHER, THIRD = (KEY.format(letter) for letter in "abc")


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = {
        "PASSWD": PASSWD.replace("/home", f"{tmp_path}/home"),
        "GROUP": GROUP,
        "SHADOW": "root:$y$j9T$abc:1::::::\nalice:!$y$x:1::::::\nadm:*:1::::::\n",
        "SWITCH": "passwd: files systemd\ngroup: files [SUCCESS=merge] sss\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(accounts, name, str(tmp_path / name))
    monkeypatch.setattr(drift_keys, "CONFIGURATION", (str(tmp_path / "sshd_config"),))
    (tmp_path / "home/alice/.ssh").mkdir(parents=True)
    return tmp_path


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("kind", "name", "wanted", "said"),
    [
        ("user", "alice", {"state": "present", "uid": 1000, "groups": ["sudo", "alice"], "locked": True}, ("", [])),
        ("user", "alice", {"shell": "/bin/zsh", "groups": ["docker"]}, ("differs", ["groups", "shell"])),
        ("user", "root", {"locked": True, "home": "/root"}, ("differs", ["locked"])),
        ("user", "adm", {"locked": True}, ("", [])),
        ("user", "alice", {"state": "absent"}, ("unexpected", ["state"])),
        ("user", "mallory", {"state": "present"}, ("missing", ["state"])),
        ("user", "mallory", {"state": "absent"}, ("", [])),
        ("group", "adm", {"gid": 4, "members": ["bob", "adm"]}, ("", [])),
        ("group", "adm", {"gid": 5, "members": ["root"]}, ("differs", ["gid", "members"])),
        ("group", "ldap", {"state": "present"}, ("unreadable", [])),
        ("group", "ldap", {"state": "absent"}, ("", [])),
    ],
)
def test_users_and_groups(kind: str, name: str, wanted: dict[str, Any], said: tuple[str, list[str]]) -> None:
    assert verdict(kind, name, **wanted) == said


def test_a_large_group_is_told_in_part(people: Path) -> None:
    (people / "GROUP").write_text("all:x:9:" + ",".join(f"u{n}" for n in range(5000)) + "\n")
    assert verdict("group", "all", members=["u4999"]) == ("", [])
    assert len(look("group", "all", members=["nobody"]).found["members"]) == 100


@pytest.mark.usefixtures("people")
def test_what_stands_for_a_password_is_not_told() -> None:
    found = look("user", "root", locked=True)
    assert "$y$" not in repr((found.found, found.identity, found.error))


def test_without_shadow_a_lock_is_unknown_and_the_rest_is_not(people: Path) -> None:
    (people / "SHADOW").unlink()
    assert verdict("user", "alice", locked=False) == ("unreadable", [])
    assert verdict("user", "alice", uid=1000) == ("", [])


@pytest.mark.usefixtures("people")
def test_names_of_numbers() -> None:
    names = accounts.Names()
    assert [names.user(0), names.user(0, "toor"), names.user(0, "0"), names.user(0, "alice"), names.user(77)] == [
        *("root", "toor", "0", "root", "77")
    ]
    assert drift_accounts.memberships(accounts.users()["alice"], accounts.groups()) == ["alice", "adm", "sudo"]


def keys_of(people: Path, *lines: str) -> None:
    (people / "home/alice/.ssh/authorized_keys").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("lines", "wanted", "said"),
    [
        ([f"{ONE} alice@laptop"], {"keys": [f"{ONE} other comment"]}, ("", [])),
        ([ONE, "# comment", "", OTHER], {"keys": [OTHER, ONE], "exclusive": True}, ("", [])),
        ([ONE, OTHER], {"keys": [ONE]}, ("", [])),
        ([ONE, OTHER], {"keys": [ONE], "exclusive": True}, ("differs", ["exclusive"])),
        ([ONE, OTHER], {"keys": [THIRD], "exclusive": True}, ("differs", ["exclusive", "keys"])),
        ([f'from="10.0.0.1",no-pty {ONE}'], {"keys": [f'no-pty,from="10.0.0.1" {ONE}']}, ("", [])),
        ([ONE], {"keys": [f"restrict {ONE}"]}, ("differs", ["keys"])),
        ([f"#{ONE}", "ssh-ed25519 not-a-key"], {"keys": [ONE]}, ("missing", ["keys"])),
        ([ONE], {"keys": [], "exclusive": True}, ("differs", ["exclusive"])),
        ([""], {"keys": [], "exclusive": True}, ("", [])),
    ],
)
def test_keys(people: Path, lines: list[str], wanted: dict[str, Any], said: tuple[str, list[str]]) -> None:
    keys_of(people, *lines)
    assert verdict("keys", "alice", **wanted) == said


@pytest.mark.parametrize(
    "line",
    [
        f'environment="A=\x0b" {OTHER}',
        f'environment="A=\x1c\x85" {OTHER}',
        rf'command="a\\" x" {OTHER}',
        rf'command="say \"a b\"" {OTHER}',
    ],
)
def test_no_odd_option_hides_a_key_that_sshd_lets_in(people: Path, line: str) -> None:
    keys_of(people, ONE, line)
    assert verdict("keys", "alice", keys=[ONE], exclusive=True) == ("differs", ["exclusive"])


def test_what_only_looks_like_a_line_of_its_own_lets_nobody_in(people: Path) -> None:
    keys_of(people, f"# was:\x0c{ONE}")
    assert verdict("keys", "alice", keys=[ONE]) == ("missing", ["keys"])


@pytest.mark.parametrize("line", [f"no-pty, no-x11-forwarding {ONE}", "ssh-ed25519 AAAAC3NzaC1lZDI1N"])
def test_a_declared_line_that_is_no_key_is_not_passed_over(people: Path, line: str) -> None:
    keys_of(people, ONE, OTHER)
    found = look("keys", "alice", keys=[ONE, line], exclusive=True)
    assert (found.state, found.error) == ("unreadable", "a declared line is no key as sshd would understand it")


def test_the_same_lines_are_keys_on_the_host_and_in_a_baseline() -> None:
    assert drift_keys.KEY.pattern == baseline_values.KEY.pattern


def test_whoever_another_service_may_know_is_not_said_to_be_missing(people: Path) -> None:
    assert verdict("keys", "mallory", keys=[], exclusive=True) == ("", []), "who is not there has no keys"
    (people / "SWITCH").write_text("passwd: files sss\n")
    assert verdict("keys", "mallory", keys=[ONE]) == ("unreadable", [])


def test_keys_on_a_file_system_that_may_never_answer_are_not_looked_at(
    people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys_of(people, ONE)
    row = {"type": "nfs4", "path": f"{people}/home".encode()}
    monkeypatch.setattr(drift_files.facts, "mount_table", lambda: [row])
    assert verdict("keys", "alice", keys=[ONE]) == ("unreadable", [])


def test_keys_are_told_by_their_fingerprints_and_what_their_options_hide_is_not(people: Path) -> None:
    keys_of(people, f'command="run --password hunter2secret" {ONE} a\x1b[31m')
    found = look("keys", "alice", keys=[OTHER], exclusive=True)
    assert found.found["extra"][0].startswith("command=")
    assert "ssh-ed25519 SHA256:" in found.found["extra"][0]
    assert "hunter2" not in repr(found.found)
    assert found.identity["path"] == f"{people}/home/alice/.ssh/authorized_keys"
    assert len(found.identity["sha256"]) == 64


@pytest.mark.usefixtures("people")
def test_keys_were_changed_when_the_last_of_their_files_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: str) -> tuple[SimpleNamespace, bytes]:
        return SimpleNamespace(st_ctime=7.0 + path.endswith("2"), st_dev=1, st_ino=2, st_mtime_ns=3), ONE.encode()

    monkeypatch.setattr(drift_keys, "read", read)
    assert look("keys", "alice", keys=[OTHER]).at == 8, "what another file holds is no change of ours"


def test_keys_where_sshd_looks_for_them(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (people / "sshd_config").write_text("Port 22\n  authorizedkeysfile /x\n")
    (people / "keys").write_text(ONE)
    monkeypatch.setattr(drift_keys, "_told_by_sshd", lambda name: f"{people}/keys %h/none" if name == "alice" else "")
    assert verdict("keys", "alice", keys=[ONE], exclusive=True) == ("", [])
    assert verdict("keys", "root", keys=[ONE]) == ("unreadable", [])


@pytest.mark.parametrize(
    ("text", "is_asked"),
    [
        ("Include /etc/ssh/sshd_config.d/*.conf\n", False),
        ("Include /etc/ssh/sshd_config.d/*.conf # Debian's\r\n", False),
        ("Include /etc/ssh/sshd_config.d/*.conf /etc/ssh/more\n", True),
        ("include=more/*.conf\n", True),
        ("# AuthorizedKeysFile /x\n", False),
    ],
)
def test_sshd_is_asked_where_another_file_may_say_where_keys_lie(people: Path, text: str, is_asked: bool) -> None:
    (people / "sshd_config").write_text(text)
    assert drift_keys.is_configured() is is_asked


def test_tokens_of_sshd_are_filled_in_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift_keys, "_told_by_sshd", lambda name: "/keys/%%h-%u %h/x none")
    user = SimpleNamespace(name="alice", home="/home/alice", uid=1000)
    assert drift_keys.files_of(user, True) == ["/keys/%h-alice", "/home/alice/x"]


def test_a_link_in_the_way_of_keys_is_not_followed(people: Path) -> None:
    (people / "home/alice/.ssh").rmdir()
    (people / "elsewhere").mkdir()
    (people / "elsewhere/authorized_keys").write_text(ONE)
    (people / "home/alice/.ssh").symlink_to(people / "elsewhere")
    assert verdict("keys", "alice", keys=[ONE]) == ("link", [])
    assert verdict("keys", "mallory", keys=[ONE]) == ("missing", ["keys"])


def test_crontabs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift_crontabs, "FOLDERS", (f"{tmp_path}/tabs",))
    lines = b"0 4 * * * /usr/local/bin/backup\n"
    wanted = {"state": "present", "sha256": hashlib.sha256(lines).hexdigest(), "size": len(lines)}
    assert look("crontab", "root", **wanted).error == "no folder of crontabs here: is cron installed?"
    (tmp_path / "tabs").mkdir()
    (tmp_path / "tabs/root").write_bytes(b"# DO NOT EDIT THIS FILE - edit the master\n# (x)\n# (y)\n" + lines)
    (tmp_path / "tabs/plain").write_bytes(lines)
    (tmp_path / "tabs/link").symlink_to("plain")
    (tmp_path / "tabs/folder").mkdir()
    assert verdict("crontab", "root", **wanted) == verdict("crontab", "plain", **wanted) == ("", [])
    assert verdict("crontab", "root", sha256="0", size=1) == ("differs", ["sha256", "size"])
    assert verdict("crontab", "root", state="absent") == ("unexpected", ["state"])
    assert verdict("crontab", "nobody", **wanted) == ("missing", ["state"])
    assert verdict("crontab", "link", **wanted) == ("link", [])
    assert verdict("crontab", "folder", **wanted) == ("special", [])
    assert verdict("crontab", "../tabs/root", **wanted) == ("unreadable", [])
