"""Load shedding for the flat, set up as a user would."""

from collections.abc import Mapping
from typing import Any, Final

from homeassistant.config_entries import ConfigSubentryData
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers.discovery import async_load_platform
from homeassistant.helpers.typing import ConfigType

from custom_components.energy_meter.const import CONF_KIND, KIND_LOAD_SHEDDING

from . import story
from .flat import DATA_FLAT, Flat

TITLE: Final = "Load shedding"


def settings(*, fast: bool) -> Mapping[str, Any]:
    """How careful it is; in a fast day a second has to do for some minutes."""
    return {
        CONF_KIND: KIND_LOAD_SHEDDING,
        "margin": 300,
        "restore_delay": 5 if fast else 120,
        "hold": 30 if fast else 3_600,
        "per_pass": 3,
        "per_hour": 60,
        "voltage": 230,
    }


def subentries(*, fast: bool) -> tuple[ConfigSubentryData, ...]:
    """One limit and two loads."""
    common = {"phase": "single", "restorable": True, "protected": False}
    return (
        ConfigSubentryData(
            data={
                "sensor": "sensor.flat_supply",
                "measure": "power",
                "phase": "all",
                "urgency": "hard",
                "value": story.LIMIT,
                "delay": 0,
                "freshness": 30,
                "invert": False,
            },
            subentry_type="limit",
            title="Flat supply",
            unique_id=None,
        ),
        ConfigSubentryData(
            data={
                "entity": "switch.water_heater",
                "order": 1,
                "power": story.HEATER,
                "power_sensor": "sensor.water_heater_power",
                "min_off": 3 if fast else 60,
                **common,
            },
            subentry_type="load",
            title="Water heater",
            unique_id=None,
        ),
        ConfigSubentryData(
            data={
                "entity": "switch.car_charger",
                "order": 2,
                "power": story.CAR,
                "power_sensor": "sensor.car_power",
                "min_off": 3 if fast else 300,
                **common,
            },
            subentry_type="load",
            title="Car charger",
            unique_id=None,
        ),
    )


async def async_furnish_flat(hass: HomeAssistant, config: ConfigType, *, fast: bool) -> None:
    """Have the flat's devices; load shedding itself is an entry and comes after them."""
    hass.data[DATA_FLAT] = flat = Flat(fast=fast)
    for platform in (Platform.SENSOR, Platform.SWITCH):
        await async_load_platform(hass, platform, "energy_meter_demo", {}, config)
    await hass.async_block_till_done()
    flat.async_run(hass)
