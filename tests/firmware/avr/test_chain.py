"""From the wave on an ADC pin to the entity in Home Assistant, every link running its own code.

The AVRs' firmware runs in simavr, the ESP32's in MicroPython. A UART is a pseudo terminal, which is opened as any serial
port is; for the Linux I²C bus stands an object with smbus2's method, behind which is the simulated bus.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
import errno
from pathlib import Path
from typing import Any
from unittest.mock import patch

from homeassistant.core import HomeAssistant, State
from homeassistant.helpers import entity_registry as er
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from smbus2 import i2c_msg

from custom_components.energy_meter.const import DOMAIN
from tests.support.avr_bench import AvrBench, BenchError, uno_node
from tests.support.esp32 import KEY, Board, free_port, settings

from .monitor import COIL, TIMSK1, Monitor, monitors, strap

pytestmark = pytest.mark.usefixtures("socket_enabled")

SLICE = 0.05
"""Simulated seconds between two looks at the pseudo terminal."""
PACE = 0.02
"""Real seconds for each of them: the board runs somewhat faster than life."""
PATIENCE = 45.0


@asynccontextmanager
async def running(bench: AvrBench) -> AsyncIterator[None]:
    """Let the board's time pass in the background."""

    stop = asyncio.Event()

    async def pass_time() -> None:
        while not stop.is_set():
            await asyncio.to_thread(bench.run, SLICE)
            await asyncio.sleep(PACE)

    task = asyncio.create_task(pass_time())
    try:
        yield
    finally:
        stop.set()
        await task


def entity(hass: HomeAssistant, platform: str, key: str, meter: str) -> str | None:
    """The entity of a meter for a key."""
    for entry in er.async_get(hass).entities.values():
        ours = entry.platform == DOMAIN and entry.domain == platform
        if ours and f"_{entry.unique_id}".endswith(f"_{meter}_{key}"):
            return entry.entity_id
    return None


def shown(hass: HomeAssistant, platform: str, key: str, meter: str = "main") -> str:
    """What it shows; empty while it is not there."""
    state = hass.states.get(entity(hass, platform, key, meter) or "sensor.none")
    return state.state if state else ""


def about(
    hass: HomeAssistant, key: str, value: float, tolerance: float, meter: str = "main"
) -> bool:
    """Whether a sensor shows that number."""
    try:
        return abs(float(shown(hass, "sensor", key, meter)) - value) <= tolerance
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


async def test_through_an_esp32_and_the_network_as_well(
    hass: HomeAssistant, tmp_path: Path
) -> None:
    """Wave → UNO → cable → ESP32 → TCP with its key → entity, and a setting all the way back into the EEPROM."""
    with uno_node() as bench:
        bench.set(vrms=230, irms=4, phi=60)
        port = free_port()
        esp32 = Board(
            tmp_path / "esp32",
            settings(tcp={"on": True, "port": port}, uarts=[{"port": 1, "meter": "main"}]),
            uarts={1: bench.pty()},
        )
        data = {"kind": "bridge", "way": "tcp", "host": "127.0.0.1", "port": port, "key": KEY}
        entry = MockConfigEntry(domain=DOMAIN, title="Workshop", data=data)
        entry.add_to_hass(hass)
        async with running(bench):
            await esp32.start()
            try:
                assert await hass.config_entries.async_setup(entry.entry_id)
                await until(lambda: about(hass, "power", 460, 7))
                assert about(hass, "voltage", 230, 2.3)
                assert about(hass, "current", 4, 0.04)

                await command(hass, "number", "current_gain", "set_value", value=1.5)
                await until(lambda: about(hass, "current", 6, 0.06))
                assert b"\x98\x3a\x00\x00" in bench.eeprom(0, 110), "1.5000 in its steps"
            finally:
                await hass.config_entries.async_unload(entry.entry_id)
                await esp32.cut_power()
                await hass.async_block_till_done()


class SimulatedI2C:
    """The little of `smbus2.SMBus` that is used, in front of the simulated bus."""

    def __init__(self, bench: AvrBench) -> None:
        """Put the bus of this bench behind it."""
        self._bench = bench

    def i2c_rdwr(self, *messages: i2c_msg) -> None:
        """One combined transaction."""
        written = b"".join(bytes(one) for one in messages if not one.flags & 1)
        reads = [one for one in messages if one.flags & 1]
        length = reads[0].len if reads else 0
        try:
            done = self._bench.i2c(messages[0].addr, written, length)
        except BenchError as err:
            raise OSError(errno.ENXIO, "No such device or address") from err
        for index, byte in enumerate(done.data):
            reads[0].buf[index] = bytes((byte,))

    def close(self) -> None:
        """Nothing to do."""


