"""Who uses a file is seen for every process, and the kernel is asked for the file in hand."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from maintenancebot.helper.host import usage

HOLD = "import sys,mmap\nf=open(sys.argv[1],'r+b')\n{more}\nprint('x',flush=True)\nsys.stdin.read()"


def holder(path: Path, more: str) -> subprocess.Popen:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(more=more), str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    child.stdout.read(1)
    return child


def end(child: subprocess.Popen) -> None:
    child.communicate()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("", "in_use"),
        ("m=mmap.mmap(f.fileno(),0); import os; os.closerange(3, 50)", "in_use"),
        ("import fcntl; fcntl.flock(f, fcntl.LOCK_EX)", "locked"),
    ],
)
def test_another_process_is_seen(tmp_path: Path, more: str, reason: str) -> None:
    path = tmp_path / "a.log"
    path.write_text("x")
    child = holder(path, more)
    try:
        users = usage.Users().scan()
        users.blind = False
        assert users.reason(path.stat()) == reason
        fd = os.open(path, os.O_RDONLY)
        assert usage.busy(fd) == "in_use"
        os.close(fd)
    finally:
        end(child)
    users = usage.Users().scan()
    users.blind = False
    assert users.reason(path.stat()) == ""


def test_the_kernel_grants_an_idle_file_and_is_left_without_a_lease(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("x")
    fd = os.open(path, os.O_RDONLY)
    assert usage.nobody_has_it_open(fd) is True
    assert fcntl.fcntl(fd, fcntl.F_GETLEASE) == fcntl.F_UNLCK
    assert usage.in_doubt(fd) == ""
    with path.open():
        assert usage.nobody_has_it_open(fd) is False
        assert usage.in_doubt(fd) == "in_use"
    os.close(fd)


def test_unknown_means_in_use(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("x")
    users = usage.Users()
    users.blind = True
    assert users.reason(path.stat()) == "use_unknown"


def test_without_a_device_number_to_trust_the_inode_alone_is_a_doubt() -> None:
    class Overlay:
        st_dev, st_ino = os.makedev(0, 77), 4711

    class Plain:
        st_dev, st_ino = os.makedev(8, 1), 4711

    users = usage.Users()
    users.loose_mapped.add(4711)
    assert users.reason(Overlay) == "use_unknown"
    assert users.reason(Plain) == ""
