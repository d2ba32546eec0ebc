"""The register map of the I²C monitor, version 1 (`docs/i2c-monitor.md`), as tables: what each byte means.

Pure: bytes to values and back. Both directions are here because the simulated monitor speaks the same map.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ..bridge.crc import crc16

VERSION: Final = 1
MAGIC: Final = int.from_bytes(b"EMIC", "little")
MAGIC_BYTES: Final = 4
FIRST_ADDRESS: Final = 0x08
LAST_ADDRESS: Final = 0x77
ADDRESSES: Final = range(FIRST_ADDRESS, LAST_ADDRESS + 1)
UNLOCK_KEY: Final = 0x5AFEC0DE
NOWHERE: Final = 0xFF
"""What every byte reads that is not there."""
ALL_BITS: Final = 2**64 - 1


class BadBlockError(ValueError):
    """Bytes that are not the block they should be; `reason` is `length` or `crc`."""

    def __init__(self, reason: str) -> None:
        """Keep the word."""
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Field:
    """One number of a block."""

    name: str
    offset: int
    type: str
    """`u` or `i` and the number of bits; `U` where every number means itself and none "not available"."""

    @property
    def size(self) -> int:
        """Bytes."""
        return int(self.type[1:]) // 8

    @property
    def signed(self) -> bool:
        """Whether it is two's complement."""
        return self.type[0] == "i"

    @property
    def missing(self) -> int | None:
        """The number that says "not available"."""
        bits = self.size * 8
        if self.type[0] == "U":
            return None
        return -(1 << bits - 1) if self.signed else (1 << bits) - 1


class Block:
    """A block: where it is, how long it is, what is in it. The CRC is its last two bytes."""

    def __init__(self, pointer: int, length: int, *fields: tuple[int, str, str]) -> None:
        """Take (offset, type, name) of every field."""
        self.pointer = pointer
        self.length = length
        self.fields = {name: Field(name, offset, kind) for offset, kind, name in fields}
        # Decoding happens for every monitor every second, so what follows from the table is worked out once.
        self._plan = tuple(
            (field.name, field.offset, field.offset + field.size, field.signed, field.missing)
            for field in self.fields.values()
        )

    def decode(self, data: bytes) -> dict[str, int | None]:
        """The numbers in a block; None where the monitor says "not available".

        Raises:
            BadBlockError: another length, or the CRC is wrong.
        """
        if len(data) != self.length:
            raise BadBlockError("length")
        if not self.is_good(data):
            raise BadBlockError("crc")
        return {
            name: None if value == missing else value
            for name, start, end, signed, missing in self._plan
            for value in (int.from_bytes(data[start:end], "little", signed=signed),)
        }

    def is_good(self, data: bytes) -> bool:
        """Whether length and CRC are right."""
        return len(data) == self.length and block_crc(self.pointer, data[:-2]) == int.from_bytes(
            data[-2:], "little"
        )

    def encode(self, values: Mapping[str, int | None]) -> bytes:
        """The block with these numbers; "not available" where there is none."""
        data = bytearray([NOWHERE] * (self.length - 2))
        for field in self.fields.values():
            value = values.get(field.name)
            data[field.offset : field.offset + field.size] = (
                (field.missing or 0) if value is None else value
            ).to_bytes(field.size, "little", signed=field.signed)
        return bytes(data) + block_crc(self.pointer, bytes(data)).to_bytes(2, "little")


def block_crc(pointer: int, data: bytes) -> int:
    """The CRC of a block or a command: its pointer counts, so that no block passes for another."""
    return crc16(bytes((pointer,)) + data)


def tag_of(monitor_id: int) -> int:
    """What a monitor puts into each block: the CRC of its id."""
    return crc16(monitor_id.to_bytes(8, "little"))


