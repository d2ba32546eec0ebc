"""A board on a serial port, from the form to the sensor; the port is a pseudo terminal, or a socket."""

from collections.abc import Iterator
import os
from pathlib import Path
from unittest.mock import patch

from homeassistant.components.usb import USBDevice
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.issues import Issue, issue_id
from tests.integration.bridge_ways.support import (
    PrintingBoard,
    choose_way,
    created,
    gone,
    heard,
    impatient,
    measuring,
    oven,
    plugged,
    shows,
    unloaded,
)
from tests.integration.flow_support import Flow
from tests.support.bridge import SimulatedBridge

pytestmark = pytest.mark.usefixtures("socket_enabled", "impatience")

UNO = b'{"Voltage": 227.5, "Current": 1.42}'


@pytest.fixture
def impatience() -> Iterator[None]:
    with impatient():
        yield


async def test_an_arduino_that_prints_volts_and_amperes_is_heard_and_becomes_sensors(
    hass: HomeAssistant,
) -> None:
    async with PrintingBoard(UNO) as board, unloaded(hass):
        flow = await choose_way(hass, "serial")
        assert flow.prefilled() == {"baudrate": "9600"}
        await flow.fill(device=board.path, baudrate="9600")
        assert flow.kind is FlowResultType.SHOW_PROGRESS
        assert await heard(flow) == "- **main**: 227.5 V · 1.42 A"
        assert flow.placeholders["notes"] == ""
        await flow.fill(name="Cellar UNO")
        entry = created(flow)
        assert entry.title == "Cellar UNO"
        assert dict(entry.data) == {
            "kind": "bridge",
            "way": "serial",
            "device": board.path,
            "baudrate": 9600,
        }
        assert entry.unique_id is None
        identity = entry.entry_id
        await shows(hass, "voltage", 227.5, "main", identity)
        await shows(hass, "current", 1.42, "main", identity)


async def test_the_speed_that_fits_is_found_and_told(hass: HomeAssistant) -> None:
    async with PrintingBoard(UNO, baudrate=115200) as board, unloaded(hass):
        flow = await choose_way(hass, "serial")
        await flow.fill(device=board.path, baudrate="9600")
        assert await heard(flow) == "- **main**: 227.5 V · 1.42 A"
        assert "115200 baud" in flow.placeholders["notes"]
        await flow.fill(name="UNO")
        assert created(flow).data["baudrate"] == 115200


async def test_a_bridge_that_says_hello_is_known_by_its_id_and_set_up_only_once(
    hass: HomeAssistant, tmp_path: Path
) -> None:
    board = SimulatedBridge("a4cf12d3e4f5", meters=[oven()], name="Workshop")
    async with plugged(board, tmp_path / "ttyUSB0"), measuring(board), unloaded(hass):
        for attempt in ("first", "second"):
            flow = await choose_way(hass, "serial")
            port = str(tmp_path / "ttyUSB0")
            if attempt == "second":
                board.unplug()
                board.plug(tmp_path / "ttyUSB1")
                port = str(tmp_path / "ttyUSB1")
            await flow.fill(device=port, baudrate="115200")
            await flow.wait()
            if attempt == "second":
                assert flow.result["reason"] == "bridge_already_configured"
                assert flow.placeholders == {"name": "Workshop"}
                continue
            assert await heard(flow) == "- **Oven**: 230.4 V · 2.50 A · 570.0 W"
            assert "a4cf12d3e4f5" in flow.placeholders["notes"]
            assert flow.prefilled() == {"name": "Workshop"}
            await flow.fill(name="Workshop")
            assert created(flow).unique_id == "a4cf12d3e4f5"
            await shows(hass, "power", 570, "oven", "a4cf12d3e4f5")
            await hass.async_block_till_done()


async def test_listening_takes_nothing_from_a_bridge_that_keeps_its_readings(
    hass: HomeAssistant, tmp_path: Path
) -> None:
    board = SimulatedBridge(meters=[oven()])
    for ago in range(200, 0, -1):
        board.measure("oven", {"voltage": 230.0, "current": 1.0, "power": 230.0}, ago=ago)
    async with plugged(board, tmp_path / "port"):
        flow = await choose_way(hass, "serial")
        await flow.fill(device=str(tmp_path / "port"), baudrate="115200")
        await heard(flow)
        assert len(board.buffer) == 200
        assert not board.acknowledged


