"""The interlock of a relay: how long it stays off, and what must be off before it goes off."""

from collections.abc import Collection, Mapping
from typing import Any, override

from homeassistant.helpers.selector import (
    BooleanSelector,
    EntitySelector,
    EntitySelectorConfig,
    EntityWithDeviceFilterSelectorConfig,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
)
import probatio as vol

from ..const import CONF_IDENTITY
from ..flows.base import Result
from ..flows.choose import ChoosingSubentryFlow
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


class InterlockSubentryFlow(ChoosingSubentryFlow[Relay]):
    """A new interlock, or another one for a relay that has one."""

    field = FIELD_RELAY
    nothing = "no_relays"

    @override
    def _things(self) -> Mapping[str, Relay]:
        return {_id(relay): relay for relay in self._get_entry().runtime_data.relays}

    @override
    def _taken(self) -> Collection[str]:
        present = self._get_entry().get_subentries_of_type(SUBENTRY_INTERLOCK)
        return {each.unique_id for each in present if each.unique_id is not None}

    @override
    def _label(self, thing: Relay) -> str:
        return _label(thing)

    @override
    async def _async_go_on(self) -> Result:
        return await self.async_step_interlock()

    async def async_step_interlock(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask what is to be observed."""
        relay = self._chosen
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
