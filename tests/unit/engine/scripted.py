"""A host that answers with frames of the test's choice, by a real process that speaks the helper's protocol."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from maintenancebot.model import Host
from maintenancebot.remote import bundle
from maintenancebot.remote.local import LocalExecution, LocalSession

FACTS = {
    "machine_id": "f" * 32,
    "boot_id": "b1",
    "hostname": "web-9",
    "os_id": "debian",
    "os_version": "12",
    "kernel": "6.1",
    "python": "3.11.2",
    "uid": 0,
    "clock": 0.0,
    "mounts": [],
    "missing": [],
}
SAY = """
import binascii, json, sys, time
stdin = sys.stdin.buffer
stdin.read(int(stdin.readline()))
marker, length = stdin.readline().decode().split()
stdin.read(int(length))
said = 0
def say(kind, payload):
    global said
    data = json.dumps(payload).encode()
    head = "\\n%%MB1 %s %d %s %d %08x\\n" % (marker, said, kind, len(data), binascii.crc32(data))
    sys.stdout.buffer.write(head.encode() + data + b"\\n")
    sys.stdout.buffer.flush()
    said += 1
def hear():
    line = stdin.readline()
    while line == b"\\n":
        line = stdin.readline()
    stdin.read(int(line.split()[4]))
hear()
for kind, payload in json.loads(sys.argv[1]):
    if kind == "hear":
        hear()
        continue
    if kind == "facts" and not payload["clock"]:
        payload["clock"] = time.time() + float(sys.argv[2])
    say(kind, payload)
say("end", {"frames": said})
"""

Frame = tuple[str, Any]


class Scripted(LocalSession):
    """Says these frames and then the end; ("hear", None) waits for the controller's next answer."""

    def __init__(self, *frames: Frame, host: Host | None = None, ahead_seconds: float = 0) -> None:
        super().__init__(host or Host("web-9", "local", connection="local"), 10)
        self._frames: Sequence[Frame] = frames
        self._ahead = ahead_seconds

    def start_helper(self) -> LocalExecution:
        assert bundle.COMMAND  # what a host would be asked to run
        return LocalExecution([sys.executable, "-c", SAY, json.dumps(self._frames), str(self._ahead)], 10)


def facts(**changed: Any) -> Frame:
    return "facts", {**FACTS, **changed}


def ended(task: str = "task:logs", state: str = "ok", **changed: Any) -> Frame:
    return "task", {"task": task, "state": state, "reason": "", "detail": "", "facts": {}, **changed}


def finding(data: Any, *, kind: str = "candidate", subject: str = "x", task: str = "task:logs") -> Frame:
    return "finding", {"task": task, "items": [{"kind": kind, "subject": subject, "data": data}]}
