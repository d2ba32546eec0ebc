"""What a line of Modbus meters and a bridge have in common at run time: meters that follow the configuration."""

from abc import ABC, abstractmethod
import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.const import Platform
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr, entity_registry as er

from .alarms.data import KEY_PREFIX
from .alarms.runtime import Alarms
from .const import (
    CONF_AREA,
    CONF_IDENTITY,
    CONF_SERIAL_NUMBER,
    DOMAIN,
    SUBENTRY_BRIDGE_METER,
    SUBENTRY_METER,
)
from .coordinator import MeterCoordinator
from .energy_dashboard import async_withdraw
from .followers import async_follow_meters
from .issues import async_clear_all
from .model import QUANTITIES, MeterShape, Value
from .relays.runtime import Relays
from .segments import is_segment
from .sources.base import LinkHealth
from .store import DATA_STORE

type EnergyMeterConfigEntry = ConfigEntry[EntryRuntime]


class EntryRuntime(ABC):
    """An entry and its meters, from the entry's set-up to its unloading."""

    subentry_type: ClassVar[str]
    """The kind of subentry that its meters are."""
    deciding: ClassVar[tuple[str, ...]]
    """What in a subentry decides which entities a meter has; after any other change it keeps those it has."""

    def __init__(self, hass: HomeAssistant, entry: EnergyMeterConfigEntry) -> None:
        """Take the entry; nothing is opened before `async_start`."""
        self.hass = hass
        self.entry = entry
        self.meters: dict[str, MeterCoordinator] = {}
        """By subentry id."""
        self.store = hass.data[DATA_STORE]
        self._data: Mapping[str, Any] = dict(entry.data)
        self._known: dict[str, tuple[dict[str, Any], str]] = {}
        """What each subentry was when it was last taken up."""
        self._on_meter: list[Callable[[MeterCoordinator], None]] = []
        self._on_health: set[Callable[[], None]] = set()
        self._lock = asyncio.Lock()
        self.relays = Relays(hass, entry, self.store)
        self.alarms = Alarms(
            hass, entry, self.store, around=lambda: (self.health.connected, self.meters.values())
        )

    # Life

    @abstractmethod
    async def async_prepare(self) -> None:
        """Make the devices and the meters that are known already."""

    @abstractmethod
    async def async_start(self) -> None:
        """Begin; the entities are there by now."""

    @abstractmethod
    async def async_stop(self) -> None:
        """End everything; what is worth keeping goes to the store."""

    # The configuration

    async def async_update(self) -> None:
        """Follow a change of the entry: meters come, go and change without touching the others."""
        if dict(self.entry.data) != self._data:
            self.hass.config_entries.async_schedule_reload(self.entry.entry_id)
            return
        self.register_device()
        await self._async_sync()

    async def _async_sync(self) -> None:
        async with self._lock:
            present = {
                subentry.subentry_id: subentry
                for subentry in self.entry.get_subentries_of_type(self.subentry_type)
            }
            for subentry_id in self._known.keys() - present.keys():
                data, _title = self._known.pop(subentry_id)
                await self._async_remove(subentry_id, data)
            for subentry in present.values():
                now = (dict(subentry.data), subentry.title)
                before = self._known.get(subentry.subentry_id)
                if before == now:
                    continue
                self._known[subentry.subentry_id] = now
                meter = self.meters.get(subentry.subentry_id)
                if before is None or meter is None:
                    await self._async_add(subentry)
                elif any(before[0].get(key) != now[0].get(key) for key in self.deciding):
                    await self._async_retire(meter)
                    await self._async_add(subentry)
                else:
                    self._register_meter(subentry, meter.shape)
                    meter.async_reconfigure()
                    self._meter_changed(meter)
            async_follow_meters(self.hass, self.entry)
            await self.alarms.async_sync(self.meters.values())
            self._synced()

    @abstractmethod
    async def _async_add(self, subentry: ConfigSubentry) -> None:
        """Take a meter up, if what is known of it is enough: see `_take_up`."""

    def _take_up(self, meter: MeterCoordinator, refresh: Callable[[], None]) -> None:
        """Have a meter's device, record and entities; `refresh` brings the record up to date."""
        self.meters[meter.subentry_id] = meter
        self.store.async_attach(meter.identity, refresh)
        meter.async_review_questions()
        self._register_meter(meter.subentry, meter.shape)
        self._forget_old_entities(meter)
        for add in self._on_meter:
            add(meter)
        self._meter_changed(meter)

    async def _async_retire(self, meter: MeterCoordinator) -> None:
        """Take a meter down, and its entities out of Home Assistant; the registry keeps them."""
        self.meters.pop(meter.subentry_id, None)
        self.relays.async_let_go(meter)
        self.store.async_detach(meter.identity)
        self._taken_down(meter)
        for entity in tuple(meter.entities):
            await entity.async_remove()

    async def _async_remove(self, subentry_id: str, data: Mapping[str, Any]) -> None:
        """A meter was removed by the user: nothing of it stays, unless it moved to another entry."""
        meter = self.meters.get(subentry_id)
        if meter is not None:
            await self._async_retire(meter)
        identity: str = data[CONF_IDENTITY]
        if identity not in configured_identities(self.hass):
            await async_forget_meter(self.hass, identity)

    @abstractmethod
    def _taken_down(self, meter: MeterCoordinator) -> None:
        """A meter is not to be read any more."""

    @abstractmethod
    def _meter_changed(self, meter: MeterCoordinator) -> None:
        """What is wanted of a meter, or how it is configured, has changed."""

    @abstractmethod
    def _synced(self) -> None:
        """The meters are those of the configuration."""

    # Devices and entities

    @callback
    def async_on_meter(self, add: Callable[[MeterCoordinator], None]) -> None:
        """Call `add` for every meter that is there, and for every one that comes."""
        self._on_meter.append(add)
        for meter in self.meters.values():
            add(meter)

    @abstractmethod
    def register_device(self) -> None:
        """Have a device for the line or the bridge itself."""

    def _register_meter(self, subentry: ConfigSubentry, shape: MeterShape) -> None:
        devices = dr.async_get(self.hass)
        hub = devices.async_get_device_by_identifier(
            (DOMAIN, self.entry.entry_id), self.entry.entry_id
        )
        identifier = (DOMAIN, subentry.data[CONF_IDENTITY])
        known = devices.async_get_device_by_identifier(identifier, self.entry.entry_id)
        above = known and known.via_device_id and devices.async_get(known.via_device_id)
        if not above or not is_segment(self.entry, above):
            above = hub
        device = devices.async_get_or_create(
            config_entry_id=self.entry.entry_id,
            config_subentry_id=subentry.subentry_id,
            identifiers={identifier},
            name=subentry.title,
            manufacturer=shape.manufacturer,
            model=shape.model,
            serial_number=subentry.data.get(CONF_SERIAL_NUMBER),
            via_device_id=above.id if above else None,
        )
        area = subentry.data.get(CONF_AREA)
        if known is None and area is not None and device.area_id is None:
            devices.async_update_device(device.id, area_id=area)

    def _forget_old_entities(self, meter: MeterCoordinator) -> None:
        """Drop entities of quantities and controls that the meter does not have any more."""
        registry = er.async_get(self.hass)
        provided = set(meter.pipeline.provided)
        controls = {control.key for control in meter.shape.controls}
        for entity in er.async_entries_for_config_entry(registry, self.entry.entry_id):
            if entity.config_subentry_id != meter.subentry_id:
                continue
            key = entity.unique_id.removeprefix(f"{meter.identity}_")
            if key.startswith(KEY_PREFIX):
                continue  # Of an alarm, which has a subentry of its own.
            if entity.domain == Platform.SENSOR:
                gone = key in QUANTITIES and key not in provided
            elif entity.domain == Platform.IMAGE:
                gone = not meter.shape.waveform
            else:
                gone = key not in controls
            if gone:
                registry.async_remove(entity.entity_id)

    # Controls

    @abstractmethod
    async def async_command(self, meter: MeterCoordinator, control: str, value: Value) -> None:
        """Carry out a control and take what is read back.

        Raises:
            HomeAssistantError: it was refused, not answered, or something else was read back.
        """

    @abstractmethod
    @callback
    def async_read_settings_soon(self) -> None:
        """Bring what controls are set to up to date."""

    def _error(
        self, meter: MeterCoordinator, key: str, placeholders: Mapping[str, str]
    ) -> HomeAssistantError:
        return HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key=key,
            translation_placeholders={"name": meter.name, **placeholders},
        )

    # How it fares

    @property
    @abstractmethod
    def health(self) -> LinkHealth:
        """How the link and its meters fare."""

    @callback
    def async_on_health(self, update: Callable[[], None]) -> CALLBACK_TYPE:
        """Call `update` when the health of the link has been looked at."""
        self._on_health.add(update)
        return lambda: self._on_health.discard(update)

    @abstractmethod
    @callback
    def async_look_again(self) -> None:
        """The user has put something right at the link: what was seen before counts no more."""

    @callback
    def async_checked(self, meter: MeterCoordinator) -> None:
        """The user has put something right at a meter: what was seen before counts no more."""
        meter.async_looked_after()


