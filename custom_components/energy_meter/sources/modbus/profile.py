"""What a meter family's registers mean: the objects that a profile file becomes.

A profile is data. `profile_loader` makes these objects from YAML, `codec` turns registers into values and
back, `plan` decides what to read together. Addresses are zero-based as sent on the wire.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

from ...model import Control, Counts, Quantity, Rate

type Order = Literal["big", "little"]


class Table(StrEnum):
    """The four Modbus tables, by their standard names."""

    HOLDING = "holding"
    INPUT = "input"
    COIL = "coil"
    DISCRETE = "discrete"


class RegisterType(StrEnum):
    """How a raw value is laid out in its registers."""

    UINT8 = "uint8"
    """Half of one register, see `Register.byte`."""
    UINT16 = "uint16"
    INT16 = "int16"
    UINT32 = "uint32"
    INT32 = "int32"
    UINT64 = "uint64"
    INT64 = "int64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    BCD16 = "bcd16"
    BCD32 = "bcd32"
    BCD64 = "bcd64"
    STRING = "string"
    """Two characters per register."""
    BIT = "bit"
    """One coil or discrete input."""
    T5 = "t5"
    """Iskra: signed 8-bit decade exponent, unsigned 24-bit mantissa."""
    T6 = "t6"
    """Iskra: signed 8-bit decade exponent, signed 24-bit mantissa."""
    T7 = "t7"
    """Iskra power factor: sign bytes for import/export and inductive/capacitive, four decimals."""
    T16 = "t16"
    """Iskra: unsigned, two decimals."""
    T17 = "t17"
    """Iskra: signed, two decimals."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Registers that follow each other in one table."""

    table: Table
    address: int
    count: int

    @property
    def end(self) -> int:
        """The first address behind the span."""
        return self.address + self.count


class Formula(StrEnum):
    """How a register elsewhere changes a value: a factor that the meter states at run time."""

    RATIO = "ratio"
    """Multiply by every source's value: CT and PT ratios."""
    POWER_OF_TEN = "power_of_ten"
    """Multiply by 10 to the source's value: SunSpec scale factors, decade exponents."""
    LOOKUP = "lookup"
    """Multiply by `Factor.table[source value]`: coded units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """A scale that the meter states in registers of its own."""

    formula: Formula
    sources: tuple[Register, ...]
    table: Mapping[int, float] = field(default_factory=dict, hash=False)
    coherent: bool = False
    """Whether it may change with every value, so that both must come in one request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """The sign of a value that is kept elsewhere: negative where the masked source is not zero."""

    source: Register
    mask: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """One value in a meter's registers."""

    key: str
    """A quantity's key for measurements; a free name for information and controls."""
    span: Span
    """Where it lies. On a meter with wide registers a 32-bit value takes one address."""
    type: RegisterType
    scale: float = 1
    """Value = raw value × scale, in the quantity's unit."""
    word_order: Order = "big"
    byte_order: Order = "big"
    byte: Literal["high", "low"] | None = None
    sign_magnitude: bool = False
    """Whether the top bit is the sign and the rest the size."""
    quadrants: bool = False
    """Whether a power factor beyond ±1 stands for the other side of ±1: Schneider's four-quadrant float."""
    invalid: frozenset[int] = frozenset()
    """Raw values, as unsigned integers of the register's width, that mean "not available"; NaN always does."""
    factor: Factor | None = None
    sign: Sign | None = None
    quantity: Quantity | None = field(default=None, hash=False)
    """For measurements, the row of the vocabulary."""
    counts: Counts | None = None
    """How the counter moves, where the meter differs from the vocabulary."""
    alone: bool = False
    """Whether the meter gives this value only to a request for exactly its span."""
    single_source: bool = False
    note: str | None = None
    codecs: dict[str, Any] = field(
        default_factory=dict, init=False, repr=False, compare=False, hash=False
    )
    """What `codec` has worked out for this register, kept because every poll needs it again."""

    def moved(self, offset: int) -> Register:
        """Return the same register, its factor and its sign, `offset` addresses higher."""
        factor, sign = self.factor, self.sign
        if factor is not None:
            factor = replace(
                factor, sources=tuple(source.moved(offset) for source in factor.sources)
            )
        if sign is not None:
            sign = replace(sign, source=sign.source.moved(offset))
        span = replace(self.span, address=self.span.address + offset)
        return replace(self, span=span, factor=factor, sign=sign)

    @property
    def rate(self) -> Rate:
        """How often the value is worth reading."""
        return self.quantity.rate if self.quantity else Rate.SLOW

    @property
    def coherent_spans(self) -> tuple[Span, ...]:
        """All spans that one request has to cover for the value to be right."""
        spans = [self.span]
        if self.factor and self.factor.coherent:
            spans += [source.span for source in self.factor.sources]
        if self.sign:
            spans.append(self.sign.source.span)
        return tuple(spans)

    @property
    def factor_spans(self) -> tuple[Span, ...]:
        """Spans of factors that rarely change and may be read once and kept."""
        if self.factor is None or self.factor.coherent:
            return ()
        return tuple(source.span for source in self.factor.sources)


