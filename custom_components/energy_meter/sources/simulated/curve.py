"""Power over one week, repeated for ever, and its exact integral."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .loads import DAY, STEP, WEEK

_MARK = 10
"""Knots between two marks at which the energy so far is kept."""
_KWH = 3_600_000
EPOCH = 4 * DAY
"""Monday 5 January 1970: Unix times are counted from here to find the place in the week."""


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy in the two directions, in kWh (or kvarh, kVAh)."""

    taken: float
    given: float

    def __add__(self, other: Energy) -> Energy:
        """Both directions added up."""
        return Energy(self.taken + other.taken, self.given + other.given)

    def __sub__(self, other: Energy) -> Energy:
        """Both directions taken off."""
        return Energy(self.taken - other.taken, self.given - other.given)


def above_zero(start: float, end: float) -> float:
    """The mean over a straight line's way from `start` to `end` of what lies above zero."""
    if start >= 0 and end >= 0:
        return (start + end) / 2
    if start <= 0 and end <= 0:
        return 0.0
    high = max(start, end)
    return high * high / (2 * abs(end - start))


class Curve:
    """Power that runs straight from knot to knot and repeats every week."""

    def __init__(self, knots: Iterable[float]) -> None:
        """Take the power at the knots, in watts (or var, VA), and add up the week."""
        self._knots = array("d", knots)
        taken = given = 0.0
        marks = [Energy(0, 0)]
        for index, start in enumerate(self._knots):
            end = self._at(index + 1)
            taken += above_zero(start, end) * STEP
            given += above_zero(-start, -end) * STEP
            if (index + 1) % _MARK == 0:
                marks.append(Energy(taken / _KWH, given / _KWH))
        self._marks = marks

    def _at(self, knot: int) -> float:
        return self._knots[knot % len(self._knots)]

    def power(self, time: float) -> float:
        """The power at a Unix time."""
        place = (time - EPOCH) % WEEK / STEP
        knot = int(place)
        start = self._at(knot)
        return start + (self._at(knot + 1) - start) * (place - knot)

    def energy(self, time: float) -> Energy:
        """The energy from the epoch to a Unix time; never falls with time."""
        weeks, second = divmod(time - EPOCH, WEEK)
        last = int(second / STEP)
        mark = last // _MARK
        taken = given = 0.0
        for knot in range(mark * _MARK, last):
            start, end = self._at(knot), self._at(knot + 1)
            taken += above_zero(start, end)
            given += above_zero(-start, -end)
        start, end, rest = self._at(last), self.power(time), second - last * STEP
        taken = taken * STEP + above_zero(start, end) * rest
        given = given * STEP + above_zero(-start, -end) * rest
        week, before = self._marks[-1], self._marks[mark]
        return Energy(
            weeks * week.taken + before.taken + taken / _KWH,
            weeks * week.given + before.given + given / _KWH,
        )

    def highest_mean(self, seconds: int) -> float:
        """The highest mean of the part above zero over `seconds`, a multiple of five minutes."""
        width = seconds // (STEP * _MARK)
        return max(
            (later.taken - sooner.taken) * _KWH / seconds
            for sooner, later in zip(self._marks, self._marks[width:], strict=False)
        )

    @property
    def highest(self) -> float:
        """The highest power of the week."""
        return max(self._knots)

    @property
    def lowest(self) -> float:
        """The lowest power of the week."""
        return min(self._knots)


def missed(curve: Curve, loads: Sequence[Curve], start: float, end: float) -> Energy:
    """How much more energy `curve` counts between two Unix times than it would without `loads` in it."""
    taken = given = 0.0
    while start < end:
        stop = min(end, (start // STEP + 1) * STEP)
        before, after = curve.power(start), curve.power(stop)
        off_before = before - sum(load.power(start) for load in loads)
        off_after = after - sum(load.power(stop) for load in loads)
        taken += (above_zero(before, after) - above_zero(off_before, off_after)) * (stop - start)
        given += (above_zero(-before, -after) - above_zero(-off_before, -off_after)) * (
            stop - start
        )
        start = stop
    return Energy(taken / _KWH, given / _KWH)
