"""A running entry on a simulated bus, for tests of what users see."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
import time
from typing import Any
from unittest.mock import patch

from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.i2c_runtime import I2CRuntime
from custom_components.energy_meter.sources.simulated.panel import (
    Chip,
    SimulatedMonitor,
    simulated_panel,
)
from tests.support.i2c_monitors import FaultyBus

SOON = 12.0
"""Seconds that anything may take here."""


def identity_of(monitor: SimulatedMonitor) -> str:
    """What a monitor's device is known by."""
    return f"{monitor.id:016x}"


async def until(condition: Callable[[], object], patience: float = SOON) -> None:
    """Wait until something is so."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        await asyncio.sleep(0.05)


@dataclass
class Panel:
    """An entry and the bus behind it."""

    entry: MockConfigEntry
    runtime: I2CRuntime
    sim: FaultyBus
    monitors: list[SimulatedMonitor]

    def subentry(self, monitor: SimulatedMonitor) -> ConfigSubentry:
        """A monitor's place in the configuration."""
        found: ConfigSubentry = next(
            one for one in self.entry.subentries.values() if one.unique_id == f"{monitor.id:016x}"
        )
        return found


def entity_id(hass: HomeAssistant, platform: str, unique_id: str) -> str:
    """The id of an entity that is registered."""
    found = er.async_get(hass).async_get_entity_id(platform, DOMAIN, unique_id)
    assert found is not None, unique_id
    return found


def shown(hass: HomeAssistant, monitor: SimulatedMonitor, key: str) -> str:
    """The state of a monitor's sensor; `missing` where there is none."""
    found = er.async_get(hass).async_get_entity_id(
        "sensor", DOMAIN, f"{identity_of(monitor)}_{key}"
    )
    state = hass.states.get(found) if found else None
    return state.state if state else "missing"


def panel_entry(**data: Any) -> MockConfigEntry:
    """An entry of bus 1; not added yet."""
    return MockConfigEntry(
        domain=DOMAIN,
        title="Panel",
        unique_id="i2c-1",
        data={"kind": "bridge", "way": "i2c", "bus": 1, "multiplexers": [], **data},
    )


@asynccontextmanager
async def bus_with(monitors: Sequence[Chip]) -> AsyncIterator[FaultyBus]:
    """Let `/dev/i2c-1` be a simulated bus."""
    sim = FaultyBus(monitors, stretch=12e-6)
    with patch(
        "custom_components.energy_meter.i2c_runtime.open_bus", side_effect=lambda number: sim.open()
    ):
        yield sim


@asynccontextmanager
async def running(
    hass: HomeAssistant,
    count: int = 3,
    entry: MockConfigEntry | None = None,
    *,
    patience: float = SOON,
) -> AsyncIterator[Panel]:
    """An entry that runs on a bus with `count` monitors, all of them shown; unloaded in the end."""
    monitors = await hass.async_add_executor_job(simulated_panel, count)
    entry = entry or panel_entry()
    async with bus_with(monitors) as sim:
        entry.add_to_hass(hass)
        assert await hass.config_entries.async_setup(entry.entry_id)
        runtime = entry.runtime_data
        assert isinstance(runtime, I2CRuntime)
        try:
            await until(lambda: len(runtime.meters) == count, patience)
            await until(
                lambda: all(
                    shown(hass, each, "power") not in ("missing", "unavailable", "unknown")
                    for each in monitors
                ),
                patience,
            )
            yield Panel(entry, runtime, sim, monitors)
        finally:
            if entry.state.recoverable:
                await hass.config_entries.async_unload(entry.entry_id)
            await hass.async_block_till_done()
