"""Whatever stands in a template, it is filled in or refused in words, and it knows nothing but its host."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from maintenancebot.model import Host
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


@pytest.mark.parametrize("key", ["items", "keys", "pop", "update"])
def test_a_label_may_be_called_as_a_method_of_mappings(key: str) -> None:
    host = Host("web-1", "10.0.0.1", labels=((key, "fra"),))
    text = "{{ labels.KEY }} {{ labels['KEY'] }}".replace("KEY", key)
    assert templates.render(text, templates.variables(host)) == "fra fra"


def test_all_labels_can_be_gone_through() -> None:
    text = "{% for key, value in labels.items() %}{{ key }}={{ value }}{% endfor %}"
    assert templates.render(text, templates.variables(WEB)) == "rack=a1"


@pytest.mark.parametrize(
    "text", ["{{ host.name.upper }}", "{{ host.groups | map('upper') }}", "{{ labels.items }}", "{{ cycler }}"]
)
def test_what_is_no_value_is_refused_and_not_told_by_its_address(text: str) -> None:
    with pytest.raises(RefusedError, match="an expression came to no value, but to a ") as caught:
        templates.render(text, templates.variables(WEB))
    assert "add `()` after a method" in caught.value.instead


def test_half_a_character_is_refused() -> None:
    with pytest.raises(RefusedError, match="the template cannot be filled in: 'utf-8' codec"):
        templates.render(r"{{ '\ud800' }}", templates.variables(WEB))


@pytest.mark.parametrize("key", ["cloud", "timezone"])
def test_what_the_inventory_does_not_say_of_a_host_is_no_empty_text(key: str) -> None:
    bare = templates.variables(Host("web-1", "10.0.0.1"))
    with pytest.raises(RefusedError, match=f"there is no `host.{key}`"):
        templates.render(f"{{{{ host.{key} }}}}", bare)
    assert templates.render(f"{{{{ host.{key} | default('none') }}}}", bare) == "none"


def test_a_line_with_nothing_but_a_tag_leaves_no_line() -> None:
    text = "a\n  {% if host.port == 22 %}\nb\n  {% endif %}\nc\n"
    assert templates.render(text, templates.variables(WEB)) == "a\nb\nc\n"
