"""What the logbook says of supplies that were disconnected or reconnected, and of load shedding."""

from collections.abc import Callable

from homeassistant.components.logbook.const import (
    LOGBOOK_ENTRY_ENTITY_ID,
    LOGBOOK_ENTRY_MESSAGE,
    LOGBOOK_ENTRY_NAME,
)
from homeassistant.components.logbook.models import LazyEventPartialState
from homeassistant.const import ATTR_ENTITY_ID, ATTR_NAME
from homeassistant.core import HomeAssistant, callback

from .const import DOMAIN
from .relays.actions import ATTR_CHANGED_BY, ATTR_CONNECTED, ATTR_REASON, EVENT_SUPPLY
from .shedder.const import EVENT_SHEDDING
from .shedder.sentences import sentence


@callback
def async_describe_events(
    hass: HomeAssistant,
    async_describe_event: Callable[
        [str, str, Callable[[LazyEventPartialState], dict[str, str | None]]], None
    ],
) -> None:
    """Describe our events."""

    @callback
    def describe(event: LazyEventPartialState) -> dict[str, str | None]:
        data = event.data
        what = "reconnected" if data[ATTR_CONNECTED] else "disconnected"
        return {
            LOGBOOK_ENTRY_NAME: data[ATTR_NAME],
            LOGBOOK_ENTRY_MESSAGE: (
                f"supply {what} by {data[ATTR_CHANGED_BY]}: {data[ATTR_REASON]}"
            ),
            LOGBOOK_ENTRY_ENTITY_ID: data.get(ATTR_ENTITY_ID),
        }

    @callback
    def describe_shedding(event: LazyEventPartialState) -> dict[str, str | None]:
        data = event.data
        return {
            LOGBOOK_ENTRY_NAME: data[ATTR_NAME],
            LOGBOOK_ENTRY_MESSAGE: sentence(data),
            LOGBOOK_ENTRY_ENTITY_ID: data[ATTR_ENTITY_ID],
        }

    async_describe_event(DOMAIN, EVENT_SUPPLY, describe)
    async_describe_event(DOMAIN, EVENT_SHEDDING, describe_shedding)
