"""Writes a baseline that loads again, for a person to trim: what was found on a host, one item a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from maintenancebot.model import Json
from maintenancebot.settings import faults, templates
from maintenancebot.settings.baseline_file import SECTIONS
from maintenancebot.settings.baseline_kinds import Declared
from maintenancebot.settings.baseline_values import FILLED_IN
from maintenancebot.settings.declared import ItemKind
from maintenancebot.settings.places import Document
from maintenancebot.settings.refused import RefusedError


@dataclass(frozen=True)
class Captured:
    """One thing as a host has it, in the words of `Item.wanted`."""

    kind: ItemKind
    name: str
    wanted: Mapping[str, Json]


def write(host: str, captured: Sequence[Captured], remarks: Iterable[str]) -> str:
    """The text of a baseline for this host; what no baseline can say stands in a comment."""
    lines = [*(f"# {ascii(remark)[1:-1]}" for remark in remarks), f"hosts: {_flow([host])}"]
    for section, model in SECTIONS.items():
        entries = [_entry(model, one) for one in captured if one.kind is model.KIND]
        sound = [entry for entry in entries if not entry.startswith("#")]
        lines += [f"{section}:"] if sound else []
        lines += [f"  {entry}" for entry in entries]
    return "\n".join(lines) + "\n"


def _entry(model: type[Declared], captured: Captured) -> str:
    values = {model.NAMED: captured.name, **_in_order(captured.wanted, model.COMPARED)}
    document = Document(captured.name, values)
    if faults.check(model, document, FILLED_IN) is None:
        return _left_out(captured, document.faults[0].problem)
    try:
        return f"- {_flow(_literal(values))}"
    except RefusedError as refused:
        return _left_out(captured, refused.problem)


def _in_order(wanted: Mapping[str, Json], keys: Sequence[str]) -> dict[str, Json]:
    """The values to be written; that a thing is there goes without saying."""
    said = {key: wanted[key] for key in keys if key in wanted}
    return {key: value for key, value in said.items() if key != "state" or value == "absent"}


def _literal(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {key: _literal(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_literal(one) for one in value]
    return templates.literal(value) if isinstance(value, str) else value


def _left_out(captured: Captured, why: str) -> str:
    what = f"{captured.kind.value}:{captured.name}: {why}"
    return f"# left out: {ascii(what)[1:-1]}"


def _flow(value: Json) -> str:
    """YAML on one line, texts in quotes, so that no reader takes one for anything else."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
