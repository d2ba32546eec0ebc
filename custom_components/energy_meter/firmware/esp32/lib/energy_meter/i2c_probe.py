"""Who is at an address: asked by plain reads alone, which no chip takes for a write.

A monitor answers a plain read with its identity. Whatever answers otherwise is a foreign chip, and nothing is ever
written to it.
"""

from .i2c_blocks import IDENTITY, MAGIC, VERSION, is_good, speaks_for_two
from .i2c_bus import DISTURBED, NO_ANSWER

NOBODY, MONITOR, FOREIGN, SHARED, OTHER_VERSION, TWIN, UNCLEAR, TROUBLE = range(8)
"""What is there; a twin has the id of another monitor, what is unclear may become clear, trouble is the bus's own."""
_ATTEMPTS = 3
_ZEROS = 4
"""Answers in a row of nothing but zeros: SDA is held low, and everybody seems to be there."""
_DISTURBANCES = 4


class BusHeld(Exception):
    """The bus is held low or does not move, so that nothing it says counts."""


class Watch:
    """Looks at everything that comes from a bus for signs that it is the bus that is ill, not a device."""

    def __init__(self):
        """Begin with none."""
        self._zeros = 0
        self._disturbed = 0

    def look(self, fault, data):
        """Take what a transaction brought. Raises BusHeld."""
        if fault == DISTURBED:
            self._disturbed += 1
        elif fault in (0, NO_ANSWER):
            self._disturbed = 0
            self._zeros = self._zeros + 1 if not fault and not any(data) else 0
        if self._zeros >= _ZEROS or self._disturbed >= _DISTURBANCES:
            raise BusHeld


async def examine(bus, place, urgent=False):
    """(what is at a place that answered something, its identity's bytes).

    The first read may deliver another block to which a master that died had pointed; those after it do not.
    """
    data = bytearray(IDENTITY[1])
    begun = bytearray(len(MAGIC))
    fault = await bus.read(place, None, begun, urgent)
    if fault:
        return NOBODY if fault == NO_ANSWER else TROUBLE, None
    magic = begun == MAGIC
    two = 0
    for _ in range(_ATTEMPTS):
        fault = await bus.read(place, None, data, urgent)
        if fault:
            return NOBODY if fault == NO_ANSWER else TROUBLE, None
        if data[:4] != MAGIC:
            continue
        magic = True
        if is_good(IDENTITY[0], data):
            return MONITOR if data[4] == VERSION else OTHER_VERSION, data
        if speaks_for_two(data):
            two += 1
    if two == _ATTEMPTS:
        return SHARED, None
    return UNCLEAR if magic or not any(data) else FOREIGN, None
