"""A version that failed here before stays out, also when another package would bring it along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.helper.host import unit
from maintenancebot.helper.packages import known_bad


def note(folder: Path, monkeypatch: pytest.MonkeyPatch, *rows: dict[str, Any]) -> None:
    monkeypatch.setattr(unit, "FOLDER", str(folder))
    (folder / known_bad.NOTES).write_text(json.dumps(rows))


def update(name: str, candidate: str, status: str = "due") -> dict[str, str]:
    return {"name": name, "candidate": candidate, "status": status, "detail": ""}


def test_only_the_version_that_failed_stays_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note(tmp_path, monkeypatch, {"package": "mb-x", "version": "1.1", "at": 1790000000.5, "why": "mb-x.service failed"})
    bad = known_bad.noted()
    assert known_bad.pairs() == sorted([name, version] for name, version in bad)
    same, newer, held = update("mb-x", "1.1"), update("mb-x", "1.2"), update("mb-x", "1.1", "held")

    assert known_bad.mark([same, newer, held], bad) == 1
    assert (same["status"], newer["status"], held["status"]) == ("known_bad", "due", "held")
    assert same["detail"] == "failed here on 2026-09-21: mb-x.service failed"


def test_without_a_note_nothing_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "FOLDER", str(tmp_path))
    assert known_bad.noted() == {}


def test_who_would_bring_it_along_is_named() -> None:
    bad = {("mb-lib", "2.0"): "failed here on 2026-01-01: why"}
    brought = {"mb-app": [("mb-app", "1.1"), ("mb-lib", "2.0")], "mb-other": [("mb-other", "1.1")]}
    chosen = [update("mb-app", "1.1"), update("mb-other", "1.1")]

    found = known_bad.draggers(chosen, lambda told: brought[told["name"]], bad)

    assert found == {"mb-app": "needs mb-lib=2.0, which failed here on 2026-01-01: why"}
