"""A simulated bridge on a local socket: an Arduino UNO at the workshop's bench, behind an ESP32.

It measures as the UNO does, volts, amperes and the power factor, and speaks the bridge protocol with its
pairing key like the real thing. What it shows follows from the house and the time alone.
"""

import asyncio
from collections.abc import Callable
import time
from typing import Any, Final, override

from ..bridge.protocol import VERSION
from .board import HOST, Line, SimulatedBoard
from .circuit import Circuit
from .house import House, shared_house

__all__ = ["BRIDGE", "HOST", "INTERVAL", "METER", "SimulatedBridge"]

BRIDGE: Final = "5eed0000bec4"
METER: Final = "bench"
INTERVAL: Final = 1.0
"""Seconds between two readings."""
_HEALTH_EVERY: Final = 30
"""Readings."""
_PLACES: Final = {"voltage": 1, "current": 3, "power_factor": 3}
"""Digits behind the point, as the UNO prints them."""


class SimulatedBridge(SimulatedBoard):
    """One board with one meter, from `start` to `stop`."""

    bridge_id = BRIDGE

    def __init__(
        self,
        key: str | None = None,
        *,
        house: House | None = None,
        clock: Callable[[], float] = time.time,
        interval: float = INTERVAL,
    ) -> None:
        """Choose the key; nothing is computed and nothing listens before `start`.

        Args:
            key: the pairing key however it is typed; a fresh one if none is given.
            house: what it measures; without one, the house that all simulations of this process share.
            clock: the Unix time that readings are for.
            interval: seconds between two readings.
        """
        super().__init__(key)
        self._house = house
        self._clock = clock
        self._interval = interval

    async def start(self, port: int = 0) -> int:
        """Listen on a local port, 0 for any free one, and return it.

        Raises:
            OSError: it is taken.
        """
        if self._house is None:
            self._house = await asyncio.to_thread(shared_house)
        self._circuit: Circuit = self._house.circuits["bench"]
        return await self.listen(port)

    async def stop(self) -> None:
        """Hang up and listen no more."""
        await self.hang_up()

    @override
    async def tell(self, line: Line) -> None:
        while True:
            line.send(
                {
                    "type": "reading",
                    **self.number(),
                    "age": 0,
                    "meter": METER,
                    "values": self.values(),
                }
            )
            if self.sequence % _HEALTH_EVERY == 1:
                line.send({"type": "health", "rssi": -58, "free_memory": 81_920, "errors": 0})
            await asyncio.sleep(self._interval)

    def values(self) -> dict[str, float]:
        """What the meter shows now: V, A and the power factor."""
        now = self._circuit.at(None, self._clock())
        shown = {"voltage": now.voltage, "current": now.current, "power_factor": now.factor}
        return {key: round(value, _PLACES[key]) for key, value in shown.items()}

    @override
    def hello(self) -> dict[str, Any]:
        return {
            "type": "hello",
            "v": VERSION,
            "bridge": BRIDGE,
            "boot": self.boot,
            "firmware": "1.0.0",
            "hardware": "Simulated ESP32",
            "name": "Workshop bridge",
            "kind": "simulated",
            "capabilities": [],
            "interval": self._interval,
            "meters": [
                {
                    "id": METER,
                    "name": "Workshop bench",
                    "model": "UNO node",
                    "phases": 1,
                    "rated_current": 20,
                    "quantities": list(_PLACES),
                }
            ],
        }
