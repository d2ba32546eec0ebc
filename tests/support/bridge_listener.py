"""A listener that keeps everything a bridge session tells it, and a clock to be moved."""

from typing import override

from custom_components.energy_meter.model import Reading, Value
from custom_components.energy_meter.sources.bridge import (
    BridgeEvent,
    BridgeHealth,
    BridgeListener,
    Hello,
)


class MovedClock:
    """(monotonic, Unix time) that moves only when it is told to."""

    def __init__(self, monotonic: float = 5000.0, unix: float = 1_794_000_000.0) -> None:
        """Begin somewhere."""
        self.monotonic = monotonic
        self.unix = unix

    def __call__(self) -> tuple[float, float]:
        """Both clocks, seconds."""
        return self.monotonic, self.unix

    def wall(self) -> float:
        """Unix time, for a simulated bridge."""
        return self.unix

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.monotonic += seconds
        self.unix += seconds


class RecordingListener(BridgeListener):
    """Keeps what it is told."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.hellos: list[Hello] = []
        self.readings: list[tuple[str, Reading, frozenset[str], bool]] = []
        """(meter, reading, flags, old)"""
        self.events: list[BridgeEvent] = []
        self.healths: list[BridgeHealth] = []
        self.links: list[bool] = []
        self.logs: list[tuple[str, str]] = []
        self.troubles: list[tuple[str, str]] = []

    @override
    def on_hello(self, hello: Hello) -> None:
        self.hellos.append(hello)

    @override
    def on_reading(self, meter: str, reading: Reading, flags: frozenset[str], *, old: bool) -> None:
        assert reading.meter_id == meter
        self.readings.append((meter, reading, flags, old))

    @override
    def on_event(self, event: BridgeEvent) -> None:
        self.events.append(event)

    @override
    def on_health(self, health: BridgeHealth) -> None:
        self.healths.append(health)

    @override
    def on_connected(self, connected: bool) -> None:
        self.links.append(connected)

    @override
    def on_log(self, level: str, text: str) -> None:
        self.logs.append((level, text))

    @override
    def on_trouble(self, key: str, detail: str) -> None:
        self.troubles.append((key, detail))

    def values(self, key: str, meter: str | None = None) -> list[Value]:
        """Every value of that quantity, in the order told."""
        return [
            reading.values[key]
            for name, reading, _, _ in self.readings
            if key in reading.values and meter in {None, name}
        ]

    def trouble_keys(self) -> list[str]:
        """The keys of the troubles, in the order told."""
        return [key for key, _ in self.troubles]
