"""What one meter said at one instant."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

type Value = float | int | None
"""A measured number in the quantity's unit; None where the meter itself says "not available"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One meter's values at one instant.

    A reading is partial: a quantity that was not read is absent, and one that the meter marks as not
    available is None. Neither is ever 0.
    """

    meter_id: str
    time: datetime
    """When the values were taken, UTC."""
    monotonic: float
    """The same instant in seconds of the monotonic clock, for differences."""
    values: Mapping[str, Value]
    """`{quantity key: value in the quantity's unit}`."""
    start: int | None = None
    """Number of the meter's own start, where its counters may step back with one."""
