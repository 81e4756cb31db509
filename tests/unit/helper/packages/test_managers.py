"""The package manager of a host is told by its release and its database, not by what is on PATH."""

from __future__ import annotations

import pytest

from maintenancebot.helper.packages import managers


@pytest.mark.parametrize(
    ("release", "family"),
    [
        ({"ID": "debian"}, "apt"),
        ({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, "apt"),
        ({"ID": "rocky", "ID_LIKE": "rhel centos fedora"}, "dnf"),
        ({"ID": "amzn", "ID_LIKE": "fedora"}, "dnf"),
        ({"ID": "opensuse-leap", "ID_LIKE": "suse opensuse"}, "zypper"),
        ({"ID": "sles"}, "zypper"),
        ({"ID": "arch"}, ""),
        ({}, ""),
    ],
)
def test_the_release_names_its_family(release: dict[str, str], family: str) -> None:
    assert managers.of_release(release) == family


@pytest.mark.parametrize(
    ("family", "usable", "chosen"),
    [
        ("apt", ["apt", "dnf"], "apt"),
        ("dnf", ["apt", "dnf"], "dnf"),
        ("zypper", ["dnf", "zypper"], "zypper"),
        ("dnf", ["apt"], ""),
        ("", ["apt"], "apt"),
        ("", ["apt", "dnf"], ""),
        ("", [], ""),
    ],
)
def test_only_a_manager_with_packages_is_chosen_and_a_guess_is_none(
    family: str, usable: list[str], chosen: str
) -> None:
    choice = managers.decide(family, usable)

    assert choice.name == chosen
    assert bool(choice.why) == (not chosen)


def test_yum_alone_is_said_to_be_unsupported() -> None:
    assert managers.decide("dnf", [], ["yum"]).why == "yum without dnf is not supported"
