"""What load shedding has done and why, as a sentence for the logbook; English, as all that is written there for good."""

from collections.abc import Mapping
from typing import Any, Final

from ..load_shedding import Event

_SAID: Final[Mapping[str, str]] = {
    Event.SHED: "{load} switched off",
    Event.RESTORED: "{load} switched on again",
    Event.RELEASED: "{load} let go as it is",
    Event.TAKEN_OVER: "{load} was switched by somebody else and is left alone for a while",
    Event.CAME_BACK: "{load} came back on by itself",
    Event.NO_REACTION: "{load} did not react",
    Event.NOTHING_LEFT: "nothing is left to switch off",
    Event.FUTILE: "switching off did not help",
    Event.CAP_REACHED: "too much was switched within an hour",
    Event.STALE: "readings have ended",
    Event.FRESH: "readings are back",
    Event.SWITCHED_ON: "switched on",
    Event.SWITCHED_OFF: "switched off",
    Event.REHEARSAL: "dry run begins",
    Event.IN_EARNEST: "dry run ends",
}


def sentence(data: Mapping[str, Any]) -> str:
    """An entry of the log in words.

    Args:
        data: the attributes of the log's event, and its limit's `unit`.
    """
    text = _SAID[data["event_type"]].format(load=data.get("load") or "a load")
    if data.get("level") is not None and data["event_type"] in (Event.SHED, Event.RESTORED):
        text = f"{data['load']} set to {data['level']:g}"
    if data.get("by_hand"):
        text += " by hand"
    if data.get("rehearsal"):
        text += " (dry run, nothing was switched)"
    return text + _why(data)


def _why(data: Mapping[str, Any]) -> str:
    if data.get("limit") is None:
        return ""
    value, bound, unit = data.get("value"), data.get("bound"), data.get("unit") or ""
    if value is None or bound is None:
        return f": {data['limit']}"
    text = f": {data['limit']} at {value:g} {unit} of {bound:g} {unit}".replace("  ", " ")
    if data.get("watts") is not None:
        text += f", {data['watts']:.0f} W"
    return text
