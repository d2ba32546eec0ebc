"""One limit and what is measured against it: how fresh, how far over, how much room and since when."""

from collections import deque
from math import isfinite

from .plan import Limit, Measure

BELIEVABLE = 5.0
"""Times a limit up to which a reading is believed: beyond, the supply would be gone."""
LEAST_BELIEVABLE = {Measure.POWER: 25_000.0, Measure.CURRENT: 125.0}
"""What is believed in any case, for limits that are low or follow something that can be zero."""


class Gauge:
    """The state of one limit. Nothing here acts."""

    def __init__(self, limit: Limit, window: float) -> None:
        """Start without a reading.

        Args:
            limit: what is measured against.
            window: seconds over which the least room is remembered.
        """
        self.limit = limit
        self.window = window
        self.value: float | None = None
        """The last good reading, less what a rehearsal would have switched off."""
        self.value_at: float | None = None
        self.over_since: float | None = None
        self.refused = 0
        """Readings that were not believed."""
        self._bound: float | None = None
        self._bound_at: float | None = None
        self._fresh_since: float | None = None
        self._current: float | None = None
        """The headroom of the last reading."""
        self._rooms: deque[tuple[float, float]] = deque()
        """Headrooms of readings before, and until when each was the last: from the least to the newest."""

    def configure(self, limit: Limit, window: float, now: float) -> None:
        """Go on with a changed limit."""
        bound = self.bound(now)
        self.limit, self.window = limit, window
        if bound != self.bound(now):
            self._note(now)

    def bound(self, now: float) -> float | None:
        """The limit itself, W or A; None: it follows something that is not known now."""
        if self.limit.value is not None:
            return self.limit.value
        age = self.limit.bound_freshness
        if self._bound_at is None or (age is not None and now - self._bound_at > age):
            return None
        return self._bound

    def take_bound(self, value: float | None, now: float) -> bool:
        """Take what the limit follows; return whether it was believed. None: it is not known."""
        if value is None:
            self._bound = self._bound_at = None
            self._lose()
            return True
        if not isfinite(value) or abs(value) > 10_000_000:
            self.refused += 1
            return False
        self._bound, self._bound_at = max(0.0, value), now
        self._note(now)
        return True

    def take(self, value: float | None, now: float) -> bool:
        """Take a reading; return whether it was believed. None: the sensor has nothing to say.

        What is not believed changes nothing: the last good reading counts until it is too old.
        """
        if value is None:
            self._lose()
            return True
        if not isfinite(value) or abs(value) > self._ceiling(now):
            self.refused += 1
            return False
        if not self.fresh(now):
            self._lose()
        self.value, self.value_at = value, now
        self._note(now)
        return True

    def fresh(self, now: float) -> bool:
        """Whether there is a reading and a limit to act upon."""
        return (
            self.value_at is not None
            and now - self.value_at <= self.limit.freshness
            and self.bound(now) is not None
        )

    def headroom(self, now: float) -> float | None:
        """What may flow in addition, negative when it is too much already; None: not known."""
        bound = self.bound(now)
        if bound is None or self.value is None or not self.fresh(now):
            return None
        return bound - self.value

    def over(self, now: float) -> bool:
        """Whether the limit is exceeded for all that is known."""
        headroom = self.headroom(now)
        return headroom is not None and headroom < 0

    def due(self, now: float) -> float | None:
        """When it will have been exceeded for long enough; None: it is not exceeded."""
        if self.over_since is None or not self.over(now):
            return None
        return self.over_since + self.limit.delay

    def room(self, now: float) -> float | None:
        """The least headroom in the window; None: it was not known all the time."""
        known_from = self.known_from(now)
        if known_from is None or known_from > now - self.window:
            return None
        while self._rooms and self._rooms[0][0] <= now - self.window:
            self._rooms.popleft()
        if self._current is None or not self._rooms:
            return self._current
        return min(self._current, self._rooms[0][1])

    def known_from(self, now: float) -> float | None:
        """Since when there have been readings without a gap; None: there are none now."""
        return self._fresh_since if self.fresh(now) else None

    def shift(self, seconds: float) -> None:
        """Follow a clock that was set back or forth."""
        for name in ("value_at", "over_since", "_bound_at", "_fresh_since"):
            if (at := getattr(self, name)) is not None:
                setattr(self, name, at + seconds)
        self._rooms = deque((at + seconds, room) for at, room in self._rooms)

    def _ceiling(self, now: float) -> float:
        if self.limit.highest is not None:
            return self.limit.highest
        return max(BELIEVABLE * (self.bound(now) or 0.0), LEAST_BELIEVABLE[self.limit.measure])

    def _lose(self) -> None:
        self.value = self.value_at = self.over_since = self._fresh_since = self._current = None
        self._rooms.clear()

    def _note(self, now: float) -> None:
        """Keep book after a new reading or a new limit."""
        headroom = self.headroom(now)
        if headroom is None:
            return
        if self._fresh_since is None:
            self._fresh_since = now
        if headroom >= 0:
            self.over_since = None
        elif self.over_since is None:
            self.over_since = now
        if self._current is not None:
            # The deque rises from its front, which so is the least of the window.
            while self._rooms and self._rooms[-1][1] >= self._current:
                self._rooms.pop()
            self._rooms.append((now, self._current))
        self._current = headroom
