"""How much a reading says about which meter it comes from, in bits.

A test that a wrong meter passes by chance in one of 2ⁿ cases is worth n bits to the profile that names
it; bits of independent tests add up. The chances are estimates of what registers hold on other meters:
small numbers are common everywhere, so a code of 3 says little and a text of eight letters nearly all.
A failed test takes a few bits only, since codes differ by firmware.
"""

from collections.abc import Mapping
import math
from typing import Final

from ...model import Kind, Value
from .profile import IdentityTest, Register, RegisterType, TestKind

FAILED: Final = -4.0
"""A test of one register that did not hold."""
CONTRADICTED: Final = -7.0
"""The register holds a code that another profile names for itself."""
REFUSED: Final = -5.0
"""The meter does not have a register that the profile reads measurements from."""
NOT_AVAILABLE: Final = -1.0
IMPLAUSIBLE: Final = -8.0

_STRENGTH_LIMIT: Final = 16.0
_CODE_CHANCE: Final = 0.0005
"""How probably a register holds one certain number above 255."""
_UNIT_ID_COMMON: Final = 10
"""Unit ids up to here are found in registers by chance."""

_PLAUSIBLE: Final[Mapping[Kind, tuple[float, float]]] = {
    Kind.VOLTAGE: (50, 500),
    Kind.FREQUENCY: (45, 65),
    Kind.POWER_FACTOR: (-1.001, 1.001),
    Kind.CURRENT: (-6000, 6000),
    Kind.POWER: (-5e6, 5e6),
    Kind.ENERGY: (0, 1e8),
}
"""What an electricity meter in a building can show, in the quantity's unit."""

_FLOAT_BITS: Final[Mapping[Kind, float]] = {
    Kind.VOLTAGE: 6,
    Kind.FREQUENCY: 8,
    Kind.POWER_FACTOR: 2,
    Kind.CURRENT: 1,
    Kind.POWER: 1,
    Kind.ENERGY: 1,
}
_WIDE_BITS: Final[Mapping[Kind, float]] = {
    Kind.VOLTAGE: 5,
    Kind.FREQUENCY: 6,
    Kind.POWER_FACTOR: 1,
    Kind.CURRENT: 1,
    Kind.POWER: 1,
    Kind.ENERGY: 1,
}
_NARROW_BITS: Final[Mapping[Kind, float]] = {
    Kind.VOLTAGE: 3,
    Kind.FREQUENCY: 5,
    Kind.POWER_FACTOR: 0.5,
    Kind.CURRENT: 0,
    Kind.POWER: 0,
    Kind.ENERGY: 0,
}


def strength(test: IdentityTest, unit_id: int) -> float:
    """Bits that a passed test is worth to its profile."""
    return min(-math.log2(_chance(test, unit_id)), _STRENGTH_LIMIT)


def _chance(test: IdentityTest, unit_id: int) -> float:
    """How probably another meter passes the test."""
    match test.kind:
        case TestKind.LISTED:
            return 0.6
        case TestKind.UNIT_ID:
            return 0.2 if unit_id <= _UNIT_ID_COMMON else 0.01
        case TestKind.HIGH_BYTE_UNIT_ID:
            return 0.005
        case TestKind.PREFIX | TestKind.CONTAINS:
            shortest = min((len(str(value)) for value in test.values), default=0)
            contained = 8.0 if test.kind is TestKind.CONTAINS else 1.0
            return min(contained * 0.03**shortest, 0.5)
        case TestKind.RANGE:
            return _range_chance(test)
        case TestKind.EQUALS_ANY:
            return _equals_chance(test)


def _range_chance(test: IdentityTest) -> float:
    low, high = (float(value) for value in test.values)
    register = test.register
    if register is not None and register.type in (RegisterType.FLOAT32, RegisterType.FLOAT64):
        # Words that are no float at all give sizes all over 77 decades.
        return 0.005 if low > 0 else 0.3
    if low <= 0:
        return 0.5
    if high < 256:
        return 0.15
    return min((high - low + 1) * _CODE_CHANCE, 0.08)


