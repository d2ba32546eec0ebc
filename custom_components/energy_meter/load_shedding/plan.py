"""What the user has said: the limits of the supply, the loads that may go off, and how careful to be.

Powers are in watts, currents in amperes, times in seconds.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite


class Phase(StrEnum):
    """A conductor of the supply."""

    L1 = "l1"
    L2 = "l2"
    L3 = "l3"


class Measure(StrEnum):
    """What a limit is about."""

    POWER = "power"
    """In watts, taken from the grid; negative while the house feeds back."""
    CURRENT = "current"
    """In amperes."""


class Urgency(StrEnum):
    """How a limit is answered."""

    HARD = "hard"
    """At once: a fuse."""
    SOFT = "soft"
    """After a while and one load at a time: a contract, a tariff, a wish."""


HARD_DELAY_LIMIT = 2.0
"""A hard limit is answered within one reading and this."""


class PlanError(ValueError):
    """Something in the plan cannot be."""


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise PlanError(what)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What may flow at one place of the supply.

    Raises:
        PlanError: a number makes no sense.
    """

    id: str
    name: str
    measure: Measure
    value: float | None
    """Watts or amperes; None: it follows a sensor, and `Controller.bound` says what it is."""
    phase: Phase | None = None
    """The conductor that is measured; None: all together, or the only one."""
    urgency: Urgency = Urgency.HARD
    delay: float = 0.0
    """How long it has to be exceeded without a break before anything happens."""
    freshness: float = 60.0
    """How old a reading may be."""
    bound_freshness: float | None = None
    """How old the value that a limit follows may be; None: as old as it likes."""
    highest: float | None = None
    """The highest reading to believe; None: several times the limit."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _require(self.value is None or (isfinite(self.value) and self.value > 0), "limit value")
        _require(isfinite(self.delay) and self.delay >= 0, "limit delay")
        _require(
            self.urgency is Urgency.SOFT or self.delay <= HARD_DELAY_LIMIT, "delay of a hard limit"
        )
        _require(isfinite(self.freshness) and self.freshness > 0, "limit freshness")

    def __hash__(self) -> int:
        """Limits are looked up often."""
        return hash(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimming:
    """A load that takes more or less, such as a wallbox with a current to set.

    Raises:
        PlanError: a number makes no sense.
    """

    minimum: float
    """The lowest level at which it still runs, in the units of its control."""
    step: float
    watts: float
    """Power per unit of level."""
    off: float | None = None
    """The level at which it takes nothing; None: it may not go below the minimum."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        numbers = (self.minimum, self.step, self.watts, self.off or 0.0)
        _require(all(isfinite(number) for number in numbers), "dimming")
        _require(self.step > 0 and self.watts > 0 and self.minimum >= 0, "dimming")
        _require(self.off is None or self.off <= self.minimum, "level for off")

    def below(self, level: float) -> float:
        """The highest level of the grid of steps from the minimum up that is not above `level`."""
        if level < self.minimum:
            return self.minimum if self.off is None else self.off
        return self.minimum + ((level - self.minimum + 1e-6) // self.step) * self.step

    def power(self, level: float) -> float:
        """What it takes at a level at most, watts."""
        if self.off is not None and level <= self.off:
            return 0.0
        return max(0.0, level) * self.watts


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Something that may go off when there is too little for all.

    Raises:
        PlanError: a number makes no sense.
    """

    id: str
    name: str
    order: int
    """The lowest goes off first and comes back last."""
    power: float | None = None
    """Expected power while it runs; None: known only as far as it is measured."""
    phases: frozenset[Phase] = frozenset()
    """The conductors that it loads evenly; empty: the house has only one."""
    limits: frozenset[str] = frozenset()
    """Ids of the limits that it counts towards; empty: all."""
    min_on: float = 0.0
    """How long it has to stay on once it runs."""
    min_off: float = 0.0
    """How long it has to stay off once it is off."""
    restorable: bool = True
    """Whether it may come back by itself."""
    protected: bool = False
    """Never touched: what feeds the network or Home Assistant."""
    dimming: Dimming | None = None
    reaction: float = 1.0
    """How long after its switch it takes until the supply's meter shows it."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _require(self.power is None or (isfinite(self.power) and self.power >= 0), "load power")
        _require(
            all(isfinite(one) and one >= 0 for one in (self.min_on, self.min_off, self.reaction)),
            "load times",
        )

    def __hash__(self) -> int:
        """Loads are looked up often."""
        return hash(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How careful to be.

    Raises:
        PlanError: a number makes no sense.
    """

    margin: float = 300.0
    """Watts that have to be left when a load comes back."""
    restore_delay: float = 120.0
    """How long there has to be room before a load comes back."""
    per_pass: int = 3
    """Loads that are switched at once, at most."""
    per_hour: int = 30
    """Switchings in an hour, at most."""
    hold: float = 3_600.0
    """How long a load is left alone that somebody has switched on by hand."""
    voltage: float = 230.0
    """Between a phase and neutral, for what is limited in amperes."""
    near: float = 0.9
    """The part of a limit from which on there is a warning."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        numbers = (self.margin, self.restore_delay, self.hold)
        _require(all(isfinite(one) and one >= 0 for one in numbers), "settings")
        _require(self.per_pass >= 1 and self.per_hour >= 2, "caps")
        _require(isfinite(self.voltage) and self.voltage > 0, "voltage")


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that the user has said.

    Raises:
        PlanError: two limits or two loads have one id.
    """

    limits: tuple[Limit, ...] = ()
    loads: tuple[Load, ...] = ()
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for things in (self.limits, self.loads):
            ids = [thing.id for thing in things]
            _require(len(ids) == len(set(ids)), "two of one id")

    @property
    def ordered(self) -> list[Load]:
        """The loads as they go off."""
        return in_order(self.loads)

    def effect(self, load: Load, limit: Limit, watts: float) -> float:
        """What `watts` of a load are in what a limit measures, in the limit's unit."""
        if load.limits and limit.id not in load.limits:
            return 0.0
        if limit.phase is not None and load.phases:
            if limit.phase not in load.phases:
                return 0.0
            watts /= len(load.phases)
        return self.in_unit(limit, watts)

    def in_unit(self, limit: Limit, watts: float) -> float:
        """Watts in the unit of a limit."""
        return watts / self.settings.voltage if limit.measure is Measure.CURRENT else watts


def in_order(loads: Iterable[Load]) -> list[Load]:
    """Loads as they go off; one of the same number as another keeps its place by its id."""
    return sorted(loads, key=lambda load: (load.order, load.id))
