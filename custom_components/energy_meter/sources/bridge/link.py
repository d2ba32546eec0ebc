"""What carries lines between Home Assistant and one bridge."""

from abc import ABC, abstractmethod
import asyncio
from collections.abc import Awaitable, Callable
import logging
from typing import Final, override

from .limits import TokenBucket
from .session import BridgeSession

LOGGER: Final = logging.getLogger(__package__)

PIECE: Final = 4096
"""Bytes that are taken at a time, so that a flood does not hold up the event loop."""
_BYTES_PER_SECOND: Final = 256 * 1024.0
_BYTES_AT_ONCE: Final = 2 * 1024 * 1024.0
MAX_UNSENT: Final = 64 * 1024
"""Bytes that wait to be sent at most; what is beyond is dropped, a command then goes unanswered."""
FIRST_PAUSE: Final = 0.5
"""Seconds before the first attempt to come back."""
_GOOD_WHILE: Final = 5.0
"""Seconds after which a link that was up is looked for at the shortest pause again."""


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


class StreamLink(BridgeLink):
    """A link that keeps one stream open and opens it again whenever it ends."""

    def __init__(self, *, longest_pause: float) -> None:
        """Keep the longest pause between two attempts, seconds."""
        self._longest_pause = longest_pause
        self._task: asyncio.Task[None] | None = None

    @override
    async def start(self, session: BridgeSession) -> None:
        self._task = asyncio.create_task(self._run(session), name=f"bridge {self.describe()}")

    @override
    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _run(self, session: BridgeSession) -> None:
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while True:
            began = loop.time()
            try:
                least = await self._once(session)
            except Exception:
                LOGGER.exception("Bridge at %s: starting its link anew", self.describe())
                least = self._longest_pause
            if loop.time() - began >= _GOOD_WHILE and self._was_up():
                pause = FIRST_PAUSE
            await asyncio.sleep(max(pause, least))
            pause = min(pause * 2, self._longest_pause)

    @abstractmethod
    async def _once(self, session: BridgeSession) -> float:
        """Open, talk until the end, close; return the least pause before the next attempt, seconds."""

    @abstractmethod
    def _was_up(self) -> bool:
        """Whether the last attempt got as far as talking."""


class Throttle:
    """Slows down whoever sends faster than any board: reading pauses, and the sender has to wait."""

    def __init__(
        self, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        """Keep the clock (seconds) and the way to wait."""
        self._clock = clock
        self._sleep = sleep
        self._budget = TokenBucket(_BYTES_PER_SECOND, _BYTES_AT_ONCE)

    async def passed(self, count: int) -> None:
        """So many bytes have been taken; let others have their turn, and return when more may be taken."""
        await self._sleep(0)
        while not self._budget.take(self._clock(), count):
            await self._sleep(count / _BYTES_PER_SECOND)
