"""How a monitor says it fares: its diagnostics block, and what of it is worth telling."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

INTERVAL: Final = 60.0
"""Seconds between two looks at a monitor's diagnostics."""
NOISY: Final = 3
"""Transactions dropped between two looks from which on that is told; a master that was stopped drops one."""
LONGEST_STRETCH: Final = 100
"""Microseconds that the register map allows a monitor to hold the clock at a time."""

_RESETS: Final[Mapping[int, str]] = {1: "power", 2: "button", 4: "brown_out", 8: "watchdog"}
_UNUSUAL: Final = ("watchdog", "brown_out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One diagnostics block; counts since the monitor's start, None where it does not say."""

    uptime: int | None
    """Seconds."""
    reset: tuple[str, ...]
    """What caused the start; nothing: a command."""
    refused: int
    """Commands."""
    bus_errors: int | None
    """Transactions that it dropped: torn, of a wrong length, damaged, or given up by the master."""
    overruns: int | None
    """Windows with lost samples."""
    pairs: int
    """Samples in the last window."""
    longest_stretch: int | None
    """Microseconds that it held the clock at a time, at the most."""

    @property
    def cause(self) -> str | None:
        """What went wrong before its start, if anything: the event's name. With the power, all else is of it."""
        if "power" in self.reset:
            return None
        return next((word for word in _UNUSUAL if word in self.reset), None)


def diagnosis_of(block: Mapping[str, int | None]) -> Diagnosis:
    """What a decoded diagnostics block says."""
    reset = block["reset"] or 0
    return Diagnosis(
        uptime=block["uptime"],
        reset=tuple(word for bit, word in _RESETS.items() if reset & bit),
        refused=block["refused"] or 0,
        bus_errors=block["bus_errors"],
        overruns=block["overruns"],
        pairs=block["pairs"] or 0,
        longest_stretch=block["longest_stretch"],
    )


def remarks(before: Diagnosis | None, now: Diagnosis) -> dict[str, str]:
    """What a look tells that somebody should know, by kind, in plain words.

    Without a look before it, what happened in former times is not told.
    """
    found: dict[str, str] = {}
    if before is not None:
        if (dropped := _since(before, now, "bus_errors")) >= NOISY:
            found["bus_errors"] = (
                f"dropped {dropped} transactions since the last look: noise on the wires, too long a bus,"
                " or weak pull-ups"
            )
        if lost := _since(before, now, "overruns"):
            found["overruns"] = f"lost samples in {lost} measurements since the last look"
    if (now.longest_stretch or 0) > LONGEST_STRETCH:
        found["stretch"] = f"has held the clock for {now.longest_stretch} µs, longer than it may"
    return found


def _since(before: Diagnosis, now: Diagnosis, count: str) -> int:
    """How much a count has risen; from 0 if the monitor has started anew meanwhile."""
    new, old = getattr(now, count) or 0, getattr(before, count) or 0
    restarted = (now.uptime or 0) < (before.uptime or 0) or new < old
    return int(new if restarted else new - old)
