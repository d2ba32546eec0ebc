"""A bus full of monitors as one bridge: who is there, what they measure, what can be done to them.

One loop per bus: once per interval every monitor's measurement block is read, a few free addresses are asked
whether somebody has come, and whoever does not answer is asked ever more seldom. It tells a `BridgeListener` what
`BridgeSession` tells of a board, so that everything above treats both alike.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
import logging
from typing import Any, Final

from ...metering.waveform import Waveform
from ...model import Reading, Value
from ..base import LinkHealth, MeterHealth, SourceError
from ..bridge import BridgeEvent, BridgeHealth, BridgeListener, Hello, MeterHello, SessionCounters
from ..bridge.waveform import CAPABILITY as WAVEFORM
from .bus import AT_ONCE, Answer, Fault, I2CBus, Transfer
from .controls import controls_of, execute, read_block, read_settings
from .diagnosis import INTERVAL as DIAGNOSIS_INTERVAL, Diagnosis, diagnosis_of, remarks
from .multiplexer import Place, Segment
from .probe import (
    BusWatch,
    Found,
    HeldBusError,
    Probe,
    examine,
    free_addresses,
    look_behind,
    search,
)
from .readings import ENERGIES, ENERGY_DIGITS, MODEL, Identity, Measured, measured_of
from .registers import ADDRESSES, DIAGNOSTICS, MEASUREMENT, BadBlockError, Capability, Flag
from .waveform import capture

_LOGGER: Final = logging.getLogger(__name__)

INTERVAL: Final = 1.0
"""Seconds between two readings of a monitor."""
MISSES: Final = 3
"""Rounds without a good block after which a monitor is gone."""
ASKED_AT_ONCE: Final = 8
"""Free addresses of a segment that are asked at a time: a single one is looked through in a quarter of a minute."""
ALL_ASKED_IN: Final = 30
"""Rounds in which every segment's have been asked, however many there are."""
COVERED_AT_FIRST: Final = 64
"""Places behind monitors on the trunk that the first search looks at: a quarter of a second at 100 kHz."""
COVERED_ASKED_IN: Final = 300
"""Rounds in which all of them are looked at again."""
LONGEST_PAUSE: Final = 30.0
"""Seconds between two attempts at something that does not answer as it should."""
REOPEN_LONGEST: Final = 10.0
LONGEST_ABSENCE_PAUSE: Final = 8.0
"""The same for a place that a monitor has left: an address without answer costs a tenth of a millisecond."""
FORGET_PLACE: Final = 3600.0
"""Seconds after which such a place is an address like any other."""
VISITS: Final = 2
"""How often a foreign chip is looked at before it is left alone for good."""
HEALTH_INTERVAL: Final = 30.0
TROUBLE_INTERVAL: Final = 600.0
MANUFACTURER: Final = "Energy Meter"
KIND: Final = "i2c"
_RESOLUTION: Final[Mapping[str, float]] = dict.fromkeys(ENERGIES, 1 / ENERGY_DIGITS)
_PROBLEMS: Final[Mapping[Found, str]] = {
    Found.SHARED: "address_shared",
    Found.HIDDEN: "address_hidden",
    Found.TWIN: "id_twice",
    Found.OTHER_VERSION: "monitor_version",
}
_OF_THE_BUS: Final = frozenset({"bus_held", "bus_gone"})
_ODD: Final[Mapping[Found, str]] = {
    Found.SHARED: "address_shared",
    Found.OTHER_VERSION: "monitor_version",
}
RESTARTED: Final = "restart"
"""Why a relay has moved that a start of its monitor has put to rest, where there is no better reason."""
_RESETS: Final = ((Flag.WATCHDOG, "watchdog"), (Flag.BROWN_OUT, "brown_out"))

type Clock = Callable[[], tuple[float, float]]


