"""Load shedding for the simulated house, set up as a user would."""

from collections.abc import Mapping
import time
from typing import Any, Final

from homeassistant.config_entries import ConfigSubentryData
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers.discovery import async_load_platform
from homeassistant.helpers.typing import ConfigType

from custom_components.energy_meter.const import CONF_KIND, KIND_LOAD_SHEDDING
from custom_components.energy_meter.sources.simulated.circuit import PHASES
from custom_components.energy_meter.sources.simulated.house import shared_house

from . import story

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
    """The main fuse on each phase, and two loads."""
    common = {"restorable": True, "protected": False}
    fuses = (
        ConfigSubentryData(
            data={
                "sensor": f"sensor.cellar_grid_connection_current_{phase}",
                "measure": "current",
                "phase": phase,
                "urgency": "hard",
                "value": story.FUSE,
                "delay": 0,
                "freshness": 30,
                "invert": False,
            },
            subentry_type="limit",
            title=f"Main fuse {phase.upper()}",
            unique_id=None,
        )
        for phase in PHASES
    )
    loads = (
        ConfigSubentryData(
            data={
                "entity": "switch.cellar_water_heater_relay",
                "phase": "l2",
                "order": 1,
                "power": story.HEATER,
                "power_sensor": "sensor.cellar_water_heater_power",
                "min_off": 3 if fast else 600,
                **common,
            },
            subentry_type="load",
            title="Water heater",
            unique_id=None,
        ),
        ConfigSubentryData(
            data={
                "entity": "switch.wallbox",
                "phase": "all",
                "order": 2,
                "power": story.CAR,
                "power_sensor": "sensor.garage_car_charger_power",
                "min_off": 3 if fast else 300,
                **common,
            },
            subentry_type="load",
            title="Car charger",
            unique_id=None,
        ),
    )
    return (*fuses, *loads)


async def async_furnish_house(hass: HomeAssistant, config: ConfigType) -> None:
    """Have what is no meter: the wallbox and the house's clock."""
    await hass.async_add_executor_job(shared_house)
    for platform in (Platform.SENSOR, Platform.SWITCH):
        await async_load_platform(hass, platform, "energy_meter_demo", {}, config)
    await hass.async_block_till_done()


def hurry() -> None:
    """Let the house live a day in some minutes from now on."""
    shared_house().mains.pace = story.fast_pace(time.time())
