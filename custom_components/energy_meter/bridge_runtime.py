"""A bridge at run time: what it says becomes meters by themselves, their values, and what is wrong with them."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
import logging
import time
from types import MappingProxyType
from typing import Any, Final, Protocol, override

from homeassistant.config_entries import ConfigEntryState, ConfigSubentry
from homeassistant.const import EVENT_HOMEASSISTANT_STOP
from homeassistant.core import CALLBACK_TYPE, Event, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.event import async_track_time_interval
from homeassistant.util import dt as dt_util

from .backfill import Backfill
from .bridge_shape import (
    HUBS,
    MONITOR,
    firmware_of,
    grown,
    shape_from_json,
    shape_of,
    shape_to_json,
)
from .bridge_watch import ROLLED_BACK, BridgeWatch
from .burst import Burst
from .circuit_moves import CircuitMoves
from .const import (
    CONF_ASSUMED_POWER_FACTOR,
    CONF_IDENTITY,
    CONF_METER,
    CONF_RATED_CURRENT,
    CONF_ROLE,
    CONF_SERIAL_NUMBER,
    DOMAIN,
    OPTION_REMOVED,
    ROLE_NONE,
    SUBENTRY_BRIDGE_METER,
)
from .controlled import Controlled
from .coordinator import MeterCoordinator
from .energy_dashboard import async_apply
from .hub_watch import HubWatch
from .issues import Issue
from .metering.waveform import Waveform
from .model import BRIDGE_CONTROLS, Control, MeterInfo, MeterShape, Reading, Value
from .runtime_base import EnergyMeterConfigEntry, EntryRuntime
from .segments import async_place
from .sources.base import LinkHealth, MeterHealth, Source, SourceError
from .sources.bridge import (
    BridgeEvent,
    BridgeHealth,
    BridgeLink,
    BridgeListener,
    BridgeSession,
    BridgeSource,
    Hello,
    MeterHello,
)
from .sources.bridge.conversation import Conversation

_LOGGER = logging.getLogger(__name__)

HEALTH_INTERVAL: Final = timedelta(seconds=30)
WATCH_INTERVAL: Final = timedelta(seconds=1)
SILENT_INTERVALS: Final = 3
SILENT_LEAST: Final = 30.0
"""Seconds without a reading, at the least, after which a meter counts as silent."""
SETTLED: Final = 600.0
"""Seconds that a link is up, at the least, before a meter on it is held to be silent for itself."""
STALE_FACTOR: Final = 4
"""So many silences long may a quantity be missing from the readings before it is not fresh any more."""
RESTARTED: Final = "restarted"
"""The flag of a meter's first reading since its board has started."""
EARLY: Final = 20_000
"""Readings that are kept of a meter while it is being set up."""
DASHBOARD_DELAY: Final = 0.05
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


type _Arrived = tuple[str, Reading, frozenset[str], bool]
"""(bridge's id of a meter, reading, flags, whether it is old)"""


class Described(Protocol):
    """What leads to a bridge."""

    def describe(self) -> str:
        """Where it leads, for logs."""


class BridgeItself(Controlled):
    """The bridge as something that has controls of its own."""

    _reachable = False

    @property
    @override
    def reachable(self) -> bool:
        return self._reachable

    @callback
    def async_reachable(self, reachable: bool) -> None:
        """Take whether the link is up."""
        self._reachable = reachable
        self._tell_presence()


