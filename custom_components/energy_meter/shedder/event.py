"""The log of load shedding: every act with the numbers that it was based on."""

from dataclasses import asdict
from typing import Final, override

from homeassistant.components.event import EventEntity
from homeassistant.const import ATTR_ENTITY_ID, ATTR_NAME, UnitOfElectricCurrent, UnitOfPower
from homeassistant.core import callback

from ..load_shedding import Entry, Event, Measure
from .const import EVENT_SHEDDING
from .entity import ShedderEntity
from .runtime import ShedderRuntime

LOG: Final = "shedding_log"
UNITS: Final = {Measure.POWER: UnitOfPower.WATT, Measure.CURRENT: UnitOfElectricCurrent.AMPERE}


class LogEvent(ShedderEntity, EventEntity):
    """What was done, when and why."""

    _attr_translation_key = LOG
    _attr_event_types = [event.value for event in Event]

    def __init__(self, runtime: ShedderRuntime) -> None:
        """Write the log."""
        super().__init__(runtime, LOG)

    @override
    async def async_added_to_hass(self) -> None:
        """Take the entries as they are written."""
        await super().async_added_to_hass()
        self.async_on_remove(self.runtime.async_on_entry(self._handle_entry))

    @callback
    @override
    def _take(self) -> bool:
        return False

    @callback
    def _handle_entry(self, entry: Entry) -> None:
        numbers = {
            key: round(value, 2) if isinstance(value, float) else value
            for key, value in asdict(entry).items()
            if key not in {"at", "event", "load", "limit"} and value is not None
        }
        attributes = {
            "load": self.runtime.load_name(entry.load),
            "limit": self.runtime.limit_name(entry.limit),
            **numbers,
        }
        self._trigger_event(entry.event.value, attributes)
        self.async_write_ha_state()
        limit = self.runtime.limits.get(entry.limit or "")
        self.hass.bus.async_fire(
            EVENT_SHEDDING,
            {
                ATTR_ENTITY_ID: self.entity_id,
                ATTR_NAME: self.runtime.entry.title,
                "event_type": entry.event.value,
                "unit": UNITS[limit.measure] if limit else None,
                **attributes,
            },
        )
