"""From a line on the bridge's wire to the state in Home Assistant: the whole integration, over TCP with a pairing key.

Bridge and Home Assistant share a process, and so a clock and an event loop; between them are real sockets of the machine.
"""

import asyncio
from collections.abc import Mapping
import time
from types import MappingProxyType
from typing import Any, Final, override

from homeassistant.config_entries import SOURCE_USER, ConfigEntry
from homeassistant.const import EVENT_STATE_CHANGED
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, callback

from custom_components.energy_meter.const import DOMAIN
from tests.support.bridge import SimulatedBridge, SimulatedMeter

from .near_end import Client, NearEnd, Published
from .setting import SDM120, Setting

BRIDGE: Final = "a4cf12d3e4f5"
KEY: Final = "ABCDEFGHJKLMNPQRSTUV"
METERS: Final = 10
PERIOD: Final = 0.1
"""Seconds between two readings of the bridge, each of the next meter: every meter once a second."""
DELAYS: Final = "delays"
"""The note with the seconds from each line to the state of its power."""


class BridgeStateClient(Client):
    """A bridge with ten meters, each of which says something once a second."""

    def __init__(self, setting: Setting, address: str | int) -> None:
        """Plan the bridge."""
        self._bridge = SimulatedBridge(
            BRIDGE,
            key=KEY,
            interval=1.0,
            meters=[SimulatedMeter(id=f"m{number}") for number in range(METERS)],
        )
        self._task: asyncio.Task[None] | None = None

    @override
    async def start(self, hass: HomeAssistant, published: Published) -> None:
        port = await self._bridge.listen()
        entry: ConfigEntry[Any] = ConfigEntry(
            data={"kind": "bridge", "way": "tcp", "host": "127.0.0.1", "port": port, "key": KEY},
            discovery_keys=MappingProxyType({}),
            domain=DOMAIN,
            minor_version=1,
            options=None,
            source=SOURCE_USER,
            subentries_data=None,
            title="Bridge",
            unique_id=BRIDGE,
            version=1,
        )
        await hass.config_entries.async_add(entry)
        self._task = asyncio.create_task(self._live(hass, published))

    @override
    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        await self._bridge.close()

    async def _live(self, hass: HomeAssistant, published: Published) -> None:
        delays: list[tuple[float, float]] = []
        published.notes[DELAYS] = delays
        sent: dict[str, float] = {}

        @callback
        def changed(event: Event[EventStateChangedData]) -> None:
            state = event.data["new_state"]
            if state is not None and (since := sent.pop(state.state, None)) is not None:
                delays.append((since, time.monotonic() - since))

        hass.bus.async_listen(EVENT_STATE_CHANGED, changed)
        number = 0
        while True:
            power = 1000.0 + number % 5000 / 10
            values: Mapping[str, float] = {
                "voltage": 230.0 + number % 7 / 10,
                "current": 4.0 + number % 11 / 10,
                "power": power,
            }
            sent[str(power)] = time.monotonic()
            self._bridge.measure(f"m{number % METERS}", values)
            number += 1
            await asyncio.sleep(PERIOD)


def run_bridge_state(*, seconds: float) -> tuple[Published, list[float]]:
    """Let it run for a while, in a process of its own; return the delays of the lines in that time, seconds."""
    setting = Setting(model=SDM120, count=1, started=time.monotonic())
    with NearEnd(BridgeStateClient, setting, 0) as near:
        time.sleep(5)
        near.begin()
        begun = time.monotonic()
        time.sleep(seconds)
        published = near.end()
    return published, [delay for at, delay in published.notes[DELAYS] if at >= begun]
