"""What users are told when a link does not work: real ports, sockets and processes on the other end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
import errno
import os
from pathlib import Path
import socket
import subprocess
import sys

from homeassistant.components.modbus import async_get_temporary_unit, async_get_unit
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import EVENT_HOMEASSISTANT_STOP
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.translation import async_get_translations
from homeassistant.setup import async_setup_component
from modbus_connection import (
    ModbusConnectionError,
    ModbusError,
    ModbusExceptionError,
    ModbusProtocolError,
)
from modbus_connection.tmodbus import ModbusConnection
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.energy_meter.link_errors import LinkProblem, async_link_problem, link_problem
from custom_components.energy_meter.sources.base import SourceError
from custom_components.energy_meter.sources.modbus.link import (
    LinkError,
    LinkSettings,
    RtuOverTcpLink,
    SerialLink,
    SerialSettings,
    TcpLink,
    TlsLink,
    UdpLink,
)
from custom_components.energy_meter.sources.modbus.reader import MeterLost
from tests.support.meters import Meter
from tests.support.wire import ByteTiming, Fault, FaultKind, Wire

pytestmark = pytest.mark.usefixtures("socket_enabled")


async def _failure(link: LinkSettings, *, timeout: float = 0.5) -> Exception:
    """What a read over a link of its own raises."""
    connection = ModbusConnection(link.params, timeout=timeout)
    try:
        await connection.for_unit(1).read_holding_registers(0, 2)
    except (ModbusError, OSError) as err:
        return err
    finally:
        await connection.close()
    raise AssertionError("the read succeeded")


async def _explained(hass: HomeAssistant, link: LinkSettings, timeout: float = 0.5) -> LinkProblem:
    return link_problem(hass, await _failure(link, timeout=timeout), link)


@pytest.fixture
async def usb(hass: HomeAssistant) -> AsyncIterator[None]:
    """Home Assistant's list of serial ports and who uses them."""
    assert await async_setup_component(hass, "usb", {})
    yield
    # Its transport is registered process-wide until Home Assistant stops.
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    await hass.async_block_till_done()


@contextmanager
def _pty() -> Iterator[str]:
    master, slave = os.openpty()
    try:
        yield os.ttyname(slave)
    finally:
        os.close(master)
        os.close(slave)


@contextmanager
def _other_process(code: str, path: str) -> Iterator[None]:
    """Another program that has the port; it says `ready` when it has."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code}\nprint('ready', flush=True)\nsys.stdin.read()", path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(5)


_LOCK = """
import fcntl, os, sys
port = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
fcntl.flock(port, fcntl.LOCK_EX | fcntl.LOCK_NB)
"""


@asynccontextmanager
async def _server(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _say_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(8)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


def _closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def test_a_port_locked_by_another_program_is_busy(hass: HomeAssistant) -> None:
    with _pty() as path, _other_process(_LOCK, path):
        problem = await _explained(hass, SerialLink(device=path))
    assert problem.key == "port_busy"
    assert problem.placeholders["port"] == path


@pytest.mark.usefixtures("usb")
async def test_a_busy_port_names_the_integration_that_has_it(hass: HomeAssistant) -> None:
    with _pty() as path, _other_process(_LOCK, path):
        entry = MockConfigEntry(domain="zha", title="Zigbee stick", data={"device": {"path": path}})
        entry.add_to_hass(hass)
        entry.mock_state(hass, ConfigEntryState.LOADED)
        link = SerialLink(device=path)
        problem = await async_link_problem(hass, await _failure(link), link)
        entry.mock_state(hass, ConfigEntryState.NOT_LOADED)
    assert (problem.key, problem.placeholders["user"]) == ("port_busy_with", "Zigbee stick")


@pytest.mark.usefixtures("usb")
async def test_a_busy_port_of_nobody_known_stays_busy(hass: HomeAssistant) -> None:
    with _pty() as path, _other_process(_LOCK, path):
        link = SerialLink(device=path)
        problem = await async_link_problem(hass, await _failure(link), link)
    assert problem.key == "port_busy"


async def test_a_port_that_is_not_there(hass: HomeAssistant) -> None:
    problem = await _explained(hass, SerialLink(device="/dev/serial/by-id/usb-gone-if00"))
    assert problem.key == "port_missing"


async def test_a_port_that_was_unplugged(hass: HomeAssistant) -> None:
    with Wire([Meter(unit_id=1, holding={0: 1, 1: 2})], timing=ByteTiming(115200)) as wire:
        link = SerialLink(device=wire.path)
        wire.unplug()
        problem = await _explained(hass, link)
    assert problem.key == "port_missing"


async def test_what_is_no_serial_port(hass: HomeAssistant, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for path in (tmp_path, file):
        assert (await _explained(hass, SerialLink(device=str(path)))).key == "not_a_serial_port"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
async def test_a_port_that_may_not_be_opened(
    hass: HomeAssistant, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may open anything, so the operating system's refusal is the one thing played here."""
    real = os.open

    def refuse(path: str, *args: int, **kwargs: int) -> int:
        if str(path).startswith("/dev/pts/"):
            raise OSError(number, os.strerror(number), path)
        return real(path, *args, **kwargs)

    with _pty() as path:
        monkeypatch.setattr(os, "open", refuse)
        problem = await _explained(hass, SerialLink(device=path))
    assert problem.key == "no_permission"


