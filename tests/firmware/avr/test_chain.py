"""From the wave on an ADC pin to the entity in Home Assistant, every link running its own code.

The UNO's firmware runs in simavr; its UART is a pseudo terminal, which Home Assistant opens as it opens any
serial port.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.energy_meter.const import DOMAIN
from tests.support.avr_bench import AvrBench, uno_node

pytestmark = pytest.mark.usefixtures("socket_enabled")

SLICE = 0.05
"""Simulated seconds between two looks at the pseudo terminal."""
PACE = 0.02
"""Real seconds for each of them: the board runs somewhat faster than life."""
PATIENCE = 20.0


@asynccontextmanager
async def running(bench: AvrBench) -> AsyncIterator[None]:
    """Let the board's time pass in the background."""

    async def pass_time() -> None:
        while True:
            bench.run(SLICE)
            await asyncio.sleep(PACE)

    task = asyncio.create_task(pass_time())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()


def entity(hass: HomeAssistant, platform: str, key: str) -> str | None:
    """The entity of the board's meter for a key."""
    for entry in er.async_get(hass).entities.values():
        ours = entry.platform == DOMAIN and entry.domain == platform
        if ours and entry.unique_id.endswith(f"_main_{key}"):
            return entry.entity_id
    return None


def shown(hass: HomeAssistant, platform: str, key: str) -> str:
    """What it shows; empty while it is not there."""
    state = hass.states.get(entity(hass, platform, key) or "sensor.none")
    return state.state if state else ""


def about(hass: HomeAssistant, key: str, value: float, tolerance: float) -> bool:
    """Whether a sensor shows that number."""
    try:
        return abs(float(shown(hass, "sensor", key)) - value) <= tolerance
    except ValueError:
        return False


async def until(condition: Callable[[], bool]) -> None:
    """Wait in real time until it is so.

    Raises:
        AssertionError: it is not within `PATIENCE` seconds.
    """
    for _ in range(int(PATIENCE / 0.05)):
        if condition():
            return
        await asyncio.sleep(0.05)
    assert condition()


async def test_from_the_wave_on_the_pin_to_the_entity_and_back_to_the_relay(
    hass: HomeAssistant,
) -> None:
    with uno_node() as bench:
        bench.set(vrms=230, irms=4, phi=60)
        entry = MockConfigEntry(
            domain=DOMAIN,
            title="Workshop",
            data={"kind": "bridge", "way": "serial", "device": bench.pty(), "baudrate": 9600},
        )
        entry.add_to_hass(hass)
        async with running(bench):
            assert await hass.config_entries.async_setup(entry.entry_id)
            try:
                await until(lambda: about(hass, "power", 460, 7))
                assert about(hass, "voltage", 230, 2.3)
                assert about(hass, "current", 4, 0.04)
                assert about(hass, "power_factor", 0.5, 0.01)
                assert about(hass, "frequency", 50, 0.05)

                bench.set(phi=180)
                await until(lambda: about(hass, "power", -920, 14))

                # A relay is fitted: its switch appears, and moves the pin.
                await command(hass, "select", "relay_output", "select_option", option="active high")
                await command(hass, "number", "minimum_off_time", "set_value", value=0)
                await until(lambda: shown(hass, "switch", "relay") == "off")
                await command(hass, "switch", "relay", "turn_on")
                assert bench.pin("D", 7) == 1
                await until(lambda: shown(hass, "switch", "relay") == "on")

                # The supply fails and returns: the next start is another one, and values come again.
                bench.power(False)
                await asyncio.sleep(0.2)
                bench.set(irms=2, phi=0)
                bench.power(True)
                await until(lambda: about(hass, "power", 460, 7))
            finally:
                await hass.config_entries.async_unload(entry.entry_id)
                await hass.async_block_till_done()


async def command(
    hass: HomeAssistant, platform: str, key: str, service: str, **data: object
) -> None:
    """Use an entity as a user does, once it is there."""
    await until(lambda: shown(hass, platform, key) not in {"", "unavailable"})
    target = {"entity_id": entity(hass, platform, key)}
    await hass.services.async_call(platform, service, {**target, **data}, blocking=True)
