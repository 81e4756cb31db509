"""Holds a host against its declared state; each kind of item has a module that looks at it."""

import importlib

from ..results import Result
from . import held_against

LOOKS = {
    "file": "drift_files",
    "package": "drift_packages",
    "service": "drift_units",
    "sysctl": "drift_kernel",
    "kernel": "drift_kernel",
    "user": "drift_accounts",
    "group": "drift_accounts",
    "keys": "drift_keys",
    "crontab": "drift_crontabs",
    "mount": "drift_mounts",
}
"""Kind -> module with `look(items, out)`: one `held_against.Found` for each item, in their order."""

MOST_WORDS = 500
MOST_OWNED = 2000
"""Files that differ whose packages are asked for; what an upgrade brought is corrected where nobody knows that."""


def probe(args, out):
    """A finding for each item that is not as declared; what is as declared is only counted."""
    pairs = look(args["items"], out)
    drifted = [(item, found) for item, found in pairs if found.state]
    if drifted:
        _explain(drifted, out)
    return Result(facts={"items": len(pairs), "matches": len(pairs) - len(drifted)})


def look(items, out=None):
    """[(item, Found)]; what cannot be looked at for a fault of ours is unreadable, and the rest is not spoiled."""
    pairs = []
    for module in sorted({LOOKS[item["kind"]] for item in items}):
        mine = [item for item in items if LOOKS[item["kind"]] == module]
        pairs.extend(zip(mine, _looked(module, mine, out)))  # noqa: B905  strict is not in Python 3.6
    return pairs


def _looked(module, items, out):
    try:
        return importlib.import_module("." + module, __package__).look(items, out)
    except Exception as error:
        if len(items) > 1:
            return [one for item in items for one in _looked(module, [item], out)]
        return [held_against.unreadable("%s: %s" % (type(error).__name__, error))]


def _explain(drifted, out):
    from ..packages import owners
    from . import drift_diff, drift_explained, drift_writers

    files = [found.path for item, found in drifted if item["kind"] == "file" and found.path]
    owned = owners.of(files, MOST_OWNED)
    explained, writers = drift_explained.of(drifted, owned), drift_writers.of(drifted, owned)
    budget = drift_diff.Budget()
    for number, (item, found) in enumerate(drifted):
        diff = budget.diff(item, found)
        out.finding(
            "item",
            item["id"],
            state=found.state,
            found=found.found,
            differs=found.differs,
            explained=explained[number],
            writers=writers[number],
            diff=diff,
            identity=found.identity,
            error=(found.error or drift_explained.line_ends(item, found))[:MOST_WORDS],
        )
        if diff or item["kind"] == "keys":
            out.flush()  # one such finding may be as large as a whole frame of others
