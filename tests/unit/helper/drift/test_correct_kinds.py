"""Keys, crontabs, units, kernel settings and holds: each is brought to what is declared, and knows its way back."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.helper.drift import (
    correct_keys,
    correct_units,
    correct_values,
    drift,
    drift_crontabs,
    drift_kernel,
    undo,
    well,
)
from maintenancebot.helper.files import walk
from maintenancebot.helper.host import accounts, tools
from maintenancebot.helper.trash import recovery, store

from ..conftest import SmallHost
from ..driver import Gathered

ONE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1heSBub2JvZHkgZXZlciBsb2cgaW4gd2l0aCB0aGlz one"
TWO = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1heSBhbnlib2R5IGV2ZXIgbG9nIGluIHdpdGggaXRz two"
ARGS = {"keep_days": 30, "run": "r"}
UID = 1234


@pytest.fixture
def home(host: SmallHost, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(store, "HOME", os.fsencode(host.home))
    monkeypatch.setattr(recovery, "_done", [True])
    folder = host.base / "home" / "ops"
    folder.mkdir(parents=True)
    os.chown(folder, UID, UID)
    user = accounts.User(["ops", "x", str(UID), str(UID), "", str(folder), "/bin/sh"])
    monkeypatch.setattr(accounts, "users", lambda: {"ops": user})
    return folder


def planned(kind: str, name: str, wanted: dict[str, Any]) -> dict[str, Any]:
    ((_, found),) = drift.look([{"id": "i", "kind": kind, "name": name, "wanted": wanted}])
    asked = {"kind": kind, "name": name, "wanted": wanted, "found": found.found, "identity": found.identity}
    return {"id": "c" * 16, "task": "drift", "action": "correct_" + kind, "object": asked}


def state(change: dict[str, Any]) -> str:
    return str(drift.look([{**change["object"], "id": "i"}])[0][1].state)


def make(prepare: Callable[..., Any], change: dict[str, Any], **args: Any) -> list[dict[str, Any]]:
    """Make it; how it is taken back."""
    way = prepare(change, {**ARGS, **args}, Gathered())
    try:
        parts: list[dict[str, Any]] = way.undo()
        way.make()
    finally:
        way.close()
    return parts


def keys_of(home: Path, *lines: str) -> Path:
    path = home / ".ssh" / "authorized_keys"
    path.parent.mkdir(mode=0o700)
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(0o600)
    for one in (path, path.parent):
        os.chown(one, UID, UID)
    return path


def test_a_missing_key_is_added_and_all_others_stay(home: Path) -> None:
    path = keys_of(home, "# words", TWO)
    change = planned("keys", "ops", {"keys": [ONE], "exclusive": False})
    parts = make(correct_keys.prepare, change)
    assert path.read_text() == f"# words\n{TWO}\n{ONE}\n"
    assert (path.stat().st_uid, path.stat().st_mode & 0o777, state(change)) == (UID, 0o600, "")
    undo.take_back(parts, change, ARGS)
    assert path.read_text() == f"# words\n{TWO}\n"


def test_only_declared_keys_stay_where_they_are_all_there_may_be(home: Path) -> None:
    path = keys_of(home, "# words", f'from="192.0.2.1" {ONE}', TWO)
    change = planned("keys", "ops", {"keys": [ONE], "exclusive": True})
    make(correct_keys.prepare, change)
    assert (path.read_text(), state(change)) == (f"# words\n{ONE}\n", "")


def test_the_first_key_of_a_user_gets_its_folder(home: Path) -> None:
    change = planned("keys", "ops", {"keys": [ONE], "exclusive": True})
    make(correct_keys.prepare, change)
    path = home / ".ssh" / "authorized_keys"
    assert [(one.stat().st_uid, one.stat().st_mode & 0o777) for one in (path, path.parent)] == [
        (UID, 0o600),
        (UID, 0o700),
    ]
    assert state(change) == ""


def test_keys_in_another_file_are_a_persons_to_take_out(home: Path) -> None:
    keys_of(home, ONE)
    (home / ".ssh" / "authorized_keys2").write_text(TWO + "\n")
    change = planned("keys", "ops", {"keys": [ONE], "exclusive": True})
    with pytest.raises(walk.Refused) as refused:
        make(correct_keys.prepare, change)
    assert refused.value.reason == "not_allowed"


def test_a_link_in_a_users_home_is_not_followed(home: Path, host: SmallHost) -> None:
    elsewhere = host.base / "elsewhere"
    elsewhere.mkdir()
    change = planned("keys", "ops", {"keys": [ONE], "exclusive": True})
    (home / ".ssh").symlink_to(elsewhere)
    with pytest.raises(walk.Refused):
        make(correct_keys.prepare, change)
    assert list(elsewhere.iterdir()) == []


def test_a_crontab_comes_changes_and_goes_and_cron_sees_it(
    home: Path, host: SmallHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    import base64
    import hashlib

    spool = host.base / "spool"
    spool.mkdir()
    monkeypatch.setattr(drift_crontabs, "FOLDERS", (str(spool),))
    for text in (b"@daily true\n", b"@hourly true\n", None):
        os.utime(spool, (0, 0))
        wanted: dict[str, Any] = {"state": "absent"}
        args = {}
        if text is not None:
            wanted = {"state": "present", "sha256": hashlib.sha256(text).hexdigest(), "size": len(text)}
            args = {"content": base64.b64encode(text).decode()}
        change = planned("crontab", "ops", wanted)
        make(correct_keys.prepare_crontab, change, **args)
        assert (state(change), spool.stat().st_mtime > 0) == ("", True)
        if text is not None:
            assert ((spool / "ops").read_bytes(), (spool / "ops").stat().st_uid) == (text, UID)
            assert (spool / "ops").stat().st_mode & 0o777 == 0o600
    assert list(spool.iterdir()) == []


def test_a_setting_is_set_and_told_whether_it_lasts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift_kernel, "SETTINGS", str(tmp_path / "sys"))
    monkeypatch.setattr(correct_values, "FOLDERS", (str(tmp_path / "etc"), str(tmp_path / "lib")))
    monkeypatch.setattr(correct_values, "LAST", str(tmp_path / "sysctl.conf"))
    (tmp_path / "sys/net/ipv4").mkdir(parents=True)
    setting = tmp_path / "sys/net/ipv4/port_range"
    setting.write_text("1024\t2048\n")
    change = planned("sysctl", "net.ipv4.port_range", {"value": "4096 8192"})
    way = correct_values.prepare(change, ARGS, Gathered())
    way.make()
    assert (setting.read_text().split(), state(change)) == (["4096", "8192"], "")
    assert way.measured() == {"lasting": False}
    for folder, text in (("lib", "net.ipv4.port_range = 1 2\n"), ("etc", "# words\nnet/ipv4/port_range=4096  8192\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "50-ports.conf").write_text(text)
    assert way.measured() == {"lasting": True}
    (tmp_path / "sysctl.conf").write_text("net.ipv4.port_range=1 2\n")
    assert way.measured() == {"lasting": False}
    undo.take_back(way.undo(), change, ARGS, booting=True)
    assert setting.read_text().split() == ["4096", "8192"]
    undo.take_back(way.undo(), change, ARGS)
    assert setting.read_text().split() == ["1024", "2048"]


class Programs:
    """Programs that only note how they were called; one of them may fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.called: list[str] = []
        self.fails = ""
        monkeypatch.setattr(tools, "find", lambda name: name)
        monkeypatch.setattr(tools, "run", self.run)
        monkeypatch.setattr(well, "watch", lambda unit, was=None: "")

    def run(self, argv: list[str], **_: Any) -> tools.Answer:
        words = [word for word in argv[1:] if not word.startswith(("-", "Dir::"))]
        self.called.append(" ".join(words))
        return tools.Answer(int(words[0] == self.fails), b"", b"no\n", False, False)


