"""A host gets addresses of its own items only, in the steps that are about them; what is wrong is said shortly."""

from collections.abc import Iterator

import pytest

from maintenancebot.actions import logs, offload, trash, uploads
from maintenancebot.catalog import Replies
from maintenancebot.model import Action, Host, Json, Step, Undo
from maintenancebot.plan.document import make_change
from maintenancebot.remote import aws
from maintenancebot.remote import object_store as object_store_client
from maintenancebot.settings import Settings
from tests.fakes.object_store import BUCKET, ENVIRONMENT, KEY_ID, REGION, SECRET, Front, object_store

ITEM, OTHER = "20261121T112210Z-107c80bf8280c106", "20261121T112210Z-0000000000000000"
WEB, DB = Host("web-1", "192.0.2.1"), Host("db-1", "192.0.2.2")
SHA = "ab" * 32
MIB = 2**20


@pytest.fixture(scope="module")
def running() -> Iterator[Front]:
    with object_store() as front, pytest.MonkeyPatch.context() as patch:
        patch.setattr(object_store_client, "READ_SECONDS", 1)
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        aws.forget()
        yield front


@pytest.fixture
def front(running: Front) -> Front:
    running.clear()
    return running


def settings(front: Front, **changed: object) -> Settings:
    place = {"bucket": BUCKET, "endpoint": front.address, "region": REGION, **changed}
    task = {"name": "c", "type": "monitor", "check": "certificate_expiry_days > 30"}
    return Settings.model_validate({"tasks": [task], "deletion": {"trash": {"offload": place}}})


def step(op: str, item: str = "", **identity: Json) -> Step:
    about = {**identity, **({"item": item} if item else {})}
    change = make_change("web-1", "t", Action.QUARANTINE_FILE, name="/a", identity=about, undo=Undo.TRASH)
    return Step(f"{op}:{item}", "t", op, (change,))


MOVE = step("trash.move")


def ask(front: Front, kind: str, of: Step = MOVE, host: Host = WEB, **question: Json) -> dict[str, Json]:
    return offload.reply(of, {"ask": kind, **question}, host, settings(front))


def begin(front: Front, size: int = 7, host: Host = WEB, of: Step = MOVE) -> dict[str, Json]:
    return ask(front, "offload_begin", of, host, item=ITEM, size=size)


def place(front: Front, host: str = "web-1", **changed: Json) -> dict[str, Json]:
    key = f"maintenancebot/{host}/{ITEM}"
    return {"bucket": BUCKET, "key": key, "endpoint": front.address, "size": 7, "sha256": SHA, **changed}


def store(front: Front, host: str = "web-1", item: str = ITEM) -> None:
    front.client.put_object(Bucket=BUCKET, Key=f"maintenancebot/{host}/{item}", Body=b"content")


def test_the_actors_of_the_trash_and_of_cleanup_answer() -> None:
    assert isinstance(trash, Replies)
    assert isinstance(logs, Replies)


def test_the_key_is_made_of_prefix_host_and_item(front: Front) -> None:
    begun = begin(front)
    signed = ask(front, "offload_part", upload=begun["upload"], number=1, sha256=SHA, plain=False)
    assert signed["url"].startswith(f"{front.address}/{BUCKET}/maintenancebot/web-1/{ITEM}?")
    assert set(signed["headers"]) == {"If-None-Match", "x-amz-checksum-sha256"}
    offload.give_up(WEB)


@pytest.mark.parametrize("kind", ["offload_part", "offload_complete", "offload_read", "offload_abort"])
@pytest.mark.parametrize(("host", "of"), [(DB, MOVE), (WEB, step("trash.move", OTHER)), (WEB, None)])
def test_nobody_goes_on_with_the_upload_of_another(front: Front, kind: str, host: Host, of: Step | None) -> None:
    name = begin(front)["upload"] if of else "0" * 32
    more = {"number": 1, "sha256": SHA, "plain": False, "etags": [], "sent": True}
    assert ask(front, kind, of or MOVE, host, upload=name, **more)["refused"] == "not_allowed"
    offload.give_up(WEB)


@pytest.mark.parametrize("kind", ["offload_get", "offload_delete"])
@pytest.mark.parametrize(
    "lie",
    [
        {"key": f"maintenancebot/db-1/{ITEM}"},
        {"key": f"maintenancebot/web-1/../db-1/{ITEM}"},
        {"key": f"maintenancebot/web-1/{OTHER}"},
        {"bucket": "the-backups"},
        {"endpoint": "http://192.0.2.9"},
    ],
)
def test_a_host_that_lies_reaches_nothing_of_others(front: Front, kind: str, lie: dict[str, str]) -> None:
    store(front, "db-1")
    store(front, "web-1")
    of = step("trash.restore" if kind == "offload_get" else "trash.purge", ITEM)
    assert ask(front, kind, of, item=ITEM, place=place(front, **lie))["refused"] == "not_allowed"
    assert len(front.objects()) == 2


@pytest.mark.parametrize("item", [OTHER, "../db-1/x", "", f"{ITEM}/", f"{ITEM}\n", 7, None])
def test_a_step_is_about_its_own_item_only(front: Front, item: Json) -> None:
    store(front, item=OTHER)
    question = {"item": item, "place": place(front, key=f"maintenancebot/web-1/{item}")}
    assert ask(front, "offload_get", step("trash.restore", ITEM), **question)["refused"] == "not_allowed"


@pytest.mark.parametrize(
    ("kind", "op"),
    [
        ("offload_get", "trash.purge"),
        ("offload_delete", "trash.move"),
        ("offload_begin", "trash.restore"),
        ("offload_begin", "patches.upgrade"),
        ("anything", "trash.move"),
    ],
)
def test_a_step_asks_for_what_it_does_only(front: Front, kind: str, op: str) -> None:
    assert ask(front, kind, step(op, ITEM), item=ITEM, size=7, place=place(front))["refused"] == "not_allowed"


