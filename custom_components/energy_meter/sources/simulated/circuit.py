"""A place in the simulated house where a meter sits, and a switch in front of a load."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from math import hypot
from typing import TYPE_CHECKING, Final

from . import loads
from .curve import Curve, Energy, missed
from .loads import Week

if TYPE_CHECKING:
    from .mains import Mains

PHASES: Final = ("l1", "l2", "l3")
INSTALLED: Final = datetime(2025, 3, 3, tzinfo=UTC).timestamp()
"""When the meters were put in: their counters were zero."""
DEMAND_PERIOD: Final = 900
"""Seconds over which a demand is averaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """One phase, or all together, at one instant: W, var, V, A."""

    power: float
    reactive: float
    voltage: float
    current: float

    @property
    def apparent(self) -> float:
        """Apparent power in VA, from the powers' vector."""
        return hypot(self.power, self.reactive)

    @property
    def factor(self) -> float:
        """Power factor, with the sign of the active power."""
        return self.power / self.apparent if self.apparent else 1.0


@dataclass(frozen=True, slots=True)
class Conductor:
    """Power on one phase, or on all together, over the week."""

    active: Curve
    reactive: Curve
    apparent: Curve

    @classmethod
    def of(cls, active: Week, reactive: Week) -> Conductor:
        """Add the apparent power to active and reactive power."""
        return cls(Curve(active), Curve(reactive), Curve(map(hypot, active, reactive, strict=True)))


class Relay:
    """A switch in front of a load; relays alone have a past in this house."""

    def __init__(self, load: Circuit) -> None:
        """Start switched on."""
        self.load = load
        self.changes: list[float] = []
        """Unix times: off, on, off …"""

    @property
    def is_on(self) -> bool:
        """Whether the load has its supply."""
        return len(self.changes) % 2 == 0

    def was_on(self, time: float) -> bool:
        """Whether it was on at a Unix time."""
        return bisect_right(self.changes, time) % 2 == 0

    def switch(self, on: bool, time: float) -> None:
        """Switch at a Unix time that is not before the last change."""
        if on != self.is_on:
            self.changes.append(time)


class Circuit:
    """A place in the house where a meter sits."""

    def __init__(self, mains: Mains, conductors: Mapping[str, tuple[Week, Week]]) -> None:
        """Take active and reactive power by the house's phase: one of them or all three."""
        self.mains = mains
        self.phases = tuple(conductors)
        self._conductors = {phase: Conductor.of(*weeks) for phase, weeks in conductors.items()}
        self._total = (
            Conductor.of(*(loads.add(*weeks) for weeks in zip(*conductors.values(), strict=True)))
            if len(conductors) > 1
            else next(iter(self._conductors.values()))
        )
        self._relays: list[Relay] = []
        self._missed: dict[str | None, tuple[Energy, float]] = {}

    def pass_through(self, relay: Relay) -> None:
        """Let a relay switch a part of what flows here."""
        self._relays.append(relay)

    def conductor(self, phase: str | None) -> Conductor:
        """The week of one phase of the house; None for all together."""
        return self._total if phase is None else self._conductors[phase]

    def _off(self, phase: str | None, time: float) -> list[Conductor]:
        """What is switched off at a Unix time, of what flows on a phase or on all together."""
        return [
            relay.load.conductor(phase)
            for relay in self._relays
            if not relay.was_on(time) and (phase is None or phase in relay.load.phases)
        ]

    def _not_taken(self, phase: str | None, time: float) -> Energy:
        """Energy that the curve counts too much until a Unix time, because loads were off.

        What was counted once is kept: the times asked for have to go up.
        """
        curve, pace = self.conductor(phase).active, self.mains.pace
        energy, until = self._missed.get(phase, (Energy(0, 0), 0.0))
        turns = {pace.since, *(change for relay in self._relays for change in relay.changes)}
        marks = sorted({until, time} | {each for each in turns if until < each < time})
        for start, end in pairwise(marks if until < time else ()):
            if off := [load.active for load in self._off(phase, start)]:
                more = missed(curve, off, pace.at(start), pace.at(end))
                speed = pace.speed if start >= pace.since else 1.0
                energy += Energy(more.taken / speed, more.given / speed)
        self._missed[phase] = (energy, max(until, time))
        return energy

    def at(self, phase: str | None, time: float) -> Instant:
        """One phase of the house, or all together, at a Unix time."""
        if phase is None and len(self.phases) > 1:
            each = [self.at(one, time) for one in self.phases]
            return Instant(
                power=sum(one.power for one in each),
                reactive=sum(one.reactive for one in each),
                voltage=sum(one.voltage for one in each) / len(each),
                current=sum(one.current for one in each),
            )
        phase = phase or self.phases[0]
        conductor = self._conductors[phase]
        house_time = self.mains.pace.at(time)
        power, reactive = conductor.active.power(house_time), conductor.reactive.power(house_time)
        for load in self._off(phase, time):
            power -= load.active.power(house_time)
            reactive -= load.reactive.power(house_time)
        voltage = self.mains.voltage(phase, time)
        current = hypot(power, reactive) / voltage
        return Instant(power=power, reactive=reactive, voltage=voltage, current=current)

    def energy(self, phase: str | None, time: float) -> Energy:
        """Active energy since the meter's installation, kWh."""
        curve = self.conductor(phase).active
        energy = self.mains.pace.counted(curve.energy, time) - curve.energy(INSTALLED)
        return energy - self._not_taken(phase, time)

    def reactive_energy(self, phase: str | None, time: float) -> Energy:
        """Reactive energy since the meter's installation, kvarh; as if no relay had switched."""
        curve = self.conductor(phase).reactive
        return self.mains.pace.counted(curve.energy, time) - curve.energy(INSTALLED)

    def apparent_energy(self, phase: str | None, time: float) -> float:
        """Apparent energy since the meter's installation, kVAh; as if no relay had switched."""
        curve = self.conductor(phase).apparent
        return (self.mains.pace.counted(curve.energy, time) - curve.energy(INSTALLED)).taken

    def demand(self, phase: str | None, time: float) -> Energy:
        """Mean power taken and given over the demand period before a Unix time, W."""
        curve = self.conductor(phase).active
        end = self.mains.pace.at(time)
        energy = curve.energy(end) - curve.energy(end - DEMAND_PERIOD)
        return Energy(
            energy.taken * 3_600_000 / DEMAND_PERIOD, energy.given * 3_600_000 / DEMAND_PERIOD
        )

    @cached_property
    def extremes(self) -> tuple[float, float, float]:
        """Lowest power, highest power and highest demand in W: the same in every week."""
        curve = self._total.active
        return curve.lowest, curve.highest, curve.highest_mean(DEMAND_PERIOD)
