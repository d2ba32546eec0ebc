"""One bridge's side of the conversation: what its lines mean, what it is asked, what has been taken already.

Pure: bytes in, calls of a `BridgeListener` and lines out, with a clock that is passed in.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from ...metering.waveform import Waveform
from ...model import QUANTITIES, Reading, Value
from ..base import SourceError
from .calls import Calls
from .crc import with_crc
from .limits import Seldom, TokenBucket
from .lines import LineSplitter
from .protocol import (
    Ack,
    BadLine,
    Boot,
    BridgeEvent,
    BridgeListener,
    Gone,
    HealthMessage,
    Hello,
    HelloMessage,
    LogMessage,
    Message,
    Other,
    RawEvent,
    RawReading,
    Readings,
    encode,
    excerpt,
    parse_line,
    state_of,
    to_json,
)
from .roster import Roster
from .sequence import Delivery, Instant, SequenceTracker
from .timing import MeterClock, WrongClockError, counters, instant
from .update import send_update
from .waveform import CONTROL as CAPTURE, BadWaveformError, parse_waveform

_HELLO_AGAIN: Final = 10.0
"""Seconds between two requests for a hello."""
_GREETING: Final = 2.0
"""Seconds in which a bridge that notices a connection says hello."""
_HELLO_PATIENCE: Final = 15.0
"""Seconds that the full form waits for a hello; a board that cannot say it is taken as it is then."""
_REMEMBERED_PATIENCE: Final = 3.0
"""The same where a hello is remembered from before."""
_HELD_BACK: Final = 512
"""Messages that wait for a hello at most."""
_ACK_AFTER: Final = 64
"""Messages after which an acknowledgement does not wait for the next tick."""
_TIME_EVERY: Final = 3600.0
_OLD_MARGIN: Final = 5.0
_LINES_PER_SECOND: Final = 2000.0
_LINES_AT_ONCE: Final = 20_000.0
_BYTES_PER_LINE: Final = 256
"""A longer line counts as several."""
_READINGS_PER_LINE: Final = 4
"""More readings in a line count as several lines too."""
_LOGS_PER_SECOND: Final = 1 / 3
_LOGS_AT_ONCE: Final = 20.0
_MAX_FLAGS: Final = 64
_CAPTURE_TIMEOUT: Final = 15.0
"""Seconds that two cycles and their way over a slow link may take."""
_RESTART_TIMEOUT: Final = 180.0
"""Seconds that a bridge may take to start into new firmware."""

type _Item = RawReading | RawEvent


@dataclass(slots=True, kw_only=True)
class SessionCounters:
    """What came and what became of it, since start."""

    lines: int = 0
    bad: int = 0
    """Lines that are no message: torn, too long, too deep, no JSON, wrong CRC."""
    refused: int = 0
    """Values that are none: text for a number, NaN, a unit that is not ours."""
    lost: int = 0
    """Messages that never came though their numbers say that they were sent."""
    repeated: int = 0
    reordered: int = 0
    """Messages that came after a later one."""
    flooded: int = 0
    """Lines dropped because there were too many."""
    resends: int = 0
    """Times that something missing was asked for."""
    readings: int = 0
    """Readings passed on."""
    flags: dict[str, int] = field(default_factory=dict)
    """How often each quality flag came."""


@dataclass(slots=True)
class _Arrival:
    """A reading or event on its way to the listener."""

    item: _Item
    when: Instant | None
    """When it is from, by our clocks; None: unknown."""
    arrived: Instant


class BridgeSession:
    """What one bridge says and is told."""

    def __init__(
        self,
        listener: BridgeListener,
        send: Callable[[bytes], None],
        *,
        clock: Callable[[], tuple[float, float]],
        name: str = "main",
        expected: str | None = None,
        memory: Mapping[str, Any] | None = None,
        durable: bool = False,
    ) -> None:
        """Set up a session; nothing is sent before `connected`.

        Args:
            listener: who is told.
            send: takes one message for the bridge, a line without its line feed (`BridgeLink.send`).
            clock: (seconds of a monotonic clock, Unix time).
            name: `Hello.bridge` for a board that never says hello.
            expected: the id of the bridge that belongs here; nothing is taken from any other.
            memory: what `memory` was at the last stop.
            durable: acknowledge to the bridge only what `saved` was called for, so that it keeps what a crash of
                Home Assistant would lose.
        """
        self._listener = listener
        self._send_line = send
        self._clock = clock
        self._expected = expected
        self._durable = durable
        self._saved: dict[Boot, int] = {}
        self._counters = SessionCounters()
        self._splitter = LineSplitter()
        self._calls = Calls(self._send)
        self._roster = Roster(name)
        self._raw_hello: Mapping[str, Any] | None = None
        self._tracker: SequenceTracker[_Arrival] = SequenceTracker()
        self._order = MeterClock()
        self._troubles = Seldom()
        self._hellos = Seldom(_HELLO_AGAIN)
        self._budget = TokenBucket(_LINES_PER_SECOND, _LINES_AT_ONCE)
        self._logs = TokenBucket(_LOGS_PER_SECOND, _LOGS_AT_ONCE)
        self._held_back: deque[_Arrival] = deque()
        self._held_since: float | None = None
        self._first_of: dict[str, _Arrival] = {}
        """The first reading of a meter that is not believed yet."""
        self._hello_due = True
        """Since the link is up the bridge has not said who it is."""
        self._greeting_until: float | None = None
        """Until when the bridge may say hello unasked."""
        self._announced: Hello | None = None
        self._refusing = False
        self._crc_seen = False
        self._connected = False
        self._since_ack = 0
        self._time_sent = 0.0
        self._restart: asyncio.Future[str | None] | None = None
        self._updating = False
        self.slack = 0.0
        """Seconds that answers may take longer; for links that have to wait until the bridge asks."""
        self._recall(memory or {})

    @property
    def hello(self) -> Hello | None:
        """Who is there, as far as it is known; at first as it was remembered."""
        return self._roster.hello

    @property
    def is_connected(self) -> bool:
        """Whether the link is up."""
        return self._connected

    @property
    def counters(self) -> SessionCounters:
        """What came and what became of it."""
        counted = self._counters
        counted.lost = self._tracker.lost
        counted.repeated = self._tracker.repeated
        counted.reordered = self._tracker.reordered
        counted.resends = self._tracker.resends
        return counted

    @property
    def memory(self) -> dict[str, Any]:
        """What has been taken, JSON-able and small: to be kept over a restart so that nothing is taken twice."""
        return {"hello": self._raw_hello, "starts": self._tracker.memory()}

    def saved(self, memory: Mapping[str, Any]) -> None:
        """What this `memory` covers is on disk and may be acknowledged; only needed with `durable`."""
        self._saved = {boot: number for boot, number, _ in memory.get("starts", ())}

    @property
    def heard(self) -> bool:
        """Whether anything came at all, be it half a line."""
        return self._counters.lines > 0 or self._splitter.held > 0

    def settle(self) -> None:
        """Wait no longer for a hello: take what has come as the words of a board that never says it."""
        self._release_held_back()

    def feed(self, data: bytes) -> None:
        """Take bytes of a stream in whatever pieces they come."""
        for line in self._splitter.feed(data):
            if line is None:
                self._counters.lines += 1
                self._bad("bad_line", "too_long")
            else:
                self._take_line(line)

    def feed_lines(self, lines: Iterable[bytes]) -> int:
        """Take whole messages; return how many of them were understood."""
        return sum([self._take_line(line) for line in lines])

    def connected(self, *, greets: bool = False) -> None:
        """The link is up: ask who is there.

        Args:
            greets: the bridge notices that it was connected to and says hello by itself; it is asked only if it
                does not within two seconds. To be asked means to send again what was not acknowledged.
        """
        if self._connected:
            return
        self._connected = True
        self._crc_seen = False
        self._hello_due = True
        self._refusing = False
        self._splitter.clear()
        self._tracker.resume(self._now().monotonic)
        self._listener.on_connected(True)
        self._hellos = Seldom(_HELLO_AGAIN)
        self._greeting_until = self._now().monotonic + _GREETING if greets else None
        if not greets:
            self._ask_hello()

    def disconnected(self) -> None:
        """The link is down: half a line is forgotten, commands under way fail."""
        if not self._connected:
            return
        self._connected = False
        self._splitter.clear()
        self._tracker.pause()
        self._calls.fail()
        self._listener.on_connected(False)

    def trouble(self, key: str, detail: str = "") -> None:
        """For links: tell the listener, at most once in ten minutes per key."""
        if self._troubles.may(key, self._now().monotonic):
            self._listener.on_trouble(key, detail)

    def tick(self) -> None:
        """To be called about once a second: acknowledges, asks for what is missing, gives up on it."""
        now = self._now()
        if self._held_since is not None:
            patience = _HELLO_PATIENCE if self.hello is None else _REMEMBERED_PATIENCE
            if now.monotonic - self._held_since >= patience:
                self.settle()
        self._deliver_all(self._tracker.tick(now.monotonic))
        for meter in self._order.overdue(now.monotonic):
            self._deliver_undated(meter, now, old=False)
        if not self._connected:
            return
        if self._greeting_until is not None and now.monotonic >= self._greeting_until:
            self._greeting_until = None
            if self._hello_due:
                self._ask_hello()
        self._ask_missing(now)
        self._acknowledge()
        if self._wants_time() and now.monotonic - self._time_sent >= _TIME_EVERY:
            self._send_time(now)

    async def command(
        self, control: str, value: Value, meter: str | None = None, timeout: float = 10
    ) -> Value:
        """Carry out a control of a meter, or of the bridge itself, and return what was read back.

        Raises:
            SourceError: `bridge_` + the protocol's error, `bridge_refused` for one that is not in the protocol,
                `bridge_no_answer` or `bridge_away`; placeholders `control`, `meter` and `text`.
        """
        message: dict[str, Any] = {"type": "command", "control": control}
        if meter is not None:
            message["meter"] = meter
        if value is not None:
            message["value"] = value
        return state_of(await self._call(message, timeout, control=control, meter=meter or ""))

    async def capture(self, meter: str, cycles: int = 2) -> Waveform:
        """One or two cycles of voltage and current of a meter, taken now.

        Raises:
            SourceError: as for `command`; `bridge_bad_waveform` for an answer that is no capture.
        """
        message = {"type": "command", "control": CAPTURE, "meter": meter, "value": cycles}
        answer = await self._call(message, _CAPTURE_TIMEOUT, control=CAPTURE, meter=meter)
        try:
            return parse_waveform(answer, cycles)
        except BadWaveformError as err:
            placeholders = {"control": CAPTURE, "meter": meter, "text": str(err)}
            raise SourceError("bridge_bad_waveform", placeholders) from err

    async def config(
        self, change: Mapping[str, Any] | None = None, timeout: float = 10
    ) -> Mapping[str, Any]:
        """The bridge's configuration, after merging `change` into it if there is one; secrets read `***`.

        Raises:
            SourceError: as for `command`.
        """
        message: dict[str, Any] = {"type": "config"}
        if change is not None:
            message["config"] = dict(change)
        answer = await self._call(message, timeout, control="config", meter="")
        return answer if isinstance(answer, dict) else {}

    async def update(
        self, version: str, files: Mapping[str, bytes], progress: Callable[[float], None]
    ) -> None:
        """Install firmware; returns when the bridge has come back and says that it runs `version`.

        Args:
            version: what the new firmware calls itself.
            files: path on the bridge → content.
            progress: called with 0 to 1.

        Raises:
            SourceError: as for `command`; `bridge_rolled_back` if the old firmware came back.
        """
        placeholders = {"control": "update", "meter": "", "text": version}
        if self._updating:
            raise SourceError("bridge_busy", placeholders)
        if self.hello is None or "update" not in self.hello.capabilities:
            raise SourceError("bridge_unsupported", placeholders)
        restart: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

        async def call(message: Mapping[str, Any], timeout: float) -> Any:
            if message["step"] != "commit":
                return await self._call(message, timeout, control="update", meter="")
            # From here on: the bridge may be back before the answer has been looked at.
            self._restart = restart
            try:
                return await self._call(message, timeout, control="update", meter="")
            except SourceError as err:
                if err.key not in {"bridge_away", "bridge_no_answer"}:
                    raise
                # The answer may have been lost in the restart; which firmware comes back tells.
                return None

        self._updating = True
        try:
            await send_update(call, version, files, progress)
            async with asyncio.timeout(_RESTART_TIMEOUT):
                running = await restart
        except TimeoutError as err:
            raise SourceError("bridge_no_answer", placeholders) from err
        finally:
            self._restart = None
            self._updating = False
        if running != version:
            raise SourceError("bridge_rolled_back", placeholders)

    # What comes

    def _take_line(self, line: bytes) -> bool:
        """Take one line; whether it was understood."""
        self._counters.lines += 1
        now = self._now()
        if not self._budget.take(now.monotonic, 1 + len(line) // _BYTES_PER_LINE):
            if not self._counters.flooded % 1000:  # There is no time to look at each.
                self.trouble("flood", excerpt(line[:160]))
            self._counters.flooded += 1
            return False
        try:
            message, has_crc = parse_line(line)
        except BadLine as err:
            self._bad("crc" if err.reason == "crc" else "bad_line", f"{err.reason}: {err.detail}")
            return False
        if has_crc:
            self._crc_seen = True
        elif self._crc_seen:
            self._bad("crc", f"missing: {excerpt(line[:160])}")
            return False
        self.connected()
        return self._take(message, now)

    def _bad(self, key: str, detail: str) -> None:
        self._counters.bad += 1
        self.trouble(key, detail)

    def _take(self, message: Message, now: Instant) -> bool:
        if isinstance(message, HelloMessage):
            return self._take_hello(message)
        if isinstance(message, Other):
            return message.type == "ping"
        if self._refusing:
            return False
        match message:
            case Readings():
                return self._take_readings(message, now)
            case RawEvent():
                self._take_item(message, now)
            case Gone():
                self._deliver_all(
                    self._tracker.gone(
                        self._boot(message.boot), message.first, message.last, now=now.monotonic
                    )
                )
            case Ack():
                self._calls.answer(message)
            case HealthMessage():
                self._listener.on_health(message.health)
            case LogMessage():
                if self._logs.take(now.monotonic):
                    self._listener.on_log(message.level, message.text)
        return True

    def _take_hello(self, message: HelloMessage) -> bool:
        hello = message.hello
        if hello is None:
            self._refusing = True
            self.trouble("version", str(message.version))
            return False
        if self._expected is not None and hello.bridge != self._expected:
            self._refusing = True
            self._drop_held_back()
            self.trouble("wrong_bridge", hello.bridge)
            return False
        before = self._roster.hello
        if before is not None and not before.synthesised and before.bridge != hello.bridge:
            # Another bridge counts its own starts.
            self._tracker = SequenceTracker()
            self._tracker.resume(self._now().monotonic)
        self._refusing = False
        self._raw_hello = _storable(message.raw)
        self._roster.say(hello)
        self._order.forget_others(frozenset(meter.id for meter in hello.meters))
        self._hello_due = False
        self._announce()
        if before is not None and (before.boot, before.firmware) != (hello.boot, hello.firmware):
            self._restarted(hello.firmware)
        if self._wants_time():
            self._send_time(self._now())
        self._release_held_back()
        return True

    def _take_readings(self, message: Readings, now: Instant) -> bool:
        if message.refused:
            self._counters.refused += len(message.refused)
            self.trouble("refused", message.refused[0])
        self._budget.spend(max(len(message.readings) - 1, 0) / _READINGS_PER_LINE)
        for raw in message.readings:
            if message.bare:
                self._deliver(_Arrival(raw, now, now))
            else:
                self._take_item(raw, now)
        return bool(message.readings)

    def _take_item(self, item: _Item, now: Instant) -> None:
        """Take one message of the full form: as soon as it is clear whose it is, in its order."""
        try:
            when = instant(item.taken, now)
        except WrongClockError as err:
            self.trouble("clock", f"{err.args[0]:.0f}")
            when = None
        arrival = _Arrival(item, when, now)
        if self._hello_due:
            if self._held_since is None:
                self._held_since = now.monotonic
            self._held_back.append(arrival)
            if self._greeting_until is None:
                self._ask_hello()
            if len(self._held_back) >= _HELD_BACK:
                self._release_held_back()
            return
        self._sort(arrival)

    def _sort(self, arrival: _Arrival) -> None:
        number = arrival.item.seq
        if number is None:
            self._deliver(arrival)
            return
        hello = self._roster.hello
        self._deliver_all(
            self._tracker.take(
                self._boot(arrival.item.boot),
                number,
                arrival,
                arrival.when,
                now=arrival.arrived.monotonic,
                resendable=hello is not None and "buffer" in hello.capabilities,
            )
        )
        self._since_ack += 1
        if self._tracker.waiting:
            self._ask_missing(arrival.arrived)
        if self._since_ack >= _ACK_AFTER:
            self._acknowledge()

    def _release_held_back(self) -> None:
        """Use what waited for a hello, which has come or will not."""
        self._hello_due = False
        self._held_since = None
        if self._held_back and self._announced is None and self._roster.hello is not None:
            self._announce()
        while self._held_back:
            self._sort(self._held_back.popleft())

    def _drop_held_back(self) -> None:
        self._held_back.clear()
        self._held_since = None

    def _restarted(self, firmware: str | None) -> None:
        """The bridge has started anew, into that firmware; None: it says that it went back."""
        if self._restart is not None and not self._restart.done():
            self._restart.set_result(firmware)

    # What is told

    def _deliver_all(self, deliveries: Iterable[Delivery[_Arrival]]) -> None:
        for delivery in deliveries:
            self._deliver(delivery.item, late=delivery.late)

    def _deliver(self, arrival: _Arrival, *, late: bool = False) -> None:
        now = self._now()
        if isinstance(arrival.item, RawEvent):
            self._deliver_event(arrival.item, arrival.when or arrival.arrived, now)
        elif arrival.item.values or arrival.item.flags:
            self._deliver_reading(arrival, arrival.item, now, late=late)

    def _deliver_event(self, raw: RawEvent, when: Instant, now: Instant) -> None:
        if raw.event == "rolled_back":
            self._restarted(None)
        if raw.event in {"new_meter", "meter_gone"}:
            self._ask_hello()
        self._listener.on_event(
            BridgeEvent(
                meter=raw.meter,
                event=raw.event,
                value=raw.value,
                control=raw.control,
                reason=raw.reason,
                time=_utc(when),
                old=self._is_old(when, now),
            )
        )

    def _deliver_reading(
        self, arrival: _Arrival, raw: RawReading, now: Instant, *, late: bool
    ) -> None:
        meter, values, when = raw.meter, dict(raw.values), arrival.when
        for flag in raw.flags:
            if flag in self._counters.flags or len(self._counters.flags) < _MAX_FLAGS:
                self._counters.flags[flag] = self._counters.flags.get(flag, 0) + 1
        if "no_voltage" in raw.flags:
            self._no_voltage(meter, values)
        old = when is not None and self._is_old(when, now)
        if not old and not self._roster.knows_all(meter, values):
            if not self._believe(meter, arrival):
                return
            known = self._roster.quantities(meter)
            values = {key: value for key, value in values.items() if key in known}
            if not values and not raw.flags:
                return
        if self._announced is None:
            self._announce()
        if when is None:
            # Late and of an earlier start, a counter would pass for one that has fallen.
            if counters(values) and not (late and raw.start is not None):
                self._order.keep_undated(meter, values, raw.start, now.monotonic)
            return
        if late and self._order.is_past(meter, when):
            return
        ordered, far_back = self._order.order(meter, when)
        if far_back:
            self.trouble("clock", f"{ordered.monotonic - when.monotonic:.0f}")
        self._deliver_undated(meter, ordered, old=old)
        self._tell(meter, values, ordered, raw.flags, start=raw.start, old=old)

    def _deliver_undated(self, meter: str, when: Instant, *, old: bool) -> None:
        for start, values in self._order.take_undated(meter).items():
            ordered, _ = self._order.order(meter, when)
            self._tell(meter, values, ordered, frozenset(), start=start, old=old)

    def _tell(
        self,
        meter: str,
        values: Mapping[str, Value],
        when: Instant,
        flags: frozenset[str],
        *,
        start: int | None,
        old: bool,
    ) -> None:
        self._counters.readings += 1
        reading = Reading(
            meter_id=meter,
            time=_utc(when),
            monotonic=when.monotonic,
            values=values,
            start=start,
        )
        self._listener.on_reading(meter, reading, flags, old=old)

    def _no_voltage(self, meter: str, values: dict[str, Value]) -> None:
        """Where there is no voltage it is 0, not unknown; power is what the bridge says."""
        known = {*self._roster.quantities(meter), *values}
        for key in known:
            if QUANTITIES[key].base == "voltage" and values.get(key) is None:
                values[key] = 0.0

    def _believe(self, meter: str, arrival: _Arrival) -> bool:
        """Whether the reading's meter is one; the first reading of a new one waits for the second."""
        assert isinstance(arrival.item, RawReading)
        if not arrival.item.values:
            return self._roster.knows(meter)
        if self._roster.show(meter, arrival.item.values):
            self._announce()
            first = self._first_of.pop(meter, None)
            if first is not None:
                self._deliver(first)
            return True
        if self._roster.knows(meter):
            return True
        if self._roster.is_full:
            self.trouble("too_many_meters", meter)
            return False
        if len(self._first_of) < _MAX_FLAGS:
            self._first_of.setdefault(meter, arrival)
        if self.hello is not None and not self.hello.synthesised:
            self._ask_hello()
        return False

    def _announce(self) -> None:
        hello = self._roster.hello
        if hello is not None and hello != self._announced:
            self._announced = hello
            self._listener.on_hello(hello)

    def _is_old(self, when: Instant, now: Instant) -> bool:
        hello = self._roster.hello
        interval = hello.interval if hello is not None else 5.0
        return now.monotonic - when.monotonic > 2 * interval + _OLD_MARGIN

    # What is sent

    def _send(self, line: bytes) -> None:
        self._send_line(with_crc(line) if self._crc_seen else line)

    async def _call(self, message: Mapping[str, Any], timeout: float, **placeholders: str) -> Any:
        if not self._connected:
            raise SourceError("bridge_away", {**placeholders, "text": ""})
        return await self._calls.call(message, timeout + self.slack, placeholders)

    def _ask_hello(self) -> None:
        if self._hellos.may("hello", self._now().monotonic):
            self._send(encode({"type": "hello?"}))

    def _ask_missing(self, now: Instant) -> None:
        for boot, first, last in self._tracker.requests(now.monotonic):
            self._send(encode({"type": "resend", **_named(boot), "from": first, "to": last}))

    def _acknowledge(self) -> None:
        self._since_ack = 0
        hello = self._roster.hello
        if hello is None or hello.capabilities.isdisjoint({"buffer", "update"}):
            return
        saved = self._saved if self._durable else None
        for boot, number in self._tracker.acknowledgements(saved):
            self._send(encode({"type": "ack", **_named(boot), "seq": number}))

    def _wants_time(self) -> bool:
        return self.hello is not None and "time" in self.hello.capabilities

    def _send_time(self, now: Instant) -> None:
        self._time_sent = now.monotonic
        self._send(encode({"type": "time", "unix": round(now.unix, 3)}))

    # Odds and ends

    def _recall(self, memory: Mapping[str, Any]) -> None:
        """Begin where the last stop left off; a memory that makes no sense is no memory."""
        raw, starts = memory.get("hello"), memory.get("starts")
        if isinstance(starts, list):
            self._tracker = SequenceTracker(starts)
            self._saved = {boot: number for boot, number, _ in self._tracker.memory()}
        if isinstance(raw, dict):
            try:
                message, _ = parse_line(to_json(raw))
            except BadLine, ValueError:
                return
            if isinstance(message, HelloMessage) and message.hello is not None:
                self._raw_hello = raw
                self._roster.say(message.hello)

    def _boot(self, boot: Boot) -> Boot:
        """A message without a boot is of the last hello's."""
        if boot is None and self._roster.hello is not None:
            return self._roster.hello.boot
        return boot

    def _now(self) -> Instant:
        return Instant(*self._clock())


def _named(boot: Boot) -> dict[str, Boot]:
    return {} if boot is None else {"boot": boot}


def _storable(raw: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A hello that JSON can say again; half a character or an endless number in it cannot be kept."""
    try:
        to_json(raw)
    except ValueError:
        return None
    return raw


def _utc(when: Instant) -> datetime:
    return datetime.fromtimestamp(when.unix, UTC)
