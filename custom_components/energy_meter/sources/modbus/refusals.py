"""What a meter turns out to refuse, and how that is kept.

A profile says what a family of meters gives; a single meter may give less. What it refuses is found out by
halves (`Meter.refused`), remembered over restarts, and tried again after a week.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
import logging
from typing import Any, Final, Self

from .profile import Span, Table

_LOGGER = logging.getLogger(__name__)

REFUSAL_MEMORY: Final = 7 * 24 * 3600.0
"""Seconds after which a refused register is tried again."""


@dataclass(slots=True)
class Split:
    """A refused request whose needs are being read in two halves, to see what was wrong with it."""

    span: Span
    gap: Span | None
    """The hole between the halves, if they have one."""
    pending: int = 2
    good: bool = True
    longest: int = 0


@dataclass(slots=True)
class Refused:
    """What a meter refuses, with the time (Unix) at which it was found out."""

    barred: dict[Span, float] = field(default_factory=dict)
    """Registers that no request may touch."""
    whole: dict[Span, float] = field(default_factory=dict)
    """Requests that are refused as a whole."""
    longest: tuple[int, float] | None = None
    """Most registers in one request, if fewer than the profile says."""

    @classmethod
    def from_memory(cls, memory: Mapping[str, Any], unix: float) -> Self:
        """Take what `to_memory` gave, but for what is too old or makes no sense.

        Args:
            memory: as kept.
            unix: time of day, seconds since 1970.
        """
        refused = cls(_spans_from_json(memory.get("barred")), _spans_from_json(memory.get("whole")))
        match memory.get("longest"):
            case [int(count), float() | int() as at]:
                refused.longest = (count, float(at))
        refused.forget_old(unix)
        return refused

    def to_memory(self) -> dict[str, Any]:
        """Return the facts fit for JSON, without what there is none of."""
        memory: dict[str, Any] = {}
        if self.barred:
            memory["barred"] = _spans_to_json(self.barred)
        if self.whole:
            memory["whole"] = _spans_to_json(self.whole)
        if self.longest:
            memory["longest"] = list(self.longest)
        return memory

    def copy(self) -> Refused:
        """Return the same facts, apart from these."""
        return Refused(dict(self.barred), dict(self.whole), self.longest)

    def forget_old(self, unix: float) -> bool:
        """Drop what was found out more than a week before `unix`; return whether there was any."""
        old = unix - REFUSAL_MEMORY
        before = (len(self.barred), len(self.whole), self.longest)
        self.barred = {span: at for span, at in self.barred.items() if at >= old}
        self.whole = {span: at for span, at in self.whole.items() if at >= old}
        if self.longest and self.longest[1] < old:
            self.longest = None
        return before != (len(self.barred), len(self.whole), self.longest)


def _spans_to_json(spans: Mapping[Span, float]) -> list[list[Any]]:
    return [[span.table.value, span.address, span.count, at] for span, at in spans.items()]


def _spans_from_json(rows: object) -> dict[Span, float]:
    spans: dict[Span, float] = {}
    if isinstance(rows, list):
        for row in rows:
            try:
                table, address, count, at = row
                spans[Span(Table(table), int(address), int(count))] = float(at)
            except ValueError, TypeError:
                _LOGGER.debug("Skipped a memory of refused registers that makes no sense: %s", row)
    return spans
