"""The alarms of an entry's meters at run time: they follow the configuration, the meters and the clock."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
import logging
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.event import async_call_later, async_track_time_interval
from homeassistant.util import dt as dt_util

from ..const import CONF_IDENTITY, CONF_RATED_CURRENT, DOMAIN
from ..coordinator import MeterCoordinator
from ..metering.limits import RULES, LimitChange, LimitKind, LimitState, LimitWatch, watched_keys
from ..store import MeterStore
from .data import CONF_LIMIT_KIND, CONF_THRESHOLD, KIND_TAMPER, SUBENTRY_ALARM, limit_of
from .tamper import Around, TamperAlarm
from .verdicts import Verdicts

_LOGGER = logging.getLogger(__name__)

SILENCE_INTERVAL: Final = timedelta(seconds=5)
"""Between two looks at how long a meter has been silent."""


class Alarm:
    """One limit of one meter."""

    def __init__(
        self,
        hass: HomeAssistant,
        entry: ConfigEntry[Any],
        subentry: ConfigSubentry,
        meter: MeterCoordinator,
        *,
        changed: Callable[[], None],
    ) -> None:
        """Watch a meter's values from now on; `changed` is called when there is something to keep.

        Raises:
            KeyError, ValueError: the subentry describes no limit.
        """
        self.hass = hass
        self.entry = entry
        self.subentry = subentry
        self.meter = meter
        self.watch = LimitWatch(
            limit_of(subentry.data),
            rated_current=meter.subentry.data.get(CONF_RATED_CURRENT),
            state=meter.record.limits.get(self.kind.value),
        )
        self._keys = watched_keys(self.kind, meter.pipeline.provided)
        self.verdicts: Verdicts[LimitChange] = Verdicts()
        self._changed = changed
        self._shown: set[Callable[[], None]] = set()
        self._unsubscribe: list[CALLBACK_TYPE] = []
        self._timer: CALLBACK_TYPE | None = None
        self._started = dt_util.utcnow()

    @property
    def kind(self) -> LimitKind:
        """What is watched."""
        return LimitKind(self.subentry.data[CONF_LIMIT_KIND])

    @property
    def key(self) -> str:
        """What tells it apart from the meter's other alarms."""
        return self.kind.value

    @property
    def unit(self) -> str | None:
        """Of value and threshold."""
        return RULES[self.kind].unit

    @callback
    def async_start(self) -> None:
        """Begin to judge."""
        if self.kind is LimitKind.SILENT:
            self._unsubscribe.append(
                async_track_time_interval(
                    self.hass, self._look_at_silence, SILENCE_INTERVAL, name=f"{DOMAIN} silence"
                )
            )
        for key in self._keys:
            self._unsubscribe.append(self.meter.async_subscribe(key, self._judge))
        self._unsubscribe.append(self.meter.async_subscribe_presence(self._judge))
        self._judge()

    @callback
    def async_stop(self) -> None:
        """Judge no more; the verdict is kept for the next start."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe.clear()
        if self._timer is not None:
            self._timer()
            self._timer = None
        self.meter.record.limits[self.kind.value] = self.watch.to_dict()

    @callback
    def async_on_show(self, update: Callable[[], None]) -> CALLBACK_TYPE:
        """Call `update` when value, verdict or threshold may have changed."""
        self._shown.add(update)
        return lambda: self._shown.discard(update)

    @callback
    def async_take(self, subentry: ConfigSubentry) -> None:
        """Take up what the user has changed."""
        self.subentry = subentry
        limit = limit_of(subentry.data)
        if limit != self.watch.limit:
            self.watch.set_limit(limit)
            self._judge()

    @callback
    def async_set_threshold(self, threshold: float) -> None:
        """Judge by another threshold, from now on and after a restart."""
        self.watch.set_threshold(threshold)
        self.hass.config_entries.async_update_subentry(
            self.entry, self.subentry, data={**self.subentry.data, CONF_THRESHOLD: threshold}
        )
        self._judge()

    @callback
    def _look_at_silence(self, now: datetime) -> None:
        self._judge()

    @callback
    def _judge(self) -> None:
        if self._timer is not None:
            self._timer()
            self._timer = None
        time, monotonic = dt_util.utcnow().timestamp(), self.hass.loop.time()
        if self.kind is LimitKind.SILENT:
            last = max(self.meter.last_reading or self._started, self._started)
            silent = max(time - last.timestamp(), 0.0)
            change = self.watch.silent_for(silent, time=time, monotonic=monotonic)
        else:
            values = {
                key: self.meter.values.get(key) for key in self._keys if self.meter.is_fresh(key)
            }
            change = self.watch.take(values, time=time, monotonic=monotonic)
        due = self.watch.due_in(monotonic)
        if due is not None:
            # A value that stays the same wakes nobody, and yet its time comes.
            self._timer = async_call_later(self.hass, due, self._due)
        # First the state, then the event: whoever acts on the event finds the state that goes with it.
        for update in tuple(self._shown):
            update()
        if change is not None:
            self.meter.record.limits[self.kind.value] = self.watch.to_dict()
            self._changed()
            self.verdicts.tell(change)

    @callback
    def _due(self, _now: datetime) -> None:
        self._timer = None
        self._judge()


class Alarms:
    """All alarms of an entry."""

    def __init__(
        self, hass: HomeAssistant, entry: ConfigEntry[Any], store: MeterStore, *, around: Around
    ) -> None:
        """Begin without any; they come with their meters. `around` tells what is there besides a meter."""
        self.hass = hass
        self.entry = entry
        self.alarms: dict[str, Alarm | TamperAlarm] = {}
        """By subentry id."""
        self._around = around
        self._on_tamper: list[Callable[[TamperAlarm], None]] = []
        self._store = store
        self._on_alarm: list[Callable[[Alarm], None]] = []

    @callback
    def async_on_alarm(self, add: Callable[[Alarm], None]) -> None:
        """Call `add` for every alarm that is there, and for every one that comes."""
        self._on_alarm.append(add)
        for alarm in self.alarms.values():
            if isinstance(alarm, Alarm):
                add(alarm)

    @callback
    def async_on_tamper(self, add: Callable[[TamperAlarm], None]) -> None:
        """Call `add` for every alarm on tampering that is there, and for every one that comes."""
        self._on_tamper.append(add)
        for alarm in self.alarms.values():
            if isinstance(alarm, TamperAlarm):
                add(alarm)

    async def async_sync(self, meters: Iterable[MeterCoordinator]) -> None:
        """Follow the configuration: alarms come, go and change with their subentries and their meters."""
        by_identity = {meter.identity: meter for meter in meters}
        present = {
            subentry.subentry_id: subentry
            for subentry in self.entry.get_subentries_of_type(SUBENTRY_ALARM)
        }
        for subentry_id, alarm in tuple(self.alarms.items()):
            subentry = present.get(subentry_id)
            meter = by_identity.get(alarm.meter.identity)
            if subentry is not None and meter is alarm.meter:
                alarm.async_take(subentry)
                continue
            del self.alarms[subentry_id]
            alarm.async_stop()
            if subentry is None:
                await self._async_remove(alarm)
        for subentry_id, subentry in present.items():
            meter = by_identity.get(subentry.data.get(CONF_IDENTITY, ""))
            if subentry_id not in self.alarms and meter is not None:
                self._add(subentry, meter)

    def _add(self, subentry: ConfigSubentry, meter: MeterCoordinator) -> None:
        if subentry.data.get(CONF_LIMIT_KIND) == KIND_TAMPER:
            self._add_tamper(subentry, meter)
            return
        try:
            alarm = Alarm(
                self.hass, self.entry, subentry, meter, changed=self._store.async_save_soon
            )
        except KeyError, ValueError:
            _LOGGER.error("The alarm %s is left out, it describes no limit", subentry.title)
            return
        self.alarms[subentry.subentry_id] = alarm
        alarm.async_start()
        for add in self._on_alarm:
            add(alarm)

    def _add_tamper(self, subentry: ConfigSubentry, meter: MeterCoordinator) -> None:
        alarm = TamperAlarm(
            self.hass,
            subentry,
            meter,
            around=self._around,
            changed=self._store.async_save_soon,
        )
        self.alarms[subentry.subentry_id] = alarm
        alarm.async_start()
        for add in self._on_tamper:
            add(alarm)

    async def _async_remove(self, alarm: Alarm | TamperAlarm) -> None:
        """The user has taken an alarm away: its entities go for good."""
        alarm.meter.record.limits.pop(alarm.key, None)
        registry = er.async_get(self.hass)
        for entity in tuple(alarm.meter.entities):
            if getattr(entity, "alarm", None) is alarm:
                entity_id = entity.entity_id
                await entity.async_remove()
                if registry.async_get(entity_id) is not None:
                    registry.async_remove(entity_id)

    @callback
    def async_stop(self) -> None:
        """End all of them; verdicts are kept."""
        for alarm in self.alarms.values():
            alarm.async_stop()
        self.alarms.clear()


def attributes_of(alarm: Alarm) -> Mapping[str, Any]:
    """What a verdict is based on, for people and automations."""
    watch = alarm.watch
    shown: dict[str, Any] = {
        "value": None if watch.watched is None else round(watch.watched.value, 3),
        "limit": watch.limit.threshold,
        "unit": alarm.unit,
    }
    if watch.watched is not None and watch.watched.key:
        shown["quantity"] = watch.watched.key
    if watch.since is not None and watch.state is not LimitState.CLEAR:
        shown["since"] = dt_util.utc_from_timestamp(watch.since).isoformat()
    return shown
