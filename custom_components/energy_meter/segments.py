"""Segments of a hub's bus, each behind a channel of a multiplexer: devices between the hub and the meters on them."""

from collections.abc import Mapping
from typing import Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr

from .const import DOMAIN

_MARK: Final = "_segment_"


@callback
def is_segment(entry: ConfigEntry, device: dr.AnyDeviceEntry) -> bool:
    """Whether a device is a segment of this entry's bus."""
    return any(
        domain == DOMAIN and known.startswith(f"{entry.entry_id}{_MARK}")
        for domain, known in device.identifiers
    )


@callback
def async_place(hass: HomeAssistant, entry: ConfigEntry, places: Mapping[str, str | None]) -> None:
    """Put the devices of meters below their segments', or below the hub's; a segment that nobody is on goes.

    Args:
        hass: Home Assistant.
        entry: of the hub, whose own device there is.
        places: {identity of a meter: what the hub calls its segment, None for the trunk}.
    """
    devices = dr.async_get(hass)
    hub = devices.async_get_device_by_identifier((DOMAIN, entry.entry_id), entry.entry_id)
    if hub is None:
        return
    for identity, segment in places.items():
        device = devices.async_get_device_by_identifier((DOMAIN, identity), entry.entry_id)
        if device is None:
            continue
        above: dr.AnyDeviceEntry = hub
        if segment is not None:
            above = devices.async_get_or_create(
                config_entry_id=entry.entry_id,
                identifiers={(DOMAIN, f"{entry.entry_id}{_MARK}{segment}")},
                translation_key="segment",
                translation_placeholders={"name": entry.title, "segment": segment},
                via_device_id=hub.id,
            )
        if device.via_device_id != above.id:
            devices.async_update_device(device.id, via_device_id=above.id)
    there = dr.async_entries_for_config_entry(devices, entry.entry_id)
    used = {device.via_device_id for device in there}
    for device in there:
        if is_segment(entry, device) and device.id not in used:
            devices.async_remove_device(device.id)
