"""What a search of a running line found, as a notification for who is not reading the action's response."""

from collections.abc import Iterable, Mapping

from homeassistant.components import persistent_notification
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant

from .const import DOMAIN
from .flows.phrases import Phrases
from .sources.modbus.discovery import FoundMeter


async def async_notify(
    hass: HomeAssistant,
    entry: ConfigEntry,
    found: Iterable[FoundMeter],
    known: Mapping[int, str],
    addresses: range,
) -> None:
    """Show what was found; a later search of the same line replaces it.

    Args:
        hass: Home Assistant.
        entry: of the line.
        found: what answered.
        known: names of the meters that are set up, by unit id.
        addresses: where was searched.
    """
    phrases = await Phrases.load(hass)
    persistent_notification.async_create(
        hass,
        _words(phrases, list(found), known, addresses),
        title=phrases("rescan_title", line=entry.title),
        notification_id=f"{DOMAIN}_rescan_{entry.entry_id}",
    )


def _words(
    phrases: Phrases, found: list[FoundMeter], known: Mapping[int, str], addresses: range
) -> str:
    if not found:
        return phrases("rescan_nothing", first=addresses[0], last=addresses[-1])
    new = [_new(phrases, meter) for meter in found if meter.unit_id not in known]
    old = [
        phrases("found_meter", model=known[meter.unit_id], unit_id=meter.unit_id)
        for meter in found
        if meter.unit_id in known
    ]
    return "\n\n".join(
        "\n".join((heading, "", *(f"- {line}" for line in lines)))
        for heading, lines in ((phrases("rescan_new"), new), (phrases("rescan_known"), old))
        if lines
    )


def _new(phrases: Phrases, meter: FoundMeter) -> str:
    if not meter.clear:
        return phrases("unclear", unit_id=meter.unit_id)
    best = meter.best
    line = phrases(
        "found_meter",
        model=best.name if best else phrases("unknown_meter"),
        unit_id=meter.unit_id,
    )
    if best is None or best.serial_number is None:
        return line
    return f"{line}, {phrases('serial_number', serial_number=best.serial_number)}"
