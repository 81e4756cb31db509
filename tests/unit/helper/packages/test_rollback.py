"""The way back: what is taken back, what never is, what is remembered, and what is told of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.helper.host import tools, unit
from maintenancebot.helper.packages import dpkg, gate, health, known_bad, old_versions, restarts, rollback
from maintenancebot.helper.packages.dpkg import Package

DEMO = {"package": "demo", "architecture": "all", "from": "1.0", "to": "1.1"}
LIBC = {"package": "libc6", "architecture": "all", "from": "2.0", "to": "2.1"}
NEW = {"package": "fresh", "architecture": "all", "from": "", "to": "1.0"}
FILES = {"demo": "/x/demo.deb", "libc6": "/x/libc6.deb"}


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], Package]:
    """A host's packages; apt has no objection and all folders are the test's."""
    found = {(p.name, p.arch): p for p in (Package("demo", "all", "1.1"), Package("libc6", "all", "2.1"))}
    monkeypatch.setattr(unit, "FOLDER", str(tmp_path / "upgrades"))
    monkeypatch.setattr(dpkg, "packages", lambda: found)
    monkeypatch.setattr(rollback, "objection_of_apt", lambda way: "")
    (tmp_path / "upgrades").mkdir()
    return found


def test_only_what_changed_and_may_is_taken_back(host: dict[tuple[str, str], Package]) -> None:
    host["fresh", "all"] = Package("fresh", "all", "1.0")
    host["same", "all"] = Package("same", "all", "1.0")
    same = {**DEMO, "package": "same"}

    way = rollback.way_back([DEMO, LIBC, NEW, same], FILES, {}, [])

    assert (way.items, way.files) == ([DEMO], ["/x/demo.deb"])
    assert set(way.not_undone) == {"libc6", "fresh"}


def test_a_half_configured_old_version_is_put_right_too(host: dict[tuple[str, str], Package]) -> None:
    host["demo", "all"] = Package("demo", "all", "1.0", state="half-configured")

    assert rollback.way_back([DEMO], FILES, {}, []).items == [DEMO]


def test_what_has_no_file_says_why() -> None:
    way = rollback.way_back([DEMO], {}, {"demo": "nowhere"}, [])

    assert (way.items, way.not_undone) == ([], {"demo": "nowhere"})


def test_globs_of_the_configuration_are_never_taken_back_either() -> None:
    assert rollback.way_back([DEMO], FILES, {}, ["de*"]).not_undone.keys() == {"demo"}


def test_apts_objection_leaves_all_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollback, "objection_of_apt", lambda way: "apt would remove all")

    way = rollback.way_back([DEMO, LIBC], FILES, {}, [])

    assert (way.items, way.not_undone["demo"]) == ([], "apt would remove all")


@pytest.mark.parametrize("name", ["libc6", "linux-image-6.1", "systemd", "postgresql-15", "mariadb-server", "dpkg"])
def test_the_ground_and_databases_are_never_taken_back(name: str) -> None:
    item = {**DEMO, "package": name}

    assert "never" in rollback.reason_against(item, {name: "/x"}, {}, [])


def test_notes_of_bad_versions_are_private_whole_and_bounded() -> None:
    rollback.remember([DEMO], "died")
    rollback.remember([DEMO], "died again")
    path = Path(unit.FOLDER) / rollback.NOTES

    (row,) = rollback.known_bad()
    assert (row["package"], row["version"], row["why"]) == ("demo", "1.1", "died again")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert list(known_bad.noted()) == [("demo", "1.1")]
    for number in range(rollback.NOTES_KEPT + 5):
        rollback.remember([{**DEMO, "to": str(number)}], "x")
    kept = [one["version"] for one in rollback.known_bad()]
    assert (len(kept), kept[-1]) == (rollback.NOTES_KEPT, str(rollback.NOTES_KEPT + 4))


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a": 1}', '[{"package": "x"}]'])
def test_damaged_notes_are_no_notes(text: str) -> None:
    (Path(unit.FOLDER) / rollback.NOTES).write_text(text)

    assert rollback.known_bad() == []


def test_the_owner_of_the_unit_that_died_is_the_culprit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollback, "owners", lambda path, found: {"demo"} if path == "/lib/x.service" else set())
    units = {"x.service": {"file": "/lib/x.service"}}
    fault = {"kind": "unit", "name": "x.service", "why": ""}

    assert rollback.culprits([DEMO, LIBC], [fault], units, {}) == [DEMO]
    assert rollback.culprits([DEMO, LIBC], [{**fault, "name": "y.service"}], units, {}) == [DEMO, LIBC]


def test_a_file_is_only_the_way_back_to_its_own_version(tmp_path: Path) -> None:
    control = tmp_path / "tree" / "DEBIAN"
    control.mkdir(parents=True)
    control.chmod(0o755)
    said = "Package: demo\nVersion: 1:1.0\nArchitecture: all\nMaintainer: x <x@y.z>\nDescription: x\n"
    (control / "control").write_text(said)
    path = tmp_path / "demo_1%3a1.0_all.deb"
    assert tools.run([str(tools.find("dpkg-deb")), "--build", str(control.parent), str(path)]).ok

    assert old_versions.file_name(Package("demo", "all", "1:1.0")) == path.name
    assert old_versions.is_of(str(path), Package("demo", "all", "1:1.0"))
    assert not old_versions.is_of(str(path), Package("demo", "all", "1:1.1"))
    assert not old_versions.is_of(str(tmp_path / "none"), Package("demo", "all", "1:1.0"))


class Controller:
    """Answers a step's questions."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []

    def ask(self, kind: str, **question: Any) -> dict[str, Any]:
        self.asked.append(dict(question, ask=kind))
        return self.answer

    def alive(self, doing: str) -> None:
        """Say nothing."""


