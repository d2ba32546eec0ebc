"""What physics gives where a meter lacks it.

    P = P(L1)+P(L2)+P(L3)          P = P(import) − P(export)
    P(export) = max(−P, 0)         (what the Energy dashboard shows of panels that count as export)
    S = √(P² + Q²), else S = U·I   (IEEE 1459-2010, 3.1.1.2 and 3.1.2.3)
    P = S·PF                       (IEEE 1459-2010, 3.1.2.16; PF measured, or assumed by the user)
    |Q| = √(S² − P²)               (magnitude only: the sign is not in S and P)
    PF = P / S                     (with the sign of P)
    E(net) = E(import) − E(export), E = E(L1)+E(L2)+E(L3)

A product of volts and amperes is apparent power, and becomes active power by a power factor only. What rests on
an assumed one says nothing about the real one, nor about reactive power, so neither is derived from it. Nothing is derived from a value that
is missing, and all that goes into one formula was read within `COHERENCE` seconds.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
import math
from typing import Final

COHERENCE: Final = 2.0
"""Seconds within which values count as of one instant."""
LEAST_APPARENT: Final = 1.0
"""VA below which a power factor means nothing."""
_TOLERANCE: Final = 1.02

PHASES: Final = ("l1", "l2", "l3")
_SUFFIXES: Final = ("", "_l1", "_l2", "_l3", *(f"_ch{number}" for number in range(1, 7)))


@dataclass(frozen=True, slots=True)
class Rule:
    """One formula: `gives` from all of `needs`."""

    gives: str
    needs: tuple[str, ...]
    formula: Callable[..., float | None]
    counters: bool = False
    """Whether it adds up totals, which stay good while a meter is away."""


def _sum(*values: float) -> float:
    return math.fsum(values)


def _difference(minuend: float, subtrahend: float) -> float:
    return minuend - subtrahend


def _fed_back(power: float) -> float:
    return max(-power, 0.0)


def _apparent(power: float, reactive: float) -> float:
    return math.hypot(power, reactive)


def _product(voltage: float, current: float) -> float:
    return abs(voltage * current)


def _active(apparent: float, factor: float) -> float | None:
    return apparent * factor if abs(factor) <= _TOLERANCE else None


def _assumed(factor: float) -> Callable[[float], float]:
    return lambda apparent: apparent * factor


def _reactive(apparent: float, power: float) -> float | None:
    square = apparent * apparent - power * power
    if square < 0:
        # A meter's rounding may put P a hair above S; more than that is no physics.
        return 0.0 if abs(power) <= apparent * _TOLERANCE else None
    return math.sqrt(square)


def _power_factor(power: float, apparent: float) -> float | None:
    if apparent < LEAST_APPARENT or abs(power) > apparent * _TOLERANCE:
        return None
    return max(-1.0, min(1.0, power / apparent))


def _rules() -> tuple[Rule, ...]:
    """In the order in which they apply; a later one may use what an earlier one gave."""

    def phases(base: str) -> tuple[str, ...]:
        return tuple(f"{base}_{phase}" for phase in PHASES)

    rules = [
        Rule(f"power{suffix}", (f"power_import{suffix}", f"power_export{suffix}"), _difference)
        for suffix in _SUFFIXES[:4]
    ]
    sums = [Rule(base, phases(base), _sum) for base in ("power", "reactive_power")]
    rules += [*sums, Rule("power_export", ("power",), _fed_back)]
    for suffix in _SUFFIXES:
        power, reactive, apparent, factor = (
            f"{base}{suffix}"
            for base in ("power", "reactive_power", "apparent_power", "power_factor")
        )
        rules += [
            Rule(apparent, (power, reactive), _apparent),
            Rule(apparent, (f"voltage{suffix}", f"current{suffix}"), _product),
        ]
        rules.append(Rule(power, (apparent, factor), _active))
        if not suffix.startswith("_ch"):
            rules.append(Rule(reactive, (apparent, power), _reactive))
        rules.append(Rule(factor, (power, apparent), _power_factor))
    rules += [
        *sums,
        Rule("apparent_power", phases("apparent_power"), _sum),
        Rule("power_factor", ("power", "apparent_power"), _power_factor),
    ]
    rules += [
        Rule(base, phases(base), _sum, counters=True) for base in ("energy_import", "energy_export")
    ]
    rules += [
        Rule(
            f"energy_net{suffix}",
            (f"energy_import{suffix}", f"energy_export{suffix}"),
            _difference,
            counters=True,
        )
        for suffix in _SUFFIXES[:4]
    ]
    return tuple(rules)


RULES: Final = _rules()


def applicable(
    measured: Iterable[str], *, phases: int, assumed_power_factor: float | None = None
) -> tuple[Rule, ...]:
    """Return the rules that fill what a meter with these quantities lacks, in order.

    On three phases U·I of averages is no power of anything, so a total is built from its phases alone.

    Args:
        measured: what the meter delivers.
        phases: 1 or 3.
        assumed_power_factor: what the user says of a load whose power factor is not measured.
    """
    known = set(measured)
    chosen: list[Rule] = []
    assumed: set[str] = set()
    """Active powers that rest on the assumption."""
    for given in RULES:
        rule = given
        if rule.formula is _active and assumed_power_factor and rule.needs[1] not in known:
            rule = Rule(rule.gives, rule.needs[:1], _assumed(assumed_power_factor))
        if rule.gives in known or not known.issuperset(rule.needs):
            continue
        if rule is not given or not assumed.isdisjoint(rule.needs):
            if rule.gives.startswith(("power_factor", "reactive_power")):
                continue
            assumed.add(rule.gives)
        if phases != 1 and rule.gives == "apparent_power" and rule.formula is _product:
            continue
        chosen.append(rule)
        known.add(rule.gives)
    return tuple(chosen)


def derive(
    rules: Iterable[Rule],
    values: Mapping[str, tuple[float, float]],
    fresh: set[str],
) -> dict[str, float | None]:
    """Apply the rules that something fresh feeds.

    Args:
        rules: as `applicable` gave them.
        values: {key: (value, monotonic seconds when read)} of all that is known.
        fresh: keys that were just read.

    Returns:
        {key: value} of what could be derived; None where the formula has no answer just now.
    """
    found: dict[str, tuple[float, float]] = {}
    given: dict[str, float | None] = {}
    fresh = set(fresh)
    for rule in rules:
        if fresh.isdisjoint(rule.needs):
            continue
        operands = [found.get(key) or values.get(key) for key in rule.needs]
        if any(operand is None for operand in operands):
            continue
        pairs = [operand for operand in operands if operand is not None]
        times = [time for _, time in pairs]
        if not rule.counters and max(times) - min(times) > COHERENCE:
            continue
        value = rule.formula(*(value for value, _ in pairs))
        given[rule.gives] = value
        fresh.add(rule.gives)
        if value is not None:
            found[rule.gives] = (value, min(times))
    return given
