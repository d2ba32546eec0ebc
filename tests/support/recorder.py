"""A meter's listener that writes down everything it is told."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
import time

from custom_components.energy_meter.model import MeterInfo, Reading, Value


@dataclass(slots=True)
class Recorder:
    """Takes what a source says about one or more meters."""

    readings: list[Reading] = field(default_factory=list)
    events: list[tuple[str, str]] = field(default_factory=list)
    """(`silent`, `back` or `wrong`, meter id), in order."""
    stale: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    infos: list[MeterInfo] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def on_reading(self, reading: Reading) -> None:
        """Keep it."""
        self.readings.append(reading)
        self._changed.set()

    def on_silent(self, meter_id: str) -> None:
        """Keep it."""
        self._event("silent", meter_id)

    def on_stale(self, meter_id: str, keys: frozenset[str]) -> None:
        """Keep it."""
        self.stale.append((meter_id, keys))
        self._changed.set()

    def on_back(self, meter_id: str) -> None:
        """Keep it."""
        self._event("back", meter_id)

    def on_info(self, info: MeterInfo) -> None:
        """Keep it."""
        self.infos.append(info)
        self._changed.set()

    def on_wrong_meter(self, meter_id: str, expected: str, found: str) -> None:
        """Keep it."""
        self._event("wrong", meter_id)

    def _event(self, kind: str, meter_id: str) -> None:
        self.events.append((kind, meter_id))
        self._changed.set()

    def values(self, meter_id: str, key: str) -> list[Value]:
        """Return all values of one quantity, in order."""
        return [
            reading.values[key]
            for reading in self.readings
            if reading.meter_id == meter_id and key in reading.values
        ]

    def latest(self, meter_id: str) -> dict[str, Value]:
        """Return the last value of every quantity of a meter."""
        values: dict[str, Value] = {}
        for reading in self.readings:
            if reading.meter_id == meter_id:
                values.update(reading.values)
        return values

    async def until(self, holds: Callable[[], bool], *, timeout: float = 5) -> float:
        """Wait until something holds; return the seconds that it took.

        Raises:
            TimeoutError: it never did.
        """
        began = time.monotonic()
        async with asyncio.timeout(timeout):
            while not holds():
                self._changed.clear()
                await self._changed.wait()
        return time.monotonic() - began
