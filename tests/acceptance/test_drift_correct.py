"""Corrections on real hosts: installed whole, taken back when they go wrong, and nobody is ever locked out for good."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from maintenancebot.errors import RemoteError
from maintenancebot.model import Outcome, Reason, State
from maintenancebot.settings import Correct, Item, ItemKind
from tests.acceptance.correcting import Corrector, file
from tests.lab.fleet import Fleet
from tests.lab.hosts import HostSpec, LabHost
from tests.lab.tools import wait_until

RELEASES = {"old": "bullseye", "web": "bookworm", "new": "trixie"}
DROP_IN = "/etc/ssh/sshd_config.d/00-lab-test.conf"
LAB_CONFIG = "/etc/ssh/sshd_config.d/lab.conf"
SSH, NGINX = "ssh.service", "nginx.service"
SITE = b"server { listen %s:8080; return 204; }\n"
HELPER = "^/usr/bin/python3 -I -S -B -c import sys;b="
DONE = (State.DONE, Reason.VERIFIED)
REVERTED = (State.FAILED, Reason.REVERTED)
INVALID = (State.FAILED, Reason.CONFIG_INVALID)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1heSBub2JvZHkgZXZlciBsb2cgaW4gd2l0aCB0aGlz mallory"


@pytest.fixture(scope="module")
def hosts(make_fleet: Callable[..., Fleet]) -> Fleet:
    variants = {"web": "web"}
    return make_fleet(*(HostSpec(name, release, variants.get(name, "")) for name, release in RELEASES.items()))


@pytest.fixture(params=RELEASES)
def each(hosts: Fleet, request: pytest.FixtureRequest) -> Corrector:
    return Corrector(hosts, request.param)


@pytest.fixture
def web(hosts: Fleet) -> Corrector:
    return Corrector(hosts, "web")


@pytest.fixture(autouse=True)
def nothing_is_left(hosts: Fleet) -> Iterator[None]:
    """Whatever happened: everybody is let in, no timer waits, and nothing of ours starts with the host."""
    yield
    for host in hosts:
        assert host.ssh("sudo -n true", check=False).returncode == 0, host
        assert not list(host.live_path("/run/systemd/transient").glob("maintenancebot-*"))
        assert not list(host.path("/etc/systemd/system").rglob("maintenancebot-*"))


def verdict(made: list[Outcome]) -> tuple[State, Reason]:
    (one,) = made
    return one.state, one.reason


def is_active(host: LabHost, unit: str) -> bool:
    return host.run(["systemctl", "is-active", unit], check=False).stdout.strip() == "active"


def test_a_corrected_file_keeps_all_else_and_the_old_version_lies_in_the_trash(each: Corrector) -> None:
    host = each.lab_host
    path = host.write("/etc/app/app.conf", b"by hand\n", mode=0o640, owner="ops")
    os.setxattr(path, "user.note", b"kept")
    (made,) = each.correct(file("/etc/app/app.conf", b"declared\n", owner="root"))
    assert (made.state, made.reason) == DONE
    assert host.read("/etc/app/app.conf") == b"declared\n"
    found = path.stat()
    assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (0o640, 0, host.ids("ops")[1])
    assert os.getxattr(path, "user.note") == b"kept"
    item = host.path(f"/var/lib/maintenancebot/trash/{made.measured['trash_item']}/item")
    assert (item.read_bytes(), item.stat().st_uid) == (b"by hand\n", host.ids("ops")[0])
    assert each.plan(file("/etc/app/app.conf", b"declared\n", owner="root")).changes == ()
    assert verdict(each.correct(file("/etc/app/app.conf", None))) == DONE
    assert not path.exists()


def test_a_broken_configuration_is_never_installed(each: Corrector) -> None:
    broken = [
        file(DROP_IN, b"Nonsense yes\n", reload=SSH),
        file("/etc/sudoers.d/lab-test", b"ops ALL=(ALL NONSENSE\n", mode="0440"),
        file("/etc/systemd/system/lab-test.service", b"[Service]\nExecStart=/no/such/program\n"),
        file("/etc/cron.d/lab-test", b"61 * * * * root true\n"),
    ]
    made = each.correct(*broken)
    assert {(one.state, one.reason) for one in made} == {INVALID}
    told = sorted(one.detail for one in made)
    assert [words.partition(":")[0] for words in told] == ["line 1", "sshd", "systemd-analyze", "visudo"]
    assert not [item.name for item in broken if each.lab_host.path(item.name).exists()]
    assert not each.lab_host.live_path("/run/maintenancebot/check").exists()


def test_a_good_one_stays_once_a_new_login_works(web: Corrector) -> None:
    assert verdict(web.correct(file(DROP_IN, b"PermitEmptyPasswords no\n"))) == DONE
    assert "permitemptypasswords no" in web.lab_host.run(["sshd", "-T"]).stdout
    web.lab_host.path(DROP_IN).unlink()


def wrong_port(host: LabHost) -> Item:
    return file(LAB_CONFIG, host.read(LAB_CONFIG).replace(b"Port %d\n" % host.port, b"Port 2299\n"), reload=SSH)


def nobody_may(_host: LabHost) -> Item:
    return file(DROP_IN, b"AllowUsers nobody\n", reload=SSH)


def sudo_asks(_host: LabHost) -> Item:
    return file("/etc/sudoers.d/zz-lab-test", b"ops ALL=(ALL) ALL\n", mode="0440")


@pytest.mark.parametrize(
    ("name", "declared", "why"),
    [
        ("old", wrong_port, "unreachable: Connection refused"),
        ("new", nobody_may, "login_refused: "),
        ("web", sudo_asks, "become_password: "),
    ],
)
def test_what_locks_everybody_out_is_taken_back(
    hosts: Fleet, name: str, declared: Callable[[LabHost], Item], why: str
) -> None:
    corrector, item = Corrector(hosts, name), declared(hosts[name])
    path = hosts[name].path(item.name)
    before = path.read_bytes() if path.exists() else None
    (made,) = corrector.correct(item)
    assert (made.state, made.reason) == REVERTED
    assert made.detail.startswith(f"no new login: {why}")
    assert (path.read_bytes() if path.exists() else None) == before


def killing(corrector: Corrector) -> Callable[[Any], Any]:
    """Ends the helper when it asks for a login, as a crash would."""

    def kill(_question: Any) -> Any:
        host = corrector.lab_host
        for pid in host.run(["pgrep", "-f", HELPER]).stdout.split():
            host.run(["kill", "-9", pid], check=False)
        return {"ok": False}

    return kill


def lock_out_and_die(corrector: Corrector, seconds: int) -> Any:
    """Everybody is locked out, and nobody is there any more."""
    item = file(DROP_IN, b"AllowUsers nobody\n", reload=SSH)
    (change,) = corrector.plan(item).changes
    corrector.answer = killing(corrector)  # type: ignore[method-assign]
    with pytest.raises(RemoteError):
        corrector.make([change], item, seconds=seconds)
    assert not corrector.lets_in()
    return change


def told(corrector: Corrector, change: Any) -> tuple[str, str]:
    recalled = corrector.recall(change)
    return recalled["state"], recalled["reason"]


def test_the_host_takes_it_back_alone_when_its_helper_was_killed(hosts: Fleet) -> None:
    old = Corrector(hosts, "old")
    change = lock_out_and_die(old, seconds=6)
    units = old.lab_host.live_path("/run/systemd/transient")
    wait_until(lambda: not list(units.glob("maintenancebot-*")), "the timer has taken it back")
    assert told(old, change) == ("failed", "reverted")
    assert not old.lab_host.path(DROP_IN).exists()


def test_a_reboot_takes_it_back_at_once(web: Corrector) -> None:
    change = lock_out_and_die(web, seconds=600)
    web.lab_host.reboot()
    assert web.lets_in()
    assert told(web, change) == ("failed", "reverted")


def test_what_is_not_the_plain_file_of_the_plan_is_left_alone(web: Corrector) -> None:
    host = web.lab_host
    linked, fixed, changed = "/etc/lab-linked", "/etc/lab-fixed", "/etc/lab-changed"
    for path in (fixed, changed):
        host.write(path, b"by hand\n")
    host.path(linked).symlink_to("/etc/hostname")
    items = [file(path, b"declared\n") for path in (fixed, changed)]
    plan = web.plan(*items)
    host.write(changed, b"by another hand\n")
    host.run(["chattr", "+i", fixed], check=False)
    made = {one.change_id: one for one in web.make(plan.changes, *items)}
    reasons = [made[change.id].reason for change in plan.changes]
    host.run(["chattr", "-i", fixed], check=False)
    assert reasons[1] is Reason.CHANGED_SINCE
    assert web.plan(file(linked, b"declared\n")).changes == ()
    assert [host.read(path) for path in (changed, "/etc/hostname")] == [b"by another hand\n", b"web\n"]


def test_a_web_server_is_tested_reloaded_and_watched(web: Corrector) -> None:
    host = web.lab_host
    site = "/etc/nginx/sites-enabled/lab"
    host.write(site, SITE % host.address.encode())
    host.run(["systemctl", "start", NGINX])
    assert verdict(web.correct(file(site, b"server { listen nowhere; }\n", reload=NGINX))) == INVALID
    new = SITE.replace(b"204", b"418") % host.address.encode()
    assert verdict(web.correct(file(site, new, reload=NGINX))) == DONE
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(f"http://{host.address}:8080/", timeout=5)
    assert answer.value.code == 418
    assert is_active(host, NGINX)


def test_a_service_that_dies_of_its_new_file_runs_again_with_the_old_one(web: Corrector) -> None:
    host = web.lab_host
    unit = "[Service]\nExecStart=/bin/sh -c 'grep -q good /etc/lab.conf && exec sleep 999'\n"
    host.write("/etc/systemd/system/lab-picky.service", unit)
    host.write("/etc/lab.conf", b"good as it is\n")
    host.run(["systemctl", "start", "--", "lab-picky"])
    (made,) = web.correct(file("/etc/lab.conf", b"declared\n", reload="lab-picky.service"))
    assert (made.state, made.reason) == REVERTED
    assert "lab-picky.service is failed" in made.detail
    assert (host.read("/etc/lab.conf"), is_active(host, "lab-picky")) == (b"good as it is\n", True)


def test_a_unit_disabled_by_hand_is_enabled_and_started(web: Corrector) -> None:
    host = web.lab_host
    install = "[Install]\nWantedBy=multi-user.target\n"
    host.write("/usr/lib/systemd/system/lab-on.service", "[Service]\nExecStart=/bin/sleep 999\n" + install)
    host.run(["systemctl", "mask", "lab-on"])
    wanted = {"enabled": True, "active": True, "masked": False}
    on = Item(ItemKind.SERVICE, "lab-on.service", wanted, Correct.SAFE)
    assert verdict(web.correct(on)) == DONE
    assert is_active(host, "lab-on")
    off = Item(ItemKind.SERVICE, "lab-on.service", {"enabled": False, "active": False}, Correct.SAFE)
    assert verdict(web.correct(off)) == DONE
    assert not is_active(host, "lab-on")


def test_a_key_that_nobody_declared_is_taken_out_and_all_others_let_in(web: Corrector) -> None:
    keys = "/home/ops/.ssh/authorized_keys"
    host = web.lab_host
    own = host.read(keys)
    host.write(keys, b"# ours\n" + own + KEY.encode() + b"\n", mode=0o600, owner="ops")
    wanted = {"keys": own.decode().splitlines(), "exclusive": True}
    assert verdict(web.correct(Item(ItemKind.KEYS, "ops", wanted, Correct.SAFE))) == DONE
    assert host.read(keys) == b"# ours\n" + own
    none_of_ours = {"keys": [KEY], "exclusive": True}
    assert verdict(web.correct(Item(ItemKind.KEYS, "ops", none_of_ours, Correct.SAFE))) == REVERTED
    assert host.read(keys) == b"# ours\n" + own


def test_a_hold_is_set_and_lifted(web: Corrector) -> None:
    for held in (True, False):
        hold = Item(ItemKind.PACKAGE, "procps", {"state": "installed", "held": held}, Correct.SAFE)
        made = web.correct(hold)
        assert not made or verdict(made) == DONE
        marks = web.lab_host.run(["apt-mark", "showhold"]).stdout.split()
        assert ("procps" in marks) is held
