"""Every command, option, state and reason is documented, and nothing is documented that does not exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from maintenancebot.cli.main import commands
from maintenancebot.model import Action, Reason, Risk, State, Undo
from maintenancebot.report.explain import SENTENCES

DOCS = Path(__file__).parents[2] / "docs"
HELPER = DOCS.parent / "maintenancebot" / "helper"
COMMANDS_PAGE = (DOCS / "commands.md").read_text("utf-8")
GLOSSARY = (DOCS / "glossary.md").read_text("utf-8")


def tree(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command by the words that call it."""
    yield " ".join(path) or "maintenancebot", command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from tree(below, (*path, name))


TREE = dict(tree(commands))


def sections() -> dict[str, str]:
    parts = re.split(r"^## (.*)$", COMMANDS_PAGE, flags=re.MULTILINE)
    return {heading.strip("`"): text for heading, text in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.mark.parametrize("words", TREE)
def test_every_command_has_its_section_with_exactly_its_options(words: str) -> None:
    options = [one for one in TREE[words].params if isinstance(one, click.Option)]
    existing = {max(one.opts, key=len) for one in options}
    lines = [line for line in sections()[words].splitlines() if line.startswith("- ")]
    documented = {name for line in lines for name in re.findall(r"`(--[a-z-]+)`", line.split(":")[0])}
    assert documented == existing


def test_no_section_is_about_a_command_that_does_not_exist() -> None:
    assert set(sections()) - {"JSON"} == set(TREE)


@pytest.mark.parametrize("words", TREE)
def test_every_command_and_option_explains_itself(words: str) -> None:
    command = TREE[words]
    assert command.help
    assert [one.name for one in command.params if isinstance(one, click.Option) and not one.help] == []


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason])
def test_every_reason_stands_in_the_glossary_with_its_sentence(reason: Reason) -> None:
    assert f"| `{reason}` | {SENTENCES[reason]} |" in GLOSSARY


@pytest.mark.parametrize("word", [*State, *Action, *Risk, *Undo])
def test_every_state_action_risk_and_undo_stands_in_the_glossary(word: str) -> None:
    assert f"| `{word}` |" in GLOSSARY


def test_the_map_of_the_helper_names_every_module_once_in_the_row_of_its_folder() -> None:
    text = (DOCS / "architecture.md").read_text("utf-8")
    section = text.split("## The helper's modules\n", 1)[1].split("\n## ", 1)[0]
    rows = dict(re.findall(r"^\| `([a-z]+)/` \| (.*) \|$", section, re.M))
    named = {folder: sorted(re.findall(r"`([a-z_0-9]+)`", row)) for folder, row in rows.items()}
    modules: dict[str, list[str]] = {}
    for path in sorted(HELPER.rglob("*.py")):
        if path.stem != "__init__":
            modules.setdefault(path.parent.name, []).append(path.stem)
    assert named == modules
