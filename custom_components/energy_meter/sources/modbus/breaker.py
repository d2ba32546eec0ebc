"""When to leave a meter that does not answer alone, and for how long.

One failed attempt already makes the next wait; only several of them, over some time, make the meter
silent for all to see (lessons F1, F7).
"""

from typing import Final

FAILURES: Final = 3
"""Attempts that have to fail in a row before a meter counts as silent."""
HOLD: Final = 3.0
"""Seconds that have to pass without an answer, too."""
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 60.0


class Breaker:
    """One meter's circuit breaker: by count and time."""

    __slots__ = ("_failures", "_pause", "answered_at", "failed_at", "silent", "spent", "try_at")

    def __init__(self) -> None:
        """Begin closed: the meter is asked at once."""
        self._failures = 0
        self._pause = FIRST_PAUSE
        self.answered_at: float | None = None
        """When it last answered, on the monotonic clock; at first, when it was first asked."""
        self.failed_at = 0.0
        """When an attempt last failed."""
        self.spent = 0.0
        """Seconds that looking for it has taken since it failed."""
        self.silent = False
        """Whether it has been declared silent."""
        self.try_at = 0.0
        """When it may be asked again."""

    @property
    def failures(self) -> int:
        """Attempts that failed since the last answer."""
        return self._failures

    @property
    def closed(self) -> bool:
        """Whether the meter answers as it should."""
        return self._failures == 0 and not self.silent

    def asked(self, now: float) -> None:
        """The meter is about to be asked."""
        if self.answered_at is None:
            self.answered_at = now

    def failed(self, now: float) -> bool:
        """An attempt, its retry included, brought nothing; return whether the meter now fell silent."""
        self._failures += 1
        self.failed_at = now
        self.try_at = now + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        since = now if self.answered_at is None else self.answered_at
        if self.silent or self._failures < FAILURES or now - since < HOLD:
            return False
        self.silent = True
        return True

    def lost(self) -> bool:
        """The link is gone, and the meter with it, by no fault of its own; return whether it fell silent."""
        was, self.silent = self.silent, True
        return not was

    def answered(self, now: float) -> bool:
        """It answered; return whether it was silent before."""
        was, self.silent = self.silent, False
        self.answered_at = now
        self._failures = 0
        self.spent = 0.0
        self._pause = FIRST_PAUSE
        self.try_at = 0.0
        return was

    def forgive(self) -> None:
        """The whole line was away and is back: the meter's failures were not its own."""
        self._failures = 0
        self.spent = 0.0
        self._pause = FIRST_PAUSE
        self.try_at = 0.0
