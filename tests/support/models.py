"""Meters of real models: a profile's registers, holding what a meter in a house would show.

The values are one moment of a three-phase installation, the same for all models, and agree with each
other as physics wants it (P = V·I·PF, totals are sums). They are written by hand from the vocabulary, not
taken from the simulated house, so that what is recognised here was not made by what recognises it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
import math
from typing import Final, override

from pymodbus.constants import ExcCodes

from custom_components.energy_meter.model import QUANTITIES, Kind, Quantity
from custom_components.energy_meter.sources.modbus.codec import RegisterImage, encode
from custom_components.energy_meter.sources.modbus.profile import (
    IdentityTest,
    Profile,
    Register,
    RegisterType,
    Span,
    Table,
    TestKind,
)

from .meters import Meter, Registers

SERIAL_NUMBER: Final = 12345678
SUNSPEC_COMMON: Final = 40002
SUNSPEC_BASE: Final = 40070
"""Where a SunSpec meter's model block begins: behind marker and common model."""

_VOLTAGE: Final = {"l1": 231.4, "l2": 229.8, "l3": 232.7}
_CURRENT: Final = {"l1": 6.21, "l2": 4.37, "l3": 8.05}
_FACTOR: Final = {"l1": 0.97, "l2": 0.93, "l3": 0.99}
_ENERGY: Final = {
    "energy_import": 4321.9,
    "energy_export": 123.4,
    "energy_total": 4445.3,
    "energy_net": 4198.5,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What flows through the meter."""

    load: float = 1.0
    """Times the usual current; 0 is an idle circuit, negative feeds back."""

    def value(self, key: str, phases: int) -> float:
        """Return a quantity's value in its unit."""
        quantity = QUANTITIES[key]
        match quantity.kind:
            case Kind.VOLTAGE:
                return self._voltage(quantity, phases)
            case Kind.FREQUENCY:
                return 49.98
            case Kind.POWER_FACTOR:
                return math.copysign(self._factor(quantity, phases), self.load)
            case Kind.ENERGY:
                share = 0.4 if quantity.variant in _VOLTAGE else 1.0
                idle = quantity.variant is not None and quantity.variant[1:] in {"2", "3", "4"}
                base = quantity.base.removesuffix("_resettable")
                return 0.0 if idle and quantity.variant not in _VOLTAGE else _ENERGY[base] * share
            case Kind.CURRENT:
                return self._current(quantity, phases)
            case Kind.POWER | Kind.APPARENT_POWER | Kind.REACTIVE_POWER:
                return self._power(quantity, phases)
            case Kind.TEMPERATURE:
                return 31.0
            case Kind.CODE:
                return 0.0
            case _:
                return 2.0

    def _lines(self, quantity: Quantity, phases: int) -> tuple[str, ...]:
        if quantity.variant in _VOLTAGE:
            return (quantity.variant,)
        if quantity.variant not in (None, "ch1"):
            return ()
        return ("l1", "l2", "l3") if phases == 3 else ("l1",)

    def _voltage(self, quantity: Quantity, phases: int) -> float:
        if quantity.base == "voltage_pen":
            return 1.5
        lines = self._lines(quantity, phases) or ("l1",)
        voltage = sum(_VOLTAGE[line] for line in lines) / len(lines)
        paired = quantity.base == "voltage_ll" or "_" in (quantity.variant or "")
        return voltage * math.sqrt(3) if paired else voltage

    def _current(self, quantity: Quantity, phases: int) -> float:
        lines = self._lines(quantity, phases)
        total = sum(_CURRENT[line] for line in lines)
        average = quantity.base == "current_avg" or quantity.base.startswith("current_demand")
        return total / max(len(lines), 1) * abs(self.load) if average else total * abs(self.load)

    def _apparent(self, line: str) -> float:
        return _VOLTAGE[line] * _CURRENT[line] * abs(self.load)

    def _power(self, quantity: Quantity, phases: int) -> float:
        lines = self._lines(quantity, phases)
        apparent = sum(map(self._apparent, lines))
        active = sum(self._apparent(line) * _FACTOR[line] for line in lines)
        active = math.copysign(active, self.load)
        if quantity.base.endswith("_export"):
            return max(-active, 0.0)
        if quantity.base.endswith("_import"):
            return max(active, 0.0)
        if quantity.kind is Kind.APPARENT_POWER:
            return apparent
        if quantity.kind is Kind.REACTIVE_POWER:
            return math.sqrt(max(apparent**2 - active**2, 0.0))
        return active

    def _factor(self, quantity: Quantity, phases: int) -> float:
        lines = self._lines(quantity, phases) or ("l1",)
        apparent = sum(_VOLTAGE[line] * _CURRENT[line] for line in lines)
        return sum(_VOLTAGE[line] * _CURRENT[line] * _FACTOR[line] for line in lines) / apparent


@dataclass(slots=True, kw_only=True)
class ModelMeter(Meter):
    """A meter that answers with a profile's registers."""

    codes: dict[Span, list[int]] = field(default_factory=dict)
    """What answers to a read of exactly this span, whatever the registers hold."""
    wide: Registers = field(default_factory=dict)
    """Holding registers of 32 bits, answered with four bytes each."""
    lenient: bool = False
    """Whether it answers 0 for what it does not have."""

    @override
    def answer_read(self, table: Table, address: int, count: int) -> list[int] | ExcCodes:
        """Return the registers asked for, or why not."""
        code = self.codes.get(Span(table, address, count))
        if code is not None:
            return code
        wanted = range(address, address + count)
        if table is Table.HOLDING and all(one in self.wide for one in wanted):
            return [half for one in wanted for half in divmod(self.wide[one], 0x10000)]
        if self.lenient:
            registers = self.table(table)
            return [registers.get(one, 0) for one in wanted]
        return super(ModelMeter, self).answer_read(table, address, count)


def model_meter(
    profile: Profile,
    unit_id: int,
    *,
    scene: Scene | None = None,
    coded: bool = True,
    lenient: bool = False,
) -> ModelMeter:
    """Make a meter of a profile's model.

    Args:
        profile: the model.
        unit_id: its address.
        scene: what flows through it.
        coded: whether it has the registers that identify it; a firmware may lack them.
        lenient: whether it answers 0 for registers that it does not have, instead of refusing.
    """
    base = SUNSPEC_BASE if profile.relocatable else 0
    arranged = profile.arranged(None, base, SUNSPEC_COMMON)
    meter = ModelMeter(unit_id=unit_id, alignment=1, lenient=lenient)
    image = RegisterImage()
    for register in arranged.registers:
        _write(register, (scene or Scene()).value(register.key, profile.phases), image)
    narrow = RegisterImage() if profile.wide_registers else image
    for register in arranged.info:
        if register.key == "serial_number":
            text = register.type is RegisterType.STRING
            _write(register, str(SERIAL_NUMBER) if text else _fitting(register), narrow)
    for table in (Table.HOLDING, Table.INPUT):
        meter.table(table).update(narrow.table(table))
    if profile.wide_registers:
        meter.wide.update(image.table(Table.HOLDING))
    if profile.relocatable:
        _lay_sunspec_chain(meter, profile, base)
    elif coded:
        _give_codes(meter, profile)
    return meter


def _fitting(register: Register) -> int:
    return SERIAL_NUMBER if register.span.count > 1 else SERIAL_NUMBER % 10_000


def _write(register: Register, value: float | str, image: RegisterImage) -> None:
    """Encode a value; an unsigned register holds the size of a negative one."""
    try:
        encode(register, value, image)
    except ValueError:
        encode(register, abs(value) if not isinstance(value, str) else value, image)


def _give_codes(meter: ModelMeter, profile: Profile) -> None:
    measured = {register.span for register in profile.registers}
    given: set[Span] = set()
    for test in profile.identification:
        if test.function == "report_server_id":
            meter.server_id = str(test.values[0]).encode()
        elif test.function == "device_identification":
            meter.identification = {0: str(test.values[0]), 1: "1", 2: "1.0"}
        elif test.register is not None and test.register.span not in given:
            span = test.register.span
            if test.kind is TestKind.RANGE and span in measured:
                continue
            given.add(span)
            image = RegisterImage()
            encode(replace(test.register, scale=1), _code(test, meter.unit_id), image)
            meter.codes[span] = image.get(span)


def _code(test: IdentityTest, unit_id: int) -> float | str:
    match test.kind:
        case TestKind.UNIT_ID:
            return unit_id
        case TestKind.HIGH_BYTE_UNIT_ID:
            return unit_id << 8 | (test.low_byte_range or (1, 1))[0]
        case TestKind.RANGE:
            low, high = (float(value) for value in test.values)
            return (low + high) // 2
        case TestKind.LISTED:
            return 7
        case _:
            return test.values[0]


def _lay_sunspec_chain(meter: Meter, profile: Profile, base: int) -> None:
    """Marker, a common model of 66 registers, the meter's model, the end; unwritten registers are 0."""
    models = [
        int(value)
        for test in profile.identification
        if test.function == "sunspec"
        for value in test.values
    ]
    registers = meter.holding
    end = max(registers) + 1
    chain: Mapping[int, int] = {
        40000: 0x5375,
        40001: 0x6E53,
        SUNSPEC_COMMON: 1,
        SUNSPEC_COMMON + 1: base - SUNSPEC_COMMON - 2,
        base: models[-1],
        base + 1: end - base - 2,
        end: 0xFFFF,
        end + 1: 0,
    }
    for address in range(40000, end + 2):
        registers.setdefault(address, 0)
    registers.update(chain)
