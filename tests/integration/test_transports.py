"""A meter read, lost and found again over each kind of link that only some houses have.

Serial ports, RTU over TCP and Modbus TCP are what most other tests run on. Here every counterpart is one that
others wrote: pymodbus's servers on sockets, pyserial's RFC 2217 server in front of a pseudo terminal.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
import termios
from typing import Any

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import issue_registry as ir
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from serialx.platforms import serial_posix
import tmodbus

from custom_components.energy_meter import link_watch
from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.flows import line as flow_line
from custom_components.energy_meter.issues import Issue, issue_id
from tests.integration.flow_support import NETWORK_ADVANCED, Flow, sdm120, unloaded
from tests.integration.runtime_support import SDM120, show, shows, state, subentry, until
from tests.support.certificates import self_signed
from tests.support.far_ends import FarEnd, serial_server, tls_gateway, udp_gateway
from tests.support.meters import Meter, MeterServer
from tests.support.wire import rtu_line, rtu_over_tcp_line

pytestmark = pytest.mark.usefixtures("socket_enabled")

type Opener = Callable[[Meter, Path], AbstractContextManager[FarEnd]]

LINKS: Mapping[str, Opener] = {
    "Modbus UDP": lambda meter, _directory: udp_gateway(meter),
    "Modbus TLS": tls_gateway,
    "RFC 2217": lambda meter, _directory: serial_server(meter),
}


@pytest.fixture
def device() -> Meter:
    """The meter that all links are tried with."""
    return sdm120(7, serial_number=4711)


@pytest.fixture(params=LINKS, ids=lambda name: name.replace(" ", "_"))
def far_end(request: pytest.FixtureRequest, device: Meter, tmp_path: Path) -> Iterator[FarEnd]:
    """Each link's other end in turn, with the meter behind it."""
    with LINKS[request.param](device, tmp_path) as far_end:
        yield far_end


@asynccontextmanager
async def _running(hass: HomeAssistant, data: Mapping[str, Any]) -> AsyncIterator[None]:
    entry = MockConfigEntry(
        domain=DOMAIN, title="Cellar", data=dict(data), subentries_data=[subentry(7)]
    )
    entry.add_to_hass(hass)
    assert await hass.config_entries.async_setup(entry.entry_id)
    try:
        yield
    finally:
        await hass.config_entries.async_unload(entry.entry_id)
        await hass.async_block_till_done()


async def test_values_come_right_and_a_link_that_was_lost_comes_back(
    hass: HomeAssistant, device: Meter, far_end: FarEnd
) -> None:
    async with _running(hass, far_end.data):
        await shows(hass, "voltage", "231.2", "meter_7")
        await shows(hass, "power", "512.0", "meter_7")
        await shows(hass, "energy_import", "1234.5", "meter_7")
        far_end.unplug()
        await shows(hass, "power", "unavailable", "meter_7")
        assert state(hass, "energy_import", "meter_7").state == "1234.5"
        show(device, SDM120, {"power": -700.0, "energy_import": 1234.6})
        far_end.plug()
        await shows(hass, "power", "-700.0", "meter_7")
        await shows(hass, "energy_import", "1234.6", "meter_7")


async def test_a_user_sets_it_up_and_sees_live_values(hass: HomeAssistant, far_end: FarEnd) -> None:
    async with unloaded(hass):
        flow = await Flow.user(hass)
        await flow.choose(far_end.menu)
        await flow.fill(**far_end.form)
        assert flow.step == "meters", flow.result
        await flow.choose("known_meter")
        await flow.fill(profile=SDM120)
        await flow.fill(**flow.prefilled() | {"unit_id": 7})
        assert flow.step == "meter", flow.result
        assert "231.2 V" in flow.placeholders["live"]
        assert "4711" in flow.placeholders["where"]
        await flow.fill(**flow.prefilled())
        assert flow.kind is FlowResultType.CREATE_ENTRY
        entry = flow.result["result"]
        assert entry.data == far_end.data
        await shows(hass, "voltage", "231.2", "eastron_4711")


async def _offered(hass: HomeAssistant, menu: str, **fields: Any) -> Flow:
    """What a user is told who gives a link that does not work."""
    flow = await Flow.user(hass)
    await flow.choose(menu)
    return await flow.fill(**fields)


def _network(protocol: str, port: int, **advanced: Any) -> dict[str, Any]:
    return {
        "host": "127.0.0.1",
        "protocol": protocol,
        "port": port,
        "advanced": NETWORK_ADVANCED | advanced,
    }


async def test_an_address_where_nobody_listens_cannot_be_told_from_silence_over_udp(
    hass: HomeAssistant, device: Meter
) -> None:
    with udp_gateway(device) as gateway:
        gateway.unplug()
        flow = await _offered(hass, "network", **_network("udp", gateway.port))
        await flow.choose("known_meter")
        await flow.fill(profile=SDM120)
        await flow.fill(unit_id=7)
        assert flow.errors == {"base": "no_answer_udp"}
        gateway.plug()
        await flow.fill(unit_id=7)
        assert flow.step == "meter", flow.result


