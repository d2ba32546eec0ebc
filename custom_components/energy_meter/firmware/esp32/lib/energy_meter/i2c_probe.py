"""Who is at an address: asked by plain reads alone, which no chip takes for a write.

A monitor answers a plain read with its identity. Whatever answers otherwise is a foreign chip, and nothing is ever
written to it.
"""

from .i2c_blocks import IDENTITY, MAGIC, VERSION, is_good, speaks_for_two
from .i2c_bus import DISTURBED, NO_ANSWER

NOBODY, MONITOR, FOREIGN, SHARED, OTHER_VERSION, TWIN, HIDDEN, UNCLEAR, TROUBLE = range(9)
"""What is there: a twin has the id of another monitor, somebody hidden is on a segment at the address of a monitor on
the trunk, what is unclear may become clear, trouble is the bus's own."""
_ATTEMPTS = 3
_ATTEMPTS_BEHIND = 6
"""Comparisons before somebody counts as hidden: so often in a row noise does not look like it."""
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


async def look_behind(bus, place, key):
    """What answers on a segment beside the monitor of that id (eight bytes) on the trunk: by plain reads alone.

    With the segment selected both answer at once, and a bit reads 0 if either sends 0: what comes is then never the
    monitor's identity, while without the segment it is. Returns NOBODY, HIDDEN, or UNCLEAR if it could not be told.
    """
    data = bytearray(IDENTITY[1])
    for _ in range(_ATTEMPTS_BEHIND):
        if await bus.read(place, None, data):
            return UNCLEAR
        if _is(data, key):
            return NOBODY
        if await bus.read(place & 0xFF, None, data) or not _is(data, key):
            return UNCLEAR
    return HIDDEN


def _is(data, key):
    return data[:4] == MAGIC and is_good(IDENTITY[0], data) and data[6:14] == key
