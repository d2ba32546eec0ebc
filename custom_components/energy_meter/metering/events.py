"""What the counter guard tells, asks, and may be answered."""

from dataclasses import dataclass
from enum import StrEnum


class CounterEventKind(StrEnum):
    """What happened to a counter."""

    LOWER = "lower"
    """It agrees with itself on a lower figure: the meter was replaced or reset. A question is open."""
    HIGHER = "higher"
    """It agrees on a figure that no hour at full load explains. A question is open."""
    JUMP = "jump"
    """It rose faster than its circuit can carry, by an hour's worth at most or at a pace that it keeps up:
    counted, but worth knowing."""
    CYCLE = "cycle"
    """A resettable counter was cleared and begins a new cycle."""
    ROLLOVER = "rollover"
    """It passed its largest figure and went on from zero."""
    BACK = "back"
    """It is back at its old figure; the open question has answered itself."""


class CounterAnswer(StrEnum):
    """What a user may answer to an open question."""

    NEW_METER = "new_meter"
    """Another meter hangs there: the total goes on, and the new meter's figure so far is not counted."""
    RESET = "reset"
    """The same meter began again at zero: what it shows now was consumed since, and is counted."""
    IGNORE = "ignore"
    """Nothing was changed. A lower figure is waited out until it is back; a higher one is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterEvent:
    """Something about one counter that is worth a log line or a repair."""

    key: str
    kind: CounterEventKind
    before: float
    """The meter's figure before, in the counter's unit."""
    after: float
    """The meter's figure now."""
    time: float
    """UTC, seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterQuestion:
    """An open question, or one that was answered and can still be undone."""

    key: str
    kind: CounterEventKind
    before: float
    after: float
    since: float
    """UTC, seconds since the epoch."""
    answer: CounterAnswer | None = None
