"""Settings from the environment: MAINTENANCEBOT_GUARDS__FLEET_SHARE=0.2 overrides `guards: {fleet_share: …}`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from maintenancebot.errors import ConfigurationError, Fault
from maintenancebot.model import Json
from maintenancebot.settings import faults, yaml_positions
from maintenancebot.settings.places import Document, Loc, Place
from maintenancebot.settings.refused import RefusedError
from maintenancebot.settings.scalars import resolve
from maintenancebot.settings.secrets import VARIABLES
from maintenancebot.settings.sections import Settings

PREFIX = "MAINTENANCEBOT_"
OWN_NAMES = frozenset({"MAINTENANCEBOT_CONFIG", "MAINTENANCEBOT_INVENTORY", "MAINTENANCEBOT_STATE_DIR"}) | VARIABLES
"""Names that are no settings: options of the command line, and secrets."""


def names() -> dict[str, Loc]:
    """Every setting that a variable can override: name of the variable, way to the setting."""
    return {PREFIX + "__".join(str(part).upper() for part in loc): loc for loc in _ways(Settings, ())}


def _ways(model: type[BaseModel], above: Loc) -> Iterator[Loc]:
    for key, field in model.model_fields.items():
        yield (*above, key)
        inner = faults.model_at(model, (key,), {})
        if inner is not None and not _is_list(field.annotation):
            yield from _ways(inner, (*above, key))


def _is_list(annotation: object) -> bool:
    return str(annotation).startswith("tuple")


def apply(document: Document, environ: Mapping[str, str]) -> None:
    """Put the values of all our variables into the document; a misspelt one is a fault."""
    known = names()
    ours = {name: text for name, text in environ.items() if name.upper().startswith(PREFIX) and name not in OWN_NAMES}
    for name, text in sorted(ours.items(), key=lambda item: (item[0].count("__"), item[0])):
        if name in known:
            _override(document, known[name], name, text)
        else:
            document.faults.append(_unknown(name, known))


def _unknown(name: str, known: Mapping[str, Loc]) -> Fault:
    if faults.SECRET_KEY.search(name):
        return Fault(name, 0, 0, "no secret has this name", f"the secrets are {', '.join(sorted(VARIABLES))}")
    return Fault(name, 0, 0, "this variable is not known", faults.suggestion(name, {*known, *OWN_NAMES}))


def _override(document: Document, loc: Loc, name: str, text: str) -> None:
    try:
        value = _value(text, name)
    except ConfigurationError as error:
        document.faults += [Fault(name, 0, 0, fault.problem, fault.instead) for fault in error.faults]
        return
    except RefusedError as refused:
        document.faults.append(Fault(name, 0, 0, refused.problem, refused.instead))
        return
    _put(document, loc, value, Place(name))


def _value(text: str, name: str) -> Json:
    """Lists, mappings and quoted texts as in YAML, else one plain value."""
    if not text.lstrip().startswith(("[", "{", '"', "'")):
        return resolve(text)
    inner = yaml_positions.read_text(f"value: {text}", name)
    if inner.faults:
        raise ConfigurationError(inner.faults)
    return inner.data["value"]


def _put(document: Document, loc: Loc, value: Json, place: Place) -> None:
    section = document.data
    for part in loc[:-1]:
        inner = section.get(str(part))
        if inner is None:
            inner = section[str(part)] = {}
        if not isinstance(inner, dict):
            return  # the file's value is a fault already
        section = inner
    section[str(loc[-1])] = value
    for places in (document.values, document.keys):
        for old in [way for way in places if way[: len(loc)] == loc]:
            del places[old]
        places[loc] = place
    document.doubtful -= {way for way in document.doubtful if way[: len(loc)] == loc}
