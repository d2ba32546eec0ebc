"""What a bridge says about a meter as the shape of one, and both as what is kept until it says it again."""

from collections.abc import Mapping
from dataclasses import asdict, replace
import math
import re
from typing import Any, Final

from .model import QUANTITIES, Control, ControlKind, MeterShape
from .sources.bridge import Hello, MeterHello
from .sources.bridge.waveform import CAPABILITY as WAVEFORM

HUBS: Final = frozenset({"i2c", "i2c_hub"})
"""Kinds of bridges whose meters are the circuits of a panel."""
MONITOR: Final = re.compile(r"[0-9a-f]{16}")
"""A monitor's own id, the same wherever it hangs."""
EVERYDAY: Final = frozenset({"relay", "identify"})
"""Controls of a circuit that are there at first."""
BUFFER: Final = "buffer"
"""The capability of a bridge that keeps readings until they are acknowledged."""


def shape_of(hello: Hello, meter: MeterHello) -> MeterShape:
    """Return what a meter of a bridge is to everything above it."""
    return MeterShape(
        measured=tuple(key for key in QUANTITIES if key in meter.quantities),
        phases=meter.phases,
        manufacturer=meter.manufacturer,
        model=meter.model,
        resolution={key: digit for key, digit in meter.resolution.items() if digit > 0},
        controls=tuple(map(_calm, meter.controls)) if hello.kind in HUBS else meter.controls,
        interval=hello.interval,
        circuit=hello.kind in HUBS,
        waveform=WAVEFORM in meter.capabilities,
        late=BUFFER in hello.capabilities,
    )


def _calm(control: Control) -> Control:
    """A control of one of many circuits: what is for those who set it up is off until somebody looks for it."""
    return control if control.key in EVERYDAY else replace(control, guarded=True)


def grown(before: MeterShape, after: MeterShape) -> MeterShape:
    """Return a meter's shape with all that it has ever shown: not everything is said or seen at once."""
    measured = {*before.measured, *after.measured}
    return replace(
        after,
        measured=tuple(key for key in QUANTITIES if key in measured),
        phases=max(before.phases, after.phases),
    )


def firmware_of(hello: Hello, meter: MeterHello) -> str:
    """What a meter's quantities hang on: with other firmware it may have fewer."""
    return f"{hello.firmware or ''}/{meter.firmware or ''}"


def shape_to_json(shape: MeterShape, firmware: str) -> dict[str, Any]:
    """The shape as it is kept over a restart."""
    return {
        "firmware": firmware,
        "measured": list(shape.measured),
        "phases": shape.phases,
        "manufacturer": shape.manufacturer,
        "model": shape.model,
        "resolution": dict(shape.resolution),
        "controls": [
            {**asdict(control), "options": {str(raw): to for raw, to in control.options.items()}}
            for control in shape.controls
        ],
        "interval": shape.interval,
        "circuit": shape.circuit,
        "waveform": shape.waveform,
        "late": shape.late,
    }


def shape_from_json(data: Mapping[str, Any]) -> MeterShape | None:
    """A kept shape; None if it cannot be understood, so that the bridge has to say it again."""
    try:
        measured = [str(key) for key in data["measured"]]
        return MeterShape(
            measured=tuple(key for key in QUANTITIES if key in measured),
            phases=3 if data["phases"] == 3 else 1,
            manufacturer=data.get("manufacturer"),
            model=data.get("model"),
            resolution={
                str(key): float(digit)
                for key, digit in data["resolution"].items()
                if math.isfinite(digit) and digit > 0
            },
            controls=tuple(
                Control(
                    key=str(each["key"]),
                    kind=ControlKind(each["kind"]),
                    unit=each["unit"],
                    minimum=each["minimum"],
                    maximum=each["maximum"],
                    step=each["step"],
                    options={int(raw): str(spoken) for raw, spoken in each["options"].items()},
                    guarded=bool(each["guarded"]),
                )
                for each in data["controls"]
            ),
            interval=None if data.get("interval") is None else float(data["interval"]),
            circuit=data.get("circuit") is True,
            waveform=data.get("waveform") is True,
            late=data.get("late") is True,
        )
    except KeyError, TypeError, ValueError, AttributeError:
        return None
