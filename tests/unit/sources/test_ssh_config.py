"""An ssh_config gives the hosts that it names, with what ssh itself makes of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from maintenancebot.inventory_sources import SshConfigSource
from maintenancebot.sources import ssh_config
from maintenancebot.sources.listing import Listed, SourceError

CONFIG = """\
Include more.d/*.conf
Host gate
    HostName = gate.example.net
    User jump
Host web-1 "web-2"   # two of a kind
    ProxyJump gate
Host web-* !web-9
    User deploy
    Port 2222
Match host 10.0.0.3 user deploy
    Port 2300
Host -oProxyCommand=evil
Host *.example.org
    User nobody
Match host web-2
    HostName 10.0.0.3
"""
MORE = """\
Host db-1
    HostName 10.1.0.1
    IdentityFile {key}
    ProxyJump gate,10.1.0.254:2200
"""


@pytest.fixture
def hosts(tmp_path: Path) -> dict[str, Listed]:
    (tmp_path / "key").write_text("")
    (tmp_path / "more.d").mkdir()
    (tmp_path / "more.d" / "db.conf").write_text(MORE.format(key=tmp_path / "key"))
    (tmp_path / "config").write_text(CONFIG.replace("more.d", f"{tmp_path}/more.d"))
    found = ssh_config.read(SshConfigSource(type="ssh_config", path=tmp_path / "config"))
    return {host.name: host for host in found.hosts}


def test_names_without_wildcards_are_hosts_included_files_too(hosts: dict[str, Listed]) -> None:
    assert list(hosts) == ["db-1", "gate", "web-1", "web-2"]


def test_values_are_those_of_ssh(hosts: dict[str, Listed], tmp_path: Path) -> None:
    assert dict(hosts["gate"].values) == {"address": "gate.example.net", "user": "jump"}
    assert dict(hosts["web-1"].values) == {"address": "web-1", "user": "deploy", "port": 2222, "jump": "gate"}
    assert hosts["web-2"].values["address"] == "10.0.0.3"
    assert hosts["db-1"].values["jump"] == "gate,[10.1.0.254]:2200"
    assert hosts["db-1"].values["key"] == str(tmp_path / "key")


def test_a_file_that_includes_itself_ends_and_is_told(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(f"Host web-1\nInclude {config}\n")
    found = ssh_config.read(SshConfigSource(type="ssh_config", path=config))
    assert found.hosts == ()
    assert len(found.problems) == 1
    assert found.problems[0].startswith("web-1 is left out: ssh ended with 255: ")


def test_a_file_that_is_not_there_is_an_error_of_the_source(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        ssh_config.read(SshConfigSource(type="ssh_config", path=tmp_path / "none"))


def test_a_host_behind_a_proxy_command_is_left_out_and_named(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host a\n HostName 10.0.0.1\n ProxyCommand ssh -W %h:%p gate\nHost b\n HostName 10.0.0.2\n")
    found = ssh_config.read(SshConfigSource(type="ssh_config", path=config))
    assert [one.name for one in found.hosts] == ["b"]
    assert found.problems[0].startswith("a is left out: a ProxyCommand leads to it")


def test_files_that_include_themselves_are_read_once(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host a\n" + f"Include {config}\n" * 3)
    assert list(ssh_config._names(config, tmp_path, 0, set())) == ["a"]


def test_all_hosts_together_have_the_time_of_the_source(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("".join(f"Host h{i}\n" for i in range(9)) + 'Match exec "sleep 1"\n')
    with pytest.raises(SourceError, match="did not tell of all hosts within 2 s"):
        ssh_config.read(SshConfigSource(type="ssh_config", path=config, timeout=2))
