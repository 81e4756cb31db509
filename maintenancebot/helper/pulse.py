"""Signs of life from long loops, so that a large file does not look like a hung host."""

import time

from .files import walk


class Pulse:
    """Says now and then what the main loop is doing."""

    def __init__(self, out, doing):
        self._out = out
        self._doing = doing
        self._spoke = time.monotonic()

    def beat(self):
        """Call it often; it speaks every few seconds."""
        if time.monotonic() - self._spoke >= walk.ALIVE_SECONDS:
            self._out.alive(self._doing)
            self._spoke = time.monotonic()
