"""What becomes of an image when the daemon does not simply remove it, and of one that is saved first."""

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from maintenancebot.helper.containers import containers, images, leftovers
from maintenancebot.helper.host import freed
from maintenancebot.helper.trash import recovery, store, trash
from tests.fakes.daemon import VERSION, serving
from tests.fakes.volumes import keeping_volumes

from ..conftest import SmallHost
from ..driver import Gathered
from ..killing import killed_at

OTHER = "sha256:" + "b" * 64
GONE = (404, {"message": "No such image"})


def archive(*, layer: bytes = b"layer", damage: str = "") -> tuple[str, bytes]:
    """(id, bytes) of what the daemon gives out for an image; `damage` one member of it."""
    name = hashlib.sha256(layer).hexdigest()
    config = json.dumps({"rootfs": {"diff_ids": [f"sha256:{name}"]}}).encode()
    identity = hashlib.sha256(config).hexdigest()
    listing = json.dumps([{"Config": f"{identity}.json", "RepoTags": None, "Layers": [f"{name}/layer.tar"]}]).encode()
    members = {f"{identity}.json": config, f"{name}/layer.tar": layer, "manifest.json": listing}
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as made:
        for path, content in members.items():
            if damage == "missing" and path.endswith("layer.tar"):
                continue
            body = b"wrong" if damage and path.endswith(damage) else content
            entry = tarfile.TarInfo(path)
            entry.size = len(body)
            made.addfile(entry, io.BytesIO(body))
    return f"sha256:{identity}", data.getvalue()


ID, BYTES = archive()
DIGESTS = [f"one@sha256:{'d' * 64}", f"two@sha256:{'d' * 64}"]
ABOUT = {"Id": ID, "RepoTags": ["one:1", "two:2"], "RepoDigests": DIGESTS, "Size": 1000}
DELETES = ["DELETE /images/two:2?force=0&noprune=1", f"DELETE /images/{ID}?force=0&noprune=1"]


