"""Messages as they lie in the buffer: a head, the message's own part of the JSON, and a checksum.

`<H size of the body> <I boot> <I seq> <B how its time is meant> <q time in ms> body <I CRC-32 of all before>`

A round of a hub is one record with a number for each of its rows; the record's own is that of the last row.
"""

import binascii
import struct

from . import i2c_rows

HEAD = struct.calcsize("<HIIBq")
EXTRA = HEAD + 4
MAX_BODY = 1000
"""Bytes of a message's own part."""
MAX_ROUND = 6000
"""The same of a hub's round."""

MONOTONIC = 0
"""Milliseconds since the start that `boot` numbers."""
UNIX = 1
UNKNOWN = 2
ROUND = 0x10
"""Beside how the time is meant: the body is a hub's round, see `i2c_rows`."""
LIVE = 0x20
"""The same: it may be dropped to make room, because counters make up for it."""


def parts(boot, seq, kind, time, body):
    """One record: its head, body and end, so that a long body need not be copied."""
    head = struct.pack("<HIIBq", len(body), boot, seq, kind, time)
    return head, body, struct.pack("<I", binascii.crc32(body, binascii.crc32(head)))


def pack(boot, seq, kind, time, body):
    """One record in one piece."""
    head, body, end = parts(boot, seq, kind, time, body)
    return b"".join((head, bytes(body), end))


def size(head):
    """Bytes of the whole record that begins with this head, or 0 if it can be none."""
    body = struct.unpack_from("<H", head)[0]
    return body + EXTRA if body <= (MAX_ROUND if head[10] & ROUND else MAX_BODY) else 0


def unpack(record):
    """(boot, seq, kind, time, body), or None if the checksum says that it is damaged; a slice of it is the body."""
    if len(record) < EXTRA or size(record) != len(record):
        return None
    if binascii.crc32(record[:-4]) != struct.unpack_from("<I", record, len(record) - 4)[0]:
        return None
    _, boot, seq, kind, time = struct.unpack_from("<HIIBq", record)
    return boot, seq, kind, time, record[HEAD:-4]


def key(record):
    """(boot, seq) of a record, or of its head."""
    return struct.unpack_from("<II", record, 2)


def first_seq(entry):
    """The first number of what `unpack` gave."""
    return entry[1] - (i2c_rows.count(entry[4]) - 1 if entry[2] & ROUND else 0)
