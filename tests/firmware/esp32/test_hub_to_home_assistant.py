"""From the wave on an AVR's pin through the I²C hub on an ESP32 and the network to the entity in Home Assistant.

The monitors run their real firmware in simavr, the hub runs in MicroPython, the connection is a socket with a key. Where
time has to be moved or a hundred monitors are wanted, simulated ones take the AVRs' place.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.energy_meter.bridge_runtime import BridgeRuntime
from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.sources.base import SourceError
from custom_components.energy_meter.sources.simulated.panel import SimulatedMonitor
from tests.firmware.avr.monitor import COIL, Monitor, monitors as avr_monitors, strap
from tests.firmware.esp32.hubs import Hub, hub, id_of
from tests.integration.bridge_ways.test_mqtt_way import with_mqtt
from tests.integration.runtime_support import until
from tests.support.avr_bench import AvrBench
from tests.support.broker import broker as running_broker
from tests.support.entries import loaded
from tests.support.esp32 import KEY, Board, free_port, settings
from tests.support.i2c_wire import Avrs, Board as BoardTime, Wire

pytestmark = pytest.mark.usefixtures("socket_enabled")

BRIDGE = "a4cf12d3e4f5"


@asynccontextmanager
async def entry_for(hass: HomeAssistant, **data: Any) -> AsyncIterator[MockConfigEntry]:
    """An entry for the hub, loaded."""
    entry = MockConfigEntry(
        domain=DOMAIN, title="Panel", unique_id=BRIDGE, data={"kind": "bridge", **data}
    )
    async with loaded(hass, entry):
        yield entry


def over_tcp(hass: HomeAssistant, port: int) -> Any:
    """The same by TCP."""
    return entry_for(hass, way="tcp", host="127.0.0.1", port=port, key=KEY)


def session(entry: MockConfigEntry) -> Any:
    """The conversation with the hub."""
    runtime = entry.runtime_data
    assert isinstance(runtime, BridgeRuntime)
    return runtime.session


def entity(hass: HomeAssistant, meter: str, key: str, platform: str = "sensor") -> str:
    """The entity of a circuit for a key; one that never is while it is not there."""
    for entry in er.async_get(hass).entities.values():
        ours = entry.platform == DOMAIN and entry.domain == platform
        if ours and f"_{entry.unique_id}".endswith(f"_{meter}_{key}"):
            return entry.entity_id
    return "sensor.none"


def number(hass: HomeAssistant, meter: str, key: str) -> float | None:
    """What it shows; None if that is no number."""
    state = hass.states.get(entity(hass, meter, key))
    try:
        return None if state is None else float(state.state)
    except ValueError:
        return None


def near(hass: HomeAssistant, meter: str, key: str, value: float, tolerance: float) -> bool:
    """Whether it shows that number."""
    shown = number(hass, meter, key)
    return shown is not None and abs(shown - value) <= tolerance


def switched(bench: AvrBench, address: int, node: int) -> None:
    """Set a monitor's seven address switches."""
    for bit in range(7):
        port, pin = ("D", 2 + bit) if bit < 6 else ("B", 0)
        bench.drive(port, pin, 0 if address >> bit & 1 else 1, node)


