"""Our own known_hosts: what it holds is believed exactly, and pinning one name leaves all others alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import paramiko
import pytest

from maintenancebot.errors import ConfigurationError
from maintenancebot.remote.host_keys import KnownHosts, fingerprint, server_name

KEYS = [paramiko.ECDSAKey.generate() for _ in range(4)]
ONE, TWO, THREE, FOUR = KEYS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "known_hosts"


def line(names: str, key: paramiko.PKey, marker: str = "") -> str:
    return f"{marker}{names} {key.get_name()} {key.get_base64()}"


def hashed(name: str) -> str:
    return paramiko.HostKeys.hash_host(name)


def known(path: Path, *lines: str) -> KnownHosts:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return KnownHosts(path)


def keys(hosts: KnownHosts, address: str = "web-1", port: int = 22) -> list[paramiko.PKey]:
    return list(hosts.pinned(address, port).keys)


def test_a_file_that_is_not_there_knows_nobody(path: Path) -> None:
    assert keys(KnownHosts(path)) == []
    assert not path.parent.exists()


@pytest.mark.parametrize(
    "names",
    ["web-1", "web-1,192.0.2.1", "192.0.2.1,web-1", hashed("web-1"), f"{hashed('web-2')},{hashed('web-1')}"],
    ids=["plain", "first of two", "second of two", "hashed", "second of two hashed"],
)
def test_a_key_is_found_by_each_of_its_names(names: str, path: Path) -> None:
    assert keys(known(path, line("other", TWO), line(names, ONE))) == [ONE]


@pytest.mark.parametrize("name", ["[web-1]:2222", hashed("[web-1]:2222")], ids=["plain", "hashed"])
def test_another_port_is_another_server(name: str, path: Path) -> None:
    hosts = known(path, line(name, ONE), line("web-1", TWO))
    assert keys(hosts, port=2222) == [ONE]
    assert keys(hosts, port=22) == [TWO]
    assert keys(hosts, port=2200) == []


def test_a_server_may_have_several_keys(path: Path) -> None:
    assert keys(known(path, line("web-1", ONE), line("web-1", TWO))) == [ONE, TWO]


@pytest.mark.parametrize("names", ["web-10", "*", "web-*", "!web-1", "eb-1", "web-1.example.com"])
def test_a_name_is_never_found_by_likeness(names: str, path: Path) -> None:
    assert keys(known(path, line(names, ONE))) == []


def test_a_revoked_key_is_told_whatever_name_it_has(path: Path) -> None:
    hosts = known(path, line("web-1", ONE), line("*", ONE, "@revoked "), line("web-9", TWO, "@revoked\t"))
    assert hosts.pinned("web-1", 22).revoked[:1] == (ONE,)
    assert hosts.pinned("web-5", 22).keys == ()


def test_a_tab_after_the_mark_is_as_good_as_a_blank(path: Path) -> None:
    hosts = known(path, line("web-1", ONE), line("*", ONE, "@revoked\t"))
    assert hosts.pinned("web-1", 22).revoked == (ONE,)


def test_an_authority_does_not_vouch_for_anybody(path: Path) -> None:
    hosts = known(path, line("web-1", ONE, "@cert-authority "), line("*", TWO, "@cert-authority "))
    assert hosts.pinned("web-1", 22) == hosts.pinned("other", 22)
    assert keys(hosts) == []


@pytest.mark.parametrize(
    "damaged",
    [
        "web-1",
        "web-1 ssh-ed25519",
        "web-1 ssh-ed25519 AAAA",
        "web-1 ssh-ed25519 not!base64",
        "web-1 ssh-from-the-future AAAAC3NzaC1lZDI1NTE5AAAAIA==",
        "|1|nonsense ssh-ed25519 AAAA",
        "@revoked",
        "@revoked web-1",
        "@what-is-this web-1 ssh-ed25519 AAAA",
        "   ",
        "# a comment",
        "\0",
    ],
)
def test_a_damaged_line_costs_no_other(damaged: str, path: Path) -> None:
    hosts = known(path, line("web-0", TWO), damaged, line("web-1", ONE))
    assert keys(hosts) == [ONE]
    assert keys(hosts, "web-0") == [TWO]


@pytest.mark.parametrize("name", ["|1|nonsense", "|1|a|b", "|1||", "|1|AAAA|AAAA|AAAA"])
def test_a_damaged_hash_costs_no_other(name: str, path: Path) -> None:
    hosts = known(path, line(name, TWO), line("web-1", ONE))
    assert keys(hosts) == [ONE]


def test_comments_and_odd_blanks_are_read_as_openssh_reads_them(path: Path) -> None:
    hosts = known(path, "  " + line("web-1", ONE) + " ops@controller  ", line("web-2", TWO).replace(" ", "\t"))
    assert keys(hosts) == [ONE]
    assert keys(hosts, "web-2") == [TWO]


def test_a_file_that_is_no_text_is_a_fault_that_names_it(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"web-1 \xff\xfe\n")
    with pytest.raises(ConfigurationError) as caught:
        KnownHosts(path)
    assert str(caught.value).startswith(f"{path}: cannot be read: ")


# Pinning


def test_the_first_pin_makes_a_closed_file_in_a_closed_folder(path: Path) -> None:
    hosts = KnownHosts(path)
    hosts.pin_line(line("web-1", ONE))
    assert keys(hosts) == [ONE]
    assert path.read_text() == line("web-1", ONE) + "\n"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert os.listdir(path.parent) == ["known_hosts"]


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666])
def test_a_file_that_was_open_is_closed_by_the_next_pin(mode: int, path: Path) -> None:
    hosts = known(path, line("web-1", ONE))
    path.chmod(mode)
    hosts.pin_line(line("web-2", TWO))
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_pin_takes_the_place_of_all_that_its_name_had(path: Path) -> None:
    others = [
        "# kept by hand",
        "",
        line("web-2", TWO),
        line("[web-1]:2222", THREE),
        line(hashed("web-2"), THREE),
        line("*", FOUR, "@revoked "),
        line("web-1", FOUR, "@cert-authority "),
        "a damaged line",
    ]
    hosts = known(path, line("web-1", ONE), *others, line(hashed("web-1"), TWO), line("web-1", THREE))
    hosts.pin_line(line("web-1", FOUR))
    assert path.read_text().splitlines() == [*others, line("web-1", FOUR)]
    assert keys(hosts) == [FOUR]
    assert keys(hosts, port=2222) == [THREE]
    assert keys(KnownHosts(path)) == [FOUR]


def test_a_pin_for_another_port_leaves_the_usual_one(path: Path) -> None:
    hosts = known(path, line("web-1", ONE), line(hashed("[web-1]:2222"), TWO))
    hosts.pin_line(line("[web-1]:2222", THREE))
    assert (keys(hosts), keys(hosts, port=2222)) == ([ONE], [THREE])


@pytest.mark.parametrize(
    "names", ["web-1,web-2", "web-2,web-1", f"{hashed('web-1')},web-2"], ids=["first", "second", "hashed"]
)
def test_the_other_names_of_a_shared_line_stay_pinned(names: str, path: Path) -> None:
    hosts = known(path, line(names, ONE))
    hosts.pin_line(line("web-1", TWO))
    assert (keys(hosts), keys(hosts, "web-2")) == ([TWO], [ONE])


def test_a_pin_twice_is_one_line(path: Path) -> None:
    hosts = KnownHosts(path)
    for _ in range(2):
        hosts.pin_line(line("web-1", ONE))
    assert path.read_text() == line("web-1", ONE) + "\n"


def test_a_pin_that_cannot_be_written_leaves_the_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = known(path, line("web-1", ONE))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        hosts.pin_line(line("web-1", TWO))
    assert path.read_text() == line("web-1", ONE) + "\n"


def test_a_pin_that_cannot_be_written_leaves_nothing_beside_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = known(path, line("web-1", ONE))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        hosts.pin_line(line("web-1", TWO))
    assert os.listdir(path.parent) == ["known_hosts"]


def test_openssh_finds_what_was_pinned(path: Path) -> None:
    hosts = known(path, line(hashed("[web-1]:2222"), ONE))
    hosts.pin_line(line("[web-3]:22022", TWO))
    for name, key in (("[web-1]:2222", ONE), ("[web-3]:22022", TWO)):
        found = subprocess.run(["ssh-keygen", "-F", name, "-f", path], capture_output=True, text=True)
        assert key.get_base64() in found.stdout


def test_what_openssh_hashed_is_found(path: Path) -> None:
    known(path, line("web-1", ONE), line("[web-1]:2222", TWO))
    subprocess.run(["ssh-keygen", "-H", "-f", path], check=True, capture_output=True)
    assert "web-1" not in path.read_text()
    hosts = KnownHosts(path)
    assert (keys(hosts), keys(hosts, port=2222)) == ([ONE], [TWO])


def test_a_fingerprint_is_the_one_that_openssh_prints(path: Path) -> None:
    known(path, line("web-1", ONE))
    printed = subprocess.run(["ssh-keygen", "-l", "-f", path], check=True, capture_output=True, text=True).stdout
    assert printed.split()[1] == fingerprint(ONE)


@pytest.mark.parametrize(
    ("address", "port", "name"),
    [
        ("web-1", 22, "web-1"),
        ("web-1", 2222, "[web-1]:2222"),
        ("2001:db8::1", 22, "2001:db8::1"),
        ("::1", 23, "[::1]:23"),
    ],
)
def test_servers_have_the_names_that_openssh_gives_them(address: str, port: int, name: str) -> None:
    assert server_name(address, port) == name
