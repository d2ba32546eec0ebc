"""What went wrong with a link, as a translation key and what fills it in.

The libraries below say it in exceptions: `modbus_connection` wraps `tmodbus`, which wraps `serialx` and the
operating system; the reason is the innermost one that is known here. What each of them really raises is
pinned by tests against real ports and sockets.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
import errno
import os
from pathlib import Path
import socket
import ssl
from typing import Final

from homeassistant.components.modbus.connection import (
    DATA_MODBUS_CONNECTIONS,
    async_get_connection_info,
)
from homeassistant.components.usb import async_get_serial_port_consumers, async_scan_serial_ports
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from modbus_connection import (
    GatewayPathUnavailableError,
    GatewayTargetError,
    ModbusConnectionError,
    ModbusError,
    ModbusExceptionError,
    ModbusProtocolError,
    ModbusSerialParams,
    ModbusTimeoutError,
)
from serialx import SerialException

from .sources.base import SourceError
from .sources.modbus.link import LinkError, LinkSettings, ModbusParams, SerialLink, TlsLink, UdpLink
from .sources.modbus.reader import MeterLost

_OPENING: Final = ("could not open", "could not connect")
"""How `modbus_connection` begins when a link did not open, as against a request not answered."""

_BY_ERRNO: Final[Mapping[int, str]] = {
    errno.EACCES: "no_permission",
    errno.EPERM: "no_permission",
    errno.ENOENT: "port_missing",
    errno.ENODEV: "port_missing",
    errno.ENXIO: "port_missing",
    errno.EIO: "port_missing",
    errno.EBUSY: "port_busy",
    errno.EISDIR: "not_a_serial_port",
    errno.ENOTTY: "not_a_serial_port",
    errno.EINVAL: "settings_refused",
    errno.ECONNREFUSED: "connection_refused",
    errno.ECONNRESET: "connection_closed",
    errno.EPIPE: "connection_closed",
    errno.EHOSTUNREACH: "host_unreachable",
    errno.ENETUNREACH: "host_unreachable",
    errno.EHOSTDOWN: "host_unreachable",
    errno.ETIMEDOUT: "host_unreachable",
}


@dataclass(frozen=True, slots=True)
class LinkProblem:
    """One reason; `key` is a key of `config.error` and of `exceptions` in the translations."""

    key: str
    placeholders: Mapping[str, str] = field(default_factory=dict)
    field: str = "base"
    """The form field it belongs to."""


@callback
def link_problem(
    hass: HomeAssistant, err: BaseException, link: LinkSettings | None = None
) -> LinkProblem:
    """Say what an exception of a link, a search or a request means.

    Args:
        hass: to ask who else uses the link.
        err: from `async_get_unit`, `async_get_temporary_unit`, a request, or a search.
        link: the link in question, as far as one was made.
    """
    if isinstance(err, LinkError):
        return LinkProblem(err.key, err.placeholders, err.field)
    if isinstance(err, SourceError):
        return LinkProblem(err.key, err.placeholders)
    where = {"link": link.describe() if link else "", "port": _port(link)}
    if isinstance(link, TlsLink) and isinstance(err, OSError) and not isinstance(err, TimeoutError):
        # What happens on the network comes wrapped by the library; this is about files.
        return LinkProblem("tls_files", {**where, "error": err.strerror or str(err)})
    if isinstance(err, HomeAssistantError) and link is not None:
        clash = _clash(hass, link)
        if clash is not None:
            return LinkProblem(clash[0], {**where, **clash[1]})
    if isinstance(err, ModbusError | OSError | MeterLost | SerialException | TimeoutError):
        return _reason(err, where, link)
    return LinkProblem("unknown", {**where, "error": str(err) or type(err).__name__})


async def async_link_problem(
    hass: HomeAssistant, err: BaseException, link: LinkSettings | None = None
) -> LinkProblem:
    """Do as `link_problem`, and name who has the port where Home Assistant knows it.

    Args:
        hass: to ask who else uses the link.
        err: from `async_get_unit`, `async_get_temporary_unit`, a request, or a search.
        link: the link in question, as far as one was made.
    """
    problem = link_problem(hass, err, link)
    if problem.key != "port_busy" or not isinstance(link, SerialLink):
        return problem
    users = await _consumers(hass, link.device)
    if not users:
        return problem
    return LinkProblem("port_busy_with", {**problem.placeholders, "user": ", ".join(users)})


def _reason(err: BaseException, where: Mapping[str, str], link: LinkSettings | None) -> LinkProblem:
    """The innermost known reason of an exception of the libraries."""
    chain = tuple(_chain(err))
    opening = isinstance(err, ModbusConnectionError | ModbusTimeoutError) and str(err).startswith(
        _OPENING
    )
    proxy = where["port"].startswith("esphome")
    for inner in reversed(chain):
        if isinstance(inner, socket.gaierror | UnicodeError):
            return LinkProblem("unknown_host", where)
        if isinstance(inner, ssl.SSLCertVerificationError):
            return LinkProblem("invalid_certificate", {**where, "error": inner.verify_message})
        if isinstance(inner, ssl.SSLError):
            return LinkProblem("no_tls", where)
        # A proxy whose ESPHome device is away says so with an exception of Home Assistant's, one that has no such
        # port with a ValueError.
        if proxy and isinstance(inner, SerialException | HomeAssistantError | ValueError):
            return LinkProblem("proxy_unavailable", {**where, "error": str(inner)})
        if isinstance(inner, SerialException | HomeAssistantError):
            return LinkProblem("port_unusable", {**where, "error": str(inner)})
        if isinstance(inner, OSError) and inner.errno is not None and inner.errno in _BY_ERRNO:
            key = _BY_ERRNO[inner.errno]
            return LinkProblem(_closed(link) if key == "connection_closed" else key, where)
    if opening:
        if any(isinstance(inner, TimeoutError) for inner in chain):
            return LinkProblem(_never_opened(link), where)
        return LinkProblem("cannot_connect", {**where, "error": _innermost_text(chain)})
    if isinstance(err, GatewayPathUnavailableError | GatewayTargetError):
        return LinkProblem("no_meter_behind_gateway", where)
    if isinstance(err, ModbusExceptionError):
        return LinkProblem("meter_refused", {**where, "code": str(int(err.exception_code or 0))})
    if isinstance(err, ModbusProtocolError):
        return LinkProblem("garbled_answer", where)
    if isinstance(err, ModbusConnectionError):
        return LinkProblem(_closed(link), where)
    if isinstance(err, TimeoutError | MeterLost):
        return LinkProblem(_no_answer(link), where)
    return LinkProblem("cannot_connect", {**where, "error": _innermost_text(chain)})


def _never_opened(link: LinkSettings | None) -> str:
    """What it may mean that a link neither opened nor failed to."""
    match link:
        case SerialLink(device=device) if device.startswith("rfc2217:"):
            return "rfc2217_not_opening"
        case SerialLink():
            return "port_not_opening"
        case TlsLink():
            return "tls_not_opening"
        case _:
            return "host_unreachable"


def _closed(link: LinkSettings | None) -> str:
    """What it may mean that the other end hangs up."""
    return "tls_closed" if isinstance(link, TlsLink) else "connection_closed"


def _no_answer(link: LinkSettings | None) -> str:
    """What it may mean that nothing comes over an open link."""
    match link:
        case SerialLink():
            return "no_answer"
        case UdpLink():
            return "no_answer_udp"
        case _:
            return "no_answer_network"


def _chain(err: BaseException) -> Iterator[BaseException]:
    """The exception and what it was raised from, outermost first."""
    seen: set[int] = set()
    current: BaseException | None = err
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        # What an exception merely happened in (`__context__`) is no reason for it.
        current = current.__cause__


def _innermost_text(chain: tuple[BaseException, ...]) -> str:
    return next((str(inner) for inner in reversed(chain) if str(inner)), type(chain[-1]).__name__)


def _port(link: LinkSettings | None) -> str:
    if link is None:
        return ""
    return link.device if isinstance(link, SerialLink) else link.describe()


@callback
def _clash(hass: HomeAssistant, link: LinkSettings) -> tuple[str, dict[str, str]] | None:
    """Who has the line with other settings, and which; None if nobody has."""
    shared = hass.data.get(DATA_MODBUS_CONNECTIONS, {}).get(link.params.endpoint)
    if shared is None or shared.params == link.params:
        return None
    titles = [
        entry.title
        for info in async_get_connection_info(hass)
        if info.endpoint == link.endpoint
        for entry_id in info.units
        if (entry := hass.config_entries.async_get_entry(entry_id)) is not None
    ]
    placeholders = {
        "user": ", ".join(titles),
        "settings": _spoken(shared.params),
        "wanted": _spoken(link.params),
    }
    # Held by no entry, it is held by a configuration flow: ours or another integration's.
    return ("settings_clash" if titles else "settings_clash_flow"), placeholders


def _spoken(params: ModbusParams) -> str:
    if isinstance(params, ModbusSerialParams):
        return f"{params.baudrate} {params.bytesize}{params.parity}{params.stopbits}"
    return type(params).__name__.removeprefix("Modbus").removesuffix("Params").upper()


async def _consumers(hass: HomeAssistant, device: str) -> list[str]:
    """Titles of the integrations and apps that are set up with a serial port, by any of its names."""
    ports = await async_scan_serial_ports(hass)
    consumers = await async_get_serial_port_consumers(hass, ports)
    real = await hass.async_add_executor_job(_real_paths, {device, *consumers})
    return [
        user.title
        for path, users in consumers.items()
        if real[path] == real[device]
        for user in users
        if user.active
    ]


def _real_paths(paths: set[str]) -> dict[str, str]:
    return {
        path: os.fspath(Path(path).resolve()) if path.startswith("/") else path for path in paths
    }
