"""An entry of load shedding as Home Assistant sets it up, unloads and removes it."""

from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant

from .runtime import ShedderRuntime

PLATFORMS: Final = (Platform.EVENT, Platform.NUMBER, Platform.SENSOR, Platform.SWITCH)


async def async_setup_shedder(hass: HomeAssistant, entry: ConfigEntry[Any]) -> bool:
    """Set up load shedding."""
    runtime = ShedderRuntime(hass, entry)
    await runtime.async_prepare()
    entry.runtime_data = runtime
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    await runtime.async_start()
    entry.async_on_unload(entry.add_update_listener(_async_updated))
    return True


async def async_unload_shedder(hass: HomeAssistant, entry: ConfigEntry[Any]) -> bool:
    """Take load shedding down; what is off stays off."""
    if not await hass.config_entries.async_unload_platforms(entry, PLATFORMS):
        return False
    await entry.runtime_data.async_stop()
    return True


async def _async_updated(hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
    await entry.runtime_data.async_update()
