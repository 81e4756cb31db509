"""A dry run over a whole fleet: every host with its own state, and not one byte written on any of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.command import Bot
from tests.lab import odd
from tests.lab.fleet import Fleet, specs
from tests.lab.hosts import HostSpec
from tests.lab.watch import Watch, differences, manifest

HOSTS = 47
ODD = {
    "off": ("unknown", "unreachable"),
    "hanging": ("unknown", "hung"),
    "minimal": ("unknown", "unsupported"),
    "strange": ("unknown", "host_key_changed"),
    "unknown-key": ("unknown", "host_key_unknown"),
    "no-sudo": ("unknown", "become_password"),
    "no-python": ("unknown", "unsupported"),
    "flooding": ("unknown", "garbled"),
}


@pytest.fixture(scope="module")
def big_fleet(make_fleet: Callable[..., Fleet]) -> Fleet:
    names = [*ODD, "noisy"]
    plain = specs(HOSTS - len(names))
    fleet = make_fleet(*plain, *(HostSpec(name, user="plain" if name == "no-sudo" else "ops") for name in names))
    odd.noisy(fleet["noisy"], fake_frames=b'{"state": "ok"}\n\n%MB1 deadbeef 0 end 12 00000000\n{"frames":0}\n')
    odd.hanging_shell(fleet["hanging"])
    odd.minimal_python(fleet["minimal"])
    odd.without_python(fleet["no-python"])
    odd.flooding(fleet["flooding"])
    odd.wrong_host_key(fleet["strange"])
    unknown = fleet["unknown-key"].address
    lines = fleet.known_hosts.read_text().splitlines()
    kept = [line for line in lines if line.split()[0].strip("[]").split("]")[0] != unknown]
    fleet.known_hosts.write_text("\n".join(kept) + "\n")
    fleet["off"].power_off()
    return fleet


def test_every_host_has_its_own_state_and_none_is_written_to(big_fleet: Fleet, tmp_path: Path) -> None:
    bot = Bot(tmp_path, big_fleet, ssh={"idle_timeout": 15, "connect_timeout": 5})
    running = [host for host in big_fleet if host.name != "off"]
    before = {host.name: manifest(host, hashed=False) for host in running}
    watched = [host for host in running if host.name in ("noisy", running[0].name, running[1].name)]
    watches = [Watch(host) for host in watched]
    for watch in watches:
        watch.__enter__()
    answer = bot("dry-run", "--json", "--out", str(tmp_path / "plan.json"))
    events = [event for watch in watches for event in watch.events()]
    for watch in watches:
        watch.__exit__(None, None, None)

    assert answer.code == 1, answer.err
    hosts = {host["host"]: host for host in answer.document["hosts"]}
    assert set(hosts) == {host.name for host in big_fleet}
    assert len(hosts) == HOSTS
    assert {name: (hosts[name]["state"], hosts[name]["reason"]) for name in ODD} == ODD
    for name, host in hosts.items():
        if name not in ODD:
            assert [task["task"] for task in host["tasks"]] == [
                "security_patches",
                "log_rotation",
                "docker_cleanup",
                "backup_verification",
                "certificate_check",
            ], (name, host)
    assert events == []
    changed = {host.name: differences(before[host.name], manifest(host, hashed=False)) for host in running}
    assert {name: lines for name, lines in changed.items() if lines} == {}
    assert not bot.state.exists(), "a dry run keeps nothing on the controller either"
