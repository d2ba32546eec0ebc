"""What is known of limits and loads, and what follows from it for each load. Nothing here acts."""

from collections.abc import Mapping
from typing import Final

from .choice import NOTHING, Offer, Want, fit
from .effects import Effects
from .gauge import Gauge
from .journal import Entry, Event
from .memory import LoadMemory, Memory, Observation, Shed
from .outlook import Blocker
from .plan import Limit, Load, Plan

IDLE: Final = 25.0
"""W: a load that is measured and takes less is not worth switching off."""
LONGEST_WAIT: Final = 3_600.0
"""Seconds that a load which keeps having to go off again is made to wait at most."""


class Knowledge:
    """Limits, loads, readings and what is remembered."""

    def __init__(self, plan: Plan, memory: Memory | None = None, *, now: float) -> None:
        """Go on from what is remembered.

        Args:
            plan: what the user has said.
            memory: what an earlier run left; changed in place, so that it can be stored at any time.
            now: the time.
        """
        self.memory = memory or Memory()
        self._now = now
        if self.memory.at > now:  # The clock was set back while nothing ran.
            self.memory.shift(now - self.memory.at)
        self.memory.at = now
        self.gauges: dict[str, Gauge] = {}
        self.plan = Plan()
        self._effects = Effects(self._effect)
        self._loads: dict[str, Load] = {}
        self.configure(plan, now)

    def configure(self, plan: Plan, now: float) -> None:
        """Go on with another plan; what is known of the limits and loads that stay is kept.

        A load that is off and not in the plan any more is forgotten: give it back first.
        """
        now = self._advance(now)
        self.plan = plan
        window = plan.settings.restore_delay
        gauges = {}
        for limit in plan.limits:
            gauge = self.gauges.get(limit.id)
            if gauge is None or gauge.limit.measure is not limit.measure:
                gauge = Gauge(limit, window)
            else:
                gauge.configure(limit, window, now)
            gauges[limit.id] = gauge
        self.gauges = gauges
        self._loads = {load.id: load for load in plan.loads}
        self._ordered = plan.ordered
        self.memory.loads = {load.id: self.memory.load(load.id) for load in plan.loads}
        for limit_id in self.memory.stopped.keys() - gauges.keys():
            del self.memory.stopped[limit_id]
        self._effects.forget(float("-inf"), gauges, self._loads)

    # Time

    def _advance(self, now: float) -> float:
        """Follow the clock, also one that is set back."""
        if now < self._now:
            self._shift(now - self._now)
        self._now = self.memory.at = now
        return now

    def _shift(self, seconds: float) -> None:
        """All times that are kept move with a clock that is set back."""
        self.memory.shift(seconds)
        for gauge in self.gauges.values():
            gauge.shift(seconds)
        self._effects.shift(seconds)

    # What could go off

    def draw(self, load: Load) -> float | None:
        """What a load takes now, W, as measured or else as expected; None: nobody knows."""
        state = self.memory.load(load.id)
        seen, shed = state.seen, state.shed
        if not seen.available or not seen.on:
            return 0.0
        if shed is not None and shed.rehearsal:
            return load.dimming.power(shed.level) if load.dimming and shed.level else 0.0
        return taken_by(load, seen)

    def _level(self, state: LoadMemory) -> float | None:
        """Where a dimmable load stands, or would in a rehearsal."""
        if state.shed is not None and state.shed.rehearsal:
            return state.shed.level
        return state.seen.level

    def why_on(self, load_id: str, now: float) -> Blocker | None:
        """Why a load would not be switched off now if it had to; None: it would."""
        return self._why_on(self._loads[load_id], self.memory.load(load_id), now)

    def _why_on(
        self, load: Load, state: LoadMemory, now: float, *, by_hand: bool = False
    ) -> Blocker | None:
        seen, dimming = state.seen, load.dimming
        if load.protected:
            return Blocker.PROTECTED
        if not seen.available or (dimming is not None and seen.level is None):
            return Blocker.OFFLINE
        if state.flight is not None:
            return Blocker.IN_FLIGHT
        if not seen.on or (state.shed is not None and dimming is None):
            return Blocker.OFF
        if dimming is not None:
            level = self._level(state)
            lowest = dimming.minimum if dimming.off is None else dimming.off
            if level is None or level <= lowest + NOTHING:
                return Blocker.AT_MINIMUM
        on_since = max(state.since, state.restored_at or 0.0)
        if now - on_since < load.min_on:
            return Blocker.MIN_ON
        if by_hand:
            return None
        if now < state.hold_until:
            return Blocker.HELD
        if now < state.skip_until:
            return Blocker.NO_REACTION
        watts = self.draw(load)
        if watts is None:
            return Blocker.UNKNOWN_POWER
        if watts < IDLE:
            return Blocker.IDLE
        return None

    def offers(self, now: float) -> list[Offer]:
        """The loads that may go off now, in order."""
        offers = []
        for load in self._ordered:
            state = self.memory.load(load.id)
            if self._why_on(load, state, now) is None:
                offers.append(Offer(load, self.draw(load) or 0.0, self._level(state)))
        return offers

    def unseen(self, gauge: Gauge) -> float:
        """What was switched off and the last reading does not show yet, in the limit's unit."""
        return 0.0 if gauge.value_at is None else self._effects.unseen(gauge.limit, gauge.value_at)

    def stopped_until(self, limit_id: str, now: float) -> float | None:
        """Until when nothing is switched off for a limit because it did not help; None: it is."""
        until, _wait = self.memory.stopped.get(limit_id, (now, 0.0))
        return until if until > now else None

    # What could come back

    def _want(self, load: Load, shed: Shed) -> Want:
        """What a load needs to have all back."""
        if load.dimming is not None and shed.before is not None and shed.level is not None:
            more = load.dimming.power(shed.before) - load.dimming.power(shed.level)
            return Want(load, max(more, 0.0), shed.level, shed.before)
        expected = load.power
        if expected is None:
            expected = self.memory.load(load.id).peak
        return Want(load, max(shed.watts, expected))

    def why_off(
        self, load_id: str, now: float, rooms: Mapping[Limit, float | None] | None = None
    ) -> tuple[Blocker | None, float | None]:
        """Why a load that is off because of us does not come back now, and until when if known.

        `rooms` are what `rooms` gives, for those who ask about many loads.
        """
        load, state = self._loads[load_id], self.memory.load(load_id)
        if state.shed is None:
            return Blocker.NOT_SHED, None
        blocker, until = self._why_off(load, state, now)
        if blocker is not None:
            return blocker, until
        rooms = self.rooms(now) if rooms is None else rooms
        if fit(self.plan, rooms, self._want(load, state.shed)) is not None:
            return Blocker.TURN, None
        if any(
            room is None and self.plan.effect(load, limit, 1.0) > 0 for limit, room in rooms.items()
        ):
            fresh = all(
                self._gauge(limit).fresh(now) or self.plan.effect(load, limit, 1.0) <= 0
                for limit in rooms
            )
            return (Blocker.WAIT, self._calm_at(load, now)) if fresh else (Blocker.NO_READING, None)
        return Blocker.ROOM, None

    def _calm_at(self, load: Load, now: float) -> float:
        """When there will have been readings for long enough for all limits of a load."""
        return max(
            (gauge.known_from(now) or now) + gauge.window
            for gauge in self.gauges.values()
            if self.plan.effect(load, gauge.limit, 1.0) > 0
        )

    def _why_off(
        self, load: Load, state: LoadMemory, now: float, *, by_hand: bool = False
    ) -> tuple[Blocker | None, float | None]:
        """Why a load may not come back, besides the room for it, and until when."""
        shed = state.shed
        assert shed is not None
        if state.flight is not None:
            return Blocker.IN_FLIGHT, None
        if not state.seen.available:
            return Blocker.OFFLINE, None
        off_since = shed.at if shed.rehearsal else max(shed.at, state.since)
        runs_on = load.dimming is not None and self._level(state) != load.dimming.off
        if not runs_on and now < off_since + load.min_off:
            return Blocker.MIN_OFF, off_since + load.min_off
        if by_hand:
            return None, None
        if not load.restorable:
            return Blocker.NOT_RESTORABLE, None
        if now < shed.until:
            return Blocker.KEPT, shed.until
        if now < state.skip_until:
            return Blocker.NO_REACTION, state.skip_until
        wait = self.plan.settings.restore_delay
        wait = min(wait * 2**state.waits, max(wait, LONGEST_WAIT))
        if now < shed.at + wait:
            return Blocker.WAIT, shed.at + wait
        return None, None

    def rooms(self, now: float) -> dict[Limit, float | None]:
        """The least room of the last time at each limit, less what has come back since."""
        rooms: dict[Limit, float | None] = {}
        for gauge in self.gauges.values():
            room = gauge.room(now)
            if room is not None:
                room -= self._effects.returned(gauge.limit, now - gauge.window)
            rooms[gauge.limit] = room
        return rooms

    # Small things

    def _rehearsed(self, limit: Limit) -> float:
        """What a reading would be less if a rehearsal were in earnest."""
        total = 0.0
        for load_id, state in self.memory.loads.items():
            if state.shed is not None and state.shed.rehearsal and state.seen.available:
                load = self._loads[load_id]
                truly = (taken_by(load, state.seen) or 0.0) if state.seen.on else 0.0
                total += self.plan.effect(load, limit, max(0.0, truly - (self.draw(load) or 0.0)))
        return total

    def _effect(self, load: Load, limit: Limit, watts: float) -> float:
        return self.plan.effect(load, limit, watts)

    def _gauge(self, limit: Limit) -> Gauge:
        return self.gauges[limit.id]

    def _write(
        self,
        now: float,
        event: Event,
        load: Load | None = None,
        *,
        gauge: Gauge | None = None,
        **numbers: float | bool | None,
    ) -> None:
        self.memory.journal.add(
            Entry(
                at=now,
                event=event,
                load=load.id if load else None,
                limit=gauge.limit.id if gauge else None,
                value=gauge.value if gauge else None,
                bound=gauge.bound(now) if gauge else None,
                rehearsal=self.memory.rehearsal,
                **numbers,  # type: ignore[arg-type]
            )
        )


def taken_by(load: Load, seen: Observation) -> float | None:
    """What a load that is on takes, W, as measured or else as expected."""
    if seen.power is not None:
        return max(0.0, seen.power)
    if load.dimming is not None and seen.level is not None:
        most = load.power or float("inf")
        return min(most, load.dimming.power(seen.level))
    return load.power