async def test_a_board_that_says_nothing_is_told_from_one_that_is_not_understood(
    hass: HomeAssistant,
) -> None:
    async with PrintingBoard(b"") as mute, PrintingBoard(b"PZEM: 230.1 V") as chatty:
        flow = await choose_way(hass, "serial")
        await flow.fill(device=mute.path, baudrate="9600")
        await flow.wait()
        assert flow.errors == {"base": "bridge_silent"}
        assert flow.placeholders["port"] == mute.path
        # What was filled in is kept.
        assert flow.prefilled() == {"device": mute.path, "baudrate": "9600", "anyway": False}
        await flow.fill(device=chatty.path, baudrate="9600")
        await flow.wait()
        assert flow.errors == {"base": "bridge_no_speed_fits"}
        assert flow.step == "bridge_serial"


async def test_a_board_that_is_not_connected_yet_can_be_saved_and_comes_later(
    hass: HomeAssistant, tmp_path: Path
) -> None:
    port = tmp_path / "port"
    flow = await choose_way(hass, "serial")
    await flow.fill(device=str(port), baudrate="9600")
    await flow.wait()
    assert flow.errors == {"base": "port_missing"}
    await flow.fill(device=str(port), baudrate="9600", anyway=True)
    assert flow.step == "bridge_heard"
    assert flow.placeholders["heard"].startswith("Nothing yet")
    async with unloaded(hass):
        await flow.fill(name="Later")
        entry = created(flow)
        await hass.async_block_till_done()
        assert entry.state is ConfigEntryState.LOADED
        board = SimulatedBridge("later1", meters=[oven()])
        board.plug(port)
        try:
            async with measuring(board):
                await shows(hass, "voltage", 230.4, "oven", "later1")
        finally:
            await board.close()


async def test_a_port_that_cannot_be_used_says_why(hass: HomeAssistant, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for device, reason in (
        (str(tmp_path / "nothing"), "port_missing"),
        (str(file), "not_a_serial_port"),
        ("socket://127.0.0.1:9", "bridge_connection_refused"),
    ):
        flow = await choose_way(hass, "serial")
        await flow.fill(device=device, baudrate="9600")
        await flow.wait()
        assert flow.errors == {"base": reason}, device


async def test_a_port_that_another_program_has_is_said_to_be_busy(hass: HomeAssistant) -> None:
    import fcntl

    async with PrintingBoard(UNO) as board:
        other = os.open(board.path, os.O_RDWR | os.O_NOCTTY)
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            flow = await choose_way(hass, "serial")
            await flow.fill(device=board.path, baudrate="9600")
            await flow.wait()
            assert flow.errors == {"base": "port_busy"}
        finally:
            os.close(other)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"device": "/dev/ttyUSB0", "baudrate": "fast"}, {"baudrate": "invalid_baudrate"}),
        ({"device": "/dev/ttyUSB0", "baudrate": "7"}, {"baudrate": "invalid_baudrate"}),
        ({"device": "COM3", "baudrate": "9600"}, {"device": "invalid_device"}),
    ],
)
async def test_what_cannot_be_meant_is_refused_at_its_field(
    hass: HomeAssistant, fields: dict[str, str], error: dict[str, str]
) -> None:
    flow = await choose_way(hass, "serial")
    await flow.fill(**fields)
    assert flow.errors == error
    assert flow.prefilled() == fields


async def test_one_port_cannot_be_set_up_twice(hass: HomeAssistant) -> None:
    async with PrintingBoard(UNO) as board, unloaded(hass):
        flow = await choose_way(hass, "serial")
        await flow.fill(device=board.path, baudrate="9600")
        await heard(flow)
        await flow.fill(name="UNO")
        await hass.async_block_till_done()
        again = await choose_way(hass, "serial")
        await again.fill(device=board.path, baudrate="115200")
        assert again.result["reason"] == "bridge_already_configured"


