"""Whatever stands in a template, it is filled in or refused in words, and it knows nothing but its host."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from maintenancebot.settings import templates
from maintenancebot.settings.refused import RefusedError
from tests.unit.settings.baselines import WEB

TOKENS = (
    *(
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        " host",
        ".name",
        " labels",
        "['x']",
        "(",
        ")",
        "1",
        "9",
        "/0",
        "|",
        "~",
        "-",
    ),
    *(" for ", " in ", " if ", " endif ", " endfor ", "raw ", "endraw ", " set x = ", "upper", "default(1)", "%s", "'"),
    *(" macro f() ", " endmacro ", " f()", " import ", " range(9)", "__class__", "\n", "\r\n", "é", "\x00", '"'),
)
"""What templates are made of."""


@given(st.lists(st.sampled_from(TOKENS), max_size=25).map("".join))
@example("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}")
@example("{{ " + "(" * 3000 + ")" * 3000 + " }}")
@example("{{ 9 // 0 }}")
@example("{{ '%d' % 'x' }}")
@example("{{ host.groups | sort(attribute=1) }}")
def test_a_template_is_filled_in_or_refused(text: str) -> None:
    try:
        assert isinstance(templates.render(text, templates.variables(WEB)), str)
    except RefusedError as refused:
        assert refused.instead, refused.problem  # noqa: PT017  it may be filled in as well


@given(st.text(max_size=60))
@example("{{ host.name }}")
@example("{%- endraw -%}")
@example("\n{{\n")
def test_a_text_taken_literally_comes_back(text: str) -> None:
    try:
        said = templates.literal(text)
    except RefusedError:
        return
    if "\n" not in text and "\r" not in text:
        assert (templates.render(said, templates.variables(WEB)) if templates.is_template(said) else said) == text


@pytest.mark.parametrize(
    "text", ["{{ now() }}", "{{ [1, 2] | random }}", "{{ lipsum() }}", "{{ env }}", "{{ config }}"]
)
def test_neither_time_nor_chance_nor_environment_can_be_asked(text: str) -> None:
    with pytest.raises(RefusedError):
        templates.render(text, templates.variables(WEB))


def test_a_line_with_nothing_but_a_tag_leaves_no_line() -> None:
    text = "a\n  {% if host.port == 22 %}\nb\n  {% endif %}\nc\n"
    assert templates.render(text, templates.variables(WEB)) == "a\nb\nc\n"
