"""Registers of four bytes, as the JSY-MK-194 sends them.

Such a meter answers a standard request for n registers with 4n bytes, says so in the byte count, and signs
it with a good checksum. The client takes the frame and then rejects its length; the words are in what it
rejected. (JSY-MK-194T user manual, section on reading registers.)
"""

from modbus_connection import ModbusProtocolError


def wide_words(error: ModbusProtocolError, count: int) -> list[int] | None:
    """Return the 32-bit words of a reply that is sound but twice as long as the standard says.

    Args:
        error: how the client rejected the reply.
        count: how many registers were asked for.

    Returns:
        None if the reply was something else.
    """
    reply = getattr(error.__cause__, "response_bytes", b"")
    size = 4 * count
    if len(reply) != 2 + size or reply[1] != size:
        return None
    return [int.from_bytes(reply[place : place + 4]) for place in range(2, 2 + size, 4)]
