"""Limits of a meter: which of its values are watched, and when one counts as exceeded.

A limit is exceeded once its value has been beyond the threshold for `delay_on` seconds, and is over once the value
has been back by more than the hysteresis for `delay_off` seconds. Between threshold and hysteresis nothing changes, so that
a value that trembles around its threshold says one thing, not twenty. A value that is not known says nothing: what was
being waited for begins anew.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
import math
from typing import Any, Final, Self

from ..model import Value
from .derive import PHASES

NOMINAL_VOLTAGE: Final = 230.0
"""V, for suggestions where no voltage is known; IEC 60038."""
LEAST_CURRENT: Final = 0.05
"""Share of the rating below which phases may differ as they like, and a power factor means nothing."""
DEFAULT_RATING: Final = 16.0
"""A, where nobody has said what the circuit carries."""


class LimitKind(StrEnum):
    """What is watched."""

    OVER_POWER = "over_power"
    OVER_CURRENT = "over_current"
    OVER_VOLTAGE = "over_voltage"
    UNDER_VOLTAGE = "under_voltage"
    OVER_FREQUENCY = "over_frequency"
    UNDER_FREQUENCY = "under_frequency"
    LOW_POWER_FACTOR = "low_power_factor"
    PHASE_IMBALANCE = "phase_imbalance"
    SILENT = "silent"


class LimitState(StrEnum):
    """How a limit stands."""

    UNKNOWN = "unknown"
    """No value to judge by."""
    CLEAR = "clear"
    EXCEEDED = "exceeded"


@dataclass(frozen=True, slots=True)
class Watched:
    """A value that a limit judges, and what it was made from."""

    value: float
    key: str
    """The quantity that it is, or that is the worst of several: `current_l2`."""


type Pick = Callable[[Mapping[str, Value], float], Watched | None]
"""Finds in `{quantity: value}` what a limit judges; the second argument is the circuit's rating, A."""


def _numbers(values: Mapping[str, Value], base: str) -> dict[str, float]:
    """The phases' values of a quantity, or its only one."""
    phases = {f"{base}_{phase}": values.get(f"{base}_{phase}") for phase in PHASES}
    found = {
        key: float(value)
        for key, value in phases.items()
        if value is not None and math.isfinite(value)
    }
    if found:
        return found
    only = values.get(base)
    return {base: float(only)} if only is not None and math.isfinite(only) else {}


def _most(base: str) -> Pick:
    def pick(values: Mapping[str, Value], _rating: float) -> Watched | None:
        found = _numbers(values, base)
        key = max(found, key=lambda each: abs(found[each]), default=None)
        return None if key is None else Watched(abs(found[key]), key)

    return pick


def _least(base: str) -> Pick:
    def pick(values: Mapping[str, Value], _rating: float) -> Watched | None:
        found = _numbers(values, base)
        key = min(found, key=lambda each: found[each], default=None)
        return None if key is None else Watched(found[key], key)

    return pick


def _total_power(values: Mapping[str, Value], _rating: float) -> Watched | None:
    power = values.get("power")
    if power is None or not math.isfinite(power):
        return None
    return Watched(float(power), "power")


def _power_factor(values: Mapping[str, Value], rating: float) -> Watched | None:
    found = _numbers(values, "power_factor")
    loaded = {
        key: abs(factor)
        for key, factor in found.items()
        if _carries(values, key.replace("power_factor", "current"), rating)
    }
    key = min(loaded, key=lambda each: loaded[each], default=None)
    if key is not None:
        return Watched(loaded[key], key)
    # Without a load there is nothing to be bad at.
    return Watched(1.0, next(iter(found))) if found else None


def _carries(values: Mapping[str, Value], key: str, rating: float) -> bool:
    current = values.get(key, values.get("current"))
    return current is None or abs(current) >= LEAST_CURRENT * rating


def _imbalance(values: Mapping[str, Value], rating: float) -> Watched | None:
    """Largest deviation of a phase's current from the mean of the three, as a share of the mean, %."""
    found = _numbers(values, "current")
    if len(found) != len(PHASES):
        return None
    currents = {key: abs(value) for key, value in found.items()}
    mean = math.fsum(currents.values()) / len(currents)
    key = max(currents, key=lambda each: abs(currents[each] - mean))
    if max(currents.values()) < LEAST_CURRENT * rating:
        return Watched(0.0, key)
    return Watched(100 * abs(currents[key] - mean) / mean, key)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRule:
    """What one kind of limit watches and what is sensible for it."""

    kind: LimitKind
    unit: str | None
    above: bool
    """Whether it is exceeded above its threshold; else below."""
    needs: tuple[str, ...]
    """Any one of these quantities, in any phase, makes the limit possible."""
    pick: Pick | None
    """None for silence, which is judged by the clock."""
    minimum: float
    maximum: float
    step: float
    hysteresis: float
    """Suggested, in the limit's unit; a negative one is a share of the threshold."""
    delay_on: float
    delay_off: float
    three_phases: bool = False
    """Whether it makes sense on three phases only."""


