"""One entry at run time: the line, its meters, and how both follow the configuration."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
import logging
from typing import Final, override

from homeassistant.components.modbus import async_get_unit
from homeassistant.components.modbus.connection import async_get_connection_info
from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import EVENT_HOMEASSISTANT_STOP
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.event import async_track_time_interval
from homeassistant.util.hass_dict import HassKey
from modbus_connection import ModbusError, ModbusUnit

from .connection import async_port_present
from .const import (
    CONF_BASE_ADDRESS,
    CONF_COUNTER_INTERVAL,
    CONF_FAST_INTERVAL,
    CONF_IDENTITY,
    CONF_PROFILE,
    CONF_SERIAL_NUMBER,
    CONF_SLOW_INTERVAL,
    CONF_TRANSPORT,
    CONF_UNIT_ID,
    CONF_VARIANT,
    CONF_WORD_ORDER,
    DEFAULT_COUNTER_INTERVAL,
    DEFAULT_FAST_INTERVAL,
    DEFAULT_SLOW_INTERVAL,
    DOMAIN,
    SUBENTRY_METER,
    TRANSPORT_SIMULATED,
)
from .coordinator import NO_HEALTH, MeterCoordinator
from .energy_dashboard import async_apply
from .issues import Issue, IssueData, async_clear, async_raise
from .line_watch import LineWatch
from .link_watch import LinkWatch
from .model import Value
from .runtime_base import EnergyMeterConfigEntry, EntryRuntime
from .sources.base import LinkHealth, SourceError
from .sources.modbus.access import read_span
from .sources.modbus.controls import LINE_SETTINGS, UNIT_ID
from .sources.modbus.library import ProfileLibrary, UnknownProfileError
from .sources.modbus.line import ModbusLine
from .sources.modbus.link import LinkSettings
from .sources.modbus.meter import MeterConfig
from .sources.modbus.profile import Profile
from .sources.modbus.profile_loader import ProfileError
from .sources.modbus.shape import shape_of

_LOGGER = logging.getLogger(__name__)

HEALTH_INTERVAL: Final = timedelta(seconds=30)
WANTED_DELAY: Final = 0.05
"""Seconds in which entities that come and go together change what is read only once."""

SETTINGS_INTERVAL: Final = 60.0
"""Seconds between two looks at what relays and settings stand at."""
ADDRESS_PATIENCE: Final = 2.0
"""Seconds that a meter is given to answer at its new address."""
_UNCONFIRMED: Final = frozenset({"control_no_answer", "control_mismatch"})

DATA_LIBRARY: HassKey[ProfileLibrary] = HassKey(f"{DOMAIN}_library")


class LineRuntime(EntryRuntime):
    """A line and its meters, from the entry's set-up to its unloading."""

    subentry_type = SUBENTRY_METER
    deciding = (CONF_PROFILE, CONF_VARIANT, CONF_IDENTITY)

    def __init__(
        self, hass: HomeAssistant, entry: EnergyMeterConfigEntry, link: LinkSettings
    ) -> None:
        """Take the entry and the link that it stands for; nothing is opened before `async_start`."""
        super().__init__(hass, entry)
        self.link = link
        self._families: dict[str, Profile] = {}
        """The profile that each meter of `meters` is read by, as the line takes it."""
        self.profiles: dict[str, Profile] = {}
        """The same with the meter's variant arranged."""
        self.line = ModbusLine(self._unit, link.timing(), self.is_sole_user)
        self._library = hass.data[DATA_LIBRARY]
        self._units: dict[int, ModbusUnit] = {}
        self._configs: dict[str, MeterConfig] = {}
        """What the line was last told about each meter."""
        self._changed: set[str] = set()
        self._flush_handle: asyncio.TimerHandle | None = None
        self._clashing: set[int] = set()
        self._duplicates: set[int] = set()
        self._away = False
        self.watch = LineWatch()
        self.link_watch = LinkWatch(hass, entry, link, lambda: self.line.trouble)
        self._settings_task: asyncio.Task[None] | None = None
        self._settings_at = 0.0
        self._settings_due = False
        self._started = False

    # Life

    @override
    async def async_prepare(self) -> None:
        """Make the devices and the meters; what they are read for is known once there are entities."""
        self.register_device()
        await self._async_sync()

    @override
    async def async_start(self) -> None:
        """Begin to read what the entities that are there by now want."""
        self._started = True
        self._flush()
        await self.line.start()
        self.entry.async_on_unload(
            self.hass.bus.async_listen_once(EVENT_HOMEASSISTANT_STOP, self._async_ends)
        )
        self.entry.async_on_unload(
            async_track_time_interval(
                self.hass, self._look_at_health, HEALTH_INTERVAL, name=f"{DOMAIN} health"
            )
        )

    @override
    async def async_stop(self) -> None:
        """End everything; what is worth keeping goes to the store."""
        if self._flush_handle is not None:
            self._flush_handle.cancel()
        self._started = False
        self.alarms.async_stop()
        for meter in self.meters.values():
            self.store.async_detach(meter.identity)
        await self.line.stop()

    async def _async_ends(self, _event: Event) -> None:
        """Home Assistant stops: what falls silent from now on is no meter's fault."""
        self.store.async_save_soon(0)
        await self.line.stop()

    # The configuration

    @override
    async def _async_add(self, subentry: ConfigSubentry) -> None:
        identity = subentry.data[CONF_IDENTITY]
        family = await self._async_profile(subentry)
        # Removed while the file was being read, it is forgotten by the update that comes next.
        if family is None or subentry.subentry_id not in self.entry.subentries:
            return
        profile = family.arranged(subentry.data.get(CONF_VARIANT))
        meter = MeterCoordinator(
            self.hass,
            self.entry,
            subentry,
            shape_of(profile),
            self.store.record(identity),
            on_changed=self._meter_changed,
            read_soon=lambda meter, rate: self.line.read_soon(meter.identity, rate),
        )
        self._families[subentry.subentry_id] = family
        self.profiles[subentry.subentry_id] = profile
        meter.async_subscribe_presence(self.async_read_settings_soon)
        self._take_up(meter, lambda: self._refresh_record(meter))

    async def _async_profile(self, subentry: ConfigSubentry) -> Profile | None:
        """The profile of a meter's family; an issue if it cannot be used."""
        slug, identity = subentry.data[CONF_PROFILE], subentry.data[CONF_IDENTITY]
        variant = subentry.data.get(CONF_VARIANT)
        try:
            profile = await self.hass.async_add_executor_job(self._library.load, slug)
            profile.arranged(variant)
        except (ProfileError, UnknownProfileError, KeyError) as err:
            _LOGGER.error(
                "%s is not read, its profile %s cannot be used: %s", subentry.title, slug, err
            )
            async_raise(
                self.hass,
                Issue.PROFILE_MISSING,
                identity,
                data={"entry_id": self.entry.entry_id, "subentry_id": subentry.subentry_id},
                name=subentry.title,
                profile=slug,
            )
            return None
        async_clear(self.hass, Issue.PROFILE_MISSING, identity)
        return profile

    @override
    def _taken_down(self, meter: MeterCoordinator) -> None:
        for known in (self._families, self.profiles):
            known.pop(meter.subentry_id, None)
        self._changed.discard(meter.subentry_id)
        if self._configs.pop(meter.subentry_id, None) is not None:
            self.line.remove_meter(meter.identity)

    async def async_retry_missing(self) -> None:
        """Try the meters whose profile could not be used."""
        if self._known.keys() - self.meters.keys():
            for subentry_id in self._known.keys() - self.meters.keys():
                del self._known[subentry_id]
            await self._async_sync()

    @override
    def _synced(self) -> None:
        self._look_for_duplicates()

    def _look_for_duplicates(self) -> None:
        """Two meters at one address cannot both be right."""
        names: dict[int, list[str]] = {}
        for data, title in self._known.values():
            names.setdefault(data[CONF_UNIT_ID], []).append(title)
        twice = {
            unit_id: titles
            for unit_id, titles in names.items()
            if len(titles) > 1 or unit_id in self._clashing
        }
        for unit_id in self._duplicates | twice.keys():
            subject = f"{self.entry.entry_id}_{unit_id}"
            if unit_id in twice:
                async_raise(
                    self.hass,
                    Issue.DUPLICATE_ADDRESS,
                    subject,
                    data={"entry_id": self.entry.entry_id},
                    unit_id=str(unit_id),
                    names=", ".join(sorted(twice[unit_id])),
                    line=self.entry.title,
                )
            else:
                async_clear(self.hass, Issue.DUPLICATE_ADDRESS, subject)
        self._duplicates = set(twice)

    # Devices and entities

    @override
    def register_device(self) -> None:
        # The simulated line's address means nothing to anybody, and is another one at every start.
        simulated = self.entry.data[CONF_TRANSPORT] == TRANSPORT_SIMULATED
        dr.async_get(self.hass).async_get_or_create(
            config_entry_id=self.entry.entry_id,
            identifiers={(DOMAIN, self.entry.entry_id)},
            name=self.entry.title,
            model=None if simulated else self.link.describe(),
            entry_type=dr.DeviceEntryType.SERVICE,
        )

    # What the line is told

    @override
    def _meter_changed(self, meter: MeterCoordinator) -> None:
        """Tell the line soon what has changed about a meter."""
        self._changed.add(meter.subentry_id)
        if self._started and self._flush_handle is None:
            self._flush_handle = self.hass.loop.call_later(WANTED_DELAY, self._flush)

    @callback
    def _flush(self) -> None:
        self._flush_handle = None
        if not self._started:
            return
        changed, self._changed = self._changed, set()
        for subentry_id in sorted(changed):
            meter = self.meters.get(subentry_id)
            if meter is None:
                continue
            self.entry.async_create_background_task(
                self.hass,
                async_apply(self.hass, self.entry, meter.subentry),
                f"{DOMAIN} dashboard",
            )
            config = self._config(meter)
            before = self._configs.get(subentry_id)
            if config == before:
                continue
            self._configs[subentry_id] = config
            if before is None:
                self.line.add_meter(replace(config, memory=meter.record.line), meter)
            else:
                memory = self.line.memory(meter.identity)
                self.line.update_meter(replace(config, memory=memory))

    def _config(self, meter: MeterCoordinator) -> MeterConfig:
        data = meter.subentry.data
        base = data.get(CONF_BASE_ADDRESS)
        return MeterConfig(
            meter_id=meter.identity,
            profile=self._families[meter.subentry_id],
            unit_id=data[CONF_UNIT_ID],
            fast_interval=data.get(CONF_FAST_INTERVAL, DEFAULT_FAST_INTERVAL),
            counter_interval=data.get(CONF_COUNTER_INTERVAL, DEFAULT_COUNTER_INTERVAL),
            slow_interval=data.get(CONF_SLOW_INTERVAL, DEFAULT_SLOW_INTERVAL),
            serial_number=data.get(CONF_SERIAL_NUMBER),
            wanted=meter.wanted,
            fast_keys=None,
            variant=data.get(CONF_VARIANT),
            word_order=data.get(CONF_WORD_ORDER),
            base_address=None if base is None else int(base),
        )

    def _unit(self, unit_id: int) -> ModbusUnit:
        """The unit on the shared connection; held until the entry unloads."""
        unit = self._units.get(unit_id)
        if unit is None:
            unit = async_get_unit(self.hass, self.entry, self.link.params, unit_id)
            self._units[unit_id] = unit
        return unit

    def is_sole_user(self) -> bool:
        """Whether nobody but this line uses the shared connection."""
        return all(
            info.units.keys() <= {self.entry.entry_id}
            for info in async_get_connection_info(self.hass)
            if info.endpoint == self.link.endpoint
        )

    # Controls

    @override
    async def async_command(self, meter: MeterCoordinator, control: str, value: Value) -> None:
        """Carry out a control and take what the meter reads back.

        Raises:
            HomeAssistantError: the meter refused, did not answer, or reads back something else.
        """
        if control == UNIT_ID:
            await self._async_change_address(meter, value)
            return
        try:
            found = await self.line.command(meter.identity, control, value)
        except SourceError as err:
            key = err.key
            if control in LINE_SETTINGS and key in _UNCONFIRMED:
                key = "line_setting_not_confirmed"
            raise self._error(meter, key, err.placeholders) from err
        meter.async_setting(control, found)

    async def _async_change_address(self, meter: MeterCoordinator, value: Value) -> None:
        """Give a meter another address, and follow it there once it answers."""
        old, new = meter.subentry.data[CONF_UNIT_ID], int(value or 0)
        if new == old:
            return
        if any(data[CONF_UNIT_ID] == new for data, _title in self._known.values()):
            raise self._error(meter, "address_taken", {"unit_id": str(new)})
        try:
            await self.line.command(meter.identity, UNIT_ID, new)
        except SourceError as err:
            # A meter that moves at once cannot confirm it at its old address.
            if err.key not in _UNCONFIRMED:
                raise self._error(meter, err.key, err.placeholders) from err
        register = next(
            each.register
            for each in self.profiles[meter.subentry_id].controls
            if each.control.key == UNIT_ID
        )
        try:
            await self.line.request(
                new, partial(read_span, register.span), timeout=ADDRESS_PATIENCE, urgent=True
            )
        except (ModbusError, TimeoutError) as err:
            raise self._error(
                meter, "address_not_taken", {"unit_id": str(new), "old": str(old)}
            ) from err
        self.hass.config_entries.async_update_subentry(
            self.entry,
            meter.subentry,
            data={**meter.subentry.data, CONF_UNIT_ID: new},
        )
        meter.async_setting(UNIT_ID, new)

    @callback
    @override
    def async_read_settings_soon(self) -> None:
        """Read what controls are set to; one after the other, between polls."""
        self._settings_due = self._started
        if not self._started or (self._settings_task and not self._settings_task.done()):
            return
        self._settings_task = self.entry.async_create_background_task(
            self.hass, self._async_read_settings(), f"{DOMAIN} settings"
        )

    async def _async_read_settings(self) -> None:
        while self._settings_due:
            self._settings_due = False
            self._settings_at = self.hass.loop.time()
            for meter in tuple(self.meters.values()):
                for key in meter.wanted_settings:
                    if meter.answering:
                        await self._async_read_setting(meter, key)

    async def _async_read_setting(self, meter: MeterCoordinator, key: str) -> None:
        try:
            value = await self.line.read_control(meter.identity, key)
        except (SourceError, ModbusError, TimeoutError) as err:
            _LOGGER.debug("Cannot read %s of %s: %s", key, meter.name, err)
        else:
            meter.async_setting(key, value)

    # How it fares

    @property
    @override
    def health(self) -> LinkHealth:
        return self.line.health

    @callback
    @override
    def async_look_again(self) -> None:
        self.watch.forget()

    @callback
    def _look_at_health(self, now: datetime) -> None:
        """Twice a minute: whoever shows health is told, and what is kept is written soon."""
        health = self.line.health
        for meter in self.meters.values():
            meter.async_health_changed(health.meters.get(meter.identity, NO_HEALTH))
            meter.async_review(now)
        for update in tuple(self._on_health):
            update()
        self._look_for_trouble(health)
        self.link_watch.look()
        if self._away or not health.connected:
            self._away = not health.connected
            self.entry.async_create_background_task(
                self.hass,
                async_port_present(self.hass, self.entry, self.link),
                f"{DOMAIN} adapter",
            )
        if self.hass.loop.time() - self._settings_at >= SETTINGS_INTERVAL:
            self.async_read_settings_soon()
        self.store.async_save_soon()

    def _look_for_trouble(self, health: LinkHealth) -> None:
        findings = self.watch.look(self.hass.loop.time(), health)
        clashing = {
            meter.subentry.data[CONF_UNIT_ID]
            for meter in self.meters.values()
            if meter.identity in findings.clashing
        }
        if clashing != self._clashing:
            self._clashing = clashing
            self._look_for_duplicates()
        subject, line = self.entry.entry_id, self.entry.title
        data: IssueData = {"entry_id": subject}
        if findings.noise is None:
            async_clear(self.hass, Issue.NOISE, subject)
        else:
            share = f"{100 * findings.noise:.0f} %"
            async_raise(self.hass, Issue.NOISE, subject, data=data, line=line, share=share)
        if findings.foreign:
            async_raise(self.hass, Issue.FOREIGN_TRAFFIC, subject, data=data, line=line)
        else:
            async_clear(self.hass, Issue.FOREIGN_TRAFFIC, subject)

    def _refresh_record(self, meter: MeterCoordinator) -> None:
        """Bring what is kept of a meter up to date."""
        if meter.subentry_id in self._configs:
            meter.record.line = self.line.memory(meter.identity)
        meter.async_refresh_record()
