"""An upgrade with dnf or zypper is judged by rpm's database and by what scripts said."""

from __future__ import annotations

from typing import Any

import pytest

from maintenancebot.helper import rpm, rpm_upgrade

ITEM = {"package": "mb-good", "architecture": "noarch", "from": "1.0-1", "to": "2:1.1-1"}


def judge(log: list[str], *installed: str, code: int = 0) -> Any:
    packages = [rpm.Package("mb-good", evr, "noarch") for evr in installed]
    found = rpm.by_key(packages)
    told = rpm_upgrade.judge({"id": "c", "object": ITEM}, found, code, log)
    return told["state"], told["reason"]


@pytest.mark.parametrize(
    ("log", "installed", "verdict"),
    [
        ([], ["2:1.1-1"], ("done", "verified")),
        ([], ["1.0-1"], ("failed", "tool_failed")),
        ([], [], ("failed", "version_differs")),
        ([], ["2:1.1-2"], ("failed", "version_differs")),
        ([], ["2:1.1-1", "1.0-1"], ("failed", "packages_broken")),
        (
            ["warning: %post(mb-good-2:1.1-1.noarch) scriptlet failed, exit status 1"],
            ["2:1.1-1"],
            ("failed", "packages_broken"),
        ),
        (
            ["warning: %post(mb-good-1.1-1.noarch) scriptlet failed, exit status 1"],
            ["2:1.1-1"],
            ("failed", "packages_broken"),
        ),
        (["warning: %post(mb-other-1.1-1.noarch) scriptlet failed, exit status 1"], ["2:1.1-1"], ("done", "verified")),
        (["System management is locked by the application with pid 7 (zypper)."], ["1.0-1"], ("skipped", "busy")),
    ],
)
def test_what_is_installed_afterwards_decides(log: list[str], installed: list[str], verdict: tuple[str, str]) -> None:
    assert judge(log, *installed) == verdict


@pytest.mark.parametrize(
    "wrong",
    [
        {**ITEM, "package": "--installroot=/x"},
        {**ITEM, "package": "mb-*"},
        {**ITEM, "package": "@group"},
        {**ITEM, "package": "/tmp/x.rpm"},
        {**ITEM, "to": "1.1 -1"},
        {**ITEM, "architecture": "noarch;x"},
        {**ITEM, "more": "1"},
    ],
)
def test_nothing_but_plain_names_and_versions_reaches_a_command_line(wrong: dict[str, str]) -> None:
    rpm_upgrade.check_words([ITEM])
    with pytest.raises(rpm_upgrade.Refused):
        rpm_upgrade.check_words([wrong])
