"""The messages of the bridge protocol, version 1 (`docs/bridge-protocol.md`), as values.

`parse_line` turns one line into one message and never fails with anything else than `BadLine`, whatever it is
given; the functions at the end encode what goes to the bridge. Nothing here keeps state or does I/O.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from ...model import Control, Reading, Value

VERSION: Final = 1
MAX_LINE: Final = 32_768
"""Bytes of a line, its end not counted."""
MAX_DEPTH: Final = 6
"""Nested arrays and objects, the message itself included."""
MAX_METERS: Final = 256
"""Meters of one bridge."""
DEFAULT_INTERVAL: Final = 5.0
"""Seconds between two readings where a hello does not say."""
MAIN: Final = "main"
"""The meter of a board that names none."""

type Boot = int | str | None


class BadLine(Exception):  # noqa: N818 — it is what it says
    """A line that is no message; `reason` is one of the words of `REASONS`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        """Keep the word and a short excerpt for people."""
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterHello:
    """What a bridge says about one of its meters."""

    id: str
    name: str | None = None
    model: str | None = None
    manufacturer: str | None = None
    firmware: str | None = None
    serial: str | None = None
    phases: int = 1
    rated_current: float | None = None
    """A."""
    quantities: tuple[str, ...] = ()
    """Keys of the vocabulary that this meter delivers."""
    resolution: Mapping[str, float] = field(default_factory=dict)
    """Each counter's digit, in the quantity's unit."""
    controls: tuple[Control, ...] = ()
    """What can be done to it; keys as the bridge spells them, also such as nobody here has a name for."""
    settings: Mapping[str, Value] = field(default_factory=dict)
    """What each control stands at, in the control's unit."""
    parent: str | None = None
    segment: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Who is there."""

    bridge: str
    """The bridge's own id; of a board that never says hello the name its session was given."""
    boot: Boot = None
    firmware: str | None = None
    hardware: str | None = None
    name: str | None = None
    kind: str | None = None
    """`esp32`, `uno` …; decides which firmware fits. None: a bare board."""
    capabilities: frozenset[str] = frozenset()
    """Of `buffer`, `config`, `update`, `time`; others are kept."""
    interval: float = DEFAULT_INTERVAL
    """Seconds between two readings of a meter."""
    meters: tuple[MeterHello, ...] = ()
    controls: tuple[Control, ...] = ()
    """Controls of the bridge itself that it lists; `restart` and `identify` need not be listed."""
    settings: Mapping[str, Value] = field(default_factory=dict)
    synthesised: bool = False
    """Put together here from what a board shows that does not say hello."""

    def meter(self, meter_id: str) -> MeterHello | None:
        """The meter of that id."""
        return next((meter for meter in self.meters if meter.id == meter_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeHealth:
    """How the bridge says it fares; None where it does not say."""

    rssi: float | None = None
    """dBm."""
    uptime: float | None = None
    """Seconds."""
    free_memory: int | None = None
    """Bytes."""
    buffered: int | None = None
    dropped: int | None = None
    lost: int | None = None
    repeated: int | None = None
    errors: int | None = None
    reset: str | None = None
    """Why it started: `power`, `watchdog`, `brown_out` …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeEvent:
    """Something happened at a bridge (`meter` None) or at one of its meters."""

    meter: str | None
    event: str
    value: Value = None
    control: str | None = None
    """For the event `control`: which one stands at `value` now."""
    reason: str | None = None
    time: datetime
    """UTC."""
    old: bool = False
    """It was buffered; `value` need not be the present state."""


class BridgeListener(Protocol):
    """What the owner of a session is told; all of it on the event loop."""

    def on_hello(self, hello: Hello) -> None:
        """Who is there; also put together for boards that never say it, again whenever it grows."""

    def on_reading(self, meter: str, reading: Reading, flags: frozenset[str], *, old: bool) -> None:
        """Take one meter's values; `reading.meter_id == meter`, the bridge's own id of the meter.

        Per meter in the order of time. `old`: it was buffered and is not the present value (older than two
        intervals and 5 s). A meter that is in no hello is named here only with `old`.
        """

    def on_event(self, event: BridgeEvent) -> None:
        """Something happened."""

    def on_health(self, health: BridgeHealth) -> None:
        """How the bridge fares."""

    def on_connected(self, connected: bool) -> None:
        """The link is up, or down; called on changes only."""

    def on_log(self, level: str, text: str) -> None:
        """A line of the bridge's log; level `debug`, `info`, `warning` or `error`; rate-limited."""

    def on_trouble(self, key: str, detail: str) -> None:
        """Something is not as it should be; at most once in ten minutes per key.

        Keys: `version` (detail: the bridge's), `wrong_bridge` (its id), `clock`, `flood`, `bad_line`, `crc`,
        `too_many_meters`, `key_refused`, `key_needed`, `tampered`, `not_a_bridge`, `cannot_connect`.
        """
