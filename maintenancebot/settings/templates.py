"""Templates in baselines: Jinja2 in its sandbox, with a host's own values, where whatever is missing is a fault.

What is rendered depends on the text and the host alone: neither time nor chance nor other files can be asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from maintenancebot.model import Host, Json
from maintenancebot.settings.refused import RefusedError

if TYPE_CHECKING:
    from jinja2 import Environment, Template

MARKS = re.compile(r"\{\{|\{%|\{#")
LITERAL = "write {% raw %}…{% endraw %} around what is meant as it stands, or name a file by `source`"
_LINE_ENDS = re.compile("\r\n|\r|\n")


class Labels(dict[str, Json]):
    """The labels of a host; its name says in a fault what has no such key."""


class Values(dict[str, Json]):
    """The other values of a host."""


def is_template(text: str) -> bool:
    """Whether anything in the text is filled in."""
    return MARKS.search(text) is not None


def check(text: str) -> None:
    """Raises RefusedError, with the line within the text, for what is no template."""
    _compiled(text)


def variables(host: Host) -> dict[str, Json]:
    """What templates may name."""
    values = {"name": host.name, "address": host.address, "port": host.port, "groups": list(host.groups)}
    lackable = {"cloud": host.cloud, "timezone": host.timezone}
    return {
        "host": Values({**values, **{key: value for key, value in lackable.items() if value}}),
        "labels": Labels(host.labels),
    }


def render(text: str, values: Mapping[str, Json]) -> str:
    """The text with the values filled in; raises RefusedError for a value that there is not."""
    from jinja2 import UndefinedError

    template = _compiled(text)
    try:
        rendered = template.render(values)
        rendered.encode("utf-8")  # half of a character, which an escape can make, is no text
        return rendered
    except UndefinedError as error:
        raise RefusedError(f"the template cannot be filled in: {error.message}", _advice(values)) from None
    except RefusedError:
        raise
    except Exception as error:  # what a template reckons with may raise anything
        raise RefusedError(f"the template cannot be filled in: {error}", "look at what it reckons with") from None


def literal(text: str) -> str:
    """A text that is rendered to this one; raises RefusedError for one that cannot be written so."""
    if not is_template(text):
        return text
    if re.search(r"\{%[-+]?\s*endraw", text):
        raise RefusedError("the text holds an end of {% raw %}")
    return f"{{% raw %}}{text}{{% endraw %}}"


def _shown(value: Any) -> Any:
    """What an expression came to, if that is a value; a method or an unread list would be told by its address."""
    from jinja2 import Undefined

    if isinstance(value, str | int | float | list | tuple | dict | Undefined) or value is None:
        return value
    raise RefusedError(
        f"the template cannot be filled in: an expression came to no value, but to a {type(value).__name__}",
        "add `()` after a method, or `| join(…)` after a filter that gives one value after the other",
    )


def _advice(values: Mapping[str, Json]) -> str:
    known = [f"host.{key}" for key in values["host"]] + [f"labels.{key}" for key in values["labels"]]
    return f"this host has {', '.join(known)}; `| default(…)` stands for what a host may lack"


@lru_cache(maxsize=4096)
def _compiled(text: str) -> Template:
    from jinja2 import TemplateSyntaxError

    environment = _environment(_line_end(text))
    try:
        return environment.from_string(text)
    except TemplateSyntaxError as error:
        raise RefusedError(f"line {error.lineno} of the template: {error.message}", LITERAL) from None
    except (RecursionError, SyntaxError, ValueError, OverflowError, MemoryError) as error:
        raise RefusedError(f"the template cannot be read: {error}", LITERAL) from None


def _line_end(text: str) -> str:
    """How the lines of a template end; Jinja makes all ends alike, and a mixture would not come out as written."""
    ends = set(_LINE_ENDS.findall(text))
    if len(ends) > 1:
        raise RefusedError(
            "lines of the template end in different ways", "let all end in the same way, or use `source`"
        )
    return ends.pop() if ends else "\n"


@lru_cache(maxsize=3)
def _environment(line_end: Any) -> Environment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Missing(StrictUndefined):
        """Says what is missing in the words of a baseline."""

        @property
        def _undefined_message(self) -> str:
            if isinstance(self._undefined_obj, Labels):
                return f"the host has no label `{self._undefined_name}`"
            if isinstance(self._undefined_obj, Values):
                return f"there is no `host.{self._undefined_name}`"
            return str(super()._undefined_message)

    class Filling(ImmutableSandboxedEnvironment):
        """A key of ours is a value, also where mappings have a method of that name, such as `items` or `pop`."""

        def getattr(self, obj: Any, attribute: str) -> Any:
            if isinstance(obj, Labels | Values) and attribute in obj:
                return obj[attribute]
            return super().getattr(obj, attribute)

    made = Filling(
        undefined=Missing,
        finalize=_shown,
        newline_sequence=line_end,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # these are no pages
    )
    del made.globals["lipsum"], made.filters["random"]  # chance
    return made