IDENTITY: Final = Block(
    0x00,
    40,
    (0, "U32", "magic"),
    (4, "U8", "version"),
    (5, "U8", "length"),
    (6, "U64", "id"),
    (14, "U64", "complement"),
    (22, "U8", "major"),
    (23, "U8", "minor"),
    (24, "U8", "patch"),
    (25, "U8", "hardware"),
    (26, "U16", "capabilities"),
    (28, "u16", "rated_current"),
    (30, "u16", "rated_voltage"),
    (32, "u16", "sample_rate"),
    (34, "U8", "switch"),
    (35, "U8", "address"),
    (36, "U16", "window"),
)
MEASUREMENT: Final = Block(
    0x40,
    50,
    (0, "U16", "tag"),
    (2, "U16", "sequence"),
    (4, "U8", "boot"),
    (5, "U8", "state"),
    (6, "U16", "flags"),
    (8, "u16", "voltage"),
    (10, "u16", "frequency"),
    (12, "u32", "current"),
    (16, "i32", "power"),
    (20, "i32", "reactive_power"),
    (24, "u32", "apparent_power"),
    (28, "i16", "power_factor"),
    (30, "u16", "crest_factor"),
    (32, "u48", "energy_import"),
    (38, "u48", "energy_export"),
    (44, "u16", "voltage_peak"),
    (46, "u16", "current_peak"),
)
DIAGNOSTICS: Final = Block(
    0x80,
    20,
    (0, "U16", "tag"),
    (2, "u32", "uptime"),
    (6, "U8", "reset"),
    (7, "U8", "refused"),
    (8, "u16", "bus_errors"),
    (10, "u16", "overruns"),
    (12, "U16", "pairs"),
    (14, "u16", "longest_stretch"),
    (16, "i16", "reserved"),
)
CALIBRATION: Final = Block(
    0xA0,
    28,
    (0, "U16", "tag"),
    (2, "u32", "voltage_gain"),
    (6, "u32", "current_gain"),
    (10, "i16", "phase_shift"),
    (12, "u16", "dead_band"),
    (14, "i32", "current_offset"),
    (18, "i32", "voltage_offset"),
    (22, "u16", "writes"),
    (24, "u16", "reserved"),
)
RESULT: Final = Block(
    0xD0,
    10,
    (0, "U16", "tag"),
    (2, "U8", "opcode"),
    (3, "U8", "result"),
    (4, "U16", "count"),
    (6, "U16", "capture"),
)
COMMAND: Final = Block(0xC0, 15, (0, "U8", "opcode"), (1, "U64", "id"), (9, "U32", "argument"))
WAVEFORM: Final = Block(
    0xE0,
    62,
    (0, "U16", "tag"),
    (2, "U8", "capture"),
    (3, "U8", "chunk"),
    (4, "U16", "pairs"),
    (6, "U8", "pairs_per_chunk"),
    (7, "U8", "cycles"),
    (8, "u32", "rate"),
    (12, "u32", "volts"),
    (16, "u32", "amperes"),
    (20, "i32", "voltage_zero"),
    (24, "i32", "current_zero"),
    (28, "i16", "delay"),
    (30, "U16", "flags"),
)
PAIRS_PER_CHUNK: Final = 14
SAMPLES: Final = Block(
    0xE0,
    62,
    (0, "U16", "tag"),
    (2, "U8", "capture"),
    (3, "U8", "chunk"),
    *(
        (4 + 4 * pair + 2 * side, "i16", f"{name}{pair}")
        for pair in range(PAIRS_PER_CHUNK)
        for side, name in enumerate(("v", "i"))
    ),
)


class Capability(IntEnum):
    """Bits of the capabilities."""

    RELAY = 1
    WAVEFORM = 2
    EXPORT = 4
    ADDRESS = 8
    LED = 16


class Opcode(IntEnum):
    """What a command does."""

    UNLOCK = 0x01
    BLINK = 0x02
    RELAY = 0x03
    CAPTURE = 0x04
    VOLTAGE_GAIN = 0x10
    CURRENT_GAIN = 0x11
    PHASE_SHIFT = 0x12
    DEAD_BAND = 0x13
    LEARN_ZERO = 0x18
    DEFAULTS = 0x19
    ADDRESS = 0x20
    RESET_ENERGY = 0x21
    RESTART = 0x22


GUARDED: Final = frozenset(opcode for opcode in Opcode if opcode >= 0x10)
"""Commands that an unlock has to precede."""


class Result(IntEnum):
    """What became of a command."""

    DONE = 0
    UNDER_WAY = 1
    UNKNOWN = 2
    RANGE = 3
    LOCKED = 4
    SWITCH = 5
    UNSUPPORTED = 6
    FAILED = 7
    NOT_AT_REST = 8


class Flag(IntEnum):
    """Bits of a measurement's flags."""

    NO_VOLTAGE = 1 << 0
    NO_ZERO_CROSSING = 1 << 1
    VOLTAGE_CLIPS = 1 << 2
    CURRENT_CLIPS = 1 << 3
    OVERRUN = 1 << 4
    RESTARTED = 1 << 5
    WATCHDOG = 1 << 6
    BROWN_OUT = 1 << 7
    UNCALIBRATED = 1 << 8
    STUCK = 1 << 9
    STARTING = 1 << 10
    FREQUENCY_RANGE = 1 << 11
    EEPROM = 1 << 12


RELAY_CLOSED: Final = 1
WAVEFORM_READY: Final = 2


def command(opcode: Opcode, monitor_id: int, argument: int = 0) -> bytes:
    """What is written to a monitor, from the pointer on."""
    values = {"opcode": opcode, "id": monitor_id, "argument": argument & 0xFFFFFFFF}
    return bytes((COMMAND.pointer,)) + COMMAND.encode(values)


def bus_clocks(read: int, written: int = 1) -> int:
    """Clocks of a transaction: START, address and bytes, repeated START, address and bytes, STOP; nine a byte."""
    clocks = 2  # START and STOP
    if written:
        clocks += 9 * (1 + written)
    if read:
        clocks += 9 * (1 + read)
    return clocks + (1 if written and read else 0)
