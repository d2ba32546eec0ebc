"""A bus full of monitors: who is there, what they measure, round by round.

Once per interval every monitor's measurement block is read, a few free addresses are asked whether somebody has come,
and whoever does not answer is asked ever more seldom. What is said of it goes through the bridge: a hello, one
`readings` message per round, events, problems.
"""

import asyncio
import gc
import struct

from . import i2c_blocks as blocks, i2c_controls as controls, i2c_probe as probe, i2c_rows as rows
from .decimals import MICRO, decimal
from .desk import Refused
from .i2c_bus import GONE, NO_ANSWER, UNREACHABLE, place_of, place_text
from .i2c_monitor import Common, Monitor

MAX_MONITORS = 120
"""More of them do not fit a line of the protocol, nor the memory."""
MISSES = 3
"""Rounds without a good block after which a monitor is gone."""
_ASKED_PER_ROUND = 8
_PAUSE_MS = 2000
_LONGEST_PAUSE_MS = 30_000
"""Between two looks at something that does not answer as it should."""
_LONGEST_ABSENCE_MS = 8000
"""The same for a place that a monitor has left: an address without answer costs a tenth of a millisecond."""
_FORGET_MS = 3_600_000
_VISITS = 2
"""How often a foreign chip is looked at before it is left alone for good."""
_LONGEST_REOPEN_MS = 10_000
_DIAGNOSED_EVERY_S = 60
_BEHIND_PER_ROUND = 2
_BUSY_TRIES = 150
_PROBLEMS = {
    probe.SHARED: ("address_shared", "two monitors at %s: give one of them another address"),
    probe.OTHER_VERSION: ("monitor_version", "the monitor at %s speaks another version"),
    probe.HIDDEN: ("address_hidden", "somebody at %s has the address of a monitor on the trunk"),
    probe.TWIN: ("id_twice", "two monitors have one id, one of them at %s"),
}


class _Odd:
    """A place with something at it that is no usable monitor."""

    def __init__(self, found, due, pause, visits=1):
        self.found = found
        self.due = due
        """When to look again, ms; None: never."""
        self.pause = pause
        self.visits = visits


