"""What carries lines between Home Assistant and one bridge."""

from abc import ABC, abstractmethod

from .session import BridgeSession


class BridgeLink(ABC):
    """One way in: serial, TCP, HTTP, MQTT.

    A link tells its session `connected`, `disconnected` and what came (`feed` or `feed_lines`); it finds its own
    way back after a loss. `BridgeSource` calls `session.tick`.
    """

    @abstractmethod
    async def start(self, session: BridgeSession) -> None:
        """Begin, without waiting for the bridge."""

    @abstractmethod
    async def stop(self) -> None:
        """End everything that `start` began; tells the session `disconnected` if it was connected."""

    @abstractmethod
    def send(self, line: bytes) -> None:
        """Send one message, a line without its line feed; dropped while there is no connection."""

    @property
    @abstractmethod
    def connected(self) -> bool:
        """Whether the link is up."""

    @abstractmethod
    def describe(self) -> str:
        """Where it leads, for logs: a port or a host; never a secret."""