async def test_from_the_wave_to_the_entity_and_back_to_the_coil(
    hass: HomeAssistant, tmp_path: Path
) -> None:
    """Two real monitors: values, a load that turns, a relay's coil, a calibration kept in EEPROM, a waveform."""
    with avr_monitors(2) as bench:
        strap(bench, "relay", node=1)
        for node in range(2):
            switched(bench, 0x21 + node, node)
            bench.set(node, irms=2 + node, phi=60 if node else 0)
        bench.run(0.6)
        names = [f"{Monitor(bench, 0x21 + node).id:016x}" for node in range(2)]
        port = free_port()
        async with Avrs(bench) as avrs, Wire(avrs, BoardTime()) as wire:
            config = settings(tcp={"on": True, "port": port}, uarts=[], i2c={"on": True})
            board = Board(tmp_path, config, wire=wire.port)
            await board.start()
            try:
                async with over_tcp(hass, port) as entry:
                    await until(lambda: near(hass, names[0], "power", 460, 7), 60)
                    await until(lambda: near(hass, names[1], "power", 345, 7), 60)
                    assert near(hass, names[0], "voltage", 230, 2.3)
                    assert near(hass, names[0], "frequency", 50, 0.05)
                    assert near(hass, names[0], "current_crest_factor", 1.41, 0.05)
                    assert near(hass, names[1], "power_factor", 0.5, 0.01)
                    assert session(entry).hello.kind == "i2c_hub"

                    bench.set(0, phi=180)
                    await until(lambda: near(hass, names[0], "power", -460, 7), 60)

                    target = {"entity_id": entity(hass, names[1], "relay", "switch")}
                    for way, level in (("turn_on", 1), ("turn_off", 0)):
                        await hass.services.async_call("switch", way, target, blocking=True)
                        assert bench.pin(*COIL, 1) == level

                    assert await session(entry).command("current_gain", 1.5, meter=names[1]) == 1.5
                    await until(lambda: near(hass, names[1], "power", 517, 10), 60)
                    device = er.async_get(hass).async_get(entity(hass, names[0], "power"))
                    assert device is not None
                    wave = await hass.services.async_call(
                        DOMAIN,
                        "capture_waveform",
                        {"device_id": device.device_id, "cycles": 2},
                        blocking=True,
                        return_response=True,
                    )
                    assert wave is not None
                    voltage: Any = wave["voltage"]
                    assert voltage["rms"] == pytest.approx(230, rel=0.02)
                    assert session(entry).counters.bad == session(entry).counters.lost == 0
            finally:
                await board.cut_power()


async def later(one: Hub, so: Callable[[], bool]) -> None:
    """Let the hub's time pass in steps until it is so."""
    for _ in range(60):
        await one.board.do("pass", seconds=1)
        await asyncio.sleep(0.05)
        if so():
            return
    raise AssertionError("not in time")


async def test_a_monitor_that_forgets_some_energy_takes_none_away(
    hass: HomeAssistant, tmp_path: Path
) -> None:
    """It loses its supply with what it had not saved: the total in Home Assistant goes on from where it was."""
    async with hub(tmp_path, 4, connected=False) as one, over_tcp(hass, one.port):
        monitor = one.monitors[1]  # A main: some kilowatts.
        name = id_of(monitor)
        await later(one, lambda: number(hass, name, "energy_import") is not None)
        before = number(hass, name, "energy_import")
        assert before is not None
        monitor.power(False)
        await later(one, lambda: hass.states.is_state(entity(hass, name, "power"), "unavailable"))
        monitor.power(True, forgets=0.5)
        await later(one, lambda: number(hass, name, "power") is not None)
        await later(one, lambda: (number(hass, name, "energy_import") or 0) > before)
        after = number(hass, name, "energy_import")
        assert after is not None
        assert before <= after < before + 0.4


async def test_an_hour_without_a_link_and_a_restart_in_the_middle_cost_nothing(
    hass: HomeAssistant, tmp_path: Path
) -> None:
    """Home Assistant is away for an hour, the hub restarts meanwhile: totals are right at once, no value is old."""
    async with hub(tmp_path, 3, connected=False) as one:
        names = [id_of(monitor) for monitor in one.monitors]

        def right(slack: float) -> bool:
            now = one.wire.board.unix()
            return all(
                near(hass, name, "energy_import", monitor.circuit.energy(now).taken, slack)
                for name, monitor in zip(names, one.monitors, strict=True)
            )

        async with over_tcp(hass, one.port) as entry:
            await later(one, lambda: right(0.05))
            await hass.config_entries.async_unload(entry.entry_id)
            away = await one.board.do("pass", seconds=1800)
            assert away["buffered"] >= 5
            await one.board.cut_power()
            await one.board.start()
            away = await one.board.do("pass", seconds=1800)
            assert away["buffered"] >= 10
            assert away["dropped"] == 0
            assert await hass.config_entries.async_setup(entry.entry_id)
            await later(one, lambda: right(0.05))
            assert session(entry).counters.bad == 0
            assert (await one.board.look())["hub"]["problems"] == {}


