"""Each kind of declared item beside files, held against what a host has."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.helper.drift import drift, drift_kernel, drift_mounts, drift_units
from maintenancebot.helper.drift.held_against import Found
from maintenancebot.helper.host import tools
from maintenancebot.helper.packages import dpkg, holds, managers, rpm
from maintenancebot.settings import ItemKind


def look(kind: str, name: str, **wanted: Any) -> Found:
    ((_, found),) = drift.look([{"id": f"{kind}:{name}", "kind": kind, "name": name, "wanted": wanted}])
    return found


def verdict(kind: str, name: str, **wanted: Any) -> tuple[str, list[str]]:
    found = look(kind, name, **wanted)
    return found.state, found.differs


# Packages


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        ("bash", "install ok installed", "amd64", "5.2-1"),
        ("nginx", "hold ok installed", "amd64", "1.22-9"),
        ("half", "install ok half-configured", "amd64", "1"),
        ("gone", "deinstall ok config-files", "amd64", "1"),
        ("libc6", "install ok installed", "amd64", "2.36-9"),
        ("libc6", "install ok installed", "i386", "2.36-8"),
    ]
    text = "\n".join(f"Package: {n}\nStatus: {s}\nArchitecture: {a}\nVersion: {v}\n" for n, s, a, v in rows)
    (tmp_path / "status").write_text(text)
    packages = dpkg.packages
    monkeypatch.setattr(dpkg, "packages", lambda: packages(str(tmp_path / "status")))
    monkeypatch.setattr(managers, "choose", lambda: managers.Choice("apt"))


@pytest.mark.usefixtures("debian")
@pytest.mark.parametrize(
    ("name", "wanted", "said"),
    [
        ("bash", {"state": "installed"}, ("", [])),
        ("bash", {"state": "installed", "version": "5.*", "held": False}, ("", [])),
        ("bash", {"state": "installed", "version": "5.1*", "held": True}, ("differs", ["held", "version"])),
        ("bash", {"state": "absent"}, ("unexpected", ["state"])),
        ("nginx", {"held": True}, ("", [])),
        ("nginx", {"held": False}, ("differs", ["held"])),
        ("half", {"state": "installed"}, ("differs", ["state"])),
        ("gone", {"state": "installed"}, ("missing", ["state"])),
        ("gone", {"state": "absent"}, ("", [])),
        ("libc6", {"version": "2.36-8"}, ("", [])),
        ("libc6:i386", {"version": "2.36-9"}, ("differs", ["version"])),
    ],
)
def test_packages(name: str, wanted: dict[str, Any], said: tuple[str, list[str]]) -> None:
    assert verdict("package", name, **wanted) == said


@pytest.mark.usefixtures("debian")
def test_a_found_version_is_the_hosts_own() -> None:
    assert look("package", "bash", version="4*").found == {"version": "5.2-1"}


def test_without_a_manager_packages_are_not_applicable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(managers, "choose", lambda: managers.Choice("", "no apt-get"))
    found = look("package", "bash", state="installed")
    assert (found.state, found.error) == ("not_applicable", "no apt-get")


def test_a_database_that_cannot_be_read_is_not_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(managers, "choose", lambda: managers.Choice("dnf"))

    def fails(_: object) -> None:
        raise rpm.RpmError("rpm -qa: exit code 1")

    monkeypatch.setattr(rpm, "installed", fails)
    assert verdict("package", "bash", state="absent") == ("unreadable", [])


@pytest.mark.parametrize(
    ("path", "manager", "text"),
    [
        ("versionlock.list", "dnf", "# a comment\n\nnginx-0:1.22-9.el9.*\n!other-0:1-1.*\n"),
        ("versionlock.toml", "dnf", 'version = "1.0"\n[[packages]]\nname = "nginx"\n'),
        ("locks", "zypper", "\ntype: package\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: ngin*\n"),
    ],
)
def test_locks_of_the_rpm_family(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, manager: str, text: str
) -> None:
    (tmp_path / path).write_text(text)
    monkeypatch.setattr(holds, "LISTS", {manager: (str(tmp_path / path),)})
    monkeypatch.setattr(managers, "choose", lambda: managers.Choice(manager))
    found = rpm.by_key(rpm.parse("nginx|0|1.22|9|x86_64|1\nother|0|1|1|x86_64|1\n"))
    monkeypatch.setattr(rpm, "installed", lambda _: found)
    assert verdict("package", "nginx", state="installed", version="1.22-*", held=True) == ("", [])
    assert verdict("package", "other.x86_64", held=True) == ("differs", ["held"])


# Units


def unit(load: str = "loaded", active: str = "active", file: str = "enabled") -> dict[str, str]:
    return {"LoadState": load, "ActiveState": active, "SubState": "x", "UnitFileState": file, "FragmentPath": ""}


@pytest.mark.parametrize(
    ("told", "wanted", "said"),
    [
        (unit(), {"enabled": True, "active": True, "masked": False}, ("", [])),
        (unit(file="disabled"), {"enabled": True, "active": True}, ("differs", ["enabled"])),
        (unit(file="enabled-runtime"), {"enabled": True}, ("differs", ["enabled"])),
        (unit(file="static"), {"enabled": True}, ("", [])),
        (unit(file="static"), {"enabled": False}, ("", [])),
        (unit(active="failed"), {"active": True}, ("differs", ["active"])),
        (unit(active="activating"), {"active": True}, ("differs", ["active"])),
        (unit(active="reloading"), {"active": False}, ("differs", ["active"])),
        (unit("masked", "inactive", "masked"), {"enabled": True, "masked": False}, ("differs", ["enabled", "masked"])),
        (unit("not-found", "inactive", ""), {"enabled": True, "active": False}, ("missing", ["enabled"])),
        (unit("not-found", "inactive", ""), {"enabled": False, "active": False}, ("", [])),
        (None, {"enabled": True}, ("unreadable", [])),
    ],
)
def test_units(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, str] | None, wanted: dict[str, Any], said: tuple[str, list[str]]
) -> None:
    monkeypatch.setattr(tools, "find", lambda _: "/bin/true")
    monkeypatch.setattr(drift_units.os.path, "isdir", lambda _: True)
    monkeypatch.setattr(drift_units, "shown", lambda *_: ({"ssh.service": told} if told else {}, "no answer"))
    assert verdict("service", "ssh", **wanted) == said


def test_many_units_are_asked_for_at_once_and_odd_names_never(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def run(argv: list[str], **_: Any) -> tools.Answer:
        asked.append(argv[argv.index("--") + 1 :])
        text = "\n".join(f"Id={name}\nLoadState=loaded\n" for name in asked[-1])
        return tools.Answer(0, text.encode(), b"", False, False)

    monkeypatch.setattr(tools, "run", run)
    names = [
        *(f"u{n:03}.service" for n in range(250)),
        "*.service",
        "--help.service;x",
        "a b.service",
        "new\nline.timer",
    ]
    found, error = drift_units.shown("systemctl", names)
    assert ([len(one) for one in asked], len(found), error) == ([200, 50], 250, "")
    assert all(shown["Id"] == name for name, shown in found.items())


def test_a_template_among_units_spoils_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(argv: list[str], **_: Any) -> tools.Answer:
        names = argv[argv.index("--") + 1 :]
        if any("@." in name for name in names):
            return tools.Answer(1, b"", b"Failed to get properties: Unit name getty@.service is ...", False, False)
        told = "\n\n".join("\n".join(f"{key}={value}" for key, value in unit().items()) for _ in names)
        return tools.Answer(0, told.encode(), b"", False, False)

    monkeypatch.setattr(tools, "run", run)
    monkeypatch.setattr(tools, "find", lambda _: "systemctl")
    monkeypatch.setattr(drift_units.os.path, "isdir", lambda _: True)
    items = [{"name": name, "wanted": {"enabled": True}} for name in ("a.service", "getty@.service", "b@c.service")]
    found = drift_units.look(items)
    assert [one.state for one in found] == ["", "unreadable", ""]
    assert found[1].error.startswith("a template has no state of its own")


def test_an_answer_about_other_units_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = tools.Answer(0, b"Id=a.service\n", b"", False, False)
    monkeypatch.setattr(tools, "run", lambda *_, **__: answer)
    assert drift_units.shown("systemctl", ["a.service", "b.service"]) == ({}, "systemctl told of 1 units")


# The kernel


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in {
        "net/ipv4/ip_forward": "0\n",
        "net/ipv4/tcp_rmem": "4096\t131072\t6291456\n",
        "net/ipv4/conf/eth0.1/rp_filter": "2\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "cmdline").write_text('BOOT_IMAGE=/vmlinuz ro mitigations=off dyndbg="file x +p" audit=1\n')
    monkeypatch.setattr(drift_kernel, "SETTINGS", str(tmp_path))
    monkeypatch.setattr(drift_kernel, "COMMAND_LINE", str(tmp_path / "cmdline"))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("net.ipv4.ip_forward", "0", ("", [])),
        ("net.ipv4.ip_forward", "1", ("differs", ["value"])),
        ("net.ipv4.tcp_rmem", "4096 131072  6291456", ("", [])),
        ("net.ipv4.conf.eth0/1.rp_filter", "2", ("", [])),
        ("net/ipv4/conf/eth0.1/rp_filter", "2", ("", [])),
        ("net.ipv4.conf", "2", ("not_applicable", [])),
        ("net.bridge.nothing", "1", ("not_applicable", [])),
        ("net/../cmdline", "x", ("not_applicable", [])),
        ("/etc/passwd", "x", ("not_applicable", [])),
    ],
)
def test_settings(kernel: Path, name: str, value: str, said: tuple[str, list[str]]) -> None:
    assert verdict("sysctl", name, value=value) == said


def test_words_of_the_command_line(kernel: Path) -> None:
    assert verdict("kernel", "audit=1", state="present") == ("", [])
    assert verdict("kernel", 'dyndbg="file x +p"', state="present") == ("", [])
    assert verdict("kernel", "audit=1", state="absent") == ("unexpected", ["state"])
    found = look("kernel", "mitigations=auto", state="present")
    assert (found.state, found.error) == ("missing", "there is mitigations=off")
    assert verdict("kernel", "mitigations", state="absent") == ("", [])
    (kernel / "cmdline").unlink()
    assert verdict("kernel", "audit=1", state="absent") == ("unreadable", [])


# Mounts


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mounts").write_text(
        "/dev/sda1 / ext4 rw,relatime,errors=remount-ro 0 0\n/dev/sdb1 /srv\\040data ext4 rw 0 0\n"
        "tmpfs /srv\\040data tmpfs rw,nosuid,noexec 0 0\n//nas/x /mnt cifs rw,password=hunter2secret 0 0\n"
        "https://bob:hunter2secret@dav/x /dav fuse rw 0 0\n"
    )
    monkeypatch.setattr(drift_mounts, "TABLE", str(tmp_path / "mounts"))


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize(
    ("name", "wanted", "said"),
    [
        ("/", {"state": "present", "device": "/dev/sda1", "fs_type": "ext4"}, ("", [])),
        ("/", {"options": ["defaults", "nofail", "errors=remount-ro", "x-systemd.automount", "exec"]}, ("", [])),
        ("/", {"options": ["nodev", "rw"]}, ("differs", ["options"])),
        ("/srv data", {"fs_type": "tmpfs", "options": ["noexec"]}, ("", [])),
        ("/srv data/", {"fs_type": "ext4", "options": ["exec"]}, ("differs", ["fs_type", "options"])),
        ("/none", {"state": "present"}, ("missing", ["state"])),
        ("/none", {"state": "absent"}, ("", [])),
        ("/", {"state": "absent"}, ("unexpected", ["state"])),
    ],
)
def test_mounts(name: str, wanted: dict[str, Any], said: tuple[str, list[str]]) -> None:
    assert verdict("mount", name, **wanted) == said


@pytest.mark.usefixtures("mounts")
def test_a_password_among_the_options_is_not_told() -> None:
    found = look("mount", "/mnt", options=["seal"])
    assert "hunter2" not in repr((found.found, found.identity))


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize("wanted", [{"device": "https://dav/y"}, {"state": "absent"}])
def test_a_password_in_the_address_of_a_device_is_not_told(wanted: dict[str, Any]) -> None:
    found = look("mount", "/dav", **wanted)
    assert found.state in ("differs", "unexpected")
    assert "hunter2" not in repr((found.found, found.identity, found.error))


def test_every_kind_has_a_module_that_looks() -> None:
    assert set(drift.LOOKS) == {kind.value for kind in ItemKind}
    assert all(callable(import_module(f"maintenancebot.helper.drift.{name}").look) for name in drift.LOOKS.values())
