"""Settings of the running kernel and crontabs on real hosts: what is corrected counts at once, with the real cron."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import pytest

from maintenancebot.model import Outcome, Reason, State
from maintenancebot.settings import Correct, Item, ItemKind
from tests.acceptance.correcting import Corrector
from tests.lab.fleet import Fleet
from tests.lab.hosts import HostSpec, LabHost
from tests.lab.tools import wait_until

SETTING = "kernel.domainname"  # of this one host alone, since each has its own names
IN_PROC = "/proc/sys/kernel/domainname"
SPOOL = "/var/spool/cron/crontabs"
DONE = (State.DONE, Reason.VERIFIED)


@pytest.fixture(scope="module")
def hosts(make_fleet: Callable[..., Fleet]) -> Fleet:
    return make_fleet(HostSpec("old", "bullseye", "web"), HostSpec("new", "trixie", "web"))


@pytest.fixture(params=["old", "new"])
def each(hosts: Fleet, request: pytest.FixtureRequest) -> Corrector:
    return Corrector(hosts, request.param)


@pytest.fixture
def kernel(each: Corrector) -> Iterator[LabHost]:
    """The host, whose settings can be written while the test runs."""
    host = each.lab_host
    before = value(host)
    host.sh("mount -o remount,bind,rw /proc/sys")
    yield host
    host.sh(f"echo '{before}' > {IN_PROC}; mount -o remount,bind,ro /proc/sys")


def verdict(made: list[Outcome]) -> tuple[State, Reason]:
    (one,) = made
    return one.state, one.reason


def value(host: LabHost) -> str:
    return host.run(["cat", IN_PROC]).stdout.strip()


def setting(wanted: str) -> Item:
    return Item(ItemKind.SYSCTL, SETTING, {"value": wanted}, Correct.SAFE)


def crontab(user: str, text: str) -> Item:
    content = text.encode()
    wanted = {"state": "present", "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    return Item(ItemKind.CRONTAB, user, wanted, Correct.SAFE, content)


def test_a_setting_of_the_kernel_is_set_and_measured(each: Corrector, kernel: LabHost) -> None:
    assert verdict(each.correct(setting("lab.example"))) == DONE
    assert value(kernel) == "lab.example"
    assert each.plan(setting("lab.example")).changes == ()


def test_a_setting_that_the_kernel_does_not_let_be_written_is_a_failure(each: Corrector) -> None:
    before = value(each.lab_host)
    (made,) = each.correct(setting("lab.example"))  # /proc/sys is mounted read-only
    assert made.state is State.FAILED, made
    assert value(each.lab_host) == before


def test_cron_runs_what_a_corrected_crontab_says_and_no_more_what_it_said(each: Corrector) -> None:
    host = each.lab_host
    host.sh("systemctl start cron; printf '* * * * * touch /tmp/old-ran\\n' | crontab -u ops -")
    declared = crontab("ops", "* * * * * touch /tmp/new-ran\n")
    assert verdict(each.correct(declared)) == DONE
    assert host.run(["crontab", "-u", "ops", "-l"]).stdout == "* * * * * touch /tmp/new-ran\n"
    host.sh("rm -f /tmp/old-ran")
    wait_until(lambda: host.live_path("/tmp/new-ran").exists(), "cron to run the declared line", 90)
    assert not host.live_path("/tmp/old-ran").exists()
    assert each.plan(declared).changes == ()


def test_a_crontab_that_cron_would_not_read_is_never_installed(each: Corrector) -> None:
    host = each.lab_host
    host.sh("printf '# mine\\n' | crontab -u ops -")
    before = host.path(f"{SPOOL}/ops").read_bytes()
    assert verdict(each.correct(crontab("ops", "61 * * * * true\n"))) == (State.FAILED, Reason.CONFIG_INVALID)
    assert host.path(f"{SPOOL}/ops").read_bytes() == before
