"""Load shedding at run time: states go to the controller, its decisions become actions, and all of it is kept."""

from collections.abc import Callable, Mapping
from datetime import datetime
import logging
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.core import (
    CALLBACK_TYPE,
    Event,
    EventStateChangedData,
    EventStateReportedData,
    HomeAssistant,
    callback,
)
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.helpers.event import (
    async_call_later,
    async_track_state_change_event,
    async_track_state_report_event,
)
from homeassistant.helpers.storage import Store
from homeassistant.util import dt as dt_util
import probatio

from ..const import DOMAIN, SUBENTRY_LIMIT, SUBENTRY_LOAD
from ..issues import Issue, async_clear, async_raise
from ..load_shedding import Act, Controller, Entry, Limit, Load, Memory, Outlook, outlook
from .const import CONF_ENTITY, CONF_FOLLOWS, CONF_INVERT, CONF_SENSOR
from .devices import LoadDevice, device_of
from .plan_data import plan_of
from .values import value_of

_LOGGER = logging.getLogger(__name__)

STORAGE_VERSION: Final = 1
SAVE_SOON: Final = 1.0
"""Seconds until it is written that something was switched."""
SILENT: Final = 300.0
"""Seconds without a usable reading, at the least, before the user is asked to look."""
FAILURES: Final = 2
"""Times in a row that a load does not react before the user is asked to look."""
_FAILURES: Final = (HomeAssistantError, ValueError, TimeoutError, probatio.Invalid)
"""What an action raises that cannot be carried out."""

type ShedderConfigEntry = ConfigEntry[ShedderRuntime]


def store_of(hass: HomeAssistant, entry_id: str) -> Store[dict[str, Any]]:
    """Where the state of an entry is kept."""
    return Store(hass, STORAGE_VERSION, f"{DOMAIN}.load_shedding.{entry_id}")


async def async_stored(store: Store[dict[str, Any]]) -> Memory:
    """The state that is kept; a new one if there is none, or it cannot be understood."""
    data = await store.async_load()
    try:
        return Memory.from_json(data) if data else Memory()
    except (ValueError, TypeError, KeyError, AttributeError) as err:
        _LOGGER.warning("The state of load shedding cannot be understood and is dropped: %s", err)
        return Memory()