@pytest.fixture
def root(host: SmallHost, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(store, "HOME", os.fsencode(host.home))
    monkeypatch.setattr(recovery, "_done", [True])
    monkeypatch.setattr(freed, "WAIT_SECONDS", 0)
    made = host.base / "d"
    made.mkdir()
    return made


def change(root: Path, **other: object) -> dict:
    wanted = {"id": ID, "tags": ["one:1", "two:2"], "digests": DIGESTS, "size": 1000}
    place = {"data_root": str(root), "socket": str(root / "s")}
    return {"id": "c1", "action": "remove_image", "name": "one:1", "object": {**wanted, **place, **other}}


def answers(root: Path, **other: object) -> dict:
    """A daemon that removes the image, as far as its answers tell."""
    usual = {
        "/version": (200, VERSION),
        f"/images/{ID}/json": [(200, ABOUT), GONE],
        f"/images/{ID}/get": (200, BYTES),
        "/images/two:2/json": [(200, ABOUT), GONE],
        "/info": (200, {"DockerRootDir": str(root)}),
        "/containers/json": (200, []),
        "/images/json": (200, [{"Id": ID, "ParentId": ""}]),
        "/system/df": [(200, {"LayersSize": 5000}), (200, {"LayersSize": 4200})],
        "DELETE /images/two:2": (200, [{"Untagged": "two:2"}]),
        f"DELETE /images/{ID}": (200, [{"Deleted": ID}]),
        f"POST /images/{ID}/tag": (201, None),
    }
    usual.update(other)
    return {key if key == "/version" else key.replace("/", "/v1.50/", 1): answer for key, answer in usual.items()}


def remove(root: Path, made: dict, **other: object) -> tuple[dict, list[str]]:
    """The outcome, and what changed something at the daemon."""
    looks = 2 if made["object"].get("save") else 1  # after the archive it is looked at again
    known = {f"/images/{ID}/json": [*[(200, ABOUT)] * looks, GONE], **other}
    with serving(str(root / "s"), answers(root, **known)) as server:
        step = {"changes": [made], "args": {"keep_days": 30}, "run": "r", "now": 0}
        (one,) = images.remove(step, Gathered())
    os.unlink(root / "s")
    return one, [request.replace("/v1.50", "") for request in server.asked if not request.startswith("GET")]


def told(one: dict) -> tuple[str, str, str]:
    return one["state"], one["reason"], one["detail"]


def listed() -> list[dict]:
    out = Gathered()
    trash.probe({}, out)
    return out.findings


def test_done_is_what_the_daemon_denies_having_afterwards(root: Path) -> None:
    one, changed = remove(root, change(root))
    assert told(one) == ("done", "verified", "")
    assert one["measured"]["layers_freed"] == 800
    assert one["measured"]["measured_by"] == images.MEASURED_BY
    assert changed == DELETES
    assert listed() == []


def test_an_image_that_is_still_there_is_a_failure(root: Path) -> None:
    one, _ = remove(root, change(root), **{f"/images/{ID}/json": (200, ABOUT)})
    assert told(one)[:2] == ("failed", "tool_failed")


@pytest.mark.parametrize(
    ("different", "detail"),
    [
        ({"tags": ["one:1"]}, "its tags are now: one:1, two:2"),
        ({"digests": []}, f"its digests are now: {', '.join(DIGESTS)}"),
        ({"size": 7}, "it has another size"),
        ({"data_root": "/elsewhere"}, "the daemon has another data root"),
    ],
)
def test_an_image_that_changed_is_left_alone(root: Path, different: dict, detail: str) -> None:
    one, changed = remove(root, change(root, **different))
    assert told(one) == ("skipped", "changed_since", detail)
    assert changed == []


def test_a_daemon_that_gives_another_image_for_the_id_is_not_asked_to_remove_it(root: Path) -> None:
    one, changed = remove(root, change(root), **{f"/images/{ID}/json": (200, {**ABOUT, "Id": OTHER})})
    assert told(one) == ("skipped", "changed_since", "another image answers to the id")
    assert changed == []


def test_a_tag_that_moves_in_the_last_moment_stays_with_its_new_image(root: Path) -> None:
    one, changed = remove(root, change(root), **{"/images/two:2/json": (200, {**ABOUT, "Id": OTHER})})
    assert told(one)[:2] == ("skipped", "changed_since")
    assert changed == []


def test_tags_are_put_back_when_the_daemon_refuses_in_the_end(root: Path) -> None:
    refusal = (409, {"message": "conflict: image is being used"})
    one, changed = remove(root, change(root), **{f"DELETE /images/{ID}": refusal})
    assert told(one) == ("skipped", "in_use", "conflict: image is being used")
    assert changed == [*DELETES, f"POST /images/{ID}/tag?repo=two&tag=2"]


@pytest.mark.parametrize("state", ["running", "exited", "created"])
def test_a_container_that_came_meanwhile_keeps_the_image(root: Path, state: str) -> None:
    row = {"Id": "c", "Names": ["/web"], "State": state, "ImageID": ID}
    one, changed = remove(root, change(root), **{"/containers/json": (200, [row])})
    assert told(one) == ("skipped", "in_use", f"container /web ({state})")
    assert changed == []


def test_a_child_that_came_meanwhile_keeps_the_image(root: Path) -> None:
    one, changed = remove(root, change(root), **{"/images/json": (200, [{"Id": OTHER, "ParentId": ID}])})
    assert (*told(one)[:2], changed) == ("skipped", "in_use", [])


def test_a_pull_or_build_under_way_holds_the_removal_back(root: Path) -> None:
    (root / "tmp").mkdir()
    (root / "tmp/GetImageBlob123").write_bytes(b"half")
    one, changed = remove(root, change(root))
    assert (*told(one)[:2], changed) == ("skipped", "busy", [])
    os.utime(root / "tmp/GetImageBlob123", (0, 0))  # left by a daemon that was killed long ago
    assert remove(root, change(root))[0]["state"] == "done"


def test_one_big_file_on_its_way_to_a_build_holds_the_removal_back(root: Path) -> None:
    (root / "tmp/docker-builder1/inner").mkdir(parents=True)
    big = root / "tmp/docker-builder1/inner/big"
    big.write_bytes(b"half")
    for path in (big.parent, big.parent.parent):
        os.utime(path, (0, 0))
    one, changed = remove(root, change(root))
    assert (*told(one)[:2], changed) == ("skipped", "busy", [])
    os.utime(big, (0, 0))
    assert remove(root, change(root))[0]["state"] == "done"


def test_too_much_to_look_through_counts_as_work(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "WORK_ENTRIES", 1)
    for path in (root / "tmp/docker-builder1/a", root / "tmp/docker-builder1/b"):
        path.mkdir(parents=True)
        os.utime(path, (0, 0))
    os.utime(root / "tmp/docker-builder1", (0, 0))
    assert containers.under_way(str(root))


def test_a_record_that_a_build_holds_holds_the_removal_back(root: Path) -> None:
    for made, looks in ((change(root), 1), (change(root, digests=[], save=True), 2)):
        for number in range(1, looks + 1):
            idle = (200, {"LayersSize": 5000, "BuildCache": [{"ID": "r1", "InUse": False}]})
            usage = [*[idle] * (number - 1), (200, {"LayersSize": 5000, "BuildCache": [{"ID": "r1", "InUse": True}]})]
            about = {**ABOUT, "RepoDigests": made["object"]["digests"]}
            one, changed = remove(root, made, **{"/system/df": usage, f"/images/{ID}/json": (200, about)})
            assert told(one) == ("skipped", "busy", "a build is under way: it holds record r1 of the build cache")
            assert (changed, listed()) == ([], [])


def test_what_somebody_else_removed_is_not_our_success(root: Path) -> None:
    one, changed = remove(root, change(root), **{f"/images/{ID}/json": GONE})
    assert (*told(one)[:2], one["measured"]) == ("nothing", "already_gone", {})
    assert changed == []


def test_a_daemon_in_trouble_is_told_in_its_words(root: Path) -> None:
    one, _ = remove(root, change(root), **{f"DELETE /images/{ID}": (500, {"message": "disk on fire"})})
    assert told(one) == ("failed", "tool_failed", "disk on fire")


def test_a_daemon_that_is_gone_leaves_an_unknown(root: Path) -> None:
    step = {"changes": [change(root)], "args": {"keep_days": 30}, "run": "r", "now": 0}
    (one,) = images.remove(step, Gathered())
    assert told(one)[:2] == ("unknown", "not_responding")


def test_one_that_is_to_be_saved_lies_in_the_trash_before_it_goes(root: Path) -> None:
    one, changed = remove(root, change(root, save=True))
    assert told(one) == ("done", "verified", "")
    assert changed == DELETES
    (item,) = listed()
    assert (item["data"]["path"], item["data"]["form"]) == ("image one:1", "image")
    assert item["data"]["image"]["tags"] == ["one:1", "two:2"]
    assert one["measured"]["trash_item"] == item["subject"]


@pytest.mark.parametrize("damage", ["layer.tar", "missing", ".json"])
def test_one_that_cannot_be_saved_whole_stays(root: Path, damage: str) -> None:
    one, changed = remove(root, change(root, save=True), **{f"/images/{ID}/get": (200, archive(damage=damage)[1])})
    assert (*told(one)[:2], changed) == ("failed", "compress_mismatch", [])
    assert listed() == []


def test_one_that_the_daemon_gives_out_cut_off_stays(root: Path) -> None:
    one, changed = remove(root, change(root, save=True), **{f"/images/{ID}/get": (200, BYTES[:600])})
    assert (*told(one)[:2], changed) == ("failed", "compress_mismatch", [])


def test_one_that_gets_a_user_while_it_is_saved_stays_and_its_archive_goes(root: Path) -> None:
    row = {"Id": "c", "Names": ["/web"], "State": "running", "ImageID": ID}
    one, changed = remove(root, change(root, save=True), **{"/containers/json": [(200, []), (200, [row])]})
    assert (*told(one)[:2], changed) == ("skipped", "in_use", [])
    assert listed() == []


def restore(root: Path, **other: object) -> tuple[dict, list[str]]:
    """Give back the one item."""
    (item,) = listed()
    there = [GONE, (200, ABOUT)]
    known = {f"/images/{ID}/json": there, "/images/one:1/json": GONE, "/images/two:2/json": GONE, **other}
    with serving(str(root / "s"), answers(root, **{"POST /images/load": (200, {}), **known})) as server:
        made = {"id": "c2", "action": "restore_image", "name": "i", "object": {"item": item["subject"], "to": ""}}
        (one,) = trash.restore({"changes": [made], "args": {}, "run": "r", "now": 0}, Gathered())
    os.unlink(root / "s")
    return one, [request.replace("/v1.50", "") for request in server.asked if not request.startswith("GET")]


def test_a_saved_image_comes_back_with_its_tags(root: Path) -> None:
    remove(root, change(root, save=True))
    one, changed = restore(root)
    assert told(one) == ("done", "verified", "back as image one:1, two:2")
    tags = [f"POST /images/{ID}/tag?repo={name}" for name in ("one&tag=1", "two&tag=2")]
    assert changed == ["POST /images/load?quiet=1", *tags]
    assert listed() == []


def test_a_tag_that_another_image_has_by_now_stays_with_that_one(root: Path) -> None:
    remove(root, change(root, save=True))
    one, changed = restore(root, **{"/images/two:2/json": (200, {**ABOUT, "Id": OTHER})})
    assert told(one)[2] == "back as image one:1; another image has by now: two:2"
    assert len(changed) == 2


def test_an_image_that_is_there_is_not_loaded_over(root: Path) -> None:
    remove(root, change(root, save=True))
    one, changed = restore(root, **{f"/images/{ID}/json": (200, ABOUT)})
    assert (*told(one)[:2], changed) == ("skipped", "target_exists", [])
    assert len(listed()) == 1


def test_a_load_that_fails_leaves_the_item(root: Path) -> None:
    remove(root, change(root, save=True))
    one, _ = restore(root, **{f"/images/{ID}/json": GONE, "POST /images/load": (500, {"message": "no space"})})
    assert one["state"] in ("failed", "skipped")
    assert "no space" in one["detail"]
    assert [item["data"]["state"] for item in listed()] == ["held"]


@pytest.mark.parametrize(("answer", "expected"), [((200, ABOUT), "skipped"), (GONE, "done"), ((500, {}), "unknown")])
def test_recall_asks_the_daemon(root: Path, answer: tuple, expected: str) -> None:
    with serving(str(root / "s"), answers(root, **{f"/images/{ID}/json": answer})):
        assert images.recall(change(root))["state"] == expected
    os.unlink(root / "s")
    assert images.recall(change(root))["state"] == "unknown"


def leave(root: Path, made: dict, **other: object) -> tuple[dict, list[str]]:
    """What becomes of a container or a record of the build cache."""
    with serving(str(root / "s"), answers(root, **other)) as server:
        (one,) = leftovers.remove({"changes": [made], "args": {}, "run": "r", "now": 0}, Gathered())
    os.unlink(root / "s")
    return one, [request.replace("/v1.50", "") for request in server.asked if not request.startswith("GET")]


STOPPED = {"Name": "/job", "State": {"Status": "exited", "FinishedAt": "then"}}


def container(root: Path) -> dict:
    wanted = {"id": "abc", "name": "/job", "finished": "then", "size": 1}
    place = {"data_root": str(root), "socket": str(root / "s")}
    return {"id": "c3", "action": "remove_container", "name": "job", "object": {**wanted, **place}}


def test_a_stopped_container_goes_without_its_volumes_and_without_force(root: Path) -> None:
    found = {"/containers/abc/json": [(200, STOPPED), GONE], "DELETE /containers/abc": (204, None)}
    one, changed = leave(root, container(root), **found)
    assert told(one) == ("done", "verified", "")
    assert changed == ["DELETE /containers/abc?force=0&v=0"]


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ({**STOPPED, "State": {"Status": "running", "FinishedAt": "then"}}, "in_use"),
        ({**STOPPED, "State": {"Status": "exited", "FinishedAt": "later"}}, "changed_since"),
        ({**STOPPED, "Name": "/other"}, "changed_since"),
    ],
)
def test_a_container_that_ran_since_the_plan_stays(root: Path, now: dict, reason: str) -> None:
    one, changed = leave(root, container(root), **{"/containers/abc/json": (200, now)})
    assert (*told(one)[:2], changed) == ("skipped", reason, [])


