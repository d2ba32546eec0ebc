"""From a monitor's blocks to what the rest of the integration knows: who it is, what it measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ...model import Value
from .registers import (
    ALL_BITS,
    IDENTITY,
    MAGIC,
    MAGIC_BYTES,
    MEASUREMENT,
    RELAY_CLOSED,
    VERSION,
    Capability,
    Flag,
    tag_of,
)

MODEL: Final = "I²C monitor"

_QUANTITIES: Final[Mapping[str, tuple[str, int]]] = {
    "voltage": ("voltage", 100),
    "frequency": ("frequency", 100),
    "current": ("current", 1000),
    "power": ("power", 1000),
    "reactive_power": ("reactive_power", 1000),
    "apparent_power": ("apparent_power", 1000),
    "power_factor": ("power_factor", 10_000),
    "crest_factor": ("current_crest_factor", 1000),
    "voltage_peak": ("voltage_peak", 10),
    "current_peak": ("current_peak", 100),
}
"""Field → quantity, and digits in the quantity's unit. The energies are counted in mWh."""

ENERGIES: Final = ("energy_import", "energy_export")
ENERGY_DIGITS: Final = 1_000_000
"""mWh in a kWh."""

_FLAGS: Final[Mapping[Flag, str]] = {
    Flag.NO_VOLTAGE: "no_voltage",
    Flag.NO_ZERO_CROSSING: "no_zero_crossing",
    Flag.FREQUENCY_RANGE: "no_zero_crossing",
    Flag.VOLTAGE_CLIPS: "clipping",
    Flag.CURRENT_CLIPS: "clipping",
    Flag.OVERRUN: "overrun",
    Flag.RESTARTED: "restarted",
    Flag.UNCALIBRATED: "uncalibrated",
    Flag.STUCK: "stuck",
    Flag.EEPROM: "eeprom",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a monitor is."""

    id: int
    firmware: str
    hardware: int
    capabilities: int
    rated_current: float | None
    """A."""
    rated_voltage: float | None
    """V."""
    sample_rate: int | None
    """Pairs per second."""
    address: int

    @property
    def meter_id(self) -> str:
        """The monitor's own id, as everything above names it."""
        return f"{self.id:016x}"

    @property
    def tag(self) -> int:
        """What each of its blocks carries."""
        return tag_of(self.id)

    def can(self, capability: Capability) -> bool:
        """Whether it says that it can."""
        return bool(self.capabilities & capability)

    @property
    def quantities(self) -> tuple[str, ...]:
        """Keys of the vocabulary that it measures."""
        energies = ENERGIES if self.can(Capability.EXPORT) else ENERGIES[:1]
        return (*(key for key, _ in _QUANTITIES.values()), *energies)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One measurement block."""

    tag: int
    sequence: int
    boot: int
    flags: int
    relay: int
    values: Mapping[str, Value]
    """In the vocabulary's units, the energies apart."""
    energies: tuple[int | None, int | None]
    """Import and export as the monitor counts them, mWh."""

    @property
    def words(self) -> frozenset[str]:
        """The flags as the bridge protocol calls them."""
        return frozenset(word for flag, word in _FLAGS.items() if self.flags & flag)


def identity_of(data: bytes) -> Identity:
    """The identity in an identity block whose magic and version have been looked at.

    Raises:
        BadBlockError: the length or the CRC is wrong.
    """
    block = IDENTITY.decode(data)
    current, voltage = block["rated_current"], block["rated_voltage"]
    return Identity(
        id=block["id"] or 0,
        firmware=f"{block['major'] or 0}.{block['minor'] or 0}.{block['patch'] or 0}",
        hardware=block["hardware"] or 0,
        capabilities=block["capabilities"] or 0,
        rated_current=current / 10 if current else None,
        rated_voltage=voltage / 10 if voltage else None,
        sample_rate=block["sample_rate"],
        address=block["address"] or 0,
    )


def has_magic(data: bytes) -> bool:
    """Whether bytes begin as an identity block does."""
    return int.from_bytes(data[:MAGIC_BYTES], "little") == MAGIC


def version_in(data: bytes) -> int:
    """The version of the map that an identity block names."""
    return data[MAGIC_BYTES]


def speaks_for_two(data: bytes) -> bool:
    """Whether an identity block looks like that of two monitors at once.

    Where their ids differ, the id's bit and its complement's are both pulled to 0; nothing ever pulls both to 1.
    """
    if len(data) != IDENTITY.length or not has_magic(data) or version_in(data) != VERSION:
        return False
    monitor_id = int.from_bytes(data[6:14], "little")
    complement = int.from_bytes(data[14:22], "little")
    return not monitor_id & complement and (monitor_id | complement) != ALL_BITS


def measured_of(data: bytes) -> Measured:
    """What a measurement block says.

    Raises:
        BadBlockError: the length or the CRC is wrong.
    """
    block = MEASUREMENT.decode(data)
    values: dict[str, Value] = {
        key: None if (value := block[field]) is None else value / digits
        for field, (key, digits) in _QUANTITIES.items()
    }
    return Measured(
        tag=block["tag"] or 0,
        sequence=block["sequence"] or 0,
        boot=block["boot"] or 0,
        flags=block["flags"] or 0,
        relay=(block["state"] or 0) & RELAY_CLOSED,
        values=values,
        energies=(block["energy_import"], block["energy_export"]),
    )