@callback
def meter_subentries(entry: ConfigEntry) -> Iterator[ConfigSubentry]:
    """The meters of a line or of a bridge."""
    for kind in (SUBENTRY_METER, SUBENTRY_BRIDGE_METER):
        yield from entry.get_subentries_of_type(kind)


@callback
def configured_identities(hass: HomeAssistant, besides: str | None = None) -> set[str]:
    """The meters that are set up anywhere but in the entry `besides`."""
    return {
        subentry.data[CONF_IDENTITY]
        for entry in hass.config_entries.async_entries(DOMAIN)
        if entry.entry_id != besides
        for subentry in meter_subentries(entry)
    }


async def async_forget_meter(hass: HomeAssistant, identity: str) -> None:
    """Leave nothing of a meter that is not set up any more."""
    hass.data[DATA_STORE].async_forget(identity)
    async_clear_all(hass, identity)
    await async_withdraw(hass, identity)


@callback
def async_find_meter(
    hass: HomeAssistant, identity: str
) -> tuple[EntryRuntime, MeterCoordinator] | None:
    """A meter and what it hangs on, if that is running."""
    entry: EnergyMeterConfigEntry
    for entry in hass.config_entries.async_loaded_entries(DOMAIN):
        for meter in entry.runtime_data.meters.values():
            if meter.identity == identity:
                return entry.runtime_data, meter
    return None
