"""Controls of a meter or a bridge as entities: what it is set to is read back, never assumed."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, override

from homeassistant.const import EntityCategory
from homeassistant.core import callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .bridge_runtime import BridgeRuntime
from .controlled import Controlled
from .coordinator import MeterCoordinator
from .entity import PlaceEntity
from .model import (
    BRIDGE_CONTROLS,
    CALIBRATION_KEYS,
    CONTROL_KEYS,
    MONITOR_KEYS,
    NODE_KEYS,
    Control,
    ControlKind,
    Value,
)
from .runtime_base import EntryRuntime

NAMED = (
    CONTROL_KEYS
    | CALIBRATION_KEYS
    | NODE_KEYS
    | MONITOR_KEYS
    | {each.key for each in BRIDGE_CONTROLS}
)
"""Controls that have a translated name; a user's own profile or a bridge may have others."""

type Command = Callable[[str, Value], Awaitable[None]]


class ControlEntity(PlaceEntity):
    """One control of one meter, or of a bridge itself.

    Settings are part of the configuration; those that could lose the meter, or falsify it, are off until
    somebody looks for them.
    """

    def __init__(
        self, runtime: EntryRuntime, place: Controlled, control: Control, command: Command
    ) -> None:
        """Offer this control; `command` carries it out."""
        super().__init__(place, control.key)
        self.runtime = runtime
        self.control = control
        self._command = command
        if control.key in NAMED:
            self._attr_translation_key = control.key
        else:
            self._attr_name = control.key.replace("_", " ").capitalize()
        if control.kind is not ControlKind.SWITCH or control.guarded:
            self._attr_entity_category = EntityCategory.CONFIG
        self._attr_entity_registry_enabled_default = not control.guarded

    async def _async_command(self, value: Value) -> None:
        """Have it done, or tell the user why not."""
        await self._command(self.control.key, value)


class SettingEntity(ControlEntity):
    """A control whose state can be read."""

    @override
    async def async_added_to_hass(self) -> None:
        """Have the setting read now and then from now on."""
        await super().async_added_to_hass()
        self.async_on_remove(
            self.place.async_subscribe_setting(self.control.key, self._handle_change)
        )
        self.runtime.async_read_settings_soon()
        self._take()

    @callback
    @override
    def _take(self) -> bool:
        available = self.place.reachable and self.control.key in self.place.settings
        value = self.place.settings.get(self.control.key) if available else None
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
    make: Callable[[EntryRuntime, Controlled, Control, Command], ControlEntity],
) -> None:
    """Add the controls of a kind of every meter that there is or will be, and of a bridge itself."""

    @callback
    def add_meter(meter: MeterCoordinator) -> None:
        async_add_entities(
            [
                make(runtime, meter, control, partial(runtime.async_command, meter))
                for control in meter.shape.controls
                if control.kind is kind
            ],
            config_subentry_id=meter.subentry_id,
        )

    runtime.async_on_meter(add_meter)
    if not isinstance(runtime, BridgeRuntime):
        return
    there: set[str] = set()

    @callback
    def add_bridge() -> None:
        new = [
            control
            for control in runtime.controls
            if control.kind is kind and control.key not in there
        ]
        there.update(control.key for control in new)
        async_add_entities(
            [make(runtime, runtime.itself, each, runtime.async_command_bridge) for each in new]
        )

    runtime.async_on_hello(add_bridge)
