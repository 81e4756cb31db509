"""Versions as rpm orders them, and packages as rpm and dnf name them."""

from __future__ import annotations

import pytest

from maintenancebot.helper.packages import rpm
from tests.lab.rpm import ORDERED


@pytest.mark.parametrize(("older", "newer"), ORDERED)
def test_versions_are_ordered_as_rpm_does(older: str, newer: str) -> None:
    assert rpm.compare(older, newer) == -1
    assert rpm.compare(newer, older) == 1
    assert rpm.compare(newer, newer) == 0


@pytest.mark.parametrize(("one", "other"), [("1.05-1", "1.5-1"), ("1.0-1", "0:1.0-1"), ("1_0-1", "1.0-1")])
def test_the_same_version_in_other_words(one: str, other: str) -> None:
    assert rpm.compare(one, other) == 0


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("mb-good-1.1-1.noarch", ("mb-good", "1.1-1", "noarch")),
        ("mb-epoch-2:0.9-1.x86_64", ("mb-epoch", "2:0.9-1", "x86_64")),
        ("mb-good-0:1.1-1.noarch", ("mb-good", "1.1-1", "noarch")),
        ("a-b-c-1.0-1.el9_4.i686", ("a-b-c", "1.0-1.el9_4", "i686")),
        ("plain", None),
    ],
)
def test_packages_by_their_full_name(text: str, parts: tuple[str, ...] | None) -> None:
    assert rpm.split(text) == parts


def test_installed_packages_newest_first_and_keys_are_none() -> None:
    text = "kernel|0|5.14.0|1|x86_64|9\nkernel|0|5.14.0|12|x86_64|9\ngpg-pubkey|0|1|2|(none)|0\nbash|1|5|1|x86_64|70\n"

    found = rpm.by_key(rpm.parse(text))

    assert {key: [p.evr for p in versions] for key, versions in found.items()} == {
        ("kernel", "x86_64"): ["5.14.0-12", "5.14.0-1"],
        ("bash", "x86_64"): ["1:5-1"],
    }