@pytest.mark.parametrize("more", ["", "CanReload=yes\n"])
def test_a_unit_whose_restarts_are_not_counted_is_reloaded(monkeypatch: pytest.MonkeyPatch, more: str) -> None:
    def run(argv: list[str], **_: Any) -> tools.Answer:
        return tools.Answer(0, f"ActiveState=active\nSubState=mounted\n{more}".encode(), b"", False, False)

    monkeypatch.setattr(tools, "find", lambda name: name)
    monkeypatch.setattr(tools, "run", run)
    monkeypatch.setattr(well, "SETTLE_SECONDS", 0)
    assert well.reload("srv.mount", None) == ""


def unit(wanted: dict[str, bool], found: dict[str, bool]) -> dict[str, Any]:
    asked = {"kind": "service", "name": "app", "wanted": wanted, "found": found, "identity": found, "lockout": False}
    return {"id": "c" * 16, "object": asked}


@pytest.mark.parametrize(
    ("wanted", "found", "made", "back"),
    [
        ({"enabled": True}, {"enabled": False}, ["enable app.service"], ["disable app.service"]),
        (
            {"active": False, "enabled": True},
            {"active": True, "enabled": True},
            ["stop app.service"],
            ["start app.service"],
        ),
        (
            {"masked": False, "enabled": True, "active": True},
            {"masked": True, "enabled": False, "active": False},
            ["unmask app.service", "enable app.service", "start app.service"],
            ["disable app.service", "stop app.service", "mask app.service"],
        ),
    ],
)
def test_a_unit_is_switched_in_an_order_that_works(
    wanted: dict[str, bool], found: dict[str, bool], made: list[str], back: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    programs, change = Programs(monkeypatch), unit(wanted, found)
    parts = make(correct_units.prepare, change)
    assert programs.called == made
    programs.called.clear()
    undo.take_back(parts, change, ARGS)
    assert programs.called == back
    programs.called.clear()
    undo.take_back(parts, change, ARGS, booting=True)
    assert programs.called == [call for call in back if call.split()[0] not in ("start", "stop")]


def test_a_unit_that_cannot_be_switched_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    Programs(monkeypatch).fails = "enable"
    with pytest.raises(walk.Refused) as refused:
        make(correct_units.prepare, unit({"enabled": True}, {"enabled": False}))
    assert (refused.value.reason, refused.value.detail) == (
        "tool_failed",
        "systemctl enable app.service: exit code 1: no",
    )


def test_holds_are_for_apt(monkeypatch: pytest.MonkeyPatch) -> None:
    programs = Programs(monkeypatch)
    monkeypatch.setattr(correct_values.managers, "choose", lambda: correct_values.managers.Choice("apt"))
    change = {
        "id": "c",
        "object": {"kind": "package", "name": "app", "wanted": {"held": True}, "found": {"held": False}},
    }
    undo.take_back(make(correct_values.prepare_hold, change), change, ARGS)
    assert programs.called == ["hold app", "unhold app"]
    monkeypatch.setattr(correct_values.managers, "choose", lambda: correct_values.managers.Choice("dnf"))
    with pytest.raises(walk.Refused):
        correct_values.prepare_hold(change, ARGS, Gathered())


def test_what_a_file_sets_while_the_host_runs_is_taken_back_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift_kernel, "SETTINGS", str(tmp_path))
    (tmp_path / "net").mkdir()
    (tmp_path / "net/forward").write_text("1\n")
    content = b"# net.other = 1\n-net/forward = 0\nnet.unknown=1\n"
    parts = correct_values.as_it_runs("/etc/sysctl.d/x.conf", content)
    assert parts == [{"do": "setting", "name": "net/forward", "was": "1"}]
    assert correct_values.as_it_runs("/etc/app.conf", content) == []
    assert correct_values.as_it_runs("/etc/sysctl.conf", None) == []
    with pytest.raises(walk.Refused):
        correct_values.as_it_runs("/etc/sysctl.conf", b"net.*.forward=0\n")
