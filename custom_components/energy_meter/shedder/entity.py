"""What all entities of load shedding share."""

from typing import override

from homeassistant.core import callback
from homeassistant.helpers.device_registry import DeviceInfo
from homeassistant.helpers.entity import Entity

from ..const import DOMAIN
from .runtime import ShedderRuntime


class ShedderEntity(Entity):
    """An entity of load shedding, written only when what it shows has changed."""

    _attr_has_entity_name = True
    _attr_should_poll = False

    def __init__(self, runtime: ShedderRuntime, key: str) -> None:
        """Belong to an entry; `key` tells its entities apart."""
        self.runtime = runtime
        self._attr_unique_id = f"{runtime.entry.entry_id}_{key}"
        self._attr_device_info = DeviceInfo(identifiers={(DOMAIN, runtime.entry.entry_id)})

    @override
    async def async_added_to_hass(self) -> None:
        """Follow the decisions."""
        await super().async_added_to_hass()
        self.async_on_remove(self.runtime.async_on_change(self._handle_change))
        self._take()

    @callback
    def _take(self) -> bool:
        """Take what there is to show into the entity; return whether it differs from before."""
        raise NotImplementedError

    @callback
    def _handle_change(self) -> None:
        if self._take():
            self.async_write_ha_state()


class LimitEntity(ShedderEntity):
    """An entity of one limit."""

    def __init__(self, runtime: ShedderRuntime, limit_id: str, key: str) -> None:
        """Belong to a limit; `key` tells its entities apart."""
        super().__init__(runtime, f"{limit_id}_{key}")
        self.limit_id = limit_id
        self._attr_translation_placeholders = {"limit": runtime.limit_name(limit_id) or ""}

    @override
    async def async_added_to_hass(self) -> None:
        """Follow the readings of this limit only."""
        await Entity.async_added_to_hass(self)
        self.async_on_remove(self.runtime.async_on_limit(self.limit_id, self._handle_change))
        self._take()
