"""What the logbook says of a supply that was disconnected or reconnected."""

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


@callback
def async_describe_events(
    hass: HomeAssistant,
    async_describe_event: Callable[
        [str, str, Callable[[LazyEventPartialState], dict[str, str | None]]], None
    ],
) -> None:
    """Describe our event."""

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

    async_describe_event(DOMAIN, EVENT_SUPPLY, describe)
