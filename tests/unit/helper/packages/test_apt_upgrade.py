"""An upgrade is refused when the host is not as planned, and judged by what is installed afterwards."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.helper.host import unit
from maintenancebot.helper.packages import dpkg, transactions, upgrade
from maintenancebot.helper.packages.dpkg import Package

ITEM = {"package": "lib", "architecture": "amd64", "from": "1.0", "to": "1.1"}
CHANGE = {"id": "c1", "action": "upgrade_package", "object": ITEM}


def installed(*packages: Package) -> dict[tuple[str, str], Package]:
    return {(p.name, p.arch): p for p in (Package("dpkg", "amd64", "1"), *packages)}


def judged(package: Package | None, log: tuple[str, ...] = (), code: int | None = 0) -> tuple[str, str]:
    found = installed(package) if package else installed()
    told = upgrade.judge(CHANGE, found, code, list(log))
    return told["state"], told["reason"]


def test_only_the_planned_version_installed_and_configured_is_done() -> None:
    assert judged(Package("lib", "amd64", "1.1")) == ("done", "verified")
    assert judged(Package("lib", "amd64", "1.1", state="half-configured")) == ("failed", "packages_broken")
    assert judged(Package("lib", "amd64", "1.0"), code=0) == ("failed", "tool_failed")
    assert judged(Package("lib", "amd64", "1.2")) == ("failed", "version_differs")
    assert judged(None) == ("failed", "version_differs")


def test_a_lock_taken_at_the_last_moment_is_busy() -> None:
    log = ("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 9 (apt)",)

    assert judged(Package("lib", "amd64", "1.0"), log, 100) == ("skipped", "busy")


def test_the_first_faults_of_the_log_are_told() -> None:
    log = ["Setting up lib (1.1) ...", "dpkg: error processing package lib (--configure):", " failed", "E: It failed"]

    told = upgrade.judge(CHANGE, installed(Package("lib", "amd64", "1.0")), 100, log)

    assert told["detail"] == "dpkg: error processing package lib (--configure): failed; E: It failed"


def test_a_package_that_became_architecture_independent_is_found() -> None:
    item = {**ITEM, "architecture": "all"}

    assert upgrade.installed_version(item, installed(Package("lib", "amd64", "1.0"))) == "1.0"
    assert upgrade.installed_version(ITEM, installed(Package("lib", "all", "1.0"))) == "1.0"
    assert upgrade.installed_version(ITEM, installed(Package("lib", "i386", "1.0"))) == ""


def test_another_installed_version_refuses_the_whole() -> None:
    found = installed(Package("lib", "amd64", "1.0.1"))
    with pytest.raises(transactions.Refused, match=r"lib is 1\.0\.1 instead of 1\.0") as refused:
        transactions.check_versions([ITEM], lambda item: upgrade.installed_version(item, found))
    assert refused.value.reason == "changed_since"
    transactions.check_versions([ITEM], lambda item: "1.0")


class Apt:
    """apt that would install what it is told, whatever was asked."""

    def __init__(self, *names: str) -> None:
        self._installs = [{"name": name, "from": "1.0", "to": "1.1", "arch": "amd64"} for name in names]

    def simulate(self, words: list[str]) -> Any:
        return types.SimpleNamespace(ok=True, removals=[], installs=self._installs, error=lambda: "")

    def distrust_cache(self) -> None:
        """Asked anew, it says the same."""


@pytest.mark.parametrize(
    ("names", "told"),
    [(("lib", "more"), "also more=1.1"), (("more",), "also more=1.1, not lib=1.1"), ((), "not lib=1.1")],
)
def test_a_transaction_that_became_another_is_refused_whole(
    names: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dpkg, "native_architecture", lambda _: "amd64")
    with pytest.raises(transactions.Refused) as refused:
        upgrade.check_transaction([ITEM], {}, Apt(*names))
    assert (refused.value.reason, told in str(refused.value.detail)) == ("changed_since", True)


@pytest.mark.parametrize(
    "change",
    [
        {"package": "-o=Dir::State=/tmp"},
        {"package": "lib*"},
        {"package": "./lib.deb"},
        {"to": "1.1 other"},
        {"to": "$HOME"},
        {"to": ""},
        {"from": "--force"},
        {"architecture": "amd64/stable"},
        {"more": "x"},
    ],
)
def test_only_plain_names_and_versions_reach_apt(change: dict[str, str]) -> None:
    with pytest.raises(transactions.Refused, match="not a package"):
        transactions.check_words([{**ITEM, **change}], upgrade.PLAIN)


def test_plain_names_pass() -> None:
    odd = {"package": "libstdc++6", "architecture": "all", "from": "", "to": "1:2.0~rc1-1+b1"}
    transactions.check_words([ITEM, odd], upgrade.PLAIN)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    found: dict[tuple[str, str], Package] = {}
    monkeypatch.setattr(unit, "FOLDER", str(tmp_path))
    monkeypatch.setattr(dpkg, "packages", lambda: found)
    return found


def record(folder: Path, name: str, result: str = "") -> None:
    (folder / name).mkdir()
    text = '{"packages": [{"architecture": "amd64", "from": "1.0", "package": "lib", "to": "1.1"}]}'
    (folder / name / "record").write_text(text)
    (folder / name / "log").write_text("E: it failed\n")
    if result:
        (folder / name / "result").write_text(result)


def recalled() -> tuple[str, str]:
    told = upgrade.recall(CHANGE)
    return told["state"], told["reason"]


def test_an_upgrade_nobody_recorded_is_recalled_from_the_host(host: Any, tmp_path: Path) -> None:
    host.update(installed(Package("lib", "amd64", "1.0")))
    assert recalled() == ("skipped", "not_started")
    record(tmp_path, "maintenancebot-upgrade-1", "100\n")
    assert recalled() == ("failed", "tool_failed")
    host.update(installed(Package("lib", "amd64", "1.1")))
    assert recalled() == ("done", "verified")


def test_an_upgrade_that_still_runs_is_busy(host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host.update(installed(Package("lib", "amd64", "1.1", state="unpacked")))
    record(tmp_path, "maintenancebot-upgrade-1")
    monkeypatch.setattr(unit.Run, "alive", lambda run: True)

    assert recalled() == ("unknown", "busy")
    run = transactions.running([dict(reversed(ITEM.items()))])
    assert run is not None
    assert run.name == "maintenancebot-upgrade-1"
    with pytest.raises(transactions.Refused, match="still runs"):
        transactions.running([{**ITEM, "to": "1.2"}])
