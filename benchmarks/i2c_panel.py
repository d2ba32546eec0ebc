"""A hundred monitors on one I²C bus, nine quantities each, every second: the whole integration with its entities.

The bus is simulated in the client's own process, because smbus2 ends in the kernel; what the simulation itself
computes is measured apart and taken off. Transactions take as long as their clocks on a real wire.
"""

import asyncio
import time
from types import MappingProxyType
from typing import Any, Final, override
from unittest.mock import patch

from homeassistant.config_entries import SOURCE_USER, ConfigEntry
from homeassistant.const import EVENT_STATE_CHANGED, STATE_UNAVAILABLE, STATE_UNKNOWN
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, callback
from homeassistant.helpers import entity_registry as er
from smbus2 import i2c_msg

from custom_components.energy_meter import i2c_runtime
from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.sources.i2c.registers import MEASUREMENT, bus_clocks
from custom_components.energy_meter.sources.simulated.panel import (
    SimulatedI2CBus,
    panel_id,
    simulated_panel,
)

from .near_end import Client, NearEnd, Published
from .setting import SDM120, Setting

MONITORS: Final = 100
QUANTITIES: Final = (
    "voltage",
    "current",
    "frequency",
    "power",
    "reactive_power",
    "apparent_power",
    "power_factor",
    "current_crest_factor",
    "energy_import",
)
BUS_TIME: Final = "bus_time"
LEAST: Final = "least"
SIMULATION: Final = "simulation"
START_UP: Final = "start_up"
ROUNDS: Final = "rounds"
STATES: Final = "states"
ENTITIES: Final = "entities"
ELAPSED: Final = "elapsed"
_PATIENCE: Final = 25.0


class MeteredBus(SimulatedI2CBus):
    """A bus that knows what its simulation costs, and how long its measurements take at the least."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        """Begin to count."""
        super().__init__(*arguments, **more)
        self.cpu = 0.0
        self.measurements = 0

    @override
    def i2c_rdwr(self, *i2c_msgs: i2c_msg) -> None:
        began = time.thread_time()
        super().i2c_rdwr(*i2c_msgs)
        self.cpu += time.thread_time() - began
        self.measurements += i2c_msgs[-1].len == MEASUREMENT.length


class PanelClient(Client):
    """One entry with a hundred circuits."""

    def __init__(self, setting: Setting, address: str | int) -> None:
        """The address is the bus's speed, Hz."""
        self._speed = int(address)

    @override
    async def start(self, hass: HomeAssistant, published: Published) -> None:
        monitors = await hass.async_add_executor_job(simulated_panel, MONITORS)
        bus = MeteredBus(monitors, speed=self._speed, pace=time.sleep)
        self._patch = patch.object(i2c_runtime, "open_bus", lambda _number: bus)
        self._patch.start()
        self._bus, self._published, self._hass = bus, published, hass
        entry: ConfigEntry[Any] = ConfigEntry(
            data={"kind": "bridge", "way": "i2c", "bus": 1, "multiplexers": []},
            discovery_keys=MappingProxyType({}),
            domain=DOMAIN,
            minor_version=1,
            options=None,
            source=SOURCE_USER,
            subentries_data=[],
            title="Panel",
            unique_id="i2c-1",
            version=1,
        )
        self._entry = entry
        await hass.config_entries.async_add(entry)
        await self._until_shown()
        # Once more with all entities known: that is what a start of Home Assistant is.
        await hass.config_entries.async_unload(entry.entry_id)
        began = time.monotonic()
        await hass.config_entries.async_setup(entry.entry_id)
        published.notes[ENTITIES] = await self._until_shown()
        published.notes[START_UP] = time.monotonic() - began
        published.notes[STATES] = 0

        @callback
        def changed(event: Event[EventStateChangedData]) -> None:
            published.notes[STATES] += event.data["entity_id"].startswith("sensor.")

        self._unlisten = hass.bus.async_listen(EVENT_STATE_CHANGED, changed)
        self._begun = (bus.bus_time, bus.cpu, bus.measurements, time.monotonic())

    async def _until_shown(self) -> int:
        """Wait until every quantity of every monitor is shown; return how many entities that are."""
        end = time.monotonic() + _PATIENCE
        ids = {f"{panel_id(number):016x}" for number in range(MONITORS)}
        wanted = MONITORS * (len(QUANTITIES) - 1)  # A circuit without load has no crest factor.
        while time.monotonic() < end:
            registry = er.async_get(self._hass)
            known = [
                entity.entity_id
                for entity in registry.entities.values()
                if entity.unique_id.partition("_")[0] in ids
                and entity.unique_id.partition("_")[2] in QUANTITIES
            ]
            shown = sum(
                (state := self._hass.states.get(each)) is not None
                and state.state not in (STATE_UNAVAILABLE, STATE_UNKNOWN)
                for each in known
            )
            if len(known) >= MONITORS * len(QUANTITIES) and shown >= wanted - 2 * MONITORS:
                return len(known)
            await asyncio.sleep(0.1)
        raise RuntimeError(
            f"not every monitor was shown: {shown} of {len(known)}; {self._entry.state} {self._entry.reason}"
        )

    @override
    async def stop(self) -> None:
        self._unlisten()  # Everything becomes unavailable now.
        bus_time, cpu, measurements, began = self._begun
        notes = self._published.notes
        notes[BUS_TIME] = self._bus.bus_time - bus_time
        notes[SIMULATION] = self._bus.cpu - cpu
        notes[ROUNDS] = (self._bus.measurements - measurements) / MONITORS
        notes[LEAST] = notes[ROUNDS] * MONITORS * bus_clocks(MEASUREMENT.length) / self._speed
        notes[ELAPSED] = time.monotonic() - began
        await self._hass.config_entries.async_unload(self._entry.entry_id)
        self._patch.stop()


def run_panel(*, speed: int, seconds: float) -> Published:
    """Let it run for a while, in a process of its own."""
    setting = Setting(model=SDM120, count=1, started=time.monotonic())
    with NearEnd(PanelClient, setting, speed) as near:
        time.sleep(2)
        near.begin()
        time.sleep(seconds)
        return near.end()
