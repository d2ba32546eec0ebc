"""What was done and why, with the numbers that it was based on."""

from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Final, Self

KEPT: Final = 200
"""Entries that are kept."""


class Event(StrEnum):
    """What there is to write down."""

    SHED = "shed"
    """A load was switched off, or set to less."""
    RESTORED = "restored"
    """A load was switched on again, or set to more."""
    RELEASED = "released"
    """A load was let go without being switched: it stays as it is."""
    TAKEN_OVER = "taken_over"
    """Somebody else has switched a load that was off: it is left alone for a while."""
    CAME_BACK = "came_back"
    """A load that was off was found on after it had been away."""
    NO_REACTION = "no_reaction"
    """A load was told something and did not do it."""
    NOTHING_LEFT = "nothing_left"
    """A limit is exceeded and there is no load that could go off."""
    FUTILE = "futile"
    """Switching loads off did not lower what the limit measures."""
    CAP_REACHED = "cap_reached"
    """Too much was switched within an hour."""
    STALE = "stale"
    """The readings of a limit have ended, or make no sense."""
    FRESH = "fresh"
    """The readings of a limit are back."""
    SWITCHED_ON = "switched_on"
    """Load shedding was switched on."""
    SWITCHED_OFF = "switched_off"
    """Load shedding was switched off."""
    REHEARSAL = "rehearsal"
    """From now on it is only said what would be done."""
    IN_EARNEST = "in_earnest"
    """From now on it is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the journal; what does not apply is None."""

    at: float
    """Unix time."""
    event: Event
    load: str | None = None
    """Id of the load."""
    limit: str | None = None
    """Id of the limit that was the reason."""
    value: float | None = None
    """What was measured, in the limit's unit."""
    bound: float | None = None
    """What the limit was then."""
    room: float | None = None
    """The least room of the time before, for what came back."""
    watts: float | None = None
    """What the load took, or is expected to take."""
    level: float | None = None
    """What a dimmable load was set to."""
    by_hand: bool = False
    """Whether a person or an automation asked for it."""
    rehearsal: bool = False
    """Whether it was only said."""

    def to_json(self) -> dict[str, Any]:
        """The entry as it is stored: what does not apply is left out."""
        return {
            key: value
            for key, value in asdict(self).items()
            if value is not None and value is not False
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """A stored entry."""
        known = {field.name for field in fields(cls)}
        return cls(
            **{
                **{key: value for key, value in data.items() if key in known},
                "event": Event(data["event"]),
            }
        )


class Journal:
    """The last entries, and those that nobody has taken note of yet."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        """Go on after these."""
        self._entries = deque(entries, KEPT)
        self._new: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """Write an entry."""
        self._entries.append(entry)
        self._new.append(entry)

    def take_new(self) -> list[Entry]:
        """The entries since this was asked last."""
        new, self._new = self._new, []
        return new

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What is kept, oldest first."""
        return tuple(self._entries)
