"""Live values in one line, so that a user can tell a right model from a wrong one."""

from collections.abc import Mapping
from typing import Final

from ..model import QUANTITIES, Value
from ..sources.modbus.profile import Profile

_ROWS: Final = (
    (("voltage_l1", "voltage_l2", "voltage_l3"), ("voltage",), ("voltage_ch1",)),
    (("current_l1", "current_l2", "current_l3"), ("current",), ("current_ch1",)),
    (("power",), ("power_l1", "power_l2", "power_l3"), ("power_ch1",)),
    (("frequency",),),
    (("energy_import",), ("energy_total",), ("energy_import_ch1",)),
    (("energy_export",),),
)
"""What is shown, in this order; of the alternatives of a row the first that has a value."""

_ARROWS: Final = {"energy_import": "→ ", "energy_import_ch1": "→ ", "energy_export": "← "}
"""Tell energy taken from energy fed back, as the Energy dashboard's distribution card does."""


def values_text(values: Mapping[str, Value]) -> str:
    """Volts, amperes, watts, hertz and kilowatt-hours as far as known; empty if none is.

    Args:
        values: by quantity key, in the quantities' units.
    """
    shown = []
    for row in _ROWS:
        for keys in row:
            numbers = [
                f"{value:.{QUANTITIES[key].precision}f}"
                for key in keys
                if isinstance(value := values.get(key), int | float)
            ]
            if numbers:
                arrow = _ARROWS.get(keys[0], "")
                shown.append(f"{arrow}{' / '.join(numbers)} {QUANTITIES[keys[0]].unit}")
                break
    return " · ".join(shown)


def quirks_text(profile: Profile | None) -> str:
    """What a user has to know about a model, as a list; empty if nothing."""
    return "\n".join(f"- {quirk}" for quirk in profile.quirks) if profile else ""
