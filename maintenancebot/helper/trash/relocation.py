"""Step `trash.relocate`: items that are held already get another form or place; and how a relocation is measured."""

import os

from ..results import outcome
from . import store
from .relocate import free_bytes
from .relocate import relocate as into_place
from .steps import each


def relocate(step, out):
    """Step `trash.relocate`: each change names an `item` as it is held, and `into`."""
    return each(step, out, _change)


def _change(change, args, out):
    wanted = change["object"]
    item = store.find(wanted["item"])
    origin = os.dup(item.store.fd)
    try:
        item.must_be(wanted)
        free = free_bytes(origin)
        item = into_place(item, wanted["into"], args, out)
        return outcome(change["id"], "done", "verified", **measured(item, origin, free))
    finally:
        os.close(origin)
        item.close()
        item.store.close()


def measured(item, origin, free):
    """The figures of a relocation; `origin` is a descriptor on the file system that it was for."""
    here = os.fstat(item.store.fd).st_dev == os.fstat(origin).st_dev
    held = item.held()
    return {
        "freed_now": free_bytes(origin) - free,
        "freed_at_purge": item.stored() if here else 0,
        "trash_item": item.id,
        "stored": item.record["offload"]["size"] if held is None else held.st_size,
    }
