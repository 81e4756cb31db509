"""Looks leave samples of how full each mount was; a dry run leaves none."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from maintenancebot.engine import samples
from maintenancebot.engine.memory import StoreMemory
from maintenancebot.engine.work import Work
from maintenancebot.plan.document import HostPlan
from maintenancebot.store import Store
from tests.unit.engine.boxes import clock, work


def mount(path: str, available: int, fs_type: str = "ext4") -> dict[str, Any]:
    sizes = {"total": 100, "available": available, "inodes": 50, "inodes_free": 40}
    return {"path": path, "fs_type": fs_type, **sizes}


def plan(hours: float, *mounts: dict[str, Any]) -> HostPlan:
    at = clock() + timedelta(hours=hours)
    return HostPlan("web-1", "m" * 32, "b", at, 0.0, (), {"mounts": list(mounts)})


def remembering(store: Store) -> Work:
    return replace(work([]), memory=StoreMemory(store, clock))


def test_each_look_leaves_a_sample_of_each_disk(tmp_path: Path) -> None:
    with Store.open(tmp_path / "state", create=True) as store:
        here = remembering(store)
        layers = [mount(f"/l{number}", 1, kind) for number, kind in enumerate(sorted(samples.LAYERS))]
        for hour, available in ((0, 50), (1, 40), (2, 30)):
            samples.keep(plan(hour, mount("/", available), mount("/srv", 9), *layers), here)
        assert [(one.used, one.total, one.inodes_used) for one in samples.of("web-1", "/", here)] == [
            (50, 100, 10),
            (60, 100, 10),
            (70, 100, 10),
        ]
        assert set(store.memories.read("web-1", "disk")) == {"/", "/srv"}
        assert samples.of("web-1", "/other", here) == samples.of("web-2", "/", here) == []


def test_a_host_with_very_many_mounts_has_bounded_rows(tmp_path: Path) -> None:
    with Store.open(tmp_path / "state", create=True) as store:
        samples.keep(plan(0, *(mount(f"/m{number}", 1) for number in range(500))), remembering(store))
        assert len(store.memories.read("web-1", "disk")) == samples.MOST_MOUNTS


def test_a_dry_run_leaves_none(tmp_path: Path) -> None:
    Store.open(tmp_path / "state", create=True).close()
    with Store.open_readonly(tmp_path / "state") as store:
        samples.keep(plan(0, mount("/", 50)), remembering(store))
        assert store.memories.read("web-1", "disk") == {}