def _equals_chance(test: IdentityTest) -> float:
    values = test.values
    if any(isinstance(value, str) for value in values):
        return 1e-5
    largest = max((abs(float(value)) for value in values), default=0.0)
    if 0 in values:
        return 0.6
    if largest < 32:
        return min(len(values) * 0.04, 0.5)
    if largest < 256:
        return min(len(values) * 0.004, 0.5)
    return min(len(values) * _CODE_CHANCE, 0.5)


def holds(test: IdentityTest, raw: Value | str, unit_id: int) -> bool:
    """Return whether what was read passes the test.

    Args:
        test: what is expected.
        raw: the raw value or text; None where the meter gave nothing.
        unit_id: the address that was asked.
    """
    if raw is None:
        return False
    match test.kind:
        case TestKind.LISTED:
            return True
        case TestKind.UNIT_ID:
            return raw == unit_id
        case TestKind.HIGH_BYTE_UNIT_ID:
            if isinstance(raw, str):
                return False
            lowest, highest = test.low_byte_range or (0, 0xFF)
            return int(raw) >> 8 == unit_id and lowest <= int(raw) & 0xFF <= highest
        case TestKind.RANGE:
            low, high = (float(value) for value in test.values)
            return not isinstance(raw, str) and low <= raw <= high
        case TestKind.EQUALS_ANY if not isinstance(raw, str):
            return raw in test.values
        case _:
            return _text_holds(test, str(raw))


def _text_holds(test: IdentityTest, text: str) -> bool:
    wanted = [str(value) for value in test.values]
    if test.ignore_case:
        text, wanted = text.casefold(), [value.casefold() for value in wanted]
    text = text.strip()
    match test.kind:
        case TestKind.PREFIX:
            return any(text.startswith(value) for value in wanted)
        case TestKind.CONTAINS:
            return any(value in text for value in wanted)
        case _:
            return text in wanted


def plausible(register: Register, value: Value | str) -> bool | None:
    """Return whether a measurement is one that a meter in use shows; None if there is no telling."""
    if register.quantity is None or not isinstance(value, int | float):
        return None
    limits = _PLAUSIBLE.get(register.quantity.kind)
    if limits is None:
        return None
    low, high = limits
    if register.quantity.kind is Kind.ENERGY and register.quantity.base.startswith("energy_net"):
        low = -high
    return low <= value <= high


def worth(register: Register) -> float:
    """Bits that a plausible value is worth to the profile that reads it there."""
    if register.quantity is None:
        return 0.0
    if register.type in (RegisterType.FLOAT32, RegisterType.FLOAT64):
        table = _FLOAT_BITS
    elif register.span.count >= 2:
        table = _WIDE_BITS
    else:
        table = _NARROW_BITS
    return table.get(register.quantity.kind, 0.0)


def coherence(values: Mapping[str, Value]) -> float:
    """Bits for values that agree with each other: P = V·I·PF, and the total with its phases.

    Args:
        values: by quantity key; missing ones are not judged.
    """
    bits = 0.0
    for suffix in ("_l1", "_l2", "_l3", ""):
        voltage = values.get(f"voltage{suffix}")
        current = values.get(f"current{suffix}")
        power = values.get(f"power{suffix}")
        if voltage is None or current is None or power is None or (not suffix and bits):
            continue
        apparent = abs(voltage * current)
        if apparent < 20 or (not suffix and any(f"power_l{n}" in values for n in (1, 2, 3))):
            continue
        factor = values.get(f"power_factor{suffix}")
        if abs(power) > 1.05 * apparent + 5:
            bits -= 5
        elif factor is not None and abs(abs(power) - apparent * abs(factor)) < 0.05 * apparent:
            bits += 5
        elif abs(power) > 0.2 * apparent:
            bits += 3
        break
    phases = [values.get(f"power_l{n}") for n in (1, 2, 3)]
    total = values.get("power")
    known = [phase for phase in phases if phase is not None]
    if total is not None and len(known) == 3:
        together, size = sum(known), sum(map(abs, known))
        if size > 20:
            bits += 4 if abs(total - together) <= 0.03 * size + 3 else -3
    return bits
