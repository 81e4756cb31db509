"""Whether the record of an item has the fields and kinds that everybody who reads it counts on."""

from .. import frames
from ..files import inodes, walk

NUMBERS = ("allocated", "atime_ns")
TEXTS = ("path", "root", "store", "id")
FOLDER = {"uid": int, "gid": int, "mode": int}
PARTS = {
    "previous": {"store": str, "item": str},
    "next": {"ino": int, "fields": dict},
    "candidate": {"ino": int, "size": int, "mtime_ns": int},
    "offload": {"bucket": str, "key": str, "size": int, "sha256": str},
    "copy": {"temporary": str, "path": str},
    "restored": dict.fromkeys(inodes.IDENTITY, int),
    "attributes": {},
}
"""Parts that a record may have, and what they must have then."""
OBJECTS = {
    "volume": {
        "name": str,
        "driver": str,
        "labels": dict,
        "content": str,
        "allocated": int,
        "mountpoint": str,
        "data_root": str,
        "socket": str,
    },
    "image": {"id": str, "tags": list, "data_root": str, "socket": str},
}
"""Forms of what is no file, and what their part of the record must have."""
WORDS = ("state", "form", "target", "temporary", "link", "sha256", "stored_sha256", "change")


def check(record):
    """Raise Refused when a field that is needed is missing, or one is of another kind."""
    for name in TEXTS:
        _must(_is_text(record.get(name)), name)
    for name in WORDS:
        _must(record.get(name) is None or _is_text(record[name]), name)
    for name in NUMBERS:
        _must(isinstance(record.get(name), int), name)
    _must(_has(record.get("identity"), dict.fromkeys(inodes.IDENTITY, int)), "identity")
    if record.get("form") in OBJECTS:
        _must(_has(record.get(record["form"]), OBJECTS[record["form"]]), record["form"])
    else:
        _check_place(record)
    for name, wanted in PARTS.items():
        _must(record.get(name) is None or _has(record[name], wanted), name)


def _check_place(record):
    """Where a file lay."""
    _must(record["path"].startswith("/") and record["root"].startswith("/"), "path")
    parents, depth = record.get("parents"), len([part for part in record["path"].split("/") if part])
    _must(isinstance(parents, list) and all(_has(one, FOLDER) for one in parents), "parents")
    _must(len(parents) >= depth - 1, "parents")


def _must(is_so, name):
    if not is_so:
        raise walk.Refused("unreadable", "damaged record: %s" % name)


def _has(part, wanted):
    return isinstance(part, dict) and all(isinstance(part.get(name), kind) for name, kind in wanted.items())


def _is_text(value):
    if not isinstance(value, str):
        return False
    try:
        frames.raw(value)
    except UnicodeEncodeError:
        return False
    return True
