"""Energy that goes on where it was when a monitor restarts.

A monitor saves its counters now and then. After a loss of its supply it goes on from what was saved, which is a
little less than what it said last. It says so by another boot number; what is missing is added from then on.
"""

from typing import Final

WRAP: Final = 2**48 - 1
"""Figures of a counter: the highest of 48 bits means "not available"."""


class _Counter:
    """One counter of a monitor."""

    def __init__(self) -> None:
        self.boot: int | None = None
        self.last: int | None = None
        self.offset = 0

    def take(self, boot: int, energy: int) -> int:
        restarted = self.boot is not None and boot != self.boot
        if self.last is not None:
            if restarted and energy < self.last:
                self.offset += self.last - energy
            elif self.last - energy > WRAP // 2:
                self.offset += WRAP
        self.boot, self.last = boot, energy
        return energy + self.offset


class Continuity:
    """One monitor's two counters, in mWh."""

    def __init__(self, state: object = None) -> None:
        """Begin with nothing known, or where `state` ended; what is broken in it is ignored."""
        self._counters = (_Counter(), _Counter())
        if isinstance(state, list) and len(state) == len(self._counters):
            for counter, kept in zip(self._counters, state, strict=True):
                if (
                    isinstance(kept, list)
                    and len(kept) == 3
                    and all(isinstance(each, int) and each >= 0 for each in kept)
                ):
                    counter.boot, counter.last, counter.offset = kept

    def take(
        self, boot: int, energies: tuple[int | None, int | None]
    ) -> tuple[int | None, int | None]:
        """The counters as they count on over restarts, mWh.

        Args:
            boot: number of the monitor's start.
            energies: import and export as it says them.
        """
        taken, given = (
            None if energy is None else counter.take(boot, energy)
            for counter, energy in zip(self._counters, energies, strict=True)
        )
        return taken, given

    def reset(self) -> None:
        """The user has set the counters to zero."""
        self._counters = (_Counter(), _Counter())

    @property
    def state(self) -> list[list[int] | None]:
        """All that a restart has to know, ready for JSON."""
        return [
            None
            if counter.boot is None or counter.last is None
            else [counter.boot, counter.last, counter.offset]
            for counter in self._counters
        ]
