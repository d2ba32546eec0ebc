"""A running entry of a simulated remote hub, over its own TCP link with the pairing key."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from unittest.mock import patch

from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.energy_meter.bridge_runtime import BridgeRuntime
from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.sources.simulated.hub import HUB, SimulatedHub
from custom_components.energy_meter.sources.simulated.panel import SimulatedMonitor, simulated_panel
from tests.support.i2c_monitors import FaultyBus

from .support import SOON, shown, until

GONE = ("missing", "unavailable", "unknown")
PACE = 0.3
"""Seconds between two rounds, so that what takes rounds is soon over."""
KEY = "ABCDEFGHJKLMNPQRSTUV"


@dataclass
class Remote:
    """An entry, the hub that it is connected to, and that hub's bus."""

    entry: MockConfigEntry
    hub: SimulatedHub
    sim: FaultyBus
    monitors: list[SimulatedMonitor]
    port: int

    @property
    def runtime(self) -> BridgeRuntime:
        """The entry's runtime now."""
        runtime = self.entry.runtime_data
        assert isinstance(runtime, BridgeRuntime)
        return runtime

    def subentry(self, monitor: SimulatedMonitor) -> ConfigSubentry:
        """A monitor's place in the configuration."""
        found: ConfigSubentry = next(
            one for one in self.entry.subentries.values() if one.unique_id == f"{monitor.id:016x}"
        )
        return found

    async def hub_down(self) -> None:
        """Take the hub's supply away."""
        await self.hub.stop()

    async def hub_up(self) -> None:
        """Give it back: it starts anew, with another number."""
        self.hub = SimulatedHub(key=KEY, bus=self.sim, interval=PACE)
        await self.hub.start(self.port)


def remote_entry(port: int, bridge_id: str = HUB) -> MockConfigEntry:
    """An entry of the hub at this port; not added yet."""
    return MockConfigEntry(
        domain=DOMAIN,
        title="Cellar",
        unique_id=bridge_id,
        data={
            "kind": "bridge",
            "way": "tcp",
            "host": "127.0.0.1",
            "port": port,
            "key": KEY,
        },
    )


@asynccontextmanager
async def remote(
    hass: HomeAssistant,
    count: int = 3,
    *,
    monitors: Sequence[SimulatedMonitor] | None = None,
    patience: float = SOON,
) -> AsyncIterator[Remote]:
    """An entry that runs on a hub with `count` monitors, all of them shown; unloaded in the end."""
    chips = (
        list(monitors)
        if monitors is not None
        else await hass.async_add_executor_job(lambda: simulated_panel(count, panel="hub"))
    )
    sim = FaultyBus(chips)
    hub = SimulatedHub(key=KEY, bus=sim, interval=PACE)
    port = await hub.start()
    entry = remote_entry(port)
    entry.add_to_hass(hass)
    place = Remote(entry, hub, sim, chips, port)
    with patch("custom_components.energy_meter.sources.i2c.hub.INTERVAL", PACE):
        assert await hass.config_entries.async_setup(entry.entry_id)
        try:
            await until(
                lambda: all(shown(hass, each, "power") not in GONE for each in chips), patience
            )
            yield place
        finally:
            if entry.state.recoverable:
                await hass.config_entries.async_unload(entry.entry_id)
            await place.hub.stop()
            await hass.async_block_till_done()
