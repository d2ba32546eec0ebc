"""When something was measured: a bridge's word about it, turned into our own clocks, never backwards per meter."""

from collections.abc import Mapping
from typing import Final

from ...model import QUANTITIES, Value
from .protocol import Taken
from .sequence import Instant

MAX_AGE: Final = 40 * 86_400.0
MAX_AHEAD: Final = 300.0
_BACKWARDS: Final = 60.0
"""Seconds that a meter's time may go back before it is called a wrong clock."""
_UNDATED_FOR: Final = 5.0
"""Seconds that values of unknown time wait for a dated reading of the meter."""


class WrongClockError(Exception):
    """A time that cannot be; the argument says how far off, seconds into the past."""


def instant(taken: Taken, now: Instant) -> Instant | None:
    """When that was; None if the bridge does not know.

    Raises:
        WrongClockError: more than 40 days back or 5 minutes ahead.
    """
    age = now.unix - taken.at if taken.at is not None else taken.age
    if age is None:
        return None
    if not -MAX_AHEAD <= age <= MAX_AGE:
        raise WrongClockError(age)
    # What lies ahead a little was measured just now by a clock that is a little fast.
    age = max(age, 0.0)
    return Instant(now.monotonic - age, now.unix - age)


def counters(values: Mapping[str, Value]) -> dict[str, Value]:
    """Those values that mean something without a time."""
    return {key: value for key, value in values.items() if QUANTITIES[key].counts is not None}


class MeterClock:
    """Keeps each meter's readings in the order of time.

    Counters of unknown time wait here for the meter's next dated reading, just before which they count: a bridge
    that lost its clock sends them first, and hours of dated readings may follow.
    """

    def __init__(self) -> None:
        """Begin with no meter."""
        self._last: dict[str, float] = {}
        self._undated: dict[str, tuple[float, dict[int | None, dict[str, Value]]]] = {}
        """{meter: (when they began to wait, {start of the meter: counters})}."""

    def forget_others(self, meters: frozenset[str]) -> None:
        """Keep only these meters."""
        for memory in (self._last, self._undated):
            for meter in memory.keys() - meters:
                del memory[meter]

    def order(self, meter: str, when: Instant) -> tuple[Instant, bool]:
        """(the time to use, whether the bridge's own was far before what it had said of this meter)."""
        last = self._last.get(meter)
        if last is None or when.monotonic >= last:
            self._last[meter] = when.monotonic
            return when, False
        behind = last - when.monotonic
        return Instant(last, when.unix + behind), behind > _BACKWARDS

    def is_past(self, meter: str, when: Instant) -> bool:
        """Whether a later reading of the meter has been used."""
        return meter in self._last and when.monotonic < self._last[meter]

    def keep_undated(
        self, meter: str, values: Mapping[str, Value], start: int | None, now: float
    ) -> None:
        """Remember counters that came without a time, and which start of the meter they are of."""
        _, kept = self._undated.setdefault(meter, (now, {}))
        kept.setdefault(start, {}).update(counters(values))

    def take_undated(self, meter: str) -> dict[int | None, dict[str, Value]]:
        """{start of the meter: counters that wait for a dated reading of it}, oldest first."""
        if meter not in self._undated:
            return {}
        return self._undated.pop(meter)[1]

    def overdue(self, now: float) -> list[str]:
        """Meters whose undated counters have waited long enough."""
        return [meter for meter, (since, _) in self._undated.items() if now - since >= _UNDATED_FOR]
