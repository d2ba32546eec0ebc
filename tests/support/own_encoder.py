"""A second, independent reading of a profile file: what a meter's registers hold for known values.

It shares nothing with the codec or the loader: it takes the YAML as PyYAML gives it, and pymodbus or
`struct` makes the words. So a mistake in ours shows as a difference between the two.
"""

from collections.abc import Mapping
from fractions import Fraction
import struct
from typing import Any, Final

from pymodbus.client.mixin import ModbusClientMixin

type Raw = int | float
type Words = dict[tuple[str, int], int]

_KINDS = ModbusClientMixin.DATATYPE
_PYMODBUS: Final = {
    "uint16": _KINDS.UINT16,
    "int16": _KINDS.INT16,
    "uint32": _KINDS.UINT32,
    "int32": _KINDS.INT32,
    "uint64": _KINDS.UINT64,
    "int64": _KINDS.INT64,
    "float32": _KINDS.FLOAT32,
    "float64": _KINDS.FLOAT64,
}
SIZES: Final = {
    "uint8": 1,
    "uint16": 1,
    "int16": 1,
    "t16": 1,
    "t17": 1,
    "bit": 1,
    "bcd16": 1,
    "uint32": 2,
    "int32": 2,
    "float32": 2,
    "bcd32": 2,
    "t5": 2,
    "t6": 2,
    "t7": 2,
    "uint64": 4,
    "int64": 4,
    "float64": 4,
    "bcd64": 4,
}


def number(value: object) -> Fraction:
    """Return what YAML has for a scale, `1/3600` included."""
    above, _, below = str(value).partition("/")
    return Fraction(above) / (Fraction(below) if below else 1)


def raw_value(row: Mapping[str, Any], index: int) -> Raw:
    """Return a raw value that no other row of the file has, negative where the type allows."""
    kind = row["type"]
    sign = -1 if index % 2 else 1
    if row.get("quadrants"):
        return sign * (1.25 if index % 4 < 2 else 0.5)
    match kind:
        case "uint8":
            return 3 + 5 * (index % 40)
        case "uint16" | "t16":
            return 1000 + 7 * index
        case "int16" | "t17":
            return sign * (1000 + 7 * index)
        case "uint32":
            return 0x8000_0000 + 0x1_0000 * index + 1000 + 7 * index
        case "int32":
            return sign * (0x12_0000 + 0x1_0000 * index + 1000 + 7 * index)
        case "uint64":
            return (1 << 40) + 0x1_0000_0000 * index + 7 * index
        case "int64":
            return sign * ((1 << 40) + 0x1_0000_0000 * index + 7 * index)
        case "float32" | "float64":
            return sign * (100.25 + 3.5 * index)
        case "t5":
            return 123456 + index
        case "t6":
            return sign * (123456 + index)
        case "t7":
            return sign * (5000 + 7 * index)
        case "bcd16" | "bcd32" | "bcd64":
            return 1234 + index
    return index % 2


def _bytes(row: Mapping[str, Any], raw: Raw) -> bytes:
    """The value's bytes, most significant first."""
    kind = row["type"]
    if row.get("sign_magnitude"):
        size = 2 * SIZES[kind]
        whole = abs(int(raw)) + ((1 << 8 * size - 1) if raw < 0 else 0)
        return whole.to_bytes(size)
    match kind:
        case "t5":
            return bytes([256 - 3]) + int(raw).to_bytes(3)
        case "t6":
            return bytes([256 - 3]) + int(raw).to_bytes(3, signed=True)
        case "t7":
            return (b"\xff" if raw < 0 else b"\x00") + b"\x00" + abs(int(raw)).to_bytes(2)
        case "t16":
            return struct.pack(">H", raw)
        case "t17":
            return struct.pack(">h", raw)
        case "bcd16" | "bcd32" | "bcd64":
            return bytes.fromhex(f"{raw:0{4 * SIZES[kind]}d}")
    words = ModbusClientMixin.convert_to_registers(raw, _PYMODBUS[kind])
    return struct.pack(f">{len(words)}H", *words)


