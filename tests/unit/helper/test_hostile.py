"""A process that swaps folders and links all the time gets nothing outside touched."""

import subprocess
import sys
import time

from .conftest import SmallHost

SWAPPER = """
import os, sys, itertools
base, end = sys.argv[1], float(sys.argv[2])
import time
while time.time() < end:
    for how in ("link", "outside", "real"):
        try:
            if how == "link":
                os.rename(base + "/app", base + "/app.real"); os.symlink(base + "/../../victim", base + "/app")
            elif how == "outside":
                os.unlink(base + "/app"); os.rename(base + "/app.real", base + "/../../aside"); os.mkdir(base + "/app")
            else:
                os.rmdir(base + "/app"); os.rename(base + "/../../aside", base + "/app")
        except OSError:
            pass
"""


def test_nothing_outside_is_touched_while_folders_and_links_are_swapped(host: SmallHost) -> None:
    victim = host.base / "victim"
    victim.mkdir()
    for number in range(20):
        (victim / f"{number}.log").write_bytes(b"precious")
    for number in range(500):
        host.file(f"app/{number}.log")
    swapper = subprocess.Popen([sys.executable, "-c", SWAPPER, str(host.logs), str(time.time() + 3)])
    moved = 0
    try:
        while swapper.poll() is None:
            outcomes = host.move(limit=10)
            moved += sum(one["state"] == "done" for one in outcomes)
            assert {one["state"] for one in outcomes} <= {"done", "skipped", "nothing"}
    finally:
        swapper.kill()
        swapper.wait()
    assert sorted(path.name for path in victim.iterdir()) == sorted(f"{number}.log" for number in range(20))
    assert {path.read_bytes() for path in victim.iterdir()} == {b"precious"}
    held = [item["data"]["path"] for item in host.trash()]
    assert all(path.startswith(f"{host.logs}/") for path in held)
    assert len(held) == moved
