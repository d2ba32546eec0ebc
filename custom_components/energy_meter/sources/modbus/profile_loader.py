"""YAML into a `Profile`, with every mistake named by file, line and key.

The document is composed into nodes, which know their lines, and walked once. Scalars are read by what is
expected in their place and not by YAML's own guesses, so `parity: N` is a letter and `0x10` a number.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
import math
import re
from typing import Any, Final, Literal, cast

import yaml

from ...model import CONTROL_KEYS, QUANTITIES, Control, ControlKind, Counts
from .codec import REGISTERS
from .profile import (
    Factor,
    Formula,
    IdentityTest,
    Profile,
    ProfileControl,
    Register,
    RegisterType,
    SerialDefaults,
    Sign,
    Span,
    Table,
    TestKind,
    Variant,
)

LARGEST: Final = 256 * 1024
"""Most characters of a profile; the largest built-in one has a tenth of it."""
DEFAULT_MAX_REGISTERS: Final = 60
"""Block limit where a meter's own is not known; all meters with a known one but five allow it."""
DEFAULT_TURNAROUND: Final = 0.03
MOST_PROBLEMS: Final = 20

_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_INTEGER: Final = re.compile(r"-?(?:0[xX][0-9a-fA-F]+|[0-9]+)")
_NUMBER: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_NULL: Final = {"", "null", "~"}
_Loader: Final = cast(
    "type[yaml.BaseLoader]", getattr(yaml, "CBaseLoader", yaml.BaseLoader)
)  # libyaml's, where PyYAML was built with it: ten times as fast


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a profile."""

    file: str
    line: int
    """Counted from 1; 0 where the mistake has no line."""
    key: str
    """Where in the document: `registers[3].type`."""
    expected: str
    """What was expected there, a sentence."""

    def __str__(self) -> str:
        """Return the mistake in one line."""
        place = f"{self.file}, line {self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.expected}" if self.key else f"{place}: {self.expected}"


class ProfileError(Exception):
    """A profile that cannot be used, with all that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep the mistakes, at least one."""
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


class _Mistake(Exception):
    """What was expected of the value at hand; caught where the node is known."""


type _Parse = Callable[["_Reader", yaml.Node, str], Any]


class _Reader:
    """Walks nodes and collects mistakes; a value with one is None and left out."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._collections: set[int] = set()

    def problem(self, node: yaml.Node | None, key: str, expected: str) -> None:
        line = node.start_mark.line + 1 if node is not None else 0
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(self.file, line, key, expected))

    def once(self, node: yaml.Node, path: str) -> bool:
        """Return whether the node is met for the first time; an alias meets it again."""
        if id(node) in self._collections:
            self.problem(node, path, "aliases (*name) are not supported: write it out")
            return False
        self._collections.add(id(node))
        return True

    def mapping(
        self, node: yaml.Node, path: str, fields: Mapping[str, _Parse], required: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Return the known keys of a mapping, parsed; the others are mistakes."""
        if not isinstance(node, yaml.MappingNode):
            self.problem(node, path, f"expected keys with values: {', '.join(fields)}")
            return {}
        if not self.once(node, path):
            return {}
        found: dict[str, Any] = {}
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
            place = f"{path}.{key}" if path else key
            if key in seen:
                self.problem(key_node, place, "this key is given twice")
                continue
            seen.add(key)
            parse = fields.get(key)
            if parse is None:
                self.problem(key_node, place, f"unknown key; known are {', '.join(fields)}")
                continue
            value = self.value(value_node, place, parse)
            if value is not None:
                found[key] = value
        for key in required:
            if key not in seen:
                self.problem(node, f"{path}.{key}" if path else key, "is missing")
        return found

    def value(self, node: yaml.Node, place: str, parse: _Parse) -> Any:
        try:
            return parse(self, node, place)
        except _Mistake as mistake:
            self.problem(node, place, str(mistake))
            return None

    def items(self, node: yaml.Node, path: str) -> list[tuple[yaml.Node, str]]:
        """Return the nodes of a list, each with its path."""
        if not isinstance(node, yaml.SequenceNode):
            if isinstance(node, yaml.ScalarNode) and _is_null(node):
                return []
            raise _Mistake("expected a list")
        if not self.once(node, path):
            return []
        return [(item, f"{path}[{index}]") for index, item in enumerate(node.value)]


def _is_null(node: yaml.ScalarNode) -> bool:
    return not node.style and node.value in _NULL  # Quoted, it is a text of these letters.


def _scalar(node: yaml.Node, expected: str) -> str | None:
    if not isinstance(node, yaml.ScalarNode):
        raise _Mistake(f"expected {expected}")
    return None if _is_null(node) else cast("str", node.value)


def _integer(low: int, high: int) -> _Parse:
    expected = f"a whole number from {low} to {high}"

    def parse(_: _Reader, node: yaml.Node, __: str) -> int | None:
        text = _scalar(node, expected)
        if text is None:
            return None
        if len(text) > 24 or not _INTEGER.fullmatch(text):
            raise _Mistake(f"expected {expected}, found {text[:40]!r}")
        value = int(text, 16) if "x" in text.lower() else int(text)
        if not low <= value <= high:
            raise _Mistake(f"expected {expected}, found {text}")
        return value

    return parse


def _to_number(text: str) -> float | int:
    if len(text) <= 40:
        if _INTEGER.fullmatch(text):
            return int(text, 16) if "x" in text.lower() else int(text)
        if _NUMBER.fullmatch(text) and math.isfinite(value := float(text)):
            return value
    raise _Mistake(f"expected a number, found {text[:40]!r}")


def _number(_: _Reader, node: yaml.Node, __: str) -> float | int | None:
    text = _scalar(node, "a number")
    return None if text is None else _to_number(text)


def _seconds(reader: _Reader, node: yaml.Node, path: str) -> float | None:
    value = _number(reader, node, path)
    if value is not None and not 0 <= value <= 10:
        raise _Mistake(f"expected seconds from 0 to 10, found {value}")
    return value


def _scale(_: _Reader, node: yaml.Node, __: str) -> float | None:
    text = _scalar(node, "a number other than 0, such as 0.1 or 1/3600")
    if text is None:
        return None
    above, slash, below = text.partition("/")
    value: float = _to_number(above.strip())
    if slash:
        divisor = _to_number(below.strip())
        if not divisor:
            raise _Mistake("a scale cannot be divided by 0")
        value = float(Fraction(str(value)) / Fraction(str(divisor)))
    if not 1e-9 <= abs(value) <= 1e9:
        raise _Mistake(f"expected a number from 0.000000001 to 1000000000, found {text}")
    return value


def _text(_: _Reader, node: yaml.Node, __: str) -> str | None:
    text = _scalar(node, "text")
    if text is not None and len(text) > 2000:
        raise _Mistake("expected at most 2000 characters")
    return text


def _boolean(_: _Reader, node: yaml.Node, __: str) -> bool | None:
    text = _scalar(node, "true or false")
    if text is None:
        return None
    if text not in {"true", "false"}:
        raise _Mistake(f"expected true or false, found {text[:40]!r}")
    return text == "true"


def _key(_: _Reader, node: yaml.Node, __: str) -> str | None:
    text = _scalar(node, "a name")
    if text is not None and not _KEY.fullmatch(text):
        raise _Mistake(f"expected a name of small letters, digits and _, found {text[:40]!r}")
    return text


def _choice(*options: str) -> _Parse:
    expected = "one of " + ", ".join(options)

    def parse(_: _Reader, node: yaml.Node, __: str) -> str | None:
        text = _scalar(node, expected)
        if text is not None and text not in options:
            raise _Mistake(f"expected {expected}, found {text[:40]!r}")
        return text

    return parse


def _list(parse: _Parse) -> _Parse:
    def each(reader: _Reader, node: yaml.Node, path: str) -> tuple[Any, ...]:
        values = [reader.value(item, place, parse) for item, place in reader.items(node, path)]
        return tuple(value for value in values if value is not None)

    return each


def _one_or_list(parse: _Parse) -> _Parse:
    several = _list(parse)

    def either(reader: _Reader, node: yaml.Node, path: str) -> tuple[Any, ...] | None:
        if isinstance(node, yaml.SequenceNode):
            return cast("tuple[Any, ...]", several(reader, node, path))
        value = parse(reader, node, path)
        return None if value is None else (value,)

    return either


def _number_or_text(_: _Reader, node: yaml.Node, __: str) -> float | int | str | None:
    text = _scalar(node, "a number or text")
    if text is None:
        return None
    if isinstance(node, yaml.ScalarNode) and not node.style:
        try:
            return _to_number(text)
        except _Mistake:
            return text
    return text


def _pairs(parse: _Parse, low: int = 0, high: int = 0xFFFF_FFFF) -> _Parse:
    """A mapping from whole numbers to something."""
    number = _integer(low, high)

    def pairs(reader: _Reader, node: yaml.Node, path: str) -> dict[int, Any] | None:
        if not isinstance(node, yaml.MappingNode):
            raise _Mistake("expected numbers with their meaning, such as {0: 'off', 1: 'on'}")
        if not reader.once(node, path):
            return None
        found: dict[int, Any] = {}
        for key_node, value_node in node.value:
            key = reader.value(key_node, path, number)
            value = reader.value(value_node, f"{path}.{key}", parse)
            if key in found:
                reader.problem(key_node, f"{path}.{key}", "this number is given twice")
            if key is not None and value is not None:
                found[key] = value
        return found

    return pairs


_word = _integer(0, 0xFFFF)
_address = _integer(0, 0xFFFF)
_raw = _integer(0, 0xFFFF_FFFF_FFFF_FFFF)
_table = _choice(*(table.value for table in Table))
_order = _choice("big", "little")
_type = _choice(*(kind.value for kind in RegisterType))
_half = _choice("high", "low")

_LAYOUT: Final[dict[str, _Parse]] = {
    "address": _address,
    "table": _table,
    "type": _type,
    "length": _integer(1, 125),
    "scale": _scale,
    "word_order": _order,
    "byte_order": _order,
    "byte": _half,
    "sign_magnitude": _boolean,
    "quadrants": _boolean,
    "invalid": _one_or_list(_raw),
}
"""What says how a raw value lies in registers."""


@dataclass(frozen=True, slots=True)
class _Defaults:
    """What a register inherits from its file."""

    table: Table
    word_order: Literal["big", "little"]
    byte_order: Literal["big", "little"]
    invalid: Mapping[RegisterType, frozenset[int]]
    wide: bool = False
    """Whether the measurements' registers have 32 bits; information and controls have 16 nevertheless."""


_INTEGERS: Final = {
    RegisterType.INT16,
    RegisterType.INT32,
    RegisterType.INT64,
    RegisterType.UINT16,
    RegisterType.UINT32,
    RegisterType.UINT64,
}


def _layout(
    reader: _Reader,
    node: yaml.Node,
    path: str,
    found: dict[str, Any],
    defaults: _Defaults,
    *,
    key: str,
) -> Register | None:
    """Make a register of the layout keys; None, with a problem noted, where they do not fit together."""
    if "address" not in found or "type" not in found:
        return None
    kind = RegisterType(found["type"])
    problem = None
    if (kind is RegisterType.STRING) != ("length" in found):
        problem = ("length", "is needed for a string and for nothing else")
    elif (kind is RegisterType.UINT8) != ("byte" in found):
        problem = ("byte", "high or low is needed for uint8 and for nothing else")
    elif found.get("sign_magnitude") and kind not in _INTEGERS:
        problem = ("sign_magnitude", "is for whole numbers only")
    table = Table(found.get("table", defaults.table))
    if kind is RegisterType.BIT and "table" not in found and defaults.table not in _BIT_TABLES:
        problem = ("table", "a bit is in the table coil or discrete")
    elif (table in _BIT_TABLES) != (kind is RegisterType.BIT):
        problem = ("type", "coil and discrete hold bits, holding and input everything else")
    count = found["length"] if kind is RegisterType.STRING and "length" in found else 1
    count = REGISTERS.get(kind, count)
    bits = 16 * count
    if defaults.wide and bits == 32:
        count = 1
    if found["address"] + count > 0x10000:
        problem = ("address", "the value reaches beyond address 65535")
    invalid = (
        frozenset(found["invalid"])
        if "invalid" in found
        else defaults.invalid.get(kind, frozenset())
    )
    largest = 0xFF if kind is RegisterType.UINT8 else (1 << bits) - 1
    if kind is not RegisterType.STRING and any(mark > largest for mark in invalid):
        problem = ("invalid", f"a raw value of this type is at most {largest}")
    if problem:
        reader.problem(node, f"{path}.{problem[0]}", problem[1])
        return None
    return Register(
        key=key,
        span=Span(table, found["address"], count),
        type=kind,
        scale=found.get("scale", 1),
        word_order=found.get("word_order", defaults.word_order),
        byte_order=found.get("byte_order", defaults.byte_order),
        byte=found.get("byte"),
        sign_magnitude=found.get("sign_magnitude", False),
        quadrants=found.get("quadrants", False),
        invalid=invalid,
    )


_BIT_TABLES: Final = {Table.COIL, Table.DISCRETE}


def _bare(defaults: _Defaults, key: str) -> _Parse:
    """Parse a register that is only a source of something: no key, no unit."""

    def parse(reader: _Reader, node: yaml.Node, path: str) -> Register | None:
        found = reader.mapping(node, path, _LAYOUT, ("address", "type"))
        return _layout(reader, node, path, found, defaults, key=key)

    return parse


def _factor(defaults: _Defaults) -> _Parse:
    fields: dict[str, _Parse] = {
        "formula": _choice(*(formula.value for formula in Formula)),
        "sources": _list(_bare(defaults, "factor")),
        "table": _pairs(_scale),
        "coherent": _boolean,
    }

    def parse(reader: _Reader, node: yaml.Node, path: str) -> Factor | None:
        found = reader.mapping(node, path, fields, ("formula", "sources"))
        if "formula" not in found or not found.get("sources"):
            return None
        formula = Formula(found["formula"])
        if formula is not Formula.RATIO and len(found["sources"]) != 1:
            raise _Mistake(f"{formula} takes one source")
        if (formula is Formula.LOOKUP) != bool(found.get("table")):
            raise _Mistake("a table is needed for lookup and for nothing else")
        return Factor(
            formula=formula,
            sources=found["sources"],
            table=found.get("table", {}),
            coherent=found.get("coherent", False),
        )

    return parse


def _named_factor(defaults: _Defaults, named: Mapping[str, Factor]) -> _Parse:
    inline = _factor(defaults)

    def parse(reader: _Reader, node: yaml.Node, path: str) -> Factor | None:
        if not isinstance(node, yaml.ScalarNode):
            return cast("Factor | None", inline(reader, node, path))
        name = _scalar(node, "a factor")
        if name is not None and name not in named:
            raise _Mistake(f"there is no factor {name!r} under factors")
        return named[name] if name is not None else None

    return parse


def _sign(defaults: _Defaults) -> _Parse:
    fields: dict[str, _Parse] = {**_LAYOUT, "mask": _raw}

    def parse(reader: _Reader, node: yaml.Node, path: str) -> Sign | None:
        found = reader.mapping(node, path, fields, ("address", "type"))
        mask = found.pop("mask", None)
        source = _layout(reader, node, path, found, defaults, key="sign")
        if source is None:
            return None
        if source.type not in _INTEGERS and source.type is not RegisterType.BIT:
            raise _Mistake("a sign is kept in a whole number or a bit")
        largest = (1 << 16 * REGISTERS[source.type]) - 1
        if mask is not None and not 0 < mask <= largest:
            raise _Mistake(f"expected a mask from 1 to {largest}")
        return Sign(source=source, mask=largest if mask is None else mask)

    return parse


def _measurement(defaults: _Defaults, factors: Mapping[str, Factor]) -> _Parse:
    fields: dict[str, _Parse] = {
        "key": _key,
        **_LAYOUT,
        "unit": _text,
        "factor": _named_factor(defaults, factors),
        "sign": _sign(defaults),
        "counts": _choice(*(counts.value for counts in Counts)),
        "alone": _boolean,
        "single_source": _boolean,
        "note": _text,
    }

    def parse(
        reader: _Reader, node: yaml.Node, path: str
    ) -> tuple[yaml.Node, str, Register] | None:
        found = reader.mapping(node, path, fields, ("key", "address", "type"))
        if "key" not in found:
            return None
        quantity = QUANTITIES.get(found["key"])
        if quantity is None:
            raise _Mistake(
                f"there is no quantity {found['key']!r}; the list is in docs/profiles.md"
            )
        if "unit" in found and found["unit"] != quantity.unit:
            wanted = quantity.unit or "a plain number without unit"
            raise _Mistake(
                f"{quantity.key} is in {wanted}, not {found['unit']}: let scale convert it"
            )
        register = _layout(reader, node, path, found, defaults, key=quantity.key)
        if register is None:
            return None
        if register.type is RegisterType.STRING:
            raise _Mistake("a measurement is a number, not a string")
        if "counts" in found and quantity.counts is None:
            raise _Mistake(f"{quantity.key} is no counter, so counts does not apply")
        if register.byte and ("factor" in found or "sign" in found):
            raise _Mistake("half a register has neither factor nor sign")
        register = replace(
            register,
            factor=found.get("factor"),
            sign=found.get("sign"),
            quantity=quantity,
            counts=Counts(found["counts"]) if "counts" in found else None,
            alone=found.get("alone", False),
            single_source=found.get("single_source", False),
            note=found.get("note"),
        )
        return node, path, register

    return parse


def _information(defaults: _Defaults) -> _Parse:
    fields: dict[str, _Parse] = {
        "key": _key,
        **_LAYOUT,
        "alone": _boolean,
        "single_source": _boolean,
        "note": _text,
    }

    def parse(
        reader: _Reader, node: yaml.Node, path: str
    ) -> tuple[yaml.Node, str, Register] | None:
        found = reader.mapping(node, path, fields, ("key", "address", "type"))
        register = _layout(reader, node, path, found, defaults, key=found.get("key", ""))
        if register is None or "key" not in found:
            return None
        register = replace(
            register,
            alone=found.get("alone", False),
            single_source=found.get("single_source", False),
            note=found.get("note"),
        )
        return node, path, register

    return parse


_JUDGEMENTS: Final[dict[str, _Parse]] = {
    "equals": _one_or_list(_number_or_text),
    "prefix": _one_or_list(_text),
    "contains": _one_or_list(_text),
    "range": _list(_number),
    "models": _list(_word),
    "unit_id": _choice("whole", "high_byte"),
    "listed": _boolean,
}
_JUDGED_AS: Final = {
    "equals": TestKind.EQUALS_ANY,
    "models": TestKind.EQUALS_ANY,
    "prefix": TestKind.PREFIX,
    "contains": TestKind.CONTAINS,
    "range": TestKind.RANGE,
    "listed": TestKind.LISTED,
}


def _identity(defaults: _Defaults) -> _Parse:
    fields: dict[str, _Parse] = {
        "function": _choice("report_server_id", "device_identification", "sunspec"),
        **{key: parse for key, parse in _LAYOUT.items() if key not in {"scale", "invalid"}},
        **_JUDGEMENTS,
        "low_byte_range": _list(_integer(0, 0xFF)),
        "ignore_case": _boolean,
        "note": _text,
    }

    def parse(reader: _Reader, node: yaml.Node, path: str) -> IdentityTest | None:
        found = reader.mapping(node, path, fields)
        judged = [key for key in _JUDGEMENTS if key in found]
        if len(judged) != 1:
            raise _Mistake(f"expected one of {', '.join(_JUDGEMENTS)}")
        (judgement,) = judged
        function = found.get("function", "registers")
        if (function == "sunspec") != (judgement == "models"):
            raise _Mistake("models goes with the function sunspec")
        register = None
        if function == "registers":
            if "address" not in found or "type" not in found:
                raise _Mistake("address and type are needed")
            register = _layout(
                reader, node, path, found, replace(defaults, invalid={}), key="identity"
            )
            if register is None:
                return None
        values = found[judgement]
        if judgement == "unit_id":
            kind = TestKind.UNIT_ID if values == "whole" else TestKind.HIGH_BYTE_UNIT_ID
            values = ()
        else:
            kind = _JUDGED_AS[judgement]
            values = () if judgement == "listed" else values
        textual = function not in {"registers", "sunspec"} or (
            register is not None and register.type is RegisterType.STRING
        )
        if judgement in {"prefix", "contains"} and not textual:
            raise _Mistake(f"{judgement} is for strings")
        if textual:
            values = tuple(str(value) for value in values)
        elif any(isinstance(value, str) for value in values):
            raise _Mistake("expected a number to compare with")
        if judgement == "range" and (len(values) != 2 or values[0] > values[1]):
            raise _Mistake("expected [low, high]")
        low_byte = found.get("low_byte_range")
        if low_byte is not None and (
            len(low_byte) != 2
            or low_byte[0] > low_byte[1]
            or kind is not TestKind.HIGH_BYTE_UNIT_ID
        ):
            raise _Mistake("low_byte_range is [low, high] and goes with unit_id: high_byte")
        return IdentityTest(
            register=register,
            function=cast("Any", function),
            kind=kind,
            values=values,
            low_byte_range=cast("tuple[int, int] | None", low_byte),
            ignore_case=found.get("ignore_case", False),
        )

    return parse


def _control(defaults: _Defaults) -> _Parse:
    fields: dict[str, _Parse] = {
        "key": _key,
        "kind": _choice(*(kind.value for kind in ControlKind)),
        **_LAYOUT,
        "unit": _text,
        "minimum": _number,
        "maximum": _number,
        "step": _number,
        "options": _pairs(_text),
        "write_value": _integer(0, 0xFFFF_FFFF),
        "write": _choice("single", "multiple"),
        "readable": _boolean,
        "guarded": _boolean,
        "expose": _boolean,
        "note": _text,
    }

    def parse(reader: _Reader, node: yaml.Node, path: str) -> tuple[yaml.Node, str, Any] | None:
        found = reader.mapping(node, path, fields, ("key", "kind", "address", "type"))
        register = _layout(reader, node, path, found, defaults, key=found.get("key", ""))
        if register is None or "key" not in found or "kind" not in found:
            return None
        kind = ControlKind(found["kind"])
        exposed = found.get("expose", True)
        if exposed and found["key"] not in CONTROL_KEYS:
            raise _Mistake(
                f"there is no control {found['key']!r}; known are {', '.join(sorted(CONTROL_KEYS))}."
                " Write expose: false to keep the register as a fact"
            )
        options = found.get("options", {})
        if kind in {ControlKind.SWITCH, ControlKind.SELECT} and len(options) < 2:
            raise _Mistake(f"a {kind} needs at least two options")
        if kind is ControlKind.SWITCH and len(options) != 2:
            raise _Mistake("a switch has two options, off first")
        if kind is ControlKind.NUMBER and not (
            "minimum" in found and "maximum" in found and found["minimum"] < found["maximum"]
        ):
            raise _Mistake("a number needs minimum and maximum")
        if (kind is ControlKind.BUTTON) != ("write_value" in found):
            raise _Mistake("write_value is needed for a button and for nothing else")
        if register.span.table in {Table.INPUT, Table.DISCRETE}:
            raise _Mistake("a control is in the table holding or coil")
        control = Control(
            key=found["key"],
            kind=kind,
            unit=found.get("unit"),
            minimum=found.get("minimum"),
            maximum=found.get("maximum"),
            step=found.get("step"),
            options=options,
            guarded=found.get("guarded", False),
        )
        made = ProfileControl(
            control=control,
            register=replace(register, note=found.get("note")),
            write_value=found.get("write_value"),
            write_multiple=found.get("write", "multiple") == "multiple",
            readable=found.get("readable", kind is not ControlKind.BUTTON),
            exposed=exposed,
        )
        return node, path, made

    return parse


def _variant(defaults: _Defaults, factors: Mapping[str, Factor]) -> _Parse:
    fields: dict[str, _Parse] = {
        "key": _key,
        "description": _text,
        "replaces": _boolean,
        "registers": _list(_measurement(defaults, factors)),
    }

    def parse(reader: _Reader, node: yaml.Node, path: str) -> dict[str, Any] | None:
        found = reader.mapping(node, path, fields, ("key", "description", "registers"))
        return found if "key" in found and "registers" in found else None

    return parse


_SERIAL: Final[dict[str, _Parse]] = {
    "baudrate": _integer(300, 1_000_000),
    "bytesize": _integer(7, 8),
    "parity": _choice("N", "E", "O"),
    "stopbits": _integer(1, 2),
    "unit_id": _integer(1, 247),
}
_NETWORK: Final[dict[str, _Parse]] = {"port": _integer(1, 65535), "unit_id": _integer(0, 255)}
_SPAN: Final[dict[str, _Parse]] = {
    "table": _table,
    "address": _address,
    "count": _integer(1, 0x10000),
}


def _fields(fields: Mapping[str, _Parse], required: Iterable[str] = ()) -> _Parse:
    def parse(reader: _Reader, node: yaml.Node, path: str) -> dict[str, Any] | None:
        if isinstance(node, yaml.ScalarNode) and _is_null(node):
            return None
        return reader.mapping(node, path, fields, required)

    return parse


_MODBUS: Final[dict[str, _Parse]] = {
    "table": _choice(Table.HOLDING.value, Table.INPUT.value),
    "word_order": _order,
    "byte_order": _order,
    "max_registers": _integer(1, 125),
    "alignment": _integer(1, 2),
    "strict": _boolean,
    "readable": _list(_fields(_SPAN, ("address", "count"))),
    "min_gap": _seconds,
    "turnaround": _seconds,
    "relocatable": _boolean,
    "wide_registers": _boolean,
}


def _unparsed(_: _Reader, node: yaml.Node, __: str) -> yaml.Node:
    """Keep a part for later, when what it refers to is known."""
    return node


TOPOLOGIES: Final = (
    "one_phase",
    "split_phase",
    "three_phase_4w",
    "three_phase_3w",
    "one_phase_ac_or_dc",
    "two_channel_one_phase",
    "six_channel_one_phase",
    "dc",
)

_TOP: Final[dict[str, _Parse]] = {
    "manufacturer": _text,
    "model": _text,
    "aliases": _list(_text),
    "phases": _integer(1, 3),
    "topology": _choice(*TOPOLOGIES),
    "transports": _list(_choice("rtu", "tcp", "udp")),
    "serial": _fields(_SERIAL),
    "network": _fields(_NETWORK),
    "modbus": _fields(_MODBUS, ("table",)),
    "invalid": _unparsed,
    "factors": _unparsed,
    "identification": _unparsed,
    "registers": _unparsed,
    "info": _unparsed,
    "controls": _unparsed,
    "variants": _unparsed,
    "quirks": _list(_text),
    "notes": _list(_text),
    "sources": _list(_text),
    "confidence": _choice("high", "medium", "low"),
    "confidence_note": _text,
}
_REQUIRED: Final = ("manufacturer", "model", "phases", "modbus", "registers")


def _document(reader: _Reader, text: str) -> yaml.Node | None:
    """Compose the document; None, with a problem noted, where it is none."""
    if len(text) > LARGEST:
        reader.problem(None, "", f"expected at most {LARGEST // 1024} KiB")
        return None
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        reader.problems.append(Problem(reader.file, line, "", f"not YAML: {error.problem}"))
        return None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        reader.problem(None, "", f"not YAML: {reason}")
        return None
    if not isinstance(node, yaml.MappingNode):
        reader.problem(
            node, "", "expected a profile: keys such as manufacturer, model and registers"
        )
        return None
    return node


def _invalid(reader: _Reader, node: yaml.Node | None) -> dict[RegisterType, frozenset[int]]:
    if node is None:
        return {}
    fields = {kind.value: _one_or_list(_raw) for kind in RegisterType}
    found = reader.mapping(node, "invalid", fields)
    marks: dict[RegisterType, frozenset[int]] = {}
    for name, values in found.items():
        kind = RegisterType(name)
        largest = 0xFF if kind is RegisterType.UINT8 else (1 << 16 * REGISTERS.get(kind, 4)) - 1
        if any(value > largest for value in values):
            reader.problem(
                node, f"invalid.{name}", f"a raw value of this type is at most {largest}"
            )
        marks[kind] = frozenset(values)
    return marks


def _factors(reader: _Reader, node: yaml.Node | None, defaults: _Defaults) -> dict[str, Factor]:
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        reader.problem(node, "factors", "expected names with a factor each")
        return {}
    names = {each.value for each, _ in node.value if isinstance(each, yaml.ScalarNode)}
    return reader.mapping(node, "factors", dict.fromkeys(names, _factor(defaults)))


def _collides(one: Register, other: Register) -> bool:
    """Return whether two registers of one table share an address that they should not share."""
    if one.alone or other.alone:
        return False  # Such a meter answers something else to a request for exactly that register.
    if one.span == other.span and one.byte and other.byte:
        return one.byte == other.byte
    return one.span.address < other.span.end and other.span.address < one.span.end


type _Placed = tuple[yaml.Node, str, Register]


def _check_together(reader: _Reader, placed: Iterable[_Placed], alignment: int) -> None:
    """Note keys given twice, registers that overlap and odd addresses of a meter with 32-bit registers."""
    by_key: dict[str, str] = {}
    ordered = sorted(placed, key=lambda each: (each[2].span.table, each[2].span.address))
    for node, path, register in sorted(ordered, key=lambda each: each[0].start_mark.index):
        if register.key in by_key:
            reader.problem(node, path, f"{register.key} is given twice, see {by_key[register.key]}")
        by_key.setdefault(register.key, path)
        if register.quantity and (
            register.span.address % alignment or register.span.count % alignment
        ):
            reader.problem(
                node,
                f"{path}.address",
                f"alignment {alignment} needs an even address and an even number of registers",
            )
    reaching: _Placed | None = None
    for each in ordered:
        node, path, register = each
        if reaching is not None and reaching[2].span.table is register.span.table:
            other = reaching[2]
            if _collides(other, register):
                reader.problem(
                    node,
                    f"{path}.address",
                    f"{register.key} overlaps {other.key} at {other.span.address}"
                    f" to {other.span.end - 1}",
                )
            if other.span.end >= register.span.end and not register.alone:
                continue
        if not register.alone:
            reaching = each


def _largest_block(reader: _Reader, placed: Iterable[_Placed], limit: int) -> None:
    for node, path, register in placed:
        if register.span.count > limit:
            reader.problem(
                node, path, f"takes {register.span.count} registers, max_registers is {limit}"
            )


def _variants(
    reader: _Reader, found: Iterable[dict[str, Any]], base: list[_Placed], alignment: int
) -> tuple[Variant, ...]:
    made: dict[str, Variant] = {}
    for each in found:
        placed: list[_Placed] = list(each["registers"])
        replaces = each.get("replaces", True)
        taken = {register.key for _, _, register in placed}
        kept = [] if replaces else [one for one in base if one[2].key not in taken]
        _check_together(reader, kept + placed, alignment)
        made[each["key"]] = Variant(
            key=each["key"],
            description=each.get("description", ""),
            registers=tuple(register for _, _, register in placed),
            replaces=replaces,
        )
    return tuple(made.values())


def load_profile(text: str, *, slug: str, source: str, custom: bool = False) -> Profile:
    """Return the profile that a YAML text describes.

    Args:
        text: the document.
        slug: what set-up meters call the profile: the file's name without its ending.
        source: the file's name for messages.
        custom: whether the user wrote it.

    Raises:
        ProfileError: with everything that is wrong, at most `MOST_PROBLEMS`.
    """
    reader = _Reader(source)
    if not _SLUG.fullmatch(slug):
        reader.problem(None, "", "the file's name may have small letters, digits, - and _ only")
    root = _document(reader, text)
    profile = None
    if root is not None:
        profile = _profile(reader, root, slug, custom)
    if reader.problems or profile is None:
        raise ProfileError(reader.problems)
    return profile


def _profile(reader: _Reader, root: yaml.Node, slug: str, custom: bool) -> Profile | None:
    top = reader.mapping(root, "", _TOP, _REQUIRED)
    modbus = top.get("modbus")
    if modbus is None or "registers" not in top or "table" not in modbus:
        return None
    table = Table(modbus["table"])
    word_order, byte_order = modbus.get("word_order", "big"), modbus.get("byte_order", "big")
    defaults = _Defaults(
        table,
        word_order,
        byte_order,
        _invalid(reader, top.get("invalid")),
        wide=modbus.get("wide_registers", False),
    )
    factors = _factors(reader, top.get("factors"), defaults)

    def part(name: str, parse: _Parse) -> list[Any]:
        node = top.get(name)
        return list(reader.value(node, name, _list(parse)) or ()) if node is not None else []

    narrow = replace(defaults, wide=False)
    measured = part("registers", _measurement(defaults, factors))
    info = part("info", _information(narrow))
    controls = part("controls", _control(narrow))
    alignment = modbus.get("alignment", 1)
    limit = modbus.get("max_registers", DEFAULT_MAX_REGISTERS)
    if not measured and not reader.problems:
        reader.problem(top["registers"], "registers", "expected at least one measurement")
    _check_together(reader, measured, alignment)
    _check_together(reader, info, 1)
    _largest_block(reader, measured + info, limit)
    exposed: set[str] = set()
    for node, path, control in controls:
        if control.exposed and control.control.key in exposed:
            reader.problem(node, path, f"{control.control.key} is offered twice")
        if control.exposed:
            exposed.add(control.control.key)
    variants = _variants(reader, part("variants", _variant(defaults, factors)), measured, alignment)
    identification = part("identification", _identity(narrow))
    readable = tuple(
        Span(Table(each.get("table", table)), each["address"], each["count"])
        for each in modbus.get("readable", ())
        if "address" in each and "count" in each
    )
    serial, network = top.get("serial"), top.get("network", {})
    transports = top.get("transports", ("rtu",))
    if reader.problems or any(key not in top for key in _REQUIRED):
        return None
    return Profile(
        slug=slug,
        manufacturer=top["manufacturer"],
        model=top["model"],
        aliases=top.get("aliases", ()),
        phases=top["phases"],
        topology=top.get("topology", "one_phase" if top["phases"] == 1 else "three_phase_4w"),
        transports=transports,
        serial=SerialDefaults(**serial) if serial is not None else None,
        tcp_port=network.get("port"),
        network_unit_id=network.get("unit_id"),
        table=table,
        word_order=word_order,
        byte_order=byte_order,
        max_registers=limit,
        alignment=alignment,
        strict=modbus.get("strict", True),
        min_gap=modbus.get("min_gap", 0),
        turnaround=modbus.get("turnaround", DEFAULT_TURNAROUND),
        relocatable=modbus.get("relocatable", False),
        wide_registers=modbus.get("wide_registers", False),
        identification=tuple(identification),
        registers=tuple(register for _, _, register in measured),
        info=tuple(register for _, _, register in info),
        controls=tuple(control for _, _, control in controls),
        variants=variants,
        quirks=top.get("quirks", ()),
        notes=top.get("notes", ()),
        sources=top.get("sources", ()),
        confidence=top.get("confidence", "low"),
        confidence_note=top.get("confidence_note", ""),
        readable=readable,
        custom=custom,
    )
