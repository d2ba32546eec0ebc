"""Signs of trouble on a line, seen over minutes: noise, two meters at one address, a second master."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from .sources.base import LinkHealth

WINDOW: Final = 600.0
"""Seconds that are looked back over."""
LEAST_REQUESTS: Final = 50
"""Requests within the window before anything is concluded."""
NOISY: Final = 0.1
"""Share of damaged answers on a line that is worth a repair."""
CLASHING: Final = 0.3
"""Share of damaged answers of one meter, while all others are clean, that speaks for two at its address."""
CLEAN: Final = 0.03
FOREIGN: Final = 10
"""Answers that belonged to nobody here, within the window, that speak for a second master."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a line suffers from."""

    noise: float | None = None
    """Share of damaged answers, if it is too large."""
    clashing: frozenset[str] = frozenset()
    """Meter ids whose address seems to be taken twice."""
    foreign: bool = False


@dataclass(slots=True)
class _Sample:
    time: float
    foreign: int
    meters: Mapping[str, tuple[int, int]]
    """{meter id: (requests, damaged answers)}."""


@dataclass(slots=True)
class LineWatch:
    """Looks at a line's health now and then, and remembers it for a while."""

    _samples: deque[_Sample] = field(default_factory=deque)

    def look(self, time: float, health: LinkHealth) -> Findings:
        """Take the health at `time`, monotonic seconds, and say what the last minutes speak for."""
        meters = {
            meter_id: (meter.requests, max(meter.errors - meter.timeouts, 0))
            for meter_id, meter in health.meters.items()
        }
        self._samples.append(_Sample(time, health.foreign_traffic, meters))
        while time - self._samples[0].time > WINDOW:
            self._samples.popleft()
        first, last = self._samples[0], self._samples[-1]
        shares = dict(_shares(first.meters, last.meters))
        clashing = frozenset(meter_id for meter_id, share in shares.items() if share >= CLASHING)
        others = [share for meter_id, share in shares.items() if meter_id not in clashing]
        if clashing and others and max(others) <= CLEAN:
            worst = None
        else:
            clashing = frozenset()
            worst = max(shares.values(), default=0.0)
        return Findings(
            noise=worst if worst is not None and worst >= NOISY else None,
            clashing=clashing,
            foreign=last.foreign - first.foreign >= FOREIGN,
        )

    def forget(self) -> None:
        """The user has put something right: begin anew."""
        self._samples.clear()


def _shares(
    first: Mapping[str, tuple[int, int]], last: Mapping[str, tuple[int, int]]
) -> list[tuple[str, float]]:
    shares: list[tuple[str, float]] = []
    for meter_id, (requests, damaged) in last.items():
        before_requests, before_damaged = first.get(meter_id, (0, 0))
        asked = requests - before_requests
        if asked >= LEAST_REQUESTS:
            shares.append((meter_id, max(damaged - before_damaged, 0) / asked))
    return shares
