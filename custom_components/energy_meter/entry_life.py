"""How an entry whose runtime reads or acts begins and ends, whatever its kind."""

from collections.abc import Sequence
from typing import Any, Protocol

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant


class Runtime(Protocol):
    """What is behind a running entry."""

    async def async_prepare(self) -> None:
        """Get ready for the platforms."""

    async def async_start(self) -> None:
        """Begin, once the entities are there."""

    async def async_stop(self) -> None:
        """End everything."""

    async def async_update(self) -> None:
        """Follow a change of the entry."""


async def async_begin(
    hass: HomeAssistant, entry: ConfigEntry[Any], runtime: Runtime, platforms: Sequence[Platform]
) -> bool:
    """Set an entry up with its runtime and platforms."""
    await runtime.async_prepare()
    entry.runtime_data = runtime
    await hass.config_entries.async_forward_entry_setups(entry, platforms)
    await runtime.async_start()
    entry.async_on_unload(entry.add_update_listener(_async_updated))
    return True


async def async_end(
    hass: HomeAssistant, entry: ConfigEntry[Any], platforms: Sequence[Platform]
) -> bool:
    """Take it down; False if a platform would not go."""
    if not await hass.config_entries.async_unload_platforms(entry, platforms):
        return False
    await entry.runtime_data.async_stop()
    return True


async def _async_updated(hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
    await entry.runtime_data.async_update()