class OwnEncoder:
    """Writes rows of one profile file into registers, and knows what they should read as."""

    def __init__(self, document: Mapping[str, Any], base: int = 0) -> None:
        """Take the file as YAML has it.

        Args:
            document: the file.
            base: what addresses count from.
        """
        self.modbus = document["modbus"]
        self.factors = document.get("factors", {})
        self.invalid = document.get("invalid", {})
        self.base = base
        self.words: Words = {}
        self.wide = bool(self.modbus.get("wide_registers"))

    def table(self, row: Mapping[str, Any]) -> str:
        """Return the table that a row is in."""
        return str(row.get("table", self.modbus["table"]))

    def put(self, row: Mapping[str, Any], raw: Raw) -> None:
        """Write a raw value where the row says."""
        table, address = self.table(row), row["address"] + self.base
        if row["type"] == "bit":
            self.words[table, address] = int(raw)
            return
        if row["type"] == "uint8":
            word = self.words.get((table, address), 0)
            if self._little_bytes(row):
                word = word >> 8 | (word & 0xFF) << 8
            word = (
                word & 0x00FF | int(raw) << 8 if row["byte"] == "high" else word & 0xFF00 | int(raw)
            )
            self._store(table, address, [word.to_bytes(2)], row)
            return
        self._put_bytes(row, _bytes(row, raw))

    def put_mark(self, row: Mapping[str, Any], mark: int) -> None:
        """Write a raw pattern, such as the one for "not available"."""
        self._put_bytes(row, mark.to_bytes(2 * SIZES[row["type"]]))

    def _put_bytes(self, row: Mapping[str, Any], whole: bytes) -> None:
        table, address = self.table(row), row["address"] + self.base
        if self.wide and len(whole) == 4:
            self.words[table, address] = int.from_bytes(whole)
            return
        pairs = [whole[i : i + 2] for i in range(0, len(whole), 2)]
        if row.get("word_order", self.modbus.get("word_order", "big")) == "little":
            pairs.reverse()
        self._store(table, address, pairs, row)

    def _store(self, table: str, address: int, pairs: list[bytes], row: Mapping[str, Any]) -> None:
        order = "<H" if self._little_bytes(row) else ">H"
        for offset, pair in enumerate(pairs):
            self.words[table, address + offset] = struct.unpack(order, pair)[0]

    def _little_bytes(self, row: Mapping[str, Any]) -> bool:
        return bool(row.get("byte_order", self.modbus.get("byte_order", "big")) == "little")

    def factor(self, row: Mapping[str, Any]) -> Fraction:
        """Write a row's factor, never 1 and the same each time, and return it."""
        given = row.get("factor")
        if given is None:
            return Fraction(1)
        factor = self.factors[given] if isinstance(given, str) else given
        match factor["formula"]:
            case "ratio":
                product = Fraction(1)
                for source in factor["sources"]:
                    raw = 30 + 10 * (source["address"] % 5)
                    self.put(source, raw)
                    product *= raw * number(source.get("scale", 1))
                return product
            case "power_of_ten":
                (source,) = factor["sources"]
                exponent = -2 if source["address"] % 2 else 1
                self.put(source, exponent)
                return Fraction(10) ** exponent
        (source,) = factor["sources"]
        code = 2
        self.put(source, code)
        return number(factor["table"][code])

    def show(self, rows: list[dict[str, Any]]) -> dict[str, float]:
        """Write a value for every row; return what each should read as, by key."""
        expected: dict[str, float] = {}
        for index, row in enumerate(rows):
            raw = raw_value(row, index)
            factor = self.factor(row)
            if "sign" in row:
                raw = abs(raw)
            self.put(row, raw)
            value = Fraction(raw) * number(row.get("scale", 1)) * factor
            match row["type"]:
                case "t5" | "t6":
                    value /= 1000
                case "t7":
                    value /= 10_000
                case "t16" | "t17":
                    value /= 100
            if row.get("quadrants") and abs(value) > 1:
                value = (2 if value > 0 else -2) - value
            expected[row["key"]] = float(value)
        # Last, as the word of signs may be a measurement itself.
        for index, row in enumerate(rows):
            if "sign" in row:
                self._sign(row["sign"], negative=index % 2 == 1)
                if index % 2:
                    expected[row["key"]] *= -1
        for row in rows:
            if row["type"] in {"uint16", "uint32"} and "scale" not in row and "factor" not in row:
                signs = [each["sign"]["address"] for each in rows if "sign" in each]
                if row["address"] in signs:
                    expected[row["key"]] = float(self._whole(row))
        return expected

    def _sign(self, sign: Mapping[str, Any], *, negative: bool) -> None:
        address = sign["address"] + self.base
        table = self.table(sign)
        mask = sign.get("mask", 0xFFFF)
        lowest = mask & -mask
        word = self.words.get((table, address), 0) & ~mask
        self.words[table, address] = word | (lowest if negative else 0)

    def _whole(self, row: Mapping[str, Any]) -> int:
        return self.words[self.table(row), row["address"] + self.base]

    def marks(self, row: Mapping[str, Any]) -> list[int]:
        """Return the patterns that mean "not available" for a row."""
        given = row.get("invalid", self.invalid.get(row["type"], []))
        marks = list(given) if isinstance(given, list) else [given]
        if row["type"] == "float32":
            marks += [0x7FC0_0000, 0xFF80_0000]  # NaN and minus infinity
        elif row["type"] == "float64":
            marks += [0x7FF8_0000_0000_0000]
        return marks
