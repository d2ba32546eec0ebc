"""The far ends of links over the network: a meter behind them, and what can be done to them.

`tests.support.wire` has those with the timing of a serial line. These are servers that others wrote, and the
only thing that happens to them is that they are gone for a while.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, override

from .certificates import self_signed
from .meters import Meter, MeterServer
from .rfc2217 import SerialServer
from .wire import ByteTiming, Wire


class FarEnd(ABC):
    """A link's other end."""

    menu: str
    """The set-up's menu item for it."""

    @property
    @abstractmethod
    def form(self) -> Mapping[str, Any]:
        """How its user fills in the form behind that item."""

    @property
    @abstractmethod
    def data(self) -> Mapping[str, Any]:
        """What a config entry is to hold then."""

    @abstractmethod
    def unplug(self) -> None:
        """Be gone."""

    @abstractmethod
    def plug(self) -> None:
        """Be there again, at the same place."""


class Gateway(FarEnd):
    """A network gateway: pymodbus's server for Modbus UDP, or for TLS if there is a certificate."""

    menu = "network"

    def __init__(
        self,
        meter: Meter,
        certificate: tuple[Path, Path] | None = None,
        clients: Path | None = None,
    ) -> None:
        """Take the meter, certificate and key, and the certificates of those who are let in if not everybody."""
        self._meter = meter
        self._certificate = certificate
        self._clients = clients
        self._server: MeterServer | None = None
        self.port = 0
        self.plug()

    @property
    @override
    def form(self) -> Mapping[str, Any]:
        tls = self._certificate is not None
        return {
            "host": "127.0.0.1",
            "protocol": "tls" if tls else "udp",
            "port": self.port,
            "advanced": {"baudrate": "9600", "verify_ssl": not tls},
        }

    @property
    @override
    def data(self) -> Mapping[str, Any]:
        place = {"host": "127.0.0.1", "port": self.port}
        if self._certificate is None:
            return {"transport": "udp", **place}
        return {"transport": "tls", **place, "verify_ssl": False}

    @override
    def unplug(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.__exit__(None, None, None)

    @override
    def plug(self) -> None:
        self._server = MeterServer([self._meter]).__enter__()
        if self._certificate is None:
            self.port = self._server.serve_udp(port=self.port)
        else:
            self.port = self._server.serve_tls(
                *self._certificate, clients=self._clients, port=self.port
            )


class SerialPort(FarEnd):
    """A serial port at the other end of a network connection."""

    menu = "serial"

    def __init__(self, server: SerialServer) -> None:
        """Take the server, which listens."""
        self.server = server

    @property
    def url(self) -> str:
        """What a user types in as the port."""
        return f"rfc2217://127.0.0.1:{self.server.port}"

    @property
    @override
    def form(self) -> Mapping[str, Any]:
        return {"device": self.url}

    @property
    @override
    def data(self) -> Mapping[str, Any]:
        return {
            "transport": "serial",
            "device": self.url,
            "baudrate": 2400,
            "bytesize": 8,
            "parity": "N",
            "stopbits": 1,
        }

    @override
    def unplug(self) -> None:
        self.server.stop()

    @override
    def plug(self) -> None:
        self.server.start()


@contextmanager
def udp_gateway(meter: Meter) -> Iterator[Gateway]:
    """A gateway that speaks Modbus in UDP datagrams."""
    gateway = Gateway(meter)
    try:
        yield gateway
    finally:
        gateway.unplug()


@contextmanager
def tls_gateway(meter: Meter, directory: Path, clients: Path | None = None) -> Iterator[Gateway]:
    """A gateway that speaks Modbus TCP Security with a certificate that it made itself.

    Args:
        meter: behind it.
        directory: where its `certificate.pem` and `key.pem` are put.
        clients: certificates of those whom it lets in; None for everybody.
    """
    gateway = Gateway(meter, self_signed(directory), clients)
    try:
        yield gateway
    finally:
        gateway.unplug()


@contextmanager
def serial_server(meter: Meter, *, confirms_masks: bool = True) -> Iterator[SerialPort]:
    """An RFC 2217 server in front of a serial line; see `SerialServer`."""
    with (
        Wire([meter], timing=ByteTiming(115200), turnaround=0.002) as line,
        SerialServer(line.path, confirms_masks=confirms_masks) as server,
    ):
        yield SerialPort(server)
