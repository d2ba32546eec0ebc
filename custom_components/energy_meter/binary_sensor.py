"""Binary sensors: limits that are exceeded, and signs of tampering."""

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .alarms.entities import AlarmBinarySensor
from .alarms.runtime import Alarm
from .alarms.tamper import TamperAlarm
from .alarms.tamper_entities import TamperBinarySensor
from .runtime_base import EnergyMeterConfigEntry

PARALLEL_UPDATES = 0


async def async_setup_entry(
    hass: HomeAssistant,
    entry: EnergyMeterConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add what shows how each alarm stands, now and when more are set."""

    @callback
    def add(alarm: Alarm) -> None:
        async_add_entities([AlarmBinarySensor(alarm)], config_subentry_id=alarm.meter.subentry_id)

    @callback
    def add_tamper(alarm: TamperAlarm) -> None:
        async_add_entities([TamperBinarySensor(alarm)], config_subentry_id=alarm.meter.subentry_id)

    entry.runtime_data.alarms.async_on_alarm(add)
    entry.runtime_data.alarms.async_on_tamper(add_tamper)
