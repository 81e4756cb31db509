"""Runs one operation of the helper in whatever Python runs this file; needs nothing newer than Python 3.6.

Reads JSON on standard input: {"root", "home", "op": "package.module.function", "asked"}, writes what came
of it.
"""

import importlib
import json
import os
import sys


class Gathered:
    """Takes the place of the frames: keeps what is reported."""

    def __init__(self):
        self.findings = []

    def finding(self, kind, subject, **data):
        self.findings.append({"kind": kind, "subject": subject, "data": data})

    def alive(self, doing):
        pass

    def flush(self):
        pass


def hide_foreign_stores(facts, base):
    """Leave out mounts that have a trash and do not belong to this test: labs have some, on this very machine."""
    real = facts.mount_table

    def mount_table(*of):
        rows = real(*of)
        return [r for r in rows if r["path"].startswith(base) or not os.path.lexists(r["path"] + b"/.maintenancebot")]

    facts.mount_table = mount_table


def run(request):
    sys.path.insert(0, request["root"])
    store = importlib.import_module("maintenancebot.helper.trash.store")
    store.HOME = os.fsencode(request["home"])
    hide_foreign_stores(importlib.import_module("maintenancebot.helper.host.facts"), os.path.dirname(store.HOME))
    module, _, function = request["op"].rpartition(".")
    call = getattr(importlib.import_module("maintenancebot.helper." + module), function)
    out = Gathered()
    found = call(request["asked"], out)
    if isinstance(found, list):
        return {"outcomes": found}
    return {"findings": out.findings, "state": found.state, "reason": found.reason, "facts": found.facts}


if __name__ == "__main__":
    os.umask(0o077)
    sys.dont_write_bytecode = True
    print(json.dumps(run(json.loads(sys.stdin.read()))))
