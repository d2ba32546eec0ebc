"""From what a meter said to what is true: pure functions and small state machines.

No I/O and no Home Assistant in here; every state turns into JSON and back.
"""

from .events import CounterAnswer, CounterEvent, CounterEventKind, CounterQuestion
from .pipeline import Measurement, MeterPipeline

__all__ = [
    "CounterAnswer",
    "CounterEvent",
    "CounterEventKind",
    "CounterQuestion",
    "Measurement",
    "MeterPipeline",
]
