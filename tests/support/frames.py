"""Modbus frames as bytes: check sums, lengths and wrappings, for whoever stands between two ends."""

from dataclasses import dataclass
from itertools import accumulate
from typing import Final

_EXCEPTION_BIT: Final = 0x80


def _crc_table() -> tuple[int, ...]:
    def shifted(value: int) -> int:
        *_, last = accumulate(
            range(8), lambda crc, _: (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1, initial=value
        )
        return last

    return tuple(shifted(value) for value in range(256))


_CRC_TABLE: Final = _crc_table()


def crc16(data: bytes) -> bytes:
    """Return the two CRC bytes of an RTU frame, low byte first (Modbus over Serial Line V1.02, 2.5.1.2)."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


@dataclass(frozen=True, slots=True)
class Adu:
    """A request or reply without its wrapping."""

    unit_id: int
    pdu: bytes
    transaction: int = 0
    """Modbus TCP's transaction number; 0 on a serial line."""

    @property
    def function(self) -> int:
        """The function code, without the exception bit."""
        return self.pdu[0] & ~_EXCEPTION_BIT

    def rtu(self) -> bytes:
        """Return the frame as a serial line carries it."""
        body = bytes([self.unit_id]) + self.pdu
        return body + crc16(body)

    def mbap(self) -> bytes:
        """Return the frame as Modbus TCP carries it."""
        return (
            self.transaction.to_bytes(2, "big")
            + bytes(2)
            + (len(self.pdu) + 1).to_bytes(2, "big")
            + bytes([self.unit_id])
            + self.pdu
        )

    def exception(self, code: int) -> Adu:
        """Return the exception reply to this request."""
        return Adu(self.unit_id, bytes([self.function | _EXCEPTION_BIT, code]), self.transaction)


def _rtu_request_length(data: bytes | bytearray) -> int | None:
    """Length of the request at the start of `data`; None as long as it cannot be known."""
    if len(data) < 2:
        return None
    match data[1]:
        case 0x01 | 0x02 | 0x03 | 0x04 | 0x05 | 0x06 | 0x08:
            return 8
        case 0x07 | 0x0B | 0x0C | 0x11:
            return 4
        case 0x0F | 0x10:
            return 9 + data[6] if len(data) > 6 else None
        case 0x16:
            return 10
        case 0x17:
            return 13 + data[10] if len(data) > 10 else None
        case 0x2B:
            return 7
    return len(data)


def take_rtu_request(buffer: bytearray) -> Adu | None:
    """Take one request off the buffer; None if there is none yet.

    What is no request (a wrong check sum) is thrown away with all that follows, as a meter does.
    """
    length = _rtu_request_length(buffer)
    if length is None or len(buffer) < length:
        return None
    frame = bytes(buffer[:length])
    if crc16(frame[:-2]) != frame[-2:]:
        buffer.clear()
        return None
    del buffer[:length]
    return Adu(frame[0], frame[1:-2])


def take_mbap_request(buffer: bytearray) -> Adu | None:
    """Take one Modbus TCP request off the buffer; None if there is none yet."""
    if len(buffer) < 8:
        return None
    length = 6 + int.from_bytes(buffer[4:6], "big")
    if len(buffer) < length:
        return None
    frame = bytes(buffer[:length])
    del buffer[:length]
    return Adu(frame[6], frame[7:], int.from_bytes(frame[:2], "big"))


def rtu_reply_length(data: bytes) -> int | None:
    """Length of the reply at the start of `data`; None as long as it cannot be known."""
    if len(data) < 3:
        return None
    function = data[1]
    if function & _EXCEPTION_BIT:
        return 5
    match function:
        case 0x01 | 0x02 | 0x03 | 0x04 | 0x0C | 0x11 | 0x17:
            return 5 + data[2]
        case 0x05 | 0x06 | 0x08 | 0x0B | 0x0F | 0x10:
            return 8
        case 0x07:
            return 5
        case 0x16:
            return 10
        case 0x2B:
            # unit, function, type, code, conformity, more, next, count, then (id, length, text) each
            if len(data) < 8:
                return None
            position = 8
            for _ in range(data[7]):
                if len(data) < position + 2:
                    return None
                position += 2 + data[position + 1]
            return position + 2
    return None
