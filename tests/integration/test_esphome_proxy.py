"""A meter read through an ESPHome serial proxy: a real node, and Home Assistant's own integration of it.

The node is compiled by ESPHome for this machine from the same package as the ESP32's (`firmware/esp32/esphome`); what
it lacks is said in `tests/firmware/esphome/host.yaml`.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
import os
from pathlib import Path
from typing import Any

from homeassistant.components.usb import async_scan_serial_ports
from homeassistant.config_entries import SOURCE_USER, ConfigEntry, ConfigEntryState
from homeassistant.const import EVENT_HOMEASSISTANT_STOP
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.energy_meter.const import DOMAIN
from tests.integration.bridge_ways.support import (
    choose_way,
    created,
    gone,
    heard,
    impatient,
    measuring,
    plugged,
    shows as reading,
    unloaded as bridges_unloaded,
)
from tests.integration.flow_support import Flow, sdm120, unloaded
from tests.integration.runtime_support import SDM120, show, shows, state, subentry, until
from tests.support.bridge import SimulatedBridge, SimulatedMeter, relay
from tests.support.esphome import PORT_NAME, Node
from tests.support.meters import Meter
from tests.support.wire import ByteTiming, Wire

pytestmark = pytest.mark.usefixtures("socket_enabled", "mock_async_zeroconf", "mock_bluetooth")

RETURN = 60.0
"""Seconds within which Home Assistant's ESPHome integration finds a node that was away."""


