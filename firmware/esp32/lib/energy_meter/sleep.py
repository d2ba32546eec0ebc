"""Deep sleep between readings, for boards on a battery: wake, read, send, remember, sleep.

What has to survive the sleep is kept in the clock chip's memory, which needs no wear; it is lost with the power.
"""

import asyncio
import binascii
import struct

_MAGIC = b"EMS1"
_FORM = "<4sIIqqH"
MAX_TOTALS = 1024


def pack(boot, seq, ms, left_ms, totals):
    """What to remember: the start and its last number, the clock, Unix ms at falling asleep (0: unknown), the counters."""
    head = struct.pack(_FORM, _MAGIC, boot, seq, ms, left_ms, len(totals)) + totals
    return head + struct.pack("<I", binascii.crc32(head))


def unpack(memory):
    """(boot, seq, ms, Unix ms, counters), or None if nothing is remembered."""
    size = struct.calcsize(_FORM)
    if len(memory) < size + 4 or memory[:4] != _MAGIC:
        return None
    _, boot, seq, ms, left_ms, length = struct.unpack_from(_FORM, memory)
    whole = size + length
    if len(memory) < whole + 4 or length > MAX_TOTALS:
        return None
    if binascii.crc32(memory[:whole]) != struct.unpack_from("<I", memory, whole)[0]:
        return None
    return boot, seq, ms, left_ms, memory[size:whole]


class RtcTotals:
    """Stands for `esp32.NVS` where the counters are kept while asleep."""

    def __init__(self, blob=b""):
        """Begin with what was remembered."""
        self.blob = blob

    def set_blob(self, _name, blob):
        """Keep the counters."""
        self.blob = bytes(blob)

    def get_blob(self, _name, buffer):
        """Give the counters back. Raises OSError if there are none."""
        if not self.blob:
            raise OSError(2)
        buffer[: len(self.blob)] = self.blob
        return len(self.blob)

    def commit(self):
        """Nothing is left to do."""


def _all_said(session, outbox):
    return session.connected and session.through >= outbox.end and not session.has_urgent


async def doze(bridge, settings, go):
    """Stay awake until each board has been heard and all of it was said, or as long as allowed; then `go()`."""
    began = bridge.clock.ms()
    while bridge.clock.ms() - began < settings["awake"] * 1000:
        heard = all(node.heard_ms is not None for node in bridge.nodes)
        if (
            heard
            and bridge.meters
            and any(_all_said(one, bridge.outbox) for one in bridge.sessions)
        ):
            break
        await asyncio.sleep_ms(100)
    go()
