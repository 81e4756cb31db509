"""Makes the asker of the model, where one is configured and its key was given."""

from __future__ import annotations

import time
from dataclasses import replace

from maintenancebot.app.context import Context, now
from maintenancebot.llm import wording
from maintenancebot.llm.asking import Asker
from maintenancebot.llm.client import Client
from maintenancebot.llm.ranking import ModelRanking
from maintenancebot.store import Store
from maintenancebot.store.episodes import Telling


def asker(context: Context, store: Store) -> Asker | None:
    """Who asks the model; None without the section `llm` or the secret `llm_api_key`: everything works without."""
    rules, key = context.settings.llm, context.secrets.llm_api_key
    if rules is None or not key:
        return None
    return Asker(rules, Client(rules, key), store.spending, context.secrets.values, now, time.sleep)


def ranking(context: Context, store: Store) -> ModelRanking | None:
    """Who orders the ways to free space, where `llm.rank` lets the model do it."""
    asks = asker(context, store) if context.settings.llm is not None and context.settings.llm.rank else None
    return ModelRanking(asks) if asks is not None else None


def diagnosed(context: Context, store: Store, telling: Telling) -> Telling:
    """What a person is told, with the model's words about it where there are any; seconds later at the most."""
    prose = wording.diagnosis(telling.body, asker(context, store))
    return replace(telling, body={**telling.body, "diagnosis": prose.text}) if prose.text else telling
