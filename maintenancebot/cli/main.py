"""The command `maintenancebot`: global options, the table of commands, and how every command ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from maintenancebot import __version__
from maintenancebot.cli.lazy import LazyGroup, Row
from maintenancebot.cli.options import Options

INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended."""

PATH = click.Path(path_type=Path)

CONFIG_NAME, INVENTORY_NAME, STATE_DIR_NAME = (
    "MAINTENANCEBOT_CONFIG",
    "MAINTENANCEBOT_INVENTORY",
    "MAINTENANCEBOT_STATE_DIR",
)
"""Variables that stand for options; `settings/environment.py` leaves them alone."""


COMMANDS = {
    "dry-run": Row("maintenancebot.cli.run:dry_run_command", "Show what a run would do; change nothing."),
    "run": Row("maintenancebot.cli.run:run_command", "Run the cycle now."),
    "daemon": Row(
        "maintenancebot.cli.daemon:daemon_command", "Keep the schedule, take alerts, serve health and metrics."
    ),
    "check": Row("maintenancebot.cli.check:check_command", "Validate configuration and inventory; say the next runs."),
    "schema": Row("maintenancebot.cli.check:schema_command", "Print the JSON Schema of the configuration."),
    "hosts": Row("maintenancebot.cli.hosts:hosts_group", "Inventory, reachability, host keys."),
    "cleanup": Row("maintenancebot.cli.cleanup:cleanup_group", "Say why a path would or would not be cleaned up."),
    "remediate": Row("maintenancebot.cli.remediate:remediate_group", "Heal what an alert is about, now and by hand."),
    "drift": Row("maintenancebot.cli.drift:drift_group", "Hold hosts against their declared state, and correct them."),
    "trash": Row("maintenancebot.cli.trash:trash_group", "List, restore and purge what was moved to the hosts' trash."),
    "approvals": Row("maintenancebot.cli.guards:approvals_group", "Decide about plans that wait for a person."),
    "breakers": Row("maintenancebot.cli.guards:breakers_group", "List the circuit breakers, or close them."),
    "budget": Row("maintenancebot.cli.guards:budget_command", "Say how many changes, tokens and dollars are left."),
    "stop": Row("maintenancebot.cli.guards:stop_command", "Stop all changes at once, until `resume`."),
    "resume": Row("maintenancebot.cli.guards:resume_command", "Let changes be made again."),
    "history": Row("maintenancebot.cli.history:history_command", "List the runs."),
    "report": Row("maintenancebot.cli.report:report_command", "Show the report of an earlier run."),
    "summary": Row("maintenancebot.cli.summary:summary_command", "Tell the week: what needs a person, what changed."),
    "audit": Row("maintenancebot.cli.history:audit_group", "Check the audit log."),
}
"""Every command, with the words of `--help`; a command's module is imported when it is run."""


@click.group(
    cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option("--config", metavar="FILE", envvar=CONFIG_NAME, type=PATH, help="Configuration file.")
@click.option("--inventory", metavar="FILE", envvar=INVENTORY_NAME, type=PATH, help="Inventory file.")
@click.option(
    "--state-dir", metavar="DIR", envvar=STATE_DIR_NAME, type=PATH, help="Where state and host keys are kept."
)
@click.option("-v", "--verbose", is_flag=True, help="List every change; show tracebacks and details.")
@click.option("-q", "--quiet", is_flag=True, help="No progress on standard error.")
@click.version_option(__version__, prog_name="maintenancebot", message="%(prog)s %(version)s")
@click.pass_context
def commands(
    ctx: click.Context,
    config: Path | None,
    inventory: Path | None,
    state_dir: Path | None,
    verbose: bool,
    quiet: bool,
) -> None:
    """Look after Linux servers over SSH: patches, logs, Docker images, backup checks, certificates.

    What a dry run lists is what a run does, and what a report says was measured.

    Exit codes: 0 all done or nothing to do; 1 something failed, unknown or unreachable;
    2 usage or configuration error, nothing touched; 3 refused by a guard or waiting for approval.
    """
    from maintenancebot.cli.logs import log_to_stderr

    if verbose and quiet:
        raise click.UsageError("-v and -q contradict each other; give one of them.")
    ctx.obj = Options(config, inventory, state_dir, verbose, quiet)
    log_to_stderr(verbose=verbose, quiet=quiet)


def main() -> None:
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; every error becomes one clear message on standard error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that cannot show a character gets an escape instead
            stream.reconfigure(errors="backslashreplace")
    try:
        result = commands.main(list(arguments), prog_name="maintenancebot", standalone_mode=False)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write("\nmaintenancebot: ended\n")
        return INTERRUPTED
    except Exception as error:
        from maintenancebot.cli.errors import tell

        return tell(error, verbose="-v" in arguments or "--verbose" in arguments)
    return result if isinstance(result, int) else 0
