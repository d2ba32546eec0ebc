"""Switches: relays in meters, as they say they stand."""

from typing import Any, override

from homeassistant.components.switch import SwitchEntity
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .control import Command, SettingEntity, async_add_controls
from .controlled import Controlled
from .model import Control, ControlKind, Value
from .runtime_base import EnergyMeterConfigEntry, EntryRuntime
from .shedder.runtime import ShedderRuntime
from .shedder.switch import DryRunSwitch, EnableSwitch

PARALLEL_UPDATES = 0


class MeterSwitch(SettingEntity, SwitchEntity):
    """A relay, or anything else with two states; the lower raw value is off."""

    def __init__(
        self, runtime: EntryRuntime, place: Controlled, control: Control, command: Command
    ) -> None:
        """Offer this control."""
        super().__init__(runtime, place, control, command)
        self._off, self._on = sorted(control.options) if control.options else (0, 1)

    @override
    def _shown(self, value: Value) -> bool | None:
        return None if value is None else value == self._on

    @property
    @override
    def is_on(self) -> bool | None:
        """Whether it is on; None if the meter does not say."""
        state: bool | None = self._state
        return state

    @override
    async def async_turn_on(self, **kwargs: Any) -> None:
        """Switch on and wait for the meter to confirm it."""
        await self._async_command(self._on)

    @override
    async def async_turn_off(self, **kwargs: Any) -> None:
        """Switch off and wait for the meter to confirm it."""
        await self._async_command(self._off)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: EnergyMeterConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the switches of every meter that there is or will be."""
    runtime = entry.runtime_data
    if isinstance(runtime, ShedderRuntime):
        async_add_entities([EnableSwitch(runtime), DryRunSwitch(runtime)])
        return
    async_add_controls(runtime, async_add_entities, ControlKind.SWITCH, MeterSwitch)