HEALTH: dict[str, Any] = {"settle_seconds": 0, "http": [], "tcp": [], "ignore_units": []}
ARGS = {"lock_timeout": 1, "rollback": True, "never_roll_back": [], "health": HEALTH}
CHANGE = {"id": "c1", "action": "upgrade_package", "object": DEMO}


class Stage:
    """An upgrade of demo that has ended, with faults at each watch and faults of the rollback."""

    def __init__(self, host: dict[tuple[str, str], Package], monkeypatch: pytest.MonkeyPatch) -> None:
        before = {"units": {}, "containers": None, "checks": {"http": {}, "tcp": {}}}
        record = {"packages": [DEMO], "before": before, "old": FILES, "missing": {}}
        self.run = unit.start("maintenancebot-upgrade-1", ["/bin/true"], tools.environment(), record, systemd=False)
        self.bad = [[{"kind": "unit", "name": "x.service", "why": "is failed"}], []]
        self.faults: dict[str, str] = {}
        self.host = host
        monkeypatch.setattr(health, "watch", lambda *args: self.bad.pop(0))
        monkeypatch.setattr(health, "compared", lambda *args: {})
        monkeypatch.setattr(gate, "aftermath", lambda *args: {})
        monkeypatch.setattr(rollback, "take_back", self.take_back)

    def take_back(self, *args: Any) -> dict[str, str]:
        if not self.faults:
            self.host["demo", "all"] = Package("demo", "all", "1.0")
        return self.faults

    def conclude(self, controller: Controller, **args: Any) -> dict[str, Any]:
        told = {"change": "c1", "state": "done", "reason": "verified", "detail": "", "measured": {"installed": "1.1"}}
        (one,) = gate.conclude(self.run, [CHANGE], {**ARGS, **args}, [told], controller)
        return dict(one)

    def recalled(self) -> tuple[str, str, str]:
        told = {"change": "c1", "state": "done", "reason": "verified", "detail": "", "measured": {}}
        one = gate.recalled(self.run, CHANGE, told)
        return one["state"], one["reason"], one["detail"]


@pytest.fixture
def stage(host: dict[tuple[str, str], Package], monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(host, monkeypatch)


def test_all_well_is_done_and_nothing_is_asked(stage: Stage) -> None:
    stage.bad = [[]]
    controller = Controller({"go": True})

    assert stage.conclude(controller)["state"] == "done"
    assert controller.asked == []
    assert rollback.known_bad() == []


def test_a_failed_gate_is_rolled_back_when_the_controller_says_go(stage: Stage) -> None:
    controller = Controller({"go": True})

    one = stage.conclude(controller)

    assert (one["state"], one["reason"], one["measured"]["installed"]) == ("failed", "rolled_back", "1.0")
    assert one["measured"]["rollback"]["packages"] == ["demo"]
    assert controller.asked == [{"ask": "roll_back", "packages": ["demo"]}]
    assert [row["version"] for row in rollback.known_bad()] == ["1.1"]
    assert stage.recalled()[:2] == ("failed", "rolled_back")


def test_a_no_of_the_controller_leaves_it_unhealthy(stage: Stage) -> None:
    one = stage.conclude(Controller({"refused": "stopped", "detail": "by ops"}))

    assert (one["state"], one["reason"]) == ("failed", "unhealthy")
    assert "not allowed now: stopped by ops" in one["detail"]
    assert stage.host["demo", "all"].version == "1.1"


def test_without_the_wish_nothing_is_asked(stage: Stage) -> None:
    controller = Controller({"go": True})

    assert stage.conclude(controller, rollback=False)["reason"] == "unhealthy"
    assert controller.asked == []


def test_a_rollback_that_does_not_help_or_fails_is_never_called_one(stage: Stage) -> None:
    stage.bad[1] = [{"kind": "unit", "name": "x.service", "why": "is failed"}]
    one = stage.conclude(Controller({"go": True}))
    assert (one["reason"], "and still" in one["detail"]) == ("rollback_failed", True)

    stage.bad = [stage.bad or [{"kind": "unit", "name": "x.service", "why": "is failed"}], []]
    stage.host["demo", "all"] = Package("demo", "all", "1.1")
    stage.bad[0] = [{"kind": "unit", "name": "x.service", "why": "is failed"}]
    stage.faults = {"demo": "is 1.1, half-configured"}
    one = stage.conclude(Controller({"go": True}))
    assert (one["reason"], one["measured"]["installed"]) == ("rollback_failed", "1.1")


def test_a_helper_that_went_away_while_it_watched_says_so(stage: Stage) -> None:
    assert stage.recalled() == ("done", "verified", gate.NOT_WATCHED)


def test_a_helper_that_went_away_while_it_asked_has_noted_the_fault(stage: Stage) -> None:
    class Gone(Controller):
        def ask(self, kind: str, **question: Any) -> dict[str, Any]:
            raise EOFError

    with pytest.raises(EOFError):
        stage.conclude(Gone({}))
    assert stage.recalled()[:2] == ("failed", "unhealthy")


def test_processes_on_old_files_are_told_with_unit_and_library() -> None:
    assert all(isinstance(line, str) for line in restarts.outdated())
