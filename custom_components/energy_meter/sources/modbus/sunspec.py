"""Finding a SunSpec model: a marker at one of a few addresses, then a chain of blocks with their lengths.

Facts from the SunSpec Device Information Model Specification 1.1, section 6: the marker "SunS", then
blocks that begin with their id and their length without these two registers, ended by id 0xFFFF.
"""

from collections.abc import Awaitable, Callable, Collection
from typing import Final

from .profile import Span, Table

STARTS: Final = (40000, 50000, 0, 0x1000)
"""Where the marker may be; the last is Accuenergy's."""
MARKER: Final = [0x5375, 0x6E53]
_END: Final = 0xFFFF
_COMMON: Final = 1
"""Id of the common model: maker, model, firmware and serial number of what follows it."""
_COMMON_LENGTHS: Final = (66, 65)
"""With and without its padding."""
_MOST_BLOCKS: Final = 64

type ReadSpan = Callable[[Span], Awaitable[list[int] | None]]
"""Reads a span; None where the device does not give it."""


async def find_model(read: ReadSpan, models: Collection[int]) -> int | None:
    """Return the address of the first block whose model id is one of `models`; None if there is none.

    The address is that of the model id itself, from which relocatable profiles count.
    """
    for start in STARTS:
        if await read(Span(Table.HOLDING, start, len(MARKER))) != MARKER:
            continue
        address = start + len(MARKER)
        for _ in range(_MOST_BLOCKS):
            header = await read(Span(Table.HOLDING, address, 2))
            if header is None or header[0] == _END:
                break
            if header[0] in models:
                return address
            address += 2 + header[1]
            if address > 0xFFFF - 2:
                break
    return None


async def common_before(read: ReadSpan, model: int) -> int | None:
    """Return the address of the common model right before a model's block; None if there is none.

    Devices that speak for several meters put a common model before each (SunSpec, section 6.2).
    """
    for length in _COMMON_LENGTHS:
        address = model - length - 2
        if address >= 0 and await read(Span(Table.HOLDING, address, 2)) == [_COMMON, length]:
            return address
    return None
