"""What the host knows that explains a difference: a package's upgrade brought the file, or our own trash has it."""

import hashlib
import os

from .. import frames
from ..files import inodes, walk
from ..trash import store
from . import held_against

HASHED = 16 << 20
CHUNK = 1 << 20
MOST = 5000
"""Items of a trash that are asked for a missing file, the newest first."""
SLACK = 120
"""Seconds around an upgrade in which its files come: the log has whole seconds, and clocks are set."""

ON_CONTENT = frozenset(["sha256", "size"])


def of(drifted, owned):
    """One explanation, or an empty dictionary, for each (item, Found); `owned` has the owners of their files."""
    trashed = _trashed([found.path for _, found in drifted if found.state == held_against.MISSING and found.path])
    return [_of(item, found, owned, trashed) for item, found in drifted]


def _of(item, found, owned, trashed):
    if item["kind"] != "file" or not found.path:
        return {}
    if found.state == held_against.MISSING:
        return trashed.get(found.path, {})
    owner = owned.get(found.path)
    if owner is not None and _may_be_brought(found) and _is_brought(found, owner):
        return {"by": "package", "package": owner.package, "version": owner.version, "at": found.at}
    return {}


def _may_be_brought(found):
    """Whether it is the content that differs, and nothing else."""
    if found.state == held_against.UNEXPECTED:
        return "sha256" in found.identity
    return found.state == held_against.DIFFERS and ON_CONTENT.issuperset(found.differs)


def _is_brought(found, owner):
    """Whether the file is the package's, unchanged since an upgrade wrote it.

    What lies there since the first installation is none of that: nobody has brought the host to its declared state yet.
    """
    if not owner.digest or owner.upgraded is None or found.identity["size"] > HASHED:
        return False
    begin, end = owner.upgraded
    return begin - SLACK <= found.at <= end + SLACK and _digest(found, owner.algorithm) == owner.digest


def _digest(found, algorithm):
    try:
        return hashlib.new(algorithm, _content(found)).hexdigest() if algorithm else ""
    except ValueError:  # a host that must do without old digests, such as one in FIPS mode
        return ""


def _content(found):
    """Of the very file that was compared; empty when another one lies there by now."""
    parts = [part for part in frames.raw(found.path).split(b"/") if part]
    try:
        folder, _ = walk.descend(parts[:-1], len(parts))
        try:
            fd = inodes.open_exact(folder, parts[-1], found.identity)
        finally:
            os.close(folder)
        with os.fdopen(fd, "rb") as stream:
            return stream.read(HASHED + 1)
    except (OSError, walk.Refused):
        return b""


def line_ends(item, found):
    """A word for a file that would be the declared one with other ends of lines; it may not work for all that."""
    wanted = item["wanted"].get("sha256")
    if item["kind"] != "file" or "sha256" not in found.differs or found.identity["size"] > CHUNK:
        return ""
    data = _content(found)
    same = data and hashlib.sha256(data.replace(b"\r\n", b"\n")).hexdigest() == wanted
    return "differs only in the ends of its lines" if same else ""


def _trashed(paths):
    """{path: explanation} of missing files that a cleanup of ours moved into the trash, the last one of each."""
    found, wanted = {}, frozenset(paths)
    if not wanted or os.geteuid() != 0:
        return found
    for place in store.existing():
        for name in sorted(place.ids(), reverse=True)[:MOST]:
            record = _record(place, name)
            if record.get("action") == "quarantine_file" and record.get("path") in wanted:
                told = {"by": "trash", "item": name, "at": record.get("quarantined_at")}
                if (told["at"] or 0) >= (found.get(record["path"], {}).get("at") or 0):
                    found[record["path"]] = told
        place.close()
    return found


def _record(place, name):
    """The record of an item that is held; empty otherwise."""
    try:
        item = place.item(name)
    except walk.Refused:
        return {}
    try:
        return item.record if item.state() in ("held", "offloaded") else {}
    finally:
        item.close()
