"""What is known about each load, and what of it outlives a restart."""

from collections import deque
from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from typing import Any, Final, Self

from .journal import Entry, Journal

HOUR: Final = 3_600.0
_NOT_STORED: Final = frozenset({"seen", "flight", "returning", "blocked_since"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """How a load was found."""

    available: bool
    """Whether it can be switched at all."""
    on: bool = False
    level: float | None = None
    """Where a dimmable load stands."""
    power: float | None = None
    """What it takes, measured just now, W; None: not measured."""
    mode: str | None = None
    """What it has to be set to again, if on and off are not all."""
    since: float | None = None
    """Since when it has been on or off, Unix time, if that is known."""


AWAY: Final = Observation(available=False)


@dataclass(slots=True, kw_only=True)
class Shed:
    """A load that is off, or at less, because of us."""

    at: float
    watts: float
    """What it took."""
    limit: str | None = None
    """Id of the limit that was the reason."""
    before: float | None = None
    """Where a dimmable load stood."""
    level: float | None = None
    """Where it was set to."""
    mode: str | None = None
    confirmed: bool = False
    """Whether it was seen to be off."""
    until: float = 0.0
    """Not to come back by itself before."""
    rehearsal: bool = False
    """It is on in truth."""


@dataclass(slots=True, kw_only=True)
class Flight:
    """A load was told something and has not been seen to have done it."""

    at: float
    on: bool
    """Whether it was told to come back."""
    level: float | None = None
    """Where a dimmable load was told to go."""
    complete: bool = True
    """Whether it has all back after this."""
    previous: Shed | None = None
    """How it stood before, if it was down already."""


@dataclass(slots=True, kw_only=True)
class LoadMemory:
    """One load."""

    on: bool | None = None
    """Whether it was on when it was seen last; None: never seen."""
    since: float = 0.0
    """When it went on or off, as far as it was seen."""
    shed: Shed | None = None
    hold_until: float = 0.0
    """Left alone until then, as somebody switched it by hand."""
    skip_until: float = 0.0
    """Not told anything until then, as it did not react."""
    failures: int = 0
    """How many times in a row it did not react."""
    waits: int = 0
    """How many times in a row it had to go off soon after it came back."""
    restored_at: float | None = None
    peak: float = 0.0
    """The most that it was seen to take, W."""
    late: Shed | None = None
    """It was told to go off and did not, or not yet."""

    seen: Observation = AWAY
    """Not stored: after a restart it has to be seen again."""
    flight: Flight | None = None
    """Not stored: what became of it is seen after the restart."""
    returning: float | None = None
    """Not stored: when it was told to come back and did not, or not yet."""
    blocked_since: float | None = None
    """Not stored: since when there has been no room for it."""

    def to_json(self) -> dict[str, Any]:
        """What is stored."""
        return {
            field.name: asdict(value) if isinstance(value, Shed) else value
            for field in fields(self)
            if field.name not in _NOT_STORED
            and (value := getattr(self, field.name)) != field.default
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """A stored load; what is missing is as in a new one."""
        known = {field.name for field in fields(cls)} - _NOT_STORED
        found = {key: value for key, value in data.items() if key in known}
        for key in ("shed", "late"):
            if found.get(key) is not None:
                found[key] = Shed(**found[key])
        return cls(**found)


@dataclass(slots=True, kw_only=True)
class Memory:
    """Everything that outlives a restart."""

    enabled: bool = True
    rehearsal: bool = False
    loads: dict[str, LoadMemory] = field(default_factory=dict)
    switched: deque[float] = field(default_factory=deque)
    """When something was switched, within the last hour."""
    stopped: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Limits at which switching off did not help: until when, and after how many seconds."""
    journal: Journal = field(default_factory=Journal)
    at: float = 0.0
    """When this was written."""

    def load(self, load_id: str) -> LoadMemory:
        """What is known about a load; new if there is nothing."""
        found = self.loads.get(load_id)
        if found is None:
            found = self.loads[load_id] = LoadMemory()
        return found

    def recent(self, now: float) -> int:
        """How many times something was switched within the last hour."""
        while self.switched and self.switched[0] <= now - HOUR:
            self.switched.popleft()
        return len(self.switched)

    def shift(self, seconds: float) -> None:
        """Follow a clock that was set back."""
        self.switched = deque(at + seconds for at in self.switched)
        self.stopped = {key: (until + seconds, wait) for key, (until, wait) in self.stopped.items()}
        for load in self.loads.values():
            for name in ("since", "hold_until", "skip_until"):
                setattr(load, name, getattr(load, name) + seconds)
            if load.restored_at is not None:
                load.restored_at += seconds
            if load.blocked_since is not None:
                load.blocked_since += seconds
            if load.returning is not None:
                load.returning += seconds
            if load.flight is not None:
                load.flight.at += seconds
            for shed in (load.shed, load.late):
                if shed is not None:
                    shed.at += seconds
                    shed.until += seconds

    def to_json(self) -> dict[str, Any]:
        """What is stored."""
        return {
            "enabled": self.enabled,
            "rehearsal": self.rehearsal,
            "loads": {key: load.to_json() for key, load in self.loads.items()},
            "switched": list(self.switched),
            "stopped": {key: list(stop) for key, stop in self.stopped.items()},
            "journal": [entry.to_json() for entry in self.journal.entries],
            "at": self.at,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """What was stored.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: it was not stored by this.
        """
        at = float(data.get("at", 0.0))
        if not isfinite(at):
            raise ValueError("time")
        return cls(
            enabled=bool(data.get("enabled", True)),
            rehearsal=bool(data.get("rehearsal", False)),
            loads={key: LoadMemory.from_json(load) for key, load in data.get("loads", {}).items()},
            switched=deque(float(one) for one in data.get("switched", ())),
            stopped={
                key: (float(stop[0]), float(stop[1]))
                for key, stop in data.get("stopped", {}).items()
            },
            journal=Journal(Entry.from_json(entry) for entry in data.get("journal", ())),
            at=at,
        )
