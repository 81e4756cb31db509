"""What a login would not try now is not changed: the next boot could lock everybody out for good."""

from types import SimpleNamespace

import pytest

from maintenancebot.helper.drift import correct_units, taking_up, well
from maintenancebot.helper.files import walk

RUNNING = {"ssh.service", "nftables.service", "ssh.socket"}


@pytest.fixture(autouse=True)
def units(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    running = set(RUNNING)
    monkeypatch.setattr(well, "look", lambda unit: {"ActiveState": "active" if unit in running else "inactive"})
    return running


def unit_for(path: str | None, *, lockout: bool = True, reload: str = "", kind: str = "file") -> str:
    change = {"object": {"kind": kind, "lockout": lockout, "reload": reload}}
    return taking_up.unit_for(change, SimpleNamespace(path=path))


def test_sshd_takes_up_its_files_whether_that_is_declared_or_not(units: set[str]) -> None:
    assert unit_for("/etc/ssh/sshd_config") == "ssh.service"
    assert unit_for("/etc/ssh/sshd_config.d/x.conf") == "ssh.service"
    assert unit_for("/etc/ssh/ours.conf") == unit_for("/etc/ssh/ours/x.conf") == "ssh.service"  # by an Include
    units.remove("ssh.service")
    assert unit_for("/etc/ssh/sshd_config") == ""  # each connection starts one of its own
    units.clear()
    with pytest.raises(walk.Refused):
        unit_for("/etc/ssh/sshd_config")


@pytest.mark.parametrize(
    "path",
    [
        "/etc/ssh/ssh_config",
        "/etc/ssh/sshrc",
        "/etc/sudo.conf",
        "/etc/pam.d/sshd",
        "/etc/sudoers",
        "/etc/sudoers.d/x",
        "/etc/nsswitch.conf",
        "/root/.bashrc",
    ],
)
def test_what_each_login_reads_needs_no_unit(path: str) -> None:
    assert unit_for(path) == ""


def test_keys_are_read_at_each_login_wherever_they_lie() -> None:
    assert unit_for("/etc/keys/ops", kind="keys") == unit_for("/etc/ssh/keys/ops", kind="keys") == ""


@pytest.mark.parametrize(
    "path", ["/etc/network/interfaces", "/etc/nftables.conf", "/etc/ssh/ssh_host_rsa_key", "/etc/sysctl.d/x.conf"]
)
def test_what_only_a_boot_would_take_up_is_refused(path: str) -> None:
    with pytest.raises(walk.Refused) as refused:
        unit_for(path)
    assert refused.value.reason == "needs_reload"
    assert unit_for(path, reload="nftables.service") == "nftables.service"
    assert unit_for(path, lockout=False) == ""


@pytest.mark.parametrize(
    "path", ["/etc/netplan/50.yaml", "/etc/NetworkManager/system-connections/x", "/etc/selinux/config"]
)
def test_what_no_reload_brings_into_force_is_refused_with_one_too(path: str) -> None:
    with pytest.raises(walk.Refused) as refused:
        unit_for(path, reload="nftables.service")
    assert refused.value.reason == "needs_reload"


@pytest.mark.parametrize(
    ("path", "restart"),
    [
        ("/etc/systemd/system/ssh.service.d/x.conf", True),
        ("/etc/default/ssh", True),
        ("/etc/ssh/sshd_config", False),
        (None, False),
    ],
)
def test_a_units_own_files_count_from_its_next_start(path: str | None, restart: bool) -> None:
    assert taking_up.needs_restart(SimpleNamespace(path=path)) is restart


def test_a_unit_that_does_not_run_takes_nothing_up() -> None:
    with pytest.raises(walk.Refused):
        unit_for("/etc/network/interfaces", reload="networking.service")
    assert unit_for("/etc/app.conf", reload="app.service", lockout=False) == "app.service"


def unit(name: str, wanted: dict[str, bool], lockout: bool = True) -> None:
    found = {key: not value for key, value in wanted.items() if key != "active"}
    found.update({"active": name in RUNNING} if "active" in wanted else {})
    asked = {"name": name, "wanted": wanted, "found": found, "lockout": lockout}
    correct_units.prepare({"object": asked}, {}, None)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("ssh.service", {"enabled": False}),
        ("ssh.service", {"masked": True}),
        ("ufw.service", {"enabled": True}),
        ("ufw.service", {"enabled": True, "active": False}),
    ],
)
def test_a_unit_is_tried_now_as_the_next_boot_would_have_it(name: str, wanted: dict[str, bool]) -> None:
    with pytest.raises(walk.Refused) as refused:
        unit(name, wanted)
    assert refused.value.reason == "needs_reload"
    unit(name, wanted, lockout=False)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("ssh.service", {"enabled": True}),
        ("ssh.service", {"enabled": False, "active": False}),
        ("ufw.service", {"enabled": True, "active": True}),
        ("ufw.service", {"masked": True, "active": False}),
        ("ufw.service", {"active": True}),
    ],
)
def test_what_is_tried_now_may_be_made(name: str, wanted: dict[str, bool]) -> None:
    unit(name, wanted)
