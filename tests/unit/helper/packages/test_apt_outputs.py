"""What apt 2.2, 2.6 and 3.0 said on booted hosts, read into the same findings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.helper.packages import apt, aptlists, dpkg, due

RECORDED = Path(__file__).parents[3] / "fixtures/apt"
RELEASES = ("bullseye", "bookworm", "trixie")
SECURITY = [["Debian", "Debian-Security", "*"], ["Ubuntu", "Ubuntu", "*-security"]]


class Recorded:
    """One host's recording."""

    def __init__(self, release: str, folder: Path) -> None:
        self.said: dict[str, Any] = json.loads((RECORDED / f"{release}.json").read_text())
        for name, head in self.said["release_heads"].items():
            (folder / name).write_text(head)
        (folder / "status").write_text(self.said["status"])
        there = set(self.said["lists"])
        self.lists = aptlists.Lists(aptlists.configured(self.said["uris"]["stdout"], there, str(folder)))
        self.packages = dpkg.packages(str(folder / "status"))
        self.policies = apt.parse_policy(self.said["policy"]["stdout"])

    def simulation(self, name: str) -> Any:
        answer = self.said[name]
        return apt.Simulation(answer["code"] == 0, answer["stdout"], answer["stderr"])

    def assess(self, name: str, scope: str = "security_only") -> Any:
        package = self.packages[(name, "all")]
        return due.assess(package, self.policies[name], self.lists, {"scope": scope, "origins": SECURITY})


@pytest.fixture(params=RELEASES)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Recorded:
    return Recorded(request.param, tmp_path)


def test_a_security_update_is_due(host: Recorded) -> None:
    told = host.assess("mb-good")

    assert (told["status"], told["security"], told["installed"], told["candidate"]) == ("due", True, "1.0", "1.1")
    assert [origin["label"] for origin in told["origins"]] == ["Debian-Security"]


def test_a_fix_masked_by_a_later_update_counts_as_security(host: Recorded) -> None:
    told = host.assess("mb-masked")

    assert (told["status"], told["security"], told["candidate"]) == ("due", True, "1.2")
    assert [(origin["version"], origin["label"]) for origin in told["origins"]] == [
        ("1.2", "Debian"),
        ("1.1", "Debian-Security"),
    ]


def test_an_update_without_a_fix_is_outside_the_scope(host: Recorded) -> None:
    assert host.assess("mb-plain") is None
    assert due.outside_scope(host.policies["mb-plain"], None)
    assert host.assess("mb-plain", scope="all")["status"] == "due"


def test_a_held_package_is_told_as_held(host: Recorded) -> None:
    assert host.assess("mb-held")["status"] == "held"


def test_a_fix_above_a_pinned_candidate_is_told_as_pinned(host: Recorded) -> None:
    told = host.assess("mb-pin")

    assert (told["status"], told["security"], told["candidate"]) == ("pinned", True, "1.1")


def test_a_phase_is_seen(host: Recorded) -> None:
    told = host.assess("mb-phased")

    assert told["status"] == "phased" or told["phase"] == 0


def test_a_candidate_of_another_vendor_is_foreign_in_a_security_run(host: Recorded) -> None:
    assert host.assess("mb-foreign")["status"] == "foreign_origin"
    assert host.assess("mb-foreign", scope="all")["status"] == "due"


def test_a_further_archive_of_the_configuration_is_security_and_not_foreign(host: Recorded) -> None:
    policy = host.policies["mb-foreign"]
    release = next(
        r for version in policy["versions"] for r in due.releases(version, host.lists) if "Debian" not in r.origin
    )
    args = {"scope": "security_only", "origins": SECURITY, "further": [[release.origin, "*", release.archive]]}

    told = due.assess(host.packages["mb-foreign", "all"], policy, host.lists, args)

    assert (told["status"], told["security"]) == ("due", True)
    assert release.origin in {origin["origin"] for origin in told["origins"]}
    other = {**args, "further": [[release.origin, "other", "*"]]}
    assert due.assess(host.packages["mb-foreign", "all"], policy, host.lists, other)["status"] == "foreign_origin"


def test_an_up_to_date_package_is_not_told(host: Recorded) -> None:
    package = host.packages[("base-files", "amd64")]

    assert due.assess(package, host.policies["base-files"], host.lists, {"scope": "all", "origins": SECURITY}) is None


