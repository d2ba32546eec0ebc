"""The vocabulary and the values that flow through the integration; no I/O, no Home Assistant."""

from .meter import (
    BRIDGE_CONTROLS,
    CALIBRATION_KEYS,
    CONTROL_KEYS,
    MONITOR_KEYS,
    NODE_KEYS,
    Control,
    ControlKind,
    MeterInfo,
)
from .quantities import QUANTITIES, Counts, Kind, Quantity, Rate, Variants, Visibility
from .reading import Reading, Value
from .shape import MeterShape

__all__ = [
    "BRIDGE_CONTROLS",
    "CALIBRATION_KEYS",
    "CONTROL_KEYS",
    "MONITOR_KEYS",
    "NODE_KEYS",
    "QUANTITIES",
    "Control",
    "ControlKind",
    "Counts",
    "Kind",
    "MeterInfo",
    "MeterShape",
    "Quantity",
    "Rate",
    "Reading",
    "Value",
    "Variants",
    "Visibility",
]
