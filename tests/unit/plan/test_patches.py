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
TASK = {"name": "patches", "type": "package_update", "scope": "security_only", "max_new_packages": 1}
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


def plan(
    *findings: Finding, uid: int = 0, result: ProbeResult | None = None, task: Any = None, **facts: Any
) -> TaskPlan:
    settings = Settings.model_validate({"tasks": [{**TASK, **(task or {})}]})
    found = HostFacts("m1", "b1", "web-1", "debian", "12", "6.1", "3.11.2", uid, 0.0, 0.0)
    seen = result or ProbeResult(State.DONE, findings=findings, facts={**CLEAN, **facts})
    return patches.plan(HOST, settings.tasks[0], settings, found, seen)


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


def test_a_snapshot_is_told_in_advance_and_a_hook_that_is_not_fit_refuses_the_whole() -> None:
    hook = {"snapshot_hook": "/usr/local/sbin/snapshot"}
    fit = plan(update("openssl"), transaction(package("openssl")), task=hook, snapshot_hook="")
    unfit = plan(update("openssl"), transaction(package("openssl")), task=hook, snapshot_hook="it is gone")

    assert (fit.state, fit.detail) == (
        State.PLANNED,
        "first: /usr/local/sbin/snapshot",
    )
    assert (unfit.state, unfit.reason, unfit.changes) == (State.SKIPPED, Reason.LACKS, ())
    assert unfit.detail.startswith("it is gone")
    assert plan(task=hook, snapshot_hook="it is gone").state is State.NOTHING


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
        ("known_bad", Reason.KNOWN_BAD),
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


def test_updates_of_a_repository_without_errata_are_unknown_and_not_nothing() -> None:
    alone = plan(update("mb-x", "no_errata", security=False))
    beside = plan(update("openssl"), update("mb-x", "no_errata", security=False), transaction(package("openssl")))

    assert (alone.state, alone.reason, alone.detail) == (State.UNKNOWN, Reason.NO_ERRATA, "mb-x 1.0 -> 1.1")
    assert (beside.state, beside.detail) == (State.PLANNED, "stays, no_errata: mb-x 1.0 -> 1.1")


def test_advisories_and_the_archive_of_another_vendor_are_named() -> None:
    origins = [{"origin": "Example Corp", "label": "Example security", "archive": "stable", "version": "1.1"}]
    made = plan(
        update("agent", origins=origins, advisories=["RHSA-1"], cves=["CVE-2", "CVE-1"]), transaction(package("agent"))
    )

    (change,) = made.changes
    assert change.effect["advisories"] == ["RHSA-1"]
    assert change.effect["cves"] == made.facts["cves"] == ["CVE-1", "CVE-2"]
    assert change.note == "from Example Corp Example security; RHSA-1; maintainer scripts do not downgrade"


@pytest.mark.parametrize(
    ("way", "manager", "note"),
    [
        (
            "repository",
            "apt",
            (
                "rolled back after a failed check unless it is never to be (a repository has the old version); "
                "maintainer scripts do not downgrade"
            ),
        ),
        ("", "apt", "no way back: no repository, cache or dpkg-repack gives the old version; not rolled back"),
        ("repository", "dnf", "no way back of ours with dnf: not rolled back after a failed check"),
    ],
)
def test_with_rollback_the_note_says_whether_there_is_a_way_back(way: str, manager: str, note: str) -> None:
    moved = {**package("openssl"), "way_back": way}

    made = plan(update("openssl"), transaction(moved), task={"rollback_on_failure": True}, manager=manager)

    assert made.changes[0].note == note


