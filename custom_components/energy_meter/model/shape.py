"""What a meter is to everything above its source: which values it gives, how its counters move, what it can do."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .meter import Control
from .quantities import Counts, Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterShape:
    """One meter, whatever it hangs on: a Modbus profile and a bridge's hello both turn into one."""

    measured: tuple[str, ...]
    """Keys of the quantities that the meter delivers."""
    phases: int = 1
    """1 or 3."""
    manufacturer: str | None = None
    model: str | None = None
    counts: Mapping[str, Counts] = field(default_factory=dict)
    """How counters move where the meter differs from the vocabulary."""
    resolution: Mapping[str, float] = field(default_factory=dict)
    """Each counter's digit in its unit, where known."""
    modulus: Mapping[str, float] = field(default_factory=dict)
    """Each counter's figure at which it starts again from zero, where known."""
    controls: tuple[Control, ...] = ()
    """What is offered to users; a source may know of more."""
    interval: float | None = None
    """Seconds between two readings, where that is not the user's to say."""
    circuit: bool = False
    """Whether it is one of the circuits of a panel."""
    waveform: bool = False
    """Whether one or two cycles of its voltage and current can be captured."""
    late: bool = False
    """Whether readings of a silence may still arrive after it: they are kept where it hangs."""

    def moves(self, quantity: Quantity) -> Counts | None:
        """How a counter moves on this meter; None for what is no counter."""
        return self.counts.get(quantity.key, quantity.counts)
