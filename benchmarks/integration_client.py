"""This integration whole: a config entry with its meters, entities and states."""

from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from homeassistant.config_entries import (
    SOURCE_USER,
    ConfigEntry,
    ConfigEntryState,
    ConfigSubentryData,
)
from homeassistant.const import CONF_DEVICE, CONF_HOST, CONF_PORT
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er

from custom_components.energy_meter.const import (
    CONF_BAUDRATE,
    CONF_BYTESIZE,
    CONF_COUNTER_INTERVAL,
    CONF_FAST_INTERVAL,
    CONF_IDENTITY,
    CONF_PARITY,
    CONF_PROFILE,
    CONF_RATED_CURRENT,
    CONF_ROLE,
    CONF_SLOW_INTERVAL,
    CONF_STOPBITS,
    CONF_TRANSPORT,
    CONF_UNIT_ID,
    DOMAIN,
    ROLE_NONE,
    SUBENTRY_METER,
)

from .near_end import Client, ClientFactory, Published
from .setting import Setting
from .states import note_states


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryOptions:
    """How the user has set the meters up, seconds."""

    fast_interval: float
    other_interval: float


class IntegrationClient(Client):
    """One config entry; every quantity of the setting is an enabled entity, all others are disabled."""

    def __init__(self, setting: Setting, address: str | int, *, options: EntryOptions) -> None:
        """Plan the entry."""
        self._setting = setting
        self._address = address
        self._options = options
        self._names: dict[str, tuple[int, str]] = {}

    def _data(self) -> dict[str, Any]:
        if self._setting.transport == "tcp":
            return {CONF_TRANSPORT: "tcp", CONF_HOST: "127.0.0.1", CONF_PORT: self._address}
        return {
            CONF_TRANSPORT: "serial",
            CONF_DEVICE: self._address,
            CONF_BAUDRATE: self._setting.baudrate,
            CONF_BYTESIZE: 8,
            CONF_PARITY: "N",
            CONF_STOPBITS: self._setting.bits - 9,
        }

    def _meter(self, unit: int) -> ConfigSubentryData:
        options = self._options
        return {
            "data": {
                CONF_PROFILE: self._setting.model.slug,
                CONF_UNIT_ID: unit,
                CONF_IDENTITY: f"m{unit}",
                CONF_ROLE: ROLE_NONE,
                CONF_RATED_CURRENT: 100,
                CONF_FAST_INTERVAL: options.fast_interval,
                CONF_COUNTER_INTERVAL: options.other_interval,
                CONF_SLOW_INTERVAL: options.other_interval,
            },
            "subentry_type": SUBENTRY_METER,
            "title": f"Meter {unit}",
            "unique_id": f"m{unit}",
        }

    async def start(self, hass: HomeAssistant, published: Published) -> None:
        """Set up and begin to publish."""
        entry: ConfigEntry[Any] = ConfigEntry(
            data=self._data(),
            discovery_keys=MappingProxyType({}),
            domain=DOMAIN,
            minor_version=1,
            options=None,
            source=SOURCE_USER,
            subentries_data=[self._meter(unit) for unit in self._setting.units],
            title="Line",
            unique_id=None,
            version=1,
        )
        await hass.config_entries.async_add(entry)
        await hass.async_block_till_done()
        wanted = {
            f"m{unit}_{key}": (unit, key)
            for unit in self._setting.units
            for key in self._setting.keys
        }
        registry = er.async_get(hass)
        for entity in er.async_entries_for_config_entry(registry, entry.entry_id):
            if (name := wanted.get(entity.unique_id)) is not None:
                self._names[entity.entity_id] = name
                registry.async_update_entity(entity.entity_id, disabled_by=None)
            elif entity.disabled_by is None:
                registry.async_update_entity(
                    entity.entity_id, disabled_by=er.RegistryEntryDisabler.USER
                )
        if missing := set(wanted.values()) - set(self._names.values()):
            raise RuntimeError(f"no entities for {sorted(missing)[:5]}")
        note_states(hass, self._names, published)
        await hass.config_entries.async_reload(entry.entry_id)
        if entry.state is not ConfigEntryState.LOADED:
            raise RuntimeError(f"the entry is {entry.state}: {entry.reason}")
        self._hass, self._entry = hass, entry

    async def stop(self) -> None:
        """Unload the entry."""
        await self._hass.config_entries.async_unload(self._entry.entry_id)


def integration_client(*, fast_interval: float, other_interval: float) -> ClientFactory:
    """Return a factory of clients that read at these intervals, seconds."""
    options = EntryOptions(fast_interval=fast_interval, other_interval=other_interval)
    return partial(IntegrationClient, options=options)
