"""An entry with meters, a line or a bridge, as Home Assistant sets it up, unloads and removes it."""

from typing import Final

from homeassistant.const import CONF_WEBHOOK_ID, Platform
from homeassistant.core import HomeAssistant

from .bridge_links import make_link
from .bridge_runtime import BridgeRuntime
from .bridge_webhook import async_post_numbers
from .connection import async_follow_port, async_link
from .const import CONF_IDENTITY, CONF_UNIT_ID, CONF_WAY, WAY_I2C
from .entry_life import async_begin, async_end
from .i2c_runtime import I2CRuntime, make_bus
from .issues import async_clear_all
from .runtime import LineRuntime
from .runtime_base import (
    EnergyMeterConfigEntry,
    async_forget_meter,
    configured_identities,
    meter_subentries,
)
from .store import DATA_STORE

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


async def async_setup_line(hass: HomeAssistant, entry: EnergyMeterConfigEntry) -> bool:
    """Set up a Modbus line and its meters, none of which is waited for."""
    return await async_begin(
        hass, entry, LineRuntime(hass, entry, await async_link(hass, entry)), PLATFORMS
    )


async def async_setup_bridge(hass: HomeAssistant, entry: EnergyMeterConfigEntry) -> bool:
    """Set up a bridge or a bus of monitors; its meters come by themselves."""
    runtime = (
        I2CRuntime(hass, entry, make_bus(entry.data))
        if entry.data[CONF_WAY] == WAY_I2C
        else BridgeRuntime(hass, entry, make_link(hass, entry))
    )
    await async_follow_port(hass, entry)
    return await async_begin(hass, entry, runtime, PLATFORMS)


async def async_unload_meters(hass: HomeAssistant, entry: EnergyMeterConfigEntry) -> bool:
    """Take a line or a bridge and its meters down."""
    return await async_end(hass, entry, PLATFORMS)


async def async_remove_meters(hass: HomeAssistant, entry: EnergyMeterConfigEntry) -> None:
    """Leave nothing of a line or a bridge and its meters, except of those that moved elsewhere."""
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
