"""Events: what alarms have seen, and the log of load shedding."""

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .alarms.entities import AlarmEvent
from .alarms.runtime import Alarm
from .alarms.tamper import TamperAlarm
from .alarms.tamper_entities import TamperEvent
from .runtime_base import EnergyMeterConfigEntry
from .shedder.event import LogEvent
from .shedder.runtime import ShedderRuntime

PARALLEL_UPDATES = 0


async def async_setup_entry(
    hass: HomeAssistant,
    entry: EnergyMeterConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the log of load shedding, or the history of every alarm that is or will be set."""
    runtime = entry.runtime_data
    if isinstance(runtime, ShedderRuntime):
        async_add_entities([LogEvent(runtime)])
        return

    @callback
    def add(alarm: Alarm) -> None:
        async_add_entities([AlarmEvent(alarm)], config_subentry_id=alarm.meter.subentry_id)

    @callback
    def add_tamper(alarm: TamperAlarm) -> None:
        async_add_entities([TamperEvent(alarm)], config_subentry_id=alarm.meter.subentry_id)

    runtime.alarms.async_on_alarm(add)
    runtime.alarms.async_on_tamper(add_tamper)
