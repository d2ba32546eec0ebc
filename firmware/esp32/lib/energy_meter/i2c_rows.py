"""One round of a hub: 48 bytes for each monitor, as they are kept, and the `readings` message that they become.

A row is the monitor's id and, as they were in its measurement block, the bytes from `boot` to the energies; nothing is
worked out before somebody wants to hear it, and a round of a hundred takes 5 KB of the buffer in place of 10.
"""

import struct

from .decimals import decimal

ROW = 48
FORMAT = 1
"""First byte of a round as it is kept: what its rows look like."""
_FORM = "<8sBBHHHIiiIhHIHIH"
NO_EXPORT = 0x80
"""In a row's state: the monitor does not measure export."""
_COLUMNS = (
    b',"columns":["meter","voltage","current","power","reactive_power","apparent_power","power_factor",'
    b'"frequency","current_crest_factor","energy_import","energy_export","start"'
)
QUANTITIES = (
    "voltage",
    "current",
    "power",
    "reactive_power",
    "apparent_power",
    "power_factor",
    "frequency",
    "current_crest_factor",
    "energy_import",
    "energy_export",
)
_FLAGS = (
    (1, "no_voltage"),
    (2 | 1 << 11, "no_zero_crossing"),
    (4 | 8, "clipping"),
    (1 << 4, "overrun"),
    (1 << 5, "restarted"),
    (1 << 8, "uncalibrated"),
    (1 << 9, "stuck"),
    (1 << 12, "eeprom"),
)
_TOLD = 0x1B3F
"""The flags above."""
_ROOM = 300
"""Bytes of a message beside its rows."""
_ROOM_PER_ROW = 92
_U16, _U32, _I16, _I32, _U48 = 0xFFFF, 0xFFFFFFFF, -0x8000, -0x80000000, 0xFFFFFFFFFFFF
"""What says "not available"."""
NO_POWER = _I32


def put(rows, at, key, block, exports):
    """Write the row of a measurement block into a round that is being collected."""
    rows[at : at + 8] = key
    rows[at + 8 : at + ROW] = memoryview(block)[4:44]
    if not exports:
        rows[at + 9] |= NO_EXPORT


def count(body):
    """Rows of a round as it is kept."""
    return (len(body) - 1) // ROW


def line(body, first, last, more):
    """The `readings` message of a round's rows `first` to `last` (None: the last), with `more` of the message's inside.

    It is put together in one block, which is taken once: the memory is small, and its free part in pieces.
    """
    numbers = range(first, count(body) if last is None else last + 1)
    text = _Text(_ROOM + len(more) + _ROOM_PER_ROW * len(numbers))
    text.add(b'{"type":"readings",')
    text.add(more)
    if body[0] != FORMAT:
        text.add(b',"columns":["meter"],"rows":[')
        text.add(b",".join([b"[]"] * len(numbers)))
        text.add(b"]}")
        return text.whole()
    flags = [struct.unpack_from("<H", body, 1 + number * ROW + 10)[0] & _TOLD for number in numbers]
    shared = all(flag == flags[0] for flag in flags)
    if shared and flags[0]:
        text.add(b',"flags":')
        text.add(_flags(flags[0]))
    text.add(_COLUMNS)
    text.add(b'],"rows":' if shared else b',"flags"],"rows":')
    mark = b"[["
    for number in numbers:
        text.add(mark)
        text.add(_row(body, 1 + number * ROW))
        if not shared:
            text.add(b",")
            text.add(_flags(flags[number - first]))
        mark = b"],["
    text.add(b"]]}")
    return text.whole()


class _Text:
    """Bytes one after the other, in a block that grows only if it has to."""

    def __init__(self, room):
        self._block = bytearray(room)
        self._end = 0

    def add(self, piece):
        """Put a piece behind the others."""
        end = self._end + len(piece)
        if end > len(self._block):
            self._block.extend(bytes(end - len(self._block) + _ROOM))
        self._block[self._end : end] = piece
        self._end = end

    def whole(self):
        """All of it."""
        return memoryview(self._block)[: self._end]


def _row(body, at):
    (
        key, start, state, _, voltage, frequency, current, power, reactive, apparent, factor, crest,
        taken, taken_high, given, given_high,
    ) = struct.unpack_from(_FORM, body, at)  # fmt: skip
    taken |= taken_high << 32
    given |= given_high << 32
    return b'"%s",%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%d' % (
        meter_id(key),
        _said(voltage, _U16, 10_000),
        _said(current, _U32, 1000),
        _watts(power, _I32),
        _watts(reactive, _I32),
        _watts(apparent, _U32),
        _said(factor, _I16, 100),
        _said(frequency, _U16, 10_000),
        _said(crest, _U16, 1000),
        _said(taken, _U48, 1),
        '"-"' if state & NO_EXPORT else _said(given, _U48, 1),
        start,
    )


def meter_id(key):
    """The id of the monitor whose id has these eight bytes, as everybody names it."""
    return "%016x" % int.from_bytes(key, "little")


def _said(value, missing, millionths):
    return "null" if value == missing else decimal(value * millionths)


def _watts(value, missing):
    """Milliwatts with four digits or more: beyond 10 W and 1 kW the last ones say nothing."""
    if value == missing:
        return "null"
    size = abs(value)
    step = 100 if size >= 1_000_000 else 10 if size >= 10_000 else 1
    size = (size + step // 2) // step * step
    return decimal((-size if value < 0 else size) * 1000)


def _flags(bits):
    words = ['"%s"' % word for mask, word in _FLAGS if bits & mask]
    return ("[%s]" % ",".join(words) if words else "null").encode()
