"""CRC-16/MODBUS of a line, for noisy UARTs.

Polynomial A001 (reflected 8005), start FFFF, no final exclusive or: what `_crc16_update` of avr-libc computes.
"""

from typing import Final


def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1  # noqa: PLW2901
        table.append(value)
    return tuple(table)


_TABLE: Final = _table()


def crc16(data: bytes) -> int:
    """CRC-16/MODBUS of `data`, 0 to 65535."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


def with_crc(line: bytes) -> bytes:
    """The line (without a line feed) followed by `*` and its CRC in four hexadecimal digits."""
    return b"%s*%04X" % (line, crc16(line))
