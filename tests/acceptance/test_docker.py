"""Volumes and images of a real dockerd on a real host: what stays, what goes, and how it comes back."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.acceptance.command import Bot, wait_while_running
from tests.lab.containers import Docker
from tests.lab.fleet import Fleet
from tests.lab.hosts import HostSpec, LabHost
from tests.lab.tools import run

TASK = "docker"
HOUR = 3600


@pytest.fixture(scope="module")
def shared(make_fleet: Callable[..., Fleet]) -> Fleet:
    return make_fleet(HostSpec("web-1", release="bookworm"))


@pytest.fixture
def daemon(shared: Fleet, make_docker: Callable[..., Docker]) -> Docker:
    host, made = shared["web-1"], make_docker()
    made.give_to(host, client=host.run(["test", "-s", "/usr/bin/docker"], check=False).returncode != 0)
    return made


def bot_for(tmp_path: Path, fleet: Fleet, **settings: Any) -> Bot:
    values = {"name": TASK, "type": "docker_prune", "min_age_hours": 1, "keep_newest": 0, **settings}
    return Bot(tmp_path, fleet, tasks=[values])


def age_memory(bot: Bot, hours: float = 2) -> None:
    """Let all that was seen until now have been seen some hours earlier."""
    with sqlite3.connect(bot.state / "state.db") as store:
        for name, body in store.execute("SELECT rowid, value FROM memories WHERE kind LIKE 'containers:%'").fetchall():
            row = json.loads(body)
            early = {key: row[key] - hours * HOUR for key in ("first", "since") if key in row}
            store.execute("UPDATE memories SET value = ? WHERE rowid = ?", (json.dumps({**row, **early}), name))


def look(bot: Bot) -> dict[str, Any]:
    return bot("run", "--task", TASK, "--json").task("web-1", TASK)


def kept(task: dict[str, Any]) -> dict[str, str]:
    return {row["object"]: row["reason"] for row in task["facts"]["kept_objects"]}


def items(bot: Bot) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(bot("trash", "list", "--json").out)["hosts"][0]["items"]
    return found


def hostile_files(root: Path) -> None:
    """Every kind of file, and names that no text should have."""
    (root / "pg").mkdir(mode=0o700)
    os.chown(root / "pg", 999, 999)
    (root / "pg/base").write_bytes(os.urandom(300_000))
    os.chown(root / "pg/base", 999, 998)
    os.chmod(root / "pg/base", 0o4751)
    os.setxattr(root / "pg/base", "user.note", b"v\xff\n1")
    os.setxattr(root / "pg/base", "trusted.note", b"\0\1")
    run(["setfacl", "-m", "u:1234:rw,d:u:77:rx", root / "pg"], check=False)
    os.link(root / "pg/base", root / "linked")
    os.mkfifo(root / "fifo", 0o640)
    os.mknod(root / "null", 0o600 | 0o020000, os.makedev(1, 3))
    with (root / "sparse").open("wb") as file:
        file.truncate(40 << 20)
        file.seek(20 << 20)
        file.write(b"middle")
    (root / ("n" * 255)).write_bytes(b"long")
    (root / "new\nline").write_bytes(b"")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfe")).write_bytes(b"raw")
    (root / "<!channel>").symlink_to("no\nwhere/")
    for path in (root / "pg/base", root / "pg", root):
        os.utime(path, ns=(1_500_000_000_123_456_789, 1_400_000_000_987_654_321))


def look_of(root: Path) -> list[tuple[Any, ...]]:
    """All that a volume's folder is, in order."""
    found = []
    for path in sorted([root, *root.rglob("*")]):
        about = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        attributes = {
            name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)
        }
        values = (about.st_mode, about.st_uid, about.st_gid, about.st_size, about.st_mtime_ns, about.st_rdev)
        target = os.readlink(path) if path.is_symlink() else ""
        links = about.st_nlink if path.is_file() else 0
        found.append((os.fsencode(path.relative_to(root)), *values, links, target, content, attributes))
    return found


