"""The object store's side of the trash: answers what a host asks while it sends, fetches or forgets an item.

A host names an item of its own, never a bucket or a key. Addresses go to the host alone, and are in no message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from maintenancebot.actions import uploads
from maintenancebot.actions.object_keys import Answer, Asked, No, Question, told
from maintenancebot.actions.uploads import give_up
from maintenancebot.errors import RemoteError
from maintenancebot.model import Host, Reason, Step
from maintenancebot.remote.object_store import Stored
from maintenancebot.settings import Settings

__all__ = ["give_up", "reply"]

SENDING = ("trash.move", "trash.relocate", "logs.compress")
FETCHING = ("trash.restore",)
DELETING = ("trash.purge", "trash.restore")
"""A restore ends with the object as well: its bytes are back, and its record goes."""


def reply(step: Step, question: Question, host: Host, settings: Settings) -> Answer:
    """The answer to one question; one with `refused` and `detail` says no. Never raises for what is asked."""
    ops, answer = QUESTIONS.get(str(question.get("ask")), ((), None))
    place = settings.deletion.trash.offload
    if answer is None or step.op not in ops:
        return _refusal(Reason.NOT_ALLOWED, "this step may not ask that")
    if place is None:
        return _refusal(Reason.NOT_CONFIGURED, "no object store is configured: deletion.trash.offload")
    try:
        return answer(Asked(question, step, host, place))
    except (No, RemoteError) as error:
        return _refusal(error.reason, str(error))
    except (KeyError, TypeError, ValueError):
        return _refusal(Reason.GARBLED, "an odd question")


def _get(asked: Asked) -> Answer:
    key = _recorded_key(asked)
    found = asked.store.look(key)
    if found is None:
        raise No(Reason.OFFLOAD_FAILED, "the object store does not have it any more")
    _must_be_the_same(asked, found, ("size",))
    return told(asked.store.sign_get(key))


def _delete(asked: Asked) -> Answer:
    key, store = _recorded_key(asked), asked.store
    found = store.look(key)
    if found is not None:
        _must_be_the_same(asked, found, ("size", "etag"))
        store.delete(key)
        if store.look(key) is not None:
            raise No(Reason.OFFLOAD_FAILED, "the store said that it was deleted, and still has it")
    return {"gone": True}


def _recorded_key(asked: Asked) -> str:
    """The item's key, if its record names the same place as the configuration does now."""
    recorded, place = asked.question["place"], asked.place
    wanted = {"bucket": place.bucket, "key": asked.key, "endpoint": place.endpoint or ""}
    for name, value in wanted.items():
        if recorded[name] != value:
            raise No(Reason.NOT_ALLOWED, f"its record names another {name} than deletion.trash.offload leads to")
    return asked.key


def _must_be_the_same(asked: Asked, found: Stored, names: tuple[str, ...]) -> None:
    recorded = asked.question["place"]
    if any(recorded.get(name) not in (None, getattr(found, name)) for name in names):
        raise No(Reason.CHANGED_SINCE, "the object is not the one that was stored")


def _refusal(reason: Reason, detail: str) -> Answer:
    return {"refused": reason.value, "detail": detail}


QUESTIONS: Mapping[str, tuple[tuple[str, ...], Callable[[Asked], Answer] | None]] = {
    "offload_begin": (SENDING, uploads.begin),
    "offload_part": (SENDING, uploads.part),
    "offload_complete": (SENDING, uploads.complete),
    "offload_read": (SENDING, uploads.read),
    "offload_abort": (SENDING, uploads.abort),
    "offload_get": (FETCHING, _get),
    "offload_delete": (DELETING, _delete),
}
"""What a host may ask, and in which steps."""
