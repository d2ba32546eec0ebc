"""Time: milliseconds since the start that never wrap, and Unix time once somebody has told it."""

import time

_UNIX_OF_EPOCH = 946684800 if time.gmtime(0)[0] == 2000 else 0
"""The ESP32 counts from the year 2000, a PC from 1970."""
_EARLIEST = 1_750_000_000
"""A clock that shows less than this has never been set."""


class Clock:
    """The bridge's only source of time, so that a test can move it."""

    def __init__(self, ticks=time.ticks_ms, diff=time.ticks_diff, start=0):
        """Take the port's tick counter, which wraps every twelve days: `ms`, from `start` on, has to be called more often."""
        self._ticks = ticks
        self._diff = diff
        self._last = ticks()
        self._ms = start
        self._unix = None

    def ms(self):
        """Milliseconds since the start."""
        now = self._ticks()
        self._ms += self._diff(now, self._last)
        self._last = now
        return self._ms

    def set_unix_ms(self, unix_ms):
        """Learn the time of day: Unix time in milliseconds, now."""
        self._unix = unix_ms - self.ms()

    def unix_ms(self, at=None):
        """Unix time in milliseconds of the instant `at` (of `ms`; now if None), or None while nobody has told it."""
        if self._unix is None:
            return None
        return self._unix + (self.ms() if at is None else at)

    def take_from_rtc(self, seconds=time.time):
        """Use the chip's own clock if somebody set it before a deep sleep or a restart."""
        unix = int(seconds()) + _UNIX_OF_EPOCH
        if unix > _EARLIEST:
            self.set_unix_ms(unix * 1000)
