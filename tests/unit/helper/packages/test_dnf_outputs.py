"""What dnf 4.14 and 4.23 said on hosts of the rpm family; dnf 5 as its documentation shows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.helper.host import tools
from maintenancebot.helper.packages import dnf, dnf_texts

RECORDED = Path(__file__).parents[3] / "fixtures/dnf"
LONG = "mb-long-name-that-does-not-fit-into-a-narrow-column-of-any-table"

FIVE = """\
Updating and loading repositories:
Repositories loaded.
Package                Arch   Version        Repository      Size
Upgrading:
 mb-good               noarch 0:1.1-1        updates      10.0 B
   replacing mb-good   noarch 0:1.0-1        <unknown>    10.0 B
 mb-obs                noarch 0:1.1-1        updates     100.0 KiB
   replacing mb-gone   noarch 0:1.0-1        <unknown>    10.0 B
   replacing mb-obs    noarch 0:1.0-1        <unknown>    10.0 B
Installing dependencies:
 mb-new                noarch 0:1.0-1        updates      10.0 B

Transaction Summary:
 Installing:         1 package
 Upgrading:          2 packages
 Replacing:          3 packages

Operation aborted by the user.
"""
FIVE_ADVISORIES = """\
Name                   Type     Severity  Package                              Issued
FEDORA-2026-07aa56297a security Moderate  btrfs-progs-5.18-1.fc42.x86_64       2026-06-08 01:13:07
FEDORA-2026-1111111111 security Important openssl-1:3.2-1.fc42.x86_64          2026-06-08 01:13:07
"""


@pytest.fixture(params=["4.14", "4.23"])
def said(request: pytest.FixtureRequest) -> Any:
    return json.loads((RECORDED / f"{request.param}.json").read_text())


def simulation(said: Any, name: str) -> Any:
    return dnf_texts.Simulation(said[name]["stdout"], said[name]["stderr"])


def test_the_transaction_is_read_though_a_name_is_wider_than_the_table(said: Any) -> None:
    found = simulation(said, "simulate")

    assert found.ok
    assert found.installs() == [
        ("mb-epoch", "noarch", "2:0.9-1"),
        ("mb-good", "noarch", "1.1-1"),
        (LONG, "noarch", "1.0.20260101gitabcdefabcdefabcdefabcdef-1.el9_4.alma.2"),
        ("mb-needs-new", "noarch", "1.1-1"),
        ("mb-obs", "noarch", "1.1-1"),
        ("mb-new", "noarch", "1.0-1"),
    ]
    assert (found.removals(), found.downgrades(), found.others()) == (["mb-gone"], [], [])


def test_the_blocked_package_and_what_it_lacks_are_named(said: Any) -> None:
    found = simulation(said, "blocked")

    assert not found.ok
    (name, why), *others = found.blockers({"mb-good", "mb-blocked"}).items()
    assert (name, others) == ("mb-blocked", [])
    assert why.startswith("nothing provides mb-absent >= 2 needed by mb-blocked-1.1-1.noarch")


def test_a_locked_package_is_not_seen(said: Any) -> None:
    found = simulation(said, "held")

    assert not found.ok
    assert found.unseen == {"mb-held-0:1.1-1.noarch"}


def test_nothing_to_do_is_no_transaction(said: Any) -> None:
    assert not simulation(said, "nothing").ok


def test_updates_carry_epoch_weights_and_repository(said: Any) -> None:
    found = {
        (p.name, p.evr): (p.arch, p.size, download, r)
        for p, download, r in dnf_texts.parse_query(said["repoquery"]["stdout"])
    }

    assert found["mb-epoch", "2:0.9-1"] == ("noarch", 10, 6288, "upd")
    assert found["mb-vendor", "1.1-1"][3] == "noerr"
    assert {("mb-masked", "1.1-1"), ("mb-masked", "1.2-1")} <= set(found)


def test_advisories_with_their_severity(said: Any) -> None:
    found = dnf_texts.parse_advisories(said["advisories"]["stdout"])

    assert found["mb-epoch", "noarch"] == [{"id": "LAB-2026:0001", "severity": "Important", "evr": "2:0.9-1"}]
    assert ("mb-plain", "noarch") not in found
    cves = dnf_texts.parse_advisories(said["cves"]["stdout"])
    assert {row["id"] for row in cves["mb-good", "noarch"]} == {"CVE-2026-0001", "CVE-2026-0002"}


def test_a_repository_without_lists_is_told_as_such(said: Any) -> None:
    answer = tools.Answer(1, b"", said["no_cache"]["stderr"].encode(), False, False)

    assert dnf.complaint("repoquery", answer)[1] == "lists_missing"


def test_dnf_5_is_read_as_documented() -> None:
    found = dnf_texts.Simulation(FIVE, "")

    assert found.ok
    assert found.installs() == [
        ("mb-good", "noarch", "1.1-1"),
        ("mb-obs", "noarch", "1.1-1"),
        ("mb-new", "noarch", "1.0-1"),
    ]
    assert found.removals() == ["mb-gone"]
    assert dnf_texts.parse_advisories(FIVE_ADVISORIES) == {
        ("btrfs-progs", "x86_64"): [{"id": "FEDORA-2026-07aa56297a", "severity": "Moderate", "evr": "5.18-1.fc42"}],
        ("openssl", "x86_64"): [{"id": "FEDORA-2026-1111111111", "severity": "Important", "evr": "1:3.2-1.fc42"}],
    }


@pytest.mark.parametrize(
    ("section", "others"),
    [("Removing dependent packages", []), ("Switching module streams", ["Switching module streams"])],
)
def test_more_than_an_upgrade_is_seen(section: str, others: list[str]) -> None:
    text = f"Upgrading:\n mb-good noarch 1.1-1 upd 6 k\n{section}:\n mb-old noarch 1.0-1 @System 6 k\n"

    found = dnf_texts.Simulation(text, "")

    assert found.others() == others
    assert found.removals() == ([] if others else ["mb-old"])


def test_lists_without_errata_are_told_apart_and_the_newest_counts(tmp_path: Path) -> None:
    for name, text in (
        ("upd-0123456789abcdef", '<data type="updateinfo">'),
        ("base-0123456789abcdef", '<data type="primary">'),
        ("gone-0123456789abcdef", ""),
    ):
        (tmp_path / name / "repodata").mkdir(parents=True)
        if text:
            (tmp_path / name / "repodata/repomd.xml").write_text(text)

    found = dnf.caches(["upd", "base", "gone", "never"], [str(tmp_path)])

    assert {name: cache.errata for name, cache in found.items()} == {"upd": True, "base": False}
