"""What all entities of load shedding share."""

from typing import override

from homeassistant.core import CALLBACK_TYPE
from homeassistant.helpers.device_registry import DeviceInfo

from ..const import DOMAIN
from ..entity import QuietEntity
from .runtime import ShedderRuntime


class ShedderEntity(QuietEntity):
    """An entity of load shedding."""

    def __init__(self, runtime: ShedderRuntime, key: str) -> None:
        """Belong to an entry; `key` tells its entities apart."""
        self.runtime = runtime
        self._attr_unique_id = f"{runtime.entry.entry_id}_{key}"
        self._attr_device_info = DeviceInfo(identifiers={(DOMAIN, runtime.entry.entry_id)})

    @override
    async def async_added_to_hass(self) -> None:
        """Show from now on."""
        await super().async_added_to_hass()
        self.async_on_remove(self._follow())
        self._take()

    def _follow(self) -> CALLBACK_TYPE:
        """Be woken by every decision; return what ends it."""
        return self.runtime.async_on_change(self._handle_change)


class LimitEntity(ShedderEntity):
    """An entity of one limit."""

    def __init__(self, runtime: ShedderRuntime, limit_id: str, key: str) -> None:
        """Belong to a limit; `key` tells its entities apart."""
        super().__init__(runtime, f"{limit_id}_{key}")
        self.limit_id = limit_id
        self._attr_translation_placeholders = {"limit": runtime.limit_name(limit_id) or ""}

    @override
    def _follow(self) -> CALLBACK_TYPE:
        """Be woken by the readings of this limit only; return what ends it."""
        return self.runtime.async_on_limit(self.limit_id, self._handle_change)
