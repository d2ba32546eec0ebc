"""Bounds on how much of anything is taken or said."""

from typing import Final

SELDOM: Final = 600.0
"""Seconds between two reports of the same trouble."""


class TokenBucket:
    """Lets through `rate` a second on average and `burst` at once."""

    def __init__(self, rate: float, burst: float) -> None:
        """Begin full."""
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at: float | None = None

    def take(self, now: float, cost: float = 1) -> bool:
        """Whether something of that cost may pass now (seconds of a monotonic clock)."""
        if self._at is not None:
            self._tokens = min(self._burst, self._tokens + max(now - self._at, 0) * self._rate)
        self._at = now
        if self._tokens < cost:
            return False
        self._tokens -= cost
        return True

    def spend(self, cost: float) -> None:
        """Take what was only known afterwards; nothing more passes until it has been made good."""
        self._tokens -= cost


class Seldom:
    """Whether something may be said again; once in `SELDOM` seconds per key."""

    def __init__(self, seconds: float = SELDOM) -> None:
        """Begin with nothing said."""
        self._seconds = seconds
        self._said: dict[str, float] = {}

    def may(self, key: str, now: float) -> bool:
        """Whether the key's time has come; then it counts as said."""
        if key in self._said and now - self._said[key] < self._seconds:
            return False
        self._said[key] = now
        return True