class Hub:
    """The monitors of one bus."""

    def __init__(self, bridge, bus, settings):
        """`settings`: `i2c` of the configuration."""
        self._bridge = bridge
        self._clock = bridge.clock
        self._bus = bus
        self._keep_ms = int(settings["keep"] * 1000)
        self.monitors = {}
        """By place."""
        self.problems = {}
        """What is wrong now: problem → places, as in `health`."""
        self.errors = 0
        """Blocks that did not come or were damaged, and what the monitors say they dropped."""
        self.rounds = 0
        self.skipped = 0
        self.power = None
        """Sum over all monitors in the last round, mW."""
        self._odd = {}
        self._missing = {}
        """Places whose monitor is gone → when, ms."""
        self._gone = {}
        """What is remembered of monitors that are gone, by id: who comes back has to have a new block."""
        self._hidden = set()
        """Places on segments behind monitors on the trunk."""
        self._behind = 0
        self._twins = {}
        """Place of a twin → that of the other one."""
        self._data = bytearray(blocks.MEASUREMENT[1])
        self._rows = bytearray(1 + MAX_MONITORS * rows.ROW)
        self._rows[0] = rows.FORMAT
        self._taken = 0
        self._fresh = []
        self._watch = probe.Watch()
        self._searched = False
        self._started = False
        self._changed = False
        self._cursor = 0
        self._diagnosed = 0
        self._kept_ms = None

    async def run(self, beat=lambda: None):
        """Read, for ever; `beat` hears of every round."""
        self._searched = False
        clock = self._clock
        due = clock.ms()
        while True:
            beat()
            if not await self._round():
                await self._recover(beat)
                due = clock.ms()
                continue
            interval = int(self._bridge.settings["interval"] * 1000)
            due += interval
            now = clock.ms()
            if now > due + interval:
                late = (now - due) // interval
                self.skipped += late
                due += late * interval  # Late work is skipped, not queued.
            await asyncio.sleep_ms(max(0, due - now))

    # What is said

    def announced(self):
        """The monitors that a hello tells of, by place."""
        return [
            self.monitors[place]
            for place in sorted(self.monitors)
            if self.monitors[place].announced
        ]

    def hello(self):
        """Pieces of the hello: the meters, and at the end what they share."""
        monitors = self.announced()
        common = Common(monitors)
        for at, monitor in enumerate(monitors):
            yield ("," if at else "") + monitor.hello(common)
        yield "]"
        if monitors:
            yield ',"common":'
            yield common.text()

    def _say_round(self, begun_ms):
        """One message for all rows of this round."""
        taken, self._taken = self._taken, 0
        if not taken:
            return
        now = self._clock.ms()
        keep = self._kept_ms is None or now - self._kept_ms >= self._keep_ms
        if keep:
            self._kept_ms = now
        if keep or self._bridge.is_heard():
            body = memoryview(self._rows)[: 1 + taken * rows.ROW]
            self._bridge.outbox.add_round(body, (begun_ms + now) // 2, keep)

    def _tell_problems(self):
        found = {}
        for place in sorted(self._hidden):
            found.setdefault(_PROBLEMS[probe.HIDDEN][0], []).append(place_text(place))
        for place in sorted(self._odd):
            problem = _PROBLEMS.get(self._odd[place].found)
            if problem:
                places = found.setdefault(problem[0], [])
                twin = self._twins.get(place)
                if twin is not None and place_text(twin) not in places:
                    places.append(place_text(twin))
                places.append(place_text(place))
        self._problems_are(found)

    def _problems_are(self, found):
        if found != self.problems:
            self.problems = found
            self._bridge.tell_health()

    def _failed(self, problem, text):
        """The bus itself is ill."""
        self._bridge.trouble(text)
        self._problems_are({problem: [text]})

    # One round

    async def _round(self):
        """Read everybody; whether the bus is well."""
        begun = self._clock.ms()
        self._fresh = []
        if not self._bus.open():
            self._failed("bus_gone", "i2c: no controller: %s" % self._bus.error)
            return False
        try:
            if not self._searched:
                await self._search_everywhere()
                self._searched = True
            begun = self._clock.ms()
            await self._read_all()
        except probe.BusHeld:
            self._failed("bus_held", "i2c: SDA or SCL is held low, or nothing moves")
            return False
        self._announce()
        self._say_round(begun)
        self._tell_fresh()
        try:
            await self._look_around()
        except probe.BusHeld:
            self._failed("bus_held", "i2c: SDA or SCL is held low, or nothing moves")
            return False
        await self._look_behind()
        await self._diagnose()
        self._tell_problems()
        self.rounds += 1
        return True

    def _announce(self):
        if self._changed:
            self._changed = False
            self._bridge.changed()

    def _tell_fresh(self):
        """Events of monitors that came; those of the first search are in the hello."""
        for monitor in self._fresh:
            if self._started:
                self._bridge.event("new_meter", monitor.id)
        self._started = True

    async def _read_all(self):
        self._taken = 0
        power = 0
        doubtful = []
        away = None
        for place in sorted(self.monitors):
            monitor = self.monitors.get(place)
            if monitor is None or monitor.place != place:
                continue  # It was re-addressed while others were read.
            if place >> 8 == away:
                self._missed(monitor)
                continue
            fault = await self._read_measurement(monitor)
            if fault == UNREACHABLE:
                away = place >> 8
                self._missed(monitor)
            elif self._take(monitor, fault):
                watts = struct.unpack_from("<i", self._data, 16)[0]
                power += 0 if watts == rows.NO_POWER else watts
            elif not fault:
                doubtful.append(monitor)
        self.power = power
        for monitor in doubtful:
            if self.monitors.get(monitor.place) is monitor:
                await self._doubt(monitor)

    async def _read_measurement(self, monitor):
        """Read its block, a damaged one twice: it stays the same for a fifth of a second."""
        pointer = blocks.MEASUREMENT[0]
        fault = await self._bus.read(monitor.place, pointer, self._data)
        if not fault and not blocks.is_good(pointer, self._data):
            self.errors += 1
            fault = await self._bus.read(monitor.place, pointer, self._data)
        return fault

    def _take(self, monitor, fault):
        """Take what was read; whether it gave a row. Raises BusHeld."""
        data = self._data
        if fault == GONE:
            raise probe.BusHeld
        self._watch.look(fault, data)
        if fault or not blocks.is_good(blocks.MEASUREMENT[0], data):
            self._missed(monitor)
            return False
        if data[0] | data[1] << 8 != monitor.tag:
            self._missed(monitor)
            return False
        if not monitor.is_new(data):
            self._missed(monitor)  # It answers but measures no more: nothing new to say.
            return False
        monitor.misses = 0
        self._tell_changes(monitor)
        if not monitor.announced:
            monitor.announced = self._changed = True
            self._fresh.append(monitor)
        exports = monitor.capabilities & blocks.EXPORT
        rows.put(self._rows, 1 + self._taken * rows.ROW, monitor.key, data, exports)
        self._taken += 1
        return True

    def _tell_changes(self, monitor):
        """What a block says beside its values: a relay that moved, why the monitor started anew."""
        data = self._data
        flags = data[6] | data[7] << 8
        reason = None
        again = monitor.starts(data[4])
        if again is not None:
            reason = "restart" if again else None
            for bit, event in ((blocks.WATCHDOG, "watchdog"), (blocks.BROWN_OUT, "brown_out")):
                if flags & bit:
                    reason = event
                    self._bridge.event(event, monitor.id)
        if monitor.capabilities & blocks.RELAY:
            before, monitor.relay = monitor.relay, data[5] & 1
            if before is not None and before != monitor.relay:
                self._bridge.event("relay", monitor.id, monitor.relay * MICRO, reason)

    def _missed(self, monitor):
        """A round without a good block."""
        self.errors += 1
        monitor.misses += 1
        if monitor.misses >= MISSES:
            self._lose(monitor)

    def _lose(self, monitor):
        """It is gone from its place, which is looked at ever more seldom from now on."""
        if self.monitors.get(monitor.place) is not monitor:
            return
        del self.monitors[monitor.place]
        self._gone[monitor.id] = monitor.rest()
        now = self._clock.ms()
        self._missing[monitor.place] = now
        self._odd[monitor.place] = _Odd(probe.NOBODY, now + 1000, 1000)
        if monitor.announced:
            self._changed = True
            self._bridge.event("meter_gone", monitor.id)

    async def _doubt(self, monitor):
        """A damaged block, or another's: before anything is written there again, see who it is."""
        found, data = await probe.examine(self._bus, monitor.place)
        if found == probe.MONITOR:
            if bytes(data[6:14]) != monitor.key:
                self._lose(monitor)
                await self._found(monitor.place, found, data)
        elif found in (probe.SHARED, probe.FOREIGN, probe.OTHER_VERSION):
            self._lose(monitor)
            await self._found(monitor.place, found, data)

    async def _diagnose(self):
        """Read the diagnostics of a few, so that each is asked once a minute; and settings that are not known."""
        monitors = self.announced()
        interval = self._bridge.settings["interval"]
        for _ in range(min(len(monitors), 1 + int(len(monitors) * interval / _DIAGNOSED_EVERY_S))):
            self._diagnosed = (self._diagnosed + 1) % len(monitors)
            monitor = monitors[self._diagnosed]
            if monitor.settings is None:
                monitor.settings = await controls.read_settings(self._bus, monitor)
                self._changed = self._changed or monitor.settings is not None
            data = await controls.read_block(self._bus, monitor, blocks.DIAGNOSTICS)
            if data is not None:
                self.errors += monitor.dropped(data[8] | data[9] << 8)

    # Who is there

    async def _search_everywhere(self):
        for segment in self._bus.segments():
            await self._ask(segment, self._free(segment))

    def _free(self, segment):
        """Addresses of a segment that may be asked: not the multiplexers', nor what answers on the trunk."""
        taken = set(self._bus.multiplexers)
        for places in (self.monitors, self._odd):
            for place in places:
                if place >> 8 in (0, segment):
                    taken.add(place & 0xFF)
        return [
            address
            for address in range(blocks.FIRST_ADDRESS, blocks.LAST_ADDRESS + 1)
            if address not in taken
        ]

    async def _ask(self, segment, addresses):
        begun = bytearray(len(blocks.MAGIC))
        answered = []
        for address in addresses:
            place = place_of(segment, address)
            fault = await self._bus.read(place, None, begun)
            if fault == UNREACHABLE:
                return
            if fault == GONE:
                raise probe.BusHeld
            self._watch.look(fault, begun)
            if not fault:
                answered.append(place)
        for place in answered:
            found, data = await probe.examine(self._bus, place)
            if found not in (probe.NOBODY, probe.TROUBLE):
                await self._found(place, found, data)

    async def _look_around(self):
        """Ask a few free addresses, and look again at what was odd."""
        segments = self._bus.segments()
        segment = segments[self._cursor % len(segments)]
        free = self._free(segment)
        steps = max(1, (len(free) + _ASKED_PER_ROUND - 1) // _ASKED_PER_ROUND)
        begin = self._cursor // len(segments) % steps * _ASKED_PER_ROUND
        await self._ask(segment, free[begin : begin + _ASKED_PER_ROUND])
        self._cursor += 1
        now = self._clock.ms()
        for place in list(self._odd):
            odd = self._odd[place]
            if odd.due is None or now < odd.due:
                continue
            missing = self._missing.get(place)
            odd.pause = min(
                odd.pause * 2, _LONGEST_PAUSE_MS if missing is None else _LONGEST_ABSENCE_MS
            )
            odd.due = now + odd.pause
            found, data = await probe.examine(self._bus, place)
            if found == probe.NOBODY and (missing is None or now - missing > _FORGET_MS):
                self._forget(place)
            elif found not in (probe.NOBODY, probe.TROUBLE):
                await self._found(place, found, data)

    async def _look_behind(self):
        """See whether somebody on a segment has the address of a monitor on the trunk: nobody else asks there."""
        segments = self._bus.segments()[1:]
        front = [monitor for place, monitor in self.monitors.items() if not place >> 8]
        count = len(segments) * len(front)
        self._hidden = {place for place in self._hidden if place & 0xFF in self.monitors}
        for _ in range(min(count, _BEHIND_PER_ROUND)):
            self._behind = (self._behind + 1) % count
            monitor = front[self._behind % len(front)]
            place = place_of(segments[self._behind // len(front)], monitor.place)
            self._forget(place)  # What was seen there was seen through the monitor on the trunk.
            found = await probe.look_behind(self._bus, place, monitor.key)
            if found == probe.HIDDEN and place not in self._hidden:
                self._hidden.add(place)
                self._bridge.log("warning", "i2c: " + _PROBLEMS[found][1] % place_text(place))
            elif found == probe.NOBODY:
                self._hidden.discard(place)

    def _forget(self, place):
        for table in (self._odd, self._missing, self._twins):
            table.pop(place, None)

    async def _found(self, place, found, data):
        """Take what a place turned out to be."""
        if found == probe.MONITOR:
            await self._welcome(place, data)
            return
        before = self._odd.get(place)
        visits = before.visits + 1 if before and before.found == found else 1
        pause = before.pause if before else _PAUSE_MS
        due = self._clock.ms() + pause
        if found == probe.FOREIGN and visits >= _VISITS and place not in self._missing:
            due = None  # Known by now to be none of ours.
        self._odd[place] = _Odd(found, due, pause, visits)
        if found in _PROBLEMS and visits == 1:
            self._bridge.log("warning", "i2c: " + _PROBLEMS[found][1] % place_text(place))

    async def _welcome(self, place, identity):
        """A monitor is at a place: new, back, or moved there."""
        monitor = Monitor(identity, place)
        older = [one for one in self.monitors.values() if one.key == monitor.key]
        if older and older[0].place != place:
            before = older[0]
            found, data = await probe.examine(self._bus, before.place)
            if found == probe.MONITOR and bytes(data[6:14]) == monitor.key:
                first = place not in self._twins
                self._twins[place] = before.place
                now = self._clock.ms()
                self._odd[place] = _Odd(probe.TWIN, now + _LONGEST_PAUSE_MS, _LONGEST_PAUSE_MS)
                if first:
                    text = _PROBLEMS[probe.TWIN][1] % place_text(place)
                    self._bridge.log("warning", "i2c: " + text)
                return
            self.monitors.pop(before.place, None)
            self._gone[before.id] = before.rest()
            self._changed = True
        if len(self.monitors) >= MAX_MONITORS:
            self._bridge.trouble("i2c: more than %d monitors" % MAX_MONITORS)
            return
        self._forget(place)
        monitor.settings = await controls.read_settings(self._bus, monitor)
        if monitor.id in self._gone:
            monitor.resumes(self._gone.pop(monitor.id))
        self.monitors[place] = monitor
        gc.collect()  # What stays is to lie close together, not all over the memory.

    # What can be done

    async def command(self, meter_id, control, value):
        """Carry out a control of a monitor; `value` in millionths. What it stands at then, JSON text. Raises Refused."""
        monitor = self._monitor(meter_id)
        for _ in range(_BUSY_TRIES):
            if not monitor.busy:
                break
            await asyncio.sleep_ms(20)
        else:
            raise Refused("busy", "the monitor is busy with another command")
        monitor.busy = True
        try:
            if control == "capture":
                from .i2c_waveform import capture

                return await capture(self._bus, monitor, value)
            found = await controls.execute(self._bus, monitor, control, value)
        finally:
            monitor.busy = False
        if control == "relay":
            monitor.relay = found // MICRO
        if control == "i2c_address":
            self._move(monitor, monitor.place & ~0xFF | found // MICRO)
        return "null" if found is None else decimal(found)

    def knows(self, meter_id):
        """Whether a monitor of this id is or was there."""
        return meter_id in self._gone or self._there(meter_id) is not None

    def _there(self, meter_id):
        for monitor in self.monitors.values():
            if monitor.id == meter_id:
                return monitor
        return None

    def _monitor(self, meter_id):
        monitor = self._there(meter_id)
        if monitor is None or not monitor.announced:
            raise Refused("no_answer", "the monitor is not on the bus now")
        return monitor

    def _move(self, monitor, place):
        """It has taken another address."""
        if self.monitors.get(monitor.place) is monitor:
            del self.monitors[monitor.place]
            monitor.place = place
            self._odd.pop(place, None)
            self.monitors[place] = monitor
            self._bridge.changed()

    # When the bus is ill

    async def _recover(self, beat):
        """Clock whoever holds SDA free, and take the controller anew, until the bus moves again."""
        pause = 1000
        one = bytearray(1)
        while True:
            beat()
            self._bus.recover()
            # Two reserved addresses, at which nobody is: a bus that moves says so.
            if (
                await self._bus.read(0x7C, None, one) == NO_ANSWER
                and await self._bus.read(0x7D, None, one) == NO_ANSWER
            ):
                self._searched = False
                self._watch = probe.Watch()
                for place in self._missing:
                    self._odd.pop(place, None)  # Its monitor may have been lost to the bus alone.
                return
            await asyncio.sleep_ms(pause)
            pause = min(pause * 2, _LONGEST_REOPEN_MS)