async def test_from_the_wave_through_the_i2c_bus_to_the_entity(hass: HomeAssistant) -> None:
    """Three monitors on one bus; one of them is asked for a waveform from Home Assistant."""
    with monitors(3) as bench:
        for node in range(3):  # their switches: 0x21, 0x22, 0x23
            for bit in range(7):
                port, pin = ("D", 2 + bit) if bit < 6 else ("B", 0)
                bench.drive(port, pin, 0 if (0x21 + node) >> bit & 1 else 1, node)
            bench.set(node, irms=2 + node, phi=60 if node == 2 else 0)
        bench.run(0.6)
        names = [f"{Monitor(bench, 0x21 + node).id:016x}" for node in range(3)]
        entry = MockConfigEntry(
            domain=DOMAIN,
            title="Panel",
            unique_id="i2c-1",
            data={"kind": "bridge", "way": "i2c", "bus": 1, "multiplexers": []},
        )
        entry.add_to_hass(hass)
        opener = "custom_components.energy_meter.i2c_runtime.open_bus"
        async with running(bench):
            with patch(opener, side_effect=lambda number: SimulatedI2C(bench)):
                assert await hass.config_entries.async_setup(entry.entry_id)
                try:
                    for name, power in zip(names, (460, 690, 460)):
                        await until(lambda n=name, p=power: about(hass, "power", p, 7, n))  # type: ignore[misc]
                    assert about(hass, "power_factor", 0.5, 0.01, names[2])
                    assert about(hass, "frequency", 50, 0.05, names[0])
                    assert about(hass, "current_crest_factor", 1.41, 0.05, names[0])

                    # A third harmonic, captured and worked out.
                    bench.set(1, ih3=0.3)
                    device = er.async_get(hass).async_get(
                        entity(hass, "sensor", "power", names[1]) or ""
                    )
                    assert device is not None
                    wave = await hass.services.async_call(
                        DOMAIN,
                        "capture_waveform",
                        {"device_id": device.device_id, "cycles": 2},
                        blocking=True,
                        return_response=True,
                    )
                    assert wave is not None
                    harmonics: Any = wave["current"]
                    assert harmonics["harmonics"][0] == pytest.approx(3, abs=0.1)
                    assert harmonics["harmonics"][2] == pytest.approx(0.9, abs=0.05)
                finally:
                    await hass.config_entries.async_unload(entry.entry_id)
                    await hass.async_block_till_done()


async def test_a_monitors_relay_is_switched_over_the_i2c_bus_and_every_change_has_its_author(
    hass: HomeAssistant,
) -> None:
    """Switch → command on the TWI pins → the coil's pin → read back; then a watchdog that puts it to rest."""
    with monitors() as bench:
        strap(bench, "relay")
        bench.run(0.6)
        name = f"{Monitor(bench).id:016x}"
        entry = MockConfigEntry(
            domain=DOMAIN,
            title="Panel",
            unique_id="i2c-1",
            data={"kind": "bridge", "way": "i2c", "bus": 1, "multiplexers": []},
        )
        entry.add_to_hass(hass)
        opener = "custom_components.energy_meter.i2c_runtime.open_bus"

        def relay() -> State | None:
            return hass.states.get(entity(hass, "switch", "relay", name) or "switch.none")

        def author() -> tuple[str, Any, Any]:
            state = relay()
            assert state is not None
            return state.state, state.attributes["changed_by"], state.attributes["reason"]

        async def turn(way: str) -> None:
            target = {"entity_id": entity(hass, "switch", "relay", name)}
            await hass.services.async_call("switch", f"turn_{way}", target, blocking=True)

        async with running(bench):
            with patch(opener, side_effect=lambda number: SimulatedI2C(bench)):
                assert await hass.config_entries.async_setup(entry.entry_id)
                try:
                    await until(lambda: (state := relay()) is not None and state.state == "off")
                    await turn("on")
                    assert bench.pin(*COIL) == 1
                    assert author() == ("on", "Home Assistant", None)
                    await asyncio.sleep(2.5)  # The measurements since then agree.
                    assert author() == ("on", "Home Assistant", None)
                    await turn("off")
                    assert bench.pin(*COIL) == 0
                    assert author() == ("off", "Home Assistant", None)

                    await turn("on")
                    bench.poke(TIMSK1, 0)  # No more samples: the watchdog bites.
                    await until(lambda: bench.pin(*COIL) == 0)
                    await until(lambda: author()[:2] == ("off", "meter"))
                    await turn("on")
                    assert bench.pin(*COIL) == 1
                finally:
                    await hass.config_entries.async_unload(entry.entry_id)
                    await hass.async_block_till_done()


async def command(
    hass: HomeAssistant,
    platform: str,
    key: str,
    service: str,
    **data: object,
) -> None:
    """Use an entity as a user does, once it is there."""
    await until(lambda: shown(hass, platform, key) not in {"", "unavailable"})
    target = {"entity_id": entity(hass, platform, key, "main")}
    await hass.services.async_call(platform, service, {**target, **data}, blocking=True)
