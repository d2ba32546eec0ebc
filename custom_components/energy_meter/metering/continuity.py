"""Counters that go on where they were when a meter restarts.

A small meter saves its counters now and then. After a loss of its supply it goes on from what was saved, which is a
little less than what it said last. It says so by another number of its start; what is missing is added from then on.
A fall without a new start is passed on as it is: the guard judges it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
import math
from typing import Any, Final

_DIGITS: Final = 9
"""Behind the point; sums of floats keep no more."""


@dataclass(slots=True)
class _Counter:
    start: int
    last: float
    offset: float


class Continuity:
    """The counters of one meter, by quantity, in their units."""

    def __init__(self, state: object = None) -> None:
        """Begin with nothing known, or where `to_dict` ended; what is broken in it is ignored."""
        self._counters: dict[str, _Counter] = {}
        for key, kept in state.items() if isinstance(state, Mapping) else ():
            match kept:
                case [int(start), int() | float() as last, int() | float() as offset] if (
                    math.isfinite(last) and math.isfinite(offset) and offset >= 0
                ):
                    self._counters[str(key)] = _Counter(start, float(last), float(offset))

    def take(self, key: str, start: int, value: float) -> float:
        """A counter's figure as it counts on over restarts.

        Args:
            key: the quantity.
            start: number of the meter's start.
            value: the figure as the meter says it; finite.
        """
        counter = self._counters.setdefault(key, _Counter(start, value, 0.0))
        if start != counter.start and value < counter.last:
            counter.offset = round(counter.offset + counter.last - value, _DIGITS)
        counter.start, counter.last = start, value
        return round(value + counter.offset, _DIGITS)

    def to_dict(self) -> dict[str, Any]:
        """All that a restart has to know, ready for JSON."""
        return {
            key: [counter.start, counter.last, counter.offset]
            for key, counter in self._counters.items()
        }
