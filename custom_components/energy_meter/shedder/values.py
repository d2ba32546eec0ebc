"""Numbers out of states, in watts and amperes; what is not one is None."""

from homeassistant.const import (
    ATTR_UNIT_OF_MEASUREMENT,
    STATE_UNAVAILABLE,
    STATE_UNKNOWN,
    UnitOfElectricCurrent,
    UnitOfPower,
)
from homeassistant.core import State
from homeassistant.util.unit_conversion import ElectricCurrentConverter, PowerConverter

from ..load_shedding import Measure

POWER_UNITS = PowerConverter.VALID_UNITS
CURRENT_UNITS = ElectricCurrentConverter.VALID_UNITS


def measure_of(state: State | None) -> Measure | None:
    """What an entity measures, by its unit; None: neither power nor current."""
    unit = state.attributes.get(ATTR_UNIT_OF_MEASUREMENT) if state else None
    if unit in POWER_UNITS:
        return Measure.POWER
    if unit in CURRENT_UNITS:
        return Measure.CURRENT
    return None


def number_of(state: State | None) -> float | None:
    """The state as a bare number."""
    if state is None or state.state in (STATE_UNAVAILABLE, STATE_UNKNOWN):
        return None
    try:
        return float(state.state)
    except ValueError:
        return None


def value_of(state: State | None, measure: Measure, *, bare: bool = False) -> float | None:
    """A measured value in W or A.

    Args:
        state: of the entity.
        measure: what it has to measure: with any other unit there is no value.
        bare: whether a number without a unit is meant in W or A, as helpers have it.
    """
    value = number_of(state)
    if value is None or state is None:
        return None
    unit = state.attributes.get(ATTR_UNIT_OF_MEASUREMENT)
    if unit is None:
        return value if bare else None
    if measure_of(state) is not measure:
        return None
    if measure is Measure.POWER:
        return PowerConverter.convert(value, unit, UnitOfPower.WATT)
    return ElectricCurrentConverter.convert(value, unit, UnitOfElectricCurrent.AMPERE)
