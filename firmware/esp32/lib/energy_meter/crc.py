"""CRC-16/MODBUS of a line: polynomial A001, start FFFF; four bits at a time, which needs a table of 16 only."""

_TABLE = (
    0x0000, 0xCC01, 0xD801, 0x1400, 0xF001, 0x3C00, 0x2800, 0xE401,
    0xA001, 0x6C00, 0x7800, 0xB401, 0x5000, 0x9C01, 0x8801, 0x4400,
)  # fmt: skip


def crc16(data, crc=0xFFFF):
    """CRC-16/MODBUS of bytes, 0 to 65535; `crc`: of what came before them."""
    for byte in data:
        crc ^= byte
        crc = crc >> 4 ^ _TABLE[crc & 15]
        crc = crc >> 4 ^ _TABLE[crc & 15]
    return crc


def with_crc(line):
    """The line followed by `*` and its CRC in four hexadecimal digits."""
    return b"%s*%04X" % (line, crc16(line))
