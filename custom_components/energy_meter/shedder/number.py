"""Numbers of load shedding: the limits that do not follow anything."""

from typing import Final, override

from homeassistant.components.number import NumberDeviceClass, NumberEntity, NumberMode
from homeassistant.const import EntityCategory
from homeassistant.core import callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from ..load_shedding import Measure
from .const import CONF_VALUE
from .entity import LimitEntity
from .runtime import ShedderRuntime
from .sensor import UNITS

LIMIT: Final = "limit"
HIGHEST: Final = {Measure.POWER: 1_000_000.0, Measure.CURRENT: 5_000.0}


class LimitNumber(LimitEntity, NumberEntity):
    """What may flow at one place of the supply."""

    _attr_translation_key = LIMIT
    _attr_mode = NumberMode.BOX
    _attr_entity_category = EntityCategory.CONFIG

    def __init__(self, runtime: ShedderRuntime, limit_id: str) -> None:
        """Offer a limit to be moved."""
        super().__init__(runtime, limit_id, LIMIT)
        measure = runtime.limits[limit_id].measure
        power = measure is Measure.POWER
        self._attr_device_class = NumberDeviceClass.POWER if power else NumberDeviceClass.CURRENT
        self._attr_native_unit_of_measurement = UNITS[measure]
        self._attr_native_min_value = 1.0
        self._attr_native_max_value = HIGHEST[measure]
        self._attr_native_step = 1.0 if power else 0.1

    @callback
    @override
    def _take(self) -> bool:
        limit = self.runtime.limits.get(self.limit_id)
        value = limit.value if limit is not None else None
        before, self._attr_native_value = self._attr_native_value, value
        return before != value

    @override
    async def async_set_native_value(self, value: float) -> None:
        """Move the limit, in the configuration too."""
        entry = self.runtime.entry
        subentry = entry.subentries[self.limit_id]
        self.hass.config_entries.async_update_subentry(
            entry, subentry, data={**subentry.data, CONF_VALUE: value}
        )
        await self.runtime.async_update()
        self._handle_change()


@callback
def async_add_numbers(
    runtime: ShedderRuntime, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the numbers of every limit that there is or will be."""
    known: set[str] = set()

    @callback
    def add() -> None:
        fixed = {limit.id for limit in runtime.limits.values() if limit.value is not None}
        new = fixed - known
        known.intersection_update(fixed)
        known.update(new)
        async_add_entities(LimitNumber(runtime, limit_id) for limit_id in new)

    runtime.async_on_plan(add)
    add()
