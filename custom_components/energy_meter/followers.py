"""Alarms and interlocks go where their meter goes: to another entry, or away."""

from typing import Final

from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.core import HomeAssistant, callback

from .alarms.data import SUBENTRY_ALARM
from .const import CONF_IDENTITY, DOMAIN, SUBENTRY_BRIDGE_METER, SUBENTRY_METER
from .relays.runtime import SUBENTRY_INTERLOCK

_FOLLOWERS: Final = (SUBENTRY_ALARM, SUBENTRY_INTERLOCK)
_METERS: Final = (SUBENTRY_METER, SUBENTRY_BRIDGE_METER)


@callback
def async_follow_meters(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Take away what concerns meters that this entry does not have any more; those that moved take it along."""
    here = {entry.entry_id} | _identities(entry)  # A bridge has relays of its own.
    lost = [
        subentry
        for subentry in entry.subentries.values()
        if subentry.subentry_type in _FOLLOWERS and subentry.data[CONF_IDENTITY] not in here
    ]
    for subentry in lost:
        hass.config_entries.async_remove_subentry(entry, subentry.subentry_id)
        _follow(hass, entry, subentry)


def _follow(hass: HomeAssistant, left: ConfigEntry, subentry: ConfigSubentry) -> None:
    for entry in hass.config_entries.async_entries(DOMAIN):
        taken = {each.unique_id for each in entry.subentries.values()}
        if (
            entry is not left
            and subentry.data[CONF_IDENTITY] in _identities(entry)
            and subentry.unique_id not in taken
        ):
            hass.config_entries.async_add_subentry(entry, subentry)
            return


def _identities(entry: ConfigEntry) -> set[str]:
    return {
        subentry.data[CONF_IDENTITY]
        for subentry in entry.subentries.values()
        if subentry.subentry_type in _METERS
    }
