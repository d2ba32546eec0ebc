"""What Home Assistant calls for an entry of each kind."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant

from .const import KIND_BRIDGE, KIND_LOAD_SHEDDING, KIND_MESSENGER, KIND_MODBUS
from .meter_entry import (
    async_remove_meters,
    async_setup_bridge,
    async_setup_line,
    async_unload_meters,
)
from .notifier.entry import async_remove_messenger, async_setup_messenger, async_unload_messenger
from .shedder.entry import async_setup_shedder, async_unload_shedder
from .shedder.runtime import async_remove as async_remove_shedder


@dataclass(frozen=True, slots=True)
class Handlers:
    """What is called for an entry of one kind."""

    setup: Callable[[HomeAssistant, ConfigEntry[Any]], Awaitable[bool]]
    unload: Callable[[HomeAssistant, ConfigEntry[Any]], Awaitable[bool]]
    remove: Callable[[HomeAssistant, ConfigEntry[Any]], Awaitable[None]]


HANDLERS: Final[Mapping[str, Handlers]] = {
    KIND_MODBUS: Handlers(async_setup_line, async_unload_meters, async_remove_meters),
    KIND_BRIDGE: Handlers(async_setup_bridge, async_unload_meters, async_remove_meters),
    KIND_LOAD_SHEDDING: Handlers(async_setup_shedder, async_unload_shedder, async_remove_shedder),
    KIND_MESSENGER: Handlers(async_setup_messenger, async_unload_messenger, async_remove_messenger),
}
