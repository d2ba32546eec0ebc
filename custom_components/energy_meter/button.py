"""Buttons: what a meter can be told to do once, such as clearing its maxima."""

from typing import override

from homeassistant.components.button import ButtonEntity
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .control import ControlEntity, async_add_controls
from .model import ControlKind
from .runtime_base import EnergyMeterConfigEntry

PARALLEL_UPDATES = 0

_CLEARS_COUNTERS = frozenset({"reset_energy", "reset_partial"})


class MeterButton(ControlEntity, ButtonEntity):
    """An action with nothing to read back."""

    @override
    async def async_added_to_hass(self) -> None:
        """Follow whether the meter answers."""
        await super().async_added_to_hass()
        self.async_on_remove(self.meter.async_subscribe_presence(self._handle_change))
        self._take()

    @callback
    @override
    def _take(self) -> bool:
        if self._attr_available == self.meter.answering:
            return False
        self._attr_available = self.meter.answering
        return True

    @override
    async def async_press(self) -> None:
        """Do it; the meter acknowledges it or the user is told."""
        if self.control.key in _CLEARS_COUNTERS:
            self.meter.async_expect_reset()
        await self._async_command(None)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: EnergyMeterConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the buttons of every meter that the line has or will have."""
    async_add_controls(entry.runtime_data, async_add_entities, ControlKind.BUTTON, MeterButton)
