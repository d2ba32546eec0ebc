"""Who a meter is and what can be asked of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class ControlKind(StrEnum):
    """How a control is used."""

    SWITCH = "switch"
    """Two states that can be read back: a relay."""
    BUTTON = "button"
    """An action with nothing to read back: clear the demand maxima."""
    NUMBER = "number"
    """A setting within limits: a transformer ratio."""
    SELECT = "select"
    """A setting out of a list: baud rate, system type."""


CONTROL_KEYS: Final = frozenset(
    {
        "ac_dc_mode",
        "application",
        "baudrate",
        "ct_primary",
        "ct_ratio",
        "ct_secondary",
        "demand_period",
        "line_format",
        "line_settings",
        "measurement_mode",
        "measuring_system",
        "parity",
        "relay",
        "reset_demand",
        "reset_energy",
        "reset_extremes",
        "reset_operating_time",
        "reset_partial",
        "shunt_range",
        "stopbits",
        "tariff",
        "thd_calculation",
        "unit_id",
        "vt_ratio",
    }
)
"""Every control of a Modbus meter that is offered to users, so that each has a translated name."""


CALIBRATION_KEYS: Final = frozenset(
    {
        "current_gain",
        "current_offset",
        "dead_band",
        "phase_shift",
        "power_factor",
        "voltage_gain",
        "voltage_offset",
    }
)
"""Numbers that a meter of a bridge keeps about its sensors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Something a user can do to a meter."""

    key: str
    kind: ControlKind
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    options: Mapping[int, str] = field(default_factory=dict)
    """For SELECT and SWITCH: raw value to spoken form."""
    guarded: bool = False
    """Whether it changes how the meter measures or talks, so that a slip could lose it."""


NODE_KEYS: Final = frozenset(
    {"minimum_off_time", "relay_at_start", "relay_feedback", "relay_output"}
)
"""Settings of the relay of a UNO node."""

MONITOR_KEYS: Final = frozenset({"i2c_address", "learn_zero"})
"""What else an I²C monitor can do."""

BRIDGE_CONTROLS: Final = (
    Control(key="identify", kind=ControlKind.BUTTON),
    Control(key="restart", kind=ControlKind.BUTTON),
)
"""What every bridge that says hello can do itself, listed or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterInfo:
    """Who is there, which quantities it delivers, which controls it has."""

    meter_id: str
    manufacturer: str
    model: str
    serial_number: str | None
    firmware: str | None
    hardware: str | None
    phases: int
    quantities: tuple[str, ...]
    controls: tuple[Control, ...]
