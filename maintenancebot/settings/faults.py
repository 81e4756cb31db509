"""Checks plain data against a model and turns each objection into a fault with its place and what to write instead."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from maintenancebot.errors import Fault
from maintenancebot.model import Json, TaskType
from maintenancebot.settings.places import Document, Loc

Model = TypeVar("Model", bound=BaseModel)

SECRET_KEY = re.compile(
    r"(?i)(^|_|-)(passwords?|passwd|passphrase|token|secret|api_?key|private_?key|credentials?)($|_|-)"
)
WHERE_SECRETS_GO = (
    "secrets come from the environment or from files in $CREDENTIALS_DIRECTORY (systemd LoadCredential); remove the key"
)


def check(model: type[Model], document: Document, context: Mapping[str, Any] | None = None) -> Model | None:
    """The validated model, or None after adding the faults to the document; `context` is for its validators.

    Validated as JSON, because strict checks then still read lists as tuples and words as enums.
    """
    try:
        return model.model_validate_json(json.dumps(document.data), strict=True, context=context)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            loc = _plain_loc(detail["loc"])
            if not _is_echo(detail, loc, document):
                document.faults.append(_fault(detail, loc, model, document))
        return None


def _is_echo(detail: ErrorDetails, loc: Loc, document: Document) -> bool:
    """Whether the error only follows from a fault that is known already."""
    if detail["type"] == "extra_forbidden":
        return document.is_doubtful(loc[:-1])  # a doubtful value says nothing about its key
    if detail["type"] == "too_short" and detail["input"]:
        return True  # pydantic counts only the sound entries
    return document.is_doubtful(loc)


def sort_faults(faults: Iterable[Fault]) -> list[Fault]:
    """The faults in the order of the file, each once."""
    unique = {(fault.file, fault.line, fault.column, fault.problem): fault for fault in faults}
    return [unique[key] for key in sorted(unique)]


def suggestion(word: str, known: Iterable[str]) -> str:
    """What was probably meant, as advice."""
    choices = sorted(known)
    near = get_close_matches(word, choices, n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else f"write one of: {', '.join(choices)}"


def _plain_loc(loc: Loc) -> Loc:
    """The way in the document: without the name of the task's type, which pydantic puts after the task's index."""
    return (*loc[:2], *loc[3:]) if len(loc) > 2 and loc[0] == "tasks" else loc


def model_at(model: type[BaseModel], loc: Loc, data: Json) -> type[BaseModel] | None:
    """The model that a way in the document leads to; None when that is no section."""
    annotation: Any = model
    for part in loc:
        section = _section(annotation, data)
        if section is not None and isinstance(part, str) and part in section.model_fields:
            annotation = section.model_fields[part].annotation
        data = _step(data, part)
    return _section(annotation, data)


def _step(data: Json, part: str | int) -> Json:
    if isinstance(data, Mapping):
        return data.get(part)
    return data[part] if isinstance(data, list) and isinstance(part, int) and part < len(data) else None


def _section(annotation: Any, data: Json) -> type[BaseModel] | None:
    """The model within an annotation; of several the one whose `type` the data says."""
    found = list(_models(annotation))
    if len(found) > 1:
        kind = data.get("type") if isinstance(data, Mapping) else None
        found = [one for one in found if kind in get_args(one.model_fields["type"].annotation)]
    return found[0] if found else None


def _models(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _fault(detail: ErrorDetails, loc: Loc, model: type[BaseModel], document: Document) -> Fault:
    if detail["type"] == "extra_forbidden":
        return _unknown_key(loc, model, document)
    where = document.place(loc)
    name = _spoken(loc)
    if detail["type"] == "missing":
        return document.place(loc[:-1]).fault(f"`{loc[-1]}` is missing{_inside(loc)}", f"add `{loc[-1]}: …`")
    problem, instead = _words(detail)
    return where.fault(f"{name}: {problem}" if name else problem, instead)


def _unknown_key(loc: Loc, model: type[BaseModel], document: Document) -> Fault:
    key, where = str(loc[-1]), document.key_place(loc)
    if SECRET_KEY.search(key):
        return where.fault(f"`{key}` looks like a secret, and secrets do not belong into this file", WHERE_SECRETS_GO)
    section = model_at(model, loc[:-1], document.data)
    later: Mapping[str, str] = getattr(section, "LATER", {})
    if key in later:
        return where.fault(f"`{key}` is not available yet", later[key])
    return where.fault(f"`{key}` is not known{_inside(loc)}", suggestion(key, section.model_fields if section else ()))


def _inside(loc: Loc) -> str:
    return f" in `{_spoken(loc[:-1])}`" if len(loc) > 1 else ""


def _spoken(loc: Loc) -> str:
    """A way as people write it: tasks[0].patterns[1].path."""
    text = ""
    for part in loc:
        if part == "[key]":  # pydantic's word for a key itself
            continue
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _words(detail: ErrorDetails) -> tuple[str, str]:
    context, value, kind = detail.get("ctx", {}), detail["input"], detail["type"]
    if kind == "refused":
        return context["problem"], context["instead"]
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        return _wrong_type(context, value)
    if value is None:
        return "there is no value", "write one, or remove the key"
    if kind in _WRONG_KIND:
        return f"{_shown(value)} is not {_WRONG_KIND[kind]}", _kind_advice(kind, value)
    if kind in ("enum", "literal_error"):
        return f"{_shown(value)} is not one of the choices", f"write {context['expected']}"
    if kind in _LIMITS:
        key, words = _LIMITS[kind]
        return f"{_shown(value)} is out of range", f"write a number {words} {context[key]:g}"
    if kind == "too_short":
        what = "mapping" if isinstance(value, Mapping) else "list"
        return f"the {what} is empty", "write at least one entry, or remove the key"
    if kind == "string_too_long":
        return f"{_shown(value)}… is too long", f"write at most {context['max_length']} characters"
    if kind == "string_pattern_mismatch":
        return f"{_shown(value)} is not a name", "write letters, digits, and . _ - after the first, at most 64"
    return detail["msg"], ""


_WRONG_KIND = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "path_type": "a path",
}
_LIMITS = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "of at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "of at most"),
}


def _wrong_type(context: Mapping[str, Any], value: Json) -> tuple[str, str]:
    known = [kind.value for kind in TaskType]
    if not isinstance(value, Mapping):
        return f"{_shown(value)} is not a task", "write a mapping with `name` and `type`"
    if "type" not in value:
        return "`type` is missing", f"add `type: …`, one of: {', '.join(known)}"
    return f"{_shown(value['type'])} is not a type of task", suggestion(str(value["type"]), known)


def _kind_advice(kind: str, value: Json) -> str:
    if kind in ("string_type", "path_type") and isinstance(value, bool | int | float):
        return f'write "{_shown(value)}" in quotes'
    if kind in ("int_type", "float_type") and isinstance(value, str):
        return "write a number without quotes"
    if kind == "bool_type":
        return "write true or false, without quotes"
    if kind == "tuple_type":
        return f"write [{json.dumps(value, ensure_ascii=False)}]" if isinstance(value, str | int) else "write a list"
    return "write keys and values below it" if "mapping" in _WRONG_KIND[kind] else ""


def _shown(value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping | list):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    text = value if isinstance(value, str) else str(value)
    return repr(text[:60]) if isinstance(value, str) else text[:60]
