"""A repair configures and proves it; a reboot is refused for every reason that there is, and proven afterwards."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.helper.host import facts, tools, unit
from maintenancebot.helper.packages import dpkg, health, reboot, repair, restarts, rpm, rpm_history
from maintenancebot.helper.packages.dpkg import Package

CHANGE = {"id": "r1", "action": "reboot_host", "object": {"boot_id": "one", "why": ["kernel"]}}
STEP = {"changes": [CHANGE], "args": {}, "run": "run-1"}
HELD = {"package": "demo", "architecture": "all", "from": "1.0", "to": "1.1"}


class Quiet:
    """Stands where the helper's output stands."""

    def alive(self, doing: str) -> None:
        """Say nothing."""


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], Package]:
    """A host of boot `one` that is due for a reboot, with nothing that speaks against it."""
    found = {("demo", "all"): Package("demo", "all", "1.0")}
    monkeypatch.setattr(unit, "FOLDER", str(tmp_path / "upgrades"))
    monkeypatch.setattr(unit, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(dpkg, "packages", lambda: found)
    monkeypatch.setattr(dpkg, "interrupted", lambda: False)
    monkeypatch.setattr(dpkg, "audit", lambda out: [])
    monkeypatch.setattr(dpkg, "wait_for_locks", lambda seconds, out: None)
    monkeypatch.setattr(dpkg, "holder", lambda path: None)
    monkeypatch.setattr(facts, "boot_id", lambda: "one")
    monkeypatch.setattr(os.path, "isdir", lambda path, real=os.path.isdir: path == "/run/systemd/system" or real(path))
    monkeypatch.setattr(restarts, "reboot", lambda: {"required": True})
    monkeypatch.setattr(reboot, "inhibitors", lambda out: "")
    monkeypatch.setattr(reboot, "SCHEDULED", str(tmp_path / "scheduled"))
    monkeypatch.setattr(reboot, "schedule", lambda: "")
    monkeypatch.setattr(reboot, "on_its_way", lambda: False)
    monkeypatch.setattr(health, "snapshot", lambda args: {"units": None, "containers": None, "checks": {}})
    return found


def rebooted(**more: Any) -> dict[str, Any]:
    (one,) = reboot.reboot({**STEP, **more}, Quiet())
    return dict(one)


def test_a_reboot_is_announced_and_written_down_before() -> None:
    one = rebooted()

    assert (one["state"], one["reason"], one["measured"]["scheduled"]) == ("unknown", "unfinished", True)
    record = json.loads(Path(reboot.path()).read_text())
    assert (record["boot_id"], record["change"]) == ("one", "r1")
    assert unit.runs() == []


def test_what_speaks_against_a_reboot(
    monkeypatch: pytest.MonkeyPatch, host: dict[tuple[str, str], Package], tmp_path: Path
) -> None:
    def reason() -> tuple[str, str]:
        one = rebooted()
        assert not Path(reboot.path()).exists()
        return one["state"], one["reason"]

    with monkeypatch.context() as patch:
        patch.setattr(facts, "boot_id", lambda: "two")
        assert reason() == ("skipped", "changed_since")
    with monkeypatch.context() as patch:
        patch.setattr(restarts, "reboot", lambda: {"required": False})
        assert reason() == ("nothing", "up_to_date")
    with monkeypatch.context() as patch:
        patch.setitem(host, ("demo", "all"), Package("demo", "all", "1.0", state="half-configured"))
        assert reason() == ("skipped", "packages_broken")
    with monkeypatch.context() as patch:
        patch.setattr(dpkg, "holder", lambda path: "apt (pid 9)")
        assert reason() == ("skipped", "busy")
    with monkeypatch.context() as patch:
        patch.setattr(dpkg, "holder", lambda path: "dnf (pid 9)" if path in rpm.LOCKS else None)
        assert reason() == ("skipped", "busy")
    with monkeypatch.context() as patch:
        patch.setattr(rpm_history, "interrupted", lambda: True)
        assert reason() == ("skipped", "packages_broken")
    with monkeypatch.context() as patch:
        patch.setattr(reboot, "inhibitors", lambda out: "backup: at work")
        assert reason() == ("skipped", "busy")
    with monkeypatch.context() as patch:
        patch.setattr(reboot, "schedule", lambda: "systemd-run: no")
        assert reason() == ("failed", "tool_failed")
    (tmp_path / "scheduled").touch()
    assert reason() == ("skipped", "busy")


def test_a_host_without_dpkg_can_be_rebooted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def absent() -> None:
        raise FileNotFoundError(dpkg.STATUS)

    monkeypatch.setattr(dpkg, "packages", absent)
    monkeypatch.setattr(dpkg, "STATUS", str(tmp_path / "status"))
    assert rebooted()["reason"] == "unfinished"


def test_no_reboot_after_an_upgrade_of_this_run_that_failed() -> None:
    record = {"packages": [HELD], "run": "run-1"}
    run = unit.start("maintenancebot-upgrade-1", ["/bin/true"], tools.environment(), record, systemd=False)
    run.wait(Quiet())
    run.note(outcomes=[{"change": "c", "state": "failed", "detail": "unit x: is failed"}])

    one = rebooted()
    assert (one["state"], one["reason"]) == ("skipped", "unhealthy")
    assert "unit x" in one["detail"]
    assert rebooted(run="run-2")["reason"] == "unfinished"


def test_a_second_task_does_not_spoil_the_reboot_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    rebooted()
    record = Path(reboot.path()).read_text()
    monkeypatch.setattr(reboot, "on_its_way", lambda: True)

    one = rebooted(changes=[{**CHANGE, "id": "r2"}])

    assert (one["state"], one["reason"]) == ("nothing", "up_to_date")
    assert Path(reboot.path()).read_text() == record


def test_a_reboot_that_did_not_help_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = "kernel 6.1.0-30 is installed, 6.1.0-28 runs", "kernel 6.1.0-31 is installed, 6.1.0-28 runs"
    signals = [old]
    monkeypatch.setattr(restarts, "reboot", lambda: {"required": True, "signals": list(signals)})
    change = {**CHANGE, "object": {"boot_id": "one", "why": [old]}}
    rebooted(changes=[change])
    monkeypatch.setattr(facts, "boot_id", lambda: "two")
    again = {**CHANGE, "object": {"boot_id": "two", "why": [old]}}

    one = rebooted(changes=[again])
    assert (one["state"], one["reason"]) == ("skipped", "no_effect")
    assert old in one["detail"]
    signals.append("reboot-required: linux-image-amd64")
    assert rebooted(changes=[again])["reason"] == "unfinished", "there is another reason too"
    signals[:] = [new]
    monkeypatch.setattr(facts, "boot_id", lambda: "three")
    change = {**CHANGE, "object": {"boot_id": "three", "why": [new]}}
    assert rebooted(changes=[change])["reason"] == "unfinished", "a newer kernel"


def test_only_blocking_inhibitors_of_a_shutdown_count() -> None:
    assert reboot.blocks("shutdown:sleep", "block")
    assert reboot.blocks("shutdown", "block-weak")
    assert not reboot.blocks("shutdown", "delay")
    assert not reboot.blocks("sleep:handle-power-key", "block")


def test_the_check_tells_what_is_not_back(monkeypatch: pytest.MonkeyPatch) -> None:
    rebooted()
    assert reboot.probe({"boot_id": "one"}, Quiet()).facts == {"boot_id": "one"}
    fault = {"kind": "unit", "name": "x.service", "why": "is failed"}
    monkeypatch.setattr(facts, "boot_id", lambda: "two")
    monkeypatch.setattr(reboot, "booted", lambda out: None)
    monkeypatch.setattr(health, "watch", lambda *args: [fault])

    told = reboot.probe({"boot_id": "one"}, Quiet())

    assert (told.state, told.facts) == ("ok", {"boot_id": "two", "bad": [fault], "signals": []})
    assert told.detail == "unit x.service: is failed"
    other = reboot.probe({"boot_id": "zero"}, Quiet())
    assert (other.state, "bad" in other.facts) == ("unknown", False)


def test_a_reboot_nobody_recorded_is_recalled_by_the_boot_id(monkeypatch: pytest.MonkeyPatch) -> None:
    def recalled() -> tuple[str, str]:
        one = reboot.recall(CHANGE)
        return one["state"], one["reason"]

    assert recalled() == ("skipped", "not_started")
    rebooted()
    assert recalled() == ("failed", "not_back")
    with monkeypatch.context() as patch:
        patch.setattr(reboot, "on_its_way", lambda: True)
        assert recalled() == ("unknown", "busy")
    monkeypatch.setattr(facts, "boot_id", lambda: "two")
    monkeypatch.setattr(health, "watch", lambda *args: [])
    monkeypatch.setattr(reboot, "booted", lambda out, seconds: False)
    assert recalled() == ("unknown", "busy")
    monkeypatch.setattr(reboot, "booted", lambda out, seconds: True)
    assert recalled() == ("done", "verified")


REPAIR = {"changes": [{"id": "p1", "action": "repair_packages", "object": {}}], "args": {"lock_timeout": 1}}


@pytest.fixture
def configuring(monkeypatch: pytest.MonkeyPatch, host: dict[tuple[str, str], Package]) -> None:
    """A half-configured package, and a repair without systemd that puts it right."""
    host["demo", "all"] = Package("demo", "all", "1.0", state="half-configured")
    real = unit.start

    def start(name: str, argv: list[str], env: dict[str, str], record: dict[str, Any]) -> unit.Run:
        assert argv[-2:] == ["--configure", "-a"]
        host["demo", "all"] = Package("demo", "all", "1.0")
        return real(name, ["/bin/true"], env, record, systemd=False)

    monkeypatch.setattr(unit, "start", start)


def repaired() -> tuple[str, str]:
    (one,) = repair.repair(REPAIR, Quiet())
    return one["state"], one["reason"]


@pytest.mark.usefixtures("configuring")
def test_a_repair_is_done_when_dpkg_is_clean() -> None:
    assert repaired() == ("done", "verified")
    assert repair.recall(REPAIR["changes"][0])["state"] == "done"
    assert repaired() == ("nothing", "up_to_date")


@pytest.mark.usefixtures("configuring")
def test_a_repair_that_leaves_something_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dpkg, "audit", lambda out: ["still broken"])

    assert repaired() == ("failed", "packages_broken")
    assert repair.recall(REPAIR["changes"][0])["reason"] == "packages_broken"


def test_a_repair_waits_for_nobody_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dpkg, "wait_for_locks", lambda seconds, out: "held by apt")

    assert repaired() == ("skipped", "busy")


def test_a_process_on_a_replaced_library_is_told_with_its_name(tmp_path: Path) -> None:
    process = tmp_path / "9"
    process.mkdir()
    maps = "7f00-7f01 r-xp 00000000 08:01 12 /usr/lib/libssl.so.3 (deleted)\n"
    (process / "maps").write_text("7f00-7f01 r--p 0 08:01 12 /usr/lib/libz.so (deleted)\n" + maps)
    (process / "cgroup").write_text("0::/system.slice/nginx.service\n")

    assert restarts.deleted_code(str(process)) == "/usr/lib/libssl.so.3"
    assert restarts.unit_of(str(process)) == "nginx.service"
