"""A meter of a real model whose registers show a circuit of the simulated house."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from ...model import QUANTITIES, ControlKind, Counts, Kind, Value
from ..modbus.codec import RegisterImage, decode, encode
from ..modbus.profile import (
    IdentityTest,
    Profile,
    ProfileControl,
    Register,
    RegisterType,
    Span,
    Table,
    TestKind,
)
from .circuit import Circuit, Relay
from .display import shown
from .house import House


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterSpec:
    """Which model sits where in the house."""

    name: str
    profile: str
    """Slug of the profile."""
    circuit: str
    """Name of the house's circuit."""
    unit_id: int
    serial_number: int
    reversed: bool = False
    """Whether it is wired the other way round, so that generation counts as import."""
    baudrate: int = 9_600
    """Speed it was left at, for lines that have one."""


METERS: Final = (
    MeterSpec(
        name="Grid connection",
        profile="eastron_sdm630",
        circuit="grid",
        unit_id=1,
        serial_number=22_104_711,
    ),
    MeterSpec(
        name="Solar inverter",
        profile="eastron_sdm120m",
        circuit="solar",
        unit_id=2,
        serial_number=21_380_042,
        reversed=True,
        baudrate=2_400,
    ),
    MeterSpec(
        name="Heat pump",
        profile="chint_dtsu666",
        circuit="heat_pump",
        unit_id=3,
        serial_number=9_203_118,
    ),
    MeterSpec(
        name="Car charger", profile="abb_b23", circuit="car", unit_id=4, serial_number=3_517_265
    ),
    MeterSpec(
        name="Oven and hob",
        profile="orno_or_we_514",
        circuit="kitchen",
        unit_id=5,
        serial_number=50_140_093,
    ),
    MeterSpec(
        name="Workshop",
        profile="carlo_gavazzi_em112",
        circuit="workshop",
        unit_id=6,
        serial_number=11_207,
    ),
    MeterSpec(
        name="Washing machine",
        profile="peacefair_pzem-004t-v3",
        circuit="washing",
        unit_id=7,
        serial_number=0,
    ),
    MeterSpec(
        name="Pond pump",
        profile="hiking_dds238-2",
        circuit="pump",
        unit_id=8,
        serial_number=0,
    ),
    MeterSpec(
        name="Battery",
        profile="eastron_sdm120m",
        circuit="battery",
        unit_id=9,
        serial_number=21_380_077,
        baudrate=2_400,
    ),
    MeterSpec(
        name="Water heater",
        profile="hiking_dds238-2",
        circuit="water_heater",
        unit_id=10,
        serial_number=0,
    ),
)
"""The meters of the simulated house. The washing machine hangs behind the workshop's meter."""


class Refused(Exception):
    """The meter answers with a Modbus exception."""

    def __init__(self, *, value: bool = False) -> None:
        """Say whether the number of registers is at fault (3) rather than an address (2)."""
        super().__init__("illegal value" if value else "illegal address")
        self.value = value


