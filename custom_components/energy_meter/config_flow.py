"""Set up lines with their meters, and bridges; the steps are in `flows`."""

from collections.abc import Mapping
from typing import Any, Final, override

from homeassistant.config_entries import (
    SOURCE_RECONFIGURE,
    ConfigEntry,
    ConfigFlow,
    ConfigSubentryFlow,
    OptionsFlow,
)
from homeassistant.core import callback

from .alarms.data import SUBENTRY_ALARM
from .alarms.flow import AlarmSubentryFlow
from .blueprint_links import import_links
from .const import (
    DOMAIN,
    KIND_BRIDGE,
    KIND_LOAD_SHEDDING,
    KIND_MESSENGER,
    KIND_MODBUS,
    SUBENTRY_BRIDGE_METER,
    SUBENTRY_METER,
)
from .entry_kind import kind_of
from .flows.base import Result
from .flows.bridge_i2c import BridgeI2CSteps
from .flows.bridge_meter import BridgeMeterSubentryFlow
from .flows.bridge_mqtt import BridgeMqttSteps
from .flows.bridge_reauth import BridgeReauthSteps
from .flows.bridge_serial import BridgeSerialSteps
from .flows.circuits import CircuitsFlow
from .flows.configured import is_bridge
from .flows.new_line import NewLineSteps
from .flows.reconfigure import ReconfigureLineSteps
from .flows.subentry import MeterSubentryFlow
from .flows.trouble import Trouble
from .notifier.flow import MessengerSteps
from .relays.flow import InterlockSubentryFlow
from .relays.runtime import SUBENTRY_INTERLOCK
from .shedder.flow import SUBENTRY_FLOWS, LoadSheddingSteps

_ABOUT_METERS: Final[dict[str, type[ConfigSubentryFlow]]] = {
    SUBENTRY_ALARM: AlarmSubentryFlow,
    SUBENTRY_INTERLOCK: InterlockSubentryFlow,
}
_SUBENTRIES: Final[Mapping[str, dict[str, type[ConfigSubentryFlow]]]] = {
    KIND_MODBUS: {SUBENTRY_METER: MeterSubentryFlow, **_ABOUT_METERS},
    KIND_BRIDGE: {SUBENTRY_BRIDGE_METER: BridgeMeterSubentryFlow, **_ABOUT_METERS},
    KIND_LOAD_SHEDDING: SUBENTRY_FLOWS,
    KIND_MESSENGER: {},
}


class EnergyMeterConfigFlow(
    NewLineSteps,
    ReconfigureLineSteps,
    BridgeSerialSteps,
    BridgeReauthSteps,
    BridgeMqttSteps,
    BridgeI2CSteps,
    LoadSheddingSteps,
    MessengerSteps,
    ConfigFlow,
    domain=DOMAIN,
):
    """A line, new with its meters or moved with them; a bridge, new or moved."""

    VERSION = 1
    MINOR_VERSION = 1

    @classmethod
    @callback
    @override
    def async_get_supported_subentry_types(
        cls, config_entry: ConfigEntry
    ) -> dict[str, type[ConfigSubentryFlow]]:
        """Meters are added to a line; those of a bridge come by themselves, and back if removed; alarms and interlocks."""
        return _SUBENTRIES[kind_of(config_entry)]

    @classmethod
    @callback
    @override
    def async_supports_options_flow(cls, config_entry: ConfigEntry) -> bool:
        """The circuits of a bridge can be named and rated all at once."""
        return is_bridge(config_entry)

    @staticmethod
    @callback
    @override
    def async_get_options_flow(config_entry: ConfigEntry) -> OptionsFlow:
        """The table of circuits."""
        return CircuitsFlow()

    @property
    @override
    def entry(self) -> ConfigEntry | None:
        """The entry that is being changed, if one is."""
        return self._get_reconfigure_entry() if self.source == SOURCE_RECONFIGURE else None

    @override
    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask what is to be connected."""
        return self.async_show_menu(
            step_id="user",
            menu_options=["modbus", "bridge", "load_shedding", "messenger"],
            description_placeholders=import_links(),
        )

    @override
    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask where a line or a bridge is now."""
        steps = {
            KIND_MODBUS: super().async_step_reconfigure,
            KIND_BRIDGE: self.async_step_bridge_moved,
            KIND_LOAD_SHEDDING: self.async_step_load_shedding_changed,
            KIND_MESSENGER: self.async_step_messenger_changed,
        }
        return await steps[kind_of(self._get_reconfigure_entry())]()

    @override
    async def async_line_chosen(self, *, anyway: bool) -> Result | Trouble:
        """Go on with a new line, or move the entry to it."""
        if self.entry is None:
            return await self.async_line_found()
        return await self.async_line_moved(self.entry, anyway=anyway)
