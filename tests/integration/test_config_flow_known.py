"""Setting up a line and a meter that the user knows: model, address, line settings, tried live."""

from pathlib import Path
import socket
from unittest.mock import patch

from homeassistant.components.modbus import async_get_unit
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from modbus_connection import ModbusSerialParams
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.energy_meter.const import DOMAIN
from tests.integration.flow_support import LIBRARY, NETWORK_ADVANCED, Flow, sdm120, unloaded
from tests.support.meters import MeterServer
from tests.support.models import SUNSPEC_BASE, model_meter
from tests.support.wire import rtu_line, rtu_over_tcp_line

pytestmark = pytest.mark.usefixtures("socket_enabled")

LINE = {"baudrate": "9600", "parity": "n", "stopbits": "1", "bytesize": "8"}


async def _network(hass: HomeAssistant, port: int | None, **fields: object) -> Flow:
    flow = await Flow.user(hass)
    await flow.choose("network")
    form: dict[str, object] = {
        "host": "127.0.0.1",
        "protocol": "tcp",
        "advanced": NETWORK_ADVANCED,
    }
    if port is not None:
        form["port"] = port
    return await flow.fill(**form | fields)


async def _serial(hass: HomeAssistant, device: str) -> Flow:
    flow = await Flow.user(hass)
    await flow.choose("serial")
    return await flow.fill(device=device)


async def _known(flow: Flow, model: str = "eastron_sdm120m") -> Flow:
    assert flow.step == "meters", flow.result
    await flow.choose("known_meter")
    return await flow.fill(profile=model)


async def test_a_known_meter_behind_a_gateway_becomes_an_entry(hass: HomeAssistant) -> None:
    async with MeterServer([sdm120(7, serial_number=4711)]) as server, unloaded(hass):
        port = server.serve_tcp()
        flow = await _known(await _network(hass, port, host="LOCALHOST"))
        assert flow.step == "known_address"
        assert "2400" in flow.placeholders["quirks"]
        await flow.fill(unit_id=7)
        assert flow.step == "meter"
        assert "231.2 V" in flow.placeholders["live"]
        assert "4711" in flow.placeholders["where"]
        await flow.fill(**flow.prefilled() | {"name": "Main meter", "rated_current": 35})
        assert flow.kind is FlowResultType.CREATE_ENTRY
        entry = flow.result["result"]
        assert entry.data == {"transport": "tcp", "host": "localhost", "port": port}
        assert entry.title == f"localhost:{port}"
        assert (entry.version, entry.minor_version) == (1, 1)
        assert entry.state is ConfigEntryState.LOADED
        [subentry] = entry.subentries.values()
        assert subentry.unique_id == "eastron_4711"
        assert subentry.title == "Main meter"
        assert dict(subentry.data) == {
            "profile": "eastron_sdm120m",
            "unit_id": 7,
            "identity": "eastron_4711",
            "serial_number": "4711",
            "role": "none",
            "energy_dashboard": True,
            "rated_current": 35,
            "fast_interval": 5.0,
            "counter_interval": 30.0,
            "slow_interval": 60.0,
            "invert": False,
        }


async def test_line_settings_are_prefilled_from_the_model_and_kept(hass: HomeAssistant) -> None:
    async with rtu_line([sdm120(1)], baudrate=2400) as line, unloaded(hass):
        flow = await _known(await _serial(hass, line.path))
        assert flow.prefilled() == {"unit_id": 1, "line": LINE | {"baudrate": "2400"}}
        await flow.fill(**flow.prefilled())
        assert flow.step == "meter", flow.result
        await flow.fill(**flow.prefilled())
        assert flow.result["data"] == {
            "transport": "serial",
            "device": line.path,
            "baudrate": 2400,
            "bytesize": 8,
            "parity": "N",
            "stopbits": 1,
        }


async def test_a_transparent_bridge_needs_its_port_and_gets_its_speed(hass: HomeAssistant) -> None:
    async with rtu_over_tcp_line([sdm120(1)], baudrate=19200) as line, unloaded(hass):
        flow = await _network(hass, None, protocol="rtu_over_tcp")
        assert flow.errors == {"port": "port_needed"}
        await flow.fill(
            host="127.0.0.1",
            protocol="rtu_over_tcp",
            port=line.port,
            advanced={"baudrate": "19200", "verify_ssl": True},
        )
        await _known(flow)
        await flow.fill(unit_id=1)
        await flow.fill(**flow.prefilled())
        assert flow.result["data"] == {
            "transport": "rtu_over_tcp",
            "host": "127.0.0.1",
            "port": line.port,
            "baudrate": 19200,
        }


async def test_the_simulated_line_shows_meters_without_any_hardware(hass: HomeAssistant) -> None:
    async with unloaded(hass):
        flow = await Flow.user(hass)
        await flow.choose("simulated")
        await flow.fill()
        await _known(flow, "SDM630-Modbus")
        assert flow.step == "known_address", flow.result
        await flow.fill(unit_id=1)
        assert flow.step == "meter", flow.result
        assert " kWh" in flow.placeholders["live"]
        await flow.fill(**flow.prefilled())
        entry = flow.result["result"]
        assert entry.data == {"transport": "simulated"}
        assert entry.title == "Simulated line"
        assert entry.state is ConfigEntryState.LOADED
        again = await Flow.user(hass)
        await again.choose("simulated")
        await again.fill()
        assert again.result["reason"] == "already_configured"


