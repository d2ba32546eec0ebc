"""What all entities share: the device they belong to, and silence about what has not changed."""

from typing import override

from homeassistant.core import callback
from homeassistant.helpers.device_registry import DeviceInfo
from homeassistant.helpers.entity import Entity

from .const import DOMAIN
from .controlled import Controlled
from .coordinator import MeterCoordinator
from .runtime_base import EntryRuntime


class QuietEntity(Entity):
    """An entity that is woken when the thing it shows may have changed.

    A subclass says in `_take` what there is to show; nothing is written while that stays the same.
    """

    _attr_has_entity_name = True
    _attr_should_poll = False

    @callback
    def _take(self) -> bool:
        """Take what there is to show into the entity; return whether it differs from before."""
        raise NotImplementedError

    @callback
    def _handle_change(self) -> None:
        if self._take():
            self.async_write_ha_state()


class PlaceEntity(QuietEntity):
    """An entity of one meter or of a bridge."""

    _attr_available = False

    def __init__(self, place: Controlled, key: str) -> None:
        """Belong to a meter or a bridge; `key` tells its entities apart."""
        self.place = place
        self._attr_unique_id = f"{place.identity}_{key}"
        self._attr_device_info = DeviceInfo(identifiers={(DOMAIN, place.identity)})

    @override
    async def async_added_to_hass(self) -> None:
        """Be known to the place, which takes its entities along when it goes."""
        await super().async_added_to_hass()
        self.place.entities.add(self)
        self.async_on_remove(lambda: self.place.entities.discard(self))


class MeterEntity(PlaceEntity):
    """An entity that shows something of one meter."""

    def __init__(self, meter: MeterCoordinator, key: str) -> None:
        """Belong to a meter; `key` tells the meter's entities apart."""
        super().__init__(meter, key)
        self.meter = meter


class LineEntity(QuietEntity):
    """An entity of the line or the bridge itself that is looked at with its health."""

    def __init__(self, runtime: EntryRuntime, key: str) -> None:
        """Belong to a line or a bridge; `key` tells its entities apart."""
        self.runtime = runtime
        self._attr_unique_id = f"{runtime.entry.entry_id}_{key}"
        self._attr_device_info = DeviceInfo(identifiers={(DOMAIN, runtime.entry.entry_id)})

    @override
    async def async_added_to_hass(self) -> None:
        """Take part in the regular look at its health."""
        await super().async_added_to_hass()
        self.async_on_remove(self.runtime.async_on_health(self._handle_change))
        self._take()