class BridgeRuntime(EntryRuntime, BridgeListener):
    """A bridge and its meters, from the entry's set-up to its unloading."""

    subentry_type = SUBENTRY_BRIDGE_METER
    deciding = (CONF_IDENTITY, CONF_METER, CONF_ASSUMED_POWER_FACTOR)

    def __init__(self, hass: HomeAssistant, entry: EnergyMeterConfigEntry, link: Described) -> None:
        """Take the entry and what leads to its bridge; nothing is opened before `async_start`."""
        super().__init__(hass, entry)
        self.link = link
        self.record = self.store.bridge(entry.entry_id)
        self.bridge_health = BridgeHealth()
        self.connected = False
        self._connected_at = 0.0
        self.session, self.source = self._converse()
        self.hello: Hello | None = self.session.hello
        """Who is there; from before a restart as long as it has not said it again."""
        self.itself = BridgeItself(entry.entry_id)
        self.itself.relays = self.record.relays
        self.settings: dict[str | None, dict[str, Value]] = {}
        """{bridge's id of a meter, None for the bridge itself: {control: what it stands at}}."""
        self._shapes: dict[str, MeterShape] = {
            meter_id: shape
            for meter_id, kept in self.record.shapes.items()
            if (shape := shape_from_json(kept)) is not None
        }
        if self.hello is not None:
            for meter in self.hello.meters:
                self._shapes.setdefault(meter.id, shape_of(self.hello, meter))
        self._firmware = {
            meter_id: str(kept.get("firmware")) for meter_id, kept in self.record.shapes.items()
        }
        self._by_id: dict[str, MeterCoordinator] = {}
        """By the bridge's own id of the meter."""
        self._backfills: dict[str, Backfill] = {}
        self._readings: Burst[_Arrived] = Burst(lambda arrived: self._take_reading(*arrived))
        self._early: dict[str, deque[tuple[Reading, frozenset[str], bool]]] = {}
        self._seen: dict[str, float] = {}
        """{bridge's id of a meter: monotonic time of its last present reading}."""
        self._seen_keys: dict[str, dict[str, float]] = {}
        self._intervals: dict[str, float] = {}
        self._on_hello: list[Callable[[], None]] = []
        self._changed: set[str] = set()
        self._apply_handle: asyncio.TimerHandle | None = None
        self._following: asyncio.Task[None] | None = None
        self._follow_again = False
        self.watch = BridgeWatch(hass, entry)
        self.hub_watch = HubWatch(hass, entry)
        self._moves = CircuitMoves(hass, entry)
        self._capturing = asyncio.Lock()
        self._on_capture: dict[str, set[Callable[[Waveform, datetime], None]]] = {}
        self._started = False

    def _converse(self) -> tuple[Conversation, Source]:
        """The conversation with the bridge, and what keeps it going; not begun yet."""
        assert isinstance(self.link, BridgeLink)
        session = BridgeSession(
            self,
            self.link.send,
            clock=lambda: (time.monotonic(), dt_util.utcnow().timestamp()),
            name=self.entry.entry_id,
            expected=self.entry.unique_id,
            memory=self.record.memory,
            durable=True,
        )
        return session, BridgeSource(self.link, session)

    # Life

    @override
    async def async_prepare(self) -> None:
        self.register_device()
        self.store.async_attach(self.entry.entry_id, self._refresh_bridge)
        gone = self.record.shapes.keys() - self._configured_ids()
        self._note_removed(gone)  # Removed while the bridge was not running.
        await self._async_sync()

    @override
    async def async_start(self) -> None:
        self._started = True
        start = time.monotonic()
        self._seen = dict.fromkeys(self._by_id, start)
        self._apply_dashboard()
        await self.source.start()
        for action, interval in (
            (self._watch, WATCH_INTERVAL),
            (self._look_at_health, HEALTH_INTERVAL),
        ):
            self.entry.async_on_unload(
                async_track_time_interval(
                    self.hass,
                    action,
                    interval,
                    name=f"{DOMAIN} {self.entry.title}",
                    cancel_on_shutdown=True,
                )
            )
        self.entry.async_on_unload(
            self.hass.bus.async_listen_once(EVENT_HOMEASSISTANT_STOP, self._async_ends)
        )

    @override
    async def async_stop(self) -> None:
        if self._apply_handle is not None:
            self._apply_handle.cancel()
        self._started = False
        await self.source.stop()
        self.hub_watch.show({}, "")
        self.alarms.async_stop()
        for meter in self.meters.values():
            self.store.async_detach(meter.identity)
        self.store.async_detach(self.entry.entry_id)
        # What was taken is acknowledged at the next start, when it is known to be on disk.
        await self.store.async_save()

    async def _async_ends(self, _event: Event) -> None:
        """Home Assistant stops: nothing is taken any more that could not be kept, and nobody is away."""
        self._started = False
        await self.source.stop()
        self.store.async_save_soon(0)

    # Meters that come and go

    def _configured_ids(self) -> set[str]:
        return {
            subentry.data[CONF_METER]
            for subentry in self.entry.get_subentries_of_type(SUBENTRY_BRIDGE_METER)
        }

    @property
    def removed(self) -> frozenset[str]:
        """Ids of the meters that the user does not want."""
        return frozenset(self.entry.options.get(OPTION_REMOVED, ()))

    def _note_removed(self, meter_ids: Iterable[str]) -> None:
        for meter_id in meter_ids:
            self.record.shapes.pop(meter_id, None)
            self._early.pop(meter_id, None)
        self._set_removed(self.removed.union(meter_ids))

    def _set_removed(self, removed: frozenset[str]) -> None:
        if removed != self.removed:
            self.hass.config_entries.async_update_entry(
                self.entry, options={**self.entry.options, OPTION_REMOVED: sorted(removed)}
            )

    @override
    async def async_update(self) -> None:
        """Follow a change of the entry; a meter that is wanted again comes back at once."""
        await super().async_update()
        known = self._configured_ids() | self.removed
        if self.hello is not None and any(meter.id not in known for meter in self.hello.meters):
            self._follow()

    def _follow(self) -> None:
        """Have the meters follow the hello; what comes while that goes on is looked at afterwards."""
        self._follow_again = True
        if self._following is None or self._following.done():
            self._following = self.entry.async_create_background_task(
                self.hass,
                self._async_follow(),
                f"{DOMAIN} meters of {self.entry.title}",
                # Adding a meter leads back here at once: the task has to be known by then.
                eager_start=False,
            )

    async def _async_follow(self) -> None:
        while self._follow_again and (hello := self.hello) is not None:
            self._follow_again = False
            for meter in hello.meters:
                self._take_shape(hello, meter)
            await self._async_take_moved(hello)
            self._add_new(hello)
            await self._async_sync()
            for meter in hello.meters:
                await self._async_reshape(meter.id)
            self._show_who_they_are(hello)
            self._early = {
                meter_id: early
                for meter_id, early in self._early.items()
                if meter_id in self._configured_ids()
            }

    def _add_new(self, hello: Hello) -> None:
        """Set up who is there and nobody knows; a hub's user is told of them, the first ones apart."""
        known, new = self._configured_ids(), []
        for meter in hello.meters:
            if self.is_hub and self._moves.elsewhere(meter.id) is not None:
                continue  # It is taken over as soon as it is read here and not there.
            # Looked up each time: adding one wakes others who may add the next.
            if meter.id not in self._configured_ids() | self.removed:
                self.hass.config_entries.async_add_subentry(
                    self.entry, self._new_subentry(hello, meter)
                )
                new.append(meter.id)
        if new and known and self.is_hub:
            self._tell(self.hub_watch.async_tell_new(new))

    async def _async_take_moved(self, hello: Hello) -> None:
        """Take over the monitors that hang here now, with all that another hub has of them."""
        for meter_id in self._moves.due() if self.is_hub else ():
            found, said = self._moves.elsewhere(meter_id), hello.meter(meter_id)
            if found is None or said is None or meter_id in self._configured_ids() | self.removed:
                continue
            if found.entry.state is ConfigEntryState.LOADED:
                await found.entry.runtime_data.async_give_up(found.subentry.subentry_id)
            self.store.bridge(found.entry.entry_id).shapes.pop(meter_id, None)
            subentry = ConfigSubentry(
                data=found.subentry.data,
                subentry_type=SUBENTRY_BRIDGE_METER,
                title=found.name,
                unique_id=meter_id,
            )
            async with self._lock:  # Not to be set up before its entities are ours.
                self.hass.config_entries.async_add_subentry(self.entry, subentry)
                self._moves.async_move(found, subentry)
            _LOGGER.info(
                "%s has moved from %s to %s", found.name, found.entry.title, self.entry.title
            )
            self._tell(self.hub_watch.async_tell_moved(meter_id, found.name, found.entry.title))

    async def async_give_up(self, subentry_id: str) -> None:
        """Let go of a meter that another hub takes over: what is registered and kept of it stays."""
        async with self._lock:
            self._known.pop(subentry_id, None)
            meter = self.meters.get(subentry_id)
            if meter is not None:
                self._early.pop(meter.subentry.data[CONF_METER], None)
                await self._async_retire(meter)
            await self.alarms.async_sync(self.meters.values())

    def _tell(self, notice: Coroutine[Any, Any, None]) -> None:
        self.entry.async_create_background_task(self.hass, notice, f"{DOMAIN} notice")

    def _take_shape(self, hello: Hello, meter: MeterHello) -> None:
        shape, firmware = shape_of(hello, meter), firmware_of(hello, meter)
        before = self._shapes.get(meter.id)
        if before is not None and self._firmware.get(meter.id, firmware) == firmware:
            shape = grown(before, shape)
        self._shapes[meter.id] = shape
        self._firmware[meter.id] = firmware

    async def _async_reshape(self, meter_id: str) -> None:
        """Take a meter up anew that gives or offers something else than before."""
        async with self._lock:
            meter, shape = self._by_id.get(meter_id), self._shapes[meter_id]
            if meter is None:
                for subentry in self.entry.get_subentries_of_type(SUBENTRY_BRIDGE_METER):
                    if subentry.data[CONF_METER] == meter_id:
                        # Set up before it was known what it measures.
                        await self._async_add(subentry)
                return
            if meter.shape == shape:
                return
            self.record.shapes[meter_id] = shape_to_json(shape, self._firmware.get(meter_id, ""))
            if replace(meter.shape, interval=shape.interval, late=shape.late) == shape:
                meter.shape = shape
                meter.async_reconfigure()
                return
            await self._async_retire(meter)
            await self._async_add(meter.subentry)

    def _new_subentry(self, hello: Hello, meter: MeterHello) -> ConfigSubentry:
        data: dict[str, Any] = {
            CONF_IDENTITY: meter.id if self._is_monitor(meter.id) else f"{hello.bridge}_{meter.id}",
            CONF_METER: meter.id,
            CONF_ROLE: ROLE_NONE,
        }
        if meter.rated_current is not None:
            data[CONF_RATED_CURRENT] = meter.rated_current
        if (serial := self._serial(meter)) is not None:
            data[CONF_SERIAL_NUMBER] = serial
        alone = len(hello.meters) == 1
        return ConfigSubentry(
            data=MappingProxyType(data),
            subentry_type=SUBENTRY_BRIDGE_METER,
            title=meter.name or (self.entry.title if alone else meter.id),
            unique_id=meter.id,
        )

    @override
    async def _async_add(self, subentry: ConfigSubentry) -> None:
        meter_id: str = subentry.data[CONF_METER]
        shape = self._shapes.get(meter_id)
        if shape is None:
            return  # The bridge has to say first what it measures.
        self.record.shapes[meter_id] = shape_to_json(shape, self._firmware.get(meter_id, ""))
        meter = MeterCoordinator(
            self.hass,
            self.entry,
            subentry,
            shape,
            self.store.record(subentry.data[CONF_IDENTITY]),
            on_changed=self._meter_changed,
            read_soon=lambda _meter, _rate: None,  # A bridge says everything by itself.
            silent_issue=Issue.BRIDGE_METER_SILENT,
        )
        backfill = Backfill(self.hass, meter)
        self._backfills[meter_id] = backfill

        def refresh() -> None:
            meter.async_refresh_record()
            backfill.refresh_record()

        self._by_id[meter_id] = meter
        self._seen.setdefault(meter_id, time.monotonic())
        meter.async_reachable(self.connected)
        self._take_up(meter, refresh)
        self._show_settings(meter_id)
        for reading, flags, old in self._early.pop(meter_id, ()):
            self._take_reading(meter_id, reading, flags, old)

    @override
    async def _async_remove(self, subentry_id: str, data: Mapping[str, Any]) -> None:
        await super()._async_remove(subentry_id, data)
        if data[CONF_METER] not in self._configured_ids():
            self._note_removed({data[CONF_METER]})

    @override
    def _taken_down(self, meter: MeterCoordinator) -> None:
        meter_id: str = meter.subentry.data[CONF_METER]
        if self._by_id.get(meter_id) is meter:
            del self._by_id[meter_id]
            del self._backfills[meter_id]
        self._seen_keys.pop(meter_id, None)
        self._changed.discard(meter.subentry_id)

    @override
    def _synced(self) -> None:
        self._set_removed(self.removed - self._configured_ids())

    @override
    def _meter_changed(self, meter: MeterCoordinator) -> None:
        self._changed.add(meter.subentry_id)
        if self._started and self._apply_handle is None:
            self._apply_handle = self.hass.loop.call_later(DASHBOARD_DELAY, self._apply_dashboard)

    @callback
    def _apply_dashboard(self) -> None:
        self._apply_handle = None
        changed, self._changed = self._changed, set()
        for subentry_id in sorted(changed & self.meters.keys()):
            self.entry.async_create_background_task(
                self.hass,
                async_apply(self.hass, self.entry, self.meters[subentry_id].subentry),
                f"{DOMAIN} dashboard",
            )

    # Devices

    @override
    def register_device(self) -> None:
        hello = self.hello
        known = hello is not None and not hello.synthesised
        dr.async_get(self.hass).async_get_or_create(
            config_entry_id=self.entry.entry_id,
            identifiers={(DOMAIN, self.entry.entry_id)},
            name=self.entry.title,
            model=(hello.hardware if hello else None) or self.link.describe(),
            model_id=hello.kind if hello else None,
            serial_number=hello.bridge if hello and known else None,
            sw_version=hello.firmware if hello else None,
        )

    def _show_who_they_are(self, hello: Hello) -> None:
        known = [
            (meter, said)
            for said in hello.meters
            if (meter := self._by_id.get(said.id)) is not None
        ]
        if self.is_hub:
            places = {meter.identity: said.segment for meter, said in known}
            async_place(self.hass, self.entry, places)
        for meter, said in known:
            meter.on_info(
                MeterInfo(
                    meter_id=meter.identity,
                    manufacturer=said.manufacturer or "",
                    model=said.model or "",
                    serial_number=self._serial(said),
                    firmware=said.firmware,
                    hardware=None,
                    phases=meter.shape.phases,
                    quantities=meter.shape.measured,
                    controls=meter.shape.controls,
                )
            )

    # What the bridge says

    @callback
    def async_on_hello(self, update: Callable[[], None]) -> CALLBACK_TYPE:
        """Call `update` when it is known who is there, at once if it is, and again when that has changed."""
        self._on_hello.append(update)
        if self.hello is not None:
            update()
        return lambda: self._on_hello.remove(update)

    @callback
    @override
    def on_hello(self, hello: Hello) -> None:
        """Take who is there, and have the meters follow."""
        self._readings.flush()
        self.watch.take_understood()
        self.hello = hello
        present = {meter.id for meter in hello.meters}
        self.settings = {meter.id: dict(meter.settings) for meter in hello.meters}
        self.settings[None] = dict(hello.settings)
        self.async_read_settings_soon()
        for meter_id, coordinator in self._by_id.items():
            if meter_id not in present and not hello.synthesised:
                coordinator.async_away()
        if self.entry.unique_id is None and not hello.synthesised:
            self._learn_identity(hello)
        self.register_device()
        for update in tuple(self._on_hello):
            update()
        self._follow()

    def _learn_identity(self, hello: Hello) -> None:
        """Know the bridge by its own id from now on, wherever it turns up, unless another entry has it."""
        taken = {entry.unique_id for entry in self.hass.config_entries.async_entries(DOMAIN)}
        if hello.bridge not in taken:
            self.hass.config_entries.async_update_entry(self.entry, unique_id=hello.bridge)

    @callback
    @override
    def on_reading(self, meter: str, reading: Reading, flags: frozenset[str], *, old: bool) -> None:
        """Pass a reading on to its meter; a few at a time where a hub says a hundred circuits at once."""
        if self.is_hub:
            self._readings.put((meter, reading, flags, old))
        else:
            self._take_reading(meter, reading, flags, old)

    def _take_reading(self, meter: str, reading: Reading, flags: frozenset[str], old: bool) -> None:
        """Take a reading; a meter that is being set up gets it afterwards."""
        coordinator = self._by_id.get(meter)
        if coordinator is None:
            if meter not in self.removed:
                early = self._early.setdefault(meter, deque(maxlen=EARLY))
                if self.is_hub and not old and self._moves.seen(meter):
                    early.clear()  # It may be a long time before it is this hub's.
                early.append((reading, flags, old))
            return
        if RESTARTED in flags or (self.hello is not None and self.hello.synthesised):
            coordinator.async_started()
        if old:
            coordinator.on_late_reading(reading)
            return
        now = time.monotonic()
        if not coordinator.answering:
            coordinator.on_back(coordinator.identity)
        elif (before := self._seen.get(meter)) is not None:
            self._intervals[meter] = now - before
        self._seen[meter] = now
        self._seen_keys.setdefault(meter, {}).update(dict.fromkeys(reading.values, now))
        coordinator.on_reading(reading)
        self.watch.take_reading(coordinator, reading, flags)

    @callback
    @override
    def on_event(self, event: BridgeEvent) -> None:
        """Follow a control that stands at another value, and log the rest."""
        self._readings.flush()
        control = (event.control or "") if event.event == "control" else event.event
        if control in self.settings.get(event.meter, {}):
            if not event.old:
                place = self._place(event.meter)
                relay = self.relays.find(place, control) if place is not None else None
                if relay is not None:
                    relay.said = event.reason
                self._set(event.meter, control, event.value)
                if relay is not None:
                    relay.said = None
            return
        if (meter := self._by_id.get(event.meter or "")) is not None:
            meter.async_event(event.event, event.time)
        if event.event == ROLLED_BACK:
            self.watch.take_rolled_back(self.hello.firmware if self.hello else None)
        _LOGGER.info(
            "%s: %s%s%s",
            self.entry.title,
            event.event,
            f" at {event.meter}" if event.meter else "",
            f" ({event.reason})" if event.reason else "",
        )

    @callback
    @override
    def on_health(self, health: BridgeHealth) -> None:
        """Take how the bridge says it fares; shown with the next look at it."""
        self.bridge_health = health
        self._look_for_problems()

    @callback
    @override
    def on_connected(self, connected: bool) -> None:
        """Take the meters down with the link; each comes back with its first reading."""
        if connected == self.connected:
            return
        self._readings.flush()
        self.connected = connected
        if not connected and not self._started:
            return  # It is we who go.
        if connected:
            _LOGGER.info("%s is connected", self.entry.title)
            self._connected_at = time.monotonic()
            self._seen = dict.fromkeys(self._by_id, self._connected_at)
        else:
            _LOGGER.warning("The connection to %s is lost", self.entry.title)
            self._moves.forget()
        for meter in self._by_id.values():
            if not connected:
                meter.async_away()
            meter.async_reachable(connected)
        self.itself.async_reachable(connected)
        for update in tuple(self._on_health):
            update()

    @callback
    @override
    def on_log(self, level: str, text: str) -> None:
        """Put a line of the bridge's log into ours."""
        _LOGGER.log(_LEVELS.get(level, logging.INFO), "%s says: %s", self.entry.title, text)

    @callback
    @override
    def on_trouble(self, key: str, detail: str) -> None:
        """Have what is not as it should be told."""
        self.watch.take_trouble(key, detail)

    # Watching

    def silence(self) -> float:
        """Seconds without a reading after which a meter counts as silent."""
        interval = self.hello.interval if self.hello is not None else 0.0
        return max(SILENT_INTERVALS * interval, SILENT_LEAST)

    @callback
    def _watch(self, _now: datetime) -> None:
        """Every second: who has fallen silent or hangs here now, and what late readings have moved."""
        if self._moves.due():
            self._follow()
        now, limit = time.monotonic(), self.silence()
        for meter_id, meter in self._by_id.items():
            meter.async_tell_late()
            if not self.connected:
                continue
            if now - self._seen.get(meter_id, now) > limit:
                self._seen[meter_id] = now
                if meter.answering:
                    meter.on_silent(meter.identity)
            elif meter.answering:
                self._look_for_missing(meter_id, meter, now - STALE_FACTOR * limit)

    def _look_for_missing(self, meter_id: str, meter: MeterCoordinator, since: float) -> None:
        keys = self._seen_keys.get(meter_id, {})
        missing = frozenset(key for key, seen in keys.items() if seen < since)
        if missing:
            for key in missing:
                del keys[key]
            meter.on_stale(meter.identity, missing)

    @callback
    def _look_at_health(self, now: datetime) -> None:
        """Twice a minute: whoever shows health is told, and what was taken is written and acknowledged."""
        health = self.health
        for meter in self.meters.values():
            meter.async_health_changed(health.meters[meter.identity])
        settled = time.monotonic() - self._connected_at >= max(self.silence(), SETTLED)
        self.watch.review(
            now,
            connected=self.connected,
            settled=self.connected and settled,
            meters=self.meters.values(),
        )
        self._look_for_problems()
        for update in tuple(self._on_health):
            update()
        self.entry.async_create_background_task(
            self.hass, self._async_keep(), f"{DOMAIN} store of {self.entry.title}"
        )

    @property
    def is_hub(self) -> bool:
        """Whether it is one for many circuits."""
        return self.hello is not None and self.hello.kind in HUBS

    def _is_monitor(self, meter_id: str) -> bool:
        """Whether it is a circuit of a hub, and not a meter of another kind beside them."""
        return self.is_hub and MONITOR.fullmatch(meter_id) is not None

    def _serial(self, meter: MeterHello) -> str | None:
        return meter.serial or (meter.id.upper() if self._is_monitor(meter.id) else None)

    @property
    def problems(self) -> Mapping[str, tuple[str, ...]]:
        """What is wrong with a hub's wires now: {word: places}."""
        return self.bridge_health.problems

    @callback
    def _look_for_problems(self) -> None:
        if not self.is_hub or not self._started:
            return
        problems = dict(self.problems)
        if twins := self._moves.twins:
            problems["id_twice"] = (*problems.get("id_twice", ()), *twins)
        self.hub_watch.show(problems, self.link.describe())

    async def _async_keep(self) -> None:
        """Write what was taken, then let the bridge forget it; put right what came late."""
        self._refresh_bridge()
        memory = self.record.memory
        await self.store.async_save()
        self.session.saved(memory)
        for backfill in tuple(self._backfills.values()):
            await backfill.async_put_right()

    def _refresh_bridge(self) -> None:
        self._readings.flush()  # What is acknowledged has to be in the meters' records.
        self.record.memory = self.session.memory

    @property
    @override
    def health(self) -> LinkHealth:
        return LinkHealth(
            connected=self.connected,
            meters={
                meter.identity: MeterHealth(
                    answering=meter.answering, fast_interval=self._intervals.get(meter_id)
                )
                for meter_id, meter in self._by_id.items()
            },
        )

    @callback
    @override
    def async_look_again(self) -> None:
        self.watch.look_again()
        self.hub_watch.look_again()

    @callback
    @override
    def async_checked(self, meter: MeterCoordinator) -> None:
        super().async_checked(meter)
        self.watch.look_again(meter)

    # Controls

    @override
    async def async_command(self, meter: MeterCoordinator, control: str, value: Value) -> None:
        meter_id: str = meter.subentry.data[CONF_METER]
        try:
            found = await self.session.command(control, value, meter_id)
        except SourceError as err:
            raise self._error(meter, err.key, err.placeholders) from err
        if control in self.settings.get(meter_id, {}):
            self._set(meter_id, control, found)

    @callback
    def async_on_capture(
        self, identity: str, update: Callable[[Waveform, datetime], None]
    ) -> CALLBACK_TYPE:
        """Call `update` with every capture of this meter and its time."""
        listeners = self._on_capture.setdefault(identity, set())
        listeners.add(update)
        return lambda: listeners.discard(update)

    async def async_capture(self, meter: MeterCoordinator, cycles: int) -> Waveform:
        """One or two cycles of a meter's voltage and current, taken now.

        Raises:
            HomeAssistantError: the meter is away, cannot do it, or did not answer with a waveform.
        """
        try:
            # One after the other: whoever looks at a page has several taken at once.
            async with self._capturing:
                wave = await self.session.capture(meter.subentry.data[CONF_METER], cycles)
        except SourceError as err:
            raise self._error(meter, err.key, err.placeholders) from err
        taken = dt_util.utcnow()
        for update in tuple(self._on_capture.get(meter.identity, ())):
            update(wave, taken)
        return wave

    @property
    def controls(self) -> tuple[Control, ...]:
        """What the bridge itself can do."""
        if self.hello is None or self.hello.synthesised:
            return ()
        listed = {control.key for control in self.hello.controls}
        more = (control for control in BRIDGE_CONTROLS if control.key not in listed)
        return (*self.hello.controls, *more)

    async def async_command_bridge(self, control: str, value: Value) -> None:
        """Carry out a control of the bridge itself and take what is read back.

        Raises:
            HomeAssistantError: it was refused, or not answered.
        """
        try:
            found = await self.session.command(control, value)
        except SourceError as err:
            raise HomeAssistantError(
                translation_domain=DOMAIN,
                translation_key=err.key,
                translation_placeholders={"name": self.entry.title, **err.placeholders},
            ) from err
        if control in self.settings.get(None, {}):
            self._set(None, control, found)

    def _place(self, meter_id: str | None) -> Controlled | None:
        return self.itself if meter_id is None else self._by_id.get(meter_id)

    def _set(self, meter_id: str | None, control: str, value: Value) -> None:
        self.settings.setdefault(meter_id, {})[control] = value
        if (place := self._place(meter_id)) is not None:
            place.async_setting(control, value)

    def _show_settings(self, meter_id: str | None) -> None:
        place = self._place(meter_id)
        if place is None:
            return
        for control, value in self.settings.get(meter_id, {}).items():
            if control not in place.settings or place.settings[control] != value:
                place.async_setting(control, value)

    @callback
    @override
    def async_read_settings_soon(self) -> None:
        """Nothing has to be asked for: the bridge has said it, and says it when it changes."""
        for meter_id in self.settings:
            self._show_settings(meter_id)
