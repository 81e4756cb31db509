"""Runs one function of the helper's offload in whatever Python runs this file; needs nothing newer than Python 3.6.

Standard input: a line of JSON {"root", "function", "path", "record", "args", "more", "constants", "missing"}, then an
answer to each question. Standard output: a line of JSON for each question, at last {"result"} or {"refused", "detail"}.
"""

import importlib
import json
import os
import sys


class Asking:
    """Takes the place of the frames."""

    def alive(self, doing):
        print(json.dumps({"alive": doing}), flush=True)

    def ask(self, kind, **question):
        print(json.dumps({"question": dict(question, ask=kind)}), flush=True)
        line = sys.stdin.readline()
        if not line:
            raise importlib.import_module("maintenancebot.helper.frames").StdinClosed()
        return json.loads(line)


def peak():
    """Most memory ever, in kB; getrusage would tell that of the parent."""
    with open("/proc/self/status") as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith("VmHWM:"))


def run(request):
    sys.path.insert(0, request["root"])
    for missing in request["missing"]:
        sys.modules[missing] = None
    modules = {
        name.rpartition(".")[2]: importlib.import_module("maintenancebot.helper." + name)
        for name in ("trash.offload", "trash.transfer", "files.walk")
    }
    for name, value in request["constants"].items():
        module, constant = name.split(".")
        setattr(modules[module], constant, value)
    function = getattr(modules["offload"], request["function"])
    flags = os.O_RDWR | os.O_CREAT if request["function"] == "fetch" else os.O_RDONLY
    fd = os.open(request["path"], flags, 0o600)
    try:
        record = request["record"]
        handed = {"upload": [fd, record, request["args"]], "fetch": [record, fd], "forget": [record]}
        found = function(*handed[request["function"]], Asking(), **request["more"])
        return {"result": found, "memory": peak()}
    except modules["walk"].Refused as error:
        return {"refused": error.reason, "detail": error.detail}


if __name__ == "__main__":
    print(json.dumps(run(json.loads(sys.stdin.readline()))), flush=True)
    os._exit(0)
