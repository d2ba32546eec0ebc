"""The interlock of a relay: how long it stays off, and what must be off before it goes off."""

from typing import Any

from homeassistant.config_entries import ConfigEntryState, ConfigSubentryFlow
from homeassistant.helpers.selector import (
    BooleanSelector,
    EntitySelector,
    EntitySelectorConfig,
    EntityWithDeviceFilterSelectorConfig,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
)
import probatio as vol

from ..const import CONF_IDENTITY
from .interlock import Interlock
from .runtime import (
    CONF_CONFIRM,
    CONF_CONTROL,
    CONF_MINIMUM_OFF,
    CONF_MUST_BE_OFF,
    SUBENTRY_INTERLOCK,
    Relay,
    interlock_of,
)

# The same steps serve flows whose results differ in type only.
type Result = Any

FIELD_RELAY = "relay"
LONGEST_OFF = 86_400
_LOADS = EntitySelector(
    EntitySelectorConfig(
        multiple=True,
        filter=[
            EntityWithDeviceFilterSelectorConfig(
                domain=[
                    "binary_sensor",
                    "climate",
                    "fan",
                    "humidifier",
                    "input_boolean",
                    "light",
                    "media_player",
                    "switch",
                    "water_heater",
                ]
            ),
            EntityWithDeviceFilterSelectorConfig(domain="sensor", device_class="power"),
        ],
    )
)


class InterlockSubentryFlow(ConfigSubentryFlow):
    """A new interlock, or another one for a relay that has one."""

    def __init__(self) -> None:
        """Begin with nothing chosen."""
        self._relay: Relay | None = None

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask for the relay, out of those without an interlock."""
        entry = self._get_entry()
        if entry.state is not ConfigEntryState.LOADED:
            return self.async_abort(reason="not_running")
        taken = {each.unique_id for each in entry.get_subentries_of_type(SUBENTRY_INTERLOCK)}
        relays = {_id(each): each for each in entry.runtime_data.relays}
        if not relays:
            return self.async_abort(reason="no_relays")
        free = {key: each for key, each in relays.items() if key not in taken}
        if not free:
            return self.async_abort(reason="all_set")
        if user_input is not None:
            self._relay = free.get(user_input[FIELD_RELAY])
        elif len(free) == 1:
            self._relay = next(iter(free.values()))
        if self._relay is not None:
            return await self.async_step_interlock()
        options = [SelectOptionDict(value=key, label=_label(each)) for key, each in free.items()]
        selector = SelectSelector(
            SelectSelectorConfig(options=options, mode=SelectSelectorMode.LIST)
        )
        return self.async_show_form(
            step_id="user", data_schema=vol.Schema({vol.Required(FIELD_RELAY): selector})
        )

    async def async_step_interlock(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask what is to be observed."""
        relay = self._relay
        assert relay is not None
        if user_input is not None:
            return self.async_create_entry(
                title=f"{_label(relay)}: interlock",
                data={
                    CONF_IDENTITY: relay.place.identity,
                    CONF_CONTROL: relay.control.key,
                    **_data(user_input),
                },
                unique_id=_id(relay),
            )
        return self._show("interlock", Interlock(confirm=True), _label(relay))

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask it again."""
        subentry = self._get_reconfigure_subentry()
        if user_input is not None:
            return self.async_update_and_abort(
                self._get_entry(),
                subentry,
                data={
                    CONF_IDENTITY: subentry.data[CONF_IDENTITY],
                    CONF_CONTROL: subentry.data[CONF_CONTROL],
                    **_data(user_input),
                },
            )
        return self._show("reconfigure", interlock_of(subentry.data), subentry.title)

    def _show(self, step: str, interlock: Interlock, name: str) -> Result:
        seconds = NumberSelector(
            NumberSelectorConfig(
                min=0,
                max=LONGEST_OFF,
                step=1,
                unit_of_measurement="s",
                mode=NumberSelectorMode.BOX,
            )
        )
        schema = vol.Schema(
            {
                vol.Required(CONF_MINIMUM_OFF, default=interlock.minimum_off): seconds,
                vol.Optional(CONF_MUST_BE_OFF, default=list(interlock.must_be_off)): _LOADS,
                vol.Required(CONF_CONFIRM, default=interlock.confirm): BooleanSelector(),
            }
        )
        return self.async_show_form(
            step_id=step, data_schema=schema, description_placeholders={"name": name}
        )


def _data(user_input: dict[str, Any]) -> dict[str, Any]:
    return {
        CONF_MINIMUM_OFF: float(user_input[CONF_MINIMUM_OFF]),
        CONF_MUST_BE_OFF: list(user_input.get(CONF_MUST_BE_OFF) or ()),
        CONF_CONFIRM: user_input[CONF_CONFIRM],
    }


def _id(relay: Relay) -> str:
    return f"{relay.place.identity}_{relay.control.key}"


def _label(relay: Relay) -> str:
    """The meter's name, with the relay's number if it has several."""
    number = relay.control.key.partition("_")[2]
    return f"{relay.name} {number}".strip()
