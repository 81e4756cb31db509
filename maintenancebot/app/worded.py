"""Prose for facts, within a limit of time: whoever waits for it goes on without it."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from maintenancebot.app.context import Context
from maintenancebot.model import Json, Reason
from maintenancebot.store import Store

if TYPE_CHECKING:
    from maintenancebot.llm.wording import Prose

SECONDS = 150.0
"""The longest that a summary waits for its prose: a call, and the repair of its answer."""

_log = logging.getLogger(__name__)


def worded(context: Context, store: Store, facts: Mapping[str, Json]) -> dict[str, Json]:
    """What a model says of facts, as `text`, or why it says nothing, as `reason` and `detail`.

    Whatever goes wrong with it, here or there, there is an answer in time.
    """
    found: list[dict[str, Json]] = []
    surroundings = contextvars.copy_context()
    work = (_ask, context, store, facts, found)
    thread = threading.Thread(target=surroundings.run, args=work, name="prose", daemon=True)
    thread.start()
    thread.join(SECONDS)
    if found:
        return found[0]
    _log.warning("the prose is too late", extra={"action": "prose_late"})
    return _nothing(Reason.TIMEOUT, f"the model said nothing within {SECONDS:.0f} s")


def _ask(context: Context, store: Store, facts: Mapping[str, Json], found: list[dict[str, Json]]) -> None:
    try:
        prose = _model(context, store)(facts)
        found.append({"text": prose.text, "reason": str(prose.reason), "detail": prose.detail})
    except Exception as error:
        _log.exception("a fault of ours", extra={"action": "fault", "part": "prose"})
        found.append(_nothing(Reason.INTERNAL_ERROR, type(error).__name__))


def _model(context: Context, store: Store) -> Callable[[Mapping[str, Json]], Prose]:
    """Who words facts; where no model is configured, that is what it says."""
    from maintenancebot.app.llm import asker
    from maintenancebot.llm.wording import word

    return partial(word, asker=asker(context, store))


def _nothing(reason: Reason, detail: str) -> dict[str, Json]:
    return {"text": "", "reason": reason.value, "detail": detail}
