"""Energy Meter: electricity meters on wires, as correct sensors and a filled Energy dashboard."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from homeassistant.core import HomeAssistant
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.device_registry import AnyDeviceEntry
from homeassistant.helpers.event import async_track_time_interval
from homeassistant.helpers.typing import ConfigType

from .const import CONF_IDENTITY, DOMAIN
from .entry_handlers import HANDLERS
from .entry_kind import kind_of
from .profiles import async_check_profiles
from .relays.actions import async_setup_supply_actions
from .runtime import DATA_LIBRARY
from .runtime_base import (
    EnergyMeterConfigEntry,
    async_forget_meter,
    configured_identities,
    meter_subentries,
)
from .services import async_setup_services
from .shedder.services import async_setup_shedder_services
from .sources.modbus.library import ProfileLibrary
from .store import DATA_STORE, MeterStore
from .waveform_action import async_setup_waveform_action

PROFILES_INTERVAL: Final = timedelta(minutes=10)
"""How often the folder of the user's own profiles is looked at."""

CONFIG_SCHEMA = cv.config_entry_only_config_schema(DOMAIN)


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Load what all lines share."""
    hass.data[DATA_LIBRARY] = ProfileLibrary(Path(hass.config.path(DOMAIN, "profiles")))
    hass.data[DATA_STORE] = store = MeterStore(hass)
    await store.async_load()
    async_setup_services(hass)
    async_setup_waveform_action(hass)
    async_setup_shedder_services(hass)
    async_setup_supply_actions(hass)
    for identity in store.identities - configured_identities(hass):
        await async_forget_meter(hass, identity)  # Removed while its line was not running.

    async def check_profiles(_now: datetime) -> None:
        await async_check_profiles(hass)

    async_track_time_interval(
        hass, check_profiles, PROFILES_INTERVAL, name=f"{DOMAIN} profiles", cancel_on_shutdown=True
    )
    await async_check_profiles(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: EnergyMeterConfigEntry) -> bool:
    """Set an entry up as its kind has it."""
    return await HANDLERS[kind_of(entry)].setup(hass, entry)


async def async_unload_entry(hass: HomeAssistant, entry: EnergyMeterConfigEntry) -> bool:
    """Take an entry down."""
    return await HANDLERS[kind_of(entry)].unload(hass, entry)


async def async_remove_entry(hass: HomeAssistant, entry: EnergyMeterConfigEntry) -> None:
    """Leave nothing of an entry."""
    await HANDLERS[kind_of(entry)].remove(hass, entry)


async def async_remove_config_entry_device(
    hass: HomeAssistant, entry: EnergyMeterConfigEntry, device: AnyDeviceEntry
) -> bool:
    """Let a device be deleted that is neither the line nor one of its meters."""
    present = {entry.entry_id} | {
        subentry.data[CONF_IDENTITY] for subentry in meter_subentries(entry)
    }
    return not any(domain == DOMAIN and known in present for domain, known in device.identifiers)
