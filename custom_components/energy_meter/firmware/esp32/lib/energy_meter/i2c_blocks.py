"""The blocks of an I²C monitor (docs/i2c-monitor.md): where they are, how long they are, whether they are whole."""

import struct

from .crc import crc16

FIRST_ADDRESS = 0x08
LAST_ADDRESS = 0x77
VERSION = 1
MAGIC = b"EMIC"

# Pointer and bytes of each.
IDENTITY = (0x00, 40)
MEASUREMENT = (0x40, 50)
DIAGNOSTICS = (0x80, 20)
CALIBRATION = (0xA0, 28)
RESULT = (0xD0, 10)
WAVEFORM = (0xE0, 62)
_COMMAND = 0xC0

# Bits of the capabilities.
RELAY, CAPTURES, EXPORT, ADDRESS, LED = 1, 2, 4, 8, 16

# Opcodes.
UNLOCK, BLINK, SWITCH, CAPTURE = 1, 2, 3, 4
VOLTAGE_GAIN, CURRENT_GAIN, PHASE_SHIFT, DEAD_BAND = 0x10, 0x11, 0x12, 0x13
LEARN_ZERO, MOVE, RESET_ENERGY, RESTART = 0x18, 0x20, 0x21, 0x22
GUARDED = 0x10
"""From this opcode on an unlock has to go before."""
UNLOCK_KEY = 0x5AFEC0DE

WATCHDOG, BROWN_OUT = 1 << 6, 1 << 7


def is_good(pointer, data):
    """Whether a block's CRC is right; its pointer is the CRC's first byte."""
    crc = crc16(memoryview(data)[:-2], crc16(bytes((pointer,))))
    return crc == data[-2] | data[-1] << 8


def tag_of(key):
    """What a monitor whose id has these eight bytes puts into each of its blocks."""
    return crc16(key)


def command(opcode, key, argument=0):
    """What is written to a monitor, from the pointer on."""
    body = struct.pack("<BB8sI", _COMMAND, opcode, key, argument & 0xFFFFFFFF)
    return body + struct.pack("<H", crc16(body))


def speaks_for_two(data):
    """Whether an identity looks like that of two monitors at once.

    Where their ids differ, the id's bit and its complement's are both pulled to 0; nothing ever pulls both to 1.
    """
    if data[:4] != MAGIC or data[4] != VERSION:
        return False
    different = False
    for at in range(6, 14):
        if data[at] & data[at + 8]:
            return False
        different = different or data[at] | data[at + 8] != 0xFF
    return different
