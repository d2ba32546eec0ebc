"""A day at a supply of 11 kW: the oven and the car together are too much, so the water heater and the car make room.

Pure: what each thing takes is a function of the minute of the day and of whether it is switched on.
"""

from dataclasses import dataclass
from math import pi, sin
from typing import Final

LIMIT: Final = 11_000.0
HEATER: Final = 2_000.0
CAR: Final = 7_400.0
MINUTES: Final = 1_440
FAST: Final = 150.0
"""How much faster a day runs with `--fast`: in less than ten minutes."""
FIRST_MINUTE: Final = 17 * 60
"""When a fast day begins: an hour before supper."""


@dataclass(frozen=True, slots=True)
class Use:
    """Something that is used for a part of the day, W."""

    watts: float
    first: float
    """Hour of the day."""
    last: float
    on: float = 1.0
    """The part of ten minutes for which its thermostat lets it heat."""

    def at(self, minute: float) -> float:
        """What it takes at a minute of the day."""
        if not self.first * 60 <= minute < self.last * 60:
            return 0.0
        return self.watts if minute % 10 < 10 * self.on else 0.0


KITCHEN: Final = (
    Use(2_800, 12.0, 12.75, 0.8),
    Use(1_600, 12.25, 12.6),
    Use(2_800, 18.0, 19.0),
    Use(1_800, 18.25, 18.75),
)
"""Oven and hob at noon, and in the evening."""
HEATING: Final = (Use(HEATER, 5.5, 7.0), Use(HEATER, 17.5, 21.5))
CHARGING: Final = (Use(CAR, 0.0, 3.0), Use(CAR, 17.25, 24.0))


def house(minute: float) -> float:
    """What the house takes besides the water heater and the car, W."""
    steady = 520 + 180 * sin(2 * pi * (minute - 420) / MINUTES)
    return steady + sum(use.at(minute) for use in KITCHEN)


def heater(minute: float, *, on: bool) -> float:
    """What the water heater takes, W."""
    return sum(use.at(minute) for use in HEATING) if on else 0.0


def car(minute: float, *, on: bool) -> float:
    """What the car takes, W."""
    return sum(use.at(minute) for use in CHARGING) if on else 0.0


def clock(minute: float) -> str:
    """The minute of the day as a clock shows it."""
    hours, minutes = divmod(int(minute) % MINUTES, 60)
    return f"{hours:02}:{minutes:02}"
