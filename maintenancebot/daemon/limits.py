"""How many messages each address may send: a bucket of tokens for each, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

MOST_ADDRESSES = 10_000
"""Those that were silent longest are forgotten first, and begin with a full bucket again."""

BURST_SECONDS = 10
"""So many seconds' worth of messages may come at once."""


class Limits:
    """Asked once for each message, from one thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # address -> tokens, and when

    def seconds_to_wait(self, address: str, per_minute: int) -> float:
        """How long this address has to wait; 0 if its message may come in, which is then counted."""
        now, rate = self._clock(), per_minute / 60
        most = max(1.0, rate * BURST_SECONDS)
        tokens, since = self._buckets.pop(address, (most, now))
        tokens = min(most, tokens + (now - since) * rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / rate
        self._buckets[address] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        return wait
