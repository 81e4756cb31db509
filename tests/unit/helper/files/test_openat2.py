"""openat2 is used only where it works and really refuses; any doubt means the other way."""

import errno
import os
import platform

import pytest

from maintenancebot.helper.files import openat2


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openat2, "_found", [])


def test_it_is_found_once_and_opens() -> None:
    opener = openat2.opener()
    if opener is None:
        pytest.skip("this kernel or container does not have it")
    assert openat2.opener() is opener
    fd = opener(b"/proc", openat2.HARMLESS, -1, openat2.NO_LINKS)
    with pytest.raises(OSError, match=r"levels|Not a directory") as refused:
        opener(b"self", openat2.HARMLESS, fd, openat2.NO_LINKS)
    assert refused.value.errno == errno.ELOOP
    os.close(fd)


def test_a_kernel_that_does_not_know_the_call_means_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openat2, "NUMBER", 9999)  # ENOSYS
    assert openat2.opener() is None


def test_a_python_without_ctypes_means_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openat2, "ctypes", None)
    assert openat2.opener() is None


@pytest.mark.parametrize("machine", ["i686", "armv7l", "alpha", "mips64"])
def test_a_machine_with_other_numbers_means_the_other_way(monkeypatch: pytest.MonkeyPatch, machine: str) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert openat2.opener() is None


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS])
def test_a_filter_that_refuses_means_the_other_way(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refused(*_: object) -> int:
        raise OSError(number, "filtered")

    monkeypatch.setattr(openat2, "_bind", lambda: refused)
    assert openat2.opener() is None


def test_one_that_opens_what_it_should_refuse_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(name: bytes, flags: int, folder: int, _resolve: int) -> int:
        return os.open(name, flags, dir_fd=None if folder < 0 else folder)

    monkeypatch.setattr(openat2, "_bind", lambda: careless)
    before = len(os.listdir("/proc/self/fd"))
    assert openat2.opener() is None
    assert len(os.listdir("/proc/self/fd")) == before
