"""Probe operation `cleanup`: old files, and all else that a cleanup task looks after, in one answer. Writes nothing."""

import importlib

from .. import frames
from . import logrotate_health, logs

PARTS = (("package_cache", "caches"), ("journal", "journal"), ("rotate", "rotate"))
"""Key of the arguments, and of the facts -> module with `look(args, out)`, which streams findings and returns facts."""

PROBLEMS = 20


def probe(args, out):
    """The files of `logs.probe`; then package cache, journal and growing logs where the arguments ask for them."""
    result = logs.probe(args, out)
    if result.state == "skipped":
        return result
    for name, module in PARTS:
        if args.get(name):
            result.facts[name] = _guarded(importlib.import_module("." + module, __package__).look, args, out)
    health = _guarded(logrotate_health.look, args, out)
    problems = result.facts.get("logrotate_problems", []) + health.get("problems", [])
    result.facts["logrotate_problems"] = problems[:PROBLEMS]
    return result


def _guarded(look, args, out):
    """One part's facts; what goes wrong in it is a fact too and does not spoil the others."""
    try:
        return look(args, out)
    except (BrokenPipeError, frames.StdinClosed):
        raise
    except Exception as error:
        return {"reason": "helper_error", "detail": "%s: %s" % (type(error).__name__, error)}