# What the user gets wrong about the line


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"host": "no host"}, {"host": "invalid_host"}),
        ({"host": " "}, {"host": "missing_value"}),
        (
            {"advanced": {"baudrate": "fast", "verify_ssl": True}, "protocol": "rtu_over_tcp"},
            {"base": "not_a_number"},
        ),
    ],
)
async def test_a_gateway_that_cannot_be_is_named_and_the_input_kept(
    hass: HomeAssistant, fields: dict[str, object], errors: dict[str, str]
) -> None:
    flow = await _network(hass, 1502, **fields)
    assert flow.errors == errors
    kept = {"host": "127.0.0.1", "protocol": "tcp", "port": 1502, "advanced": NETWORK_ADVANCED}
    assert flow.prefilled() == kept | fields


async def test_a_refused_connection_is_named_and_can_be_tried_again(hass: HomeAssistant) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flow = await _network(hass, port)
    assert flow.errors == {"base": "connection_refused"}
    assert flow.placeholders["link"] == f"127.0.0.1:{port}"
    async with MeterServer([sdm120(1)]) as server:
        server.serve_tcp(port=port)
        await flow.fill(**flow.prefilled())
        assert flow.step == "meters"


@pytest.mark.parametrize(
    ("device", "errors"),
    [
        ("ttyUSB0", {"device": "invalid_device"}),
        ("/dev/ttyNOTHING", {"base": "port_missing"}),
        ("/dev/null", {"base": "not_a_serial_port"}),
    ],
)
async def test_a_port_that_does_not_open_is_named_and_the_input_kept(
    hass: HomeAssistant, device: str, errors: dict[str, str]
) -> None:
    flow = await _serial(hass, device)
    assert flow.errors == errors
    assert flow.prefilled() == {"device": device}


