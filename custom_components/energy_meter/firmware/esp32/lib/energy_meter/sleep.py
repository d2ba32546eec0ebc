"""Deep sleep between readings, for boards on a battery: wake, read, send, remember, sleep.

The numbers of the messages go on through the sleep: they are kept in the clock chip's memory, which does not wear.
"""

import asyncio
import binascii
import struct

MAGIC = b"EMS1"
_FORM = "<4sIIqII"


def pack(boot, seq, ms, posts):
    """What to remember: the start, its last number, the time of the clock at waking up, the posts so far."""
    return _checked(struct.pack(_FORM, MAGIC, boot, seq, ms, posts, 0))


def unpack(memory):
    """(boot, seq, ms, posts), or None if nothing is remembered."""
    size = struct.calcsize(_FORM)
    if memory[:4] != MAGIC or len(memory) < size or _checked(memory[:size]) != memory[:size]:
        return None
    return struct.unpack_from(_FORM, memory)[1:5]


def _checked(memory):
    return memory[:-4] + struct.pack("<I", binascii.crc32(memory[:-4]))


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
