"""Values that cannot be, and signs that something is wired the wrong way."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ..model import Kind, Quantity, Value

_LIMITS: Final[Mapping[Kind, tuple[float, float]]] = {
    Kind.VOLTAGE: (0.0, 1_000_000.0),
    Kind.CURRENT: (-1_000_000.0, 1_000_000.0),
    Kind.POWER: (-1e9, 1e9),
    Kind.APPARENT_POWER: (-1e9, 1e9),
    Kind.REACTIVE_POWER: (-1e9, 1e9),
    Kind.POWER_FACTOR: (-1.1, 1.1),
    Kind.FREQUENCY: (0.0, 500.0),
    Kind.PHASE_ANGLE: (-720.0, 720.0),
    Kind.ENERGY: (-1e10, 1e10),
    Kind.REACTIVE_ENERGY: (-1e10, 1e10),
    Kind.APPARENT_ENERGY: (-1e10, 1e10),
    Kind.TEMPERATURE: (-60.0, 200.0),
    Kind.DISTORTION: (0.0, 10_000.0),
    Kind.UNBALANCE: (0.0, 10_000.0),
    Kind.RATIO: (0.0, 10_000.0),
}
"""What no meter on any transformer can measure; tighter bounds follow from the circuit's rating."""

LOW_VOLTAGE: Final = 1000.0
"""V; IEC 60038's limit of low voltage, for meters that are connected directly."""
RATED_MARGIN: Final = 20.0
"""A short-circuit is worth ten times the rating, an inrush less; more is no measurement."""


def possible(quantity: Quantity, value: float, max_power: float | None) -> bool:
    """Return whether a meter on this circuit could have measured the value.

    Args:
        quantity: what was measured.
        value: in the quantity's unit.
        max_power: the most that the circuit carries, W, where its rating is known.
    """
    limits = _LIMITS.get(quantity.kind)
    if limits is not None and not limits[0] <= value <= limits[1]:
        return False
    if max_power is not None and quantity.kind in {
        Kind.POWER,
        Kind.APPARENT_POWER,
        Kind.REACTIVE_POWER,
    }:
        return abs(value) <= max_power * RATED_MARGIN
    return True


class Suspicion(StrEnum):
    """What the numbers speak for."""

    REVERSED = "reversed"
    """Power is negative on a meter that should only take."""
    PHASE_REVERSED = "phase_reversed"
    """One phase feeds back while the others take."""
    POWER_FACTOR = "power_factor"
    """Active power exceeds volts times amperes: voltages and currents are of different phases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A suspicion and the numbers it rests on."""

    suspicion: Suspicion
    share: float
    """Share of the recent readings that speak for it, 0 to 1."""
    power: float
    """W, the latest."""
    phase: str | None = None
    """`L1` …, where it is one phase."""


_WINDOW: Final = 120
_LEAST_POWER: Final = 50.0
_LEAST_SHARE: Final = 0.95


class Watch:
    """Collects evidence over the last readings of one meter.

    Args:
        only_import: whether the meter's role says that power cannot be negative.
    """

    def __init__(self, *, only_import: bool) -> None:
        """Begin with no evidence."""
        self._only_import = only_import
        self._seen: dict[tuple[Suspicion, str | None], deque[bool]] = {}
        self._power: dict[str | None, float] = {}

    def look(self, values: Mapping[str, Value]) -> None:
        """Take one reading's values."""
        power = values.get("power")
        if power is not None and abs(power) >= _LEAST_POWER:
            self._note(Suspicion.REVERSED, None, power, doubtful=power < 0)
        phases = {phase: values.get(f"power_{phase}") for phase in ("l1", "l2", "l3")}
        loaded = {
            phase: each
            for phase, each in phases.items()
            if each is not None and abs(each) >= _LEAST_POWER
        }
        for phase, each in loaded.items():
            others = [other for name, other in loaded.items() if name != phase]
            if others:
                alone = each < 0 and all(other > 0 for other in others)
                self._note(Suspicion.PHASE_REVERSED, phase.upper(), each, doubtful=alone)
        for suffix in ("", "_l1", "_l2", "_l3"):
            self._compare(values, suffix)

    def _compare(self, values: Mapping[str, Value], suffix: str) -> None:
        voltage, current = values.get(f"voltage{suffix}"), values.get(f"current{suffix}")
        power = values.get(f"power{suffix}")
        if voltage is None or current is None or power is None or abs(power) < _LEAST_POWER:
            return
        if not suffix and values.get("power_l1") is not None:
            return  # Averages of three phases do not multiply.
        excess = abs(power) > abs(voltage * current) * 1.05
        self._note(Suspicion.POWER_FACTOR, suffix[1:].upper() or None, power, doubtful=excess)

    def _note(
        self, suspicion: Suspicion, phase: str | None, power: float, *, doubtful: bool
    ) -> None:
        if suspicion is not Suspicion.POWER_FACTOR and not self._only_import:
            return
        self._seen.setdefault((suspicion, phase), deque(maxlen=_WINDOW)).append(doubtful)
        self._power[phase] = power

    def evidence(self) -> tuple[Evidence, ...]:
        """Return what nearly all of enough recent readings speak for."""
        found = [
            Evidence(
                suspicion=suspicion,
                share=sum(seen) / len(seen),
                power=self._power[phase],
                phase=phase,
            )
            for (suspicion, phase), seen in self._seen.items()
            if len(seen) >= _WINDOW // 2 and sum(seen) >= _LEAST_SHARE * len(seen)
        ]
        whole = any(each.suspicion is Suspicion.REVERSED for each in found)
        return tuple(
            each for each in found if not (whole and each.suspicion is Suspicion.PHASE_REVERSED)
        )
