"""What a plain (unquoted) YAML scalar means, where all readers of YAML agree; a surprise where they do not."""

from __future__ import annotations

import re

from maintenancebot.model import Json
from maintenancebot.settings.refused import RefusedError

_WORDS: dict[str, Json] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")

_SURPRISES = (
    (re.compile(r"(?i)yes|on"), "read as true by some readers of YAML and as text by others", "true"),
    (re.compile(r"(?i)no|off"), "read as false by some readers of YAML and as text by others", "false"),
    (re.compile(r"[-+]?0[0-9_]+"), "read as an octal number by some readers of YAML", "a number without the leading 0"),
    (re.compile(r"(?i)[-+]?0[xbo][0-9a-f_]+"), "read as a number by some readers of YAML", "a decimal number"),
    (re.compile(r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?"), "read as a number to the base 60 by some readers", ""),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?"), "read as a date by some readers of YAML", ""),
    (re.compile(r"[-+]?[0-9][0-9]*_[0-9_]*"), "read as a number by some readers of YAML", "the number without _"),
    (re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+"), "read as a number by some readers of YAML", "the number written out"),
    (re.compile(r"(?i)[-+]?\.inf|\.nan"), "not a number that can be used", ""),
    (re.compile(r"[-+]?[0-9]{19,}"), "a very long number", "a smaller number"),
)


def _surprise(text: str, meaning: str, other: str) -> RefusedError:
    shown = text[:60]
    quoted = f'write "{shown}" in quotes for the text'
    return RefusedError(f"`{shown}` is {meaning}", quoted + (f", or {other}" if other else ""))


def resolve(text: str) -> Json:
    """The value of a plain scalar: null, truth value, number or text; raises RefusedError where readers disagree."""
    if text in _WORDS:
        return _WORDS[text]
    for form, meaning, other in _SURPRISES:
        if form.fullmatch(text):
            raise _surprise(text, meaning, other)
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
