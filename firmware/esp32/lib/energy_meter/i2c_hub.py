"""A bus full of monitors, round by round: what they measure, and what can be done to them.

Once per interval every monitor's measurement block is read, a few free addresses are asked whether somebody has come,
and whoever does not answer is asked ever more seldom. What is said of it goes through the bridge: a hello, one
`readings` message per round, events, problems.
"""

import asyncio
import struct

from . import i2c_blocks as blocks, i2c_controls as controls, i2c_probe as probe, i2c_rows as rows
from .decimals import MICRO, decimal
from .desk import Refused
from .i2c_bus import GONE, NO_ANSWER, UNREACHABLE
from .i2c_monitor import Common
from .i2c_roster import MAX_MONITORS, Roster

MISSES = 3
"""Rounds without a good block after which a monitor is gone."""
_LONGEST_REOPEN_MS = 10_000
_DIAGNOSED_EVERY_S = 60
_BUSY_TRIES = 150


class Hub:
    """The monitors of one bus."""

    def __init__(self, bridge, bus, settings):
        """`settings`: `i2c` of the configuration."""
        self._bridge = bridge
        self._clock = bridge.clock
        self._bus = bus
        self._keep_ms = int(settings["keep"] * 1000)
        self.roster = Roster(bridge, bus)
        self.problems = {}
        """What is wrong now: problem → places, as in `health`."""
        self.errors = 0
        """Blocks that did not come or were damaged, and what the monitors say they dropped."""
        self.rounds = 0
        self.skipped = 0
        self._power = None
        """Sum over all monitors in the last round, mW."""
        self._data = bytearray(blocks.MEASUREMENT[1])
        self._rows = bytearray(1 + MAX_MONITORS * rows.ROW)
        self._rows[0] = rows.FORMAT
        self._taken = 0
        self._fresh = []
        self._searched = False
        self._started = False
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

    @property
    def summary(self):
        """Two lines for a display: how many circuits, and their power together in millionths of a W (None: not known)."""
        power = self._power
        return "%d circuits" % len(self.roster.monitors), None if power is None else power * 1000

    def hello(self):
        """Pieces of the hello: the meters, and at the end what they share."""
        monitors = self.roster.announced()
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
        if keep or (self._bridge.is_heard() and self._bridge.has_room_for_live()):
            body = memoryview(self._rows)[: 1 + taken * rows.ROW]
            self._bridge.outbox.add_round(body, (begun_ms + now) // 2, keep)

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
                await self.roster.search_everywhere()
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
            await self.roster.look_around()
        except probe.BusHeld:
            self._failed("bus_held", "i2c: SDA or SCL is held low, or nothing moves")
            return False
        await self.roster.look_behind()
        await self._diagnose()
        self._problems_are(self.roster.problems())
        self.rounds += 1
        return True

    def _announce(self):
        if self.roster.changed:
            self.roster.changed = False
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
        for place in sorted(self.roster.monitors):
            monitor = self.roster.monitors.get(place)
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
        self._power = power
        for monitor in doubtful:
            if self.roster.monitors.get(monitor.place) is monitor:
                await self.roster.doubt(monitor)

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
        self.roster.watch.look(fault, data)
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
            monitor.announced = self.roster.changed = True
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
            self.roster.lose(monitor)

    async def _diagnose(self):
        """Read the diagnostics of a few, so that each is asked once a minute; and settings that are not known."""
        monitors = self.roster.announced()
        interval = self._bridge.settings["interval"]
        for _ in range(min(len(monitors), 1 + int(len(monitors) * interval / _DIAGNOSED_EVERY_S))):
            self._diagnosed = (self._diagnosed + 1) % len(monitors)
            monitor = monitors[self._diagnosed]
            if monitor.settings is None:
                monitor.settings = await controls.read_settings(self._bus, monitor)
                self.roster.changed = self.roster.changed or monitor.settings is not None
            data = await controls.read_block(self._bus, monitor, blocks.DIAGNOSTICS)
            if data is not None:
                self.errors += monitor.dropped(data[8] | data[9] << 8)

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
            self.roster.move(monitor, monitor.place & ~0xFF | found // MICRO)
            self._bridge.changed()
        return "null" if found is None else decimal(found)

    def _monitor(self, meter_id):
        monitor = self.roster.there(meter_id)
        if monitor is None or not monitor.announced:
            raise Refused("no_answer", "the monitor is not on the bus now")
        return monitor

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
                self.roster.begin_again()
                return
            await asyncio.sleep_ms(pause)
            pause = min(pause * 2, _LONGEST_REOPEN_MS)
