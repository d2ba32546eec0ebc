"""One Modbus line: who is asked what, when, and what happens if no answer comes.

A single task owns the line. Whenever it is free the most urgent of these gets it: a command to a relay, a
meter's next request (earliest deadline first over meters and blocks), a silent meter's probe, somebody
else's question. `docs/polling.md` describes every timer.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
import logging
import time
from typing import Any, Final, override

from modbus_connection import (
    ModbusConnectionError,
    ModbusExceptionError,
    ModbusProtocolError,
    ModbusUnit,
)

from ...model import MeterInfo, Rate, Reading, Value
from ..base import LinkHealth, MeterListener, Source, SourceError
from .breaker import FAILURES, HOLD
from .codec import RegisterImage
from .controls import ControlPort, carry_out, read_control
from .health import LineCounters
from .late import Form, form_of
from .meter import Item, Meter, MeterConfig, utc_now
from .plan import Block, Need
from .profile import ProfileControl, Span
from .recorded import RecordedUnit
from .schedule import ROUNDS, Group, slots
from .sunspec import common_before, find_model
from .timing import DEFAULT_TURNAROUND, LINK_TIMEOUT_CEILING, LineTiming, within
from .wire import REOPEN_INTERVAL, Kind, Reply, Wire

_LOGGER = logging.getLogger(__name__)

VERIFY_AFTER: Final = 5.0
"""Seconds of absence after which a meter may be another one: its serial number is read again."""
PROBE_SHARE: Final = 0.04
"""Share of the line's time that probing meters that fail may take while others answer."""
PROBE_CREDIT: Final = 2.0
"""Seconds of that which may be saved up, so that a meter just gone is looked for more eagerly."""
DECIDE_WITHIN: Final = 5.0
"""Seconds within which a meter that is not yet declared silent is asked again, budget or not."""
MUTE_PROBE_SHARE: Final = 1 / 30
"""On a line where nobody answers, pauses between probes grow with the silence: this share of it, …"""
MUTE_PAUSES: Final = (0.5, 10.0)
"""… but not less and not more than these, seconds."""
RECYCLE_ROUNDS: Final = 3
RECYCLE_LEAST: Final = 3.0
"""Seconds without any answer before a link is reopened, however short its rounds."""
RECYCLE_PAUSES: Final = (5.0, 300.0)
"""Seconds between two reopenings: first and longest, doubling."""
SHARED_RECYCLE_PAUSE: Final = 60.0
"""Seconds at least, where others use the link too: perhaps they do get answers."""
UNSURE_PAUSES: Final = (0.1, 2.0)
"""Seconds that a unit is left alone when its replies are out of step: first and longest, doubling."""
UNSURE_LIMIT: Final = 6
"""After so many replies in a row that could not be used, the meter counts as not answering."""
CREDIT: Final = 1.0
"""Seconds by which polling or other people's requests may be ahead of their half of the line."""
LEAST_STALE_CHECK: Final = 0.25
STALE_CHECK: Final = 1.0
"""Seconds between two looks for values that missed their rounds: half a round, within these."""
HOUSEKEEPING: Final = 3600.0


@dataclass(slots=True)
class _Job:
    """A request of somebody else, waiting for the line."""

    run: Callable[[], Coroutine[Any, Any, Any]]
    future: asyncio.Future[Any]
    timeout: float | None


