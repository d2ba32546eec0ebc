"""What switching does to the readings: effects that the meter does not show yet, and those that never come."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from .gauge import Gauge
from .plan import Limit, Load

HELPED: Final = 0.2
"""The part of the expected drop that has to be seen, or switching off did not help."""
FUTILE: Final = 2
"""Times in a row that it does not help before it is left alone."""
FUTILE_WAIT: Final = 60.0
"""Seconds until it is tried again then; doubled each time."""
LONGEST_FUTILE_WAIT: Final = 900.0

type Effect = Callable[[Load, Limit, float], float]
"""What watts of a load are in what a limit measures."""


@dataclass(slots=True)
class _Move:
    load: Load
    watts: float
    """Positive: saved."""
    at: float
    visible_at: float
    """A reading from then on shows it."""


@dataclass(slots=True)
class _Trial:
    """Does it help? Judged by the first reading that has to show it."""

    baseline: float
    expected: float
    due: float


class Effects:
    """Keeps book of switchings and of what came of them."""

    def __init__(self, effect: Effect) -> None:
        """Start without any; `effect` says who loads what."""
        self.effect = effect
        self._moves: list[_Move] = []
        self._trials: dict[str, _Trial] = {}
        self._futile: dict[str, int] = {}

    def add(self, load: Load, watts: float, now: float, visible_at: float) -> None:
        """Note a switching that saves `watts`, or takes them if negative."""
        self._moves.append(_Move(load, watts, now, visible_at))

    def confirm(self, load: Load, now: float) -> None:
        """A load was seen to be off: the meter will show it after its reaction time."""
        for move in self._moves:
            if move.load.id == load.id and move.watts > 0:
                move.visible_at = min(move.visible_at, now + load.reaction)

    def cancel(self, load: Load, at: float, limits: Iterable[Limit]) -> None:
        """What was switched at `at` has not happened, which says nothing about the limits."""
        self._moves = [move for move in self._moves if move.load.id != load.id or move.at != at]
        for limit in limits:
            if self.effect(load, limit, 1.0) > 0:
                self._trials.pop(limit.id, None)

    def forget(self, before: float, limits: Iterable[str], loads: Iterable[str]) -> None:
        """Drop what was visible before a time, and what is about others than these."""
        loads, limits = set(loads), set(limits)
        self._moves = [
            move for move in self._moves if move.visible_at > before and move.load.id in loads
        ]
        for kept in (self._trials, self._futile):
            for limit_id in kept.keys() - limits:
                del kept[limit_id]

    def unseen(self, limit: Limit, at: float) -> float:
        """What was switched off and a reading of the time `at` does not show yet."""
        return sum(
            self.effect(move.load, limit, move.watts)
            for move in self._moves
            if move.watts > 0 and at < move.visible_at
        )

    def returned(self, limit: Limit, since: float) -> float:
        """What has come back, and readings from `since` on do not show throughout."""
        return sum(
            self.effect(move.load, limit, -move.watts)
            for move in self._moves
            if move.watts < 0 and move.visible_at > since
        )

    def expect(self, gauge: Gauge, drop: float, now: float) -> None:
        """A reading will have to drop by this because of what was switched at `now`."""
        if drop <= 0 or gauge.value is None:
            return
        due = max(move.visible_at for move in self._moves if move.at == now)
        trial = self._trials.get(gauge.limit.id)
        baseline, before = (gauge.value, 0.0) if trial is None else (trial.baseline, trial.expected)
        self._trials[gauge.limit.id] = _Trial(baseline, before + drop, due)

    def judge(self, gauge: Gauge, now: float) -> bool:
        """After a reading: return whether it shows once too often that nothing helps."""
        limit_id = gauge.limit.id
        trial = self._trials.get(limit_id)
        if trial is None or gauge.value is None or now < trial.due:
            return False
        del self._trials[limit_id]
        if trial.baseline - gauge.value >= HELPED * trial.expected:
            self._futile.pop(limit_id, None)
            return False
        self._futile[limit_id] = self._futile.get(limit_id, 0) + 1
        return self._futile[limit_id] >= FUTILE and gauge.over(now)

    def settle(self, limit: Limit) -> None:
        """A limit is kept: whatever did not help before."""
        self._futile.pop(limit.id, None)

    def shift(self, seconds: float) -> None:
        """Follow a clock that was set back."""
        for move in self._moves:
            move.at += seconds
            move.visible_at += seconds
        for trial in self._trials.values():
            trial.due += seconds
