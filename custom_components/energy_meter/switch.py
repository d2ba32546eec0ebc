"""Switches: relays in meters, as they say they stand."""

from typing import Any, override

from homeassistant.components.switch import SwitchEntity
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.util import dt as dt_util

from .control import Command, SettingEntity, async_add_controls
from .controlled import Controlled
from .model import Control, ControlKind, Value
from .relays.runtime import async_cause, is_relay
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


class RelaySwitch(MeterSwitch):
    """A relay: switched within its interlock, with a record of who has switched it, why and when."""

    def __init__(
        self, runtime: EntryRuntime, place: Controlled, control: Control, command: Command
    ) -> None:
        """Offer this relay."""
        super().__init__(runtime, place, control, command)
        self.relay = runtime.relays.get(place, control, command)

    @override
    async def async_added_to_hass(self) -> None:
        """Show the record from now on."""
        await super().async_added_to_hass()
        self.async_on_remove(self.relay.async_on_show(self._handle_change))

    @callback
    @override
    def _take(self) -> bool:
        self.relay.look()  # So that state and record are written together.
        changed = super()._take()
        record = self.relay.record
        since = None if record.since is None else dt_util.utc_from_timestamp(record.since)
        attributes = {
            "changed_by": record.changed_by,
            "reason": record.reason,
            "since": since and since.isoformat(),
            "supply_disconnected": record.held,
        }
        if attributes == getattr(self, "_attr_extra_state_attributes", None):
            return changed
        self._attr_extra_state_attributes = attributes
        return True

    @override
    async def async_turn_on(self, **kwargs: Any) -> None:
        """Switch on if that is allowed now, and wait for the meter to confirm it."""
        await self._async_switch(True)

    @override
    async def async_turn_off(self, **kwargs: Any) -> None:
        """Switch off if that is allowed now, and wait for the meter to confirm it."""
        await self._async_switch(False)

    async def _async_switch(self, on: bool) -> None:
        who, by_hand = await async_cause(self.hass, self._context)
        await self.relay.async_switch(on, who=who, by_hand=by_hand)


def make_switch(
    runtime: EntryRuntime, place: Controlled, control: Control, command: Command
) -> MeterSwitch:
    """The switch for a control."""
    kind = RelaySwitch if is_relay(control) else MeterSwitch
    return kind(runtime, place, control, command)


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
    async_add_controls(runtime, async_add_entities, ControlKind.SWITCH, make_switch)
