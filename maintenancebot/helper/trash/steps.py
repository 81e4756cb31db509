"""What all steps on files share: root, recovery first, no more than needed, and a value for each change."""

import os

from ..files import walk
from ..results import outcome, outcomes
from . import recovery

FAILURES = frozenset(["no_space", "read_only", "write_error", "compress_mismatch", "offload_failed"])
"""Tried and not possible; other reasons mean that the file was left alone on purpose."""


def each(step, out, function):
    """Call `function(change, args, out)` for each change; a refusal or an error is that change's outcome alone.

    With args `enough`: {path, available}, changes are left out as soon as that much is available there.
    """
    if os.geteuid() != 0:
        return outcomes(step["changes"], "skipped", "needs_root")
    recovery.once(out)
    args = dict(step["args"], run=step.get("run", ""), now=step.get("now", 0))
    return [_one(change, args, out, function) for change in step["changes"]]


def _one(change, args, out, function):
    try:
        if _is_enough(args.get("enough")):
            return outcome(change["id"], "nothing", "target_met")
        return function(change, args, out)
    except walk.Refused as error:
        return _refused(change, error.reason, error.detail)
    except OSError as error:
        return _refused(change, walk.reason_of(error), error.strerror or str(error))


def _is_enough(wanted):
    if not wanted:
        return False
    found = os.statvfs(wanted["path"])
    return found.f_bavail * found.f_frsize >= wanted["available"]


def _refused(change, reason, detail):
    if reason == "vanished":
        return outcome(change["id"], "nothing", "already_gone", detail)
    return outcome(change["id"], "failed" if reason in FAILURES else "skipped", reason, detail)
