"""Corrects one item: checked again, validated, installed whole, measured; taken back if it goes wrong.

What could lock everybody out is taken back by the host itself, unless the controller logs in anew while the old
connection still stands.
"""

import contextlib
import importlib
import os

from ..files import walk
from ..results import outcome
from ..trash import recovery

WAYS = {
    "file": ("correct_files", "prepare"),
    "service": ("correct_units", "prepare"),
    "sysctl": ("correct_values", "prepare"),
    "keys": ("correct_keys", "prepare"),
    "crontab": ("correct_keys", "prepare_crontab"),
    "package": ("correct_values", "prepare_hold"),
}
"""Kind -> module and function `(change, args, out)` that returns the way, ready to be made.

A way has `path`, with it `content` and `dress` as they are to be, else None; `undo()`, parts as `undo.py` knows them,
told before it is made; `make()`, `measured()`, `close()`.
"""

FAILURES = frozenset(["no_space", "read_only", "write_error", "tool_failed", "unhealthy", "lacks"])
"""Tried and not possible; other reasons mean that the item was left alone on purpose."""
STATES = {"link": "symlink", "special": "special", "unreadable": "unreadable", "not_applicable": "not_applicable"}


def correct(step, out):
    """The outcome of the step's one change. Args: `content` in base64, `revert_seconds`, `keep_days`."""
    from . import revert

    change = step["changes"][0]
    if os.geteuid() != 0:
        return [outcome(change["id"], "skipped", "needs_root")]
    try:
        recovery.once(out)
        revert.settle(out)
        args = dict(step["args"], run=step.get("run", ""), now=step.get("now", 0))
        return [_corrected(change, args, out)]
    except walk.Refused as error:
        return [_refused(change, error.reason, error.detail)]
    except OSError as error:
        return [_refused(change, walk.reason_of(error), error.strerror or str(error))]


def _corrected(change, args, out):
    from . import validators

    now = _look(change)
    if not now.state:
        return outcome(change["id"], "nothing", "as_declared")
    if now.state in STATES:
        raise walk.Refused(STATES[now.state], now.error)
    if now.identity != change["object"]["identity"]:
        raise walk.Refused("changed_since", "it is not as it was when this was planned")
    module, function = WAYS[change["object"]["kind"]]
    way = getattr(importlib.import_module("." + module, __package__), function)(change, args, out)
    try:
        fault = validators.fault(change["object"]["kind"], way, out)
        if fault:
            return outcome(change["id"], "failed", "config_invalid", fault)
        return _made(change, way, args, out)
    finally:
        way.close()


def _look(change):
    from . import drift

    item = {key: change["object"][key] for key in ("kind", "name", "wanted")}
    ((_, found),) = drift.look([dict(item, id=change["object"]["item"])])
    return found


def _made(change, way, args, out):
    """Make it; whatever goes wrong then, and whoever is gone, it is taken back before this ends."""
    with contextlib.closing(_way_back(change, way, args)) as way_back:
        made = []
        try:
            trouble = _trouble(change, way, way_back, made, out)
        except BaseException:
            way_back.take_back()
            raise
        if trouble is None:
            way_back.disarm()
            return outcome(change["id"], "done", "verified", _words(way), **way.measured())
        left = way_back.take_back(made=bool(made))
        if not left:
            way_back.disarm()
    return _taken_back(change, trouble, left, bool(made))


def _trouble(change, way, way_back, made, out):
    """(reason, detail) of what speaks against leaving it so; None when it is confirmed."""
    try:
        with way_back.acting():
            way.make()
            made.append(way)
        detail = _not_well(change, way_back, out)
        if not detail and not way_back.confirm():
            detail = "the timer that takes it back came first"
    except walk.Refused as error:
        return error.reason, error.detail
    except OSError as error:
        return walk.reason_of(error), error.strerror or str(error)
    return ("reverted", detail) if detail else None


