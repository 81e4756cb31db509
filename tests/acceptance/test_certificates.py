"""Certificates of real nginx and certbot hosts, issued by a real ACME server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from maintenancebot.model import Reason, State, TaskType
from maintenancebot.settings import MonitorTask
from tests.acceptance.command import TASKS, Bot, wait_while_running
from tests.acceptance.subjects import Controller
from tests.lab import certificates
from tests.lab.acme import Acme, served
from tests.lab.fleet import Fleet
from tests.lab.hosts import LabHost
from tests.lab.lab import Lab
from tests.lab.tools import wait_until
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


def test_a_deploy_hook_that_fails_is_told_and_the_server_is_reloaded_nevertheless(fleet: Fleet, web: LabHost) -> None:
    controller = Controller(fleet)
    made = controller.plan(web.name, TASK, later=LATER)
    make_due(web)
    hook(web, "exit 7")
    try:
        (outcome,) = controller.apply(web.name, TASK, made.changes)
    finally:
        hook(web, "systemctl reload nginx")
    assert (outcome.state, outcome.reason) == (State.DONE, Reason.VERIFIED), outcome
    assert "deploy-hook failed with code 7" in outcome.detail
    assert "certbot's hooks did not reload nginx.service, so it was reloaded" in outcome.detail
    # An old worker of nginx may take one more connection while it ends.
    wait_until(lambda: serial(web) == outcome.measured["serial_after"], "nginx serves the new certificate alone", 10)


def test_a_configuration_that_would_not_reload_is_said_before_and_nothing_is_renewed(
    fleet: Fleet, web: LabHost
) -> None:
    controller, before = Controller(fleet), serial(web)
    made = controller.plan(web.name, TASK, later=LATER)
    make_due(web)
    web.write("/etc/nginx/conf.d/broken.conf", "no_such_directive on;\n")
    try:
        (outcome,) = controller.apply(web.name, TASK, made.changes)
    finally:
        web.path("/etc/nginx/conf.d/broken.conf").unlink()
    assert (outcome.state, outcome.reason) == (State.FAILED, Reason.CONFIG_INVALID), outcome
    assert "no_such_directive" in outcome.detail
    assert outcome.measured["tried"] is False
    assert serial(web) == before == on_disk(web)


def test_a_hook_that_breaks_the_configuration_leaves_the_old_certificate_served_and_that_is_said(
    fleet: Fleet, web: LabHost
) -> None:
    controller, before = Controller(fleet), serial(web)
    made = controller.plan(web.name, TASK, later=LATER)
    make_due(web)
    hook(web, "echo 'no_such_directive on;' >/etc/nginx/conf.d/broken.conf; systemctl reload nginx")
    try:
        (outcome,) = controller.apply(web.name, TASK, made.changes)
        assert (outcome.state, outcome.reason) == (State.FAILED, Reason.CONFIG_INVALID), outcome
        assert "the new certificate is on disk" in outcome.detail
        assert "not reloaded, nginx.service" in outcome.detail
        assert serial(web) == before != on_disk(web)
        after = controller.plan(web.name, TASK)
        assert (after.state, after.reason) == (State.FAILED, Reason.SERVED_DIFFERS)
    finally:
        web.path("/etc/nginx/conf.d/broken.conf").unlink(missing_ok=True)
        hook(web, "systemctl reload nginx")
        web.run(["systemctl", "reload", "nginx"])


def test_a_port_that_certbots_own_server_would_need_is_seen_in_the_plan_and_before_a_try(
    fleet: Fleet, web: LabHost
) -> None:
    controller, path = Controller(fleet), web.path(f"/etc/letsencrypt/renewal/{NAME}.conf")
    kept, earlier = path.read_text(), controller.plan(web.name, TASK, later=LATER)
    standalone = kept.replace("authenticator = webroot", "authenticator = standalone")
    path.write_text(standalone.replace("[renewalparams]", f"[renewalparams]\nhttp01_address = {web.address}"))
    try:
        made = controller.plan(web.name, TASK, later=LATER)
        (outcome,) = controller.apply(web.name, TASK, earlier.changes)
    finally:
        path.write_text(kept)
    said = "certbot's standalone server needs port 80, which nginx.service holds"
    assert (made.changes, made.state, said in made.detail) == ((), State.FAILED, True), made
    assert (outcome.state, outcome.reason, outcome.detail) == (State.FAILED, Reason.RENEWAL_FAILED, said)
    assert outcome.measured["tried"] is False


def test_certbots_own_timer_is_left_to_it_until_it_is_overdue(fleet: Fleet, web: LabHost) -> None:
    controller, mask = Controller(fleet), web.path("/etc/systemd/system/certbot.timer")
    due, overdue = timedelta(days=61.5), timedelta(days=64)  # a third of 90 days is 30, and three days' grace
    assert [one.name for one in controller.plan(web.name, TASK, later=due).changes] == [NAME]
    mask.unlink()
    try:
        web.sh("systemctl daemon-reload; systemctl start certbot.timer")
        left = controller.plan(web.name, TASK, later=due)
        assert (left.state, left.reason, left.changes) == (State.DONE, Reason.VALID, ())
        assert left.facts["renewed_by"] == "certbot.timer"
        assert "due; renewed by itself, overdue from" in left.facts["left_to_timer"][0]
        assert [one.name for one in controller.plan(web.name, TASK, later=overdue).changes] == [NAME]
        watching = TASK.model_copy(update={"auto_renew": False})
        assert controller.plan(web.name, watching, later=due).reason is Reason.VALID
        assert controller.plan(web.name, watching, later=overdue).reason is Reason.EXPIRING
    finally:
        web.run(["systemctl", "stop", "certbot.timer"])
        mask.symlink_to("/dev/null")
        web.run(["systemctl", "daemon-reload"])


def test_a_six_day_certificate_is_judged_by_half_of_its_life_and_renewed(lab: Lab, fleet: Fleet) -> None:
    acme = lab.acme(validity_days=6)
    host = fleet.host("web-short", variant="web")
    try:
        acme.equip(host, NAME)
        controller, before = Controller(fleet), serial(host)
        assert controller.plan(host.name, TASK, later=timedelta(days=2.9)).reason is Reason.VALID
        made = controller.plan(host.name, TASK, later=timedelta(days=3.1))
        assert [one.name for one in made.changes] == [NAME]
        (outcome,) = controller.apply(host.name, TASK, made.changes)
        assert (outcome.state, outcome.measured["serial_before"]) == (State.DONE, before), outcome
        assert serial(host) == outcome.measured["serial_after"] != before
    finally:
        lab.end(acme)


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
    assert outcome.detail.endswith("the old certificate is still served")
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


@pytest.fixture(scope="module")
def commanded(fleet: Fleet, acme: Acme) -> LabHost:
    """A host for the installed command, which has the real time: its certificate is made old."""
    host = fleet.host("web-command", variant="web")
    acme.equip(host, NAME)
    return host


def test_the_command_tries_backs_off_and_renews(fleet: Fleet, commanded: LabHost, acme: Acme, tmp_path: Path) -> None:
    host = commanded
    hook(host, "systemctl reload nginx")
    old = plant(host, days_left=2.5, lifetime_days=6)
    bot, fresh = (Bot(place(tmp_path, name), fleet, tasks=[TASKS[-1]]) for name in ("bot", "fresh"))

    def said(bot: Bot, *words: str) -> tuple[str, str]:
        task = bot(*words, "--host", host.name, "--task", "certificate_check", "--json").task(
            host.name, "certificate_check"
        )
        return task["state"], task["reason"]

    with Watch(host) as watch:
        assert said(bot, "dry-run")[0] == "planned"
        assert [event for event in watch.events() if "/var/log" not in event] == []
    acme.resolve(NAME, "127.0.9.253")
    assert said(bot, "run") == ("failed", "renewal_failed")
    acme.resolve(NAME, host.address)
    assert said(bot, "run") == said(bot, "dry-run") == ("skipped", "backing_off")
    assert serial(host) == old
    assert said(fresh, "run") == ("done", "verified")  # without the memory of the failed try
    assert serial(host) == on_disk(host) != old
    assert said(bot, "run") == ("done", "valid")


def test_a_controller_that_dies_leaves_nothing_half_done(fleet: Fleet, commanded: LabHost, tmp_path: Path) -> None:
    host = commanded
    hook(host, "touch /run/hooked; while [ -e /run/hooked ]; do sleep 0.1; done; exit 1")
    old, bot = plant(host, days_left=2.5, lifetime_days=6), Bot(tmp_path, fleet, tasks=[TASKS[-1]])
    running = bot.start("run", "--host", host.name, "--json")
    wait_while_running(running, host.live_path("/run/hooked").exists, "certbot runs its hook")
    running.kill()
    running.communicate(timeout=30)
    host.live_path("/run/hooked").unlink()
    wait_until(lambda: serial(host) == on_disk(host) != old, "the helper tests and reloads nginx by itself", 60)
    answer = bot("run", "--host", host.name, "--json")
    task = answer.task(host.name, "certificate_check")
    assert (task["state"], task["reason"]) == ("done", "valid")
    notes = answer.document["notes"]  # what became of the renewal is found out from what is served
    assert any("was unfinished; found: done" in note for note in notes), notes


def place(directory: Path, name: str) -> Path:
    """A folder for one controller."""
    made = directory / name
    made.mkdir()
    return made


def plant(host: LabHost, **age: float) -> str:
    """Put a certificate of that age, of an authority that the host trusts, in the lineage's place and serve it."""
    root = certificates.authority()
    pair = certificates.certificate(NAME, issuer=root, **age)
    host.write("/usr/local/share/ca-certificates/old.crt", root.pem)
    host.run(["update-ca-certificates"])
    parts = {"cert": pair.pem, "chain": root.pem, "fullchain": pair.pem + root.pem, "privkey": pair.key_pem}
    for name, data in parts.items():
        host.write(f"/etc/letsencrypt/live/{NAME}/{name}.pem", data, mode=0o600)  # follows the link
    host.run(["systemctl", "reload", "nginx"])
    wanted = format(pair.certificate.serial_number, "x")
    wait_until(lambda: serial(host) == wanted, "nginx serves it")
    return wanted


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


def on_disk(host: LabHost) -> str:
    return format(x509.load_pem_x509_certificate(host.read(LIVE)).serial_number, "x")


def make_due(host: LabHost, before_expiry: str = "100 days") -> None:
    """Let certbot think that the lineage is due, by its own setting and without force."""
    path = host.path(f"/etc/letsencrypt/renewal/{NAME}.conf")
    lines = [line for line in path.read_text().splitlines() if "renew_before_expiry" not in line]
    path.write_text("\n".join([f"renew_before_expiry = {before_expiry}", *lines]) + "\n")
