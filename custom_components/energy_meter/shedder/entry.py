"""An entry of load shedding as Home Assistant sets it up, unloads and removes it."""

from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant

from ..entry_life import async_begin, async_end
from .runtime import ShedderRuntime

PLATFORMS: Final = (Platform.EVENT, Platform.NUMBER, Platform.SENSOR, Platform.SWITCH)


async def async_setup_shedder(hass: HomeAssistant, entry: ConfigEntry[Any]) -> bool:
    """Set up load shedding."""
    return await async_begin(hass, entry, ShedderRuntime(hass, entry), PLATFORMS)


async def async_unload_shedder(hass: HomeAssistant, entry: ConfigEntry[Any]) -> bool:
    """Take load shedding down; what is off stays off."""
    return await async_end(hass, entry, PLATFORMS)
