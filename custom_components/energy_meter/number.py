"""Numbers: settings of a meter within limits, such as its address and transformer ratios; thresholds of alarms."""

from typing import override

from homeassistant.components.number import NumberEntity, NumberMode
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .alarms.entities import AlarmThreshold
from .alarms.runtime import Alarm
from .control import Command, SettingEntity, async_add_controls
from .controlled import Controlled
from .model import Control, ControlKind
from .runtime_base import EnergyMeterConfigEntry, EntryRuntime
from .shedder.number import async_add_numbers
from .shedder.runtime import ShedderRuntime

PARALLEL_UPDATES = 0


class MeterNumber(SettingEntity, NumberEntity):
    """A setting within limits."""

    _attr_mode = NumberMode.BOX

    def __init__(
        self, runtime: EntryRuntime, place: Controlled, control: Control, command: Command
    ) -> None:
        """Offer this control."""
        super().__init__(runtime, place, control, command)
        self._attr_native_unit_of_measurement = control.unit
        if control.minimum is not None:
            self._attr_native_min_value = control.minimum
        if control.maximum is not None:
            self._attr_native_max_value = control.maximum
        self._attr_native_step = control.step or 1

    @property
    @override
    def native_value(self) -> float | None:
        """What it is set to; None if the meter does not say."""
        value: float | None = self._state
        return value

    @override
    async def async_set_native_value(self, value: float) -> None:
        """Set it and wait for the meter to confirm it."""
        await self._async_command(int(value) if value.is_integer() else value)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: EnergyMeterConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the numbers of every meter that there is or will be."""
    runtime = entry.runtime_data
    if isinstance(runtime, ShedderRuntime):
        async_add_numbers(runtime, async_add_entities)
        return
    async_add_controls(runtime, async_add_entities, ControlKind.NUMBER, MeterNumber)

    @callback
    def add(alarm: Alarm) -> None:
        async_add_entities([AlarmThreshold(alarm)], config_subentry_id=alarm.meter.subentry_id)

    runtime.alarms.async_on_alarm(add)
