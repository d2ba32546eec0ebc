"""One bridge's side of the conversation: what its lines mean, what it is asked, what has been taken already.

Pure: bytes in, calls of a `BridgeListener` and lines out, with a clock that is passed in.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...model import Value
from .protocol import BridgeListener, Hello


@dataclass(slots=True, kw_only=True)
class SessionCounters:
    """What came and what became of it, since start."""

    lines: int = 0
    bad: int = 0
    """Lines that are no message: torn, too long, too deep, no JSON, wrong CRC."""
    refused: int = 0
    """Values that are none: text for a number, NaN, a unit that is not ours."""
    lost: int = 0
    """Messages that never came though their numbers say that they were sent."""
    repeated: int = 0
    reordered: int = 0
    """Messages that came after a later one."""
    flooded: int = 0
    """Lines dropped because there were too many."""
    resends: int = 0
    """Times that something missing was asked for."""
    readings: int = 0
    """Readings passed on."""
    flags: dict[str, int] | None = None


class BridgeSession:
    """What one bridge says and is told."""

    hello: Hello | None
    counters: SessionCounters
    is_connected: bool

    def __init__(
        self,
        listener: BridgeListener,
        send: Callable[[bytes], None],
        *,
        clock: Callable[[], tuple[float, float]],
        name: str = "main",
        expected: str | None = None,
        memory: Mapping[str, Any] | None = None,
        durable: bool = False,
    ) -> None:
        """Set up a session; nothing is sent before `connected`.

        Args:
            listener: who is told.
            send: takes one message for the bridge, a line without its line feed (`BridgeLink.send`).
            clock: (seconds of a monotonic clock, Unix time).
            name: `Hello.bridge` for a board that never says hello.
            expected: the id of the bridge that belongs here; nothing is taken from any other.
            memory: what `memory` was at the last stop.
            durable: acknowledge to the bridge only what `saved` was called for, so that it keeps what a crash of
                Home Assistant would lose.
        """
        raise NotImplementedError

    @property
    def memory(self) -> dict[str, Any]:
        """What has been taken, JSON-able and small: to be kept over a restart so that nothing is taken twice."""
        raise NotImplementedError

    def saved(self, memory: Mapping[str, Any]) -> None:
        """What this `memory` covers is on disk and may be acknowledged; only needed with `durable`."""
        raise NotImplementedError

    def feed(self, data: bytes) -> None:
        """Take bytes of a stream in whatever pieces they come."""
        raise NotImplementedError

    def feed_lines(self, lines: Iterable[bytes]) -> int:
        """Take whole messages; return how many of them were understood."""
        raise NotImplementedError

    def connected(self) -> None:
        """The link is up: ask who is there."""
        raise NotImplementedError

    def disconnected(self) -> None:
        """The link is down: half a line is forgotten, commands under way fail."""
        raise NotImplementedError

    def trouble(self, key: str, detail: str = "") -> None:
        """For links: tell the listener, at most once in ten minutes per key."""
        raise NotImplementedError

    def tick(self) -> None:
        """To be called about once a second: acknowledges, asks for what is missing, gives up on it."""
        raise NotImplementedError

    async def command(
        self, control: str, value: Value, meter: str | None = None, timeout: float = 10
    ) -> Value:
        """Carry out a control of a meter, or of the bridge itself, and return what was read back.

        Raises:
            SourceError: `bridge_` + the protocol's error, `bridge_refused` for one that is not in the protocol,
                `bridge_no_answer` or `bridge_away`; placeholders `control`, `meter` and `text`.
        """
        raise NotImplementedError

    async def config(
        self, change: Mapping[str, Any] | None = None, timeout: float = 10
    ) -> Mapping[str, Any]:
        """The bridge's configuration, after merging `change` into it if there is one; secrets read `***`.

        Raises:
            SourceError: as for `command`.
        """
        raise NotImplementedError

    async def update(
        self, version: str, files: Mapping[str, bytes], progress: Callable[[float], None]
    ) -> None:
        """Install firmware; returns when the bridge has come back and says that it runs `version`.

        Args:
            version: what the new firmware calls itself.
            files: path on the bridge → content.
            progress: called with 0 to 1.

        Raises:
            SourceError: as for `command`; `bridge_rolled_back` if the old firmware came back.
        """
        raise NotImplementedError
