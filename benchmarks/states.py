"""What an automation sees: states of entities, noted when they change or are reported anew."""

from collections.abc import Mapping
import time
from typing import Final

from homeassistant.const import (
    EVENT_STATE_CHANGED,
    EVENT_STATE_REPORTED,
    STATE_UNAVAILABLE,
    STATE_UNKNOWN,
)
from homeassistant.core import (
    Event,
    EventStateChangedData,
    EventStateReportedData,
    HomeAssistant,
    State,
    callback,
)

from .near_end import Published

_SAME_READING: Final = 0.01
"""Seconds; no two readings of one register follow each other as fast."""


@callback
def note_states(
    hass: HomeAssistant, names: Mapping[str, tuple[int, str]], published: Published
) -> None:
    """Note every state of these entities from now on.

    Args:
        hass: the instance.
        names: entity id to (unit, quantity); looked at anew for every state.
        published: where to note them.
    """
    last: dict[str, float] = {}

    @callback
    def note(entity_id: str, state: State | None) -> None:
        if (name := names.get(entity_id)) is None or state is None:
            return
        now = time.monotonic()
        # The `modbus` integration's entities write every reading twice, the second time unchanged.
        if now - last.get(entity_id, 0.0) < _SAME_READING:
            return
        last[entity_id] = now
        if state.state in (STATE_UNAVAILABLE, STATE_UNKNOWN):
            published.taken_back.append((now, name[0], frozenset([name[1]])))
        else:
            published.values.append((now, *name, float(state.state)))

    @callback
    def changed(event: Event[EventStateChangedData]) -> None:
        note(event.data["entity_id"], event.data["new_state"])

    @callback
    def reported(event: Event[EventStateReportedData]) -> None:
        note(event.data["entity_id"], event.data["new_state"])

    hass.bus.async_listen(EVENT_STATE_CHANGED, changed)
    hass.bus.async_listen(EVENT_STATE_REPORTED, reported, event_filter=callback(lambda _: True))
