"""Sensors that cannot be right: driven to their end, or not moving at all.

A current transformer's or Hall sensor's reading is never the same for a day while the voltage beside it varies: noise
alone moves its last digit. One that is has come loose, is not connected, or its dead band hides all there is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ..model import Value

WINDOW: Final = 600.0
"""Seconds over which flags are counted."""
LEAST_READINGS: Final = 5
"""Readings in a window before anything is concluded from it."""
CLIPPED: Final = 0.1
"""Share of readings whose input was driven to its end that makes energy wrong."""
STUCK: Final = 0.5
"""Share of readings that a board itself calls stuck."""
UNMOVED: Final = 86_400.0
"""Seconds of one and the same current."""
UNMOVED_READINGS: Final = 200
"""Readings in that time, so that nothing is concluded from a node that sleeps most of the day."""
LIVE: Final = 10.0
"""V above which there is voltage at all."""
_SUFFIXES: Final = ("", "_l1", "_l2", "_l3")


class SensorTrouble(StrEnum):
    """What is wrong with a sensor; the values are the flags of the bridge protocol."""

    CLIPPING = "clipping"
    STUCK = "stuck"


@dataclass(slots=True)
class _Still:
    """A current that has not moved since."""

    current: float
    since: float
    readings: int
    voltage: float
    voltage_moved: bool


class SensorWatch:
    """Collects the signs of one meter over minutes and hours."""

    def __init__(self) -> None:
        """Begin with no signs."""
        self._start: float | None = None
        self._readings = 0
        self._flagged: dict[SensorTrouble, int] = {}
        self._by_flags: frozenset[SensorTrouble] = frozenset()
        self._still: dict[str, _Still] = {}
        self._unmoved: set[str] = set()

    def look(self, time: float, values: Mapping[str, Value], flags: Iterable[str]) -> None:
        """Take one reading, `time` in Unix seconds."""
        self._count(time, frozenset(flags))
        for suffix in _SUFFIXES:
            voltage, current = values.get(f"voltage{suffix}"), values.get(f"current{suffix}")
            if voltage is not None and current is not None:
                self._compare(suffix, time, voltage, current)

    @property
    def found(self) -> frozenset[SensorTrouble]:
        """What the signs speak for."""
        return self._by_flags | ({SensorTrouble.STUCK} if self._unmoved else set())

    @property
    def unmoved(self) -> tuple[str, ...]:
        """Keys of the currents that have not moved."""
        return tuple(f"current{suffix}" for suffix in sorted(self._unmoved))

    def _count(self, time: float, flags: frozenset[str]) -> None:
        if self._start is None or time < self._start:
            self._start = time
        if time - self._start >= WINDOW:
            if self._readings >= LEAST_READINGS:
                self._by_flags = frozenset(
                    trouble
                    for trouble, share in (
                        (SensorTrouble.CLIPPING, CLIPPED),
                        (SensorTrouble.STUCK, STUCK),
                    )
                    if self._flagged.get(trouble, 0) >= share * self._readings
                )
            self._start, self._readings, self._flagged = time, 0, {}
        self._readings += 1
        for trouble in SensorTrouble:
            if trouble in flags:
                self._flagged[trouble] = self._flagged.get(trouble, 0) + 1

    def _compare(self, suffix: str, time: float, voltage: float, current: float) -> None:
        if abs(voltage) < LIVE:
            self._still.pop(suffix, None)  # Without voltage a current of 0 is right.
            self._unmoved.discard(suffix)
            return
        still = self._still.get(suffix)
        if still is None or still.current != current:
            self._still[suffix] = _Still(current, time, 1, voltage, voltage_moved=False)
            self._unmoved.discard(suffix)
            return
        still.readings += 1
        still.voltage_moved |= voltage != still.voltage
        if (
            still.voltage_moved
            and still.readings >= UNMOVED_READINGS
            and time - still.since >= UNMOVED
        ):
            self._unmoved.add(suffix)
