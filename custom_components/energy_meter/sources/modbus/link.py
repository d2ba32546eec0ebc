"""Where a Modbus line is and how it is spoken to: one frozen object per kind of link.

A link is what a config entry's data says. `link_from_data` checks that data and gives the object,
`to_data` gives the data back, `params` is what Home Assistant's shared Modbus connections are asked
with. Two entries that mean one line have to give equal params, so everything that can be spelled in
more than one way (host names, IPv6 addresses, `socket://` devices) is brought to one spelling here.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
import ipaddress
import re
from typing import Any, ClassVar, Final, Literal, cast, override
from urllib.parse import parse_qs, urlsplit

from modbus_connection import ModbusSerialParams, ModbusTcpParams, ModbusTlsParams, ModbusUdpParams

from ...const import CONF_BAUDRATE, CONF_BYTESIZE, CONF_PARITY, CONF_STOPBITS, CONF_TRANSPORT
from .timing import LineTiming

type ModbusParams = ModbusSerialParams | ModbusTcpParams | ModbusTlsParams | ModbusUdpParams
type Endpoint = tuple[str, str] | tuple[str, str, int]
type Parity = Literal["N", "E", "O"]

# Home Assistant's own names (`homeassistant.const`), which this pure module must not import.
CONF_DEVICE: Final = "device"
CONF_HOST: Final = "host"
CONF_PORT: Final = "port"
CONF_VERIFY_SSL: Final = "verify_ssl"

CONF_AUTHORITY_FILE: Final = "authority_file"
CONF_CERTIFICATE_FILE: Final = "certificate_file"
CONF_KEY_FILE: Final = "key_file"
TLS_FILES: Final = (CONF_AUTHORITY_FILE, CONF_CERTIFICATE_FILE, CONF_KEY_FILE)

BAUDRATES: Final = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
"""Speeds that meters offer, for pickers; any other from 300 to 4 000 000 is accepted."""
BYTESIZES: Final = (8, 7)
PARITIES: Final = ("N", "E", "O")
STOPBITS: Final = (1, 2)

DEFAULT_BAUDRATE: Final = 9600
DEFAULT_TCP_PORT: Final = 502
DEFAULT_TLS_PORT: Final = 802

_SOCKET_BAUDRATE: Final = 115200
"""What the shared connections name as the speed of an RTU line behind a socket."""
_HOST_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_URL: Final = re.compile(r"([a-z][a-z0-9+.-]*)://(.+)", re.IGNORECASE)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


class Transport(StrEnum):
    """The kinds of Modbus link."""

    SERIAL = "serial"
    TCP = "tcp"
    UDP = "udp"
    TLS = "tls"
    RTU_OVER_TCP = "rtu_over_tcp"


class LinkError(ValueError):
    """Link data that cannot be meant.

    `field` is the data key at fault and `key` the translation key of what was expected;
    `placeholders` fill it in.
    """

    def __init__(self, field: str, key: str, /, **placeholders: str) -> None:
        """Keep the field, the translation key and what fills it in."""
        super().__init__(f"{field}: {key} {placeholders}")
        self.field = field
        self.key = key
        self.placeholders: Mapping[str, str] = placeholders


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class SerialSettings:
    """How characters are put on a serial line."""

    baudrate: int = DEFAULT_BAUDRATE
    bytesize: Literal[7, 8] = 8
    parity: Parity = "N"
    stopbits: Literal[1, 2] = 1

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            LinkError: a value that no serial port knows.
        """
        if not _is_int(self.baudrate) or not 300 <= self.baudrate <= 4_000_000:
            raise LinkError(CONF_BAUDRATE, "invalid_baudrate", value=str(self.baudrate))
        if not _is_int(self.bytesize) or self.bytesize not in BYTESIZES:
            raise LinkError(CONF_BYTESIZE, "invalid_bytesize", value=str(self.bytesize))
        if self.parity not in PARITIES:
            raise LinkError(CONF_PARITY, "invalid_parity", value=str(self.parity))
        if not _is_int(self.stopbits) or self.stopbits not in STOPBITS:
            raise LinkError(CONF_STOPBITS, "invalid_stopbits", value=str(self.stopbits))

    @property
    def frame(self) -> str:
        """The usual short form of everything but the speed: 8N1."""
        return f"{self.bytesize}{self.parity}{self.stopbits}"

    @property
    def character_bits(self) -> int:
        """Bits on the wire per character: start, data, parity, stop."""
        return 1 + self.bytesize + (self.parity != "N") + self.stopbits

    def describe(self) -> str:
        """Speed and frame as people write them: 9600 8N1."""
        return f"{self.baudrate} {self.frame}"

    def to_data(self) -> dict[str, Any]:
        """The settings as config entry data."""
        return {
            CONF_BAUDRATE: self.baudrate,
            CONF_BYTESIZE: self.bytesize,
            CONF_PARITY: self.parity,
            CONF_STOPBITS: self.stopbits,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> SerialSettings:
        """Take the settings out of config entry data; what is missing has its usual value.

        Raises:
            LinkError: a value that no serial port knows.
        """
        return cls(
            baudrate=_whole(data, CONF_BAUDRATE, DEFAULT_BAUDRATE),
            bytesize=cast("Literal[7, 8]", _whole(data, CONF_BYTESIZE, 8)),
            parity=cast("Parity", str(data.get(CONF_PARITY, "N")).upper()),
            stopbits=cast("Literal[1, 2]", _whole(data, CONF_STOPBITS, 1)),
        )


class LinkSettings(ABC):
    """One link; equal objects mean the same line spoken to in the same way."""

    __slots__ = ()

    transport: ClassVar[Transport]

    @property
    @abstractmethod
    def params(self) -> ModbusParams:
        """What Home Assistant's shared Modbus connection is asked with."""

    @abstractmethod
    def timing(self) -> LineTiming:
        """How long characters, pauses and answers take."""

    @abstractmethod
    def to_data(self) -> dict[str, Any]:
        """The link as config entry data."""

    @abstractmethod
    def describe(self, adapter: str | None = None) -> str:
        """A title for people; `adapter` is what the operating system calls a serial port's maker."""

    @property
    def endpoint(self) -> Endpoint:
        """The line itself, whatever the settings it is spoken to with."""
        return self.params.endpoint

    @property
    def serial_settings(self) -> SerialSettings | None:
        """The line settings, where changing them here changes the line."""
        return None

    def with_settings(self, settings: SerialSettings) -> LinkSettings:
        """The same line with other line settings; itself where they are not ours to change."""
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialLink(LinkSettings):
    """A serial port: a device path, or the URL of one elsewhere.

    Known URLs are `esphome-hass://` and `esphome://` (serial proxies of ESPHome), `rfc2217://` and
    `socket://`; a `socket://` device is the same line as an `RtuOverTcpLink`.
    """

    device: str
    settings: SerialSettings = SerialSettings()

    transport: ClassVar[Transport] = Transport.SERIAL

    def __post_init__(self) -> None:
        """Bring the device to its one spelling.

        Raises:
            LinkError: a device that is neither a path nor a known URL.
        """
        object.__setattr__(self, "device", _device(self.device))

    @property
    @override
    def params(self) -> ModbusParams:
        if self.device.startswith("socket://"):
            return ModbusSerialParams(device=self.device, baudrate=_SOCKET_BAUDRATE)
        return ModbusSerialParams(
            device=self.device,
            baudrate=self.settings.baudrate,
            bytesize=self.settings.bytesize,
            parity=self.settings.parity,
            stopbits=self.settings.stopbits,
        )

    @override
    def timing(self) -> LineTiming:
        return LineTiming.serial(
            self.settings.baudrate,
            self.settings.bytesize,
            self.settings.parity,
            self.settings.stopbits,
        )

    @override
    def to_data(self) -> dict[str, Any]:
        return {
            CONF_TRANSPORT: self.transport.value,
            CONF_DEVICE: self.device,
            **self.settings.to_data(),
        }

    @override
    def describe(self, adapter: str | None = None) -> str:
        return f"{adapter or device_name(self.device)} {self.settings.describe()}"

    @property
    @override
    def serial_settings(self) -> SerialSettings | None:
        return None if self.device.startswith("socket://") else self.settings

    @override
    def with_settings(self, settings: SerialSettings) -> SerialLink:
        if self.serial_settings is None:
            return self
        return SerialLink(device=self.device, settings=settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _NetworkLink(LinkSettings):
    """A host and a port."""

    host: str
    port: int = DEFAULT_TCP_PORT

    def __post_init__(self) -> None:
        """Bring the host to its one spelling and check the port.

        Raises:
            LinkError: a host or port that cannot be.
        """
        object.__setattr__(self, "host", normalise_host(self.host))
        if not _is_int(self.port) or not 1 <= self.port <= 65535:
            raise LinkError(CONF_PORT, "invalid_port", value=str(self.port))

    @override
    def timing(self) -> LineTiming:
        return LineTiming.network()

    @override
    def to_data(self) -> dict[str, Any]:
        return {
            CONF_TRANSPORT: self.transport.value,
            CONF_HOST: self.host,
            CONF_PORT: self.port,
        }

    @override
    def describe(self, adapter: str | None = None) -> str:
        return _host_and_port(self.host, self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpLink(_NetworkLink):
    """Modbus TCP: a gateway, or a meter with a network port of its own."""

    transport: ClassVar[Transport] = Transport.TCP

    @property
    @override
    def params(self) -> ModbusParams:
        return ModbusTcpParams(host=self.host, port=self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class UdpLink(_NetworkLink):
    """Modbus TCP's frames in UDP datagrams."""

    transport: ClassVar[Transport] = Transport.UDP

    @property
    @override
    def params(self) -> ModbusParams:
        return ModbusUdpParams(host=self.host, port=self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsLink(_NetworkLink):
    """Modbus TCP Security."""

    port: int = DEFAULT_TLS_PORT
    verify_ssl: bool = True
    authority_file: str = ""
    """Path of the certificates that are trusted in place of the machine's own."""
    certificate_file: str = ""
    """Path of the certificate that we show to a gateway that asks who we are."""
    key_file: str = ""
    """Path of its private key; empty if that is in the same file."""

    transport: ClassVar[Transport] = Transport.TLS

    def __post_init__(self) -> None:
        """Bring the host to its one spelling, check the port and what belongs together.

        Raises:
            LinkError: a host or port that cannot be, or a key without its certificate.
        """
        _NetworkLink.__post_init__(self)
        if self.key_file and not self.certificate_file:
            raise LinkError(CONF_KEY_FILE, "key_without_certificate")

    @property
    @override
    def params(self) -> ModbusParams:
        return ModbusTlsParams(
            host=self.host,
            port=self.port,
            verify=(self.authority_file or True) if self.verify_ssl else False,
            check_hostname=self.verify_ssl,
            client_cert=self.certificate_file or None,
            client_key=self.key_file or None,
        )

    @override
    def to_data(self) -> dict[str, Any]:
        files = {
            CONF_AUTHORITY_FILE: self.authority_file,
            CONF_CERTIFICATE_FILE: self.certificate_file,
            CONF_KEY_FILE: self.key_file,
        }
        return {
            CONF_TRANSPORT: self.transport.value,
            CONF_HOST: self.host,
            CONF_PORT: self.port,
            CONF_VERIFY_SSL: self.verify_ssl,
            **{field: path for field, path in files.items() if path},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RtuOverTcpLink(_NetworkLink):
    """RTU frames in a TCP stream: a transparent serial bridge."""

    baudrate: int = DEFAULT_BAUDRATE
    """Speed of the line behind the bridge; only our timing knows it, the bridge sets its own."""

    transport: ClassVar[Transport] = Transport.RTU_OVER_TCP

    def __post_init__(self) -> None:
        """Bring the host to its one spelling, check port and speed.

        Raises:
            LinkError: a host, port or speed that cannot be.
        """
        _NetworkLink.__post_init__(self)
        SerialSettings(baudrate=self.baudrate)

    @property
    @override
    def params(self) -> ModbusParams:
        # Built as Home Assistant canonicalises `ModbusTcpParams(framer="rtu")`, so that an
        # integration that asks for the same bridge in that way shares the line with us.
        return ModbusSerialParams(
            device=f"socket://{_host_and_port(self.host, self.port)}", baudrate=_SOCKET_BAUDRATE
        )

    @override
    def timing(self) -> LineTiming:
        return LineTiming.serial(self.baudrate, 8, "N", 1)

    @override
    def to_data(self) -> dict[str, Any]:
        return {
            CONF_TRANSPORT: self.transport.value,
            CONF_HOST: self.host,
            CONF_PORT: self.port,
            CONF_BAUDRATE: self.baudrate,
        }


def link_from_data(data: Mapping[str, Any]) -> LinkSettings:
    """The link that config entry data describes.

    Raises:
        LinkError: something is missing or cannot be; names the field.
    """
    try:
        transport = Transport(data.get(CONF_TRANSPORT, ""))
    except ValueError:
        raise LinkError(
            CONF_TRANSPORT, "invalid_transport", value=str(data.get(CONF_TRANSPORT))
        ) from None
    match transport:
        case Transport.SERIAL:
            return SerialLink(
                device=_text(data, CONF_DEVICE), settings=SerialSettings.from_data(data)
            )
        case Transport.TCP:
            return TcpLink(
                host=_text(data, CONF_HOST), port=_whole(data, CONF_PORT, DEFAULT_TCP_PORT)
            )
        case Transport.UDP:
            return UdpLink(
                host=_text(data, CONF_HOST), port=_whole(data, CONF_PORT, DEFAULT_TCP_PORT)
            )
        case Transport.TLS:
            return TlsLink(
                host=_text(data, CONF_HOST),
                port=_whole(data, CONF_PORT, DEFAULT_TLS_PORT),
                verify_ssl=bool(data.get(CONF_VERIFY_SSL, True)),
                authority_file=_optional(data, CONF_AUTHORITY_FILE),
                certificate_file=_optional(data, CONF_CERTIFICATE_FILE),
                key_file=_optional(data, CONF_KEY_FILE),
            )
        case Transport.RTU_OVER_TCP:
            return RtuOverTcpLink(
                host=_text(data, CONF_HOST),
                port=_whole(data, CONF_PORT, DEFAULT_TCP_PORT),
                baudrate=_whole(data, CONF_BAUDRATE, DEFAULT_BAUDRATE),
            )


def normalise_device(device: str, by_id: Callable[[str], str]) -> str:
    """A device path in the spelling that survives re-plugging; URLs only in their one spelling.

    Args:
        device: what the user or the port picker gave.
        by_id: gives a path's `/dev/serial/by-id` link, or the path itself; blocking, so the whole
            function belongs in an executor (`homeassistant.components.usb.get_serial_by_id`).

    Raises:
        LinkError: a device that is neither a path nor a known URL.
    """
    device = _device(device)
    if not device.startswith("/dev/") or device.startswith("/dev/serial/by-id/"):
        return device
    return by_id(device)


def normalise_host(host: str) -> str:
    """A host's one spelling: lower case, IPv6 addresses compressed and without brackets.

    Raises:
        LinkError: not a host name or address.
    """
    text = host.strip() if isinstance(host, str) else ""
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    # A scope (fe80::1%eth0) names a network interface, and those differ by case.
    address, percent, scope = text.partition("%")
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        pass
    else:
        return f"{parsed.compressed}{percent}{scope}"
    name = text.lower().removesuffix(".")
    looks_like_address = re.fullmatch(r"[0-9.]+", name) is not None
    if looks_like_address or len(name) > 253 or not all(map(_is_label, name.split("."))):
        raise LinkError(CONF_HOST, "invalid_host", value=str(host))
    return name


def device_name(device: str) -> str:
    """A serial port's name for people, from its path or URL alone."""
    parts = urlsplit(device)
    if parts.scheme in ("esphome", "esphome-hass"):
        port = parse_qs(parts.query).get("port_name", [""])[0]
        return f"ESPHome {port}".rstrip()
    if parts.scheme:
        return parts.netloc or device
    name = device.rsplit("/", 1)[-1]
    if match := re.fullmatch(r"usb-(.+?)-if\d+(-port\d+)?", name):
        return match[1].replace("_", " ")
    return name


def _device(device: str) -> str:
    text = device.strip() if isinstance(device, str) else ""
    match = _URL.fullmatch(text)
    if match is None:
        if text.startswith("/") and len(text) > 1 and "\0" not in text:
            return text
        raise LinkError(CONF_DEVICE, "invalid_device", value=str(device))
    scheme = match[1].lower()
    if scheme not in ("esphome", "esphome-hass", "rfc2217", "socket"):
        raise LinkError(CONF_DEVICE, "invalid_device", value=text)
    if scheme.startswith("esphome"):
        # Entry ids and port names are case sensitive, and Home Assistant wrote them.
        return f"{scheme}://{match[2]}"
    parts = urlsplit(text)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or port is None:
        raise LinkError(CONF_DEVICE, "invalid_device", value=text)
    try:
        host = normalise_host(host)
    except LinkError:
        raise LinkError(CONF_DEVICE, "invalid_device", value=text) from None
    tail = f"?{parts.query}" if parts.query and scheme == "rfc2217" else ""
    return f"{scheme}://{_host_and_port(host, port)}{tail}"


def _host_and_port(host: str, port: int) -> str:
    # An IPv6 address needs brackets, or its own colons would be read as the port's.
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_label(label: str) -> bool:
    return _HOST_LABEL.fullmatch(label) is not None


def _text(data: Mapping[str, Any], field: str) -> str:
    value = data.get(field)
    if not isinstance(value, str) or not value.strip():
        raise LinkError(field, "missing_value", field=field)
    return value


def _optional(data: Mapping[str, Any], field: str) -> str:
    return str(data.get(field) or "").strip()


def _whole(data: Mapping[str, Any], field: str, default: int) -> int:
    """A whole number, also where a form gave it as a float or a picker as text."""
    value = data.get(field, default)
    try:
        number = float(value)
    except TypeError, ValueError:
        raise LinkError(field, "not_a_number", field=field, value=str(value)) from None
    if isinstance(value, bool) or not number.is_integer():
        raise LinkError(field, "not_a_number", field=field, value=str(value))
    return int(number)
