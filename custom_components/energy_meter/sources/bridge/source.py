"""A bridge as a source: its link, its session and the clock that drives them."""

from typing import override

from ...model import Value
from ..base import LinkHealth, Source
from .link import BridgeLink
from .session import BridgeSession


class BridgeSource(Source):
    """One link and the meters of the bridge at its other end."""

    def __init__(self, link: BridgeLink, session: BridgeSession) -> None:
        """Put the two together; the session's `send` is the link's."""
        self.link = link
        self.session = session

    @override
    async def start(self) -> None:
        raise NotImplementedError

    @override
    async def stop(self) -> None:
        raise NotImplementedError

    @override
    def remove_meter(self, meter_id: str) -> None:
        """Nothing to do: what a bridge says about a meter that nobody wants is dropped above."""

    @override
    async def command(self, meter_id: str, control: str, value: Value) -> Value:
        raise NotImplementedError

    @property
    @override
    def health(self) -> LinkHealth:
        raise NotImplementedError
