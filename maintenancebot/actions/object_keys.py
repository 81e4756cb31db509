"""Which object of the store a question is about, known without the host's word for bucket or key.

The key is made of the configured prefix, the inventory's name of the host that answers on this connection, and the
item. So no host reaches the objects of another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from maintenancebot.model import Host, Json, Reason, Step
from maintenancebot.remote import object_store
from maintenancebot.remote.object_store import ObjectStore, Signed
from maintenancebot.settings import Offload

ITEM = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{16}")
HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,253}")

Question = Mapping[str, Json]
Answer = dict[str, Json]


class No(Exception):  # noqa: N818  an answer, not an error
    """What is asked is refused."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        super().__init__(detail)


@dataclass(frozen=True)
class Asked:
    """One question with all that is known without the host's word."""

    question: Question
    step: Step
    host: Host
    place: Offload

    @property
    def store(self) -> ObjectStore:
        """The configured store."""
        return object_store.connect(self.place)

    @property
    def key(self) -> str:
        """The key of the item that is asked for; an item that the step is not about is refused."""
        item = str(self.question["item"])
        meant = {change.object["item"] for change in self.step.changes if "item" in change.object}
        if not ITEM.fullmatch(item) or not HOST.fullmatch(self.host.name) or (meant and item not in meant):
            raise No(Reason.NOT_ALLOWED, "the step is not about that item")
        return f"{self.place.prefix}{self.host.name}/{item}"


def told(signed: Signed) -> Answer:
    """A signed address as an answer."""
    return {"url": signed.url, "headers": signed.headers}
