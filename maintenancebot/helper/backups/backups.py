"""Looks at backups where they lie: files, repositories of restic and of borg. The worst that is seen decides.

Nothing is written, restored or unpacked to disk. What could not be looked at is `unknown`, never `ok`.
"""

import importlib
import time

from ..results import Result
from . import scratch, streams, verdicts

SOURCE_BYTES = 20 * 1024**3
SOURCE_SECONDS = 60
ALL_SECONDS = 180
LOOKS = {"files": "backup_files", "restic": "restic", "borg": "borg"}
"""Type of a source -> module with `check(source, now, max_age, budget, data)`."""


def probe(args, out):
    """Report one finding per source: verdict, reason, level reached and what was seen.

    `args`: sources, each with its `number`, max_age_hours, and optionally `now` and the limits `source_bytes`,
    `source_seconds`, `all_seconds`.
    """
    now = args.get("now") or time.time()
    end = time.monotonic() + args.get("all_seconds", ALL_SECONDS)
    sources = args["sources"]
    for place, source in enumerate(sources):
        left = end - time.monotonic()
        limit = args.get("source_seconds") or max(SOURCE_SECONDS, left / (len(sources) - place))
        seconds = min(limit, left)
        budget = streams.Budget(args.get("source_bytes", SOURCE_BYTES), seconds, out, "reading backups")
        data = check(source, now, args["max_age_hours"], budget)
        out.finding("backup", source.get("name", ""), source=source.get("number", place), **data)
        out.flush()  # many short looks are a long silence
    return Result()


def check(source, now, max_age_hours, budget):
    """Everything known of one source as plain data."""
    data = verdicts.blank()
    try:
        module = importlib.import_module("." + LOOKS[source["type"]], __package__)
        module.check(source, now, max_age_hours * 3600.0, budget, data)
        data.update(verdict="ok", reason="fresh", detail="")
    except verdicts.Verdict as verdict:
        data.update(verdict=verdict.verdict, reason=verdict.reason, detail=verdict.detail)
    except Exception as error:  # whatever a strange file makes us stumble over: it spoils its own source alone
        data.update(verdict="unknown", reason="helper_error", detail="%s: %s" % (type(error).__name__, error))
    data["notes"] += scratch.told(source.get("folder"))
    return data