def test_an_orphan_volume_goes_after_enough_looks_and_comes_back_as_it_was(
    shared: Fleet, daemon: Docker, tmp_path: Path
) -> None:
    volume = daemon.volume("orphan", labels={"team": "<!channel>"})
    root = Path(volume.attrs["Mountpoint"])
    hostile_files(root)
    before = look_of(root)
    nameless = daemon.volume(None, {"data": b"x" * 5000})
    daemon.volume("not-listed", {"data": b"stays"})
    bot = bot_for(tmp_path, shared, remove_dangling_volumes=True, volumes=["orph*"], sightings=2)
    first = look(bot)
    assert first["changes"] == []
    assert kept(first) == {
        "volume orphan": "seen_too_seldom",
        f"volume {nameless.name}": "seen_too_seldom",
        "volume not-listed": "kept",
    }
    assert kept(look(bot))["volume orphan"] == "too_young"
    age_memory(bot)
    gone = look(bot)
    assert {change["object"]: (change["state"], change["detail"]) for change in gone["changes"]} == {
        "orphan": ("done", ""),
        nameless.name: ("done", ""),
    }
    assert [one.name for one in daemon.client.volumes.list()] == ["not-listed"]
    (item,) = [one for one in items(bot) if one["path"] == "volume orphan"]
    assert (item["state"], item["form"], item["holds"]["labels"]) == ("held", "volume", {"team": "<!channel>"})
    taken = daemon.volume("orphan", {"other": b"somebody's"})
    refused = bot("trash", "restore", "web-1", item["id"])
    assert (refused.code, "there is a volume orphan" in refused.out) == (1, True), refused.out + refused.err
    other = bot("trash", "restore", "web-1", item["id"], "--to", "orphan-2")
    assert other.code == 0, other.out + other.err
    restored = daemon.client.volumes.get("orphan-2")
    assert look_of(Path(restored.attrs["Mountpoint"])) == before
    assert restored.attrs["Labels"] == {"team": "<!channel>"}
    assert (Path(taken.attrs["Mountpoint"]) / "other").read_bytes() == b"somebody's"
    assert item["id"] not in {one["id"] for one in items(bot)}


def test_purge_ends_a_volume_that_is_past_its_time(shared: Fleet, daemon: Docker, tmp_path: Path) -> None:
    nameless = daemon.volume(None, {"data": os.urandom(3 << 20)})
    bot = bot_for(tmp_path, shared, remove_dangling_volumes=True, sightings=1)
    look(bot)
    age_memory(bot)
    (change,) = look(bot)["changes"]
    assert (change["object"], change["state"]) == (nameless.name, "done"), change["detail"]
    assert change["measured"]["freed_at_purge"] >= 3 << 20
    (record,) = daemon.data_root.glob(f".maintenancebot/trash/{change['measured']['trash_item']}/manifest.json")
    told = json.loads(record.read_text())
    came = told["quarantined_at"]
    record.write_text(json.dumps({**told, "quarantined_at": came - 90 * 86400, "purge_after": came - 60 * 86400}))
    purged = bot("trash", "purge", "--json")
    assert purged.document["totals"]["items_purged"] == 1, purged.out + purged.err
    assert not record.parent.exists()


def test_what_stays_because_somebody_needs_it(shared: Fleet, daemon: Docker, tmp_path: Path) -> None:
    host = shared["web-1"]
    names = ("stopped", "composed", "service", "spare")
    images = {name: daemon.image(f"lab.test/{name}:1", arrived_days_ago=30) for name in names}
    daemon.volume("shop_pgdata", {"base/1": b"table"})
    daemon.volume("in-container", {"base/1": b"table"})
    daemon.container(images["stopped"], start=False, name="down", volumes=["in-container:/data"])
    host.write("/opt/shop/compose.yaml", "services:\n  db: {image: 'lab.test/composed:1'}\nvolumes:\n  pgdata:\n")
    daemon.client.api.init_swarm("127.0.0.1", "127.0.0.1:0")
    template = docker.types.TaskTemplate(docker.types.ContainerSpec("lab.test/service:1"))
    mode = docker.types.ServiceMode("replicated", 0)
    daemon.client.api.create_service(template, name="web", mode=mode)
    bot = bot_for(
        tmp_path,
        shared,
        remove_unused_images=True,
        save_images=True,
        remove_dangling_volumes=True,
        volumes=["*"],
        sightings=1,
    )
    first = look(bot)
    age_memory(bot)
    daemon.image("lab.test/loaded:1", built_days_ago=3000)
    task = look(bot)
    host.run(["rm", "-r", "/opt/shop"])
    made = {change["object"]: change["state"] for change in first["changes"]}
    assert made == {"lab.test/spare:1": "done"}, first["changes"]
    assert task["changes"] == []
    assert kept(task) == {
        "lab.test/loaded:1": "too_young",
        "lab.test/stopped:1": "in_use",
        "lab.test/composed:1": "in_use",
        "lab.test/service:1": "in_use",
        "volume shop_pgdata": "in_use",
        "volume in-container": "in_use",
    }
    assert {volume.name for volume in daemon.client.volumes.list()} == {"shop_pgdata", "in-container"}