class ModbusLine(Source):
    """The scheduler of one link.

    Args:
        get_unit: returns the unit with an id on the shared connection; called once per id.
        timing: of the line.
        sole_user: whether nobody but this line uses the connection just now. Only then do answer times
            say anything about the meters.
        clock: monotonic, seconds; what `Reading.monotonic` is measured by.
        utc: time of day.
    """

    def __init__(
        self,
        get_unit: Callable[[int], ModbusUnit],
        timing: LineTiming,
        sole_user: Callable[[], bool] = lambda: True,
        *,
        clock: Callable[[], float] = time.monotonic,
        utc: Callable[[], datetime] = utc_now,
    ) -> None:
        """Take the link; nothing is opened or asked before `start`."""
        self._timing = timing
        self._clock = clock
        self._utc = utc
        self._meters: dict[str, Meter] = {}
        self._counters = LineCounters()
        self._wire = Wire(
            get_unit,
            timing,
            sole_user=sole_user,
            clock=clock,
            counters=self._counters,
            on_back=self._link_back,
        )
        self._urgent: deque[_Job] = deque()
        self._jobs: deque[_Job] = deque()
        self._credit = 0.0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._added = 0
        self._round_time: float | None = None
        self._round_time_at = 0.0
        self._answer_at = clock()
        self._probe_at = 0.0
        self._probed_at = clock()
        self._probe_credit = PROBE_CREDIT
        self._recycle_at = 0.0
        self._recycle_pause = RECYCLE_PAUSES[0]
        self._stale_check_at = 0.0
        self._housekeeping_at = clock() + HOUSEKEEPING

    # Meters

    def add_meter(self, config: MeterConfig, listener: MeterListener) -> None:
        """Begin to read a meter; the others and the link go on undisturbed.

        Raises:
            ValueError: there is a meter with this id.
            KeyError: the profile has no such variant.
        """
        if config.meter_id in self._meters:
            raise ValueError(f"meter {config.meter_id} is on the line already")
        meter = self._make(config, listener, self._added)
        self._added += 1
        self._meters[config.meter_id] = meter
        self._requirements(config.unit_id)
        self._meters_changed()

    def update_meter(self, config: MeterConfig) -> None:
        """Read a meter differently from now on.

        Raises:
            KeyError: there is no meter with this id, or its profile has no such variant.
        """
        old = self._meters[config.meter_id]
        same = (old.config.unit_id, old.config.profile) == (config.unit_id, config.profile)
        meter = self._make(config, old.listener, old.index)
        if same:
            meter.inherit(old)
        self._meters[config.meter_id] = meter
        self._requirements(old.config.unit_id)
        self._requirements(config.unit_id)
        self._meters_changed()

    @override
    def remove_meter(self, meter_id: str) -> None:
        """Forget a meter; the others go on undisturbed."""
        meter = self._meters.pop(meter_id, None)
        if meter is not None:
            self._requirements(meter.config.unit_id)
            self._meters_changed()

    def _make(self, config: MeterConfig, listener: MeterListener, index: int) -> Meter:
        return Meter(
            config,
            listener,
            timing=self._timing,
            guard=self._wire.station(config.unit_id).guard,
            now=self._clock(),
            unix=self._utc().timestamp(),
            index=index,
            patience_ceiling=self._link_timeout(config),
        )

    def _link_timeout(self, config: MeterConfig) -> float:
        return self._timing.link_timeout(
            config.profile.max_registers, config.profile.turnaround or DEFAULT_TURNAROUND
        )

    def _requirements(self, unit_id: int) -> None:
        """Tell the link what the meters with this unit id need."""
        here = [meter for meter in self._meters.values() if meter.config.unit_id == unit_id]
        self._wire.require(
            unit_id,
            gap=max((meter.gap for meter in here), default=0.0),
            timeout=max((self._link_timeout(meter.config) for meter in here), default=None),
        )

    def _meters_changed(self) -> None:
        meters = list(self._meters.values())
        for meter, slot in zip(meters, slots(meter.extra_cost for meter in meters), strict=True):
            meter.set_slot(slot)
        self._round_time = None
        self._wake.set()

    # Running

    @override
    async def start(self) -> None:
        """Begin; returns without waiting for any meter."""
        if self._task is None:
            self._stopped = False
            self._answer_at = self._clock()
            for meter in self._meters.values():
                self._requirements(meter.config.unit_id)
            self._task = asyncio.create_task(self._run(), name="energy_meter modbus line")

    @override
    async def stop(self) -> None:
        """End everything that `start` began; requests that wait fail as if the link were down."""
        self._stopped = True
        task, self._task = self._task, None
        if task is not None:
            self._wake.set()
            if not self._wire.connected:
                # Cutting off a link that is just being opened leaves an error behind that nobody takes.
                await asyncio.wait((task,), timeout=LINK_TIMEOUT_CEILING)
            task.cancel()
            await asyncio.wait((task,))
        for job in (*self._urgent, *self._jobs):
            if not job.future.done():
                job.future.set_exception(ModbusConnectionError("the line was stopped"))
        self._urgent.clear()
        self._jobs.clear()
        self._wire.release()

    async def _run(self) -> None:
        while not self._stopped:
            try:
                before = self._clock()
                await self._step(before)
                if self._clock() <= before:
                    await asyncio.sleep(0)
            except Exception:  # A defect must not end the polling of a house.
                _LOGGER.exception("Unexpected error on a Modbus line; going on")
                await asyncio.sleep(1)

    async def _step(self, now: float) -> None:
        """Give the line to whoever needs it most, or wait until somebody does."""
        self._chores(now)
        if self._urgent:
            await self._serve(self._urgent.popleft())
            return
        if self._wire.down_since is not None:
            await self._step_down(now)
            return
        if self._mute:
            await self._recycle(now)
        meter = self._most_urgent(now)
        probe = self._probe_due(now)
        if self._jobs and (self._credit >= 0 or (meter is None and probe is None)):
            job = self._jobs.popleft()
            await self._serve(job)
            self._credit = max(self._credit - (self._clock() - now), -CREDIT)
            return
        if probe is not None:
            await self._probe(probe, now)
        elif meter is not None:
            await self._turn(meter, now)
        else:
            await self._idle(now)
            return
        self._credit = min(self._credit + (self._clock() - now), CREDIT)

    async def _idle(self, now: float) -> None:
        """Wait until the next meter is due or somebody calls."""
        times = [meter.ready_at() for meter in self._meters.values() if meter.breaker.failures == 0]
        times += [self._probe_time(meter, now) for meter in self._failing()]
        until = min(times, default=now + STALE_CHECK)
        await self._wait(min(max(until, now + 0.001), now + STALE_CHECK), now)

    async def _wait(self, until: float, now: float) -> None:
        self._wake.clear()
        if self._urgent or self._jobs:
            return
        loop = asyncio.get_running_loop()
        handle = loop.call_later(max(until - now, 0), self._wake.set)
        try:
            await self._wake.wait()
        finally:
            handle.cancel()

    def _chores(self, now: float) -> None:
        """What is looked at about once a second and takes no time on the line."""
        if now < self._stale_check_at:
            return
        round_time = self._rounds(now)
        self._stale_check_at = now + min(max(round_time / 2, LEAST_STALE_CHECK), STALE_CHECK)
        for meter in list(self._meters.values()):
            keys = meter.stale_keys(now, round_time)
            if keys:
                _tell(meter.listener.on_stale, meter.config.meter_id, keys)
        if now >= self._housekeeping_at:
            self._housekeeping_at = now + HOUSEKEEPING
            for meter in self._meters.values():
                meter.forget_old_refusals(self._utc().timestamp(), now)

    # Who is next

    def _rounds(self, now: float) -> float:
        """Seconds in which the line gets round the fast blocks of all meters that answer."""
        if self._round_time is None or now - self._round_time_at > 1:
            total = 0.0
            for meter in self._meters.values():
                if meter.breaker.failures == 0:
                    total += meter.fast_cost + meter.extra_cost / ROUNDS
            self._round_time = max(total, 0.01)
            self._round_time_at = now
        return self._round_time

    def _most_urgent(self, now: float) -> Meter | None:
        round_time = self._rounds(now)
        best: Meter | None = None
        earliest = 0.0
        for meter in self._meters.values():
            if meter.breaker.failures:
                continue
            deadline = meter.deadline(now, round_time)
            if deadline is not None and (best is None or deadline < earliest):
                best, earliest = meter, deadline
        return best

    def _failing(self) -> list[Meter]:
        return [meter for meter in self._meters.values() if meter.breaker.failures]

    @property
    def _mute(self) -> bool:
        """Whether nobody on the line answers."""
        return all(meter.breaker.failures for meter in self._meters.values())

    def _probe_time(self, meter: Meter, now: float) -> float:
        """When a meter that does not answer may be asked again."""
        at = meter.breaker.try_at
        if self._mute and not self._jobs and self._wire.sole:
            # There is nobody whose pace it could spoil: find out soon when the line is back.
            low, high = MUTE_PAUSES
            gone = now - self._answer_at
            at = min(at, meter.breaker.failed_at + min(max(gone * MUTE_PROBE_SHARE, low), high))
        budget = self._probe_at
        if not meter.breaker.silent:
            budget = min(budget, meter.breaker.failed_at + DECIDE_WITHIN)
        return max(at, budget, meter.not_before)

    def _probe_due(self, now: float) -> Meter | None:
        failing = self._failing()
        if not failing:
            return None
        meter = min(failing, key=lambda meter: (self._probe_time(meter, now), meter.breaker.try_at))
        return meter if self._probe_time(meter, now) <= now else None

    # Polling

    async def _turn(self, meter: Meter, now: float) -> None:
        """Read a meter's most urgent block."""
        if meter.must_locate:
            await self._locate(meter, now)
            return
        item, skipped = meter.take(now, self._rounds(now))
        self._counters.overruns += skipped
        if item is not None:
            await self._poll(meter, item, retry=True)

    async def _probe(self, meter: Meter, now: float) -> None:
        """See whether a meter that did not answer does so again; one attempt, no more."""
        if meter.must_locate:
            await self._locate(meter, now)
        elif (item := meter.probe()) is not None:
            await self._poll(meter, item, retry=False)
        else:
            meter.breaker.forgive()  # It refuses everything, and so does answer.
        if meter.breaker.failures and meter.breaker.failed_at >= now:
            self._spend(meter, now)

    def _spend(self, meter: Meter, began: float) -> None:
        """Charge a probe in vain to the share of the line that is kept for that."""
        now = self._clock()
        credit = self._probe_credit + PROBE_SHARE * (now - self._probed_at)
        self._probe_credit = min(credit, PROBE_CREDIT) - (now - began)
        self._probed_at = now
        meter.breaker.spent += now - began
        pause = 0.0 if self._mute else max(-self._probe_credit / PROBE_SHARE, 0.0)
        # One silent meter per round at most, however much is saved up.
        self._probe_at = now + (max(pause, self._rounds(now)) if meter.breaker.silent else pause)

    async def _poll(self, meter: Meter, item: Item, *, retry: bool) -> None:
        now = self._clock()
        meter.breaker.asked(now)
        if len(self._meters) == 1:
            await self._wire.flush()
        asked = meter.choose(item.block, now)
        if asked is None:
            meter.missed(item)
            meter.not_before = now + UNSURE_PAUSES[1]
            return
        if Group.IDENTITY in item.groups:
            meter.forget_serial()
        reply = await self._read(meter, asked)
        if reply.kind in {Kind.SILENT, Kind.DAMAGED} and retry and meter.breaker.failures == 0:
            await self._wire.flush()
            again = meter.choose(item.block, self._clock(), other=True)
            if again is not None and self._owns(meter):
                meter.counters.retries += 1
                self._counters.retries += 1
                asked = again
                reply = await self._read(meter, asked)
        if not self._owns(meter):
            return  # Removed or replaced while it was asked.
        self._conclude(meter, item, asked, reply)

    def _owns(self, meter: Meter) -> bool:
        return self._meters.get(meter.config.meter_id) is meter

    def _conclude(self, meter: Meter, item: Item, asked: Block, reply: Reply) -> None:
        """Draw the consequences of a request and its retry."""
        now = self._clock()
        kind = reply.kind
        station = self._wire.station(meter.config.unit_id)
        if kind is Kind.UNSURE:
            station.unsure += 1
            low, high = UNSURE_PAUSES
            meter.not_before = now + min(low * 2 ** (station.unsure - 1), high)
            if station.unsure < UNSURE_LIMIT:
                meter.put_back(item)
                return
            kind = Kind.DAMAGED
        if kind is Kind.DOWN:
            meter.put_back(item)
            return
        if kind in {Kind.SILENT, Kind.DAMAGED}:
            self._failed(meter, item, now)
            return
        failing = meter.breaker.failures > 0
        self._back(meter, now)
        if not self._owns(meter):
            return  # Whoever was told has removed it.
        unix = self._utc().timestamp()
        if kind is Kind.ANSWERED:
            station.unsure = 0
            if set(item.block.needs) <= set(asked.needs):
                meter.accepted(item, unix, now)
            self._deliver(meter, item, asked, reply.words, now)
        elif kind is Kind.BUSY:
            meter.missed(item)
        else:
            certain = kind is Kind.REFUSED
            believed = meter.refused(item, asked, unix, now, certain=certain)
            self._announce(meter)
            if believed and Group.IDENTITY in item.groups and not meter.verified:
                self._identify(meter, now)
        if failing and self._owns(meter):
            meter.catch_up(now)

    def _back(self, meter: Meter, now: float) -> None:
        """The meter answered, if only with a refusal."""
        away = now - (meter.breaker.answered_at or now)
        failing = meter.breaker.failures > 0
        was_mute = failing and self._mute
        refund = meter.breaker.spent
        if was_mute:
            for other in self._meters.values():
                other.breaker.forgive()
        if meter.breaker.answered(now):
            _LOGGER.debug("%s answers again", meter.config.meter_id)
            _tell(meter.listener.on_back, meter.config.meter_id)
            meter.restart(now, verify=away >= VERIFY_AFTER)
        if failing:
            self._round_time = None
            self._probe_credit += refund  # Looking for a meter that comes back was time well spent.
        self._answer_at = now
        self._recycle_pause = RECYCLE_PAUSES[0]

    def _failed(self, meter: Meter, item: Item | None, now: float) -> None:
        """Neither the request nor its retry brought anything usable."""
        if item is not None:
            meter.missed(item)
        meter.drop_turn()
        self._round_time = None
        if meter.breaker.failed(now):
            self._silent(meter)

    def _silent(self, meter: Meter) -> None:
        _LOGGER.debug("%s does not answer", meter.config.meter_id)
        _tell(meter.listener.on_silent, meter.config.meter_id)

    def _deliver(
        self, meter: Meter, item: Item, asked: Block, words: list[int], now: float
    ) -> None:
        values = meter.take_words(asked, words, now)
        left = [need for need in item.block.needs if need not in asked.needs]
        if left:
            if any(need in asked.needs for need in item.block.needs):
                meter.missed(Item(Block(item.block.span, tuple(left)), 0.0, item.groups))
            else:
                meter.put_back(item)  # It was only asked to get into step again.
        if any(Group.IDENTITY is meter.group_of(need) for need in asked.needs):
            if not self._identify(meter, now):
                return
            self._announce(meter)
        elif Group.INFO in item.groups or meter.info is None:
            self._announce(meter)
        if values and meter.verified:
            reading = Reading(
                meter_id=meter.config.meter_id, time=self._utc(), monotonic=now, values=values
            )
            _tell(meter.listener.on_reading, reading)

    def _announce(self, meter: Meter) -> None:
        info = meter.new_info() if meter.verified else None
        if info is not None:
            _tell(meter.listener.on_info, info)

    def _identify(self, meter: Meter, now: float) -> bool:
        """Compare the serial number; return whether this is the meter that was set up."""
        known = meter.wrong
        fits, found = meter.judge_identity(now)
        if fits:
            return True
        meter.wrong = found or ""
        if known != meter.wrong:
            expected = meter.config.serial_number or ""
            _tell(meter.listener.on_wrong_meter, meter.config.meter_id, expected, meter.wrong)
        return False

    async def _locate(self, meter: Meter, now: float) -> None:
        """Find where a relocatable profile's block begins, and the common model before it."""
        meter.breaker.asked(now)
        kinds: list[Kind] = []

        async def read(span: Span) -> list[int] | None:
            if kinds and kinds[-1] is not Kind.ANSWERED and kinds[-1] not in _REFUSALS:
                return None  # All else would only cost time; the next attempt begins anew.
            asked = self._longer_if_needed(meter, span)
            if asked is None:
                kinds.append(Kind.UNSURE)
                return None
            reply = await self._read(meter, asked)
            kinds.append(reply.kind)
            return reply.words[: span.count] if reply.kind is Kind.ANSWERED else None

        address = meter.base_address
        if address is None:
            address = await find_model(read, meter.models)
        common = None if address is None else await common_before(read, address)
        now = self._clock()
        if not self._owns(meter) or not kinds or kinds[-1] is Kind.DOWN:
            return
        if kinds[-1] in {Kind.SILENT, Kind.DAMAGED}:
            self._failed(meter, None, now)
            return
        if kinds[-1] is Kind.UNSURE:
            meter.not_before = now + UNSURE_PAUSES[1]
            return
        self._back(meter, now)
        if address is None:
            _LOGGER.debug("%s has no SunSpec block of its profile", meter.config.meter_id)
            meter.not_before = now + LOCATE_PAUSE
            return
        meter.located(address, common, now)
        self._meters_changed()

    def _longer_if_needed(self, meter: Meter, span: Span) -> Block | None:
        """A request for a span that may be lengthened, whose reply could not be mistaken; None if there is none."""
        now, guard = self._clock(), meter.guard
        spans = [
            Span(span.table, span.address, span.count + extra) for extra in range(LOCATE_EXTRA)
        ]
        often, spare = spans[:LOCATE_SPARE], spans[LOCATE_SPARE:]
        # A silent device is asked for one and the same block again and again, which must not use up all lengths.
        chosen = next(
            chain(
                (each for each in often if guard.allows(form_of(each), now)),
                (each for each in often if guard.repeats(form_of(each), now)),
                (each for each in spare if guard.allows(form_of(each), now)),
            ),
            None,
        )
        return None if chosen is None else Block(chosen, (Need(span, alone=True),))

    async def _read(self, meter: Meter, asked: Block) -> Reply:
        """Read a block once, count it for its meter, and learn how long the answer took to begin."""
        reply = await self._wire.read(
            self._wire.station(meter.config.unit_id),
            asked.span,
            patience=meter.turnaround.patience,
            register_bytes=meter.register_bytes,
        )
        kind = reply.kind
        if kind is not Kind.DOWN:
            meter.counters.sent(failed=kind is not Kind.ANSWERED, timeout=kind is Kind.SILENT)
        if kind is Kind.SILENT:
            meter.turnaround.missed()
        elif reply.turnaround is not None:
            # Out of step it may have been busy with what it was asked before, or be slower than thought.
            meter.learn(reply.turnaround, self._clock())
        elif kind is Kind.ANSWERED:
            meter.turnaround.answered()
        return reply

    # The link

    def _link_back(self, away: float) -> None:
        """The link works again: whatever the meters failed at was not their fault."""
        now = self._clock()
        for meter in self._meters.values():
            meter.breaker.forgive()
            meter.restart(now, verify=away >= VERIFY_AFTER)

    async def _step_down(self, now: float) -> None:
        """While the link is down: try to open it, every half second, with the request of one meter."""
        wire = self._wire
        if wire.down_since is not None and now - wire.down_since >= HOLD:
            for meter in list(self._meters.values()):
                if meter.breaker.lost():
                    self._silent(meter)
        if self._jobs:
            await self._serve(self._jobs.popleft())
            return
        if now < wire.open_at or not self._meters:
            await self._wait(min(max(wire.open_at, now + 0.001), now + STALE_CHECK), now)
            return
        wire.open_at = now + REOPEN_INTERVAL
        # Whoever answered last is the likeliest to answer now.
        meter = max(self._meters.values(), key=lambda meter: meter.breaker.answered_at or 0.0)
        item = meter.probe()
        if item is None:
            wire.works()  # There is nothing to open it for.
            return
        reply = await self._read(meter, meter.choose(item.block, now) or item.block)
        if reply.kind is not Kind.DOWN:
            wire.works()

    async def _recycle(self, now: float) -> None:
        """Reopen a link that is up but on which nobody has answered for three rounds."""
        least = max(RECYCLE_ROUNDS * self._whole_round(), RECYCLE_LEAST)
        if (
            not self._meters
            or now - self._answer_at < least
            or now < self._recycle_at
            or any(meter.breaker.failures < FAILURES for meter in self._meters.values())
        ):
            return
        pause = self._recycle_pause
        self._recycle_pause = min(pause * 2, RECYCLE_PAUSES[1])
        self._recycle_at = now + (pause if self._wire.sole else max(pause, SHARED_RECYCLE_PAUSE))
        await self._wire.reopen()

    def _whole_round(self) -> float:
        """Seconds for the fast blocks of all meters, silent ones included."""
        return sum(meter.fast_cost for meter in self._meters.values())

    # Other people's requests

    async def request[T](
        self,
        unit_id: int,
        operation: Callable[[ModbusUnit], Coroutine[Any, Any, T]],
        *,
        timeout: float | None = None,
        urgent: bool = False,
    ) -> T:
        """Carry out an operation on one unit between polls.

        Polling keeps at least half of the line, unless the request is urgent.

        Args:
            unit_id: address to ask.
            operation: what to do with the unit.
            timeout: seconds for the operation, not counting the wait for the line.
            urgent: whether it goes before everything else.

        Raises:
            TimeoutError: it took longer.
            ModbusError: a refusal, a frame that cannot be used, or a link that is down or was stopped.
        """

        async def run() -> T:
            station = self._wire.station(unit_id)

            async def exchange[R](form: Form, call: Callable[[], Coroutine[Any, Any, R]]) -> R:
                return await self._wire.exchange(station, form, call)

            return await operation(RecordedUnit(station.unit, exchange))

        return await self._submit(run, timeout, urgent=urgent)

    async def _submit[T](
        self, run: Callable[[], Coroutine[Any, Any, T]], timeout: float | None, *, urgent: bool
    ) -> T:
        if self._stopped:
            raise ModbusConnectionError("the line was stopped")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        (self._urgent if urgent else self._jobs).append(_Job(run, future, timeout))
        self._wake.set()
        return await future

    async def _serve(self, job: _Job) -> None:
        """Run somebody's request on the line's own task."""
        future = job.future
        if future.done():
            return  # Whoever asked has gone.
        try:
            result = await within(job.run(), job.timeout)
        except asyncio.CancelledError:
            if not future.done():
                future.set_exception(ModbusConnectionError("the line was stopped"))
            raise
        except Exception as err:  # noqa: BLE001 - it is theirs, and goes back to them.
            if not future.done():
                future.set_exception(err)
        else:
            if not future.done():
                future.set_result(result)

    @override
    async def command(self, meter_id: str, control: str, value: Value) -> Value:
        """Carry out a control before everything else and return what the meter reads back.

        Raises:
            SourceError: the meter refused, did not answer, or read back something else.
        """
        meter = self._meters.get(meter_id)
        if meter is None:
            raise SourceError("unknown_meter", {"meter": meter_id})
        found = _find_control(meter, control)
        if meter.wrong is not None:
            raise SourceError(
                "wrong_meter",
                {"expected": meter.config.serial_number or "", "found": meter.wrong},
            )

        async def run() -> Value:
            return await carry_out(found, value, self._port(meter))

        try:
            return await self._submit(run, None, urgent=True)
        except ModbusConnectionError as err:
            raise SourceError("link_down") from err

    async def read_control(self, meter_id: str, control: str) -> Value:
        """Return what a control is set to, read between polls; None if it cannot be told.

        Raises:
            SourceError: there is no such meter or control, or the meter did not answer.
        """
        meter = self._meters.get(meter_id)
        if meter is None:
            raise SourceError("unknown_meter", {"meter": meter_id})
        found = _find_control(meter, control)

        async def run() -> Value:
            return await read_control(found, self._port(meter))

        try:
            return await self._submit(run, None, urgent=False)
        except ModbusConnectionError as err:
            raise SourceError("link_down") from err

    def read_soon(self, meter_id: str, rate: Rate) -> None:
        """Read what a meter has of this rate as soon as the line is free, whatever its interval."""
        meter = self._meters.get(meter_id)
        if meter is not None:
            meter.schedule.expedite(_GROUPS[rate], self._clock())
            self._wake.set()

    def _port(self, meter: Meter) -> ControlPort:
        """What a control needs of the line to reach its meter."""
        station = self._wire.station(meter.config.unit_id)

        async def write[T](form: Form, call: Callable[[ModbusUnit], Coroutine[Any, Any, T]]) -> T:
            return await self._wire.exchange(station, form, lambda: call(station.unit))

        async def read(span: Span, unit_id: int | None = None) -> list[int] | None:
            if unit_id is not None:
                return await self._read_elsewhere(unit_id, span)
            wanted = Block(span, (Need(span, alone=True),))
            for _ in range(READ_BACK_ATTEMPTS):
                asked = meter.choose(wanted, self._clock())
                if asked is None:
                    await asyncio.sleep(UNSURE_PAUSES[0])
                    continue
                reply = await self._read(meter, asked)
                if reply.kind is Kind.ANSWERED and asked is wanted:
                    return reply.words
                if reply.kind is Kind.DOWN:
                    raise ModbusConnectionError("the link is down")
                if reply.kind in _REFUSALS:
                    return None
            raise TimeoutError

        return ControlPort(write, read, meter.config.word_order)

    async def _read_elsewhere(self, unit_id: int, span: Span) -> list[int] | None:
        """Ask an address that is no meter's for a holding register, as after a change of address."""
        station = self._wire.station(unit_id)
        try:
            return await self._wire.exchange(
                station,
                form_of(span),
                lambda: station.unit.read_holding_registers(span.address, span.count),
            )
        except ModbusExceptionError:
            return None
        except ModbusProtocolError as err:
            raise TimeoutError from err

    # What is known

    @property
    @override
    def health(self) -> LinkHealth:
        """How the link and its meters fare."""
        counters = self._counters
        return LinkHealth(
            connected=self._wire.connected,
            load=counters.load.share(self._clock()),
            requests=counters.requests,
            errors=counters.errors,
            retries=counters.retries,
            overruns=counters.overruns,
            recycled=counters.recycled,
            foreign_traffic=counters.foreign_traffic,
            meters={meter_id: meter.health for meter_id, meter in self._meters.items()},
        )

    @property
    def trouble(self) -> tuple[Exception, float] | None:
        """Why the link is down, and for how many seconds it has been; None while it is not."""
        wire = self._wire
        if wire.trouble is None or wire.down_since is None:
            return None
        return wire.trouble, self._clock() - wire.down_since

    def memory(self, meter_id: str) -> dict[str, Any]:
        """What is worth knowing about a meter after a restart, fit for JSON; see `MeterConfig.memory`."""
        return self._meters[meter_id].memory

    def image(self, meter_id: str) -> RegisterImage:
        """A meter's registers as last read."""
        return self._meters[meter_id].image

    def info(self, meter_id: str) -> MeterInfo | None:
        """Who a meter is; None before it has said so."""
        return self._meters[meter_id].info

    def timings(self, meter_id: str) -> Mapping[str, Any]:
        """A meter's plan and learned times, for diagnostics: seconds, and (table, address, count)."""
        return self._meters[meter_id].timings


LOCATE_PAUSE: Final = 30.0
"""Seconds after which a SunSpec block that was not found is looked for again."""
LOCATE_EXTRA: Final = 16
"""Registers by which a request may be lengthened while it is looked for, to tell its reply from late ones."""
LOCATE_SPARE: Final = 4
"""From which on they are kept for when a shorter one will not do."""
READ_BACK_ATTEMPTS: Final = 4
_REFUSALS: Final = {Kind.REFUSED, Kind.FAILED}
_GROUPS: Final = {Rate.FAST: Group.FAST, Rate.COUNTER: Group.COUNTER, Rate.SLOW: Group.SLOW}


def _find_control(meter: Meter, key: str) -> ProfileControl:
    for each in meter.profile.controls:
        if each.exposed and each.control.key == key:
            return each
    raise SourceError("unknown_control", {"control": key})


def _tell(callback: Callable[..., None], *args: object) -> None:
    """Call a listener; its mistakes are its own."""
    try:
        callback(*args)
    except Exception:
        _LOGGER.exception("Error in a listener of a Modbus line")
