"""The simulated transaction becomes changes, whole or not at all, and what stays is told with its reason."""

from __future__ import annotations

from typing import Any

import pytest

from maintenancebot.model import Action, Finding, Host, HostFacts, Reason, Risk, State, Undo
from maintenancebot.plan import patches
from maintenancebot.plan.document import TaskPlan
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings import Settings

HOST = Host("web-1", "192.0.2.1")
SETTINGS = Settings.model_validate(
    {"tasks": [{"name": "patches", "type": "package_update", "scope": "security_only", "max_new_packages": 1}]}
)
CLEAN: dict[str, Any] = {"interrupted": False, "broken": [], "no_space": [], "lists_age_seconds": 60}


def update(name: str, status: str = "due", **more: Any) -> Finding:
    data = {"name": name, "arch": "amd64", "installed": "1.0", "candidate": "1.1", "security": True, "detail": ""}
    return Finding("patches", "package", name, {**data, "status": status, **more})


def package(name: str, before: str = "1.0", arch: str = "amd64") -> dict[str, Any]:
    return {"name": name, "arch": arch, "from": before, "to": "1.1", "download": 100, "growth": 7}


def transaction(*packages: dict[str, Any], **more: Any) -> Finding:
    data: dict[str, Any] = {"packages": list(packages), "removals": [], "downgrades": [], "foreign": []}
    data["download"] = 100 * len(packages)
    return Finding("patches", "transaction", "", {**data, **more})


def plan(*findings: Finding, uid: int = 0, result: ProbeResult | None = None, **facts: Any) -> TaskPlan:
    found = HostFacts("m1", "b1", "web-1", "debian", "12", "6.1", "3.11.2", uid, 0.0, 0.0)
    seen = result or ProbeResult(State.DONE, findings=findings, facts={**CLEAN, **facts})
    return patches.plan(HOST, SETTINGS.tasks[0], SETTINGS, found, seen)


def test_each_package_of_the_transaction_is_a_change_with_both_versions() -> None:
    made = plan(update("openssl"), transaction(package("openssl"), package("libnew", before="")))

    assert (made.state, made.reason) == (State.PLANNED, Reason.NONE)
    upgraded, new = made.changes
    assert (upgraded.name, upgraded.action, upgraded.undo) == (
        "openssl=1.1",
        Action.UPGRADE_PACKAGE,
        Undo.DOWNGRADE,
    )
    assert upgraded.object == {"package": "openssl", "architecture": "amd64", "from": "1.0", "to": "1.1"}
    assert upgraded.effect == {"security": True, "download_bytes": 100, "disk_bytes": 7}
    assert upgraded.note == "maintainer scripts do not downgrade"
    assert (new.undo, new.effect["security"]) == (Undo.NONE, False)
    assert (made.facts["due"], made.facts["new_packages"], made.facts["security"]) == (1, ["libnew"], 1)


@pytest.mark.parametrize(
    ("name", "risk"),
    [
        ("libc6", Risk.HIGH),
        ("systemd", Risk.HIGH),
        ("linux-image-amd64", Risk.HIGH),
        ("openssh-server", Risk.HIGH),
        ("docker.io", Risk.HIGH),
        ("containerd", Risk.HIGH),
        ("postgresql-15", Risk.HIGH),
        ("mariadb-server", Risk.HIGH),
        ("openssl", Risk.MEDIUM),
    ],
)
def test_packages_on_which_much_depends_are_a_high_risk(name: str, risk: Risk) -> None:
    assert patches.risk_of(name) is risk


def test_nothing_due_is_up_to_date() -> None:
    made = plan()

    assert (made.state, made.reason, made.changes) == (State.NOTHING, Reason.UP_TO_DATE, ())


@pytest.mark.parametrize("reason", [Reason.LISTS_MISSING, Reason.LISTS_FAILED, Reason.TOOL_FAILED, Reason.BUSY])
def test_what_could_not_be_looked_at_is_unknown_even_with_updates_in_sight(reason: Reason) -> None:
    findings = (update("openssl"), transaction(package("openssl")))
    made = plan(result=ProbeResult(State.UNKNOWN, reason, "why", findings, CLEAN))

    assert (made.state, made.reason, made.detail, made.changes) == (State.UNKNOWN, reason, "why", ())


def test_an_unsupported_package_manager_is_skipped() -> None:
    made = plan(result=ProbeResult(State.SKIPPED, Reason.UNSUPPORTED, "not yet for dnf"))

    assert (made.state, made.reason, made.detail) == (State.SKIPPED, Reason.UNSUPPORTED, "not yet for dnf")


