"""What is read from dpkg's own files."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from maintenancebot.helper.packages import dpkg, restarts, space

STATUS = """Package: dpkg
Status: install ok installed
Architecture: amd64
Version: 1.21.22

Package: libc6
Status: hold ok installed
Architecture: i386
Installed-Size: 12
Version: 2.36-9
Description: text
 Version: 9.9 of a description is not a field
 .

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: half
Status: install ok half-configured
Architecture: all
Version: 2:1~rc1

Package: torn
Status: install reinstreq installed
Architecture: all
Version: 1
"""


class Quiet:
    """Stands where the helper's output stands."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def alive(self, doing: str) -> None:
        self.said.append(doing)


@pytest.fixture
def packages(tmp_path: Path) -> dict[tuple[str, str], dpkg.Package]:
    (tmp_path / "status").write_text(STATUS)
    return dpkg.packages(str(tmp_path / "status"))


def test_packages_with_their_state(packages: dict[tuple[str, str], dpkg.Package]) -> None:
    assert sorted(packages) == [("dpkg", "amd64"), ("half", "all"), ("libc6", "i386"), ("torn", "all")]
    libc = packages[("libc6", "i386")]
    assert (libc.version, libc.held, libc.whole, libc.size) == ("2.36-9", True, True, 12288)
    assert dpkg.native_architecture(packages) == "amd64"


def test_half_done_packages_are_broken(packages: dict[tuple[str, str], dpkg.Package]) -> None:
    assert dpkg.broken(packages) == ["half: half-configured", "torn: reinstreq"]


def test_a_journal_that_was_not_folded_in_means_interrupted(tmp_path: Path) -> None:
    assert not dpkg.interrupted(str(tmp_path))
    (tmp_path / "0001").touch()
    assert dpkg.interrupted(str(tmp_path))


@pytest.mark.parametrize(
    ("one", "other", "order"),
    [
        ("1.0", "1.0", 0),
        ("1.0~rc1", "1.0", -1),
        ("1.0", "1.0+b1", -1),
        ("1.9", "1.10", -1),
        ("1:0.1", "9.9", 1),
        ("2.36-9+deb12u4", "2.36-9+deb12u10", -1),
        ("1.0-1", "1.0-1~bpo12+1", 1),
        ("1.0", "1.0-0", 0),
        ("1.0a", "1.0+", -1),
        ("007", "7", 0),
    ],
)
def test_versions_are_ordered_as_debian_orders_them(one: str, other: str, order: int) -> None:
    assert dpkg.compare(one, other) == order
    assert dpkg.compare(other, one) == -order


def test_missing_md5sums_are_no_complaint() -> None:
    text = (
        "The following packages are only half configured, probably due to problems\n"
        "configuring them the first time.  The configuration should be retried:\n"
        " mb-bad               package of the lab\n"
        "\n"
        "The following packages are missing the md5sums control file in the\n"
        "database, they need to be reinstalled:\n"
        " vendor-tool          tool\n"
    )

    assert [line.rpartition(":")[2].strip() for line in dpkg.audit_lines(text)] == ["mb-bad"]
    assert dpkg.audit_lines("") == []


def test_the_holder_of_a_lock_is_named_and_waited_for(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    code = "import fcntl,sys;f=open(sys.argv[1],'w');fcntl.lockf(f,fcntl.LOCK_EX);print(1,flush=True);sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        other.stdout.readline()
        who = dpkg.wait_for_locks(0, Quiet(), [str(lock)])
        assert who is not None
        assert who.endswith(f"(pid {other.pid})")
        other.stdin.close()
        assert dpkg.wait_for_locks(20, Quiet(), [str(lock)]) is None
    assert dpkg.wait_for_locks(0, Quiet(), [str(tmp_path / "none")]) is None


def test_looking_at_a_lock_does_not_take_it(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    assert dpkg.holder(str(lock)) is None
    with lock.open("w") as stream:
        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_new_configuration_files_beside_kept_ones_are_found(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    for name in ("app.conf", "app.conf.dpkg-dist", "b.ucf-dist"):
        (tmp_path / "app" / name).touch()

    found = dpkg.new_configuration(time.time() - 60, os.fsencode(tmp_path))
    assert [Path(path).name for path in found] == ["app.conf.dpkg-dist", "b.ucf-dist"]
    assert dpkg.new_configuration(time.time() + 60, os.fsencode(tmp_path)) == []


@pytest.mark.parametrize(
    ("running", "installed", "newest", "required"),
    [
        ("6.1.0-18-amd64", ["6.1.0-18-amd64", "6.1.0-9-amd64"], "6.1.0-18-amd64", False),
        ("6.1.0-9-amd64", ["6.1.0-18-amd64", "6.1.0-9-amd64"], "6.1.0-18-amd64", True),
        ("6.1.0-9-cloud-amd64", ["6.1.0-18-amd64", "6.1.0-9-cloud-amd64"], "6.1.0-9-cloud-amd64", False),
        ("6.12.9+deb13-amd64", ["6.12.10+deb13-amd64"], "6.12.10+deb13-amd64", True),
        ("5.4.0-vm", [], "", None),
    ],
)
def test_a_reboot_is_due_when_a_newer_kernel_of_the_same_flavour_waits(
    tmp_path: Path, running: str, installed: list[str], newest: str, required: bool | None
) -> None:
    for release in installed:
        (tmp_path / f"vmlinuz-{release}").touch()

    told = restarts.reboot(running, str(tmp_path), str(tmp_path / "reboot-required"))

    assert (told["newest"], told["required"]) == (newest, required)


def test_the_reboot_file_counts_even_without_kernels(tmp_path: Path) -> None:
    flag = tmp_path / "reboot-required"
    flag.touch()
    (tmp_path / "reboot-required.pkgs").write_text("libc6\ndbus\ndbus\n")

    told = restarts.reboot("1-x", str(tmp_path), str(flag))

    assert told["required"] is True
    assert told["signals"] == ["reboot-required: dbus, libc6"]


def test_room_is_counted_per_file_system(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    folder = str(tmp_path / "not" / "there")

    assert space.short([(folder, free // 4)]) == []
    assert len(space.short([(folder, free), (str(tmp_path), free)])) == 1
