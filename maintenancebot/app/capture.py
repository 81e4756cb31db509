"""A baseline from a good host, for a person to trim."""

from __future__ import annotations

from maintenancebot.app.context import Options, chosen_hosts, load, now
from maintenancebot.engine import capture as engine
from maintenancebot.engine.capture import CaptureResult as CaptureResult
from maintenancebot.engine.progress import Progress
from maintenancebot.settings import baseline_text


def capture(options: Options, host: str, progress: Progress) -> tuple[CaptureResult, str]:
    """What a host told, and the text of a baseline that says so."""
    # A shell that is to write the answer among the baselines has made an empty file there, which is a fault.
    context = load(options, with_baselines=False)
    target = chosen_hosts(context.inventory, (host,))[0]
    with context.connections() as connections:
        result = engine.capture(target, context.work("capture", connections, progress))
    remarks = (
        f"What {target.name} was at {now():%Y-%m-%d %H:%M} UTC. Its contents stay on the host: they are hashes here.",
        "Trim it to what must stay as it is, say for which hosts it holds, and save it among the baselines.",
        *([f"Not all could be seen: {result.detail}"] if result.detail else []),
    )
    return result, baseline_text.write(target.name, result.captured, remarks)