def test_a_saved_image_comes_back_and_runs(shared: Fleet, daemon: Docker, tmp_path: Path) -> None:
    image = daemon.image("mine:1", arrived_days_ago=30, size_bytes=2 << 20)
    image.tag("alias", "latest")
    daemon.age_image(image, 30)
    bot = bot_for(tmp_path, shared, remove_unused_images=True)
    assert kept(look(bot))["alias:latest"] == "not_pullable"
    bot = bot_for(tmp_path, shared, remove_unused_images=True, save_images=True)
    (change,) = look(bot)["changes"]
    assert (change["state"], change["undo"]) == ("done", "trash restore"), change
    assert daemon.client.images.list(all=True) == []
    (item,) = [one for one in items(bot) if one["form"] == "image"]
    assert item["holds"]["tags"] == ["alias:latest", "mine:1"]
    answer = bot("trash", "restore", "web-1", item["id"])
    assert answer.code == 0, answer.out + answer.err
    assert sorted(daemon.client.images.get(str(image.id)).tags) == ["alias:latest", "mine:1"]
    assert daemon.container("mine:1", "true").wait()["StatusCode"] == 0


def helper_pid(host: LabHost) -> str:
    found = host.run(["pgrep", "-f", "^/usr/bin/python3 .*[m]aintenancebot"], check=False).stdout.split()
    return found[-1] if found else ""


def archiving(daemon: Docker) -> list[Path]:
    return [path for path in daemon.data_root.glob(".maintenancebot/trash/*/item.new") if path.stat().st_size > 1 << 20]


@pytest.fixture
def large(shared: Fleet, daemon: Docker, tmp_path: Path) -> tuple[Bot, dict[str, bytes], Path]:
    """A volume whose archive takes a while, and that may go."""
    content = {f"{number}": os.urandom(8 << 20) for number in range(6)}
    volume = daemon.volume("large", content)
    bot = bot_for(tmp_path, shared, remove_dangling_volumes=True, volumes=["large"], sightings=1)
    look(bot)
    age_memory(bot)
    return bot, content, Path(volume.attrs["Mountpoint"])


def all_there(content: dict[str, bytes], root: Path) -> bool:
    return {path.name: path.read_bytes() for path in root.iterdir()} == content


def test_kill_of_the_helper_and_of_the_daemon_in_the_middle_loses_nothing(
    shared: Fleet, daemon: Docker, large: tuple[Bot, dict[str, bytes], Path]
) -> None:
    bot, content, root = large
    running = bot.start("run", "--task", TASK, "--json")
    wait_while_running(running, lambda: archiving(daemon), "the archive is being written")
    shared["web-1"].run(["kill", "-9", helper_pid(shared["web-1"])])
    out, err = running.communicate(timeout=60)
    (change,) = json.loads(out)["hosts"][0]["tasks"][0]["changes"]
    assert change["state"] == "unknown", err
    assert all_there(content, root)

    left = archiving(daemon)
    running = bot.start("run", "--task", TASK, "--json")
    wait_while_running(running, lambda: set(archiving(daemon)) - set(left), "the archive is being written")
    daemon.kill()
    out, err = running.communicate(timeout=60)
    (change,) = json.loads(out)["hosts"][0]["tasks"][0]["changes"]
    assert change["state"] in ("unknown", "skipped", "failed"), err
    assert all_there(content, root)
    daemon.start()
    assert [volume.name for volume in daemon.client.volumes.list()] == ["large"]

    (change,) = look(bot)["changes"]
    assert change["state"] == "done", change
    (item,) = [one for one in items(bot) if one["path"] == "volume large"]
    assert bot("trash", "restore", "web-1", item["id"]).code == 0
    assert all_there(content, root)
