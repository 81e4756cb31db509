"""A plan is written whole, for its owner only, and never over something else."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from maintenancebot.cli.plan_file import check_place, write
from maintenancebot.errors import UsageError
from maintenancebot.plan.document import Plan, plan_from_json

PLAN = Plan("r1", datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC), "c", ()).sealed()


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as refused:
        check_place(path)
    return str(refused.value)


def test_the_written_plan_reads_back_and_is_its_owners_only(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write(PLAN, path)
    assert plan_from_json(json.loads(path.read_text())) == PLAN
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["plan.json"]


def test_an_earlier_plan_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write(PLAN, path)
    before = path.stat().st_ino
    write(PLAN, path)
    assert path.stat().st_ino != before


@pytest.mark.parametrize("content", ["root:x:0:0", '{"kind": "other"}', "[1]", "", "\udcff"])
def test_a_file_that_is_no_plan_stays(tmp_path: Path, content: str) -> None:
    path = tmp_path / "passwd"
    path.write_text(content, "utf-8", "surrogateescape")
    before = path.read_bytes()
    expected = f"--out {path}: the file exists and is no plan; choose another name"
    assert refusal(path) == expected
    with pytest.raises(UsageError, match="is no plan"):
        write(PLAN, path)
    assert path.read_bytes() == before


def test_a_link_is_not_followed_even_to_a_plan(tmp_path: Path) -> None:
    write(PLAN, tmp_path / "real.json")
    link = tmp_path / "link.json"
    link.symlink_to("real.json")
    assert refusal(link) == f"--out {link}: the file exists and is no plan; choose another name"
    dangling = tmp_path / "dangling.json"
    dangling.symlink_to("nowhere")
    assert refusal(dangling) == f"--out {dangling}: the file exists and is no plan; choose another name"


def test_a_directory_is_no_plan(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"--out {tmp_path}: the file exists and is no plan; choose another name"


def test_a_place_that_cannot_take_a_plan_is_refused_before_hosts_are_asked(tmp_path: Path) -> None:
    path = tmp_path / "none" / "plan.json"
    assert refusal(path) == f"--out {path}: there is no directory {path.parent}; make it first"


def test_a_write_that_fails_leaves_the_earlier_plan_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "plan.json"
    write(PLAN, path)
    before = path.read_bytes()

    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(UsageError) as failed:
        write(PLAN, path)
    assert str(failed.value) == f"--out {path}: the plan cannot be written"
    assert isinstance(failed.value.__cause__, OSError)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["plan.json"]