def record(root: Path) -> dict:
    wanted = {"id": "r1", "last_used": "then", "size": 1, "data_root": str(root), "socket": str(root / "s")}
    return {"id": "c4", "action": "remove_build_cache", "name": "r1", "object": wanted}


def cache(**more: object) -> tuple[int, dict]:
    return 200, {"BuildCache": [{"ID": "r1", "InUse": False, "LastUsedAt": "then", **more}]}


def test_a_record_of_the_build_cache_goes_by_its_id(root: Path) -> None:
    found = {"/system/df": [cache(), (200, {"BuildCache": None})], "POST /build/prune": (200, {})}
    one, changed = leave(root, record(root), **found)
    assert told(one) == ("done", "verified", "")
    assert changed == ["POST /build/prune?all=1&filters=%7B%22id%22%3A+%7B%22r1%22%3A+true%7D%7D"]


@pytest.mark.parametrize("now", [cache(InUse=True), cache(LastUsedAt="later")])
def test_a_record_that_was_used_since_the_plan_stays(root: Path, now: tuple) -> None:
    one, changed = leave(root, record(root), **{"/system/df": now})
    assert (*told(one)[:2], changed) == ("skipped", "in_use", [])


@pytest.mark.parametrize("how", [{"Parent": "r1"}, {"Parents": ["r0", "r1"]}])
def test_a_record_that_another_is_built_on_stays(root: Path, how: dict) -> None:
    usage = (200, {"BuildCache": [*cache()[1]["BuildCache"], {"ID": "r2", **how}]})
    one, changed = leave(root, record(root), **{"/system/df": usage})
    assert (told(one), changed) == (("skipped", "in_use", "record r2 is built on it"), [])


