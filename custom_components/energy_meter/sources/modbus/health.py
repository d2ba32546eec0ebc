"""Counters and moving averages of a line and its meters."""

from dataclasses import dataclass, field
import math
from typing import Final

_RATE_GAIN: Final = 1 / 50
"""An error rate looks back over about fifty requests."""
_LOAD_MEMORY: Final = 60.0
"""Seconds that the line's load looks back over."""


@dataclass(slots=True)
class Counters:
    """What is counted for a meter, and likewise for the line; since start."""

    requests: int = 0
    errors: int = 0
    retries: int = 0
    timeouts: int = 0
    error_rate: float | None = None
    """Share of requests without a usable answer, of late."""

    def sent(self, *, failed: bool, timeout: bool = False) -> None:
        """Count one request."""
        self.requests += 1
        self.errors += failed
        self.timeouts += timeout
        rate = self.error_rate
        self.error_rate = float(failed) if rate is None else rate + _RATE_GAIN * (failed - rate)


@dataclass(slots=True)
class Load:
    """Share of time that a line is busy, of late."""

    _share: float = 0.0
    _since: float | None = None
    _until: float | None = None

    def busy(self, begin: float, end: float) -> None:
        """Take one request that occupied the line from `begin` to `end`."""
        if self._since is None:
            self._since = begin
        before = begin if self._until is None else min(self._until, begin)
        self._share = self._share * math.exp((before - end) / _LOAD_MEMORY) + (
            1 - math.exp((begin - end) / _LOAD_MEMORY)
        )
        self._until = end

    def share(self, now: float) -> float | None:
        """Return the load at `now`, 0 to 1; None before the first request."""
        if self._since is None or self._until is None:
            return None
        # A line that is young has not had time to fill the average.
        warm = 1 - math.exp((self._since - max(now, self._until)) / _LOAD_MEMORY)
        share = self._share * math.exp(min(self._until - now, 0) / _LOAD_MEMORY)
        return min(share / warm, 1.0) if warm > 0 else None


@dataclass(slots=True)
class LineCounters(Counters):
    """What is counted for a line on top."""

    overruns: int = 0
    recycled: int = 0
    foreign_traffic: int = 0
    load: Load = field(default_factory=Load)