def test_the_simulated_transaction_names_both_versions_and_what_is_new(host: Recorded) -> None:
    simulation = host.simulation("simulate")

    assert simulation.ok
    assert simulation.removals == []
    assert [(i["name"], i["arch"], i["from"], i["to"]) for i in simulation.installs] == [
        ("mb-conf", "all", "1.0", "1.1"),
        ("mb-good", "all", "1.0", "1.1"),
        ("mb-masked", "all", "1.0", "1.2"),
        ("mb-new", "all", "", "1.0"),
        ("mb-needs-new", "all", "1.0", "1.1"),
    ]


def test_the_blocked_package_is_found_in_apts_complaint(host: Recorded) -> None:
    simulation = host.simulation("simulate_blocked")

    assert not simulation.ok
    assert due.blockers(simulation, {"mb-blocked", "mb-good"}) == {
        "mb-blocked": "Depends: mb-absent (>= 2) but it is not installable"
    }


def test_a_vendor_name_with_blanks_does_not_confuse_the_reader(host: Recorded) -> None:
    installs = {item["name"]: item for item in host.simulation("simulate_all").installs}

    assert (installs["mb-foreign"]["arch"], installs["mb-foreign"]["to"]) == ("all", "9.0")


def test_what_apt_keeps_back_is_read_to_the_end_of_the_list(host: Recorded) -> None:
    assert "mb-held" in host.simulation("simulate_all").kept_back()
    assert "mb-conf" not in host.simulation("simulate_all").kept_back()


def test_sizes_come_from_the_package_records(host: Recorded) -> None:
    sizes = apt.parse_show(host.said["show"]["stdout"])

    assert set(sizes) == {("mb-good", "1.1"), ("mb-masked", "1.2")}
    assert all(download > 500 for download, _unpacked in sizes.values())


def test_a_plan_is_only_the_same_with_all_its_versions(host: Recorded) -> None:
    installs = host.simulation("simulate").installs
    changes = [{"package": i["name"], "architecture": i["arch"], "from": i["from"], "to": i["to"]} for i in installs]

    assert due.same(installs, changes)
    assert not due.same(installs, changes[:-1])
    assert not due.same(installs, [*changes[:-1], {**changes[-1], "to": "1.2"}])
    assert due.words(changes, "amd64") == ["mb-conf=1.1", "mb-good=1.1", "mb-masked=1.2", "mb-needs-new=1.1"]


@pytest.mark.parametrize(
    ("line", "install"),
    [
        (
            "Inst perl [5.36.0-7+deb12u3] (5.36.0-7+deb12u4 Debian-Security:12/oldstable-security [amd64]) [x:amd64 ]",
            ("perl", "amd64", "5.36.0-7+deb12u3", "5.36.0-7+deb12u4"),
        ),
        (
            "Inst libc6:i386 [2.36-9] (2.36-9+deb12u9 Debian:12.9/stable, Debian-Security:12/x-security [i386]) []",
            ("libc6", "i386", "2.36-9", "2.36-9+deb12u9"),
        ),
        (
            "Inst zlib1g [1:1.3.dfsg+really1.3.1-1+b1] (1:1.3.dfsg+really1.3.1-1+deb13u1 Debian-Security:13/s [amd64])",
            ("zlib1g", "amd64", "1:1.3.dfsg+really1.3.1-1+b1", "1:1.3.dfsg+really1.3.1-1+deb13u1"),
        ),
    ],
)
def test_lines_of_a_simulation(line: str, install: tuple[str, ...]) -> None:
    (found,) = apt.Simulation(True, line + "\n", "").installs

    assert (found["name"], found["arch"], found["from"], found["to"]) == install


def test_removals_of_a_simulation() -> None:
    simulation = apt.Simulation(True, "Remv mb-old [1.0]\nPurg mb-older [0.9] [mb-new:amd64 ]\n", "")

    assert [item["name"] for item in simulation.removals] == ["mb-old", "mb-older"]


def test_deferred_packages_are_read() -> None:
    text = "The following upgrades have been deferred due to phasing:\n  one two\n  three\n1 upgraded, 0 newly\n"

    assert apt.Simulation(True, text, "").deferred() == {"one", "two", "three"}


def test_an_installed_package_that_needs_the_old_version_blocks_the_new_one() -> None:
    text = "The following packages have unmet dependencies:\n other : Depends: lib (= 1.0) but 1.1 is to be installed\n"

    assert due.blockers(apt.Simulation(False, text, ""), {"lib"}) == {
        "lib": "other Depends: lib (= 1.0) but 1.1 is to be installed"
    }
