"""Events: the log of load shedding."""

from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .runtime_base import EnergyMeterConfigEntry
from .shedder.event import LogEvent
from .shedder.runtime import ShedderRuntime

PARALLEL_UPDATES = 0


async def async_setup_entry(
    hass: HomeAssistant,
    entry: EnergyMeterConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the log, where there is one."""
    runtime = entry.runtime_data
    if isinstance(runtime, ShedderRuntime):
        async_add_entities([LogEvent(runtime)])
