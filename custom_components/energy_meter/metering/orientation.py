"""A current transformer mounted the wrong way round, put right in the numbers.

Turning a transformer over turns the current by 180°: active and reactive power and the power factor change
sign, what was counted as import was export, and voltages, currents and apparent power stay. Net counters
change sign. Counters can only be exchanged where the meter has both; one that has import alone counts the
wrong direction or nothing, and no arithmetic mends that.
"""

from collections.abc import Mapping
from typing import Final

from ..model import QUANTITIES, Kind, Value

_FLIPPED: Final = {Kind.POWER, Kind.REACTIVE_POWER, Kind.POWER_FACTOR}
_DIRECTIONS: Final = (("_import", "_export"), ("_export", "_import"))
_NET: Final = ("energy_net", "reactive_energy_net", "apparent_energy_net")


def _turned_key(key: str) -> str:
    for direction, opposite in _DIRECTIONS:
        if direction in key:
            return key.replace(direction, opposite, 1)
    return key


def turned(values: Mapping[str, Value], measured: frozenset[str]) -> dict[str, Value]:
    """Return the values of a meter as if its current transformers were the other way round.

    Args:
        values: what the meter said.
        measured: all quantities that the meter has, to know which counters have a counterpart.
    """
    result: dict[str, Value] = {}
    for key, value in values.items():
        quantity = QUANTITIES[key]
        opposite = _turned_key(key)
        if opposite != key:
            if opposite in measured:
                result[opposite] = value
            else:
                result[key] = value
        elif value is not None and (
            quantity.base in _NET
            or (quantity.kind in _FLIPPED and "_max" not in key and "_min" not in key)
        ):
            result[key] = -value
        else:
            result[key] = value
    return result
