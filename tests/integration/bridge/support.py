"""A running entry of a simulated bridge, for tests of what users see."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, override
from unittest.mock import patch

from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.energy_meter.bridge_runtime import BridgeRuntime
from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.coordinator import MeterCoordinator
from custom_components.energy_meter.sources.bridge import BridgeLink, BridgeSession
from tests.support.bridge import SimulatedBridge

BRIDGE = "a4cf12d3e4f5"
OVEN = f"{BRIDGE}_oven"
SHOWN = {"voltage": 230.5, "current": 5.5, "power": 1234.5, "energy_import": 567.891}


def workshop(**more: Any) -> SimulatedBridge:
    """A bridge whose clock is the one that a test moves."""
    return SimulatedBridge(**{"clock": lambda: dt_util.utcnow().timestamp(), **more})


async def pass_time(hass: HomeAssistant, freezer: FrozenDateTimeFactory, seconds: float) -> None:
    """Let time pass at once, and whatever was due in it happen once."""
    freezer.tick(timedelta(seconds=seconds))
    async_fire_time_changed(hass, dt_util.utcnow())
    await hass.async_block_till_done(wait_background_tasks=True)


class HeldLink(BridgeLink):
    """A link without a wire, so that a test decides to the message when what comes: hours pass in no time."""

    def __init__(self, bridge: SimulatedBridge) -> None:
        """Lead to this bridge."""
        self.bridge = bridge
        self.session: BridgeSession | None = None
        self.up = False

    @override
    async def start(self, session: BridgeSession) -> None:
        self.session = session
        self.plug()

    @override
    async def stop(self) -> None:
        self.unplug()
        self.session = None

    @override
    def send(self, line: bytes) -> None:
        if self.up:
            self.bridge.hear(line + b"\n")

    @property
    @override
    def connected(self) -> bool:
        return self.up

    @override
    def describe(self) -> str:
        return "a test"

    def plug(self) -> None:
        """Connect."""
        if self.session is not None and not self.up:
            self.up = True
            self.session.connected()
            self.bridge.attach(self.session.feed)

    def unplug(self) -> None:
        """Lose the connection; the bridge goes on measuring."""
        if self.session is not None and self.up:
            self.up = False
            self.bridge.detach()
            self.session.disconnected()


def bridge_entry(**data: Any) -> MockConfigEntry:
    """An entry of a bridge; not added yet. Its way is not used where a `HeldLink` is."""
    return MockConfigEntry(
        domain=DOMAIN,
        title="Workshop",
        unique_id=BRIDGE,
        data={"kind": "bridge", "way": "tcp", "host": "127.0.0.1", "port": 8731, **data},
    )


async def set_up(hass: HomeAssistant, entry: MockConfigEntry, link: BridgeLink) -> BridgeRuntime:
    """Load the entry with this link, and wait until what came by it is shown."""
    with patch("custom_components.energy_meter.meter_entry.make_link", return_value=link):
        assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    runtime = entry.runtime_data
    assert isinstance(runtime, BridgeRuntime)
    return runtime


@asynccontextmanager
async def running(
    hass: HomeAssistant, bridge: SimulatedBridge, entry: MockConfigEntry | None = None
) -> AsyncIterator[tuple[BridgeRuntime, HeldLink]]:
    """An entry that runs with a held link, and is unloaded in the end."""
    entry = entry or bridge_entry()
    entry.add_to_hass(hass)
    link = HeldLink(bridge)
    runtime = await set_up(hass, entry, link)
    try:
        yield runtime, link
    finally:
        if hass.config_entries.async_get_entry(entry.entry_id) and entry.state.recoverable:
            await hass.config_entries.async_unload(entry.entry_id)
        await hass.async_block_till_done()


@asynccontextmanager
async def running_entry(
    hass: HomeAssistant, entry: MockConfigEntry
) -> AsyncIterator[MockConfigEntry]:
    """An entry that runs with its own link, and is unloaded in the end."""
    entry.add_to_hass(hass)
    assert await hass.config_entries.async_setup(entry.entry_id)
    try:
        yield entry
    finally:
        await hass.config_entries.async_unload(entry.entry_id)
        await hass.async_block_till_done()


def meter_of(runtime: BridgeRuntime, meter_id: str = "oven") -> MeterCoordinator:
    """The coordinator of a meter."""
    return next(
        meter for meter in runtime.meters.values() if meter.identity.endswith(f"_{meter_id}")
    )


def subentry_of(entry: ConfigEntry, meter_id: str = "oven") -> ConfigSubentry:
    """The subentry of a meter."""
    return next(one for one in entry.subentries.values() if one.data["meter"] == meter_id)
