"""Buttons: what a meter or a bridge can be told to do once, such as clearing maxima or restarting."""

from typing import override

from homeassistant.components.button import ButtonEntity
from homeassistant.components.button.const import ButtonDeviceClass
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .control import Command, ControlEntity, async_add_controls
from .controlled import Controlled
from .coordinator import MeterCoordinator
from .model import Control, ControlKind
from .runtime_base import EnergyMeterConfigEntry, EntryRuntime

PARALLEL_UPDATES = 0

_DEVICE_CLASSES = {
    "identify": ButtonDeviceClass.IDENTIFY,
    "restart": ButtonDeviceClass.RESTART,
}
_CLEARS_COUNTERS = frozenset({"reset_energy", "reset_partial"})


class MeterButton(ControlEntity, ButtonEntity):
    """An action with nothing to read back."""

    def __init__(
        self, runtime: EntryRuntime, place: Controlled, control: Control, command: Command
    ) -> None:
        """Offer this control."""
        super().__init__(runtime, place, control, command)
        self._attr_device_class = _DEVICE_CLASSES.get(control.key)

    @override
    async def async_added_to_hass(self) -> None:
        """Follow whether the meter answers."""
        await super().async_added_to_hass()
        self.async_on_remove(self.place.async_subscribe_presence(self._handle_change))
        self._take()

    @callback
    @override
    def _take(self) -> bool:
        if self._attr_available == self.place.reachable:
            return False
        self._attr_available = self.place.reachable
        return True

    @override
    async def async_press(self) -> None:
        """Do it; the meter acknowledges it or the user is told."""
        if self.control.key in _CLEARS_COUNTERS and isinstance(self.place, MeterCoordinator):
            self.place.async_expect_reset()
        await self._async_command(None)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: EnergyMeterConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the buttons of every meter that there is or will be."""
    async_add_controls(entry.runtime_data, async_add_entities, ControlKind.BUTTON, MeterButton)
