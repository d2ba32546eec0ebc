"""An alarm on tampering at run time: it looks at a meter's values, its events, its counters, and its silences."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.event import async_track_time_interval
from homeassistant.util import dt as dt_util

from ..const import CONF_INVERT, CONF_RATED_CURRENT, DOMAIN
from ..coordinator import MeterCoordinator
from ..metering.events import CounterEvent
from ..metering.tamper import LIVE, TamperChange, TamperEvidence, TamperWatch, watched_for_tamper
from .data import CONF_ONE_WAY, KIND_TAMPER
from .verdicts import Verdicts

LOOK_INTERVAL: Final = timedelta(seconds=5)
"""Between two looks at what lasts: values that stay the same wake nobody."""
_VOLTAGES: Final = ("voltage", "voltage_l1", "voltage_l2", "voltage_l3")
_COUNTERS: Final = ("energy_import", "energy_total")

type Around = Callable[[], tuple[bool, Iterable[MeterCoordinator]]]
"""Tells whether what a meter hangs on is connected, and which meters hang there."""


class TamperAlarm:
    """The signs of tampering of one meter."""

    key: Final = KIND_TAMPER

    def __init__(
        self,
        hass: HomeAssistant,
        subentry: ConfigSubentry,
        meter: MeterCoordinator,
        *,
        around: Around,
        changed: Callable[[], None],
    ) -> None:
        """Watch a meter; `changed` is called when there is something to keep."""
        self.hass = hass
        self.subentry = subentry
        self.meter = meter
        self.watch = TamperWatch(
            one_way=self._one_way,
            rated_current=meter.subentry.data.get(CONF_RATED_CURRENT),
            state=meter.record.limits.get(self.key),
        )
        self._around = around
        self._changed = changed
        self._keys = watched_for_tamper(meter.pipeline.measured)
        self._inverted = self._turned
        self._shown: set[Callable[[], None]] = set()
        self.verdicts: Verdicts[TamperChange] = Verdicts()
        """Every new sign, and the end of all of them."""
        self._unsubscribe: list[CALLBACK_TYPE] = []

    @property
    def _one_way(self) -> bool:
        return self.subentry.data.get(CONF_ONE_WAY) is True

    @property
    def _turned(self) -> bool:
        return self.meter.subentry.data.get(CONF_INVERT) is True

    @callback
    def async_start(self) -> None:
        """Begin to judge."""
        self._unsubscribe = [
            *(self.meter.async_subscribe(key, self._look) for key in self._keys),
            self.meter.async_subscribe_presence(self._look_around),
            self.meter.async_on_counter(self._take_counter),
            self.meter.async_on_event(self._take_event),
            async_track_time_interval(
                self.hass, self._look_again, LOOK_INTERVAL, name=f"{DOMAIN} tamper"
            ),
        ]
        self._look()

    @callback
    def async_stop(self) -> None:
        """Judge no more; the signs are kept for the next start."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe.clear()
        self._keep()

    @callback
    def async_on_show(self, update: Callable[[], None]) -> CALLBACK_TYPE:
        """Call `update` when signs may have come or gone."""
        self._shown.add(update)
        return lambda: self._shown.discard(update)

    @callback
    def async_take(self, subentry: ConfigSubentry) -> None:
        """Take up what the user has changed."""
        self.subentry = subentry
        if self._one_way != self.watch.one_way:
            self.watch.one_way = self._one_way
            self.watch.forget_direction()

    def _keep(self) -> None:
        self.meter.record.limits[self.key] = self.watch.to_dict()

    # What is looked at

    @callback
    def _look(self) -> None:
        if self._turned != self._inverted:
            self._inverted = self._turned
            self.watch.forget_direction()
        meter = self.meter
        values = {key: meter.values.get(key) for key in self._keys if meter.is_fresh(key)}
        now, monotonic = dt_util.utcnow().timestamp(), self.hass.loop.time()
        self._tell(self.watch.look(values, time=now, monotonic=monotonic))

    @callback
    def _look_around(self) -> None:
        meter = self.meter
        linked, meters = self._around()
        # Readings of a silence that still arrive afterwards have been counted where nobody was cut off.
        counters = () if meter.shape.late else _COUNTERS
        counter = next((each for each in counters if each in meter.pipeline.measured), None)
        energy = meter.values.get(counter) if counter and meter.is_fresh(counter) else None
        self._tell(
            self.watch.look_around(
                answering=meter.answering,
                linked=linked,
                neighbours=sum(has_power(each) for each in meters if each is not meter),
                energy=energy,
                time=dt_util.utcnow().timestamp(),
                monotonic=self.hass.loop.time(),
            )
        )

    @callback
    def _look_again(self, _now: datetime) -> None:
        self._look()
        self._look_around()

    @callback
    def _take_counter(self, event: CounterEvent) -> None:
        self._tell(self.watch.take_counter(event, now=dt_util.utcnow().timestamp()))

    @callback
    def _take_event(self, event: str, time: datetime) -> None:
        now = dt_util.utcnow().timestamp()
        self._tell(self.watch.take_event(event, time=time.timestamp(), now=now))

    def _tell(self, changes: tuple[TamperChange, ...]) -> None:
        # First the state, then the event: whoever acts on the event finds the state that goes with it.
        for update in tuple(self._shown):
            update()
        for change in changes:
            self.verdicts.tell(change)
        if changes:
            self._keep()
            self._changed()

    # What is shown

    def attributes(self) -> dict[str, Any]:
        """The signs that stand, each with its evidence; `source` is the meter's word if it has said any."""
        signs = sorted(self.watch.signs.values(), key=lambda each: each.since)
        if not signs:
            return {}
        return {
            "source": max(each.source.value for each in signs),
            "since": _iso(signs[0].since),
            "signs": [each.sign.value for each in signs],
            "evidence": [dict(told(each)) for each in signs],
        }


def told(evidence: TamperEvidence) -> Mapping[str, Any]:
    """A sign and what it rests on, for people and automations."""
    return {
        "sign": evidence.sign.value,
        "source": evidence.source.value,
        "since": _iso(evidence.since),
        **{
            key: _iso(float(value)) if key == "closed" else value
            for key, value in evidence.details.items()
        },
    }


def has_power(meter: MeterCoordinator) -> bool:
    """Whether a meter sees mains voltage at this moment."""
    values = (meter.values.get(key) for key in _VOLTAGES if meter.is_fresh(key))
    return any(value is not None and value >= LIVE for value in values)


def _iso(time: float) -> str:
    return dt_util.utc_from_timestamp(time).isoformat()
