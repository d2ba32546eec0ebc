"""A bus of monitors as a source, like any other."""

from typing import override

from ...model import Value
from ..base import LinkHealth, Source
from .hub import I2CHub


class I2CSource(Source):
    """The hub in the words of `Source`."""

    def __init__(self, hub: I2CHub) -> None:
        """Take the hub, not started."""
        self.hub = hub

    @override
    async def start(self) -> None:
        await self.hub.start()

    @override
    async def stop(self) -> None:
        await self.hub.stop()

    @override
    def remove_meter(self, meter_id: str) -> None:
        """Nothing to do: a monitor that nobody wants is read, and dropped above."""

    @override
    async def command(self, meter_id: str, control: str, value: Value) -> Value:
        return await self.hub.command(control, value, meter_id)

    @property
    @override
    def health(self) -> LinkHealth:
        return self.hub.health