@pytest.mark.usefixtures("usb")
async def test_a_proxy_whose_device_is_away(hass: HomeAssistant) -> None:
    link = SerialLink(device="esphome-hass://esphome/01J0?port_name=RS485")
    problem = await _explained(hass, link)
    assert problem.key == "proxy_unavailable"
    assert problem.placeholders["error"] == "ESPHome has not loaded yet"


@pytest.mark.parametrize("kind", [TcpLink, TlsLink, RtuOverTcpLink])
async def test_a_closed_tcp_port(hass: HomeAssistant, kind: type[TcpLink]) -> None:
    problem = await _explained(hass, kind(host="127.0.0.1", port=_closed_port()))
    assert problem.key == "connection_refused"


@pytest.mark.parametrize("kind", [TcpLink, UdpLink, RtuOverTcpLink])
async def test_a_host_that_nobody_knows(
    hass: HomeAssistant, kind: type[TcpLink], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown(*_args: object, **_kwargs: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    problem = await _explained(hass, kind(host="no-such-host.invalid", port=502))
    assert problem.key == "unknown_host"
    assert "no-such-host.invalid:502" in problem.placeholders["link"]


@pytest.mark.parametrize("number", [errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT])
async def test_a_host_without_a_way_to_it(
    hass: HomeAssistant, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_route(*_args: object, **_kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", no_route)
    assert (await _explained(hass, TcpLink(host="192.0.2.1"))).key == "host_unreachable"


async def test_a_host_that_does_not_react(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait_in_vain(*_args: object, **_kwargs: object) -> None:
        raise TimeoutError  # As after tmodbus's ten seconds.

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", wait_in_vain)
    problem = await _explained(hass, TcpLink(host="192.0.2.1"))
    assert problem.key == "host_unreachable"


async def test_a_peer_that_hangs_up(hass: HomeAssistant) -> None:
    async with _server(_hang_up) as port:
        for kind in (TcpLink, RtuOverTcpLink):
            problem = await _explained(hass, kind(host="127.0.0.1", port=port))
            assert problem.key == "connection_closed"
        assert (await _explained(hass, TlsLink(host="127.0.0.1", port=port))).key == "tls_closed"


async def test_a_peer_that_speaks_no_tls(hass: HomeAssistant) -> None:
    async with _server(_say_http) as port:
        assert (await _explained(hass, TlsLink(host="127.0.0.1", port=port))).key == "no_tls"


async def test_a_gateway_without_an_answering_meter(hass: HomeAssistant) -> None:
    async with _server(_say_nothing) as port:
        problem = await _explained(hass, TcpLink(host="127.0.0.1", port=port), timeout=0.3)
    assert problem.key == "no_answer_network"


async def test_a_serial_line_without_an_answering_meter(hass: HomeAssistant) -> None:
    with _pty() as path:
        problem = await _explained(hass, SerialLink(device=path), timeout=0.3)
    assert problem.key == "no_answer"


async def test_a_damaged_answer(hass: HomeAssistant) -> None:
    meter = Meter(unit_id=1, holding={0: 1, 1: 2})
    with Wire([meter], timing=ByteTiming(115200), seed=3) as wire:
        wire.inject(Fault(FaultKind.CORRUPT), count=3)
        problem = await _explained(hass, SerialLink(device=wire.path))
    assert problem.key == "garbled_answer"


async def test_a_refusal_gives_its_code(hass: HomeAssistant) -> None:
    with Wire([Meter(unit_id=1, holding={})], timing=ByteTiming(115200)) as wire:
        problem = await _explained(hass, SerialLink(device=wire.path))
    assert (problem.key, problem.placeholders["code"]) == ("meter_refused", "2")


async def test_a_gateway_that_says_nobody_is_there(hass: HomeAssistant) -> None:
    with Wire([Meter(unit_id=1, holding={0: 1})], timing=ByteTiming(115200)) as wire:
        wire.inject(Fault(FaultKind.EXCEPTION, code=11))
        problem = await _explained(hass, SerialLink(device=wire.path))
    assert problem.key == "no_meter_behind_gateway"


async def test_a_clash_of_settings_names_the_other_user(hass: HomeAssistant) -> None:
    entry = MockConfigEntry(domain="solaredge_modbus", title="Inverter")
    entry.add_to_hass(hass)
    theirs = SerialLink(device="/dev/ttyUSB7")
    async_get_unit(hass, entry, theirs.params, 1)
    ours = theirs.with_settings(SerialSettings(baudrate=2400, parity="E"))
    with pytest.raises(HomeAssistantError) as caught:
        async with async_get_temporary_unit(hass, ours.params, 2):
            pass
    problem = link_problem(hass, caught.value, ours)
    assert problem.key == "settings_clash"
    assert problem.placeholders["user"] == "Inverter"
    assert problem.placeholders["settings"] == "9600 8N1"
    assert problem.placeholders["wanted"] == "2400 8E1"


async def test_a_clash_with_a_dialog_that_is_open(hass: HomeAssistant) -> None:
    theirs = SerialLink(device="/dev/ttyUSB7")
    ours = theirs.with_settings(SerialSettings(baudrate=2400))
    async with async_get_temporary_unit(hass, theirs.params, 1):
        with pytest.raises(HomeAssistantError) as caught:
            async with async_get_temporary_unit(hass, ours.params, 2):
                pass
        problem = link_problem(hass, caught.value, ours)
    assert problem.key == "settings_clash_flow"


def test_errors_of_our_own_keep_their_words(hass: HomeAssistant) -> None:
    wrong = LinkError("host", "invalid_host", value="a b")
    assert link_problem(hass, wrong) == LinkProblem("invalid_host", {"value": "a b"}, "host")
    source = SourceError("wrong_meter", {"expected": "1", "found": "2"})
    assert link_problem(hass, source) == LinkProblem("wrong_meter", source.placeholders)
    assert link_problem(hass, MeterLost(1), SerialLink(device="/dev/x")).key == "no_answer"
    assert link_problem(hass, RuntimeError("odd")).placeholders["error"] == "odd"
    assert link_problem(hass, HomeAssistantError("odd"), TcpLink(host="x")).key == "unknown"


async def test_every_reason_has_words_in_which_every_gap_is_filled(hass: HomeAssistant) -> None:
    """The keys are collected from what the module can return."""
    from custom_components.energy_meter import link_errors

    link = SerialLink(device="/dev/ttyUSB0")
    problems = [
        link_problem(hass, err, link)
        for err in (
            *(_raised(OSError(number, "x")) for number in link_errors._BY_ERRNO),
            _raised(socket.gaierror(-2, "x")),
            ModbusConnectionError("could not open serial port"),
            ModbusConnectionError("read: lost"),
            ModbusProtocolError("x"),
            ModbusExceptionError(2),
            TimeoutError(),
            RuntimeError("x"),
        )
    ] + [
        link_problem(hass, err, other)
        for err in (_raised(TimeoutError()), TimeoutError())
        for other in (
            SerialLink(device="rfc2217://bridge:2217"),
            TcpLink(host="bridge"),
            TlsLink(host="bridge"),
            UdpLink(host="bridge"),
        )
    ]
    texts = await async_get_translations(
        hass, "en", "exceptions", {"energy_meter"}, config_flow=True
    )
    for problem in problems:
        text = texts[f"component.energy_meter.exceptions.{problem.key}.message"]
        assert "{" not in text.format_map(problem.placeholders)


def _raised(inner: Exception) -> Exception:
    err = ModbusConnectionError("could not open serial port x")
    err.__cause__ = inner
    return err
