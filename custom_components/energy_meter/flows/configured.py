"""The meters that are set up already, on any line, and how one moves to another line."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from homeassistant.config_entries import (
    ConfigEntry,
    ConfigEntryState,
    ConfigSubentry,
    ConfigSubentryData,
)
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr, entity_registry as er

from ..const import CONF_IDENTITY, CONF_UNIT_ID, DOMAIN, KIND_BRIDGE, SUBENTRY_METER
from ..entry_kind import kind_of
from ..runtime_base import meter_subentries

RUNNING: Final = (ConfigEntryState.LOADED, ConfigEntryState.SETUP_RETRY)
"""States of an entry that has its line, or will try to have it at any moment."""


@dataclass(frozen=True, slots=True)
class ConfiguredMeter:
    """A meter and the line that it is on."""

    entry: ConfigEntry
    subentry: ConfigSubentry

    @property
    def identity(self) -> str:
        """What its entities and its device are known by."""
        identity: str = self.subentry.data[CONF_IDENTITY]
        return identity

    @property
    def unit_id(self) -> int:
        """Its address on the line."""
        unit_id: int = self.subentry.data[CONF_UNIT_ID]
        return unit_id

    @property
    def name(self) -> str:
        """How the user calls it."""
        return self.subentry.title


@callback
def is_bridge(entry: ConfigEntry) -> bool:
    """Whether an entry is a bridge, and not a Modbus line."""
    return kind_of(entry) == KIND_BRIDGE


@callback
def configured_meters(
    hass: HomeAssistant, entry: ConfigEntry | None = None
) -> Iterator[ConfiguredMeter]:
    """All meters that are set up; those of one line only, if given."""
    for line in [entry] if entry else hass.config_entries.async_entries(DOMAIN):
        for subentry in line.get_subentries_of_type(SUBENTRY_METER):
            yield ConfiguredMeter(line, subentry)


@callback
def all_meters(hass: HomeAssistant) -> Iterator[ConfigSubentry]:
    """The meters of all lines and of all bridges."""
    for entry in hass.config_entries.async_entries(DOMAIN):
        yield from meter_subentries(entry)


@callback
def find_identity(hass: HomeAssistant, identity: str) -> ConfiguredMeter | None:
    """The meter with this identity, on whichever line."""
    return next(
        (meter for meter in configured_meters(hass) if meter.identity == identity),
        None,
    )


@callback
def find_address(hass: HomeAssistant, entry: ConfigEntry, unit_id: int) -> ConfiguredMeter | None:
    """The meter that is set up at this address of a line."""
    return next(
        (meter for meter in configured_meters(hass, entry) if meter.unit_id == unit_id),
        None,
    )


@callback
def async_add(hass: HomeAssistant, entry: ConfigEntry, data: ConfigSubentryData) -> ConfigSubentry:
    """Add a meter to a line that is set up."""
    subentry = ConfigSubentry(
        data=MappingProxyType(dict(data["data"])),
        subentry_type=data["subentry_type"],
        title=data["title"],
        unique_id=data["unique_id"],
    )
    hass.config_entries.async_add_subentry(entry, subentry)
    return subentry


async def async_take_over(
    hass: HomeAssistant,
    entry: ConfigEntry,
    moves: Iterable[tuple[ConfiguredMeter, ConfigSubentryData]],
) -> None:
    """Move meters to a line from others, with their devices, their entities and so their history.

    The registries' entries go along, and not only what the new line would make anew: names, areas,
    labels and what automations refer to stay. All lines concerned pause meanwhile.
    """
    moves = list(moves)
    lines = {line.entry_id: line for line in (entry, *(meter.entry for meter, _data in moves))}
    running = [line for line in lines.values() if line.state in RUNNING]
    for line in running:
        await hass.config_entries.async_unload(line.entry_id)
    for meter, data in moves:
        hand_over(hass, meter, entry, async_add(hass, entry, data))
    for line in running:
        await hass.config_entries.async_setup(line.entry_id)


@callback
def hand_over(
    hass: HomeAssistant, meter: ConfiguredMeter, entry: ConfigEntry, subentry: ConfigSubentry
) -> None:
    """Give a meter's device and entities to a new subentry, and remove the old; nothing of it may be running."""
    entities = er.async_get(hass)
    devices = dr.async_get(hass)
    # Entities first: a device that moves alone leaves its entities to be removed.
    for entity in er.async_entries_for_config_entry(entities, meter.entry.entry_id):
        if entity.config_subentry_id == meter.subentry.subentry_id:
            entities.async_update_entity(
                entity.entity_id,
                config_entry_id=entry.entry_id,
                config_subentry_id=subentry.subentry_id,
            )
    device = devices.async_get_device_by_identifier((DOMAIN, meter.identity), meter.entry.entry_id)
    if device is not None:
        devices.async_update_device(
            device.id,
            new_config_entry_id=entry.entry_id,
            new_config_subentry_id=subentry.subentry_id,
        )
    hass.config_entries.async_remove_subentry(meter.entry, meter.subentry.subentry_id)