@pytest.mark.parametrize(
    ("more", "reason", "named"),
    [
        ({"removals": [{"name": "mb-old", "arch": "", "version": "1"}]}, Reason.WOULD_REMOVE, "mb-old"),
        ({"downgrades": ["mb-back"]}, Reason.WOULD_DOWNGRADE, "mb-back"),
        ({"foreign": ["mb-vendor"]}, Reason.FOREIGN_ORIGIN, "mb-vendor"),
    ],
)
def test_a_transaction_that_does_more_than_upgrade_is_refused_whole(
    more: dict[str, Any], reason: Reason, named: str
) -> None:
    made = plan(update("openssl"), transaction(package("openssl"), **more))

    assert (made.state, made.reason, made.detail, made.changes) == (State.SKIPPED, reason, named, ())


def test_a_wanted_fix_that_only_another_vendor_has_refuses_the_whole() -> None:
    made = plan(update("openssl"), update("nginx", "foreign_origin"), transaction(package("openssl")))

    assert (made.state, made.reason, made.changes) == (State.SKIPPED, Reason.FOREIGN_ORIGIN, ())
    assert made.detail == "nginx 1.0 -> 1.1"


def test_more_new_packages_than_allowed_refuse_the_whole() -> None:
    one, two = package("libone", before=""), package("libtwo", before="")

    assert plan(update("openssl"), transaction(package("openssl"), one)).state is State.PLANNED
    refused = plan(update("openssl"), transaction(package("openssl"), one, two))
    assert (refused.state, refused.reason, refused.detail) == (State.SKIPPED, Reason.OVER_CAP, "libone, libtwo")


def test_no_room_refuses_the_whole() -> None:
    made = plan(update("openssl"), transaction(package("openssl")), no_space=["/var: 1 bytes free, 2 needed"])

    assert (made.state, made.reason) == (State.SKIPPED, Reason.NO_SPACE)


@pytest.mark.parametrize("facts", [{"interrupted": True}, {"broken": ["mb-bad: half-configured"]}])
def test_half_done_packages_fail_the_check_and_stop_all_upgrades(facts: dict[str, Any]) -> None:
    made = plan(update("openssl"), transaction(package("openssl")), **facts)

    assert (made.state, made.reason, made.changes) == (State.FAILED, Reason.PACKAGES_BROKEN, ())


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("held", Reason.HELD),
        ("pinned", Reason.PINNED),
        ("phased", Reason.PHASED),
        ("blocked", Reason.BLOCKED),
    ],
)
def test_what_stays_is_told_beside_what_is_done(status: str, reason: Reason) -> None:
    made = plan(update("openssl"), update("mb-x", status, detail="why"), transaction(package("openssl")))

    assert (made.state, len(made.changes)) == (State.PLANNED, 1)
    assert made.detail == f"stays, {reason}: mb-x 1.0 -> 1.1 (why)"
    assert made.facts["stays"] == {reason.value: ["mb-x 1.0 -> 1.1 (why)"]}

    alone = plan(update("mb-x", status))
    assert (alone.state, alone.reason, alone.detail) == (State.SKIPPED, reason, "mb-x 1.0 -> 1.1")


def test_without_root_the_due_packages_are_counted_and_skipped() -> None:
    made = plan(update("openssl"), transaction(package("openssl")), uid=1000)

    assert (made.state, made.reason, made.changes) == (State.SKIPPED, Reason.NEEDS_ROOT, ())
    assert made.facts["due"] == 1
    assert plan(uid=1000).state is State.NOTHING


def test_the_same_package_has_the_same_id_and_another_version_has_not() -> None:
    first, again, other = (
        plan(update("openssl"), transaction({**package("openssl"), "to": target})).changes[0].id
        for target in ("1.1", "1.1", "1.2")
    )

    assert first == again != other


@pytest.mark.parametrize(
    "findings",
    [
        (Finding("patches", "transaction", "", {"packages": "none"}),),
        (Finding("patches", "package", "x", {"name": "x"}),),
        (transaction({"name": "x"}),),
    ],
)
def test_an_answer_that_makes_no_sense_is_unknown(findings: tuple[Finding, ...]) -> None:
    made = plan(*findings)

    assert (made.state, made.reason, made.changes) == (State.UNKNOWN, Reason.HELPER_ERROR, ())
