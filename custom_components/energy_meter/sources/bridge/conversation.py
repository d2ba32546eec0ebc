"""What those above need of a bridge, whether it says so in lines or is a bus that is read here."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ...metering.waveform import Waveform
from ...model import Value
from .protocol import Hello
from .session import SessionCounters


class Conversation(Protocol):
    """`BridgeSession` as it is seen from above; its methods say the rest."""

    @property
    def hello(self) -> Hello | None:
        """Who is there."""

    @property
    def counters(self) -> SessionCounters:
        """What came and what became of it, since start."""

    @property
    def memory(self) -> dict[str, Any]:
        """What has to be known after a restart."""

    def saved(self, memory: Mapping[str, Any]) -> None:
        """What this `memory` covers is on disk."""

    async def command(
        self, control: str, value: Value, meter: str | None = None, timeout: float = 10
    ) -> Value:
        """Carry out a control and return what was read back; raises `SourceError`."""

    async def capture(self, meter: str, cycles: int = 2) -> Waveform:
        """One or two cycles of a meter, taken now; raises `SourceError`."""

    async def update(
        self, version: str, files: Mapping[str, bytes], progress: Callable[[float], None]
    ) -> None:
        """Install firmware; raises `SourceError`."""
