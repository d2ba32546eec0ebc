"""The I²C buses of this machine."""

from dataclasses import dataclass
import os
from pathlib import Path
from typing import Final

DEVICES: Final = Path("/dev")
SYSFS: Final = Path("/sys/class/i2c-dev")
_PREFIX: Final = "i2c-"


@dataclass(frozen=True, slots=True, order=True)
class BusPort:
    """One bus."""

    number: int
    name: str
    """As the kernel calls its adapter; empty if it does not."""
    usable: bool
    """Whether this process may read and write it."""


def list_buses(devices: Path = DEVICES, sysfs: Path = SYSFS) -> list[BusPort]:
    """Every `/dev/i2c-N`, by number; blocks for a moment, opens nothing."""
    found = []
    for path in devices.glob(f"{_PREFIX}*"):
        number = path.name.removeprefix(_PREFIX)
        if not number.isdecimal():
            continue
        try:
            name = (sysfs / path.name / "name").read_text("utf-8", "replace").strip()
        except OSError:
            name = ""
        found.append(
            BusPort(number=int(number), name=name, usable=os.access(path, os.R_OK | os.W_OK))
        )
    return sorted(found)
