"""Load shedding as a state machine: readings and what is seen of the loads go in, switchings come out.

No clock and no I/O: every call brings the time, in seconds of Unix time. Call `step` after every input and
at the latest at `wake`; carry out what it returns, and say with `observe` or `failed` what became of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Final

from .choice import NOTHING, Offer, Pick, Want, fit, pick, taken
from .effects import FUTILE_WAIT, LONGEST_FUTILE_WAIT, Effects
from .gauge import Gauge
from .journal import Entry, Event
from .memory import HOUR, Flight, LoadMemory, Memory, Observation, Shed
from .outlook import Blocker
from .plan import Limit, Load, Plan, Urgency

IDLE: Final = 25.0
"""W: a load that is measured and takes less is not worth switching off."""
CONFIRM: Final = 20.0
"""Seconds within which a load has to have done what it was told."""
PATIENCE: Final = 2.0
"""Seconds for which the effect of a switching is believed that nobody has confirmed."""
SKIP: Final = 30.0
"""Seconds for which a load that did not react is left alone; doubled each time."""
LONGEST_SKIP: Final = 600.0
LATE: Final = 120.0
"""Seconds within which a load that goes off after all is taken to have done what it was told."""
SOFT_PAUSE: Final = 30.0
"""Seconds between two loads that go off because of a soft limit."""
BYPASS: Final = 900.0
"""Seconds that less important loads wait for the room that a more important one needs."""
MOST_WAITS: Final = 12
LONGEST_WAIT: Final = 3_600.0
"""Seconds that a load which keeps having to go off again is made to wait at most."""
RELEASE_PAUSE: Final = 2.0
"""Seconds between two loads that are given back when load shedding is switched off."""
PASS_PAUSE: Final = 1.0
"""Seconds between two passes, so that the cap per pass means something."""
TICK: Final = 1.0
"""Seconds between two looks while something is going on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something to be carried out."""

    load: str
    on: bool
    """Back on (or up), or off (or down)."""
    level: float | None = None
    """What a dimmable load is to be set to."""
    mode: str | None = None
    """What the load was set to before it went off."""
    rehearsal: bool = False
    """Not to be carried out: it is only what would be done."""


class RefusedError(Exception):
    """A wish that cannot be granted."""

    def __init__(self, blocker: Blocker, load: str | None, until: float | None = None) -> None:
        """Say why, for which load (None: for all), and until when if that is known."""
        super().__init__(blocker.value)
        self.blocker = blocker
        self.load = load
        self.until = until


class Controller:
    """Keeps the limits by the loads."""

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
        self._fresh: dict[str, bool] = {}
        self._noted: set[str] = set()
        self._capped = False
        self._pass_at = self._soft_at = float("-inf")
        self._released_at = float("-inf")
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
        for limit_id in self._fresh.keys() - gauges.keys():
            del self._fresh[limit_id]
        self._effects.forget(float("-inf"), gauges, self._loads)

    # What is seen

    def reading(self, limit_id: str, value: float | None, now: float) -> bool:
        """Take a measured value, W or A; None: the sensor has nothing to say.

        Returns:
            Whether it was believed.
        """
        now = self._advance(now)
        gauge = self.gauges[limit_id]
        if value is not None:
            value -= self._rehearsed(gauge.limit)
        believed = gauge.take(value, now)
        if believed and value is not None and self._effects.judge(gauge, now):
            self._stop(gauge, now)
        return believed

    def bound(self, limit_id: str, value: float | None, now: float) -> bool:
        """Take what a limit follows, W or A; None: it is not known.

        Returns:
            Whether it was believed.
        """
        now = self._advance(now)
        return self.gauges[limit_id].take_bound(value, now)

    def observe(self, load_id: str, seen: Observation, now: float) -> None:
        """Take how a load is found."""
        now = self._advance(now)
        load, state = self._loads[load_id], self.memory.load(load_id)
        before = state.seen
        if seen.power is not None and not (isfinite(seen.power) and seen.power < 1_000_000):
            seen = replace(seen, power=None)
        state.seen = seen
        if not seen.available:
            return
        if state.on is None:
            state.since = now if seen.since is None else min(seen.since, now)
        elif state.on != seen.on:
            state.since = now
        state.on = seen.on
        if seen.on and seen.power is not None:
            state.peak = max(state.peak, seen.power)
        if state.flight is not None:
            if _reached(load, seen, on=state.flight.on, level=state.flight.level):
                self._arrived(load, state, now)
        elif state.shed is not None and not state.shed.rehearsal:
            if not _reached(load, seen, on=False, level=state.shed.level):
                self._taken_over(load, state, now, by_hand=before.available)
        elif state.late is not None:
            if _reached(load, seen, on=False, level=state.late.level):
                state.shed, state.late, state.failures = state.late, None, 0
                state.shed.confirmed = True
            elif now - state.late.at > LATE:
                state.late = None

    def failed(self, load_id: str, now: float) -> None:
        """A load could not be told what it should do."""
        now = self._advance(now)
        state = self.memory.load(load_id)
        if state.flight is not None:
            self._not_arrived(self._loads[load_id], state, now)

    # What is wished

    def enable(self, on: bool, now: float) -> None:
        """Switch load shedding on or off; off, it gives back what it took."""
        now = self._advance(now)
        if on != self.memory.enabled:
            self.memory.enabled = on
            self._write(now, Event.SWITCHED_ON if on else Event.SWITCHED_OFF)

    def rehearse(self, on: bool, now: float) -> None:
        """Only say what would be done, or do it; what was done in earnest is given back first."""
        now = self._advance(now)
        if on != self.memory.rehearsal:
            self.memory.rehearsal = on
            self._write(now, Event.REHEARSAL if on else Event.IN_EARNEST)

    def shed_now(self, load_id: str | None, now: float, duration: float = 0.0) -> list[Act]:
        """Switch a load off, or the next one in order, whatever the limits say.

        Args:
            load_id: the load; None: the next in order that can go.
            now: the time.
            duration: how long it does not come back by itself, s.

        Raises:
            RefusedError: it is protected, away, off already or has to stay on.
        """
        now = self._advance(now)
        loads = self._ordered if load_id is None else [self._loads[load_id]]
        refused: RefusedError | None = None
        for load in loads:
            state = self.memory.load(load.id)
            blocker = self._why_on(load, state, now, by_hand=True)
            if blocker is None:
                chosen = self._all_of(load)
                return self._switch_off(chosen, None, now, by_hand=True, until=now + duration)
            until = state.since + load.min_on if blocker is Blocker.MIN_ON else None
            refused = RefusedError(blocker, load_id, until)
        raise refused or RefusedError(Blocker.OFF, None)

    def _all_of(self, load: Load) -> Pick:
        """As much of a load as can go."""
        watts, dimming = self.draw(load) or 0.0, load.dimming
        if dimming is None:
            return Pick(load, watts)
        level = dimming.minimum if dimming.off is None else dimming.off
        return Pick(load, max(0.0, watts - dimming.power(level)), level)

    def restore_now(self, load_id: str | None, now: float) -> list[Act]:
        """Give a load back, or all of them, whatever the limits say; they are left alone then.

        Raises:
            RefusedError: it is not off because of us, is away, or has to stay off.
        """
        now = self._advance(now)
        acts: list[Act] = []
        refused = RefusedError(Blocker.NOT_SHED, load_id)
        for load in self._ordered[::-1] if load_id is None else [self._loads[load_id]]:
            state = self.memory.load(load.id)
            if state.shed is None:
                continue
            blocker, until = self._why_off(load, state, now, by_hand=True)
            if blocker is not None:
                refused = RefusedError(blocker, load.id, until)
                continue
            state.hold_until = now + self.plan.settings.hold
            want = self._want(load, state.shed)
            acts += self._switch_on(Pick(load, -want.watts, want.wish), now, by_hand=True)
        if not acts:
            raise refused
        return acts

    # What follows

    def step(self, now: float) -> list[Act]:
        """Decide; the returned switchings are to be carried out at once."""
        now = self._advance(now)
        self._time_out(now)
        self._note_freshness(now)
        acts = self._release(now)
        if self.memory.enabled and now - self._pass_at >= PASS_PAUSE:
            passed = self._protect(now) or self._recover(now)
            if passed:
                self._pass_at = now
            acts += passed
        return acts

    def wake(self, now: float) -> float | None:
        """When to call `step` again if nothing else happens; None: not before the next input."""
        gauges = self.gauges.values()
        busy = any(
            state.shed is not None or state.flight is not None
            for state in self.memory.loads.values()
        ) or (self.memory.enabled and any(gauge.over(now) for gauge in gauges))
        if busy:
            return now + TICK
        ends = [
            gauge.value_at + gauge.limit.freshness + 0.01
            for gauge in gauges
            if gauge.value_at is not None and gauge.fresh(now)
        ]
        return min(ends, default=None)

    # Time

    def _advance(self, now: float) -> float:
        """Follow the clock, also one that is set back."""
        if now < self._now:
            seconds = now - self._now
            self.memory.shift(seconds)
            for gauge in self.gauges.values():
                gauge.shift(seconds)
            self._effects.shift(seconds)
            self._pass_at += seconds
            self._soft_at += seconds
            self._released_at += seconds
        self._now = self.memory.at = now
        return now

    def _time_out(self, now: float) -> None:
        """Give up on what was told and not done, and forget what has become visible."""
        for load in self._ordered:
            state = self.memory.load(load.id)
            if state.flight is not None and now - state.flight.at >= CONFIRM:
                self._not_arrived(load, state, now)
        oldest = now - self.plan.settings.restore_delay - PATIENCE
        self._effects.forget(oldest, self.gauges, self._loads)

    def _note_freshness(self, now: float) -> None:
        for limit_id, gauge in self.gauges.items():
            fresh = gauge.fresh(now)
            before = self._fresh.get(limit_id)
            if fresh != before:
                self._fresh[limit_id] = fresh
                if before is not None:
                    self._write(now, Event.FRESH if fresh else Event.STALE, gauge=gauge)
            if not gauge.over(now):
                self._noted.discard(limit_id)
                if fresh:
                    self._effects.settle(gauge.limit)
                    self.memory.stopped.pop(limit_id, None)

    # Off

    def draw(self, load: Load) -> float | None:
        """What a load takes now, W, as measured or else as expected; None: nobody knows."""
        state = self.memory.load(load.id)
        seen, shed = state.seen, state.shed
        if not seen.available or not seen.on:
            return 0.0
        if shed is not None and shed.rehearsal:
            return load.dimming.power(shed.level) if load.dimming and shed.level else 0.0
        return _taken(load, seen)

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

    def _excess(self, gauge: Gauge, now: float) -> float:
        """By how much a limit is exceeded when all that was told is done; 0 while it may wait."""
        headroom, due = gauge.headroom(now), gauge.due(now)
        if headroom is None or due is None or due > now:
            return 0.0
        if self.stopped_until(gauge.limit.id, now) is not None:
            return 0.0
        return max(0.0, -headroom - self.unseen(gauge))

    def _protect(self, now: float) -> list[Act]:
        """Switch off what has to go."""
        excess = {
            gauge.limit: amount
            for gauge in self.gauges.values()
            if gauge.over(now) and (amount := self._excess(gauge, now)) > NOTHING
        }
        hard = {limit: by for limit, by in excess.items() if limit.urgency is Urgency.HARD}
        acts: list[Act] = []
        if hard:
            acts = self._shed(hard, now, self.plan.settings.per_pass)
        soft = {limit: by for limit, by in excess.items() if limit.urgency is Urgency.SOFT}
        if soft and not acts and now - self._soft_at >= SOFT_PAUSE:
            acts = self._shed(soft, now, 1)
            if acts:
                self._soft_at = now
        return acts

    def _shed(self, excess: Mapping[Limit, float], now: float, most: int) -> list[Act]:
        allowed = self.plan.settings.per_hour - self.memory.recent(now)
        if allowed <= 0:
            if not self._capped:
                self._capped = True
                worst = max(excess, key=lambda limit: excess[limit])
                self._write(now, Event.CAP_REACHED, gauge=self._gauge(worst))
            return []
        self._capped = False
        picks = pick(self.plan, excess, self.offers(now), len(self._ordered))
        for limit in excess:
            if not any(self.plan.effect(one.load, limit, one.saves) > 0 for one in picks):
                self._nothing_left(limit, now)
        picks = picks[: min(most, allowed)]  # What is left is for the next pass.
        acts: list[Act] = []
        for chosen in picks:
            acts += self._switch_off(chosen, self._reason(chosen, excess), now)
        for limit in excess:
            drop = sum(self.plan.effect(one.load, limit, one.saves) for one in picks)
            self._effects.expect(self._gauge(limit), drop, now)
        return acts

    def _reason(self, chosen: Pick, excess: Mapping[Limit, float]) -> Limit:
        """The limit for which a load was chosen: the one that it relieves most."""

        def relief(limit: Limit) -> float:
            return min(1.0, self.plan.effect(chosen.load, limit, chosen.saves) / excess[limit])

        return max(excess, key=relief)

    def _nothing_left(self, limit: Limit, now: float) -> None:
        gauge = self._gauge(limit)
        if limit.id not in self._noted and self.unseen(gauge) <= 0:
            self._noted.add(limit.id)
            self._write(now, Event.NOTHING_LEFT, gauge=gauge)

    def _switch_off(
        self,
        chosen: Pick,
        limit: Limit | None,
        now: float,
        *,
        by_hand: bool = False,
        until: float = 0.0,
    ) -> list[Act]:
        load, state = chosen.load, self.memory.load(chosen.load.id)
        rehearsal, previous = self.memory.rehearsal, state.shed
        if previous is None:
            again = state.restored_at is not None and now - state.restored_at < HOUR
            if not by_hand:
                state.waits = min(state.waits + 1, MOST_WAITS) if again else 0
            state.shed = Shed(
                at=now,
                watts=chosen.saves,
                limit=limit.id if limit else None,
                before=state.seen.level if load.dimming else None,
                level=chosen.level,
                mode=state.seen.mode,
                confirmed=rehearsal,
                until=until,
                rehearsal=rehearsal,
            )
        else:
            state.shed = replace(
                previous,
                at=now,
                watts=previous.watts + chosen.saves,
                limit=limit.id if limit else None,
                level=chosen.level,
                confirmed=rehearsal,
                until=max(until, previous.until),
            )
        state.blocked_since = state.late = None
        visible_at = now + (1e-3 if rehearsal else max(PATIENCE, load.reaction))
        self._effects.add(load, chosen.saves, now, visible_at)
        if not by_hand:
            self.memory.switched.append(now)
        self._write(
            now,
            Event.SHED,
            load,
            gauge=self._gauge(limit) if limit else None,
            watts=chosen.saves,
            level=chosen.level,
            by_hand=by_hand,
        )
        if not rehearsal:
            state.flight = Flight(at=now, on=False, level=chosen.level, previous=previous)
        return [Act(load=load.id, on=False, level=chosen.level, rehearsal=rehearsal)]

    # On

    def _want(self, load: Load, shed: Shed) -> Want:
        """What a load needs to have all back."""
        if load.dimming is not None and shed.before is not None and shed.level is not None:
            more = load.dimming.power(shed.before) - load.dimming.power(shed.level)
            return Want(load, max(more, 0.0), shed.level, shed.before)
        expected = load.power
        if expected is None:
            expected = self.memory.load(load.id).peak
        return Want(load, max(shed.watts, expected))

    def why_off(self, load_id: str, now: float) -> tuple[Blocker | None, float | None]:
        """Why a load that is off because of us does not come back now, and until when if known."""
        load, state = self._loads[load_id], self.memory.load(load_id)
        if state.shed is None:
            return Blocker.NOT_SHED, None
        blocker, until = self._why_off(load, state, now)
        if blocker is not None:
            return blocker, until
        rooms = self._rooms(now)
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

    def _rooms(self, now: float) -> dict[Limit, float | None]:
        """The least room of the last time at each limit, less what has come back since."""
        rooms: dict[Limit, float | None] = {}
        for gauge in self.gauges.values():
            room = gauge.room(now)
            if room is not None:
                room -= self._effects.returned(gauge.limit, now - gauge.window)
            rooms[gauge.limit] = room
        return rooms

    def _recover(self, now: float) -> list[Act]:
        """Give back what there is room for, the most important first."""
        if not any(state.shed is not None for state in self.memory.loads.values()):
            return []
        # A load that comes back has to be able to go off again within the hour.
        allowed = (self.plan.settings.per_hour - self.memory.recent(now)) // 2
        most = min(self.plan.settings.per_pass, allowed)
        rooms = self._rooms(now)
        reserved: set[Limit] = set()
        acts: list[Act] = []
        chosen: list[Pick] = []
        for load in reversed(self._ordered):
            state = self.memory.load(load.id)
            shed = state.shed
            if shed is None or shed.rehearsal != self.memory.rehearsal:
                continue
            touched = {limit for limit in rooms if self.plan.effect(load, limit, 1.0) > 0}
            want = self._want(load, shed)
            blocker, until = self._why_off(load, state, now)
            if blocker is not None:
                if until is not None and until - now <= self.plan.settings.restore_delay:
                    rooms = taken(self.plan, rooms, load, want.watts)
                continue
            found = fit(self.plan, rooms, want)
            if found is None:
                if state.blocked_since is None:
                    state.blocked_since = now
                if now - state.blocked_since < BYPASS:
                    reserved |= touched
                continue
            if touched & reserved or len(chosen) >= most:
                continue
            chosen.append(found)
            rooms = taken(self.plan, rooms, load, -found.saves)
        for found in chosen:
            acts += self._switch_on(found, now, rooms=self._rooms(now))
        return acts

    def _switch_on(
        self,
        chosen: Pick,
        now: float,
        *,
        by_hand: bool = False,
        rooms: Mapping[Limit, float | None] | None = None,
    ) -> list[Act]:
        load, state = chosen.load, self.memory.load(chosen.load.id)
        shed = state.shed
        assert shed is not None
        complete = load.dimming is None or chosen.level == shed.before
        visible_at = now + max(PATIENCE, load.reaction)
        self._effects.add(load, chosen.saves, now, visible_at)
        if not by_hand:
            self.memory.switched.append(now)
        tightest = min(
            (
                (room, limit)
                for limit, room in (rooms or {}).items()
                if room is not None and self.plan.effect(load, limit, 1.0) > 0
            ),
            key=lambda each: each[0],
            default=None,
        )
        self._write(
            now,
            Event.RESTORED,
            load,
            gauge=self._gauge(tightest[1]) if tightest else None,
            room=tightest[0] if tightest else None,
            watts=-chosen.saves,
            level=chosen.level,
            by_hand=by_hand,
        )
        state.flight = Flight(at=now, on=True, level=chosen.level, complete=complete)
        if shed.rehearsal:
            self._arrived(load, state, now)
        return [
            Act(
                load=load.id,
                on=True,
                level=chosen.level,
                mode=shed.mode,
                rehearsal=shed.rehearsal,
            )
        ]

    # What became of it

    def _arrived(self, load: Load, state: LoadMemory, now: float) -> None:
        """A load has done what it was told."""
        flight, shed = state.flight, state.shed
        assert flight is not None and shed is not None
        state.flight = None
        state.failures, state.skip_until, state.returning = 0, 0.0, None
        if not flight.on:
            shed.confirmed = True
            self._effects.confirm(load, now)
            return
        state.restored_at = flight.at
        state.blocked_since = None
        if flight.complete:
            state.shed = None
        else:
            assert load.dimming is not None and shed.before is not None
            shed.level = flight.level
            shed.watts = load.dimming.power(shed.before) - load.dimming.power(flight.level or 0.0)

    def _not_arrived(self, load: Load, state: LoadMemory, now: float) -> None:
        """A load has not done what it was told."""
        flight = state.flight
        assert flight is not None
        state.flight = None
        state.failures += 1
        state.skip_until = now + min(SKIP * 2 ** (min(state.failures, 10) - 1), LONGEST_SKIP)
        if flight.on:
            state.returning = flight.at
        else:
            if flight.previous is None:
                state.late = state.shed
            state.shed = flight.previous
        self._effects.cancel(load, flight.at, self.plan.limits)
        self._write(now, Event.NO_REACTION, load, level=flight.level)

    def _taken_over(self, load: Load, state: LoadMemory, now: float, *, by_hand: bool) -> None:
        """Somebody has switched a load that was off because of us; it is not ours any more."""
        told, state.returning = state.returning, None
        if told is not None and now - told <= LATE:  # It has only been slow to come back.
            by_hand = False
        state.shed = None
        state.blocked_since = None
        if by_hand:
            state.hold_until = now + self.plan.settings.hold
        self._write(now, Event.TAKEN_OVER if by_hand else Event.CAME_BACK, load, by_hand=by_hand)

    def _stop(self, gauge: Gauge, now: float) -> None:
        """Switching off has not helped: let it be for a while."""
        _until, wait = self.memory.stopped.get(gauge.limit.id, (0.0, FUTILE_WAIT / 2))
        wait = min(2 * wait, LONGEST_FUTILE_WAIT)
        self.memory.stopped[gauge.limit.id] = (now + wait, wait)
        self._write(now, Event.FUTILE, gauge=gauge)

    # Giving back without asking for room

    def _release(self, now: float) -> list[Act]:
        """Give back what is not to be off any more: all when switched off, one after another."""
        acts: list[Act] = []
        for load in reversed(self._ordered):
            state = self.memory.load(load.id)
            shed = state.shed
            if shed is None or (self.memory.enabled and shed.rehearsal == self.memory.rehearsal):
                continue
            if shed.rehearsal or not load.restorable:
                if state.flight is None:
                    state.shed = None
                    self._write(now, Event.RELEASED, load)
                continue
            if now - self._released_at < RELEASE_PAUSE or now < state.skip_until:
                continue
            if self._why_off(load, state, now, by_hand=True)[0] is None:
                self._released_at = now
                want = self._want(load, shed)
                acts += self._switch_on(Pick(load, -want.watts, want.wish), now, by_hand=True)
        return acts

    def _rehearsed(self, limit: Limit) -> float:
        """What a reading would be less if a rehearsal were in earnest."""
        total = 0.0
        for load_id, state in self.memory.loads.items():
            if state.shed is not None and state.shed.rehearsal and state.seen.available:
                load = self._loads[load_id]
                truly = (_taken(load, state.seen) or 0.0) if state.seen.on else 0.0
                total += self.plan.effect(load, limit, max(0.0, truly - (self.draw(load) or 0.0)))
        return total

    # Small things

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


def _taken(load: Load, seen: Observation) -> float | None:
    """What a load that is on takes, W, as measured or else as expected."""
    if seen.power is not None:
        return max(0.0, seen.power)
    if load.dimming is not None and seen.level is not None:
        most = load.power or float("inf")
        return min(most, load.dimming.power(seen.level))
    return load.power


def _reached(load: Load, seen: Observation, *, on: bool, level: float | None) -> bool:
    """Whether a load is found as it was told to be."""
    if load.dimming is None or level is None:
        return seen.on is on
    return seen.level is not None and abs(seen.level - level) <= load.dimming.step / 2
