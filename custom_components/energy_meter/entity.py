"""What all entities share: the device they belong to, and silence about what has not changed."""

from typing import override

from homeassistant.core import callback
from homeassistant.helpers.device_registry import DeviceInfo
from homeassistant.helpers.entity import Entity

from .const import DOMAIN
from .coordinator import MeterCoordinator
from .runtime_base import EntryRuntime


class MeterEntity(Entity):
    """An entity of one meter, woken only when the thing it shows may have changed.

    A subclass says in `_take` what there is to show; nothing is written while that stays the same.
    """

    _attr_has_entity_name = True
    _attr_should_poll = False
    _attr_available = False

    def __init__(self, meter: MeterCoordinator, key: str) -> None:
        """Belong to a meter; `key` tells the meter's entities apart."""
        self.meter = meter
        self._attr_unique_id = f"{meter.identity}_{key}"
        self._attr_device_info = DeviceInfo(identifiers={(DOMAIN, meter.identity)})

    @override
    async def async_added_to_hass(self) -> None:
        """Be known to the meter, which takes its entities along when it goes."""
        await super().async_added_to_hass()
        self.meter.entities.add(self)
        self.async_on_remove(lambda: self.meter.entities.discard(self))

    @callback
    def _take(self) -> bool:
        """Take what there is to show into the entity; return whether it differs from before."""
        raise NotImplementedError

    @callback
    def _handle_change(self) -> None:
        if self._take():
            self.async_write_ha_state()


class LineEntity(Entity):
    """An entity of the line itself."""

    _attr_has_entity_name = True
    _attr_should_poll = False

    def __init__(self, runtime: EntryRuntime, key: str) -> None:
        """Belong to a line; `key` tells the line's entities apart."""
        self.runtime = runtime
        self._attr_unique_id = f"{runtime.entry.entry_id}_{key}"
        self._attr_device_info = DeviceInfo(identifiers={(DOMAIN, runtime.entry.entry_id)})

    @override
    async def async_added_to_hass(self) -> None:
        """Take part in the line's regular look at its health."""
        await super().async_added_to_hass()
        self.async_on_remove(self.runtime.async_on_health(self._handle_health))
        self._take()

    @callback
    def _take(self) -> bool:
        """Take what there is to show into the entity; return whether it differs from before."""
        raise NotImplementedError

    @callback
    def _handle_health(self) -> None:
        if self._take():
            self.async_write_ha_state()
