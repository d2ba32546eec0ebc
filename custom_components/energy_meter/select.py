"""Selects: settings of a meter out of a list, such as its speed and system type."""

from typing import override

from homeassistant.components.select import SelectEntity
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .control import Command, SettingEntity, async_add_controls
from .controlled import Controlled
from .model import Control, ControlKind, Value
from .runtime_base import EnergyMeterConfigEntry, EntryRuntime

PARALLEL_UPDATES = 0


class MeterSelect(SettingEntity, SelectEntity):
    """A setting out of a list; the options are the maker's own words."""

    def __init__(
        self, runtime: EntryRuntime, place: Controlled, control: Control, command: Command
    ) -> None:
        """Offer this control."""
        super().__init__(runtime, place, control, command)
        self._attr_options = list(control.options.values())

    @override
    def _shown(self, value: Value) -> str | None:
        return None if value is None else self.control.options.get(int(value))

    @property
    @override
    def current_option(self) -> str | None:
        """What it is set to; None if the meter says something unknown."""
        option: str | None = self._state
        return option

    @override
    async def async_select_option(self, option: str) -> None:
        """Set it and wait for the meter to confirm it."""
        raw = next(raw for raw, spoken in self.control.options.items() if spoken == option)
        await self._async_command(raw)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: EnergyMeterConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the selects of every meter that there is or will be."""
    async_add_controls(entry.runtime_data, async_add_entities, ControlKind.SELECT, MeterSelect)
