"""When the parts of a meter are due: pure arithmetic of time and rounds.

A meter's registers fall into groups that are read equally often. Groups with an interval are due on a grid
of their own, so that a late reading does not shift the next ones; groups with the interval 0 follow the fast
group: at once, or every tenth of its rounds.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
import math
from typing import Final

ROUNDS: Final = 10
"""A counter or slow group with the interval 0 is read in every tenth round of the fast group."""

FACTOR_INTERVAL: Final = 300.0
IDENTITY_INTERVAL: Final = 600.0
INFO_INTERVAL: Final = 6 * 3600.0
INFO_PATIENCE: Final = 300.0
"""Seconds that reading the firmware and the like may wait on a line that is never idle; up to five times
that, not all meters at once."""


class Group(StrEnum):
    """Registers of a meter that are read equally often."""

    IDENTITY = "identity"
    """The serial number."""
    FACTORS = "factors"
    """Transformer ratios and the like."""
    FAST = "fast"
    COUNTER = "counter"
    SLOW = "slow"
    INFO = "info"
    """Firmware and the like."""


_SERVICE_INTERVALS: Final = {
    Group.IDENTITY: IDENTITY_INTERVAL,
    Group.FACTORS: FACTOR_INTERVAL,
    Group.INFO: INFO_INTERVAL,
}
_FIRST: Final = {Group.IDENTITY, Group.FACTORS, Group.FAST}
"""What the first turn after a start reads; all else follows in the background (lessons F9)."""


class Schedule:
    """When one meter's groups are due.

    Args:
        intervals: seconds for FAST, COUNTER and SLOW; 0 as said above.
        present: groups that have anything to read.
        now: monotonic clock.
        phase: 0 to 1, where in its interval this meter is read, so that meters take turns.
        slot: 0 to 9, in which of ten rounds this meter reads its slow groups.
    """

    def __init__(
        self,
        intervals: Mapping[Group, float],
        present: Iterable[Group],
        *,
        now: float,
        phase: float = 0,
        slot: int = 0,
    ) -> None:
        """Make everything due at once; the slow groups in the round of their slot."""
        self._epoch = now
        self._phase = phase
        self._interval: dict[Group, float] = {}
        self._due: dict[Group, float] = {}
        self._rounds: dict[Group, int] = {}
        self._slot = slot
        present = set(present)
        fast = intervals.get(Group.FAST, 0) if Group.FAST in present else None
        for group in present:
            interval = _SERVICE_INTERVALS.get(group) or intervals.get(group, 0)
            if group in {Group.COUNTER, Group.SLOW} and interval == 0:
                if fast is not None:
                    self._rounds[group] = slot
                    continue
                interval = 1.0  # Without a fast group there are no rounds to count.
            self._interval[group] = interval
            self._due[group] = now
        self._allowance = {group: self._allow(group) for group in self._due}
        self._first = True

    def _allow(self, group: Group) -> tuple[float, float, float]:
        """How long a group that is due may wait: seconds at most, rounds of the line, and seconds on top."""
        longest = self._interval[group] or math.inf
        if group in _FIRST:
            return longest, 1, 0
        if group is Group.INFO:
            return 0, 0, INFO_PATIENCE * (1 + 4 * self._phase)
        return longest, ROUNDS, 0

    def restart(self, now: float) -> None:
        """Make everything due at once, as after a start."""
        self._first = True
        for group in self._due:
            self._due[group] = now
        for group in self._rounds:
            self._rounds[group] = self._slot

    def move(self, slot: int) -> None:
        """Take another round for the slow groups."""
        for group, rounds in self._rounds.items():
            self._rounds[group] = (rounds + slot - self._slot) % ROUNDS
        self._slot = slot

    def expedite(self, group: Group, at: float) -> None:
        """Make a group due at `at` at the latest; with the next fast turn if it is counted in rounds."""
        if group in self._due:
            self._due[group] = min(self._due[group], at)
        elif group in self._rounds:
            self._rounds[group] = ROUNDS - 1

    def period(self, group: Group, round_time: float) -> float:
        """How often a group can be expected to be read, seconds.

        Args:
            group: the group.
            round_time: seconds in which the line gets round all its meters.
        """
        if group in self._rounds:
            return ROUNDS * self.period(Group.FAST, round_time)
        return max(self._interval.get(group, 0), round_time)

    def deadline(self, group: Group, now: float, round_time: float) -> float:
        """When a group of a turn begun now should be read: within one round, ten for what is not fast."""
        if group in self._rounds:
            group = Group.FAST
        longest, rounds, extra = self._allowance[group]
        return min(self._due[group], now) + extra + min(longest, rounds * round_time)

    def urgency(self, now: float, round_time: float) -> float:
        """Return the first deadline of what is due now; infinite if nothing is. Asked for at every request."""
        first = math.inf
        for group, at in self._due.items():
            if at <= now:
                longest, rounds, extra = self._allowance[group]
                wait = rounds * round_time
                deadline = at + extra + min(longest, wait)
                first = min(first, deadline)
        return first

    @property
    def next_at(self) -> float:
        """When the first group is due; in the past if one is due now."""
        return min(self._due.values(), default=math.inf)

    def due(self, now: float) -> frozenset[Group]:
        """Return the groups to read in one turn begun now; none if it is not yet time.

        Slow groups that would be due within half a fast interval ride along with the fast one, since one
        request may serve them all; the fast one is not read early, or its pace would stagger.
        """
        if self.next_at > now:
            return frozenset()
        fast = self._interval.get(Group.FAST, 0)
        ride = now + fast / (2 if self._due.get(Group.FAST, math.inf) <= now else 20)
        groups = {group for group, at in self._due.items() if at <= ride}
        if self._first:
            return frozenset(groups & _FIRST) or frozenset(groups)
        if Group.FAST in groups:
            groups |= {group for group, rounds in self._rounds.items() if rounds + 1 >= ROUNDS}
        return frozenset(groups)

    def begun(self, groups: Iterable[Group], now: float) -> int:
        """Take note that these groups are being read; return how many of their times were missed."""
        missed = 0
        groups = set(groups)
        self._first = False
        for group in groups & self._due.keys():
            interval = self._interval[group]
            if interval == 0:
                self._due[group] = now
                continue
            if group in _SERVICE_INTERVALS:
                # Not all meters at once, for the rest of the day.
                self._due[group] = now + interval * (0.75 + self._phase / 2)
                continue
            missed += max(0, math.floor((now - self._due[group]) / interval))
            self._due[group] = self._slot_after(group, max(now, self._due[group]))
        if Group.FAST in groups:
            for group in self._rounds:
                self._rounds[group] = 0 if group in groups else self._rounds[group] + 1
        return missed

    def _slot_after(self, group: Group, time: float) -> float:
        """The next time on a group's grid: slow groups with the fast one, meters spread evenly."""
        interval = self._interval[group]
        fast = self._interval.get(Group.FAST, 0)
        if group is not Group.FAST and 0 < fast <= interval:
            offset = self._phase * fast + math.floor(self._phase * interval / fast) * fast
        else:
            offset = self._phase * interval
        start = self._epoch + offset
        # A hair is added so that rounding never gives the same time again.
        return start + (math.floor((time - start) / interval + 1e-9) + 1) * interval


def phase_of(index: int) -> float:
    """Return a phase for the meter with this number: the multiples of the golden ratio spread any count."""
    return index * 0.6180339887498949 % 1.0


def slots(costs: Iterable[float]) -> list[int]:
    """Return for each of these costs the round, of ten, that it falls in, so that rounds take equally long."""
    loads = [0.0] * ROUNDS
    order = sorted(enumerate(costs), key=lambda item: -item[1])
    chosen = [0] * len(order)
    for index, cost in order:
        slot = min(range(ROUNDS), key=loads.__getitem__)
        loads[slot] += cost
        chosen[index] = slot
    return chosen
