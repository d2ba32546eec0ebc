"""A bridge over its real links: a TCP socket with its handshake, and a pseudo terminal."""

import asyncio
from pathlib import Path
from typing import Any

from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.energy_meter.const import DOMAIN
from tests.integration.runtime_support import shows, until
from tests.support.bridge import SimulatedBridge, SimulatedMeter, relay
from tests.support.entities import entity_id, state

from .support import BRIDGE, OVEN, SHOWN, running_entry

KEY = "ABCDEFGHJKLMNPQRSTUV"


def entry_with(data: dict[str, Any]) -> MockConfigEntry:
    """An entry whose link is made of its data, as users have it; not added yet."""
    return MockConfigEntry(
        domain=DOMAIN, title="Workshop", unique_id=BRIDGE, data={"kind": "bridge", **data}
    )


def oven() -> SimulatedBridge:
    return SimulatedBridge(meters=[SimulatedMeter(controls=[relay()])], key=KEY)


async def appeared(hass: HomeAssistant) -> None:
    """Wait for the oven's entities."""
    from homeassistant.helpers import entity_registry as er

    registry = er.async_get(hass)
    await until(
        lambda: (
            registry.async_get_entity_id("switch", DOMAIN, f"{OVEN}_relay") is not None
            and hass.states.get(entity_id(hass, "relay", OVEN, "switch")) is not None
        )
    )


@pytest.mark.usefixtures("socket_enabled")
async def test_a_bridge_on_the_network_with_its_key(hass: HomeAssistant) -> None:
    bridge = oven()
    port = await bridge.listen()
    data = {"way": "tcp", "host": "127.0.0.1", "port": port, "key": KEY}
    try:
        async with running_entry(hass, entry_with(data)):
            await appeared(hass)
            for _ in range(2):
                bridge.measure("oven", SHOWN)
            await shows(hass, "power", "1234.5", OVEN)
            await hass.services.async_call(
                "switch",
                "turn_off",
                {"entity_id": entity_id(hass, "relay", OVEN, "switch")},
                blocking=True,
            )
            assert state(hass, "relay", OVEN, "switch").state == "off"
            bridge.cut()
            await shows(hass, "power", STATE_UNAVAILABLE, OVEN)
            assert state(hass, "energy_import", OVEN).state == "567.891"
            # What is measured meanwhile comes when it has found its way back, by itself.
            bridge.measure("oven", SHOWN | {"energy_import": 567.892})
            await shows(hass, "energy_import", "567.892", OVEN)
            await shows(hass, "relay", "off", OVEN, "switch")
    finally:
        await bridge.close()


async def test_a_board_on_a_cable_that_is_pulled_and_plugged_in_again(
    hass: HomeAssistant, tmp_path: Path
) -> None:
    bridge = oven()
    path = tmp_path / "ttyUSB0"
    bridge.plug(path)
    try:
        data = {"way": "serial", "device": str(path), "baudrate": 115200}
        async with running_entry(hass, entry_with(data)):
            await appeared(hass)
            for _ in range(2):
                bridge.measure("oven", SHOWN)
            await shows(hass, "power", "1234.5", OVEN)
            bridge.unplug()
            await shows(hass, "power", STATE_UNAVAILABLE, OVEN)
            bridge.plug(path)
            for _ in range(20):
                bridge.measure("oven", SHOWN)
                await asyncio.sleep(0.2)
                if state(hass, "power", OVEN).state == "1234.5":
                    break
            assert state(hass, "power", OVEN).state == "1234.5"
    finally:
        bridge.unplug()


async def test_a_bridge_that_is_not_there_does_not_hold_anything_up(hass: HomeAssistant) -> None:
    data = {"way": "serial", "device": "/dev/ttyUSB-none", "baudrate": 9600}
    async with running_entry(hass, entry_with(data)) as entry:
        assert entry.state.value == "loaded"
        assert not entry.runtime_data.connected
