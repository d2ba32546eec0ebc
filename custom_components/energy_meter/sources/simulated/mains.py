"""Voltage and frequency of the simulated supply, which never stand still."""

from math import pi, sin
from random import Random
from typing import Final

from .curve import Curve
from .pace import NORMAL, Pace

_SWINGS: Final = ((7, 0.12), (23, 0.18), (71, 0.3), (331, 0.5), (1_870, 0.8), (10_400, 1.4))
"""Periods in seconds and how far the voltage swings with them, in volts."""
_BEATS: Final = ((5, 0.002), (19, 0.004), (83, 0.007), (610, 0.011))
"""The same for the frequency, in hertz."""
_NOMINAL: Final = {"l1": 231.4, "l2": 229.8, "l3": 230.6}
_IMPEDANCE: Final = 0.22
"""Of the way to the transformer, in ohms: consumption pulls the voltage down, export lifts it."""


class Mains:
    """The supply as seen at the house's connection."""

    def __init__(self, rng: Random) -> None:
        """Choose where every swing begins."""
        self._voltage = {
            phase: [(period, size, rng.uniform(0, 2 * pi)) for period, size in _SWINGS]
            for phase in _NOMINAL
        }
        self._frequency = [(period, size, rng.uniform(0, 2 * pi)) for period, size in _BEATS]
        self.load: dict[str, Curve] = {}
        """What the house takes on each phase."""
        self.pace: Pace = NORMAL
        """Of everything that hangs here."""

    def voltage(self, phase: str, time: float) -> float:
        """Phase to neutral at a Unix time, in volts."""
        swing = sum(
            size * sin(2 * pi * time / period + start)
            for period, size, start in self._voltage[phase]
        )
        nominal = _NOMINAL[phase]
        load = self.load[phase].power(self.pace.at(time)) if phase in self.load else 0.0
        return nominal + swing - _IMPEDANCE * load / nominal

    def frequency(self, time: float) -> float:
        """At a Unix time, in hertz."""
        return 50 + sum(
            size * sin(2 * pi * time / period + start) for period, size, start in self._frequency
        )
