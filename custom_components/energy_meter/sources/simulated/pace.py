"""How fast the simulated house lives: as everybody, or a day in some minutes."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final

from .curve import Energy


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """From a moment on, the house's time runs faster than the world's.

    What happens in a house hour then happens in some seconds. Power stays what it is and counters count it for the
    seconds for which it flows in the world, so that meters remain plausible.
    """

    since: float = inf
    """Unix time up to which both times are the same."""
    start: float = 0.0
    """The house's time at that moment, as a Unix time."""
    speed: float = 1.0
    """Seconds of the house in a second of the world."""

    def at(self, time: float) -> float:
        """The house's time at a Unix time."""
        return time if time < self.since else self.start + (time - self.since) * self.speed

    def counted(self, energy: Callable[[float], Energy], time: float) -> Energy:
        """What has flowed until a Unix time; `energy` says it for a house that takes its time."""
        if time < self.since:
            return energy(time)
        passed = energy(self.at(time)) - energy(self.start)
        return energy(self.since) + Energy(passed.taken / self.speed, passed.given / self.speed)


NORMAL: Final = Pace()
