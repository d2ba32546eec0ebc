"""A running entry over an emulated line, for tests of what users see."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
import time
from typing import Any

from homeassistant.config_entries import ConfigEntry, ConfigSubentry, ConfigSubentryData
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.energy_meter.const import DOMAIN, SUBENTRY_METER
from custom_components.energy_meter.sources.modbus.library import ProfileLibrary
from tests.support.entities import entity_id, state
from tests.support.entries import loaded
from tests.support.meters import Meter
from tests.support.wire import Wire

__all__ = [
    "FAST",
    "SDM120",
    "SDM630",
    "entity_id",
    "entry_for",
    "meter",
    "running",
    "show",
    "shows",
    "state",
    "subentry",
    "subentry_of",
    "until",
]

SDM120 = "eastron_sdm120m"
SDM630 = "eastron_sdm630"
FAST: dict[str, Any] = {"fast_interval": 0.2, "counter_interval": 0.3, "slow_interval": 0.4}
"""Seconds between readings, so that tests wait as little as they can."""


def meter(profile: str, unit_id: int, values: Mapping[str, float | str]) -> Meter:
    """A meter of a built-in family that shows these values."""
    return Meter.from_profile(ProfileLibrary().load(profile), unit_id, values)


def show(device: Meter, profile: str, values: Mapping[str, float | str]) -> None:
    """Let a meter show other values."""
    family = ProfileLibrary().load(profile)
    device.show((*family.registers, *family.info), values)


def subentry(
    unit_id: int, profile: str = SDM120, *, identity: str | None = None, **data: Any
) -> ConfigSubentryData:
    """A meter's place in the configuration."""
    identity = identity or f"meter_{unit_id}"
    return ConfigSubentryData(
        data={"profile": profile, "unit_id": unit_id, "identity": identity, **FAST, **data},
        subentry_type=SUBENTRY_METER,
        title=f"Meter {unit_id}",
        unique_id=identity,
    )


def entry_for(line: Wire, meters: Iterable[ConfigSubentryData]) -> MockConfigEntry:
    """An entry for a serial line with these meters; not added yet."""
    return MockConfigEntry(
        domain=DOMAIN,
        title="Cellar",
        data={
            "transport": "serial",
            "device": line.path,
            "baudrate": 115200,
            "bytesize": 8,
            "parity": "N",
            "stopbits": 1,
        },
        subentries_data=tuple(meters),
    )


@asynccontextmanager
async def running(
    hass: HomeAssistant, line: Wire, *meters: ConfigSubentryData
) -> AsyncIterator[MockConfigEntry]:
    """An entry that runs, and is unloaded in the end."""
    entry = entry_for(line, meters)
    async with loaded(hass, entry):
        yield entry


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Let the loop run until a condition holds; fail if it does not in time."""
    import asyncio

    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not in time"
        await asyncio.sleep(0.01)


async def shows(
    hass: HomeAssistant, key: str, value: str, identity: str = "meter_1", platform: str = "sensor"
) -> None:
    """Wait until an entity has this state."""
    await until(lambda: state(hass, key, identity, platform).state == value)


def subentry_of(entry: ConfigEntry, identity: str) -> ConfigSubentry:
    """The subentry of a meter."""
    return next(one for one in entry.subentries.values() if one.unique_id == identity)