@pytest.mark.parametrize("facts", [{"interrupted": True}, {"broken": ["mb-bad: half-configured"]}])
def test_a_repair_is_planned_alone_where_it_is_wanted(facts: dict[str, Any]) -> None:
    findings = (update("openssl"), transaction(package("openssl")))
    made = plan(*findings, task={"repair": True, "reboot": "when_required"}, **facts)

    assert (made.state, made.reason) == (State.PLANNED, Reason.NONE)
    (change,) = made.changes
    assert (change.action, change.risk, change.undo) == (Action.REPAIR_PACKAGES, Risk.HIGH, Undo.NONE)
    assert change.object == {"interrupted": False, "broken": [], **facts}
    assert "upgrades follow in the next run" in change.note
    assert plan(*findings, task={"repair": True}, uid=1000, **facts).state is State.FAILED
    assert plan(*findings, task={"repair": True}, manager="dnf", **facts).state is State.FAILED


KERNEL = {"required": True, "signals": ["kernel 2 is installed, 1 runs"]}


def test_a_due_reboot_is_the_last_change_where_it_is_wanted() -> None:
    made = plan(update("openssl"), transaction(package("openssl")), task={"reboot": "when_required"}, reboot=KERNEL)

    assert [change.action for change in made.changes] == [Action.UPGRADE_PACKAGE, Action.REBOOT_HOST]
    reboot = made.changes[-1]
    assert (reboot.name, reboot.risk, reboot.undo) == ("reboot", Risk.HIGH, Undo.NONE)
    assert reboot.object == {"boot_id": "b1", "why": ["kernel 2 is installed, 1 runs"]}
    assert made.detail == "needs a reboot: kernel 2 is installed, 1 runs"


def test_a_reboot_is_planned_when_nothing_else_is_due_and_for_a_kernel_of_the_plan() -> None:
    alone = plan(task={"reboot": "when_required"}, reboot=KERNEL)
    kernel = package("linux-image-6.1.0-40-amd64", before="")
    with_kernel = plan(update("linux-image-amd64"), transaction(kernel), task={"reboot": "when_required"})

    assert (alone.state, [change.action for change in alone.changes]) == (State.PLANNED, [Action.REBOOT_HOST])
    assert with_kernel.changes[-1].object["why"] == ["kernel upgrade in this plan"]
    assert with_kernel.detail == "will need a reboot: kernel upgrade in this plan"


@pytest.mark.parametrize(
    ("task", "uid", "more"),
    [
        ({"reboot": "report"}, 0, {}),
        ({"reboot": "never"}, 0, {}),
        ({"reboot": "when_required"}, 1000, {}),
        ({"reboot": "when_required"}, 0, {"broken": ["mb-bad: unpacked"]}),
        ({"reboot": "when_required"}, 0, {"reboot": {"required": False, "signals": []}}),
        ({"reboot": "when_required"}, 0, {"reboot": {"required": None, "signals": []}}),
    ],
)
def test_no_reboot_is_planned_otherwise(task: dict[str, Any], uid: int, more: dict[str, Any]) -> None:
    made = plan(task=task, uid=uid, **{"reboot": KERNEL, **more})

    assert made.changes == ()


def test_a_refused_upgrade_is_not_hidden_by_a_reboot() -> None:
    findings = (update("openssl"), transaction(package("openssl"), downgrades=["mb-back"]))
    made = plan(*findings, task={"reboot": "when_required"}, reboot=KERNEL)

    assert (made.state, made.reason, made.changes) == (State.SKIPPED, Reason.WOULD_DOWNGRADE, ())
    assert made.detail == "mb-back; needs a reboot: kernel 2 is installed, 1 runs"


def test_reboots_and_programs_that_still_run_the_old_version_are_told() -> None:
    assert plan(reboot=KERNEL).detail == "needs a reboot: kernel 2 is installed, 1 runs"
    assert plan(reboot={"required": None, "signals": []}).detail == "whether a reboot is due is not known"
    assert plan(reboot={"required": False, "signals": []}).detail == ""
    never = plan(reboot=KERNEL, task={"reboot": "never"})
    assert (never.detail, "reboot" in never.facts) == ("", False)
    assert plan(stale=["nginx (pid 7)"]).detail == "patched, not active: nginx (pid 7)"
