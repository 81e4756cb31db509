"""`daemon`: the service that keeps the schedule, takes alerts, and says how it is."""

from __future__ import annotations

import click

from maintenancebot.cli.options import Options


@click.command("daemon")
@click.pass_obj
def daemon_command(options: Options) -> None:
    """Keep the schedule, take alerts, serve health and metrics, until SIGTERM or Ctrl-C.

    SIGHUP reads configuration and inventory anew; with a fault in them everything stays as it is.
    """
    from maintenancebot.daemon.service import Service

    raise click.exceptions.Exit(Service(options).run())
