"""An upgrade with dnf or zypper is judged by rpm's database and by what scripts said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.helper.host import unit
from maintenancebot.helper.packages import known_bad, rpm, rpm_upgrade, transactions

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
    transactions.check_words([ITEM], rpm_upgrade.PLAIN)
    with pytest.raises(transactions.Refused):
        transactions.check_words([wrong], rpm_upgrade.PLAIN)


CHANGE = {"id": "c", "action": "upgrade_package", "object": ITEM}


@pytest.fixture
def ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> unit.Run:
    """A run on the host that has upgraded the package, with a look at its services before."""
    monkeypatch.setattr(unit, "FOLDER", str(tmp_path))
    monkeypatch.setattr(rpm, "installed", lambda *_: rpm.by_key([rpm.Package("mb-good", "2:1.1-1", "noarch")]))
    folder = tmp_path / "maintenancebot-upgrade-1"
    folder.mkdir()
    (folder / "record").write_text(json.dumps({"packages": [ITEM], "before": {"units": {}}}))
    (folder / "log").write_text("")
    (folder / "result").write_text("0\n")
    return unit.Run(str(folder))


def test_a_recall_says_that_nobody_watched_the_services(ended: unit.Run) -> None:
    told = rpm_upgrade.recall(CHANGE)
    assert (told["state"], told["detail"]) == ("done", "health was not watched")


def test_a_recall_repeats_what_the_run_had_found(ended: unit.Run) -> None:
    noted = {"change": "c", "state": "failed", "reason": "unhealthy", "detail": "x.service failed"}
    ended.note(phase="ended", outcomes=[noted])
    told = rpm_upgrade.recall(CHANGE)
    assert (told["state"], told["reason"], told["detail"]) == ("failed", "unhealthy", "x.service failed")


def test_only_the_package_that_is_not_whole_is_kept_out(ended: unit.Run) -> None:
    other = {**ITEM, "package": "mb-other"}
    told = [{"reason": "packages_broken"}, {"reason": "verified"}]
    rpm_upgrade.remember([ITEM, other], told, "its script failed")
    assert set(known_bad.noted()) == {("mb-good", "2:1.1-1")}
    rpm_upgrade.remember([ITEM, other], [{"reason": "unhealthy"}] * 2, "x.service failed")
    assert set(known_bad.noted()) == {("mb-good", "2:1.1-1"), ("mb-other", "2:1.1-1")}