async def test_a_bridge_that_is_unplugged_is_unavailable_and_returns(
    hass: HomeAssistant, tmp_path: Path
) -> None:
    port = tmp_path / "port"
    board = SimulatedBridge("b1", meters=[oven()])
    async with plugged(board, port), unloaded(hass):
        async with measuring(board):
            flow = await choose_way(hass, "serial")
            await flow.fill(device=str(port), baudrate="115200")
            await heard(flow)
            await flow.fill(name="Workshop")
            await shows(hass, "voltage", 230.4, "oven", "b1")
        board.unplug()
        await gone(hass, "voltage", "oven", "b1")
        board.plug(port)
        async with measuring(board):
            await shows(hass, "voltage", 230.4, "oven", "b1")


async def test_a_bridge_moves_to_another_port_with_its_meters(
    hass: HomeAssistant, tmp_path: Path
) -> None:
    board = SimulatedBridge("b1", meters=[oven()])
    stranger = SimulatedBridge("b2", meters=[oven()])
    async with (
        plugged(board, tmp_path / "one"),
        plugged(stranger, tmp_path / "other"),
        measuring(board),
        measuring(stranger),
        unloaded(hass),
    ):
        flow = await choose_way(hass, "serial")
        await flow.fill(device=str(tmp_path / "one"), baudrate="115200")
        await heard(flow)
        await flow.fill(name="Workshop")
        entry = created(flow)
        await shows(hass, "power", 570, "oven", "b1")
        meters = dict(entry.subentries)
        board.unplug()
        board.plug(tmp_path / "two")

        flow = await Flow.reconfigure(hass, entry)
        assert flow.step == "bridge_moved"
        await flow.choose("bridge_serial")
        assert flow.prefilled() == {"device": str(tmp_path / "one"), "baudrate": "115200"}
        # Not this one.
        await flow.fill(device=str(tmp_path / "other"), baudrate="115200")
        await flow.wait()
        assert flow.errors == {"base": "bridge_other"}
        assert (flow.placeholders["expected"], flow.placeholders["found"]) == ("b1", "b2")
        assert entry.data["device"] == str(tmp_path / "one")

        await flow.fill(device=str(tmp_path / "two"), baudrate="115200")
        await heard(flow)
        assert flow.prefilled() == {"name": "Workshop"}
        await flow.fill(name="Workshop 2")
        assert flow.result["reason"] == "bridge_changed"
        await hass.async_block_till_done()
        assert entry.title == "Workshop 2"
        assert entry.data["device"] == str(tmp_path / "two")
        assert dict(entry.subentries).keys() == meters.keys()
        await shows(hass, "power", 570, "oven", "b1")


async def test_a_board_in_another_socket_is_followed_when_the_user_says_so(
    hass: HomeAssistant, tmp_path: Path
) -> None:
    assert await async_setup_component(hass, "repairs", {})
    there = USBDevice(
        device=str(tmp_path / "ttyUSB1"),
        vid="1a86",
        pid="7523",
        serial_number=None,
        manufacturer="QinHeng",
        description="USB Serial",
    )
    board = SimulatedBridge("b1", meters=[oven()])
    entry = MockConfigEntry(
        domain=DOMAIN,
        title="Workshop",
        unique_id="b1",
        data={"kind": "bridge", "way": "serial", "device": "/dev/ttyUSB77", "baudrate": 9600},
    )
    entry.add_to_hass(hass)
    async with (
        plugged(board, Path(there.device)),
        measuring(board),
        unloaded(hass),
    ):
        # No adapter is plugged into the machine that the tests run on.
        with patch("homeassistant.components.usb.async_scan_serial_ports", return_value=[there]):
            assert await hass.config_entries.async_setup(entry.entry_id)
        issue = issue_id(Issue.ADAPTER_MOVED, entry.entry_id)
        found = ir.async_get(hass).async_get_issue(DOMAIN, issue)
        assert found is not None and found.translation_placeholders is not None
        assert found.translation_placeholders["now"] == there.device
        manager = hass.data["repairs"]["flow_manager"]
        form = await manager.async_init(DOMAIN, data={"issue_id": issue})
        await manager.async_configure(form["flow_id"], {})
        await shows(hass, "power", 570, "oven", "b1")
        assert entry.data["device"] == there.device
        assert ir.async_get(hass).async_get_issue(DOMAIN, issue) is None
