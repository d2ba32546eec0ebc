"""What is measured: meters, quantities, line; the same objects in every process of a run."""

from dataclasses import dataclass, field
from functools import cache
from typing import Final, Literal

from custom_components.energy_meter.sources.modbus.library import ProfileLibrary
from custom_components.energy_meter.sources.modbus.profile import RegisterType, Table
from tests.support.meters import Meter
from tests.support.truth import Truth, truthful_meter
from tests.support.wire import ByteTiming

from .least import LeastTime, least_time, request_time

SDM120_VALUES: Final[dict[str, int]] = {
    "voltage": 0x0000,
    "current": 0x0006,
    "power": 0x000C,
    "apparent_power": 0x0012,
    "reactive_power": 0x0018,
    "power_factor": 0x001E,
    "frequency": 0x0046,
    "energy_import": 0x0048,
    "energy_export": 0x004A,
    "reactive_energy_import": 0x004C,
    "reactive_energy_export": 0x004E,
    "energy_total": 0x0156,
    "reactive_energy_total": 0x0158,
}
"""The 13 values of an SDM120 that everybody reads: quantity to input register, 32-bit floats."""

_PHASES: Final = ("l1", "l2", "l3")
_PER_PHASE: Final = (
    "voltage",
    "current",
    "power",
    "apparent_power",
    "reactive_power",
    "power_factor",
    "phase_angle",
)
SDM630_VALUES: Final[dict[str, int]] = {
    **{
        f"{base}_{phase}": 6 * row + 2 * column
        for row, base in enumerate(_PER_PHASE)
        for column, phase in enumerate(_PHASES)
    },
    "voltage": 0x002A,
    "current_avg": 0x002E,
    "current_sum": 0x0030,
    "power": 0x0034,
    "apparent_power": 0x0038,
    "reactive_power": 0x003C,
    "power_factor": 0x003E,
    "phase_angle": 0x0042,
    "frequency": 0x0046,
    "energy_import": 0x0048,
    "energy_export": 0x004A,
    "reactive_energy_import": 0x004C,
    "reactive_energy_export": 0x004E,
    "voltage_l1_l2": 0x00C8,
    "voltage_l2_l3": 0x00CA,
    "voltage_l3_l1": 0x00CC,
    "voltage_ll": 0x00CE,
    "current_n": 0x00E0,
    "energy_total": 0x0156,
    "reactive_energy_total": 0x0158,
    "energy_import_l1": 0x015A,
    "energy_import_l2": 0x015C,
    "energy_import_l3": 0x015E,
    "energy_export_l1": 0x0160,
    "energy_export_l2": 0x0162,
    "energy_export_l3": 0x0164,
    "energy_total_l1": 0x0166,
    "energy_total_l2": 0x0168,
    "energy_total_l3": 0x016A,
    "reactive_energy_import_l1": 0x016C,
    "reactive_energy_import_l2": 0x016E,
}
"""52 values of an SDM630, as many as its users commonly read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A meter family as the benchmark uses it."""

    slug: str
    """The built-in profile."""
    values: dict[str, int]
    """Quantity to input register; all are 32-bit floats."""
    max_registers: int
    scales: dict[str, float] = field(default_factory=dict)
    """Value over raw value, where it is not 1."""


SDM120: Final = Model(slug="eastron_sdm120m", values=SDM120_VALUES, max_registers=80)
SDM630: Final = Model(slug="eastron_sdm630", values=SDM630_VALUES, max_registers=80)


@cache
def forty() -> Model:
    """Return a network meter of 40 quantities, a Phoenix Contact EEM-EM377, as its profile describes it."""
    profile = ProfileLibrary(None).load("phoenix_contact_eem_em3xx")
    for register in profile.registers:
        if (register.type, register.span.table) != (RegisterType.FLOAT32, Table.INPUT):
            raise ValueError(f"{register.key} is no 32-bit float in the input table")
    return Model(
        slug=profile.slug,
        values={register.key: register.span.address for register in profile.registers},
        max_registers=profile.max_registers,
        scales={register.key: register.scale for register in profile.registers},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One line with its meters."""

    model: Model
    count: int
    started: float
    """Moment (monotonic) of the meters' first values."""
    baudrate: int = 9600
    bits: int = 10
    turnaround: float = 0.02
    pause: float = 0.0
    """Seconds of silence that the meters want before a request to them."""
    insist_on_silence: bool = True
    transport: Literal["serial", "tcp"] = "serial"
    lively: bool = False
    """Whether every value changes every second, by more than is rounded away."""

    @property
    def units(self) -> range:
        """Unit ids of the meters."""
        return range(1, self.count + 1)

    @property
    def keys(self) -> tuple[str, ...]:
        """Quantities of one meter."""
        return tuple(self.model.values)

    @property
    def timing(self) -> ByteTiming:
        """The line's speed."""
        return ByteTiming(self.baudrate, self.bits)

    @property
    def truth(self) -> Truth:
        """The meters' values."""
        return Truth(self.keys, self.started, lively=self.lively)

    def least_sweep(self) -> LeastTime:
        """The least time in which every value of every meter can be read once; blocks of one meter."""
        one = least_time(
            ((address, 2) for address in self.model.values.values()),
            self.timing,
            self.turnaround,
            max_registers=self.model.max_registers,
            pause=self.pause if self.count == 1 else 0.0,
        )
        return LeastTime(one.seconds * self.count, one.blocks)

    def least_power_round(self, rounds_per_sweep: int) -> float:
        """The least mean time of a round of everybody's power while all else is read once in so many rounds.

        Power alone in all rounds but one of each meter, where it comes with everything else.
        """
        alone = self.count * request_time(2, self.timing, self.turnaround)
        return ((rounds_per_sweep - 1) * alone + self.least_sweep().seconds) / rounds_per_sweep

    def single_reads(self) -> float:
        """The least time of a sweep that asks for every value alone."""
        return (
            self.count * len(self.keys) * request_time(2, self.timing, self.turnaround, self.pause)
        )

    def meters(self) -> list[Meter]:
        """Return the simulated meters; their registers follow the truth at every read."""
        return [
            truthful_meter(
                unit,
                self.truth,
                self.model.values,
                max_registers=self.model.max_registers,
                min_gap=self.pause,
                scales=self.model.scales,
                info={0xFC00: 0, 0xFC01: unit, 0xFC02: 0, 0xFC03: 0},
            )
            for unit in self.units
        ]
