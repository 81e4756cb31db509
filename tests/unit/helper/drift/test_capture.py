"""A good host's state in the words of a baseline: what a package brought is left out, and no content is told."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.helper.drift import capture, capture_files, capture_people, capture_system, drift_mounts
from maintenancebot.helper.trash import places

from .test_drift_kinds import kernel  # noqa: F401  a fixture
from .test_drift_known import Debian, Gathered
from .test_drift_people import ONE, OTHER, people  # noqa: F401  a fixture


def captured(monkeypatch: pytest.MonkeyPatch, **parts: Any) -> tuple[dict[str, Any], Any]:
    """What would be told with these parts alone, and the result."""
    monkeypatch.setattr(capture, "PARTS", tuple(parts.items()))
    monkeypatch.setattr(capture.os, "geteuid", lambda: 0)
    told: dict[str, Any] = {}

    class Out(Gathered):
        def finding(self, kind: str, subject: str, **data: Any) -> None:
            told[subject] = data["wanted"]

    return told, capture.probe({}, Out())


def test_without_root_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture.os, "geteuid", lambda: 1000)
    result = capture.probe({}, Gathered())
    assert (result.state, result.reason) == ("skipped", "needs_root")


def test_a_part_that_fails_is_named_and_spoils_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> Any:
        yield "one", {}
        raise OSError("no systemctl on the host")

    many = [(str(n), {}) for n in range(capture.MOST + 1)]
    told, result = captured(monkeypatch, service=fails, sysctl=lambda: many, user=lambda: [("root", {"uid": 0})])
    assert len(told) == 2 + capture.MOST
    assert result.facts["troubles"] == {
        "service": "no systemctl on the host",
        "sysctl": f"more than {capture.MOST}",
    }
    assert result.detail == f"service: no systemctl on the host; sysctl: more than {capture.MOST}"


def test_files_as_their_package_has_them_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    debian = Debian(tmp_path, monkeypatch)
    debian.brought()
    for name in ("own.conf", "own.conf.dpkg-old", "note~"):
        (tmp_path / "etc" / name).write_bytes(b"x\n")
    (tmp_path / "etc" / "large").write_bytes(bytes(capture_files.LARGEST + 1))
    (tmp_path / "etc" / "link").symlink_to("own.conf")
    os.mkfifo(tmp_path / "etc" / "pipe")
    monkeypatch.setattr(capture_files, "TOP", os.fsencode(tmp_path / "etc"))
    found = dict(capture_files.files())
    assert list(found) == [str(tmp_path / "etc/own.conf")]
    assert found[str(tmp_path / "etc/own.conf")]["sha256"] == hashlib.sha256(b"x\n").hexdigest()
    debian.conf.write_bytes(b"changed\n")
    assert str(debian.conf) in dict(capture_files.files())


@pytest.mark.parametrize("path", ["shadow", "machine-id", "ssh/ssh_host_ed25519_key", "ssl/certs/x.pem", "group-"])
def test_what_belongs_to_one_host_is_no_baseline(path: str) -> None:
    assert capture_files.OF_ONE_HOST.match(b"/etc/" + path.encode())
    assert not capture_files.OF_ONE_HOST.match(b"/etc/cron.d/" + path.encode())


def test_people_their_groups_and_keys(people: Path) -> None:  # noqa: F811
    lines = [f'command="run --password hunter2secret" {ONE}', OTHER, "# a comment"]
    (people / "home/alice/.ssh/authorized_keys").write_text("\n".join(lines))
    users = dict(capture_people.users())
    assert users["alice"]["groups"] == ["alice", "adm", "sudo"]
    assert list(users) == ["root", "alice"]
    assert set(dict(capture_people.groups())) == {"adm", "sudo"}
    assert dict(capture_people.keys())["alice"] == {"keys": [OTHER], "exclusive": False}
    (people / "home/alice/.ssh/authorized_keys").write_text(OTHER)
    assert dict(capture_people.keys())["alice"] == {"keys": [OTHER], "exclusive": True}


def test_settings_and_words(kernel: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    (kernel / "sysctl.conf").write_text("# c\nnet.ipv4.ip_forward = 1\n-net.ipv4.conf.eth0/1.rp_filter=2\nno.such=1\n")
    monkeypatch.setattr(capture_system, "SETTINGS", (str(kernel / "sysctl.conf"),))
    assert dict(capture_system.settings()) == {
        "net.ipv4.conf.eth0/1.rp_filter": {"value": "2"},
        "net.ipv4.ip_forward": {"value": "0"},  # as it is, not as the file says
    }
    words = [word for word, _ in capture_system.kernel()]
    assert words == ["mitigations=off", 'dyndbg="file x +p"', "audit=1"]


def test_mounts_of_fstab_without_their_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mounts").write_text("/dev/sda1 / ext4 rw,relatime 0 0\n/dev/sdb1 /srv\\040x xfs rw,noexec 0 0\n")
    (tmp_path / "fstab").write_text(
        "# /dev/x /old ext4 defaults\nUUID=1 / ext4 defaults,relatime 0 1\nLABEL=d /srv\\040x xfs noexec,nofail 0 2\n"
        "LABEL=n /none ext4 defaults 0 2\nLABEL=s none swap sw 0 0\n"
    )
    monkeypatch.setattr(drift_mounts, "TABLE", str(tmp_path / "mounts"))
    monkeypatch.setattr(places, "FSTAB", str(tmp_path / "fstab"))
    assert dict(capture_system.mounts()) == {
        "/": {"fs_type": "ext4", "options": ["relatime"]},
        "/srv x": {"fs_type": "xfs", "options": ["noexec"]},
    }
