"""Listening to a bridge for as long as a flow needs: who is there, and what its meters show."""

import asyncio
from dataclasses import dataclass, field
import time
from typing import Final

from ..model import Reading, Value
from ..sources.base import Source
from ..sources.bridge import (
    BridgeEvent,
    BridgeHealth,
    BridgeLink,
    BridgeSession,
    BridgeSource,
    Hello,
)

_LOOK: Final = 0.1
"""Seconds between two looks whether everything has been heard."""


@dataclass(slots=True)
class Heard:
    """What is known of a bridge."""

    hello: Hello | None = None
    values: dict[str, dict[str, Value]] = field(default_factory=dict)
    """Present values by the meter's id, then by quantity key."""
    baudrate: int | None = None
    """The speed that it was understood at, if that is another one than was asked for."""

    @property
    def bridge(self) -> str | None:
        """The bridge's own id; None for a board that never says it."""
        return None if self.hello is None or self.hello.synthesised else self.hello.bridge

    @property
    def complete(self) -> bool:
        """Whether every meter that is there has shown something."""
        meters = self.hello.meters if self.hello else ()
        return bool(meters) and all(meter.id in self.values for meter in meters)


class Ear:
    """A session of a flow's own. It acknowledges nothing, so that a bridge keeps what it has buffered."""

    def __init__(self, link: BridgeLink) -> None:
        """Take the link, not started."""
        self.heard = Heard()
        session = BridgeSession(
            self, link.send, clock=lambda: (time.monotonic(), time.time()), durable=True
        )
        self._source: Source = BridgeSource(link, session)

    async def start(self) -> None:
        """Begin to listen."""
        await self._source.start()

    async def stop(self) -> None:
        """End it."""
        await self._source.stop()

    async def until_complete(self, patience: float) -> Heard:
        """Listen until every meter has shown something, at most `patience` seconds."""
        end = time.monotonic() + patience
        while not self.heard.complete and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK)
        return self.heard

    def on_hello(self, hello: Hello) -> None:
        """Who is there."""
        self.heard.hello = hello

    def on_reading(self, meter: str, reading: Reading, flags: frozenset[str], *, old: bool) -> None:
        """What a meter shows; what it showed once is of no interest."""
        if not old:
            self.heard.values.setdefault(meter, {}).update(reading.values)

    def on_event(self, event: BridgeEvent) -> None:
        """Of no interest here."""

    def on_health(self, health: BridgeHealth) -> None:
        """Of no interest here."""

    def on_connected(self, connected: bool) -> None:
        """Of no interest here."""

    def on_log(self, level: str, text: str) -> None:
        """Of no interest here."""

    def on_trouble(self, key: str, detail: str) -> None:
        """What matters is what was heard in the end."""


async def overhear(link: BridgeLink, patience: float) -> Heard:
    """What a link brings within `patience` seconds; sooner if every meter has shown something."""
    ear = Ear(link)
    await ear.start()
    try:
        return await ear.until_complete(patience)
    finally:
        await ear.stop()
