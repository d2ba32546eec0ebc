"""Who is on a hub's bus: found by plain reads, watched for what is odd, remembered when it is gone."""

import gc

from . import i2c_blocks as blocks, i2c_controls as controls, i2c_probe as probe
from .i2c_bus import GONE, UNREACHABLE, place_of, place_text
from .i2c_monitor import Monitor

MAX_MONITORS = 104
"""More of them do not fit a line of the protocol, nor the memory."""
_ASKED_AT_ONCE = 8
"""Free addresses of a segment that are asked at a time: a single one is looked through in a quarter of a minute."""
_ALL_ASKED_IN = 30
"""Rounds in which every segment's have been asked, however many there are."""
_PAUSE_MS = 2000
_LONGEST_PAUSE_MS = 30_000
"""Between two looks at something that does not answer as it should."""
_LONGEST_ABSENCE_MS = 8000
"""The same for a place that a monitor has left: an address without answer costs a tenth of a millisecond."""
_FORGET_MS = 3_600_000
_ADDRESSES = blocks.LAST_ADDRESS - blocks.FIRST_ADDRESS + 1
_VISITS = 2
"""How often a foreign chip is looked at before it is left alone for good."""
_BEHIND_PER_ROUND = 2
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


class Roster:
    """The monitors of one bus, by place, and everything else that answers there."""

    def __init__(self, bridge, bus):
        """`bridge`: hears of who has gone and what is odd."""
        self._bridge = bridge
        self._clock = bridge.clock
        self._bus = bus
        self.monitors = {}
        """By place."""
        self.changed = False
        """Whether there is something new for a hello; who says it sets it back."""
        self.watch = probe.Watch()
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
        self._cursor = 0

    def announced(self):
        """The monitors that a hello tells of, by place."""
        return [
            self.monitors[place]
            for place in sorted(self.monitors)
            if self.monitors[place].announced
        ]

    def there(self, meter_id):
        """The monitor of an id, or None."""
        for monitor in self.monitors.values():
            if monitor.id == meter_id:
                return monitor
        return None

    def knows(self, meter_id):
        """Whether a monitor of this id is or was there."""
        return meter_id in self._gone or self.there(meter_id) is not None

    def problems(self):
        """What is wrong now: problem → places, as in `health`."""
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
        return found

    def begin_again(self):
        """The bus was ill: what was lost to it alone is looked for as everything is."""
        self.watch = probe.Watch()
        for place in self._missing:
            self._odd.pop(place, None)

    async def search_everywhere(self):
        """Ask every free address of every segment. Raises BusHeld."""
        for segment in self._bus.segments():
            await self._ask(segment, self._free(segment))

    async def look_around(self):
        """Ask a few free addresses, and look again at what was odd. Raises BusHeld."""
        segments = self._bus.segments()
        for _ in range(1 + (len(segments) * _ADDRESSES - 1) // (_ASKED_AT_ONCE * _ALL_ASKED_IN)):
            segment = segments[self._cursor % len(segments)]
            free = self._free(segment)
            steps = max(1, (len(free) + _ASKED_AT_ONCE - 1) // _ASKED_AT_ONCE)
            begin = self._cursor // len(segments) % steps * _ASKED_AT_ONCE
            await self._ask(segment, free[begin : begin + _ASKED_AT_ONCE])
            self._cursor += 1
        now = self._clock.ms()
        for place in list(self._odd):
            odd = self._odd.get(place)
            if odd is None:
                continue
            if self._is_covered(place):
                if place not in self._missing:
                    self._forget(place)  # Whatever was seen there was seen through the trunk.
                continue
            if odd.due is None or now < odd.due:
                continue
            missing = self._missing.get(place)
            odd.pause = min(
                odd.pause * 2, _LONGEST_PAUSE_MS if missing is None else _LONGEST_ABSENCE_MS
            )
            odd.due = now + odd.pause
            at, found, data = await self._examine(place)
            if found == probe.NOBODY and (missing is None or now - missing > _FORGET_MS):
                self._forget(place)
            elif found not in (probe.NOBODY, probe.TROUBLE):
                await self._found(at, found, data)

    async def look_behind(self):
        """See whether somebody on a segment has the address of a monitor on the trunk: nobody else asks there."""
        segments = self._bus.segments()[1:]
        front = [monitor for place, monitor in self.monitors.items() if not place >> 8]
        count = len(segments) * len(front)
        self._hidden = {place for place in self._hidden if place & 0xFF in self.monitors}
        for _ in range(min(count, _BEHIND_PER_ROUND)):
            self._behind = (self._behind + 1) % count
            monitor = front[self._behind % len(front)]
            place = place_of(segments[self._behind // len(front)], monitor.place)
            found = await probe.look_behind(self._bus, place, monitor.key)
            if found == probe.HIDDEN and place not in self._hidden:
                self._hidden.add(place)
                self._bridge.log("warning", "i2c: " + _PROBLEMS[found][1] % place_text(place))
            elif found == probe.NOBODY:
                self._hidden.discard(place)

    def lose(self, monitor):
        """It is gone from its place, which is looked at ever more seldom from now on."""
        if self.monitors.get(monitor.place) is not monitor:
            return
        del self.monitors[monitor.place]
        self._gone[monitor.id] = monitor.rest()
        now = self._clock.ms()
        self._missing[monitor.place] = now
        self._odd[monitor.place] = _Odd(probe.NOBODY, now + 1000, 1000)
        if monitor.announced:
            self.changed = True
            self._bridge.event("meter_gone", monitor.id)

    async def doubt(self, monitor):
        """A damaged block, or another's: before anything is written there again, see who it is."""
        place, found, data = await self._examine(monitor.place)
        if found == probe.MONITOR:
            if place != monitor.place or bytes(data[6:14]) != monitor.key:
                self.lose(monitor)
                await self._found(place, found, data)
        elif found in (probe.SHARED, probe.FOREIGN, probe.OTHER_VERSION):
            self.lose(monitor)
            await self._found(place, found, data)

    def move(self, monitor, place):
        """It has taken another address."""
        if self.monitors.get(monitor.place) is monitor:
            del self.monitors[monitor.place]
            monitor.place = place
            self._odd.pop(place, None)
            self.monitors[place] = monitor

    def _is_covered(self, place):
        """Whether something on the trunk is known to answer at a segment's place, too."""
        front = place & 0xFF
        odd = self._odd.get(front)
        return front != place and (
            front in self.monitors or (odd is not None and odd.found != probe.NOBODY)
        )

    async def _examine(self, place):
        """(which place that is, who is there, its identity): the trunk answers with every segment selected."""
        found, data = await probe.examine(self._bus, place)
        if place >> 8 and found not in (probe.NOBODY, probe.TROUBLE):
            front, alone = await probe.examine(self._bus, place & 0xFF)
            if front not in (probe.NOBODY, probe.TROUBLE):
                return place & 0xFF, front, alone
        return place, found, data

    def _free(self, segment):
        """Addresses of a segment that may be asked: not the multiplexers', nor what answers on the trunk."""
        taken = set(self._bus.multiplexers)
        for place in self.monitors:
            if place >> 8 in (0, segment):
                taken.add(place & 0xFF)
        for place, odd in self._odd.items():
            # Where a monitor has left the trunk nobody is in front of the segments any more.
            if place >> 8 == segment or (not place >> 8 and odd.found != probe.NOBODY):
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
            self.watch.look(fault, begun)
            if not fault:
                answered.append(place)
        for place in answered:
            at, found, data = await self._examine(place)
            if found not in (probe.NOBODY, probe.TROUBLE):
                await self._found(at, found, data)

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
            self.changed = True
        if len(self.monitors) >= MAX_MONITORS:
            self._bridge.trouble("i2c: more than %d monitors" % MAX_MONITORS)
            return
        self._forget(place)
        monitor.settings = await controls.read_settings(self._bus, monitor)
        if monitor.id in self._gone:
            monitor.resumes(self._gone.pop(monitor.id))
        self.monitors[place] = monitor
        gc.collect()  # What stays is to lie close together, not all over the memory.