@dataclass(slots=True)
class _Monitor:
    """One monitor that answers, or did a moment ago."""

    identity: Identity
    place: Place
    settings: dict[str, Value] = field(default_factory=dict)
    settings_known: bool = False
    misses: int = 0
    seen: float | None = None
    interval: float | None = None
    boot_told: int | None = None
    announced: bool = False
    """Whether it has been told of: not before its first good block."""
    answering: bool = False
    requests: int = 0
    errors: int = 0
    retries: int = 0
    timeouts: int = 0
    error_rate: float = 0.0
    diagnosis: Diagnosis | None = None
    diagnosis_due: float = 0.0

    @property
    def id(self) -> str:
        """What everything above calls it."""
        return self.identity.meter_id

    def count(self, failed: bool) -> None:
        """Follow the share of rounds that brought nothing, over about a minute."""
        self.error_rate += (failed - self.error_rate) / 60


@dataclass(slots=True)
class _Odd:
    """A place with something at it that is no usable monitor."""

    probe: Probe
    due: float
    pause: float
    visits: int = 1
    """How often in a row the same was found."""


class I2CHub:
    """The monitors of one bus.

    Args:
        listener: who is told; on the event loop.
        bus: the bus.
        hub_id: what it is known by: `Hello.bridge`.
        name: for people.
        clock: (seconds of a monotonic clock, Unix time); the first is the bus's clock too.
        memory: what `memory` was at the last stop.
    """

    def __init__(
        self,
        listener: BridgeListener,
        bus: I2CBus,
        *,
        hub_id: str,
        name: str,
        clock: Clock,
        memory: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin with nothing known but where monitors were before."""
        self.hello: Hello | None = None
        self._listener = listener
        self._bus = bus
        self._id = hub_id
        self._name = name
        self._clock = clock
        self._expected = [
            place
            for kept in _list((memory or {}).get("places"))
            if (place := _place_from_json(kept)) is not None
        ]
        """Where monitors were before a restart: if they are not there at once, they are asked for first."""
        self._monitors: dict[Place, _Monitor] = {}
        self._odd: dict[Place, _Odd] = {}
        self._missing: dict[Place, float] = {}
        """Places whose monitor is gone: they are asked first; monotonic time of the loss."""
        self._hidden: set[Place] = set()
        """Places on segments where something answers beside a monitor on the trunk."""
        self._behind = 0
        """Of the places on segments that a monitor on the trunk covers, which is to be looked at next."""
        self._causes: dict[str, int] = {}
        """{monitor's id: number of the last start whose cause was told}."""
        self._blocks: dict[str, tuple[int, int]] = {}
        """Boot and sequence of each monitor's last block; a monitor that comes back has to have a new one."""
        self._first: list[tuple[_Monitor, Measured, float]] = []
        """Blocks of monitors that have not been told of yet."""
        self._watch = BusWatch()
        self._connected = False
        self._task: asyncio.Task[None] | None = None
        self._searched = False
        self._cursor = 0
        self._changed = False
        self._troubles: dict[tuple[str, str], float] = {}
        self._bus_problems: set[str] = set()
        """What was wrong with the bus itself since it last moved."""
        self._health_due = 0.0
        self._started = 0.0
        self._load: float | None = None
        self._overruns = 0
        self._recycled = 0
        self._requests = 0
        self._errors = 0
        self._retries = 0

    # Life

    async def start(self) -> None:
        """Begin, without waiting for the bus."""
        self._started = self._clock()[0]
        self._task = asyncio.create_task(self._run(), name=f"energy_meter {self._bus.name}")

    async def stop(self) -> None:
        """End everything that `start` began."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        await self._bus.close()
        self._set_connected(False)

    def describe(self) -> str:
        """Where it is, for logs."""
        return self._bus.name

    @property
    def memory(self) -> dict[str, Any]:
        """What has to be known after a restart, JSON-able: where monitors were."""
        places = [_place_to_json(place) for place in (*self._monitors, *self._missing)]
        return {"places": places}

    def saved(self, memory: Mapping[str, Any]) -> None:
        """Nothing waits for it: a monitor keeps no readings."""

    async def _run(self) -> None:
        due = self._clock()[0]
        while True:
            begun = self._clock()[0]
            busy = self._bus.busy_time
            try:
                if not await self._round():
                    await self._recover()
                    due = self._clock()[0]
                    continue
            except Exception:  # A defect must not end the reading of a panel.
                _LOGGER.exception("Unexpected error on %s; going on", self._bus.name)
            due += INTERVAL
            now = self._clock()[0]
            if now > due + INTERVAL:
                late = int((now - due) / INTERVAL)
                self._overruns += late
                due += late * INTERVAL  # Late work is skipped, not queued.
            await asyncio.sleep(max(due - now, 0.0))
            self._follow_load(self._bus.busy_time - busy, self._clock()[0] - begun)

    def _follow_load(self, busy: float, elapsed: float) -> None:
        load = min(busy / elapsed, 1.0) if elapsed > 0 else 0.0
        self._load = load if self._load is None else self._load + (load - self._load) / 10

    async def _recover(self) -> None:
        """Reopen the bus until it moves again.

        User space cannot clock SCL by hand. Opening the device anew lets the kernel's driver reset its controller
        and, where it can, clock a slave free that holds SDA.
        """
        self._set_connected(False)
        pause = 1.0
        while True:
            await self._bus.close()
            self._recycled += 1
            await asyncio.sleep(pause)
            pause = min(pause * 2, REOPEN_LONGEST)
            if not await self._bus.open():
                self._trouble("bus_gone", str(self._bus.error or ""))
                continue
            # Two reserved addresses, at which nobody is: a bus that moves says so.
            answers = await self._bus.run(None, [Transfer(0x7C, read=1), Transfer(0x7D, read=1)])
            if all(answer.fault is Fault.NO_ANSWER for answer in answers):
                self._searched = False
                self._watch = BusWatch()
                for place in tuple(self._missing):
                    self._odd.pop(place, None)  # Its monitor may have been lost to the bus alone.
                return
            self._trouble("bus_held", self._bus.name)

    # One round

    async def _round(self) -> bool:
        """Read everybody; return whether the bus is well."""
        if not await self._bus.open():
            self._trouble("bus_gone", str(self._bus.error or ""))
            return False
        try:
            if not self._searched:
                await self._search_everywhere()
                self._searched = True
                self._set_connected(True)
                self._changed = True
            await self._read_all()
            await self._look_around()
            await self._look_behind()
        except HeldBusError:
            self._trouble("bus_held", self._bus.name)
            return False
        await self._learn_settings()
        await self._diagnose()
        if self._changed or self.hello is None:
            self._say_hello()
        first, self._first = self._first, []
        for monitor, measured, time in first:
            if self._monitors.get(monitor.place) is monitor:
                self._publish(monitor, measured, time)
        self._tell_health()
        return True

    async def _read_all(self) -> None:
        by_segment: dict[Segment | None, list[_Monitor]] = {}
        for monitor in self._monitors.values():
            by_segment.setdefault(monitor.place.segment, []).append(monitor)
        for segment in sorted(by_segment, key=lambda each: (each is not None, each)):
            waiting = sorted(by_segment[segment], key=lambda each: each.place.address)
            doubtful: list[_Monitor] = []
            while waiting:
                batch = waiting[:AT_ONCE]
                answers = await self._bus.run(
                    segment, [_measurement_at(each.place.address) for each in batch]
                )
                for monitor, answer in zip(batch, answers, strict=False):
                    if answer.fault is Fault.UNREACHABLE:
                        for each in waiting:
                            self._missed(each, answer.fault)
                        waiting = []
                        break
                    if not self._take(monitor, answer):
                        doubtful.append(monitor)
                    await asyncio.sleep(0)  # A monitor's entities at a time, and others in between.
                waiting = waiting[len(answers) :]
            for monitor in doubtful:
                if self._monitors.get(monitor.place) is monitor:
                    await self._doubt(monitor)

    def _take(self, monitor: _Monitor, answer: Answer) -> bool:
        """Take one answer; return whether there is no doubt about who gave it.

        Raises:
            HeldBusError: the bus does not move.
        """
        monitor.requests += 1
        self._requests += 1
        if answer.again:
            monitor.retries += 1
            monitor.errors += 1
            self._retries += 1
            self._errors += 1
        if answer.fault is not None:
            self._missed(monitor, answer.fault)
            if answer.fault is Fault.GONE:
                raise HeldBusError
            self._watch.look(answer)
            return True
        self._watch.look(answer)
        try:
            measured = measured_of(answer.data)
        except BadBlockError:
            self._missed(monitor, None)
            return False
        if measured.tag != monitor.identity.tag:
            self._missed(monitor, None)
            return False
        block = (measured.boot, measured.sequence)
        if self._blocks.get(monitor.id) == block:
            self._missed(monitor, None)  # It answers but measures no more: nothing new to say.
            return True
        self._blocks[monitor.id] = block
        if monitor.announced:
            self._publish(monitor, measured, answer.time)
        else:
            self._changed = monitor.announced = True
            if monitor.identity.can(Capability.RELAY):
                monitor.settings["relay"] = measured.relay
            self._first.append((monitor, measured, answer.time))
            unix = self._clock()[1]
            self._event(monitor.id, "new_meter", datetime.fromtimestamp(unix, UTC))
        return True

    def _publish(self, monitor: _Monitor, measured: Measured, time: float) -> None:
        monitor.misses = 0
        monitor.count(failed=False)
        monitor.answering = True
        if monitor.seen is not None:
            monitor.interval = time - monitor.seen
        monitor.seen = time
        now, unix = self._clock()
        moment = datetime.fromtimestamp(unix - max(now - time, 0.0), UTC)
        self._tell_changes(monitor, measured, moment)
        values = dict(measured.values)
        for key, total in zip(ENERGIES, measured.energies, strict=True):
            if key in monitor.identity.quantities:
                values[key] = None if total is None else total / ENERGY_DIGITS
        reading = Reading(
            meter_id=monitor.id, time=moment, monotonic=time, values=values, start=measured.boot
        )
        self._listener.on_reading(monitor.id, reading, measured.words, old=False)

    def _tell_changes(self, monitor: _Monitor, measured: Measured, moment: datetime) -> None:
        """What a block says beside its values: a relay that moved, why the monitor started anew."""
        reason = None
        if monitor.boot_told != measured.boot:
            if monitor.boot_told is not None:
                reason = RESTARTED
                monitor.diagnosis_due = 0.0
            monitor.boot_told = measured.boot
            for flag, event in _RESETS:
                if measured.flags & flag:
                    reason = event
                    self._tell_cause(monitor, event, moment)
        if monitor.identity.can(Capability.RELAY) and (
            monitor.settings.get("relay") != measured.relay
        ):
            monitor.settings["relay"] = measured.relay
            if monitor.settings_known:
                self._event(monitor.id, "relay", moment, measured.relay, reason)

    def _tell_cause(self, monitor: _Monitor, event: str, moment: datetime) -> None:
        """Why a monitor has started anew; once for each start, whichever block says it first."""
        boot = monitor.boot_told
        if boot is not None and self._causes.get(monitor.id) != boot:
            self._causes[monitor.id] = boot
            self._event(monitor.id, event, moment)

    def _missed(self, monitor: _Monitor, fault: Fault | None) -> None:
        """A round without a good block."""
        monitor.misses += 1
        monitor.errors += 1
        self._errors += 1
        if fault is not None:
            monitor.timeouts += 1
        monitor.count(failed=True)
        if monitor.misses >= MISSES:
            self._lose(monitor)

    def _lose(self, monitor: _Monitor) -> None:
        """It is gone from its place, which is looked at ever more seldom from now on."""
        if self._monitors.get(monitor.place) is not monitor:
            return
        del self._monitors[monitor.place]
        now, unix = self._clock()
        self._missing[monitor.place] = now
        self._odd[monitor.place] = _Odd(Probe(Found.NOBODY), now + 1.0, 1.0)
        if monitor.announced:
            self._changed = True
            self._event(monitor.id, "meter_gone", datetime.fromtimestamp(unix, UTC))

    async def _doubt(self, monitor: _Monitor) -> None:
        """A damaged block, or another's: before anything is written there again, see who it is."""
        place, probe = await self._examine(monitor.place)
        if probe.found is Found.MONITOR and probe.identity is not None:
            if place != monitor.place or probe.identity.id != monitor.identity.id:
                self._lose(monitor)
                await self._found(place, probe)
        elif probe.found in (Found.SHARED, Found.FOREIGN, Found.OTHER_VERSION):
            self._lose(monitor)
            await self._found(place, probe)

    # Who is there

    async def _search_everywhere(self) -> None:
        for segment in self._bus.multiplexers.segments:
            await self._ask(segment, self._free(segment))
        await self._look_behind(COVERED_AT_FIRST)
        now = self._clock()[0]
        expected, self._expected = self._expected, []
        segments = self._bus.multiplexers.segments
        for place in expected:
            if place not in self._monitors and place not in self._odd and place.segment in segments:
                self._missing[place] = now
                self._odd[place] = _Odd(Probe(Found.NOBODY), now + 1.0, 1.0)

    async def _look_behind(self, most: int | None = None) -> None:
        """See whether something on a segment has the address of a monitor on the trunk: nobody else asks there.

        Args:
            most: places to look at, going round; None for a round's share.
        """
        covered = [
            (Place(segment, place.address), monitor.identity)
            for segment in self._bus.multiplexers.segments
            if segment is not None
            for place, monitor in self._monitors.items()
            if place.segment is None
        ]
        self._hidden &= {place for place, _ in covered}
        share = -(-len(covered) // COVERED_ASKED_IN)
        for _ in range(share if most is None else min(most, len(covered))):
            self._behind = (self._behind + 1) % len(covered)
            place, front = covered[self._behind]
            found = await look_behind(self._bus, place, front)
            if found is Found.HIDDEN:
                self._hidden.add(place)
                self._trouble("address_hidden", str(place))
            elif found is Found.NOBODY:
                self._hidden.discard(place)

    def _free(self, segment: Segment | None) -> list[int]:
        known = [
            place
            for place, odd in self._odd.items()
            # Where a monitor has left the trunk nobody is in front of the segments any more.
            if place.segment == segment or odd.probe.found is not Found.NOBODY
        ]
        return free_addresses(self._bus.multiplexers.addresses, segment, (*self._monitors, *known))

    def _is_covered(self, place: Place) -> bool:
        """Whether something on the trunk is known to answer at a segment's place, too."""
        front = Place(None, place.address)
        odd = self._odd.get(front)
        return place.segment is not None and (
            front in self._monitors or (odd is not None and odd.probe.found is not Found.NOBODY)
        )

    async def _examine(self, place: Place) -> tuple[Place, Probe]:
        """Who is at a place, and which place that is: the trunk answers with every segment selected."""
        probe = await examine(self._bus, place)
        if place.segment is not None and probe.found not in (Found.NOBODY, Found.TROUBLE):
            front = Place(None, place.address)
            alone = await examine(self._bus, front)
            if alone.found not in (Found.NOBODY, Found.TROUBLE):
                return front, alone
        return place, probe

    async def _ask(self, segment: Segment | None, addresses: list[int]) -> None:
        for place in await search(self._bus, segment, addresses, self._watch):
            found, probe = await self._examine(place)
            if probe.found not in (Found.NOBODY, Found.TROUBLE):
                await self._found(found, probe)

    async def _look_around(self) -> None:
        """Ask a few free addresses, and look again at what was odd."""
        segments = self._bus.multiplexers.segments
        for _ in range(-(-len(segments) * len(ADDRESSES) // (ASKED_AT_ONCE * ALL_ASKED_IN))):
            segment, start = segments[self._cursor % len(segments)], self._cursor // len(segments)
            free = self._free(segment)
            steps = max(-(-len(free) // ASKED_AT_ONCE), 1)
            begin = start % steps * ASKED_AT_ONCE
            await self._ask(segment, free[begin : begin + ASKED_AT_ONCE])
            self._cursor += 1
        now = self._clock()[0]
        for place, odd in tuple(self._odd.items()):
            if self._is_covered(place):
                if place not in self._missing:
                    self._odd.pop(place)  # Whatever was seen there was seen through the trunk.
                continue
            if now < odd.due:
                continue
            missing = self._missing.get(place)
            longest = LONGEST_PAUSE if missing is None else LONGEST_ABSENCE_PAUSE
            odd.pause = min(odd.pause * 2, longest)
            odd.due = now + odd.pause
            found, probe = await self._examine(place)
            if probe.found is Found.NOBODY and (missing is None or now - missing > FORGET_PLACE):
                self._odd.pop(place)
                self._missing.pop(place, None)
            elif probe.found not in (Found.NOBODY, Found.TROUBLE):
                await self._found(found, probe)

    async def _found(self, place: Place, probe: Probe) -> None:
        """Take what a place turned out to be."""
        now = self._clock()[0]
        if probe.found is Found.MONITOR and probe.identity is not None:
            await self._welcome(place, probe.identity)
            return
        before = self._odd.get(place)
        again = before is not None and before.probe.found is probe.found
        visits = before.visits + 1 if before is not None and again else 1
        if probe.found is Found.FOREIGN and visits >= VISITS and place not in self._missing:
            due, pause = float("inf"), 0.0  # Known by now to be none of ours: left alone for good.
        else:
            pause = before.pause if before is not None else 2.0
            due = now + pause
        self._odd[place] = _Odd(probe, due, pause, visits)
        if (key := _ODD.get(probe.found)) is not None:
            self._trouble(key, str(place))

    async def _welcome(self, place: Place, identity: Identity) -> None:
        """A monitor is at a place: new, back, or moved there."""
        before = next((one for one in self._monitors.values() if one.id == identity.meter_id), None)
        if before is not None and before.place != place:
            still = await examine(self._bus, before.place)
            if still.identity is not None and still.identity.id == identity.id:
                self._trouble("id_twice", f"{before.place}, {place}")
                now = self._clock()[0]
                self._odd[place] = _Odd(Probe(Found.TWIN), now + LONGEST_PAUSE, LONGEST_PAUSE)
                return
            del self._monitors[before.place]
            self._changed = True
        self._odd.pop(place, None)
        self._missing.pop(place, None)
        self._monitors[place] = _Monitor(identity, place)

    async def _learn_settings(self) -> None:
        """Read what one monitor's numbers stand at; one a round is enough."""
        for monitor in self._monitors.values():
            if not monitor.settings_known and monitor.announced:
                found = await read_settings(self._bus, monitor.place, monitor.identity)
                monitor.settings_known = True
                if found is not None:
                    monitor.settings.update(found)
                self._changed = True
                if self.hello is not None:
                    return

    async def _diagnose(self) -> None:
        """Look how monitors fare: each once a minute, a few in a round."""
        now, unix = self._clock()
        due = sorted(
            (
                each
                for each in self._monitors.values()
                if each.announced and each.diagnosis_due <= now
            ),
            key=lambda each: each.diagnosis_due,
        )
        for monitor in due[: -(-len(self._monitors) // int(DIAGNOSIS_INTERVAL / INTERVAL))]:
            monitor.diagnosis_due = now + DIAGNOSIS_INTERVAL
            block = await read_block(self._bus, monitor.place, monitor.identity, DIAGNOSTICS)
            if block is None:
                continue
            before, monitor.diagnosis = monitor.diagnosis, diagnosis_of(block)
            for kind, text in remarks(before, monitor.diagnosis).items():
                if self._is_news(kind, monitor.id):
                    self._listener.on_log("warning", f"{monitor.place}: {text}")
            cause, uptime = monitor.diagnosis.cause, monitor.diagnosis.uptime
            if cause is not None and uptime is not None and uptime < now - self._started:
                self._tell_cause(monitor, cause, datetime.fromtimestamp(unix - uptime, UTC))

    def _say_hello(self) -> None:
        self._changed = False
        meters = tuple(
            MeterHello(
                id=each.id,
                name=f"Circuit {each.place}",
                model=MODEL,
                manufacturer=MANUFACTURER,
                firmware=each.identity.firmware,
                serial=each.id.upper(),
                rated_current=each.identity.rated_current,
                quantities=each.identity.quantities,
                resolution=_RESOLUTION,
                controls=controls_of(each.identity),
                capabilities=frozenset({WAVEFORM})
                if each.identity.can(Capability.WAVEFORM)
                else frozenset(),
                settings=dict(each.settings),
                segment=None if each.place.segment is None else str(each.place.segment),
                address=f"0x{each.place.address:02X}",
            )
            for each in sorted(self._monitors.values(), key=_order)
            if each.announced
        )
        self.hello = Hello(
            bridge=self._id,
            name=self._name,
            hardware=self._bus.name,
            kind=KIND,
            interval=INTERVAL,
            meters=meters,
        )
        self._listener.on_hello(self.hello)

    # What can be done

    def _monitor(self, meter_id: str | None, control: str) -> _Monitor:
        for monitor in self._monitors.values():
            if monitor.id == meter_id and monitor.announced:
                return monitor
        key = "bridge_unknown_control" if meter_id is None else "bridge_away"
        raise SourceError(key, {"control": control, "meter": meter_id or "", "text": ""})

    async def command(
        self, control: str, value: Value, meter: str | None = None, timeout: float = 10
    ) -> Value:
        """Carry out a control of a monitor and return what was read back.

        Raises:
            SourceError: as `BridgeSession.command`; `i2c_address_taken`, `i2c_address_by_switch`.
        """
        monitor = self._monitor(meter, control)
        try:
            async with asyncio.timeout(timeout):
                found = await execute(self._bus, monitor.place, monitor.identity, control, value)
        except TimeoutError as err:
            placeholders = {"control": control, "meter": meter or "", "text": ""}
            raise SourceError("bridge_no_answer", placeholders) from err
        if control == "i2c_address" and isinstance(found, int):
            self._move(monitor, Place(monitor.place.segment, found))
        if control in monitor.settings:
            monitor.settings[control] = found
        return found

    def _move(self, monitor: _Monitor, place: Place) -> None:
        """It has taken another address."""
        if self._monitors.pop(monitor.place, None) is not None:
            monitor.place = place
            monitor.identity = replace(monitor.identity, address=place.address)
            self._odd.pop(place, None)
            self._monitors[place] = monitor
            self._changed = True

    async def update(
        self, version: str, files: Mapping[str, bytes], progress: Callable[[float], None]
    ) -> None:
        """Monitors get their firmware from a programmer.

        Raises:
            SourceError: always.
        """
        raise SourceError("bridge_unsupported", {"control": "update", "meter": "", "text": version})

    async def capture(self, meter: str, cycles: int = 2) -> Waveform:
        """One or two cycles of voltage and current of a circuit, taken now.

        Raises:
            SourceError: the monitor is away, cannot do it, or did not answer.
        """
        monitor = self._monitor(meter, "capture")
        return await capture(self._bus, monitor.place, monitor.identity, cycles)

    # How it fares

    @property
    def health(self) -> LinkHealth:
        """The bus and each monitor on it."""
        return LinkHealth(
            connected=self._connected,
            load=self._load,
            requests=self._requests,
            errors=self._errors,
            retries=self._retries,
            overruns=self._overruns,
            recycled=self._recycled,
            meters={
                each.id: MeterHealth(
                    answering=each.answering,
                    requests=each.requests,
                    errors=each.errors,
                    retries=each.retries,
                    timeouts=each.timeouts,
                    fast_interval=each.interval,
                    error_rate=each.error_rate,
                )
                for each in self._monitors.values()
            },
        )

    @property
    def counters(self) -> SessionCounters:
        """The same in a session's words."""
        return SessionCounters(lines=self._requests, bad=self._errors)

    @property
    def places(self) -> dict[str, Probe]:
        """What is on the bus beside working monitors, by place as people see it."""
        found = {
            place: odd.probe
            for place, odd in self._odd.items()
            if odd.probe.found is not Found.NOBODY
        }
        found |= dict.fromkeys(self._hidden, Probe(Found.HIDDEN))
        return {str(place): found[place] for place in sorted(found, key=_place_order)}

    @property
    def diagnoses(self) -> dict[str, Diagnosis]:
        """What monitors have said last of how they fare, by place as people see it."""
        return {
            str(each.place): each.diagnosis
            for each in sorted(self._monitors.values(), key=_order)
            if each.diagnosis is not None
        }

    @property
    def problems(self) -> dict[str, tuple[str, ...]]:
        """What is wrong now in the words of the bridge protocol: {problem: places}."""
        found: dict[str, tuple[str, ...]] = dict.fromkeys(sorted(self._bus_problems), ())
        for place, probe in self.places.items():
            if (problem := _PROBLEMS.get(probe.found)) is not None:
                found[problem] = (*found.get(problem, ()), place)
        return found

    def _tell_health(self) -> None:
        now = self._clock()[0]
        if now >= self._health_due:
            self._health_due = now + HEALTH_INTERVAL
            self._listener.on_health(BridgeHealth(uptime=now - self._started, errors=self._errors))

    def _set_connected(self, connected: bool) -> None:
        if connected == self._connected:
            return
        self._connected = connected
        if connected:
            self._bus_problems.clear()
        else:
            for monitor in self._monitors.values():
                monitor.answering = False
                monitor.seen = None
        self._listener.on_connected(connected)

    def _event(
        self,
        meter: str,
        event: str,
        time: datetime,
        value: Value = None,
        reason: str | None = None,
    ) -> None:
        self._listener.on_event(
            BridgeEvent(meter=meter, event=event, value=value, reason=reason, time=time)
        )

    def _trouble(self, key: str, detail: str) -> None:
        """Tell, at most once in ten minutes for the same thing."""
        if key in _OF_THE_BUS:
            self._bus_problems.add(key)
        if self._is_news(key, detail):
            self._listener.on_trouble(key, detail)

    def _is_news(self, key: str, detail: str) -> bool:
        """Whether it has not been told in the last ten minutes."""
        now = self._clock()[0]
        told = self._troubles.get((key, detail))
        if told is not None and now - told < TROUBLE_INTERVAL:
            return False
        self._troubles[key, detail] = now
        return True


def _measurement_at(address: int) -> Transfer:
    return Transfer(address, bytes((MEASUREMENT.pointer,)), MEASUREMENT.length, MEASUREMENT.is_good)


def _place_order(place: Place) -> tuple[bool, Segment | None, int]:
    return place.segment is not None, place.segment, place.address


def _order(monitor: _Monitor) -> tuple[bool, Segment | None, int]:
    return _place_order(monitor.place)


def _list(kept: object) -> list[Any]:
    return kept if isinstance(kept, list) else []


def _place_to_json(place: Place) -> list[int | None]:
    segment = place.segment
    if segment is None:
        return [None, None, place.address]
    return [segment.multiplexer, segment.channel, place.address]


def _place_from_json(kept: object) -> Place | None:
    """A place that was kept; None if it is broken."""
    match kept:
        case [None, None, int(address)] if address in ADDRESSES:
            return Place(None, address)
        case [int(multiplexer), int(channel), int(address)] if address in ADDRESSES:
            return Place(Segment(multiplexer, channel), address)
    return None
