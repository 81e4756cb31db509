"""Certificates of real nginx and certbot hosts, issued by a real ACME server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from maintenancebot.model import Reason, State, TaskType
from maintenancebot.settings import MonitorTask
from tests.acceptance.subjects import Controller
from tests.lab import certificates
from tests.lab.acme import Acme, served
from tests.lab.fleet import Fleet
from tests.lab.hosts import LabHost
from tests.lab.lab import Lab
from tests.lab.watch import Watch, differences, manifest

NAME = "www.example.org"
LIVE = f"/etc/letsencrypt/live/{NAME}/fullchain.pem"
TASK = MonitorTask(
    name="certificate_check",
    type=TaskType.MONITOR,
    check="certificate_expiry_days > 30",
    alert_threshold=30,
    auto_renew=True,
)
LATER = timedelta(days=65)  # of a certificate of 90 days 25 are left then


@pytest.fixture(scope="module")
def fleet(lab: Lab) -> Iterator[Fleet]:
    fleet = lab.fleet()
    yield fleet
    lab.end(fleet)


@pytest.fixture(scope="module")
def acme(lab: Lab) -> Iterator[Acme]:
    acme = lab.acme(validity_days=90)
    yield acme
    lab.end(acme)


@pytest.fixture(scope="module", params=["bookworm", "trixie", "bullseye"])
def web(request: pytest.FixtureRequest, fleet: Fleet, acme: Acme) -> LabHost:
    """An nginx that serves a certificate which certbot can renew; a deploy hook reloads it."""
    host = fleet.host(f"web-{request.param}", release=request.param, variant="web")
    acme.equip(host, NAME)
    hook(host, "systemctl reload nginx")
    return host


def hook(host: LabHost, command: str) -> None:
    host.write("/etc/letsencrypt/renewal-hooks/deploy/reload", f"#!/bin/sh\n{command}\n".encode(), mode=0o755)


def serial(host: LabHost) -> str:
    return format(served(host.address, 443, NAME).serial_number, "x")


def test_a_valid_certificate_is_seen_in_file_and_on_the_port_and_nothing_is_written(fleet: Fleet, web: LabHost) -> None:
    before = manifest(web)
    with Watch(web) as watch:
        made = Controller(fleet).plan(web.name, TASK)
        assert watch.events() == []
    assert (made.state, made.reason, made.changes) == (State.DONE, Reason.VALID, ())
    places = {one["place"] for one in made.facts["certificates"]}
    assert places == {LIVE, f"{web.address}:443"}
    assert differences(before, manifest(web)) == []


def test_a_due_lineage_is_renewed_and_its_serial_is_served(fleet: Fleet, web: LabHost) -> None:
    controller, before = Controller(fleet), serial(web)
    made = controller.plan(web.name, TASK, later=LATER)
    assert (made.state, [change.name for change in made.changes]) == (State.PLANNED, [NAME])
    make_due(web)
    (outcome,) = controller.apply(web.name, TASK, made.changes)
    assert (outcome.state, outcome.reason) == (State.DONE, Reason.VERIFIED), outcome
    assert outcome.measured["serial_before"] == before != serial(web) == outcome.measured["serial_after"]
    assert controller.plan(web.name, TASK).reason is Reason.VALID


def test_the_same_plan_again_is_left_alone(fleet: Fleet, web: LabHost) -> None:
    controller = Controller(fleet)
    made = controller.plan(web.name, TASK, later=LATER)
    make_due(web)
    controller.apply(web.name, TASK, made.changes)
    (outcome,) = controller.apply(web.name, TASK, made.changes)
    assert (outcome.state, outcome.reason) == (State.SKIPPED, Reason.CHANGED_SINCE)


def test_certbots_no_is_not_due(fleet: Fleet, web: LabHost) -> None:
    controller = Controller(fleet)
    made = controller.plan(web.name, TASK, later=LATER)
    make_due(web, "10 days")
    (outcome,) = controller.apply(web.name, TASK, made.changes)
    assert (outcome.state, outcome.reason) == (State.NOTHING, Reason.NOT_DUE)


def test_a_hook_that_does_not_reload_is_a_failure_and_then_a_difference(fleet: Fleet, web: LabHost) -> None:
    controller = Controller(fleet)
    made = controller.plan(web.name, TASK, later=LATER)
    make_due(web)
    hook(web, "exit 1")
    try:
        (outcome,) = controller.apply(web.name, TASK, made.changes)
        assert (outcome.state, outcome.reason) == (State.FAILED, Reason.SERVED_DIFFERS)
        made = controller.plan(web.name, TASK)
        assert (made.state, made.reason) == (State.FAILED, Reason.SERVED_DIFFERS)
    finally:
        hook(web, "systemctl reload nginx")
        web.run(["systemctl", "reload", "nginx"])


def test_an_authority_that_does_not_answer_leaves_the_old_certificate(fleet: Fleet, web: LabHost, acme: Acme) -> None:
    controller, before = Controller(fleet), web.read(LIVE)
    made = controller.plan(web.name, TASK, later=LATER)
    make_due(web)
    acme.resolve(NAME, "127.0.9.253")  # the challenge is looked for where nobody is
    try:
        (outcome,) = controller.apply(web.name, TASK, made.changes)
    finally:
        acme.resolve(NAME, web.address)
    assert (outcome.state, outcome.reason) == (State.FAILED, Reason.RENEWAL_FAILED), outcome
    assert "127.0.9.253" in outcome.detail  # the authority's own words
    assert web.read(LIVE) == before
    assert outcome.measured["serial_after"] == outcome.measured["serial_before"]


def test_another_certbot_means_busy(fleet: Fleet, web: LabHost) -> None:
    controller = Controller(fleet)
    made = controller.plan(web.name, TASK, later=LATER)
    make_due(web)
    hold = (
        "import fcntl,time; f=open('/etc/letsencrypt/.certbot.lock','w'); fcntl.lockf(f,fcntl.LOCK_EX); time.sleep(60)"
    )
    web.run(["systemd-run", "--unit=holder", "python3", "-c", hold])
    try:
        (outcome,) = controller.apply(web.name, TASK, made.changes)
    finally:
        web.run(["systemctl", "stop", "holder"])
        web.path("/etc/letsencrypt/.certbot.lock").unlink(missing_ok=True)
    assert (outcome.state, outcome.reason) == (State.SKIPPED, Reason.BUSY)


def test_without_root_nothing_is_claimed(fleet: Fleet, web: LabHost) -> None:
    made = Controller(fleet, "plain").plan(web.name, TASK)
    assert (made.state, made.reason) == (State.SKIPPED, Reason.NEEDS_ROOT)


def test_files_with_faults_are_named_one_by_one(fleet: Fleet, make_files: Callable[..., LabHost]) -> None:
    root = certificates.authority()
    good = certificates.certificate("good.example.org", issuer=root)
    other = certificates.certificate("good.example.org", issuer=root)
    short = certificates.certificate("short.example.org", days_left=4, lifetime_days=6, issuer=root)
    host = make_files(
        good=good.pem + good.key_pem,
        mismatch=good.pem + other.key_pem,
        short=short.pem,
        expired=certificates.certificate("old.example.org", days_left=-1, issuer=root).pem,
        unborn=certificates.certificate("new.example.org", days_left=91, issuer=root).pem,
        chain=good.pem + certificates.authority("Stranger").pem,
    )
    made = Controller(fleet).plan(host.name, TASK)
    verdicts = {one["place"].rpartition("/")[2]: one["verdict"] for one in made.facts["certificates"]}
    assert verdicts == {
        "good.pem": "valid",
        "mismatch.pem": "key_mismatch",
        "short.pem": "valid",
        "expired.pem": "expired",
        "unborn.pem": "not_yet_valid",
        "chain.pem": "chain_broken",
    }
    assert (made.state, made.reason) == (State.FAILED, Reason.EXPIRED)


@pytest.fixture
def make_files(fleet: Fleet) -> Callable[..., LabHost]:
    def make(**files: bytes) -> LabHost:
        host = fleet.host("files", variant="web")
        for name, data in files.items():
            host.write(f"/etc/nginx/ssl/{name}.pem", data, mode=0o600)
        return host

    return make


def make_due(host: LabHost, before_expiry: str = "100 days") -> None:
    """Let certbot think that the lineage is due, by its own setting and without force."""
    path = host.path(f"/etc/letsencrypt/renewal/{NAME}.conf")
    lines = [line for line in path.read_text().splitlines() if "renew_before_expiry" not in line]
    path.write_text("\n".join([f"renew_before_expiry = {before_expiry}", *lines]) + "\n")
