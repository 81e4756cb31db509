"""Why a path of a host would go or stay."""

from __future__ import annotations

from maintenancebot.app.context import Options, chosen_hosts, load
from maintenancebot.engine import explain as engine
from maintenancebot.engine.explain import ExplainResult as ExplainResult
from maintenancebot.engine.progress import Progress
from maintenancebot.errors import UsageError
from maintenancebot.policy.allowlist import components
from maintenancebot.settings import CleanupTask


def explain(options: Options, host: str, path: str, progress: Progress) -> ExplainResult:
    """Ask a host what its cleanup tasks would do with a path; bytes that are not UTF-8 are lone surrogates in it."""
    try:
        parts = components(path)
    except ValueError as error:
        raise UsageError(f"{error}; give the absolute path of a file on {host}") from error
    if not parts:
        raise UsageError(f"/ is no file; give the absolute path of a file on {host}")
    context = load(options)
    target = chosen_hosts(context.inventory, (host,))[0]
    tasks = [
        task
        for task in context.settings.tasks
        if isinstance(task, CleanupTask) and target in context.inventory.select(task.hosts)
    ]
    with context.connections() as connections:
        return engine.explain(target, path, tasks, context.work("explain", connections, progress))