async def test_a_port_is_kept_by_the_name_that_survives_replugging(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def by_id(path: str) -> str:
        asked.append(path)
        return "/dev/serial/by-id/usb-FTDI_FT232R-if00-port0"

    monkeypatch.setattr("custom_components.energy_meter.flows.link.get_serial_by_id", by_id)
    flow = await _serial(hass, "/dev/ttyUSB7")
    assert asked == ["/dev/ttyUSB7"]
    assert flow.placeholders["port"] == "/dev/serial/by-id/usb-FTDI_FT232R-if00-port0"


async def test_settings_that_another_integration_has_otherwise_are_named_with_it(
    hass: HomeAssistant,
) -> None:
    other = MockConfigEntry(domain="solaredge_modbus", title="Inverter")
    other.add_to_hass(hass)
    async with rtu_line([sdm120(1)], baudrate=9600) as line:
        async_get_unit(hass, other, ModbusSerialParams(device=line.path, baudrate=19200), 9)
        flow = await _serial(hass, line.path)
        assert flow.errors == {"base": "settings_clash"}
        assert flow.placeholders["user"] == "Inverter"
        assert "19200" in flow.placeholders["settings"]
        await other._async_process_on_unload(hass)


async def test_a_line_that_is_set_up_leads_to_its_entry(hass: HomeAssistant) -> None:
    entry = MockConfigEntry(
        domain=DOMAIN, title="Cellar", data={"transport": "tcp", "host": "meter.lan", "port": 502}
    )
    entry.add_to_hass(hass)
    flow = await _network(hass, None, host="Meter.LAN.")
    assert flow.kind is FlowResultType.ABORT
    assert flow.result["reason"] == "already_configured"
    assert flow.placeholders == {"name": "Cellar"}


# What the user gets wrong about the meter


async def test_a_model_is_found_by_any_of_its_names(hass: HomeAssistant) -> None:
    async with MeterServer([sdm120(1)]) as server:
        flow = await _network(hass, server.serve_tcp())
        await flow.choose("known_meter")
        await flow.fill(profile="no such thing")
        assert flow.errors == {"profile": "unknown_model"}
        assert flow.placeholders["value"] == "no such thing"
        await flow.fill(profile="sdm120ct")
        assert flow.step == "known_address"
        assert flow.placeholders["model"] == "Eastron SDM120M"


async def test_a_model_whose_file_broke_meanwhile_says_what_is_wrong(
    hass: HomeAssistant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hass.config, "config_dir", str(tmp_path))
    own = tmp_path / "energy_meter" / "profiles"
    own.mkdir(parents=True)
    LIBRARY.export("eastron_sdm120m", own / "my_meter.yaml")
    async with MeterServer([sdm120(1)]) as server:
        flow = await _network(hass, server.serve_tcp())
        await flow.choose("known_meter")
        (own / "my_meter.yaml").write_text("manufacturer: [")
        await flow.fill(profile="my_meter")
        assert flow.errors == {"profile": "broken_profile"}
        assert "my_meter.yaml" in flow.placeholders["problem"]


async def test_a_silent_meter_can_be_corrected_or_added_anyway(hass: HomeAssistant) -> None:
    async with MeterServer([sdm120(1)]) as server, unloaded(hass):
        flow = await _known(await _network(hass, server.serve_tcp()))
        assert "anyway" not in flow.prefilled()
        await flow.fill(unit_id=9)
        assert flow.errors == {"base": "no_answer_network"}
        assert flow.prefilled() == {"unit_id": 9, "anyway": False}
        await flow.fill(unit_id=9, anyway=True)
        assert flow.step == "meter"
        assert flow.placeholders["live"] == "No values yet."
        await flow.fill(**flow.prefilled())
        [subentry] = flow.result["result"].subentries.values()
        assert subentry.data["unit_id"] == 9
        assert "serial_number" not in subentry.data
        assert subentry.unique_id == subentry.data["identity"]


async def test_a_meter_of_another_model_is_told_from_the_one_chosen(hass: HomeAssistant) -> None:
    # Where both have registers they hold the same, so its values alone would pass.
    other = model_meter(LIBRARY.load("eastron_sdm630"), 1)
    async with MeterServer([other]) as server, unloaded(hass):
        flow = await _known(await _network(hass, server.serve_tcp()))
        await flow.fill(unit_id=1)
        assert flow.errors == {"base": "wrong_model"}
        assert flow.placeholders["found"] == "Eastron SDM630-Modbus"
        await flow.fill(unit_id=1, anyway=True)
        assert flow.step == "meter"
        assert "231.4 V" in flow.placeholders["live"]


async def test_a_sunspec_meter_is_read_where_its_block_is(hass: HomeAssistant) -> None:
    meter = model_meter(LIBRARY.load("sunspec_meter-float"), 240)
    async with MeterServer([meter]) as server, unloaded(hass):
        flow = await _known(await _network(hass, server.serve_tcp()), "sunspec_meter-float")
        await flow.fill(unit_id=240)
        assert flow.step == "meter", flow.result
        assert "231.4 / 229.8 / 232.7 V" in flow.placeholders["live"]
        form = flow.prefilled()
        assert form["advanced"]["base_address"] == SUNSPEC_BASE
        await flow.fill(**form)
        [subentry] = flow.result["result"].subentries.values()
        assert subentry.data["base_address"] == SUNSPEC_BASE


async def test_a_variant_is_proven_by_the_values_that_it_gives(hass: HomeAssistant) -> None:
    meter = model_meter(LIBRARY.load("eastron_sdm630"), 1)
    async with MeterServer([meter]) as server, unloaded(hass):
        flow = await _known(await _network(hass, server.serve_tcp()), "eastron_sdm630")
        await flow.fill(unit_id=1)
        assert "4321.90 kWh" in flow.placeholders["live"]
        form = flow.prefilled()
        assert form["advanced"]["variant"] == "profile"
        await flow.fill(**form | {"advanced": form["advanced"] | {"variant": "energy_in_mega"}})
        assert flow.step == "proof"
        assert "4321899.90 kWh" in flow.placeholders["live"]
        await flow.choose("proof_accept")
        [subentry] = flow.result["result"].subentries.values()
        assert subentry.data["variant"] == "energy_in_mega"


async def test_a_simulated_line_that_does_not_start_says_so(hass: HomeAssistant) -> None:
    flow = await Flow.user(hass)
    await flow.choose("simulated")
    with patch(
        "custom_components.energy_meter.flows.line.SimulatedLine.start",
        side_effect=OSError("No local socket"),
    ):
        await flow.fill()
    assert flow.step == "simulated"
    assert flow.errors == {"base": "cannot_connect"}


async def test_values_that_cannot_be_are_shown_as_such(hass: HomeAssistant) -> None:
    async with MeterServer([sdm120(1, voltage=3.0, frequency=900.0, meter_code=0)]) as server:
        flow = await _known(await _network(hass, server.serve_tcp()))
        await flow.fill(unit_id=1)
        assert flow.errors == {"base": "wrong_values"}
        assert "3.0 V" in flow.placeholders["live"]


async def test_line_settings_that_cannot_be_are_named(hass: HomeAssistant) -> None:
    async with rtu_line([sdm120(1)], baudrate=9600) as line:
        flow = await _known(await _serial(hass, line.path))
        await flow.fill(unit_id=1, line=LINE | {"baudrate": "17"})
        assert flow.errors == {"base": "invalid_baudrate"}
        assert flow.prefilled()["line"]["baudrate"] == "17"


async def test_nothing_stays_open_when_the_dialog_is_closed(hass: HomeAssistant) -> None:
    async with unloaded(hass):
        flow = await Flow.user(hass)
        await flow.choose("simulated")
        await flow.fill()
        await _known(flow, "eastron_sdm630")
        flow.manager.async_abort(flow.result["flow_id"])
        await hass.async_block_till_done()
        assert not hass.data.get("modbus_connections")
