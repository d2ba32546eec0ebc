"""Looking who is at the other end, for config flows."""

import asyncio
from collections.abc import Callable
import time
from typing import Any, override

from ...model import Reading
from ..base import SourceError
from .protocol import BridgeEvent, BridgeHealth, BridgeListener, Hello
from .session import BridgeSession


class Prober(BridgeListener):
    """Listens until the bridge has said who it is, or long enough to have seen what it shows."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        """Set up a session that asks through `send`."""
        self.session = BridgeSession(
            self, send, clock=lambda: (time.monotonic(), time.time()), durable=True
        )
        self._said: asyncio.Future[Hello] = asyncio.get_running_loop().create_future()
        self._version = ""

    async def wait(self, seconds: float, *, ended: asyncio.Task[None]) -> Hello:
        """The bridge's hello; after so many seconds, or when `ended` is done, what it has shown.

        Raises:
            SourceError: `bridge_silent`, `bridge_not_understood` or `bridge_version`.
        """
        either: set[asyncio.Future[Any]] = {self._said, ended}
        await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if self._said.done():
            return self._said.result()
        self.session.settle()
        if self.session.hello is not None:
            return self.session.hello
        if self._version:
            raise SourceError("bridge_version", {"version": self._version})
        understood = self.session.counters.lines > self.session.counters.bad
        if self.session.heard and not understood:
            raise SourceError("bridge_not_understood")
        raise SourceError("bridge_silent")

    @override
    def on_hello(self, hello: Hello) -> None:
        if not hello.synthesised and not self._said.done():
            self._said.set_result(hello)

    @override
    def on_trouble(self, key: str, detail: str) -> None:
        if key == "version":
            self._version = detail

    @override
    def on_reading(self, meter: str, reading: Reading, flags: frozenset[str], *, old: bool) -> None:
        """What it measures is in the hello that the session puts together."""

    @override
    def on_event(self, event: BridgeEvent) -> None:
        """Not asked for."""

    @override
    def on_health(self, health: BridgeHealth) -> None:
        """Not asked for."""

    @override
    def on_connected(self, connected: bool) -> None:
        """Known to who opened the link."""

    @override
    def on_log(self, level: str, text: str) -> None:
        """Not asked for."""
