"""A bridge on a serial port, an ESPHome serial proxy or a raw socket (serialx)."""

from typing import override

from .link import BridgeLink
from .protocol import Hello
from .session import BridgeSession


class SerialLink(BridgeLink):
    """Lines over a port that may be pulled and come back."""

    def __init__(self, url: str, baudrate: int = 9600) -> None:
        """Keep the port: a path, `socket://host:port` or `esphome-hass://…`."""
        raise NotImplementedError

    @override
    async def start(self, session: BridgeSession) -> None:
        raise NotImplementedError

    @override
    async def stop(self) -> None:
        raise NotImplementedError

    @override
    def send(self, line: bytes) -> None:
        raise NotImplementedError

    @property
    @override
    def connected(self) -> bool:
        raise NotImplementedError

    @override
    def describe(self) -> str:
        raise NotImplementedError


async def serial_probe(url: str, baudrate: int = 9600, wait: float = 6) -> Hello:
    """Who is at a port: its hello, or after `wait` seconds one put together from the bare readings seen.

    Raises:
        SourceError: `bridge_cannot_open` (placeholder `detail`), `bridge_in_use`, `bridge_silent` (nothing came), `bridge_not_understood`
            (something came but no message: another speed?), `bridge_version` (placeholder `version`).
    """
    raise NotImplementedError
