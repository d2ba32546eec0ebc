"""What an entry needs before it starts: its port, its settings, and where a moved adapter is found."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

from homeassistant.components.repairs.const import DOMAIN as REPAIRS
from homeassistant.components.usb import USBDevice
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.issues import Issue, issue_id
from tests.support.wire import rtu_line

from .runtime_support import SDM120, entry_for, meter, shows, subentry, until

SCAN = "homeassistant.components.usb.async_scan_serial_ports"
MOVED = "custom_components.energy_meter.connection._async_moved_to"
GONE = "/dev/serial/by-id/usb-FTDI_USB_RS485_AB12-if00-port0"


def port(device: str) -> USBDevice:
    """A serial adapter as Home Assistant reports it."""
    return USBDevice(
        device=device,
        vid="0403",
        pid="6001",
        serial_number="AB12",
        manufacturer="FTDI",
        description="USB RS485",
    )


def gone(device: str = GONE) -> MockConfigEntry:
    """An entry whose adapter is not plugged in."""
    return MockConfigEntry(
        domain=DOMAIN, title="Cellar", data={"transport": "serial", "device": device}
    )


async def set_up(hass: HomeAssistant, entry: MockConfigEntry, *ports: str) -> ir.IssueEntry | None:
    """Set an entry up while these ports are there, and return what is said about its adapter."""
    entry.add_to_hass(hass)
    with patch(SCAN, return_value=[port(each) for each in ports]):
        await hass.config_entries.async_setup(entry.entry_id)
        await hass.async_block_till_done()
    return ir.async_get(hass).async_get_issue(DOMAIN, issue_id(Issue.ADAPTER_MOVED, entry.entry_id))


async def test_a_missing_adapter_is_waited_for(hass: HomeAssistant) -> None:
    entry = gone()
    assert await set_up(hass, entry) is None
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert entry.error_reason_translation_key == "port_missing"


async def test_an_adapter_that_comes_back_is_taken_up_at_once(
    hass: HomeAssistant, tmp_path: Path
) -> None:
    path = tmp_path / "tty"
    entry = gone(str(path))
    entry.add_to_hass(hass)
    told: list[Any] = []

    def register(_hass: HomeAssistant, callback: Any) -> Any:
        told.append(callback)
        return lambda: None

    with patch(
        "homeassistant.components.usb.async_register_port_event_callback",
        side_effect=register,
    ):
        await set_up_only(hass, entry)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    async with rtu_line([meter(SDM120, 1, {"power": 10.0})], path=path):
        told[0]({port(str(path))}, set())
        await until(lambda: entry.state is ConfigEntryState.LOADED, 10)
        await hass.config_entries.async_unload(entry.entry_id)


async def set_up_only(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Set an entry up while there are no ports."""
    with patch(SCAN, return_value=[]):
        await hass.config_entries.async_setup(entry.entry_id)


async def test_an_adapter_in_another_socket_is_found_by_its_name(hass: HomeAssistant) -> None:
    moved = "/dev/serial/by-id/usb-FTDI_USB_RS485_AB12-if01-port0"
    found = await set_up(hass, gone(), moved, "/dev/serial/by-id/usb-Other_1-if00")
    assert found is not None and found.translation_placeholders is not None
    assert found.translation_placeholders["now"] == moved


@pytest.mark.parametrize(
    "ports",
    [
        ("/dev/ttyUSB1", "/dev/ttyUSB2"),
        (),
    ],
)
async def test_where_an_adapter_went_is_not_guessed(
    hass: HomeAssistant, ports: tuple[str, ...]
) -> None:
    assert await set_up(hass, gone("/dev/ttyUSB7"), *ports) is None


async def test_a_moved_adapter_is_followed_when_the_user_says_so(
    hass: HomeAssistant, tmp_path: Path
) -> None:
    assert await async_setup_component(hass, REPAIRS, {})
    async with rtu_line([meter(SDM120, 1, {"power": 10.0})]) as line:
        entry = entry_for(line, [subentry(1)])
        entry.add_to_hass(hass)
        hass.config_entries.async_update_entry(entry, data={**entry.data, "device": "/dev/ttyUSB7"})
        with patch(SCAN, return_value=[port(line.path)]):
            await hass.config_entries.async_setup(entry.entry_id)
        issue = issue_id(Issue.ADAPTER_MOVED, entry.entry_id)
        assert ir.async_get(hass).async_get_issue(DOMAIN, issue) is not None
        manager = hass.data[REPAIRS]["flow_manager"]
        form = await manager.async_init(DOMAIN, data={"issue_id": issue})
        await manager.async_configure(form["flow_id"], {})
        await until(lambda: entry.state is ConfigEntryState.LOADED, 10)
        assert entry.data["device"] == line.path
        await shows(hass, "power", "10.0")
        assert ir.async_get(hass).async_get_issue(DOMAIN, issue) is None
        await hass.config_entries.async_unload(entry.entry_id)


async def test_an_adapter_that_moves_while_it_is_in_use_is_noticed(hass: HomeAssistant) -> None:
    async with rtu_line([meter(SDM120, 1, {"power": 10.0})]) as line:
        entry = entry_for(line, [subentry(1)])
        entry.add_to_hass(hass)
        hass.config_entries.async_update_entry(entry, data={**entry.data, "device": line.path})
        assert await hass.config_entries.async_setup(entry.entry_id)
        await shows(hass, "power", "10.0")
        runtime = entry.runtime_data
        line.unplug()
        await until(lambda: not runtime.line.health.connected)
        issue = issue_id(Issue.ADAPTER_MOVED, entry.entry_id)
        with patch(MOVED, return_value="/dev/ttyUSB3"):
            runtime._look_at_health(dt_util.utcnow())
            await until(lambda: ir.async_get(hass).async_get_issue(DOMAIN, issue) is not None)
        line.plug()
        await until(lambda: runtime.line.health.connected)
        runtime._look_at_health(dt_util.utcnow())
        await until(lambda: ir.async_get(hass).async_get_issue(DOMAIN, issue) is None)
        await hass.config_entries.async_unload(entry.entry_id)


async def test_data_that_makes_no_link_is_an_error_and_not_a_crash(hass: HomeAssistant) -> None:
    entry = gone("nonsense")
    entry.add_to_hass(hass)
    assert not await hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.SETUP_ERROR
    assert entry.error_reason_translation_key == "invalid_device"
