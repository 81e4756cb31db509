"""What zypper 1.14.89 said on a host of SUSE's family, and a file of its patches."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.helper.host import tools
from maintenancebot.helper.packages import rpm, updateinfo, zypper

SAID = json.loads((Path(__file__).parents[3] / "fixtures/zypper/1.14.89.json").read_text())
INFO = """<updates>
<update type="security" status="stable"><id>SUSE-1</id><severity>critical</severity>
<references><reference type="cve" id="CVE-2"/><reference type="bugzilla" id="7"/>
<reference type="cve" id="CVE-1"/></references>
<pkglist><collection><package name="a" epoch="0" version="1" release="2" arch="x86_64"/></collection></pkglist></update>
<update type="recommended"><id>SUSE-2</id><pkglist><collection><package name="b" version="1" release="2" arch="x86_64"/>
</collection></pkglist></update>
<update type="security" status="retracted"><id>SUSE-3</id><pkglist><collection>
<package name="c" version="1" release="2" arch="x86_64"/></collection></pkglist></update>
</updates>"""


def simulation(name: str) -> Any:
    return zypper.Simulation(zypper.parse(SAID[name]["stdout"].encode()))


def test_the_transaction_with_what_it_installs_and_removes() -> None:
    found = simulation("simulate")

    assert found.ok
    assert found.installs() == [
        ("mb-epoch", "noarch", "2:0.9-1"),
        ("mb-good", "noarch", "1.1-1"),
        ("mb-needs-new", "noarch", "1.1-1"),
        ("mb-obs", "noarch", "1.1-1"),
        ("mb-new", "noarch", "1.0-1"),
    ]
    assert (found.removals(), found.downgrades(), found.others()) == (["mb-gone"], [], [])
    assert found.download > 20000


def test_a_blocked_package_is_told_from_a_locked_one() -> None:
    blocked, held = simulation("blocked"), simulation("held")

    assert not blocked.ok
    assert blocked.locked({"mb-blocked"}) == {}
    assert blocked.blockers({"mb-blocked", "mb-good"}) == {
        "mb-blocked": "nothing provides 'mb-absent >= 2' needed by the to be installed mb-blocked-1.1-1.noarch"
    }
    assert not held.ok
    assert (held.blockers({"mb-held"}), set(held.locked({"mb-held"}))) == ({}, {"mb-held"})


def test_a_package_that_is_not_there_is_not_seen() -> None:
    assert simulation("absent").unseen == {"mb-nix.noarch=1.1-1"}


@pytest.mark.parametrize(
    ("code", "reason"),
    [(1, "tool_failed"), (6, "lists_missing"), (7, "busy"), (104, "tool_failed"), (106, "lists_failed")],
)
def test_exit_codes_that_are_no_answer(code: int, reason: str) -> None:
    said = b'<stream><message type="error">why so</message></stream>'

    assert zypper.complaint("repos", tools.Answer(code, said, b"", False, False))[1] == reason
    assert code not in zypper.FINE


def test_patches_are_read_by_category_and_retracted_ones_are_none(tmp_path: Path) -> None:
    path = tmp_path / "x-updateinfo.xml.gz"
    path.write_bytes(gzip.compress(INFO.encode()))

    assert updateinfo.read(str(path)) == {
        ("a", "x86_64"): [{"id": "SUSE-1", "severity": "critical", "cves": ["CVE-1", "CVE-2"], "evr": "1-2"}]
    }


def test_patches_that_cannot_be_read_are_unknown_and_not_none(tmp_path: Path) -> None:
    path = tmp_path / "updateinfo.xml.gz"
    path.write_bytes(gzip.compress(INFO.encode())[:40])

    with pytest.raises(rpm.RpmError):
        updateinfo.read(str(path))
