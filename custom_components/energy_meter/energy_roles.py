"""What a meter is to the Energy dashboard, by its role and the quantities it gives.

The dashboard and this project count signs differently for what produces. Here power is positive when it
flows into what the meter measures; there

    grid     positive = taken from the grid     as here
    device   positive = consumed                as here
    home     positive = consumed                as here
    solar    positive = produced                as here if production counts as import, else −1
    battery  positive = discharged              as here if discharge counts as import, else −1

Which of its counters a solar or battery meter uses for what comes out depends on which way round it was
mounted, so that is a choice: `production`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

from .const import (
    PRODUCTION_EXPORT,
    PRODUCTION_IMPORT,
    ROLE_BATTERY,
    ROLE_DEVICE,
    ROLE_GRID,
    ROLE_HOME,
    ROLE_SOLAR,
)
from .model import Value

FIELD_FROM: Final = "stat_energy_from"
FIELD_TO: Final = "stat_energy_to"
FIELD_CONSUMPTION: Final = "stat_consumption"
FIELD_RATE: Final = "stat_rate"


class Obstacle(StrEnum):
    """Why a meter's role adds nothing to the dashboard."""

    NO_ENERGY = "no_energy"
    """The meter gives no energy of the kind that the role needs."""
    NEEDS_BOTH = "needs_both"
    """A battery needs energy in both directions."""
    ALREADY_THERE = "already_there"
    """The user has put the same statistic there by hand."""
    HOME_TAKEN = "home_taken"
    """There can be one meter of the whole home only."""
    HOME_UNKNOWN = "home_unknown"
    """This version's dashboard has no place for a meter of the whole home."""
    NO_DASHBOARD = "no_dashboard"
    """The `energy` integration is not set up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardPart:
    """One meter's place in the dashboard."""

    role: str
    keys: Mapping[str, str] = field(default_factory=dict)
    """{field of the dashboard's preferences: quantity key}; the fields are `FIELD_…`."""
    power_inverted: bool = False
    """Whether the dashboard has to turn the sign of the power."""
    obstacle: Obstacle | None = None


def likely_production(role: str, values: Mapping[str, Value]) -> Literal["import", "export"]:
    """Guess from a meter's counters in which direction it counts what comes out.

    Panels give much and take next to nothing, a battery gives less than it takes. A meter that has
    counted nothing yet is taken as mounted like any consumer, so that production is export.
    """
    taken, fed = values.get("energy_import") or 0, values.get("energy_export") or 0
    if "energy_export" not in values:
        return PRODUCTION_IMPORT
    gave = taken < fed if role == ROLE_BATTERY else taken > fed
    return PRODUCTION_IMPORT if gave else PRODUCTION_EXPORT


def dashboard_part(
    role: str, quantities: Collection[str], production: str | None = None
) -> DashboardPart | None:
    """Return which quantities go where for a role; None for a role that has no place there.

    Args:
        role: one of `ROLES`.
        quantities: keys of all that the meter gives.
        production: for solar and battery, whether what comes out counts as `import` or `export`; None
            is export where the meter has such a counter.
    """
    if role == ROLE_GRID:
        return _grid(quantities)
    if role == ROLE_HOME:
        return _consumer(ROLE_HOME, FIELD_TO, quantities)
    if role == ROLE_DEVICE:
        return _consumer(ROLE_DEVICE, FIELD_CONSUMPTION, quantities)
    if role == ROLE_SOLAR:
        return _solar(quantities, _production(production, quantities))
    if role == ROLE_BATTERY:
        return _battery(quantities, _production(production, quantities))
    return None


def _production(production: str | None, quantities: Collection[str]) -> str:
    if production is not None:
        return production
    return PRODUCTION_EXPORT if "energy_export" in quantities else PRODUCTION_IMPORT


def _consumed(quantities: Collection[str]) -> str | None:
    """The counter of what is taken; a total is that only where nothing is fed back."""
    if "energy_import" in quantities:
        return "energy_import"
    if "energy_total" in quantities and "energy_export" not in quantities:
        return "energy_total"
    return None


def _given(**keys: str | None) -> dict[str, str]:
    return {name: key for name, key in keys.items() if key is not None}


def _if_there(key: str, quantities: Collection[str]) -> str | None:
    return key if key in quantities else None


def _grid(quantities: Collection[str]) -> DashboardPart:
    energy = _given(
        stat_energy_from=_consumed(quantities),
        stat_energy_to=_if_there("energy_export", quantities),
    )
    if not energy:
        return DashboardPart(role=ROLE_GRID, obstacle=Obstacle.NO_ENERGY)
    return DashboardPart(
        role=ROLE_GRID, keys=energy | _given(stat_rate=_if_there("power", quantities))
    )


def _consumer(role: str, energy_field: str, quantities: Collection[str]) -> DashboardPart:
    energy = _consumed(quantities)
    if energy is None:
        return DashboardPart(role=role, obstacle=Obstacle.NO_ENERGY)
    return DashboardPart(
        role=role,
        keys={energy_field: energy} | _given(stat_rate=_if_there("power", quantities)),
    )


def _solar(quantities: Collection[str], production: str) -> DashboardPart:
    if production == PRODUCTION_IMPORT:
        energy, power = _consumed(quantities), _if_there("power", quantities)
    else:
        # The dashboard cannot turn the sign of a solar power sensor, as it can for the others.
        energy = _if_there("energy_export", quantities)
        power = _if_there("power_export", quantities)
    if energy is None:
        return DashboardPart(role=ROLE_SOLAR, obstacle=Obstacle.NO_ENERGY)
    return DashboardPart(role=ROLE_SOLAR, keys={FIELD_FROM: energy} | _given(stat_rate=power))


def _battery(quantities: Collection[str], production: str) -> DashboardPart:
    discharged, charged = "energy_export", "energy_import"
    if production == PRODUCTION_IMPORT:
        discharged, charged = charged, discharged
    if discharged not in quantities or charged not in quantities:
        return DashboardPart(role=ROLE_BATTERY, obstacle=Obstacle.NEEDS_BOTH)
    return DashboardPart(
        role=ROLE_BATTERY,
        keys={FIELD_FROM: discharged, FIELD_TO: charged}
        | _given(stat_rate=_if_there("power", quantities)),
        power_inverted=production == PRODUCTION_EXPORT,
    )