class SimulatedMeter:
    """One unit on a line: real registers, filled from the house at the moment of the request."""

    def __init__(
        self, spec: MeterSpec, profile: Profile, circuit: Circuit, relay: Relay | None = None
    ) -> None:
        """Lay out the registers; `relay` is what the profile's relay switches, if it has one."""
        self.spec = spec
        self.unit_id = spec.unit_id
        self._profile = profile
        self._circuit = circuit
        self._relay = relay
        self._measured = sorted(profile.registers, key=lambda register: register.span)
        self._kept = RegisterImage()
        self._defined: dict[Table, set[int]] = {table: set() for table in Table}
        for span in profile.readable:
            self._defined[span.table].update(range(span.address, span.end))
        for register in self._measured:
            self._define(register)
        for register in profile.info:
            self._keep(register, _information(register, spec))
        for control in profile.controls:
            if control.readable:
                self._keep(control.register, _setting(control, relay))
        self._keep_identity()

    @property
    def manufacturer(self) -> str:
        """Who makes this model."""
        return self._profile.manufacturer

    def exact(self, key: str, time: float) -> float | None:
        """A quantity at a Unix time in the quantity's unit, before the meter rounds it."""
        value = shown(self._circuit, key, time)
        if value is not None and self.spec.reversed:
            value = _reversed(self._circuit, key, value, time)
        return value

    def value(self, key: str, time: float) -> Value:
        """A quantity as its register gives it at a Unix time; None where there is no register."""
        if (register := self._profile.register(key)) is None:
            return None
        image = RegisterImage()
        self._measure(register, image, time)
        value = decode(register, image)
        return None if isinstance(value, str) else value

    def read(self, table: Table, address: int, count: int, time: float) -> list[int]:
        """The words of a request at a Unix time; coils and discrete inputs are 0 or 1.

        Raises:
            Refused: as a meter of this model refuses.
        """
        if table in (Table.HOLDING, Table.INPUT) and count > self._profile.max_registers:
            raise Refused(value=True)
        span = Span(table, address, count)
        asked = [register for register in self._measured if _touch(register.span, span)]
        alignment = self._profile.alignment
        if asked and (address % alignment or count % alignment):
            raise Refused
        addresses = range(address, span.end)
        defined = [one in self._defined[table] for one in addresses]
        if not any(defined) or (self._profile.strict and not all(defined)):
            raise Refused
        image = RegisterImage()
        for register in asked:
            self._measure(register, image, time)
        measured, kept = image.table(table), self._kept.table(table)
        if any(
            test.register and test.register.span == span for test in self._profile.identification
        ):
            # A code may share its address with a measurement: asked for alone, it is the code that answers.
            measured, kept = kept, measured
        return [measured.get(one, kept.get(one, 0)) for one in addresses]

    def write(self, table: Table, address: int, words: Sequence[int], time: float) -> None:
        """Take a write to a setting, a relay or a reset at a Unix time.

        Raises:
            Refused: nothing may be written there.
        """
        span = Span(table, address, len(words))
        control = next(
            (each for each in self._profile.controls if each.register.span == span), None
        )
        if control is None:
            raise Refused
        if not control.readable or control.control.kind is ControlKind.BUTTON:
            return
        self._kept.set(span, words)
        value = decode(control.register, self._kept)
        if control.control.kind is ControlKind.SWITCH and self._relay is not None:
            self._relay.switch(bool(value), time)
        elif control.control.key == "unit_id" and isinstance(value, int | float):
            self.unit_id = int(value)
            self._keep_identity()

    def _define(self, register: Register) -> None:
        for span in (*register.coherent_spans, *register.factor_spans):
            self._defined[span.table].update(range(span.address, span.end))

    def _keep(self, register: Register, value: float | str) -> None:
        self._define(register)
        _write(register, value, self._kept)

    def _keep_identity(self) -> None:
        """Write what the profile's identification looks for."""
        done: set[Span] = set()
        for test in self._profile.identification:
            if test.register is None or test.register.span in done:  # The rest are alternatives.
                continue
            self._define(test.register)
            done.add(test.register.span)
            if (raw := _mark(test, self.unit_id)) is None:
                continue
            if isinstance(raw, str):
                encode(test.register, raw, self._kept)
            else:
                _write(replace(test.register, scale=1), raw, self._kept)

    def _measure(self, register: Register, image: RegisterImage, time: float) -> None:
        _write(register, self.exact(register.key, time) or 0.0, image)


def meter_of(spec: MeterSpec, profile: Profile, house: House) -> SimulatedMeter:
    """The meter where the house has it; its relay, if it has one, switches the circuit."""
    return SimulatedMeter(
        spec, profile, house.circuits[spec.circuit], house.relays.get(spec.circuit)
    )


def _touch(one: Span, other: Span) -> bool:
    return one.table is other.table and one.address < other.end and other.address < one.end


def _reversed(circuit: Circuit, key: str, value: float, time: float) -> float:
    """The value of a meter whose current flows through it the other way."""
    quantity = QUANTITIES[key]
    for one, other in (("_import", "_export"), ("_export", "_import")):
        if one in key:
            return shown(circuit, key.replace(one, other), time) or 0.0
    signed = (Kind.POWER, Kind.REACTIVE_POWER, Kind.POWER_FACTOR, Kind.PHASE_ANGLE)
    return -value if quantity.kind in signed or quantity.counts is Counts.BOTH else value


def _write(register: Register, value: float | str, image: RegisterImage) -> None:
    """Encode a value; one that does not fit, such as a negative one in an unsigned register, by its size."""
    try:
        encode(register, value, image)
    except ValueError:
        encode(register, abs(value) if isinstance(value, float | int) else "", image)


def _information(register: Register, spec: MeterSpec) -> float | str:
    """Serial number, versions and the like."""
    text = register.type is RegisterType.STRING
    if register.key == "serial_number":
        return str(spec.serial_number) if text else spec.serial_number
    if "firmware" in register.key or "software" in register.key:
        return "1.03" if text else 1
    return "" if text else 0


def _setting(control: ProfileControl, relay: Relay | None) -> float:
    """What a setting stands at when the meter comes out of its box; a relay where the house left it."""
    options = control.control.options
    if control.control.kind is ControlKind.SWITCH:
        return max(options) if relay is None or relay.is_on else min(options)
    if options:
        return min(options)
    return control.control.minimum or 0


def _mark(test: IdentityTest, unit_id: int) -> float | str | None:
    """What an identification register holds; None where it is a measurement that is judged."""
    match test.kind:
        case TestKind.EQUALS_ANY | TestKind.PREFIX | TestKind.CONTAINS:
            return test.values[0]
        case TestKind.UNIT_ID:
            return unit_id
        case TestKind.HIGH_BYTE_UNIT_ID:
            return unit_id << 8 | (test.low_byte_range or (1, 1))[0]
        case TestKind.RANGE | TestKind.LISTED:
            return None
