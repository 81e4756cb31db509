"""Restore overwrites nothing and follows no link; purge deletes only what is due."""

import os
import shutil
import stat
import time
from pathlib import Path

from ..conftest import SmallHost, append


def test_restore_never_overwrites(host: SmallHost) -> None:
    path = host.file("a.log", b"old")
    host.move()
    host.file("a.log", b"new")
    (item,) = host.trash()
    one = host.restore(item["subject"])
    assert (one["state"], one["reason"]) == ("skipped", "target_exists")
    assert Path(os.fsdecode(path)).read_bytes() == b"new"
    assert [item["data"]["state"] for item in host.trash()] == ["held"]

    other = str(host.base / "other.log")
    assert host.restore(item["subject"], to=other)["state"] == "done"
    assert Path(other).read_bytes() == b"old"


def test_restore_makes_missing_folders_as_they_were(host: SmallHost) -> None:
    host.file("app/deep/a.log")
    for folder, mode in ((host.logs / "app", 0o2750), (host.logs / "app" / "deep", 0o711)):
        os.chown(folder, 1234, 4321)
        folder.chmod(mode)
    host.move()
    shutil.rmtree(host.logs / "app")
    (item,) = host.trash()
    assert host.restore(item["subject"])["state"] == "done"
    for folder, mode in ((host.logs / "app", 0o2750), (host.logs / "app" / "deep", 0o711)):
        facts = folder.stat()
        assert (facts.st_uid, facts.st_gid, stat.S_IMODE(facts.st_mode)) == (1234, 4321, mode)


def test_a_folder_that_must_exist_is_named(host: SmallHost) -> None:
    host.file("a.log")
    host.move()
    (item,) = host.trash()
    nowhere = host.base / "no" / "such.log"
    gone = host.logs
    gone.rmdir()
    told = [host.restore(item["subject"], to=str(nowhere)), host.restore(item["subject"])]
    assert [(one["state"], one["reason"], one["detail"]) for one in told] == [
        ("skipped", "missing", f"the folder must exist: {folder}: No such file or directory")
        for folder in (nowhere.parent, gone)
    ]
    gone.mkdir()
    assert host.restore(item["subject"])["state"] == "done"


def test_restore_follows_no_link(host: SmallHost) -> None:
    host.file("app/a.log")
    host.move()
    (host.logs / "app").rmdir()
    (host.logs / "app").symlink_to("/tmp")
    (item,) = host.trash()
    one = host.restore(item["subject"])
    assert (one["state"], one["reason"]) == ("skipped", "symlink")
    assert not os.path.lexists("/tmp/a.log")


def test_a_restored_file_is_left_alone_for_a_week_or_until_it_changes(tmp_path: Path, host: SmallHost) -> None:
    base = tmp_path / "two"
    base.mkdir()
    soon = SmallHost(base, days=2)
    path = soon.file("a.log")
    soon.step("trash.trash.move", soon.changes(retention_days=1))
    (item,) = soon.trash()
    soon.restore(item["subject"])
    assert soon.probe(retention_days=1)["facts"]["kept"] == {"restored": 1}
    append(path)
    assert soon.probe(retention_days=1)["facts"]["due"] == 1
    later = soon.now + 8 * 86400
    assert soon.probe(retention_days=1, now=later)["facts"]["due"] == 1


def purge(host: SmallHost, item: dict, **more) -> dict:
    identity = item["data"]["identity"]
    change = {"item": item["subject"], "ino": identity["ino"], "size": identity["size"]}
    args = {"cap_files": 10, "cap_bytes": 10**9, **more}
    return host.step("trash.trash.purge", [{"id": "p", "action": "purge_item", "object": change}], **args)[0]


def test_purge_deletes_only_what_is_past_its_time(host: SmallHost) -> None:
    host.file("a.log")
    host.move()
    (item,) = host.trash()
    assert purge(host, item)["reason"] == "too_young"
    now = int(time.time())
    host.edit_record(item["subject"], quarantined_at=now + 90, purge_after=now + 91)
    assert purge(host, item)["reason"] == "time_implausible"
    host.edit_record(item["subject"], quarantined_at=now - 100, purge_after=now - 1)
    assert purge(host, item, cap_files=0)["reason"] == "over_cap"
    assert len(host.trash()) == 1
    done = purge(host, item)
    assert (done["state"], done["reason"]) == ("done", "verified")
    assert host.trash() == []


def test_purge_touches_no_item_that_is_another_one_than_planned(host: SmallHost) -> None:
    path = host.file("a.log")
    host.move()
    (item,) = host.trash()
    now = int(time.time())
    host.edit_record(item["subject"], quarantined_at=now - 100, purge_after=now - 1)
    for key in ("ino", "size"):
        identity = {**item["data"]["identity"], key: item["data"]["identity"][key] + 1}
        one = purge(host, {**item, "data": {"identity": identity}})
        assert (one["reason"], one["detail"]) == ("changed_since", "the item is not the one that the plan names")
    assert host.restore(item["subject"])["state"] == "done"
    assert os.path.exists(path)


def test_purge_touches_no_item_whose_bytes_were_exchanged(host: SmallHost) -> None:
    host.file("a.log", b"mine")
    host.move()
    (item,) = host.trash()
    now = int(time.time())
    held = host.home / "maintenancebot" / "trash" / item["subject"] / "item"
    shutil.copy2(held, f"{held}.copy")
    os.replace(f"{held}.copy", held)
    host.edit_record(item["subject"], quarantined_at=now - 100, purge_after=now - 1)
    one = purge(host, item)
    assert (one["state"], one["reason"]) == ("skipped", "changed_since")
    assert held.read_bytes() == b"mine"


def test_purge_refuses_when_the_clocks_differ(host: SmallHost) -> None:
    host.file("a.log")
    host.move()
    (item,) = host.trash()
    now = int(time.time())
    host.edit_record(item["subject"], quarantined_at=now - 100, purge_after=now - 1)
    step = {"id": "s", "changes": [], "args": {"cap_files": 9, "cap_bytes": 10**9}, "now": time.time() - 4000}
    identity = {"item": item["subject"], "ino": item["data"]["identity"]["ino"], "size": 500}
    step["changes"] = [{"id": "p", "action": "purge_item", "object": identity}]
    assert host.call("trash.trash.purge", step)["outcomes"][0]["reason"] == "clock_skew"
