"""Energy Meter: electricity meters on wires, as correct sensors and a filled Energy dashboard."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from homeassistant.const import CONF_WEBHOOK_ID, Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.device_registry import AnyDeviceEntry
from homeassistant.helpers.event import async_track_time_interval
from homeassistant.helpers.typing import ConfigType

from .bridge_links import make_link
from .bridge_runtime import BridgeRuntime
from .bridge_webhook import async_post_numbers
from .connection import async_follow_port, async_link
from .const import CONF_IDENTITY, CONF_KIND, CONF_UNIT_ID, CONF_WAY, DOMAIN, KIND_BRIDGE, WAY_I2C
from .i2c_runtime import I2CRuntime, make_bus
from .issues import async_clear_all
from .notifier.entry import (
    async_remove_messenger,
    async_setup_messenger,
    async_unload_messenger,
    is_messenger,
)
from .profiles import async_check_profiles
from .relays.actions import async_setup_supply_actions
from .runtime import DATA_LIBRARY, LineRuntime
from .runtime_base import (
    EnergyMeterConfigEntry,
    EntryRuntime,
    async_forget_meter,
    configured_identities,
    meter_subentries,
)
from .services import async_setup_services
from .shedder.entry import async_setup_shedder, async_unload_shedder
from .shedder.flow import is_load_shedding
from .shedder.runtime import async_remove as async_remove_shedder
from .shedder.services import async_setup_shedder_services
from .sources.modbus.library import ProfileLibrary
from .store import DATA_STORE, MeterStore
from .waveform_action import async_setup_waveform_action

PLATFORMS: Final = (
    Platform.BINARY_SENSOR,
    Platform.BUTTON,
    Platform.EVENT,
    Platform.IMAGE,
    Platform.NUMBER,
    Platform.SELECT,
    Platform.SENSOR,
    Platform.SWITCH,
    Platform.UPDATE,
)

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
    """Set up a line or a bridge and its meters, none of which is waited for; or load shedding."""
    if is_load_shedding(entry):
        return await async_setup_shedder(hass, entry)
    if is_messenger(entry):
        return await async_setup_messenger(hass, entry)
    runtime: EntryRuntime
    if entry.data.get(CONF_KIND) == KIND_BRIDGE:
        if entry.data[CONF_WAY] == WAY_I2C:
            runtime = I2CRuntime(hass, entry, make_bus(entry.data))
        else:
            runtime = BridgeRuntime(hass, entry, make_link(hass, entry))
        await async_follow_port(hass, entry)
    else:
        runtime = LineRuntime(hass, entry, await async_link(hass, entry))
    await runtime.async_prepare()
    entry.runtime_data = runtime
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    await runtime.async_start()
    entry.async_on_unload(entry.add_update_listener(_async_updated))
    return True


async def async_unload_entry(hass: HomeAssistant, entry: EnergyMeterConfigEntry) -> bool:
    """Take a line and its meters down."""
    if is_load_shedding(entry):
        return await async_unload_shedder(hass, entry)
    if is_messenger(entry):
        return await async_unload_messenger(hass, entry)
    if not await hass.config_entries.async_unload_platforms(entry, PLATFORMS):
        return False
    await entry.runtime_data.async_stop()
    return True


async def async_remove_entry(hass: HomeAssistant, entry: EnergyMeterConfigEntry) -> None:
    """Leave nothing of a line or a bridge and its meters, except of those that moved elsewhere."""
    if is_load_shedding(entry):
        await async_remove_shedder(hass, entry)
        return
    if is_messenger(entry):
        async_remove_messenger(hass, entry)
        return
    elsewhere = configured_identities(hass, besides=entry.entry_id)
    for subentry in meter_subentries(entry):
        if (identity := subentry.data[CONF_IDENTITY]) not in elsewhere:
            await async_forget_meter(hass, identity)
        if CONF_UNIT_ID in subentry.data:
            async_clear_all(hass, f"{entry.entry_id}_{subentry.data[CONF_UNIT_ID]}")
    async_clear_all(hass, entry.entry_id)
    hass.data[DATA_STORE].async_forget_bridge(entry.entry_id)
    if CONF_WEBHOOK_ID in entry.data:
        (await async_post_numbers(hass)).async_forget(entry.data[CONF_WEBHOOK_ID])


async def async_remove_config_entry_device(
    hass: HomeAssistant, entry: EnergyMeterConfigEntry, device: AnyDeviceEntry
) -> bool:
    """Let a device be deleted that is neither the line nor one of its meters."""
    present = {entry.entry_id} | {
        subentry.data[CONF_IDENTITY] for subentry in meter_subentries(entry)
    }
    return not any(domain == DOMAIN and known in present for domain, known in device.identifiers)


async def _async_updated(hass: HomeAssistant, entry: EnergyMeterConfigEntry) -> None:
    await entry.runtime_data.async_update()
