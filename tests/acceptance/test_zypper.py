"""Hosts of SUSE's family with real zypper: what is due by category, nothing written, exactly the plan done."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from maintenancebot.model import Reason, State
from tests.acceptance.subjects import Controller
from tests.acceptance.test_dnf import (
    ADVISORIES,
    BLOCKED,
    EPOCH,
    EXCLUDED,
    FIX,
    GOOD,
    HELD,
    LATER,
    LONGER,
    NEEDS_NEW,
    NEW,
    OLD,
    PLAIN,
    TASK,
)
from tests.lab import rpm
from tests.lab.fleet import Fleet
from tests.lab.hosts import HostSpec, LabHost
from tests.lab.rpm import Rpm
from tests.lab.watch import manifest


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def suse(request: pytest.FixtureRequest, make_fleet: Callable[..., Fleet]) -> tuple[Controller, LabHost]:
    """A host with one repository with patches and one without, its lists loaded."""
    fleet = make_fleet(HostSpec("suse", release=request.param, variant="zypper"))
    host = fleet["suse"]
    rpm.convert(host, "zypper")
    rpm.install(host, *OLD.values())
    updates = (GOOD, EPOCH, FIX, LATER, PLAIN, HELD, EXCLUDED, BLOCKED, NEEDS_NEW, NEW, LONGER)
    rpm.publish(host, "/srv/updates", *updates, advisories=ADVISORIES)
    rpm.publish(host, "/srv/vendor", Rpm("mb-vendor", "1.1"))
    rpm.attach(host, "updates", "file:///srv/updates")
    rpm.attach(host, "vendor", "file:///srv/vendor")
    host.run(["zypper", "--non-interactive", "refresh"])
    host.run(["zypper", "--non-interactive", "addlock", "mb-held"])
    return Controller(fleet), host


def test_the_plan_is_told_written_nowhere_and_done(suse: tuple[Controller, LabHost]) -> None:
    controller, host = suse
    controller.plan("suse", TASK)
    before = manifest(host)

    made = controller.plan("suse", TASK)

    after = manifest(host)
    changed = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    assert {path for path in changed if "zyp" in path or "rpm" in path} == set()
    assert {path for path in changed if not path.startswith(("/run", "/var/log", "/var/lib/wtmpdb"))} == set()

    assert made.state is State.PLANNED, made
    names = {str(change.object["package"]): change.name for change in made.changes}
    assert names["mb-epoch"] == "mb-epoch=2:0.9-1"
    assert names["mb-masked"] == "mb-masked=1.2-1"
    assert set(names) == {
        OLD["mb-good"].name,
        "mb-epoch",
        "mb-masked",
        "mb-excluded",
        "mb-needs-new",
        "mb-new",
        LONGER.name,
    }
    (good,) = [change for change in made.changes if change.object["package"] == "mb-good"]
    assert good.effect["cves"] == ["CVE-2026-0001", "CVE-2026-0002"]
    stays = made.facts["stays"]
    assert set(stays) == {"held", "blocked", "no_errata"}
    assert "mb-absent >= 2" in stays["blocked"][0]

    outcomes = controller.apply("suse", TASK, made.changes)

    assert {(outcome.state, outcome.reason) for outcome in outcomes} == {(State.DONE, Reason.VERIFIED)}, outcomes
    assert rpm.installed(host, "mb-good") == "1.1-1"
    assert rpm.installed(host, "mb-held") == "1.0-1"
    again = controller.plan("suse", TASK)
    assert again.changes == ()


def test_a_repository_that_is_down_fails_a_renewal(suse: tuple[Controller, LabHost]) -> None:
    controller, host = suse
    rpm.attach(host, "down", "http://127.0.0.1:9/")

    made = controller.plan("suse", TASK, refresh=True)

    assert (made.state, made.reason) == (State.UNKNOWN, Reason.LISTS_FAILED)
