"""Switching loads, and what becomes of it: done, not done, or done by somebody else."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Final

from .choice import Pick
from .journal import Event
from .knowledge import Knowledge
from .memory import HOUR, Flight, LoadMemory, Observation, Shed
from .plan import Limit, Load

CONFIRM: Final = 20.0
"""Seconds within which a load has to have done what it was told."""
PATIENCE: Final = 2.0
"""Seconds for which the effect of a switching is believed that nobody has confirmed."""
SKIP: Final = 30.0
"""Seconds for which a load that did not react is left alone; doubled each time."""
LONGEST_SKIP: Final = 600.0
LATE: Final = 120.0
"""Seconds within which a load that goes off after all is taken to have done what it was told."""
MOST_WAITS: Final = 12
"""Doublings of the wait of a load that keeps having to go off again."""


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


class Switching(Knowledge):
    """Tells loads what to do, and takes note of what they do."""

    # What is told

    def _all_of(self, load: Load) -> Pick:
        """As much of a load as can go."""
        watts, dimming = self.draw(load) or 0.0, load.dimming
        if dimming is None:
            return Pick(load, watts)
        level = dimming.minimum if dimming.off is None else dimming.off
        return Pick(load, max(0.0, watts - dimming.power(level)), level)

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

    # What is seen of it

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

    def _time_out(self, now: float) -> None:
        """Give up on what was told and not done, and forget what has become visible."""
        for load in self._ordered:
            state = self.memory.load(load.id)
            if state.flight is not None and now - state.flight.at >= CONFIRM:
                self._not_arrived(load, state, now)
        oldest = now - self.plan.settings.restore_delay - PATIENCE
        self._effects.forget(oldest, self.gauges, self._loads)


def _reached(load: Load, seen: Observation, *, on: bool, level: float | None) -> bool:
    """Whether a load is found as it was told to be."""
    if load.dimming is None or level is None:
        return seen.on is on
    return seen.level is not None and abs(seen.level - level) <= load.dimming.step / 2