@cache
def _compiled(directory: Path) -> Node:
    # ESPHome wants a path of exactly two parts for its port, which no temporary directory's is.
    return Node(directory, Path("/tmp") / f"rs485-{os.getpid()}")  # noqa: S108


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the node is built, once."""
    return tmp_path_factory.mktemp("esphome")


@pytest.fixture
def device() -> Meter:
    """The meter behind the node."""
    return sdm120(7, serial_number=4711)


@pytest.fixture
def compiled(directory: Path, socket_enabled: None) -> Node:
    """The node, not switched on yet."""
    return _compiled(directory)


@pytest.fixture
def node(compiled: Node, device: Meter) -> Iterator[Node]:
    """The node, switched on, with the meter on its RS-485 line."""
    line = Wire([device], timing=ByteTiming(9600), turnaround=0.02, path=compiled.device)
    with line, compiled:
        yield compiled


@pytest.fixture
async def proxy(hass: HomeAssistant, node: Node) -> AsyncIterator[ConfigEntry]:
    """The node, added to Home Assistant by its user."""
    async with _added(hass, node) as entry:
        yield entry


@asynccontextmanager
async def _added(hass: HomeAssistant, node: Node) -> AsyncIterator[ConfigEntry]:
    assert await async_setup_component(hass, "homeassistant", {})
    # Sound is of no matter here, and its program need not be on this machine.
    assert await async_setup_component(hass, "ffmpeg", {"ffmpeg": {"ffmpeg_bin": "true"}})
    assert await async_setup_component(hass, "usb", {})
    result = await hass.config_entries.flow.async_init(
        "esphome",
        context={"source": SOURCE_USER},
        data={"host": "127.0.0.1", "port": node.port},
    )
    assert result["type"] is FlowResultType.CREATE_ENTRY, result
    entry: ConfigEntry = result["result"]
    await _online(entry)
    yield entry
    if entry.state is ConfigEntryState.LOADED:
        await hass.config_entries.async_unload(entry.entry_id)
    # What `usb` and the scheme of the proxies have registered process-wide ends with Home Assistant.
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    await hass.async_block_till_done()


async def _online(entry: ConfigEntry) -> None:
    await until(lambda: bool(entry.runtime_data.available), RETURN)


async def _offered_port(hass: HomeAssistant) -> str:
    """What the picker of serial ports offers for the proxy."""
    [url] = [
        port.device
        for port in await async_scan_serial_ports(hass)
        if port.device.startswith("esphome-hass://")
    ]
    return url


@asynccontextmanager
async def _running(hass: HomeAssistant, device: str, **settings: Any) -> AsyncIterator[None]:
    data: Mapping[str, Any] = {
        "transport": "serial",
        "device": device,
        "baudrate": 9600,
        "bytesize": 8,
        "parity": "N",
        "stopbits": 1,
        **settings,
    }
    entry = MockConfigEntry(domain=DOMAIN, title="Cellar", data=data, subentries_data=[subentry(7)])
    entry.add_to_hass(hass)
    assert await hass.config_entries.async_setup(entry.entry_id)
    try:
        yield
    finally:
        await hass.config_entries.async_unload(entry.entry_id)
        await hass.async_block_till_done()


async def test_a_proxy_is_offered_as_a_port_and_set_up_like_one(
    hass: HomeAssistant, proxy: ConfigEntry
) -> None:
    async with unloaded(hass):
        flow = await Flow.user(hass)
        await flow.choose("serial")
        await flow.fill(device=await _offered_port(hass))
        assert flow.step == "meters", flow.result
        await flow.choose("known_meter")
        await flow.fill(profile=SDM120)
        await flow.fill(**flow.prefilled() | {"unit_id": 7})
        assert flow.step == "meter", flow.result
        assert "231.2 V" in flow.placeholders["live"]
        await flow.fill(**flow.prefilled())
        entry = flow.result["result"]
        assert entry.title == f"ESPHome {PORT_NAME} 2400 8N1"
        await shows(hass, "voltage", "231.2", "eastron_4711")


async def test_values_come_right_and_a_node_that_was_off_is_read_again(
    hass: HomeAssistant, proxy: ConfigEntry, node: Node, device: Meter
) -> None:
    async with _running(hass, await _offered_port(hass)):
        await shows(hass, "power", "512.0", "meter_7")
        await shows(hass, "energy_import", "1234.5", "meter_7")
        node.off()
        await shows(hass, "power", "unavailable", "meter_7")
        assert state(hass, "energy_import", "meter_7").state == "1234.5"
        show(device, SDM120, {"power": -700.0, "energy_import": 1234.6})
        node.on()
        await _online(proxy)
        await shows(hass, "power", "-700.0", "meter_7")
        await shows(hass, "energy_import", "1234.6", "meter_7")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"baudrate": 2400, "parity": "E"}, "baud=2400, flow_ctrl=NO, parity=1, stop=1, data=8"),
        ({"parity": "O", "bytesize": 7}, "baud=9600, flow_ctrl=NO, parity=2, stop=1, data=7"),
        ({"stopbits": 2}, "baud=9600, flow_ctrl=NO, parity=0, stop=2, data=8"),
    ],
)
async def test_line_settings_reach_the_node(
    hass: HomeAssistant, proxy: ConfigEntry, node: Node, settings: dict[str, Any], said: str
) -> None:
    async with _running(hass, await _offered_port(hass), **settings):
        await shows(hass, "voltage", "231.2", "meter_7")
        assert said in node.log


async def test_what_is_wrong_with_a_proxy_is_said_where_it_was_chosen(
    hass: HomeAssistant, proxy: ConfigEntry, node: Node
) -> None:
    url = await _offered_port(hass)
    flow = await Flow.user(hass)
    await flow.choose("serial")
    await flow.fill(device=url.replace(PORT_NAME, "RS-232"))
    assert flow.errors == {"base": "proxy_unavailable"}, flow.result
    assert "RS-232" in flow.placeholders["error"]
    await hass.config_entries.async_unload(proxy.entry_id)
    await flow.fill(device=url)
    assert flow.errors == {"base": "proxy_unavailable"}
    await hass.config_entries.async_setup(proxy.entry_id)
    await _online(proxy)
    node.off()
    await until(lambda: not proxy.runtime_data.available)
    await flow.fill(device=url)
    assert flow.errors == {"base": "proxy_unavailable"}
    node.on()
    await _online(proxy)
    await flow.fill(device=url)
    assert flow.step == "meters", flow.result


async def test_a_board_behind_a_proxy_is_heard_and_takes_commands(
    hass: HomeAssistant, compiled: Node
) -> None:
    meters = [
        SimulatedMeter(
            id="oven",
            name="Oven",
            quantities=("voltage", "current", "power"),
            controls=[relay()],
        )
    ]
    board = SimulatedBridge("uno0042", meters=meters, name="UNO", kind="uno")
    with impatient():
        async with plugged(board, compiled.device), measuring(board):
            with compiled:
                async with _added(hass, compiled) as proxy, bridges_unloaded(hass):
                    flow = await choose_way(hass, "serial")
                    await flow.fill(device=await _offered_port(hass), baudrate="9600")
                    assert "230.4 V" in await heard(flow)
                    await flow.fill(name="UNO")
                    assert created(flow).data["way"] == "serial"
                    await reading(hass, "power", 570, "oven", "uno0042")
                    [switch] = hass.states.async_entity_ids("switch")
                    await hass.services.async_call(
                        "switch", "turn_off", {"entity_id": switch}, blocking=True
                    )
                    off = hass.states.get(switch)
                    assert off is not None and off.state == "off"
                    compiled.off()
                    await gone(hass, "power", "oven", "uno0042")
                    compiled.on()
                    await _online(proxy)
                    await reading(hass, "power", 570, "oven", "uno0042")
