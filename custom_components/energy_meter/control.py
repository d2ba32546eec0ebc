"""Controls of a meter as entities: what it is set to is read back, never assumed."""

from collections.abc import Callable
from typing import Any, override

from homeassistant.const import EntityCategory
from homeassistant.core import callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import MeterCoordinator
from .entity import MeterEntity
from .model import CONTROL_KEYS, Control, ControlKind, Value
from .runtime_base import EntryRuntime


class ControlEntity(MeterEntity):
    """One control of one meter.

    Settings are part of the configuration; those that could lose the meter, or falsify it, are off until
    somebody looks for them.
    """

    def __init__(self, runtime: EntryRuntime, meter: MeterCoordinator, control: Control) -> None:
        """Offer this control."""
        super().__init__(meter, control.key)
        self.runtime = runtime
        self.control = control
        if control.key in CONTROL_KEYS:
            self._attr_translation_key = control.key
        else:
            self._attr_name = control.key.replace("_", " ").capitalize()
        if control.kind is not ControlKind.SWITCH or control.guarded:
            self._attr_entity_category = EntityCategory.CONFIG
        self._attr_entity_registry_enabled_default = not control.guarded

    async def _async_command(self, value: Value) -> None:
        """Have the meter do it, or tell the user why not."""
        await self.runtime.async_command(self.meter, self.control.key, value)


class SettingEntity(ControlEntity):
    """A control whose state can be read."""

    @override
    async def async_added_to_hass(self) -> None:
        """Have the setting read now and then from now on."""
        await super().async_added_to_hass()
        self.async_on_remove(
            self.meter.async_subscribe_setting(self.control.key, self._handle_change)
        )
        self.runtime.async_read_settings_soon()
        self._take()

    @callback
    @override
    def _take(self) -> bool:
        available = self.meter.answering and self.control.key in self.meter.settings
        value = self.meter.settings.get(self.control.key) if available else None
        shown = self._shown(value)
        if (available, shown) == (self._attr_available, self._state):
            return False
        self._attr_available = available
        self._state = shown
        return True

    _state: Any = None

    def _shown(self, value: Value) -> Any:
        """The value as this kind of entity shows it."""
        return value


@callback
def async_add_controls(
    runtime: EntryRuntime,
    async_add_entities: AddConfigEntryEntitiesCallback,
    kind: ControlKind,
    make: Callable[[EntryRuntime, MeterCoordinator, Control], ControlEntity],
) -> None:
    """Add the controls of a kind of every meter that there is or will be."""

    @callback
    def add_meter(meter: MeterCoordinator) -> None:
        async_add_entities(
            [
                make(runtime, meter, control)
                for control in meter.shape.controls
                if control.kind is kind
            ],
            config_subentry_id=meter.subentry_id,
        )

    runtime.async_on_meter(add_meter)
