"""The contract between a kind of link and everything above it.

Nothing above a source knows Modbus from MQTT. A source finds meters, delivers readings, carries commands
back and reports how its link fares. All of it happens on one asyncio event loop.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ..model import MeterInfo, Reading, Value


class SourceError(Exception):
    """A command or question that the source could not carry out.

    `key` is the translation key of the reason, `placeholders` fill it in.
    """

    def __init__(self, key: str, placeholders: Mapping[str, str] | None = None) -> None:
        """Keep the translation key and what fills it in."""
        super().__init__(key, dict(placeholders or {}))
        self.key = key
        self.placeholders: Mapping[str, str] = dict(placeholders or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterHealth:
    """How one meter fares on its link; counts since start."""

    answering: bool = False
    requests: int = 0
    errors: int = 0
    """Requests that brought no usable answer, before any retry."""
    retries: int = 0
    timeouts: int = 0
    answer_time: float | None = None
    """Learned time from the end of a request to the start of its answer, seconds."""
    fast_interval: float | None = None
    """Seconds between the last two fast readings."""
    error_rate: float | None = None
    """Share of failed requests of late, 0 to 1."""
    refused: tuple[tuple[str, int, int], ...] = ()
    """Blocks that this meter refuses: (table, address, count)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkHealth:
    """How a link fares; counts since start."""

    connected: bool = False
    load: float | None = None
    """Share of time that the line was busy, 0 to 1."""
    requests: int = 0
    errors: int = 0
    retries: int = 0
    overruns: int = 0
    """Readings that came too late and were skipped."""
    recycled: int = 0
    """How often the link was reopened because nothing on it answered."""
    foreign_traffic: int = 0
    """Answers that belonged to nobody here: a second master, or two meters with one address."""
    meters: Mapping[str, MeterHealth] = field(default_factory=dict)


class MeterListener(Protocol):
    """What a source calls, on the event loop, when something about one meter is known."""

    def on_reading(self, reading: Reading) -> None:
        """Take new values; partial, see `Reading`."""

    def on_silent(self, meter_id: str) -> None:
        """The meter has stopped answering; called once per silence."""

    def on_stale(self, meter_id: str, keys: frozenset[str]) -> None:
        """These quantities missed two of their rounds though the meter answers; called once per miss."""

    def on_back(self, meter_id: str) -> None:
        """A silent meter answers again; called before its first reading."""

    def on_info(self, info: MeterInfo) -> None:
        """Identity, firmware or the set of quantities is known or has changed."""

    def on_wrong_meter(self, meter_id: str, expected: str, found: str) -> None:
        """Another meter answers at this address; none of its values are delivered."""


class Source(ABC):
    """One link and the meters on it."""

    @abstractmethod
    async def start(self) -> None:
        """Begin; returns without waiting for any meter."""

    @abstractmethod
    async def stop(self) -> None:
        """End everything that `start` began."""

    @abstractmethod
    def remove_meter(self, meter_id: str) -> None:
        """Forget a meter; the others go on undisturbed."""

    @abstractmethod
    async def command(self, meter_id: str, control: str, value: Value) -> Value:
        """Carry out a control and return what the meter reads back (None for a button).

        Raises:
            SourceError: the meter refused, did not answer, or read back something else.
        """

    @property
    @abstractmethod
    def health(self) -> LinkHealth:
        """How the link and its meters fare."""