class TestKind(StrEnum):
    """How an identification read is judged."""

    __test__ = False  # Not a test class, whatever its name looks like to pytest.

    EQUALS_ANY = "equals_any"
    PREFIX = "prefix"
    CONTAINS = "contains"
    RANGE = "range"
    UNIT_ID = "unit_id"
    """The raw value is the unit id being asked."""
    HIGH_BYTE_UNIT_ID = "high_byte_unit_id"
    """The high byte is the unit id, the low byte within `low_byte_range`."""
    LISTED = "listed"
    """Content known to exist but not its text: answering at all is the test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityTest:
    """One read that speaks for or against a profile; tests of one address are alternatives."""

    __test__ = False

    register: Register | None
    """None for the standard functions below."""
    function: Literal["registers", "report_server_id", "device_identification", "sunspec"] = (
        "registers"
    )
    kind: TestKind
    values: tuple[float | str, ...] = ()
    """Accepted raw values or texts; (low, high), both included, for a range."""
    low_byte_range: tuple[int, int] | None = None
    ignore_case: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileControl:
    """A control and the register behind it."""

    control: Control
    register: Register
    write_value: int | None = None
    """The one raw value that triggers a button."""
    write_multiple: bool = True
    """Whether function 16 (15 for coils) is to be used even for one register."""
    readable: bool = True
    exposed: bool = True
    """Whether it is offered to users; the others are facts that would do harm at the press of a button."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialDefaults:
    """Line settings that a meter leaves the factory with; None where not known."""

    baudrate: int | None = None
    bytesize: Literal[7, 8] = 8
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1
    unit_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Another layout of the same family: older firmware, an option, a second group of channels."""

    key: str
    description: str
    registers: tuple[Register, ...]
    replaces: bool = True
    """Whether its registers take the place of all others, or only of those with the same key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One meter family."""

    slug: str
    """The file's name without its ending; what a set-up meter refers to."""
    manufacturer: str
    model: str
    aliases: tuple[str, ...]
    phases: int
    topology: str
    transports: tuple[str, ...]
    """`rtu`, `tcp`, `udp`."""
    serial: SerialDefaults | None
    tcp_port: int | None
    network_unit_id: int | None
    table: Table
    """The table that a register is in unless it says otherwise."""
    word_order: Order
    byte_order: Order
    max_registers: int
    """Most registers in one request, 1 to 125."""
    alignment: int
    """Start and count of a request for measurements are multiples of this: 2 on meters that only know
    32-bit values. Information and controls are asked for by their exact span."""
    strict: bool
    """Whether a request that touches an undefined register fails, or nobody knows that it does not."""
    min_gap: float
    """Pause the meter needs between two requests, seconds."""
    turnaround: float
    """Usual time from the end of a request to the start of the answer, seconds; a start for learning."""
    relocatable: bool
    """SunSpec: addresses count from the model block, which has to be found first, and those of information
    from the common model before it."""
    wide_registers: bool
    """Four bytes per register on the wire, which is no Modbus standard (JSY-MK-194): see `wide_registers`."""
    identification: tuple[IdentityTest, ...]
    registers: tuple[Register, ...]
    info: tuple[Register, ...]
    controls: tuple[ProfileControl, ...]
    variants: tuple[Variant, ...]
    quirks: tuple[str, ...]
    """Sentences shown to the user at set-up."""
    notes: tuple[str, ...]
    sources: tuple[str, ...]
    confidence: Literal["high", "medium", "low"]
    confidence_note: str
    readable: tuple[Span, ...] = ()
    """Extra ranges known to be readable, so that a strict meter's holes may still be bridged."""
    custom: bool = False
    """Whether the user added it."""

    @property
    def name(self) -> str:
        """Maker and model as shown to the user."""
        return f"{self.manufacturer} {self.model}"

    def arranged(
        self,
        variant: str | None = None,
        base_address: int = 0,
        common_address: int | None = None,
    ) -> Profile:
        """Return the profile as one meter has it: with a variant, moved to where its block was found.

        Args:
            variant: which layout.
            base_address: where a relocatable profile's block begins.
            common_address: where the SunSpec common model before it begins, from which information
                counts; without one there is no information.

        Raises:
            KeyError: there is no such variant.
        """
        registers, chosen = self.registers, None
        if variant is not None:
            chosen = next((each for each in self.variants if each.key == variant), None)
            if chosen is None:
                raise KeyError(variant)
            taken = {register.key for register in chosen.registers}
            kept = () if chosen.replaces else registers
            registers = (
                tuple(register for register in kept if register.key not in taken) + chosen.registers
            )
        if base_address:
            registers = tuple(register.moved(base_address) for register in registers)
        if chosen is None and not base_address:
            return self
        info = self.info
        if base_address:
            common = common_address
            info = () if common is None else tuple(each.moved(common) for each in info)
        return replace(self, registers=registers, info=info)

    def register(self, key: str) -> Register | None:
        """The measurement with this quantity key, if the profile has it."""
        return next((register for register in self.registers if register.key == key), None)

    def info_register(self, key: str) -> Register | None:
        """The information register of this name (`serial_number`, `firmware_version` …), if any."""
        return next((register for register in self.info if register.key == key), None)
