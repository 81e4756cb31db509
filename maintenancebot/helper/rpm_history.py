"""Whether dnf's last transaction ended, by its own journal. Reads only."""

import os

PLACES = ("/var/lib/dnf/history.sqlite", "/usr/lib/sysimage/libdnf5/transaction_history.sqlite")
LAST = {
    PLACES[0]: "SELECT dt_end IS NULL OR dt_end = 0 FROM trans ORDER BY id DESC LIMIT 1",
    PLACES[1]: "SELECT dt_end IS NULL OR dt_end = 0 FROM trans ORDER BY id DESC LIMIT 1",
}


def interrupted():
    """Whether a transaction was stopped in the middle; False also where the journal cannot be read."""
    try:
        import sqlite3
    except ImportError:
        return False
    return any(unfinished(sqlite3, path) for path in PLACES if os.path.exists(path))


def unfinished(sqlite3, path):
    """Whether the last transaction of a journal has no end."""
    try:
        with_no_traces = sqlite3.connect("file:%s?mode=ro&immutable=1" % path, uri=True)
        try:
            row = with_no_traces.execute(LAST[path]).fetchone()
        finally:
            with_no_traces.close()
    except sqlite3.Error:
        return False
    return bool(row and row[0])
