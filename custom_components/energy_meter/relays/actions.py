"""Actions for landlords: disconnect a supply, and reconnect it; admins only, always with a reason."""

from functools import partial
from typing import Any, Final

from homeassistant.components.switch.const import DOMAIN as SWITCH_DOMAIN
from homeassistant.const import ATTR_DEVICE_ID, ATTR_ENTITY_ID, ATTR_NAME
from homeassistant.core import HomeAssistant, ServiceCall, callback
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import (
    config_validation as cv,
    device_registry as dr,
    entity_registry as er,
)
from homeassistant.helpers.service import async_register_admin_service
import probatio

from ..bridge_runtime import BridgeRuntime
from ..const import DOMAIN
from ..controlled import Controlled
from ..runtime_base import EntryRuntime, async_find_meter
from .runtime import Relay, async_who

SERVICE_DISCONNECT: Final = "disconnect_supply"
SERVICE_RECONNECT: Final = "reconnect_supply"
ATTR_REASON: Final = "reason"
ATTR_CONFIRM: Final = "confirm"
ATTR_CONNECTED: Final = "connected"
ATTR_CHANGED_BY: Final = "changed_by"
EVENT_SUPPLY: Final = f"{DOMAIN}_supply"
"""Fired when a supply has been disconnected or reconnected, and read back; stands in the logbook."""
LONGEST_REASON: Final = 250


def _reason(value: Any) -> str:
    """A text that says something.

    Raises:
        probatio.Invalid: it is empty or too long.
    """
    text: str = cv.string(value).strip()
    if not 0 < len(text) <= LONGEST_REASON:
        raise probatio.Invalid(f"a reason of 1 to {LONGEST_REASON} characters is needed")
    return text


def _confirmed(value: Any) -> bool:
    """Somebody has said that he has looked.

    Raises:
        probatio.Invalid: he has not.
    """
    if cv.boolean(value) is not True:
        raise probatio.Invalid("it has to be confirmed that nobody is endangered")
    return True


SUPPLY_SCHEMA: Final = probatio.Schema(
    {
        probatio.Required(ATTR_DEVICE_ID): cv.string,
        probatio.Required(ATTR_REASON): _reason,
        probatio.Required(ATTR_CONFIRM): _confirmed,
    }
)


@callback
def async_setup_supply_actions(hass: HomeAssistant) -> None:
    """Register the actions."""
    for name, on in ((SERVICE_DISCONNECT, False), (SERVICE_RECONNECT, True)):
        async_register_admin_service(
            hass, DOMAIN, name, partial(_async_switch, on=on), SUPPLY_SCHEMA
        )


def _refused(key: str, **placeholders: str) -> ServiceValidationError:
    return ServiceValidationError(
        translation_domain=DOMAIN, translation_key=key, translation_placeholders=placeholders
    )


def _place(call: ServiceCall) -> tuple[EntryRuntime, Controlled, str]:
    """The meter or bridge that a device is, with what it hangs on and its name."""
    hass = call.hass
    device = dr.async_get(hass).async_get(call.data[ATTR_DEVICE_ID])
    ours = [known for domain, known in device.identifiers if domain == DOMAIN] if device else []
    if device is None or not ours:
        raise _refused("supply_no_meter")
    for identity in ours:
        if (found := async_find_meter(hass, identity)) is not None:
            return found[0], found[1], found[1].name
        for entry in hass.config_entries.async_loaded_entries(DOMAIN):
            if entry.entry_id == identity and isinstance(entry.runtime_data, BridgeRuntime):
                return entry.runtime_data, entry.runtime_data.itself, entry.title
    raise _refused("supply_not_running", name=device.name_by_user or device.name or "")


def _relay(call: ServiceCall) -> Relay:
    runtime, place, name = _place(call)
    relays = runtime.relays.of(place)
    if not relays:
        raise _refused("supply_no_relay", name=name)
    return relays[0]


async def _async_switch(call: ServiceCall, *, on: bool) -> None:
    hass, relay = call.hass, _relay(call)
    who, reason = await async_who(hass, call.context), call.data[ATTR_REASON]
    await relay.async_switch(on, who=who, reason=reason, supply=True)
    data = {
        ATTR_DEVICE_ID: call.data[ATTR_DEVICE_ID],
        ATTR_NAME: relay.name,
        ATTR_CONNECTED: on,
        ATTR_REASON: reason,
        ATTR_CHANGED_BY: who,
    }
    unique_id = f"{relay.place.identity}_{relay.control.key}"
    registry = er.async_get(hass)
    if entity_id := registry.async_get_entity_id(SWITCH_DOMAIN, DOMAIN, unique_id):
        data[ATTR_ENTITY_ID] = entity_id
    hass.bus.async_fire(EVENT_SUPPLY, data, context=call.context)
