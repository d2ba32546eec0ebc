"""A bridge as a source: its link, its session and the clock that drives them."""

import asyncio
from typing import Final, override

from ...model import Value
from ..base import LinkHealth, Source
from .link import LOGGER, BridgeLink
from .session import BridgeSession

_TICK: Final = 1.0


class BridgeSource(Source):
    """One link and the meters of the bridge at its other end."""

    def __init__(self, link: BridgeLink, session: BridgeSession) -> None:
        """Put the two together; the session's `send` is the link's."""
        self.link = link
        self.session = session
        self._ticking: asyncio.Task[None] | None = None

    @override
    async def start(self) -> None:
        await self.link.start(self.session)
        self._ticking = asyncio.create_task(
            self._tick(), name=f"bridge {self.link.describe()} clock"
        )

    @override
    async def stop(self) -> None:
        ticking, self._ticking = self._ticking, None
        if ticking is not None:
            ticking.cancel()
            await asyncio.wait({ticking})
        await self.link.stop()
        self.session.disconnected()

    @override
    def remove_meter(self, meter_id: str) -> None:
        """Nothing to do: what a bridge says about a meter that nobody wants is dropped above."""

    @override
    async def command(
        self, meter_id: str | None, control: str, value: Value, timeout: float = 10
    ) -> Value:
        """Carry out a control; a `meter_id` of None means the bridge itself."""
        return await self.session.command(control, value, meter_id, timeout)

    @property
    @override
    def health(self) -> LinkHealth:
        counters = self.session.counters
        return LinkHealth(
            connected=self.link.connected,
            requests=counters.lines,
            errors=counters.bad + counters.lost,
            retries=counters.resends,
        )

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            try:
                self.session.tick()
            except Exception:  # noqa: BLE001 — one fault above must not stop the clock of the bridge.
                LOGGER.exception("Bridge at %s: its clock goes on", self.link.describe())
