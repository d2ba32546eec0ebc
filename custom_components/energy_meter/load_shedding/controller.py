"""Load shedding as a state machine: readings and what is seen of the loads go in, switchings come out.

No clock and no I/O: every call brings the time, in seconds of Unix time. Call `step` after every input and
at the latest at `wake`; carry out what it returns, and say with `observe` or `failed` what became of it.
"""

from collections.abc import Mapping
from typing import Final, override

from .choice import NOTHING, Pick, fit, pick, taken
from .effects import FUTILE_WAIT, LONGEST_FUTILE_WAIT
from .gauge import Gauge
from .journal import Event
from .memory import Memory
from .outlook import Blocker
from .plan import Limit, Plan, Urgency
from .switching import Act, Switching

SOFT_PAUSE: Final = 30.0
"""Seconds between two loads that go off because of a soft limit."""
BYPASS: Final = 900.0
"""Seconds that less important loads wait for the room that a more important one needs."""
RELEASE_PAUSE: Final = 2.0
"""Seconds between two loads that are given back when load shedding is switched off."""
PASS_PAUSE: Final = 1.0
"""Seconds between two passes, so that the cap per pass means something."""
TICK: Final = 1.0
"""Seconds between two looks while something is going on."""


class RefusedError(Exception):
    """A wish that cannot be granted."""

    def __init__(self, blocker: Blocker, load: str | None, until: float | None = None) -> None:
        """Say why, for which load (None: for all), and until when if that is known."""
        super().__init__(blocker.value)
        self.blocker = blocker
        self.load = load
        self.until = until


class Controller(Switching):
    """Keeps the limits by the loads."""

    def __init__(self, plan: Plan, memory: Memory | None = None, *, now: float) -> None:
        """Go on from what is remembered; see `Knowledge`."""
        self._fresh: dict[str, bool] = {}
        """Which limits had readings at the last step."""
        self._noted: set[str] = set()
        """Limits of which it is written that nothing is left."""
        self._capped = False
        self._pass_at = self._soft_at = self._released_at = float("-inf")
        super().__init__(plan, memory, now=now)

    @override
    def configure(self, plan: Plan, now: float) -> None:
        super().configure(plan, now)
        for limit_id in self._fresh.keys() - self.gauges.keys():
            del self._fresh[limit_id]

    @override
    def _shift(self, seconds: float) -> None:
        super()._shift(seconds)
        self._pass_at += seconds
        self._soft_at += seconds
        self._released_at += seconds

    # What is measured

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
        for limit in excess:
            if any(self.plan.effect(one.load, limit, one.saves) > 0 for one in picks):
                self._noted.discard(limit.id)
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

    def _stop(self, gauge: Gauge, now: float) -> None:
        """Switching off has not helped: let it be for a while."""
        _until, wait = self.memory.stopped.get(gauge.limit.id, (0.0, FUTILE_WAIT / 2))
        wait = min(2 * wait, LONGEST_FUTILE_WAIT)
        self.memory.stopped[gauge.limit.id] = (now + wait, wait)
        self._write(now, Event.FUTILE, gauge=gauge)

    # On

    def _recover(self, now: float) -> list[Act]:
        """Give back what there is room for, the most important first."""
        if not any(state.shed is not None for state in self.memory.loads.values()):
            return []
        # A load that comes back has to be able to go off again within the hour.
        allowed = (self.plan.settings.per_hour - self.memory.recent(now)) // 2
        most = min(self.plan.settings.per_pass, allowed)
        rooms = self.rooms(now)
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
            acts += self._switch_on(found, now, rooms=self.rooms(now))
        return acts

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
