"""Hosts of the rpm family with real dnf: what is due, nothing written by looking, exactly the plan done."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from maintenancebot.model import Reason, State
from maintenancebot.settings import Settings
from tests.acceptance.subjects import Controller
from tests.lab import rpm
from tests.lab.fleet import Fleet
from tests.lab.hosts import HostSpec, LabHost
from tests.lab.rpm import ORDERED, Advisory, Rpm
from tests.lab.watch import manifest

TASK = Settings.model_validate(
    {"tasks": [{"name": "patches", "type": "package_update", "scope": "security_only", "lock_timeout_seconds": 2}]}
).tasks[0]

LONG = "mb-" + "long-name-" * 8 + "end"
OLD = {
    name: Rpm(name, epoch=1 if name == "mb-epoch" else 0)
    for name in (
        *("mb-good", "mb-epoch", "mb-masked", "mb-plain", "mb-held", "mb-excluded", "mb-blocked", "mb-needs-new"),
        *("mb-vendor", LONG),
    )
}
GOOD = Rpm("mb-good", "1.1")
EPOCH = Rpm("mb-epoch", "0.9", epoch=2)
FIX = Rpm("mb-masked", "1.1")
LATER = Rpm("mb-masked", "1.2")
PLAIN = Rpm("mb-plain", "1.1")
HELD = Rpm("mb-held", "1.1")
EXCLUDED = Rpm("mb-excluded", "1.1")
BLOCKED = Rpm("mb-blocked", "1.1", tags=["Requires: mb-absent >= 2"])
NEEDS_NEW = Rpm("mb-needs-new", "1.1", tags=["Requires: mb-new"])
NEW = Rpm("mb-new")
LONGER = Rpm(LONG, "1.1.20260101git0123456789abcdef0123456789", "1.el9_4.lab.2")
ADVISORIES = (
    Advisory("LAB-2026:1", [GOOD, EPOCH], cves=["CVE-2026-0001", "CVE-2026-0002"]),
    Advisory("LAB-2026:2", [FIX], severity="Low", cves=["CVE-2026-0003"]),
    Advisory("LAB-2026:3", [PLAIN], kind="bugfix", severity="None"),
    Advisory("LAB-2026:4", [HELD, EXCLUDED, BLOCKED, NEEDS_NEW, LONGER], severity="Moderate"),
)


def prepared(host: LabHost) -> LabHost:
    """A host of the family with one repository with errata and one without, its lists loaded."""
    rpm.convert(host, "dnf")
    rpm.install(host, *OLD.values())
    updates = (GOOD, EPOCH, FIX, LATER, PLAIN, HELD, EXCLUDED, BLOCKED, NEEDS_NEW, NEW, LONGER)
    rpm.publish(host, "/srv/updates", *updates, advisories=ADVISORIES)
    rpm.publish(host, "/srv/vendor", Rpm("mb-vendor", "1.1"))
    rpm.attach(host, "updates", "file:///srv/updates")
    rpm.attach(host, "vendor", "file:///srv/vendor")
    host.run(["dnf", "--quiet", "makecache"])
    return host


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def shared(request: pytest.FixtureRequest, make_fleet: Callable[..., Fleet]) -> tuple[Controller, LabHost]:
    """A host that tests only look at."""
    fleet = make_fleet(HostSpec("rocky", release=request.param, variant="dnf"))
    host = prepared(fleet["rocky"])
    host.write("/etc/dnf/dnf.conf", "[main]\ngpgcheck=0\nbest=0\nexcludepkgs=mb-excluded\n")
    host.run(["dnf", "--quiet", "versionlock", "add", "mb-held"])
    return Controller(fleet), host


def test_what_is_due_and_what_stays_is_told_with_its_advisories(shared: tuple[Controller, LabHost]) -> None:
    made = shared[0].plan("rocky", TASK)

    assert made.state is State.PLANNED, made
    assert sorted(change.name for change in made.changes) == sorted(
        [
            *("mb-epoch=2:0.9-1", "mb-good=1.1-1", "mb-masked=1.2-1", "mb-needs-new=1.1-1", "mb-new=1.0-1"),
            f"{LONG}=1.1.20260101git0123456789abcdef0123456789-1.el9_4.lab.2",
        ]
    )
    effects = {str(change.object["package"]): change.effect for change in made.changes}
    assert effects["mb-good"]["advisories"] == ["LAB-2026:1"]
    assert effects["mb-good"]["cves"] == ["CVE-2026-0001", "CVE-2026-0002"]
    assert effects["mb-masked"]["cves"] == ["CVE-2026-0003"]
    stays = made.facts["stays"]
    assert set(stays) == {"held", "pinned", "blocked", "no_errata"}
    assert stays["held"][0].startswith("mb-held 1.0-1 -> 1.1-1")
    assert stays["pinned"][0].startswith("mb-excluded ")
    assert stays["blocked"][0].startswith("mb-blocked ")
    assert "mb-absent >= 2" in stays["blocked"][0]
    assert stays["no_errata"] == ["mb-vendor 1.0-1 -> 1.1-1"]
    assert made.facts["other_updates"] == 1


@pytest.mark.parametrize(("older", "newer"), ORDERED)
def test_versions_are_ordered_as_rpm_itself_does(shared: tuple[Controller, LabHost], older: str, newer: str) -> None:
    said = shared[1].run(["rpm", "--eval", f"%{{lua: print(rpm.vercmp('{older}', '{newer}'))}}"])

    assert said.stdout.strip() == "-1"


def test_looking_writes_nothing(shared: tuple[Controller, LabHost]) -> None:
    controller, host = shared
    controller.plan("rocky", TASK)
    before = manifest(host)

    controller.plan("rocky", TASK)

    after = manifest(host)
    changed = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    assert {path for path in changed if not path.startswith(("/run", "/var/log", "/var/lib/wtmpdb"))} == set()
    assert {path for path in changed if "dnf" in path or "hawkey" in path or "rpm" in path} == set()


def test_without_root_nothing_is_looked_at(shared: tuple[Controller, LabHost]) -> None:
    made = Controller(shared[0].fleet, user="plain").plan("rocky", TASK)

    assert (made.state, made.reason) == (State.SKIPPED, Reason.NEEDS_ROOT)


def test_without_any_errata_it_is_unknown_and_not_up_to_date(
    make_host: Callable[..., LabHost], own_fleet: Fleet
) -> None:
    host = prepared(make_host("rocky", variant="dnf"))
    host.run(["rm", "/etc/yum.repos.d/updates.repo"])

    made = Controller(own_fleet).plan("rocky", TASK)
    assert (made.state, made.reason, made.detail) == (
        State.UNKNOWN,
        Reason.NO_ERRATA,
        "mb-vendor 1.0-1 -> 1.1-1",
    )

    host.run(["dnf", "clean", "all"])
    made = Controller(own_fleet).plan("rocky", TASK)
    assert (made.state, made.reason) == (State.UNKNOWN, Reason.LISTS_MISSING)


def test_exactly_the_plan_is_done_and_measured(make_host: Callable[..., LabHost], own_fleet: Fleet) -> None:
    host = prepared(make_host("rocky", variant="dnf", release="trixie"))
    host.write("/etc/mb-good.conf", "mine = yes\n")
    controller = Controller(own_fleet)
    made = controller.plan("rocky", TASK)

    outcomes = controller.apply("rocky", TASK, made.changes)

    assert {(outcome.state, outcome.reason) for outcome in outcomes} == {(State.DONE, Reason.VERIFIED)}, outcomes
    assert rpm.installed(host, "mb-good") == "1.1-1"
    assert rpm.installed(host, "mb-plain") == "1.0-1"
    assert host.read("/etc/mb-good.conf") == b"mine = yes\n"
    first = outcomes[0].measured
    assert first["exit_code"] == 0
    assert first["kept_configuration"] == ["/etc/mb-good.conf.rpmnew"]
    again = controller.plan("rocky", TASK)
    assert {change.name for change in again.changes} == set()
    refused = controller.apply("rocky", TASK, made.changes)
    assert {(outcome.state, outcome.reason) for outcome in refused} == {(State.SKIPPED, Reason.CHANGED_SINCE)}


def test_a_replaced_package_refuses_the_whole(make_host: Callable[..., LabHost], own_fleet: Fleet) -> None:
    host = make_host("rocky", variant="dnf")
    rpm.convert(host, "dnf")
    rpm.install(host, Rpm("mb-one"), Rpm("mb-gone"))
    newer = Rpm("mb-one", "1.1", tags=["Obsoletes: mb-gone < 2"])
    rpm.publish(host, "/srv/updates", newer, advisories=[Advisory("LAB-2026:1", [newer])])
    rpm.attach(host, "updates", "file:///srv/updates")
    host.run(["dnf", "--quiet", "makecache"])

    made = Controller(own_fleet).plan("rocky", TASK)

    assert (made.state, made.reason, made.detail) == (State.SKIPPED, Reason.WOULD_REMOVE, "mb-gone")


def test_a_repository_that_is_down_fails_a_renewal(make_host: Callable[..., LabHost], own_fleet: Fleet) -> None:
    host = prepared(make_host("rocky", variant="dnf"))
    rpm.attach(host, "down", "http://127.0.0.1:9/")

    made = Controller(own_fleet).plan("rocky", TASK, refresh=True)

    assert (made.state, made.reason) == (State.UNKNOWN, Reason.LISTS_FAILED)
    assert "down" in made.detail


def test_a_debian_host_with_dnf_stays_a_debian_host(make_host: Callable[..., LabHost], own_fleet: Fleet) -> None:
    host = make_host("debian", variant="dnf")
    assert isinstance(host.run(["dnf", "--version"]), subprocess.CompletedProcess)

    made = Controller(own_fleet).plan("debian", TASK)

    assert (made.state, made.reason) == (State.UNKNOWN, Reason.LISTS_MISSING)  # apt's lists: a fresh host has none
    assert made.facts["manager"] == "apt"


SHELL = Rpm("mb-shell", tags=["Provides: /bin/sh"])  # the host's own is not in rpm's database


def offered(host: LabHost, post: str) -> LabHost:
    """A host with one update whose script runs this."""
    rpm.convert(host, "dnf")
    rpm.build(host, "/srv/old", Rpm("mb-one"))
    rpm.install(host, Rpm("mb-one"), SHELL)
    newer = Rpm("mb-one", "1.1", post=post)
    rpm.publish(host, "/srv/updates", newer, advisories=[Advisory("LAB-2026:1", [newer])])
    rpm.attach(host, "updates", "file:///srv/updates")
    host.run(["dnf", "--quiet", "makecache"])
    return host


def test_a_script_that_fails_is_no_success(make_host: Callable[..., LabHost], own_fleet: Fleet) -> None:
    host = offered(make_host("rocky", variant="dnf"), "exit 1")
    controller = Controller(own_fleet)
    made = controller.plan("rocky", TASK)
    assert made.state is State.PLANNED, made

    (outcome,) = controller.apply("rocky", TASK, made.changes)

    assert (outcome.state, outcome.reason) == (State.FAILED, Reason.PACKAGES_BROKEN), outcome
    assert "scriptlet failed" in outcome.detail
    host.sh("rpm --upgrade --oldpackage --nodeps $(find /srv/old -name 'mb-one*.rpm')")
    again = controller.plan("rocky", TASK)
    assert (again.state, again.reason) == (State.SKIPPED, Reason.KNOWN_BAD)


def test_a_service_that_dies_fails_the_upgrade_and_the_version_stays_out(
    make_host: Callable[..., LabHost], own_fleet: Fleet
) -> None:
    host = offered(make_host("rocky", variant="dnf"), "systemctl stop victim.service")
    host.write("/etc/systemd/system/victim.service", "[Service]\nExecStart=/bin/sleep infinity\n")
    host.run(["systemctl", "start", "victim.service"])
    controller = Controller(own_fleet)
    task = Settings.model_validate(
        {
            "tasks": [
                {
                    "name": "patches",
                    "type": "package_update",
                    "scope": "security_only",
                    "health": {"settle_seconds": 3},
                }
            ]
        }
    ).tasks[0]

    (outcome,) = controller.apply("rocky", task, controller.plan("rocky", task).changes)

    assert (outcome.state, outcome.reason) == (State.FAILED, Reason.UNHEALTHY), outcome
    assert "victim.service" in outcome.detail
    assert rpm.installed(host, "mb-one") == "1.1-1"
    host.sh("rpm --upgrade --oldpackage --nodeps $(find /srv/old -name 'mb-one*.rpm')")
    again = controller.plan("rocky", task)
    assert (again.state, again.reason) == (State.SKIPPED, Reason.KNOWN_BAD)
    assert "victim.service" in again.detail
