"""What dnf's own journal tells: whether its last transaction ended, and what came by an upgrade. Reads only."""

import os

PLACES = ("/var/lib/dnf/history.sqlite", "/usr/lib/sysimage/libdnf5/transaction_history.sqlite")
LAST = {
    PLACES[0]: "SELECT dt_end IS NULL OR dt_end = 0 FROM trans ORDER BY id DESC LIMIT 1",
    PLACES[1]: "SELECT dt_end IS NULL OR dt_end = 0 FROM trans ORDER BY id DESC LIMIT 1",
}

UPGRADES = {
    PLACES[0]: "SELECT 1 FROM trans_item JOIN rpm USING (item_id)"
    " WHERE action = 6 AND name = ? AND version || '-' || release = ?",
    PLACES[1]: "SELECT 1 FROM trans_item JOIN rpm USING (item_id) JOIN pkg_name ON pkg_name.id = rpm.name_id"
    " JOIN trans_item_action AS action ON action.id = action_id"
    " WHERE action.name = 'Upgrade' AND pkg_name.name = ? AND version || '-' || release = ?",
}


def interrupted():
    """Whether a transaction was stopped in the middle; False also where the journal cannot be read."""
    try:
        import sqlite3
    except ImportError:
        return False
    return any(unfinished(sqlite3, path) for path in PLACES if os.path.exists(path))


def was_upgraded(name, version):
    """Whether a package came in that version (`version-release`) by an upgrade; False where the journal cannot tell."""
    try:
        import sqlite3
    except ImportError:
        return False
    there = [path for path in PLACES if os.path.exists(path)]
    return any(_first(sqlite3, path, UPGRADES[path], (name, version)) for path in there)


def unfinished(sqlite3, path):
    """Whether the last transaction of a journal has no end."""
    row = _first(sqlite3, path, LAST[path])
    return bool(row and row[0])


def _first(sqlite3, path, question, values=()):
    """The first row of an answer, None when the journal has none or cannot be read; leaves no traces."""
    try:
        journal = sqlite3.connect("file:%s?mode=ro&immutable=1" % path, uri=True)
        try:
            return journal.execute(question, values).fetchone()
        finally:
            journal.close()
    except sqlite3.Error:
        return None
