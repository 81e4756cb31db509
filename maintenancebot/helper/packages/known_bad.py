"""Versions that failed on this host before: not tried again until a newer one comes, or a person says so."""

import os
import time

from ..host import unit

NOTES = "bad.json"
"""In the folder of the upgrades; written by the rollback."""


def noted():
    """{(package, version): why, with the day} of what the rollback wrote down; nothing where it never did."""
    if not os.path.exists(unit.FOLDER + "/" + NOTES):
        return {}
    from . import rollback

    return {(row["package"], row["version"]): words(row) for row in rollback.known_bad()}


def pairs():
    """The same as [[package, version]], for the controller: other hosts are spared them."""
    return sorted(list(pair) for pair in noted())


def words(row):
    """For people: why and when a version failed."""
    day = time.strftime("%Y-%m-%d", time.gmtime(float(row.get("at") or 0)))
    return "failed here on %s: %s" % (day, row.get("why") or "no reason noted")


def mark(updates, bad):
    """Give updates to such a version their status; returns how many."""
    marked = [told for told in updates if told["status"] == "due" and (told["name"], told["candidate"]) in bad]
    for told in marked:
        told["status"], told["detail"] = "known_bad", bad[told["name"], told["candidate"]]
    return len(marked)


def draggers(chosen, installs_of, bad):
    """{update's name: why} of updates that would bring such a version along; `installs_of(update)` is what comes."""
    found = {}
    for told in chosen:
        brought = [pair for pair in installs_of(told) if pair in bad]
        if brought:
            found[told["name"]] = "needs %s=%s, which %s" % (*brought[0], bad[brought[0]])
    return found
