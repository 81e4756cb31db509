"""The model's words about a week, and about an alert that a person must see to; without any, the reason why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maintenancebot.llm import checking
from maintenancebot.llm.asking import Asker, Question
from maintenancebot.llm.prompting import DIAGNOSIS, SUMMARY, prompt
from maintenancebot.model import Json, State
from maintenancebot.policy.spending import Silence
from maintenancebot.report.figures import size
from maintenancebot.report.week import FIGURES

SUMMARY_LETTERS, DIAGNOSIS_LETTERS = 1_000, 600
DIAGNOSIS_SECONDS = 20.0
"""Nobody who is needed is told much later for the sake of a sentence."""

_SCHEMA: Mapping[str, Json] = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}
_BYTES = ("freed_now", "freed_at_purge")
_OWN = ("tokens", "dollars")
"""What the model itself used: each answer changes it, and the same facts would never get the same words."""

_SAID: Mapping[str, str] = {
    **FIGURES,
    "hosts_well": "hosts well",
    "hosts_failed": "hosts failed",
    "hosts_unknown": "hosts unknown",
    "freed_now": "freed now",
    "freed_at_purge": "become free at the purge",
}
"""The figures in words that a sentence would use too: a number and what it counts are compared with these."""

_SIZES = frozenset({"bytes", "freed_now", "bytes_a_day"})
_NEAR_DAYS = 90
BEFORE = "the week before"


@dataclass(frozen=True)
class Prose:
    """A text that may stand below the facts; without one, why."""

    text: str
    reason: Silence = Silence.NONE
    detail: str = ""


def word(facts: Mapping[str, Json], asker: Asker | None) -> Prose:
    """What the model says about the facts of a week, as `report.week_json` writes them; never raises, ends in time."""
    state = State(facts["state"])
    return _worded("summary", SUMMARY, evidence(facts), state, SUMMARY_LETTERS, None, asker)


def diagnosis(facts: Mapping[str, Json], asker: Asker | None) -> Prose:
    """What the model says about an alert that is given to a person; never raises, ends within seconds."""
    shown = {"state": State.FAILED.value, **_readable(facts)}
    return _worded("diagnosis", DIAGNOSIS, shown, State.FAILED, DIAGNOSIS_LETTERS, DIAGNOSIS_SECONDS, asker)


def evidence(facts: Mapping[str, Json]) -> dict[str, Json]:
    """What the model is shown of a week: no more than a person would read, in the words in which it may be told."""
    return {
        "week": facts["week"],
        "state": facts["state"],
        "headline": facts["headline"],
        "needs a person": [_line(line) for line in facts["needs_person"]],
        "changed": [_line(line) for line in facts["changed"]],
        "this week": _figures(facts["figures"]),
        BEFORE: _figures(facts["before"]),
        "disks": [_disk(disk) for disk in facts["disks"] if disk["days"] is not None and disk["days"] <= _NEAR_DAYS],
    }


def _readable(value: Json) -> Json:
    """The same with bytes as every report writes them: what has to be computed cannot be told."""
    if isinstance(value, Mapping):
        return {
            name: size(one) if name in _SIZES and isinstance(one, int) else _readable(one)
            for name, one in value.items()
        }
    return [_readable(one) for one in value] if isinstance(value, list | tuple) else value


def _worded(
    purpose: str,
    name: str,
    shown: Mapping[str, Json],
    state: State,
    letters: int,
    seconds: float | None,
    asker: Asker | None,
) -> Prose:
    if asker is None:
        return Prose("", Silence.NOT_CONFIGURED)
    known = checking.facts_of(shown, state, BEFORE)

    def faults(value: Mapping[str, Json]) -> Sequence[str]:
        text = value.get("text")
        return checking.faults(text, known, letters) if isinstance(text, str) else ["`text` is missing"]

    answer = asker.ask(Question(purpose, prompt(name), shown, _SCHEMA, faults, seconds))
    return Prose(" ".join(str(answer.value.get("text", "")).split()), answer.reason, answer.detail)


def _line(line: Mapping[str, Json]) -> dict[str, Json]:
    names = ("host", "subject", "state", "reason", "detail", "action")
    told: dict[str, Json] = {name: line[name] for name in names if line[name]}
    if line["since"]:
        told["since"] = str(line["since"])[:10]
    if line["weeks"]:
        told["for how long"] = f"{line['weeks']} weeks"
    return told


def _figures(figures: Mapping[str, Json]) -> list[str]:
    """`12 packages upgraded`, in one order, so that the same figures are the same evidence; what is 0 is not told."""
    rows = [(name, figures[name]) for name in FIGURES if figures.get(name) and name not in _OWN]
    return [f"{size(value) if name in _BYTES else value} {_SAID.get(name, name)}" for name, value in rows]


def _disk(disk: Mapping[str, Json]) -> dict[str, Json]:
    span = ""
    if disk["soonest"] is not None and disk["latest"] is not None:
        span = f", at the soonest {round(disk['soonest'])} days, at the latest {round(disk['latest'])} days"
    return {
        "host": disk["host"],
        "mount": disk["mount"],
        "used": f"{round(disk['percent'])} %",
        "full in": f"{round(disk['days'])} days{span}",
    }