def _not_well(change, way_back, out):
    """Why the host is not well with it; empty when it is."""
    from . import revert_units, well

    asked = change["object"]
    told = revert_units.reload_systemd() if way_back.record["units"] else ""
    if not told and way_back.record["reload"]:
        told = well.reload(way_back.record["reload"], out, way_back.record["units"])
    if told:
        return told
    now = _look(change)
    if now.state:
        return "it still differs in %s" % (", ".join(now.differs) or now.error)
    if asked["lockout"]:
        answer = out.ask("login")
        if answer.get("ok") is not True:
            return "no new login: %s" % (answer.get("detail") or answer.get("refused") or "no answer")
    return ""


class _Unarmed:
    """The way back of what locks nobody out: ours alone, while we are here."""

    def __init__(self, record):
        self.record = record

    @contextlib.contextmanager
    def acting(self):
        """Make the change in here."""
        yield

    def confirm(self):
        """It may stay."""
        return True

    def take_back(self, made=True):
        """Take it back; why not all is as before."""
        from . import revert

        return revert.taken_back(self.record, made=made)[0]

    def disarm(self):
        """Nothing waits."""

    def close(self):
        """Nothing is held."""


def _way_back(change, way, args):
    """What takes it back: armed before anything is changed where it could lock everybody out."""
    from . import correct_values, revert, taking_up, well

    unit = taking_up.unit_for(change, way)
    # The content of no other file is asked for here: it may be of any size.
    sets = way.path and correct_values.SETTINGS_FILE.fullmatch(way.path)
    running = correct_values.as_it_runs(way.path, way.content) if sets else []
    record = {
        "change": change,
        "undo": way.undo() + running,
        "args": {"keep_days": args["keep_days"], "run": args["run"]},
        "reload": unit,
        "ran": bool(unit) and well.look(unit).get("ActiveState") in well.UP,
        "units": taking_up.needs_restart(way),
    }
    if change["object"]["lockout"]:
        return revert.arm(change, record, args["revert_seconds"])
    return _Unarmed(record)


def _words(way):
    """What was done, for people."""
    item = way.measured().get("trash_item")
    return "what lay there is %s in the trash" % item if item else ""


def _taken_back(change, trouble, left, made):
    reason, detail = trouble
    if left:
        return outcome(change["id"], "failed", "revert_failed", "%s; and not all is as before: %s" % (detail, left))
    if made or reason == "unhealthy":  # which only what was made can be
        return outcome(change["id"], "failed", "reverted", "%s; all is as before" % detail)
    return _refused(change, reason, detail)


def _refused(change, reason, detail):
    return outcome(change["id"], "failed" if reason in FAILURES else "skipped", reason, detail)


def recall(change):
    """What became of a correction whose outcome was never recorded: by its way back, else by looking at the item."""
    from . import revert

    one = revert.find(change["id"])
    if one is None:
        return _by_looking(change)
    with contextlib.closing(one):
        state, detail = one.record.get("state"), one.record.get("detail", "")
    if state in (None, revert.CONFIRMED):  # None: killed before it was armed, and so before anything was made
        return _by_looking(change)
    if state == revert.REVERTED:
        return outcome(change["id"], "failed", "reverted", "it was not confirmed; all is as before")
    if state == revert.FAILED:
        return outcome(change["id"], "failed", "revert_failed", detail)
    return outcome(change["id"], "unknown", "busy", "it is not confirmed, and the host takes it back by itself")


def _by_looking(change):
    now, unit = _look(change), change["object"]["reload"]
    if now.state and now.identity == change["object"]["identity"]:
        return outcome(change["id"], "skipped", "not_started", "found untouched")
    if now.state:
        return outcome(change["id"], "unknown", "changed_since", "neither as it was nor as declared")
    item = dict(recovery.held_items()).get(change["id"])
    measured = {"trash_item": item} if item else {}
    if unit:
        return outcome(change["id"], "unknown", "unfinished", "as declared; whether %s took it up is not known" % unit)
    return outcome(change["id"], "done", "verified", "as declared", **measured)