RULES: Final[Mapping[LimitKind, LimitRule]] = {
    rule.kind: rule
    for rule in (
        LimitRule(kind=LimitKind.OVER_POWER, unit="W", above=True, needs=("power",), pick=_total_power,
                  minimum=10, maximum=1_000_000, step=10, hysteresis=-0.05, delay_on=10, delay_off=30),
        LimitRule(kind=LimitKind.OVER_CURRENT, unit="A", above=True, needs=("current",), pick=_most("current"),
                  minimum=0.1, maximum=10_000, step=0.1, hysteresis=-0.05, delay_on=10, delay_off=30),
        LimitRule(kind=LimitKind.OVER_VOLTAGE, unit="V", above=True, needs=("voltage",), pick=_most("voltage"),
                  minimum=10, maximum=1_000, step=0.5, hysteresis=2, delay_on=10, delay_off=60),
        LimitRule(kind=LimitKind.UNDER_VOLTAGE, unit="V", above=False, needs=("voltage",), pick=_least("voltage"),
                  minimum=10, maximum=1_000, step=0.5, hysteresis=2, delay_on=10, delay_off=60),
        LimitRule(kind=LimitKind.OVER_FREQUENCY, unit="Hz", above=True, needs=("frequency",), pick=_most("frequency"),
                  minimum=40, maximum=70, step=0.05, hysteresis=0.05, delay_on=10, delay_off=60),
        LimitRule(kind=LimitKind.UNDER_FREQUENCY, unit="Hz", above=False, needs=("frequency",), pick=_least("frequency"),
                  minimum=40, maximum=70, step=0.05, hysteresis=0.05, delay_on=10, delay_off=60),
        LimitRule(kind=LimitKind.LOW_POWER_FACTOR, unit=None, above=False, needs=("power_factor",), pick=_power_factor,
                  minimum=0.05, maximum=1, step=0.01, hysteresis=0.03, delay_on=300, delay_off=300),
        LimitRule(kind=LimitKind.PHASE_IMBALANCE, unit="%", above=True, needs=("current_l1",), pick=_imbalance,
                  minimum=1, maximum=200, step=1, hysteresis=5, delay_on=300, delay_off=300, three_phases=True),
        LimitRule(kind=LimitKind.SILENT, unit="s", above=True, needs=(), pick=None,
                  minimum=10, maximum=86_400, step=1, hysteresis=0, delay_on=0, delay_off=0),
    )
}  # fmt: skip
"""Every kind of limit. Suggested thresholds are in `suggestion`."""


def possible_kinds(quantities: Iterable[str], *, phases: int) -> tuple[LimitKind, ...]:
    """The limits that a meter with these quantities can have."""
    known = set(quantities)
    return tuple(
        rule.kind
        for rule in RULES.values()
        if (phases == len(PHASES) or not rule.three_phases)
        and (
            not rule.needs
            or any(
                need in known or any(f"{need}_{phase}" in known for phase in PHASES)
                for need in rule.needs
            )
        )
    )


def watched_keys(kind: LimitKind, quantities: Iterable[str]) -> tuple[str, ...]:
    """Which of a meter's quantities a limit of this kind is judged by."""
    bases = set(RULES[kind].needs)
    if "current_l1" in bases:
        bases = {"current"}
    if kind is LimitKind.LOW_POWER_FACTOR:
        bases.add("current")
    wanted = {f"{base}{suffix}" for base in bases for suffix in ("", *(f"_{p}" for p in PHASES))}
    if kind is LimitKind.OVER_POWER:
        wanted = {"power"}
    return tuple(key for key in quantities if key in wanted)


