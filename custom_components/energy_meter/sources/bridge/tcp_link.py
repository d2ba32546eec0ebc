"""A bridge on the network that listens, and lets in who knows its pairing key."""

from typing import Final, override

from .link import BridgeLink
from .protocol import Hello
from .session import BridgeSession

DEFAULT_PORT: Final = 8731


class TcpLink(BridgeLink):
    """Signed lines over TCP."""

    def __init__(self, host: str, port: int = DEFAULT_PORT, key: str | None = None) -> None:
        """Keep the address; without a key only a bridge that asks for none is taken."""
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


async def tcp_probe(host: str, port: int = DEFAULT_PORT, key: str | None = None) -> Hello:
    """Who is at an address.

    Raises:
        SourceError: `bridge_cannot_connect` (placeholder `detail`), `bridge_key_needed`, `bridge_key_refused` (wrong key),
            `bridge_not_a_bridge` (something else answers there), `bridge_no_answer`, `bridge_version`.
    """
    raise NotImplementedError