class ShedderRuntime:
    """An entry of load shedding, from its set-up to its unloading."""

    controller: Controller
    outlook: Outlook
    """What it is doing and why, as of the last decision."""

    def __init__(self, hass: HomeAssistant, entry: ShedderConfigEntry) -> None:
        """Take the entry; nothing is listened to before `async_start`."""
        self.hass = hass
        self.entry = entry
        self.meters: dict[str, Any] = {}
        """None: what an entry of meters has by this name."""
        self.devices: dict[str, LoadDevice] = {}
        self._store = store_of(hass, entry.entry_id)
        self._limits_of: dict[str, list[str]] = {}
        """Ids of the limits that an entity is measured for."""
        self._followers_of: dict[str, list[str]] = {}
        self._loads_of: dict[str, list[str]] = {}
        self._unsubscribe: list[CALLBACK_TYPE] = []
        self._cancel_wake: CALLBACK_TYPE | None = None
        self._wake_at: float | None = None
        self._on_change: set[Callable[[], None]] = set()
        self._on_limit: dict[str, set[Callable[[], None]]] = {}
        self._on_entry: list[Callable[[Entry], None]] = []
        self._on_plan: list[Callable[[], None]] = []
        self._unheard: list[Entry] = []
        self._lost_at: dict[str, float] = {}
        """Since when there is no usable reading of a limit."""
        self._issues: set[tuple[Issue, str]] = set()
        self._running = False
        self._saving = False

    @property
    def now(self) -> float:
        """The controller's clock."""
        return dt_util.utcnow().timestamp()

    # Life

    async def async_prepare(self) -> None:
        """Load the state and the plan."""
        memory = await async_stored(self._store)
        self.controller = Controller(plan_of(self.entry), memory, now=self.now)
        dr.async_get(self.hass).async_get_or_create(
            config_entry_id=self.entry.entry_id,
            identifiers={(DOMAIN, self.entry.entry_id)},
            entry_type=dr.DeviceEntryType.SERVICE,
            name=self.entry.title,
        )
        self._take_plan()
        self.outlook = outlook(self.controller, self.now)

    async def async_start(self) -> None:
        """Begin to listen."""
        self._running = True
        self._listen()
        self._look_around()
        self._step()

    async def async_stop(self) -> None:
        """End; loads that are off stay off, and are remembered."""
        self._running = False
        self._quiet()
        for issue, subject in self._issues.copy():
            self._settle(issue, subject)
        await self._store.async_save(self.controller.memory.to_json())

    async def async_update(self) -> None:
        """Follow a change of the configuration."""
        await self._async_give_back_removed()
        plan = plan_of(self.entry)
        known = self.limits
        if any(
            (known[limit.id].measure, known[limit.id].name) != (limit.measure, limit.name)
            for limit in plan.limits
            if limit.id in known
        ):
            # Entities with other units or names are other entities to Home Assistant.
            self.hass.config_entries.async_schedule_reload(self.entry.entry_id)
            return
        self.controller.configure(plan, self.now)
        self._quiet()
        self._take_plan()
        self._forget_old_entities()
        self._running = True
        self._listen()
        self._look_around()
        for added in self._on_plan:
            added()
        self._step()

    # The plan

    @property
    def limits(self) -> Mapping[str, Limit]:
        """The limits by their ids."""
        return {limit.id: limit for limit in self.controller.plan.limits}

    @property
    def loads(self) -> Mapping[str, Load]:
        """The loads by their ids."""
        return {load.id: load for load in self.controller.plan.loads}

    def limit_data(self, limit_id: str) -> Mapping[str, Any]:
        """What the configuration says about a limit."""
        return self.entry.subentries[limit_id].data

    def load_name(self, load_id: str | None) -> str | None:
        """How the user calls a load."""
        subentry = self.entry.subentries.get(load_id or "")
        return subentry.title if subentry else None

    def limit_name(self, limit_id: str | None) -> str | None:
        """How the user calls a limit."""
        return self.load_name(limit_id)

    def _take_plan(self) -> None:
        """Work out which entities concern which limits and loads."""
        self._limits_of, self._followers_of, self._loads_of = {}, {}, {}
        for subentry in self._subentries(SUBENTRY_LIMIT):
            self._limits_of.setdefault(subentry.data[CONF_SENSOR], []).append(subentry.subentry_id)
            if (followed := subentry.data.get(CONF_FOLLOWS)) is not None:
                self._followers_of.setdefault(followed, []).append(subentry.subentry_id)
        before, self.devices = self.devices, {}
        for subentry in self._subentries(SUBENTRY_LOAD):
            device = device_of(self.hass, subentry.data)
            known = before.get(subentry.subentry_id)
            shed = self.controller.memory.load(subentry.subentry_id).shed
            device.believed = shed is None if known is None else known.believed
            self.devices[subentry.subentry_id] = device
            for entity_id in device.entities:
                self._loads_of.setdefault(entity_id, []).append(subentry.subentry_id)

    def _subentries(self, kind: str) -> list[ConfigSubentry]:
        return list(self.entry.get_subentries_of_type(kind))

    async def _async_give_back_removed(self) -> None:
        """Give back what is off because of us and is not in the plan any more."""
        for load_id, device in self.devices.items():
            subentry = self.entry.subentries.get(load_id)
            if subentry is not None and subentry.data[CONF_ENTITY] == device.entity_id:
                continue
            await async_give_back(self.hass, self.controller.memory, load_id, device)

    def _forget_old_entities(self) -> None:
        """Drop the entities of limits that are gone, and the numbers of those that follow something now."""
        registry = er.async_get(self.hass)
        for entity in er.async_entries_for_config_entry(registry, self.entry.entry_id):
            key = entity.unique_id.removeprefix(f"{self.entry.entry_id}_")
            subentry_id, _, suffix = key.partition("_")
            limit = self.limits.get(subentry_id)
            gone = limit is None or (suffix == "limit" and limit.value is None)
            if suffix in {"headroom", "limit"} and gone:
                registry.async_remove(entity.entity_id)

    # What is seen

    def _listen(self) -> None:
        entities = {*self._limits_of, *self._followers_of, *self._loads_of}
        if entities:
            self._unsubscribe = [
                async_track_state_change_event(self.hass, entities, self._changed),
                async_track_state_report_event(
                    self.hass, {*self._limits_of, *self._followers_of}, self._reported
                ),
            ]

    def _quiet(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = []
        if self._cancel_wake is not None:
            self._cancel_wake()
            self._cancel_wake = self._wake_at = None

    def _look_around(self) -> None:
        """Take all states as they are now; readings only if they are of now."""
        for load_id in self.devices:
            self._observe(load_id)
        for entity_id, followers in self._followers_of.items():
            for limit_id in followers:
                self._take_bound(limit_id, entity_id)
        for entity_id, limits in self._limits_of.items():
            state = self.hass.states.get(entity_id)
            for limit_id in limits:
                self._lost_at.setdefault(limit_id, self.now)
                age = self.now - state.last_reported_timestamp if state else 0.0
                if age <= self.limits[limit_id].freshness:
                    self._take_reading(limit_id, entity_id)

    @callback
    def _changed(self, event: Event[EventStateChangedData]) -> None:
        self._take(event.data["entity_id"])

    @callback
    def _reported(self, event: Event[EventStateReportedData]) -> None:
        self._take(event.data["entity_id"])

    @callback
    def _take(self, entity_id: str) -> None:
        for load_id in self._loads_of.get(entity_id, ()):
            self._observe(load_id)
        for limit_id in self._followers_of.get(entity_id, ()):
            self._take_bound(limit_id, entity_id)
        for limit_id in self._limits_of.get(entity_id, ()):
            self._take_reading(limit_id, entity_id)
        self._step()

    def _observe(self, load_id: str) -> None:
        state = self.controller.memory.load(load_id)
        before = state.on
        self.controller.observe(load_id, self.devices[load_id].observe(), self.now)
        if state.on != before:
            self._save()  # Minimum times count over a restart.

    def _take_reading(self, limit_id: str, entity_id: str) -> None:
        limit = self.limits[limit_id]
        value = value_of(self.hass.states.get(entity_id), limit.measure)
        if value is not None and self.limit_data(limit_id).get(CONF_INVERT):
            value = -value
        self.controller.reading(limit_id, value, self.now)
        self._tell_limit(limit_id)

    def _take_bound(self, limit_id: str, entity_id: str) -> None:
        limit = self.limits[limit_id]
        value = value_of(self.hass.states.get(entity_id), limit.measure, bare=True)
        self.controller.bound(limit_id, value, self.now)
        self._tell_limit(limit_id)

    # What is done

    @callback
    def async_enable(self, on: bool) -> None:
        """Switch load shedding on or off."""
        self.controller.enable(on, self.now)
        self._step()
        self._save()

    @callback
    def async_rehearse(self, on: bool) -> None:
        """Only say what would be done, or do it."""
        self.controller.rehearse(on, self.now)
        self._step()
        self._save()

    @callback
    def async_shed_now(self, load_id: str | None, duration: float) -> None:
        """Switch a load off, or the next in order.

        Raises:
            RefusedError: it may not be.
        """
        self._execute(self.controller.shed_now(load_id, self.now, duration))
        self._step()

    @callback
    def async_restore_now(self, load_id: str | None) -> None:
        """Give a load back, or all.

        Raises:
            RefusedError: it may not be.
        """
        self._execute(self.controller.restore_now(load_id, self.now))
        self._step()

    @callback
    def async_look_again(self) -> None:
        """The user has looked after a load or a sensor."""
        for load in self.controller.memory.loads.values():
            load.skip_until, load.failures = 0.0, 0
        for limit_id in self._lost_at:
            self._lost_at[limit_id] = self.now
        self._step()

    @callback
    def _step(self, _at: datetime | None = None) -> None:
        """Have the controller decide, and carry it out."""
        if not self._running:
            return
        if _at is not None:
            self._cancel_wake = self._wake_at = None
        self._execute(self.controller.step(self.now))
        self._plan_wake()
        self._review()
        self._tell()

    def _execute(self, acts: list[Act]) -> None:
        for act in acts:
            if not act.rehearsal:
                self.hass.async_create_task(self._async_carry_out(act), "energy meter load")
        if acts:
            self._save()

    async def _async_carry_out(self, act: Act) -> None:
        device = self.devices[act.load]
        command = device.command(act)
        try:
            if command is not None:
                domain, action, data = command
                await self.hass.services.async_call(domain, action, data, blocking=True)
        except _FAILURES as err:
            _LOGGER.warning("%s could not be switched: %s", self.load_name(act.load), err)
            if act.load in self.devices:
                self.controller.failed(act.load, self.now)
        else:
            device.done(act)
        if self._running and self.devices.get(act.load) is device:
            self._observe(act.load)
            self._step()

    def _plan_wake(self) -> None:
        wake = self.controller.wake(self.now)
        silent = [at + self._patience(limit_id) for limit_id, at in self._lost_at.items()]
        pending = [at for at in silent if at > self.now]
        wake = min([*pending, *([wake] if wake is not None else [])], default=None)
        if wake is None or (self._wake_at is not None and self._wake_at <= wake):
            return  # Being woken too early does no harm.
        if self._cancel_wake is not None:
            self._cancel_wake()
        self._wake_at = wake
        self._cancel_wake = async_call_later(self.hass, max(0.0, wake - self.now), self._step)

    def _save(self) -> None:
        if not self._saving:  # Asking again would put the write off.
            self._saving = True
            self._store.async_delay_save(self._data, SAVE_SOON)

    def _data(self) -> dict[str, Any]:
        self._saving = False
        return self.controller.memory.to_json()

    # What has to be looked after

    def _patience(self, limit_id: str) -> float:
        return max(SILENT, 3 * self.limits[limit_id].freshness)

    def _review(self) -> None:
        """Ask the user to look where nobody else can."""
        for limit_id, gauge in self.controller.gauges.items():
            if gauge.fresh(self.now):
                self._lost_at.pop(limit_id, None)
                self._settle(Issue.LIMIT_SILENT, limit_id)
                continue
            if limit_id not in self._lost_at:
                self._lost_at[limit_id] = self.now
                self._tell_limit(limit_id)
            long = self.now - self._lost_at[limit_id] >= self._patience(limit_id)
            if long and (Issue.LIMIT_SILENT, limit_id) not in self._issues:
                self._issues.add((Issue.LIMIT_SILENT, limit_id))
                async_raise(
                    self.hass,
                    Issue.LIMIT_SILENT,
                    self._subject(limit_id),
                    data={"entry_id": self.entry.entry_id},
                    name=self.limit_name(limit_id) or "",
                    sensor=self.limit_data(limit_id)[CONF_SENSOR],
                )
        for load_id in self.devices:
            failures = self.controller.memory.load(load_id).failures
            if failures == 0:
                self._settle(Issue.LOAD_NO_REACTION, load_id)
            elif failures >= FAILURES and (Issue.LOAD_NO_REACTION, load_id) not in self._issues:
                self._issues.add((Issue.LOAD_NO_REACTION, load_id))
                async_raise(
                    self.hass,
                    Issue.LOAD_NO_REACTION,
                    self._subject(load_id),
                    data={"entry_id": self.entry.entry_id},
                    name=self.load_name(load_id) or "",
                    entity=self.devices[load_id].entity_id,
                )
        for issue, subject in self._issues.copy():
            if subject not in self.entry.subentries:
                self._settle(issue, subject)
        self._lost_at = {
            limit_id: at for limit_id, at in self._lost_at.items() if limit_id in self.limits
        }

    def _subject(self, subentry_id: str) -> str:
        return f"{self.entry.entry_id}_{subentry_id}"

    def _settle(self, issue: Issue, subentry_id: str) -> None:
        if (issue, subentry_id) in self._issues:
            self._issues.discard((issue, subentry_id))
            async_clear(self.hass, issue, self._subject(subentry_id))

    # Who listens

    @callback
    def async_on_change(self, update: Callable[[], None]) -> CALLBACK_TYPE:
        """Call `update` after every decision."""
        self._on_change.add(update)
        return lambda: self._on_change.discard(update)

    @callback
    def async_on_limit(self, limit_id: str, update: Callable[[], None]) -> CALLBACK_TYPE:
        """Call `update` when a reading of a limit, or the limit, has changed."""
        listeners = self._on_limit.setdefault(limit_id, set())
        listeners.add(update)
        return lambda: listeners.discard(update)

    @callback
    def async_on_plan(self, update: Callable[[], None]) -> None:
        """Call `update` when limits or loads have come or gone."""
        self._on_plan.append(update)

    @callback
    def async_on_entry(self, take: Callable[[Entry], None]) -> CALLBACK_TYPE:
        """Call `take` with every entry of the journal, and with those that nobody has heard yet."""
        self._on_entry.append(take)
        for entry in self._unheard:
            take(entry)
        self._unheard.clear()
        return lambda: self._on_entry.remove(take)

    def _tell(self) -> None:
        self.outlook = outlook(self.controller, self.now)
        for entry in self.controller.memory.journal.take_new():
            for take in self._on_entry:
                take(entry)
            if not self._on_entry:
                self._unheard.append(entry)
            self._save()
        for update in tuple(self._on_change):
            update()

    def _tell_limit(self, limit_id: str) -> None:
        for update in tuple(self._on_limit.get(limit_id, ())):
            update()


async def async_give_back(
    hass: HomeAssistant, memory: Memory, load_id: str, device: LoadDevice
) -> None:
    """Switch a load on again that is off because of us and will not be looked after any more."""
    state = memory.loads.get(load_id)
    shed = state.shed if state else None
    if shed is None or shed.rehearsal:
        return
    command = device.command(Act(load=load_id, on=True, level=shed.before, mode=shed.mode))
    if command is None:
        return
    domain, action, data = command
    try:
        await hass.services.async_call(domain, action, data, blocking=True)
    except _FAILURES as err:
        _LOGGER.warning("%s could not be switched on again: %s", device.entity_id, err)


async def async_remove(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Load shedding was removed: give back what is off because of it, and forget the rest."""
    store = store_of(hass, entry.entry_id)
    memory = await async_stored(store)
    for subentry in entry.get_subentries_of_type(SUBENTRY_LOAD):
        device = device_of(hass, subentry.data)
        await async_give_back(hass, memory, subentry.subentry_id, device)
    await store.async_remove()
