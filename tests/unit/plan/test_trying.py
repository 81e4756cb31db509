"""A plan does not list what the host would leave alone, since no login could try it before the next boot."""

import pytest

from maintenancebot.helper.drift import taking_up
from maintenancebot.plan import trying
from maintenancebot.plan.lockout import can_lock_out
from maintenancebot.settings import Correct, Item, ItemKind


def test_plan_and_host_have_the_same_rules() -> None:
    assert (trying.SSHD, trying.AT_LOGIN) == (taking_up.SSHD, taking_up.AT_LOGIN)
    assert trying.ONLY_AT_BOOT == taking_up.ONLY_AT_BOOT


@pytest.mark.parametrize(
    ("path", "reload", "tried"),
    [
        ("/etc/ssh/sshd_config", "", True),
        ("/etc/sudoers.d/ops", "", True),
        ("/etc/sudo.conf", "", True),
        ("/etc/ssh/ours/x.conf", "", True),
        ("/root/.bash_profile", "", True),
        ("/etc/ssh/ssh_host_rsa_key", "", False),
        ("/etc/nftables.conf", "", False),
        ("/etc/nftables.conf", "nftables.service", True),
        ("/etc/netplan/50.yaml", "systemd-networkd.service", False),
    ],
)
def test_a_file(path: str, reload: str, tried: bool) -> None:
    item = Item(ItemKind.FILE, path, {"state": "absent"}, Correct.SAFE, reload=reload)
    assert can_lock_out(item, "bot")
    assert (trying.objection(item) == "") is tried


@pytest.mark.parametrize(
    ("wanted", "tried"),
    [
        ({"enabled": True, "active": True}, True),
        ({"enabled": True}, True),  # the host knows whether it runs
        ({"enabled": True, "active": False}, False),
        ({"masked": True, "active": True}, False),
        ({"active": False}, True),
    ],
)
def test_a_unit(wanted: dict[str, bool], tried: bool) -> None:
    assert (trying.objection(Item(ItemKind.SERVICE, "ssh.service", wanted, Correct.SAFE)) == "") is tried


def test_what_a_login_always_tries() -> None:
    assert trying.objection(Item(ItemKind.SYSCTL, "net.ipv4.ip_forward", {"value": "1"}, Correct.SAFE)) == ""