async def test_a_certificate_that_nobody_vouches_for_is_refused_unless_the_user_says_so(
    hass: HomeAssistant, device: Meter, tmp_path: Path
) -> None:
    with tls_gateway(device, tmp_path) as gateway:
        flow = await _offered(hass, "network", **_network("tls", gateway.port))
        assert flow.errors == {"base": "invalid_certificate"}
        assert "self-signed" in flow.placeholders["error"]
        await flow.fill(**_network("tls", gateway.port, verify_ssl=False))
        assert flow.step == "meters"


async def test_a_certificate_that_the_machine_trusts_is_good_for_its_own_host_only(
    hass: HomeAssistant, device: Meter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tls_gateway(device, tmp_path) as gateway:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        flow = await _offered(
            hass, "network", **_network("tls", gateway.port) | {"host": "localhost"}
        )
        assert flow.errors == {"base": "invalid_certificate"}
        assert "localhost" in flow.placeholders["error"]
        await flow.fill(**_network("tls", gateway.port))
        assert flow.step == "meters"


async def test_both_ends_of_tls_can_know_each_other(
    hass: HomeAssistant, device: Meter, tmp_path: Path
) -> None:
    """As Modbus TCP Security wants it: a trusted certificate there, and one of our own that is asked for."""
    own, key = self_signed(tmp_path / "own")
    theirs = tmp_path / "theirs"
    with tls_gateway(device, theirs, clients=own) as gateway:
        form = _network("tls", gateway.port, authority_file=str(theirs / "certificate.pem"))
        flow = await _offered(hass, "network", **form)
        assert flow.errors == {"base": "tls_closed"}
        for wrong, error in (
            ({"certificate_file": str(own), "key_file": str(theirs / "key.pem")}, "mismatch"),
            ({"certificate_file": "nowhere.pem"}, "No such file"),
        ):
            await flow.fill(**form | {"advanced": form["advanced"] | wrong})
            assert flow.errors == {"base": "tls_files"}
            assert error in flow.placeholders["error"]
        await flow.fill(**form | {"advanced": form["advanced"] | {"key_file": str(key)}})
        assert flow.errors == {"base": "key_without_certificate"}
        files = {"certificate_file": str(own), "key_file": str(key)}
        async with unloaded(hass):
            await flow.fill(**form | {"advanced": form["advanced"] | files})
            await flow.choose("known_meter")
            await flow.fill(profile=SDM120)
            await flow.fill(unit_id=7)
            await flow.fill(**flow.prefilled())
            entry = flow.result["result"]
            assert entry.data == {
                **gateway.data,
                "verify_ssl": True,
                "authority_file": str(theirs / "certificate.pem"),
                **files,
            }
            await shows(hass, "voltage", "231.2", "eastron_4711")


async def test_a_certificate_that_is_gone_is_named_and_its_return_noticed(
    hass: HomeAssistant, device: Meter, tmp_path: Path
) -> None:
    """While the line runs it is missed when the link opens again, and otherwise at the start."""
    own, key = self_signed(tmp_path / "own")
    with tls_gateway(device, tmp_path, clients=own) as gateway:
        files = {"certificate_file": str(own), "key_file": str(key)}
        async with _running(hass, {**gateway.data, **files}):
            [entry] = hass.config_entries.async_entries(DOMAIN)
            await shows(hass, "power", "512.0", "meter_7")
            kept = key.read_bytes()
            key.unlink()
            gateway.unplug()
            gateway.plug()
            await shows(hass, "power", "unavailable", "meter_7")
            assert isinstance(entry.runtime_data.line.trouble[0], FileNotFoundError)
            key.write_bytes(kept)
            await shows(hass, "power", "512.0", "meter_7")
            key.unlink()
            assert not await hass.config_entries.async_reload(entry.entry_id)
            assert entry.state is ConfigEntryState.SETUP_ERROR
            assert entry.error_reason_translation_key == "tls_files"


async def test_a_gateway_with_tls_and_one_without_are_not_taken_for_each_other(
    hass: HomeAssistant, device: Meter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A server without TLS takes the greeting for a request that never ends; the library waits ten seconds.
    hurried = partial(tmodbus.create_async_tcp_client, connect_timeout=0.5)
    monkeypatch.setattr("modbus_connection.tmodbus.create_async_tcp_client", hurried)
    with MeterServer([device]) as server, tls_gateway(device, tmp_path) as gateway:
        plain = server.serve_tcp()
        flow = await _offered(hass, "network", **_network("tls", plain))
        assert flow.errors == {"base": "tls_not_opening"}
        await flow.fill(**_network("tcp", gateway.port))
        assert flow.errors == {"base": "connection_closed"}
        await flow.fill(**_network("tcp", plain))
        assert flow.step == "meters"


async def test_a_port_server_without_all_of_rfc_2217_can_be_used_as_a_plain_bridge(
    hass: HomeAssistant, device: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One only passes bytes on; the other negotiates, but leaves out answers that are waited for."""
    monkeypatch.setattr(flow_line, "LINK_TIMEOUT_CEILING", 0.5)
    async with rtu_over_tcp_line([device]) as line:
        with serial_server(device, confirms_masks=False) as curt:
            for url in (f"rfc2217://127.0.0.1:{line.port}", curt.url):
                flow = await _offered(hass, "serial", device=url)
                assert flow.errors == {"base": "rfc2217_not_opening"}
        flow = await _offered(hass, "network", **_network("rtu_over_tcp", line.port))
        assert flow.step == "meters"


async def test_a_port_server_that_is_off_is_named(hass: HomeAssistant, device: Meter) -> None:
    with serial_server(device) as port:
        port.unplug()
        flow = await _offered(hass, "serial", **port.form)
        assert flow.errors == {"base": "connection_refused"}
        port.plug()
        await flow.fill(**port.form)
        assert flow.step == "meters"


FRAMES = ["8N1", "8E2", "7O1"]


def _serial(device: str, baudrate: int, frame: str) -> dict[str, Any]:
    return {
        "transport": "serial",
        "device": device,
        "baudrate": baudrate,
        "bytesize": int(frame[0]),
        "parity": frame[1],
        "stopbits": int(frame[2]),
    }


@pytest.mark.parametrize("frame", FRAMES)
async def test_line_settings_reach_a_port_over_the_network(
    hass: HomeAssistant, device: Meter, frame: str
) -> None:
    """RFC 2217 sends them to the server, which is asked what it was told."""
    with serial_server(device) as port:
        async with _running(hass, _serial(port.url, 1200, frame)):
            await shows(hass, "voltage", "231.2", "meter_7")
            assert port.server.settings == (1200, int(frame[0]), frame[1], int(frame[2]))


@pytest.mark.parametrize("frame", FRAMES)
async def test_line_settings_reach_a_port_of_this_machine(
    hass: HomeAssistant, device: Meter, frame: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pseudo terminal keeps speed and stop bits; it drops parity and data bits, so what it is given is seen."""
    given: list[Any] = []

    def see(descriptor: int, when: int, attributes: Any) -> None:
        given.append(attributes)
        termios.tcsetattr(descriptor, when, attributes)

    monkeypatch.setattr(serial_posix, "tcsetattr", see)
    async with rtu_line([device]) as line, _running(hass, _serial(line.path, 1200, frame)):
        await shows(hass, "voltage", "231.2", "meter_7")
        assert isinstance(line._client, int)
        _, _, kept, _, speed_in, speed_out, _ = termios.tcgetattr(line._client)
    flags = given[-1][2]
    assert flags & termios.CSIZE == {"7": termios.CS7, "8": termios.CS8}[frame[0]]
    assert bool(flags & termios.PARENB) == (frame[1] != "N")
    assert bool(flags & termios.PARODD) == (frame[1] == "O")
    assert bool(flags & termios.CSTOPB) == bool(kept & termios.CSTOPB) == (frame[2] == "2")
    assert speed_in == speed_out == termios.B1200


async def test_why_a_link_stays_down_is_told_and_taken_back(
    hass: HomeAssistant,
    device: Meter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    issues = ir.async_get(hass)
    with tls_gateway(device, tmp_path) as gateway:
        async with _running(hass, {**gateway.data, "verify_ssl": True}):
            [entry] = hass.config_entries.async_entries(DOMAIN)
            watch = entry.runtime_data.link_watch
            number = issue_id(Issue.LINK_DOWN, entry.entry_id)
            await until(lambda: entry.runtime_data.line.trouble is not None)
            watch.look()
            await hass.async_block_till_done(wait_background_tasks=True)
            assert "The link of Cellar is down: The certificate of" in caplog.text
            assert issues.async_get_issue(DOMAIN, number) is None
            monkeypatch.setattr(link_watch, "PATIENCE", 0.0)
            watch.look()
            await hass.async_block_till_done(wait_background_tasks=True)
            issue = issues.async_get_issue(DOMAIN, number)
            assert issue is not None and issue.translation_placeholders is not None
            assert "self-signed" in issue.translation_placeholders["reason"]
            assert caplog.text.count("The link of Cellar is down") == 1
            # Whoever runs the machine lets it trust the gateway.
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
            await shows(hass, "power", "512.0", "meter_7")
            watch.look()
            assert issues.async_get_issue(DOMAIN, number) is None
            assert "The link of Cellar works again" in caplog.text