def test_killed_at_every_call_a_saved_image_is_there_or_listed_and_comes_back(root: Path) -> None:
    with keeping_volumes(root) as daemon:
        place = {"socket": daemon.path, "tags": ["one:1", "two:2"], "digests": [], "save": True}
        about = {"Id": ID, "RepoDigests": [], "Size": 1000, "archive": BYTES}

        def take() -> None:
            images.remove({"changes": [change(root, **place)], "args": {"keep_days": 30}, "run": "r"}, Gathered())

        def give_back() -> None:
            (item,) = listed()
            made = {"id": "c2", "action": "restore_image", "name": "i", "object": {"item": item["subject"], "to": ""}}
            trash.restore({"changes": [made], "args": {}, "run": "r", "now": 0}, Gathered())

        for prepare, work in ((lambda: None, take), (take, give_back)):
            number, killed = 0, True
            daemon.image, daemon.gone = {**about, "RepoTags": ["one:1", "two:2"]}, {}
            while killed:
                number += 1
                prepare()
                killed = killed_at(number, work)
                assert daemon.image or listed(), "lost"
                killed_at(1 + number * 7 % 23, lambda: recovery.recover(Gathered()))
                recovery.recover(Gathered())
                assert bool(daemon.image) != bool(listed()), "both, or neither"
                if not daemon.image:
                    give_back()
                assert sorted(daemon.image["RepoTags"]) == ["one:1", "two:2"]
                assert listed() == []
            assert number > 10


def test_a_saved_image_that_goes_although_the_daemon_says_no_is_kept_in_the_trash(root: Path) -> None:
    made = change(root, save=True, tags=[], digests=[])
    about = {**ABOUT, "RepoTags": [], "RepoDigests": []}
    broken = {
        f"/images/{ID}/json": [(200, about), (200, about), GONE],
        f"DELETE /images/{ID}": (500, {"message": "unable to remove filesystem"}),
    }
    one, _ = remove(root, made, **broken)
    (item,) = listed()
    assert told(one)[:2] == ("failed", "tool_failed")
    assert f"lies in the trash as {item['subject']}" in one["detail"]
    assert item["data"]["state"] == "held"


def test_an_image_whose_data_root_cannot_be_seen_is_not_called_gone(root: Path) -> None:
    away = str(root / "away")
    one, changed = remove(root, change(root, data_root=away), **{"/info": (200, {"DockerRootDir": away})})
    assert (told(one)[:2], changed) == (("skipped", "changed_since"), [])