@pytest.mark.parametrize(
    "question",
    [
        {"ask": "offload_begin"},
        {"ask": "offload_begin", "item": ITEM, "size": "many"},
        {"ask": "offload_begin", "item": ITEM, "size": []},
        {"ask": ["offload_begin"]},
        {},
    ],
)
def test_odd_questions_are_refused(front: Front, question: dict[str, Json]) -> None:
    assert offload.reply(MOVE, question, WEB, settings(front))["refused"] in ("garbled", "not_allowed")


@pytest.mark.parametrize("size", [-1, 6 * 2**40])
def test_sizes_that_no_object_has_are_refused(front: Front, size: int) -> None:
    assert begin(front, size)["refused"] == "over_cap"


def test_no_more_is_stored_than_the_plan_lists(front: Front) -> None:
    assert begin(front, 50 * MIB, of=step("trash.relocate", ITEM, size=MIB))["refused"] == "over_cap"
    assert "upload" in begin(front, MIB, of=step("trash.relocate", ITEM, size=MIB))
    offload.give_up(WEB)


@pytest.mark.parametrize("size", [0, 1, uploads.PART_BYTES, uploads.PART_BYTES + 1, 2**40, uploads.MOST_BYTES])
def test_parts_fit_the_limits_of_s3(front: Front, size: int) -> None:
    begun = begin(front, size)
    assert 1 <= begun["parts"] <= 10_000
    assert (begun["parts"] - 1) * begun["part_size"] <= size <= begun["parts"] * begun["part_size"]
    assert begun["part_size"] >= 5 * MIB
    offload.give_up(WEB)


def test_what_was_not_ended_is_dropped_with_the_connection_or_by_the_next(front: Front) -> None:
    begin(front, 40 * MIB)
    begin(front, 40 * MIB)
    assert len(front.unfinished()) == 1
    begin(front, 40 * MIB, DB)
    trash.give_up(WEB)
    assert front.unfinished() == [f"maintenancebot/db-1/{ITEM}"]
    logs.give_up(DB)
    assert front.unfinished() == []


def test_an_object_is_deleted_when_it_is_the_recorded_one(front: Front) -> None:
    store(front)
    of = step("trash.purge", ITEM)
    for other in ({"size": 8}, {"etag": '"00"'}):
        assert ask(front, "offload_delete", of, item=ITEM, place=place(front, **other))["refused"] == "changed_since"
    assert len(front.objects()) == 1
    assert ask(front, "offload_delete", of, item=ITEM, place=place(front)) == {"gone": True}
    assert front.objects() == {}
    assert ask(front, "offload_delete", of, item=ITEM, place=place(front)) == {"gone": True}


def test_deleted_is_what_is_seen_to_be_gone(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    store(front)
    monkeypatch.setattr(object_store_client.ObjectStore, "delete", lambda self, key: None)
    found = ask(front, "offload_delete", step("trash.purge", ITEM), item=ITEM, place=place(front))
    assert found["refused"] == "offload_failed"


@pytest.mark.parametrize("fault", ["403", "500", "hang", "garbage"])
def test_a_store_that_does_not_tell_has_not_deleted_it(front: Front, fault: str) -> None:
    store(front)
    front.plan["HEAD"] = ["", *[fault] * 9]
    found = ask(front, "offload_delete", step("trash.purge", ITEM), item=ITEM, place=place(front))
    assert found["refused"] == "offload_failed"


def test_an_object_that_is_gone_cannot_be_fetched(front: Front) -> None:
    found = ask(front, "offload_get", step("trash.restore", ITEM), item=ITEM, place=place(front))
    assert found == {"refused": "offload_failed", "detail": "the object store does not have it any more"}


def test_without_a_store_nothing_is_asked(front: Front) -> None:
    bare = Settings.model_validate(
        {"tasks": [{"name": "c", "type": "monitor", "check": "certificate_expiry_days > 30"}]}
    )
    found = offload.reply(MOVE, {"ask": "offload_begin", "item": ITEM, "size": 7}, WEB, bare)
    assert found["refused"] == "not_configured"
    assert front.seen == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"profile": "nobody"}, "the profile is not in the AWS configuration"),
        ({"endpoint": "http://127.0.0.1:9"}, "EndpointConnection"),
    ],
)
def test_what_is_wrong_with_the_store_is_said_shortly(front: Front, changed: dict[str, str], words: str) -> None:
    found = offload.reply(MOVE, {"ask": "offload_begin", "item": ITEM, "size": 7}, WEB, settings(front, **changed))
    assert found["refused"] == "offload_failed"
    assert words in found["detail"]


def test_a_bucket_that_is_missing_is_said(front: Front) -> None:
    asked = {"ask": "offload_begin", "item": ITEM, "size": 40 * MIB}
    found = offload.reply(MOVE, asked, WEB, settings(front, bucket="no-such-bucket"))
    assert found == {"refused": "offload_failed", "detail": "beginning the upload: there is no such bucket"}


def test_a_controller_without_credentials_says_so(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    aws.forget()
    found = begin(front)
    aws.forget()
    assert found["detail"] == "looking at the object: the controller has no credentials for it"


def test_words_of_the_store_that_quote_the_key_are_not_passed_on(front: Front) -> None:
    store(front)
    for fault in ("403", "500", "garbage"):
        front.plan["HEAD"] = [fault] * 9
        found = begin(front)
        assert found["refused"] == "offload_failed"
        assert not any(secret in found["detail"] for secret in (KEY_ID, SECRET, "Signature", "http"))
