"""One meter at run time: takes what its line reads, and wakes the entities that it concerns."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
import logging
import math
from typing import Final, override

from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.util import dt as dt_util

from .const import (
    CONF_ASSUMED_POWER_FACTOR,
    CONF_FAST_INTERVAL,
    CONF_IDENTITY,
    CONF_INVERT,
    CONF_RATED_CURRENT,
    CONF_ROLE,
    DEFAULT_FAST_INTERVAL,
    DOMAIN,
    ROLE_DEVICE,
)
from .controlled import Controlled
from .issues import Issue, async_clear, async_raise
from .metering import CounterAnswer, CounterEvent, CounterEventKind, CounterQuestion, MeterPipeline
from .metering.needs import needed, turned_state
from .metering.plausibility import Suspicion
from .model import QUANTITIES, Counts, MeterInfo, MeterShape, Quantity, Rate, Reading, Value
from .sources.base import MeterHealth, MeterListener
from .store import MeterRecord

_LOGGER = logging.getLogger(__name__)

NO_HEALTH: Final = MeterHealth()
ONLY_IMPORT: Final = frozenset({ROLE_DEVICE})
"""Roles whose power cannot be negative; a home may have its own solar behind the meter."""
MOST_LOST: Final = 1.0
"""kWh that may have been counted after the last time that the store was written."""
HURRY: Final = 1.0
"""Seconds at least between two readings of counters out of turn, to believe or refuse what they said."""
SILENCE: Final = timedelta(days=1)
"""How long a meter may be silent before a repair says so."""
UNDO: Final = timedelta(days=30)
"""How long the answer to "replaced or reset?" can be taken back."""
EXPECTED_RESET: Final = timedelta(hours=1)
"""How long after our own button a counter may start anew without anybody being asked."""

MOST_SINCE_START: Final = 1.0
"""kWh that a counter may show when it is first read after its board has started, if it counts from zero then."""

_ODD: Final = frozenset({CounterEventKind.LOWER, CounterEventKind.HIGHER, CounterEventKind.JUMP})


class MeterCoordinator(Controlled, MeterListener):
    """One meter's values, and who wants to know them.

    A quantity is read only while somebody has subscribed to it or to what follows from it. `values` holds
    what is known, `is_fresh` says whether it is more than a memory.
    """

    def __init__(
        self,
        hass: HomeAssistant,
        entry: ConfigEntry,
        subentry: ConfigSubentry,
        shape: MeterShape,
        record: MeterRecord,
        *,
        on_changed: Callable[[MeterCoordinator], None],
        read_soon: Callable[[MeterCoordinator, Rate], None],
        silent_issue: Issue = Issue.SILENT,
    ) -> None:
        """Take the meter's place in the configuration, what it is, and what is kept of it.

        `on_changed` is called when other quantities than before are to be read, `read_soon` when those of
        a rate are wanted out of turn. `silent_issue` is what a long silence is.
        """
        super().__init__(subentry.data[CONF_IDENTITY])
        self.hass = hass
        self.entry = entry
        self.subentry = subentry
        self.shape = shape
        self.record = record
        self.relays = record.relays
        self.info: MeterInfo | None = None
        self.health = NO_HEALTH
        self.answering = False
        self._silent_issue = silent_issue
        self._on_changed = on_changed
        self._read_soon = read_soon
        self._fresh: set[str] = set()
        self._subscribers: dict[str, set[Callable[[], None]]] = {}
        self._on_health: set[Callable[[], None]] = set()
        self._on_counter: set[Callable[[CounterEvent], None]] = set()
        self._on_event: set[Callable[[str, datetime], None]] = set()
        self._floors: dict[str, float] = {}
        self._was_silent = False
        self._wrong: tuple[str, str] | None = None
        self._looked_after: datetime | None = None
        self._hurried_at = -math.inf
        self._since = dt_util.utcnow()
        self._reset_until: datetime | None = None
        self._started_until: datetime | None = None
        self._suspected: set[Issue] = set()
        self._inverted: bool = subentry.data.get(CONF_INVERT, False)
        self._reachable: bool | None = None
        self._late: set[str] = set()
        """Totals that late readings have moved and nobody was told of yet."""
        self.on_progress: Callable[[datetime], None] | None = None
        """Called after each reading with its time, when `values` are up to date."""
        self.pipeline = self._make_pipeline()
        self.values: dict[str, Value] = dict(self.pipeline.totals)

    def _make_pipeline(self) -> MeterPipeline:
        data, shape = self.subentry.data, self.shape
        return MeterPipeline(
            shape.measured,
            phases=shape.phases,
            rated_current=data.get(CONF_RATED_CURRENT),
            invert=self._inverted,
            only_import=data.get(CONF_ROLE) in ONLY_IMPORT,
            power_interval=shape.interval or data.get(CONF_FAST_INTERVAL, DEFAULT_FAST_INTERVAL),
            counts=shape.counts,
            resolution=shape.resolution,
            modulus=shape.modulus,
            assumed_power_factor=data.get(CONF_ASSUMED_POWER_FACTOR),
            late=shape.late,
            state=self.record.metering,
        )

    # What the meter is

    @property
    def subentry_id(self) -> str:
        """The subentry that the meter is."""
        return self.subentry.subentry_id

    @property
    def name(self) -> str:
        """How the user calls it."""
        return self.subentry.title

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """Every quantity that there is to show."""
        return tuple(QUANTITIES[key] for key in self.pipeline.provided)

    def counts(self, quantity: Quantity) -> Counts | None:
        """How a counter moves on this meter; None for what is no counter."""
        return self.shape.moves(quantity)

    @property
    def last_reading(self) -> datetime | None:
        """When the meter last said anything, restarts included."""
        return self.record.last_reading

    # Who wants to know

    @property
    def wanted(self) -> frozenset[str]:
        """Measured quantities that are to be read for what is subscribed to."""
        return self._needed(self._subscribers)

    def _needed(self, keys: Iterable[str]) -> frozenset[str]:
        return needed(
            keys,
            self.pipeline.measured,
            phases=self.shape.phases,
            invert=self._inverted,
            assumed_power_factor=self.subentry.data.get(CONF_ASSUMED_POWER_FACTOR),
        )

    @callback
    def async_subscribe(self, key: str, update: Callable[[], None]) -> CALLBACK_TYPE:
        """Call `update` when this quantity has another value, or is known no more."""
        self._subscribers.setdefault(key, set()).add(update)
        self._on_changed(self)

        @callback
        def unsubscribe() -> None:
            subscribers = self._subscribers[key]
            subscribers.discard(update)
            if not subscribers:
                del self._subscribers[key]
                self._fresh.discard(key)
                self._on_changed(self)

        return unsubscribe

    @callback
    def async_on_health(self, update: Callable[[], None]) -> CALLBACK_TYPE:
        """Call `update` when the line's health has been looked at."""
        self._on_health.add(update)
        return lambda: self._on_health.discard(update)

    @callback
    def async_on_counter(self, update: Callable[[CounterEvent], None]) -> CALLBACK_TYPE:
        """Call `update` with whatever happens to a counter that nobody has announced."""
        self._on_counter.add(update)
        return lambda: self._on_counter.discard(update)

    @callback
    def async_on_event(self, update: Callable[[str, datetime], None]) -> CALLBACK_TYPE:
        """Call `update` with what the meter says has happened to it, and when."""
        self._on_event.add(update)
        return lambda: self._on_event.discard(update)

    @callback
    def async_event(self, event: str, time: datetime) -> None:
        """Take what the meter says has happened to it."""
        for update in tuple(self._on_event):
            update(event, time)

    @callback
    def async_health_changed(self, health: MeterHealth) -> None:
        """Take how the meter fares, and tell who shows it."""
        self.health = health
        for update in tuple(self._on_health):
            update()

    @property
    @override
    def reachable(self) -> bool:
        """Whether a control can be carried out: a bridge is there even while its meter is silent."""
        return self.answering if self._reachable is None else self._reachable

    @callback
    def async_reachable(self, reachable: bool) -> None:
        """Take whether controls can be carried out, where that does not hang on the meter's own readings."""
        if reachable != self._reachable:
            self._reachable = reachable
            self._tell_presence()

    def is_fresh(self, key: str) -> bool:
        """Whether the value was read lately, and the meter still answers."""
        return self.answering and key in self._fresh

    @callback
    def async_restore(self, key: str, value: Value) -> None:
        """Take a counter's last value from before a restart, unless more is known by now."""
        self.values.setdefault(key, value)

    @callback
    def async_recorded(self, key: str, value: float) -> None:
        """Take what an integrated total was recorded as last: after a power cut more than was kept.

        It is shown until the total has caught up, so that it never steps back.
        """
        kept = self.values.get(key)
        if kept is not None and kept < value <= kept + MOST_LOST:
            self._floors[key] = self.values[key] = value

    # What is worth telling

    @callback
    def async_review(self, now: datetime, *, alone: bool = True) -> None:
        """Raise and take back what is only seen over time; looked at twice a minute.

        `alone`: whether a silence is the meter's own, and not that of what it hangs on.
        """
        last = self.last_reading or self._since
        silent = now - max(last, self._looked_after or last) >= SILENCE
        if self._wrong is not None:
            self._raise_wrong_meter(*self._wrong)
        elif silent and alone and not self.answering:
            since, issue = dt_util.as_local(last), self._silent_issue
            async_raise(
                self.hass,
                issue,
                self.identity,
                name=self.name,
                since=f"{since:%Y-%m-%d %H:%M}",
            )
        elif self.answering or not alone:
            async_clear(self.hass, self._silent_issue, self.identity)
        self._review_suspicions()
        self.async_review_questions()

    def _review_suspicions(self) -> None:
        found: set[Issue] = set()
        for evidence in self.pipeline.evidence():
            issue = (
                Issue.REVERSED if evidence.suspicion is Suspicion.REVERSED else Issue.SWAPPED_PHASES
            )
            if issue.value in self.record.declined:
                continue
            found.add(issue)
            async_raise(
                self.hass,
                issue,
                self.identity,
                name=self.name,
                power=f"{evidence.power:.0f} W",
                phase=evidence.phase or "–",
            )
        for issue in self._suspected - found:
            async_clear(self.hass, issue, self.identity)
        self._suspected = found

    @callback
    def async_looked_after(self) -> None:
        """The user has put something right at the meter: what was seen before counts no more."""
        self._looked_after = dt_util.utcnow()
        self.async_reconfigure()

    @callback
    def async_decline(self, issue: Issue) -> None:
        """The user wants it left so: never ask again."""
        self.record.declined.append(issue.value)
        self._suspected.discard(issue)

    def _note(self, events: Sequence[CounterEvent]) -> None:
        """Log what happened to counters, and ask where only the user knows."""
        for event in events:
            _LOGGER.log(
                logging.WARNING if event.kind in _ODD else logging.INFO,
                "%s: %s went from %s to %s (%s)",
                self.name,
                event.key,
                event.before,
                event.after,
                event.kind,
            )
        if self._reset_until is not None and dt_util.utcnow() < self._reset_until:
            self._answer(CounterAnswer.RESET)
        else:
            for event in events:
                for update in tuple(self._on_counter):
                    update(event)
        if self._started_until is not None and dt_util.utcnow() < self._started_until:
            self._settle_started()
        self.async_review_questions()

    def _settle_started(self) -> None:
        """A board without a memory counts from zero at each start; nobody has to be asked about that."""
        for question in self.pipeline.questions():
            lower = question.kind is CounterEventKind.LOWER
            if question.answer is None and lower and question.after <= MOST_SINCE_START:
                self.pipeline.resolve(question.key, CounterAnswer.RESET)
                self.pipeline.settle(question.key)

    @callback
    def async_review_questions(self) -> None:
        """Ask what is open about counters, and offer to take back what was answered."""
        asked = self.pipeline.questions()
        self._ask(Issue.METER_CHANGED, [each for each in asked if each.answer is None])
        now = dt_util.utcnow().timestamp()
        answered = [
            each
            for each in asked
            if each.answer is not None and now - each.since < UNDO.total_seconds()
        ]
        self._ask(Issue.METER_CHANGE_UNDO, answered)

    def _ask(self, issue: Issue, questions: Iterable[CounterQuestion]) -> None:
        texts = [
            f"{QUANTITIES[each.key].meaning}: {each.before:.2f} → {each.after:.2f} "
            f"{QUANTITIES[each.key].unit}"
            for each in questions
        ]
        if not texts:
            async_clear(self.hass, issue, self.identity)
            return
        async_raise(
            self.hass,
            issue,
            self.identity,
            name=self.name,
            counters="\n".join(f"- {text}" for text in texts),
        )

    @callback
    def async_answer(self, answer: CounterAnswer) -> None:
        """Answer every open question that the answer fits."""
        self._answer(answer)
        self._take_totals()
        self.async_review_questions()

    def _answer(self, answer: CounterAnswer) -> None:
        for question in self.pipeline.questions():
            if question.answer is None and not (
                answer is CounterAnswer.RESET and question.kind is CounterEventKind.HIGHER
            ):
                self.pipeline.resolve(question.key, answer)

    @callback
    def async_undo(self) -> None:
        """Take the last answers back; the questions are open again."""
        for question in self.pipeline.questions():
            if question.answer is not None:
                self.pipeline.undo(question.key)
        self._take_totals()
        self.async_review_questions()

    @callback
    def async_expect_reset(self) -> None:
        """The user is about to clear counters with one of our buttons."""
        self._reset_until = dt_util.utcnow() + EXPECTED_RESET

    @callback
    def async_started(self) -> None:
        """The board that counts has just started, or is one of which that is never known."""
        self._started_until = dt_util.utcnow() + EXPECTED_RESET

    def _take_totals(self) -> None:
        changed = {
            key: value
            for key, value in self.pipeline.totals.items()
            if self.values.get(key) != value
        }
        self.values |= changed
        self._tell(changed)

    # The configuration

    @callback
    def async_reconfigure(self) -> None:
        """Take up changed limits, role, or direction; what was counted goes on."""
        self.async_refresh_record()
        self._wrong = None
        inverted: bool = self.subentry.data.get(CONF_INVERT, False)
        if inverted != self._inverted:
            self._inverted = inverted
            self.record.metering = turned_state(self.record.metering, self.pipeline.measured)
        self.pipeline = self._make_pipeline()

    @callback
    def async_refresh_record(self) -> None:
        """Bring what is kept over a restart up to date."""
        self.record.metering = self.pipeline.to_dict()

    # What the line says

    @callback
    @override
    def on_reading(self, reading: Reading) -> None:
        """Take new values and wake those whose quantity has changed."""
        self.record.last_reading = reading.time
        self._present(True)
        if self._wrong is not None:
            self._wrong = None
            async_clear(self.hass, Issue.WRONG_METER, self.identity)
        measurement = self.pipeline.process(reading)
        if measurement.events:
            self._note(measurement.events)
        if self.pipeline.waiting and reading.monotonic - self._hurried_at >= HURRY:
            self._hurried_at = reading.monotonic
            self._read_soon(self, Rate.COUNTER)
        woken: set[str] = set()
        for key, value in self._floored(measurement.values).items():
            if key not in self._fresh:
                self._fresh.add(key)
            elif self.values.get(key) == value:
                continue
            self.values[key] = value
            woken.add(key)
        if self._late:
            woken |= self._late
            self._late.clear()
        if self.on_progress is not None:
            self.on_progress(reading.time)
        self._tell(woken)

    @callback
    def on_late_reading(self, reading: Reading) -> None:
        """Take what was measured a while ago and kept since: it moves the totals, and is no present value."""
        if self.record.last_reading is None or reading.time > self.record.last_reading:
            self.record.last_reading = reading.time
        measurement = self.pipeline.process(reading)
        if measurement.events:
            self._note(measurement.events)
        for key, value in self._floored(measurement.values).items():
            if value is None or self.shape.moves(QUANTITIES[key]) is None:
                continue
            if self.values.get(key) != value:
                self.values[key] = value
                self._late.add(key)
        if self.on_progress is not None:
            self.on_progress(reading.time)

    @callback
    def async_tell_late(self) -> None:
        """Show what late readings have moved; now and then while many arrive, not with each."""
        late, self._late = self._late, set()
        self._tell(late)

    @callback
    def async_away(self) -> None:
        """What the meter hangs on is away: nothing is said about the meter itself."""
        self._down()

    def _floored(self, values: Mapping[str, Value]) -> Mapping[str, Value]:
        if not self._floors:
            return values
        floored = dict(values)
        for key, floor in tuple(self._floors.items()):
            value = floored.get(key)
            if value is not None and value >= floor:
                del self._floors[key]
            elif value is not None:
                floored[key] = floor
        return floored

    @callback
    @override
    def on_silent(self, meter_id: str) -> None:
        """Take the meter down, and it alone; its counters keep their values."""
        if not self._was_silent:
            self._was_silent = True
            _LOGGER.warning("%s does not answer", self.name)
        self._down()

    @callback
    @override
    def on_stale(self, meter_id: str, keys: frozenset[str]) -> None:
        """These were missed for two of their rounds, and with them what is derived from them."""
        self._lose(key for key in tuple(self._fresh) if keys & self._needed((key,)))

    @callback
    @override
    def on_back(self, meter_id: str) -> None:
        """A silent meter answers again; its values follow."""
        if self._was_silent:
            self._was_silent = False
            _LOGGER.info("%s answers again", self.name)

    @callback
    @override
    def on_info(self, info: MeterInfo) -> None:
        """Show in the device registry who the meter says it is."""
        self.info = info
        devices = dr.async_get(self.hass)
        device = devices.async_get_device_by_identifier(
            (DOMAIN, self.identity), self.entry.entry_id
        )
        if device is not None:
            devices.async_update_device(
                device.id,
                serial_number=info.serial_number or device.serial_number,
                sw_version=info.firmware,
                hw_version=info.hardware,
            )

    @callback
    @override
    def on_wrong_meter(self, meter_id: str, expected: str, found: str) -> None:
        """Another meter answers in this one's place: nothing of it is shown."""
        _LOGGER.error(
            "Another meter answers in place of %s: serial number %s instead of %s",
            self.name,
            found,
            expected,
        )
        self._wrong = (expected, found)
        self._raise_wrong_meter(expected, found)
        self._down()

    def _raise_wrong_meter(self, expected: str, found: str) -> None:
        async_raise(
            self.hass,
            Issue.WRONG_METER,
            self.identity,
            data={"found": found},
            name=self.name,
            expected=expected,
            found=found or "–",
        )

    def _down(self) -> None:
        self.pipeline.silent()
        self._present(False)
        self._lose(tuple(self._fresh))

    def _present(self, answering: bool) -> None:
        if answering == self.answering:
            return
        self.answering = answering
        self._tell_presence()

    def _lose(self, keys: Iterable[str]) -> None:
        lost = set(keys)
        self._fresh -= lost
        self._tell(lost)

    def _tell(self, keys: Iterable[str]) -> None:
        # Whoever looks at several quantities looks once, when all of them are in.
        for update in dict.fromkeys(
            update for key in keys for update in self._subscribers.get(key, ())
        ):
            update()