def suggestion(
    kind: LimitKind,
    *,
    rated_current: float | None,
    phases: int,
    voltage: float | None = None,
    frequency: float | None = None,
) -> float:
    """A sensible threshold for a circuit, in the limit's unit.

    Voltage and frequency limits are those of EN 50160 (±10 % and ±1 %) around the nominal value nearest to what is
    measured; power and current are what the circuit carries for long.

    Args:
        kind: which limit.
        rated_current: of the circuit, A per phase.
        phases: 1 or 3.
        voltage: measured phase to neutral, V.
        frequency: measured, Hz.
    """
    rating = rated_current or DEFAULT_RATING
    nominal = NOMINAL_VOLTAGE
    if voltage:
        nominal = min((100.0, 120.0, 230.0), key=lambda each: abs(each - voltage))
    hertz = 60.0 if frequency is not None and abs(frequency - 60) < abs(frequency - 50) else 50.0
    return {
        LimitKind.OVER_POWER: float(round(rating * nominal * phases, -1)),
        LimitKind.OVER_CURRENT: rating,
        LimitKind.OVER_VOLTAGE: round(nominal * 1.1, 1),
        LimitKind.UNDER_VOLTAGE: round(nominal * 0.9, 1),
        LimitKind.OVER_FREQUENCY: round(hertz * 1.01, 2),
        LimitKind.UNDER_FREQUENCY: round(hertz * 0.99, 2),
        LimitKind.LOW_POWER_FACTOR: 0.8,
        LimitKind.PHASE_IMBALANCE: 50.0,
        LimitKind.SILENT: 300.0,
    }[kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit as the user has set it."""

    kind: LimitKind
    threshold: float
    hysteresis: float
    delay_on: float
    """Seconds beyond the threshold before it counts as exceeded."""
    delay_off: float
    """Seconds back before it counts as over."""

    @classmethod
    def suggested(cls, kind: LimitKind, threshold: float) -> Self:
        """With the usual hysteresis and delays."""
        rule = RULES[kind]
        hysteresis = rule.hysteresis
        if hysteresis < 0:
            hysteresis = round(-hysteresis * abs(threshold), 3)
        return cls(
            kind=kind,
            threshold=threshold,
            hysteresis=hysteresis,
            delay_on=rule.delay_on,
            delay_off=rule.delay_off,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChange:
    """A limit was exceeded, or is over."""

    kind: LimitKind
    exceeded: bool
    value: float
    key: str | None
    threshold: float
    since: float
    """Unix time at which the value went beyond, or came back."""


class LimitWatch:
    """One limit of one meter over time.

    Args:
        limit: what counts as exceeded.
        rated_current: of the circuit, A; for what "no load" means.
        state: what `to_dict` gave before a restart.
    """

    def __init__(
        self,
        limit: Limit,
        *,
        rated_current: float | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin without a value, or with the verdict from before a restart."""
        self.limit = limit
        self.state = LimitState.UNKNOWN
        self.watched: Watched | None = None
        """The last value judged."""
        self.since: float | None = None
        """Unix time since when the limit is exceeded."""
        self._rating = rated_current or DEFAULT_RATING
        self._exceeded = False
        self._turning_since: tuple[float, float] | None = None
        """(monotonic, Unix time) since when the value says otherwise than the verdict."""
        if state and state.get("exceeded") is True:
            since = state.get("since")
            self._exceeded = True
            self.since = float(since) if isinstance(since, int | float) else None

    @property
    def exceeded(self) -> bool:
        """The last verdict, also while there is no value."""
        return self._exceeded

    def set_limit(self, limit: Limit) -> None:
        """Judge by another limit of the same kind from the next value on."""
        self.limit = limit
        self._turning_since = None

    def set_threshold(self, threshold: float) -> None:
        """Judge by another threshold from the next value on."""
        self.set_limit(replace(self.limit, threshold=threshold))

    def due_in(self, monotonic: float) -> float | None:
        """Seconds until the verdict turns if the value stays as it is; None if it does not."""
        if self._turning_since is None:
            return None
        delay = self.limit.delay_off if self._exceeded else self.limit.delay_on
        return max(self._turning_since[0] + delay - monotonic, 0.0)

    def take(
        self, values: Mapping[str, Value], *, time: float, monotonic: float
    ) -> LimitChange | None:
        """Judge a meter's present values; only values that are fresh may be passed.

        Args:
            values: {quantity: value}.
            time: Unix time.
            monotonic: seconds.
        """
        pick = RULES[self.limit.kind].pick
        watched = pick(values, self._rating) if pick is not None else None
        return self._judge(watched, time=time, monotonic=monotonic)

    def silent_for(self, seconds: float, *, time: float, monotonic: float) -> LimitChange | None:
        """Judge a limit on silence: the meter has said nothing for so long."""
        return self._judge(Watched(seconds, ""), time=time, monotonic=monotonic)

    def _judge(
        self, watched: Watched | None, *, time: float, monotonic: float
    ) -> LimitChange | None:
        self.watched = watched
        if watched is None:
            self.state = LimitState.UNKNOWN
            self._turning_since = None
            return None
        limit, above = self.limit, RULES[self.limit.kind].above
        beyond = watched.value - limit.threshold if above else limit.threshold - watched.value
        turning = beyond < -limit.hysteresis if self._exceeded else beyond > 0
        if self._exceeded and limit.hysteresis == 0:
            turning = beyond <= 0
        change = None
        if not turning:
            self._turning_since = None
        else:
            if self._turning_since is None:
                self._turning_since = (monotonic, time)
            start, at = self._turning_since
            delay = limit.delay_off if self._exceeded else limit.delay_on
            if monotonic - start >= delay:
                self._exceeded = not self._exceeded
                self._turning_since = None
                self.since = at if self._exceeded else None
                change = LimitChange(
                    kind=limit.kind,
                    exceeded=self._exceeded,
                    value=watched.value,
                    key=watched.key or None,
                    threshold=limit.threshold,
                    since=at,
                )
        self.state = LimitState.EXCEEDED if self._exceeded else LimitState.CLEAR
        return change

    def to_dict(self) -> dict[str, Any]:
        """What a restart has to know, ready for JSON."""
        return {"exceeded": self._exceeded, "since": self.since}
