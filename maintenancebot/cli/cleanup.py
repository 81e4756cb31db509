"""`cleanup explain`: why a path of a host would go or stay, rule by rule."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from maintenancebot.cli.options import Options

if TYPE_CHECKING:
    from maintenancebot.app import ExplainResult
    from maintenancebot.model import Json

PASSES = {True: "yes", False: "no", None: "cannot tell"}


@click.group("cleanup")
def cleanup_group() -> None:
    """Look into what cleanup tasks do."""


@cleanup_group.command("explain")
@click.argument("host", metavar="HOST")
@click.argument("path", metavar="PATH")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def explain_command(options: Options, host: str, path: str, as_json: bool) -> None:
    """Say why PATH would or would not go, rule by rule, for each cleanup task of HOST; nothing is changed."""
    from maintenancebot import app
    from maintenancebot.cli.output import write, write_json
    from maintenancebot.cli.progress import make_progress
    from maintenancebot.model import State
    from maintenancebot.report.exit_code import DONE, FAILED

    name = os.fsencode(path).decode("utf-8", "surrogateescape")  # the same text whatever the locale is
    result = app.explain(options, host, name, make_progress(options))
    if as_json:
        write_json(_to_json(result))
    else:
        write(_to_text(result))
    raise click.exceptions.Exit(DONE if result.state is State.DONE else FAILED)


def _to_text(result: ExplainResult) -> str:
    """For each pattern a table of the rules that were asked; one sentence at the end."""
    from maintenancebot.report.clean import clean
    from maintenancebot.report.text import aligned

    lines = []
    for one in result.patterns:
        lines.append(clean(f"{one.task}, {one.pattern}"))
        asked = [rule for rule in one.rules if rule.passes is not None or rule.reason]
        rows = [("", rule.rule, PASSES[rule.passes], rule.reason or "-", clean(rule.detail)) for rule in asked]
        lines += [*aligned([("", "RULE", "PASSES", "REASON", "WHAT"), *rows]), ""]
    return "\n".join([*lines, clean(_sentence(result))]) + "\n"


def _sentence(result: ExplainResult) -> str:
    from maintenancebot.model import Reason, State
    from maintenancebot.report.explain import explain

    start, found = f"{result.path} on {result.host}", result.deciding
    if result.state is not State.DONE:
        return f"{start}: {result.state.value}: {explain(result.reason, result.detail)}"
    if found is None:
        return f"{start} stays: no cleanup pattern of this host is about it."
    if found.goes:
        how = {"compress_file": "be compressed", "quarantine_file": "go to the trash"}[found.action]
        return f"{start} would {how}, by {found.pattern} of {found.task}."
    return f"{start} stays: {explain(Reason(found.reason), '')}."


def _to_json(result: ExplainResult) -> dict[str, Json]:
    found = result.deciding
    return {
        "schema": 1,
        "command": "cleanup explain",
        "host": result.host,
        "path": result.path,
        "state": result.state.value,
        "reason": result.reason.value,
        "detail": result.detail,
        "verdict": {
            "goes": found is not None and found.goes,
            "action": found.action if found else "",
            "task": found.task if found else "",
            "pattern": found.pattern if found else "",
            "reason": found.reason if found else "no_match",
        },
        "patterns": [
            {
                "task": one.task,
                "pattern": one.pattern,
                "goes": one.goes,
                "action": one.action,
                "reason": one.reason,
                "rules": [
                    {"rule": rule.rule, "passes": rule.passes, "reason": rule.reason, "detail": rule.detail}
                    for rule in one.rules
                ],
            }
            for one in result.patterns
        ],
    }