async def test_commands_of_a_user_are_refused_in_words(hass: HomeAssistant, tmp_path: Path) -> None:
    """What the monitor will not do is an error at the entity; what it does shows."""

    def with_relay(monitors: list[SimulatedMonitor]) -> list[SimulatedMonitor]:
        monitors[0].capabilities |= 1
        return monitors

    async with hub(tmp_path, 2, arrange=with_relay, connected=False) as one:
        name = id_of(one.monitors[0])
        async with over_tcp(hass, one.port) as entry:
            await later(one, lambda: entity(hass, name, "relay", "switch") != "sensor.none")
            target = {"entity_id": entity(hass, name, "relay", "switch")}
            await hass.services.async_call("switch", "turn_off", target, blocking=True)
            assert one.monitors[0].relay == 0
            with pytest.raises(SourceError) as wrong:
                await session(entry).command("voltage_gain", 7, meter=name)
            assert wrong.value.key == "bridge_bad_value"
            one.monitors[0].power(False)
            with pytest.raises(HomeAssistantError) as refused:
                await hass.services.async_call("switch", "turn_on", target, blocking=True)
            assert refused.value.translation_key == "bridge_no_answer"


def circuits(hass: HomeAssistant) -> int:
    """Circuits that show a power."""
    return sum(
        state.attributes.get("device_class") == "power"
        and state.state not in ("unknown", "unavailable")
        for state in hass.states.async_all("sensor")
    )


async def test_a_hundred_circuits_over_tcp(hass: HomeAssistant, tmp_path: Path) -> None:
    """Every one is a device with its values; nothing is lost, nothing bad."""
    async with hub(tmp_path, 100, connected=False) as one, over_tcp(hass, one.port) as entry:
        await until(lambda: circuits(hass) >= 100, 60)
        devices = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
        assert len(devices) >= 101
        assert session(entry).counters.bad == session(entry).counters.lost == 0
        look = await one.board.look()
        assert look["hub"]["monitors"] == 100


async def test_a_hundred_circuits_over_a_broker(hass: HomeAssistant, tmp_path: Path) -> None:
    """The same through a real broker and Home Assistant's mqtt."""
    (tmp_path / "broker").mkdir()
    with running_broker(tmp_path / "broker") as broker:
        link = {"on": True, "host": "127.0.0.1", "port": broker.port}
        off = {"on": False}
        place = {"way": "mqtt", "prefix": "energy_meter", "bridge": BRIDGE}
        async with (
            with_mqtt(hass, broker),
            hub(tmp_path / "board", 100, connected=False, tcp=off, mqtt=link),
            entry_for(hass, **place) as entry,
        ):
            await until(lambda: circuits(hass) >= 100, 60)
            await session(entry).command("identify", None)
            assert session(entry).counters.bad == session(entry).counters.lost == 0


async def test_a_hundred_circuits_over_a_webhook(
    hass: HomeAssistant, hass_client_no_auth: ClientSessionGenerator, tmp_path: Path
) -> None:
    """The same in signed posts to Home Assistant's own web server."""
    assert await async_setup_component(hass, DOMAIN, {})
    client = await hass_client_no_auth()
    secret = "5" * 64
    url = f"http://127.0.0.1:{client.server.port}/api/webhook/{secret}"
    off, post = {"on": False}, {"on": True, "url": url}
    async with (
        entry_for(hass, way="http", webhook_id=secret, key=KEY) as entry,
        hub(tmp_path, 100, connected=False, tcp=off, http=post),
    ):
        await until(lambda: circuits(hass) >= 100, 60)
        await session(entry).command("identify", None)
        assert session(entry).counters.bad == session(entry).counters.lost == 0
