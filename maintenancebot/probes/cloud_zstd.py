"""A stream through the controller's program zstd, since Python reads that only from 3.14."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, wait
from threading import Thread
from typing import IO

from maintenancebot.probes.cloud_faults import Damaged, Unreadable

PIECE = 256 * 1024
END_SECONDS = 10


def through_zstd(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The decompressed bytes; raises Damaged, Unreadable without the program, and what the stream itself raises."""
    program = shutil.which("zstd")
    if program is None:
        raise Unreadable("the controller has no program zstd to read it")
    process = subprocess.Popen(
        [program, "-dcq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin
    assert process.stdout
    fed: Future[None] = Future()
    Thread(target=_feed, args=(chunks, process.stdin, fed), name="zstd", daemon=True).start()
    try:
        while piece := process.stdout.read(PIECE):
            yield piece
        code = process.wait()
        if wait([fed], END_SECONDS).done:
            fed.result()  # what broke the stream is more to the point than what zstd made of it
        if code != 0:
            raise Damaged("zstd data is damaged or cut off")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _feed(chunks: Iterator[bytes], to: IO[bytes], fed: Future[None]) -> None:
    try:
        with to:
            for chunk in chunks:
                to.write(chunk)
        fed.set_result(None)
    except BrokenPipeError:  # the program has ended, and says why by its code
        fed.set_result(None)
    except BaseException as error:  # of the stream: it belongs to whoever reads
        fed.set_exception(error)
