"""`remediate`: what an alert would set off, on a person's word."""

from __future__ import annotations

import click

from maintenancebot.cli.options import Options


@click.group("remediate")
def remediate_group() -> None:
    """Heal what an alert is about, now and by hand: the same steps, without window and freeze."""


@remediate_group.command("disk")
@click.option("--host", metavar="HOST", required=True, help="The host, by its name in the inventory.")
@click.option("--mount", metavar="MOUNT", required=True, help="The mount point that is too full, such as /var.")
@click.option("--dry-run", "dry_run", is_flag=True, help="Show what would be done; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def disk_command(options: Options, host: str, mount: str, dry_run: bool, as_json: bool) -> None:
    """Get a full file system below `remediation.disk.target_percent`, and measure it afterwards."""
    from maintenancebot import app
    from maintenancebot.cli.output import write_report
    from maintenancebot.cli.progress import make_progress
    from maintenancebot.cli.stopping import stop_on_signals
    from maintenancebot.report.exit_code import exit_code

    remediate = app.remediate_disk_dry_run if dry_run else app.remediate_disk
    with stop_on_signals() as stop:
        report = remediate(options, host, _mount_point(mount), make_progress(options), stop)
    write_report(report, as_json=as_json, verbose=options.verbose)
    raise click.exceptions.Exit(exit_code(report))


def _mount_point(path: str) -> str:
    """The path as a mount table has it; raises UsageError for what can be none."""
    from maintenancebot.errors import UsageError

    parts = [part for part in path.split("/") if part]
    if not path.startswith("/") or "." in parts or ".." in parts or "\0" in path:
        raise UsageError(f"{path!r} is no mount point; write its whole path, such as /var")
    return "/" + "/".join(parts)
