"""Which changes of a value are worth telling, where a hundred circuits say something every second.

A change is told if it is more than the noise of its kind, if the value becomes zero or leaves it for good, and every
minute whatever it is. So a state is never off by more than the tolerance, nor older than a minute.
"""

from collections.abc import Mapping
from typing import Final

from ..model import Kind

LONGEST: Final = 60.0
"""Seconds after which any change is told."""
TOLERANCES: Final[Mapping[Kind, tuple[float, float]]] = {
    Kind.VOLTAGE: (0.5, 0.0),
    Kind.CURRENT: (0.02, 0.005),
    Kind.POWER: (1.0, 0.005),
    Kind.APPARENT_POWER: (1.0, 0.005),
    Kind.REACTIVE_POWER: (1.0, 0.005),
    Kind.POWER_FACTOR: (0.01, 0.0),
    Kind.FREQUENCY: (0.02, 0.0),
    Kind.RATIO: (0.05, 0.0),
}
"""In the kind's unit, and as a share of what was told last; other kinds tell every change."""


class ChangeFilter:
    """Decides for one value."""

    def __init__(self, kind: Kind) -> None:
        """Begin with nothing told."""
        self._tolerance = TOLERANCES.get(kind)
        self._told: float | None = None
        self._at = 0.0

    def passes(self, value: float | None, now: float) -> bool:
        """Whether this is worth telling; what is told counts as told from then on.

        Args:
            value: in the kind's unit; None where there is none, which is always told.
            now: seconds of a monotonic clock.
        """
        told = self._told
        if value is not None and told is not None and self._tolerance is not None:
            absolute, relative = self._tolerance
            small = abs(value - told) <= absolute + relative * abs(told)
            if small and now - self._at < LONGEST and (value == 0) == (told == 0):
                return False
        self.told(value, now)
        return True

    def told(self, value: float | None, now: float) -> None:
        """This has been told, whatever it is."""
        self._told, self._at = value, now
