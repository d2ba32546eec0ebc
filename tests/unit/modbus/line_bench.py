"""A line in virtual time with simple meters, for tests of the scheduler."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
import struct
from typing import Any, Final

from custom_components.energy_meter.sources.modbus.line import ModbusLine
from custom_components.energy_meter.sources.modbus.meter import MeterConfig
from custom_components.energy_meter.sources.modbus.profile import Profile, Register
from custom_components.energy_meter.sources.modbus.profile_loader import load_profile
from tests.support.recorder import Recorder
from tests.support.virtual_line import VirtualLine, VirtualMeter

HEAD: Final = """
manufacturer: Test
model: Meter
phases: 1
topology: one_phase
transports: [rtu]
serial: {baudrate: 9600, parity: N, stopbits: 1, unit_id: 1}
sources: [none]
confidence: high
confidence_note: for tests
"""

SDM120: Final = (
    HEAD
    + """
modbus: {table: input, max_registers: 80, alignment: 2, strict: false, turnaround: 0.02}
registers:
  - {key: voltage, address: 0, type: float32, unit: V}
  - {key: current, address: 6, type: float32, unit: A}
  - {key: power, address: 12, type: float32, unit: W}
  - {key: apparent_power, address: 18, type: float32, unit: VA}
  - {key: reactive_power, address: 24, type: float32, unit: var}
  - {key: power_factor, address: 30, type: float32}
  - {key: frequency, address: 70, type: float32, unit: Hz}
  - {key: energy_import, address: 72, type: float32, unit: kWh}
  - {key: energy_export, address: 74, type: float32, unit: kWh}
  - {key: reactive_energy_import, address: 76, type: float32, unit: kvarh}
  - {key: reactive_energy_export, address: 78, type: float32, unit: kvarh}
  - {key: energy_total, address: 342, type: float32, unit: kWh}
  - {key: reactive_energy_total, address: 344, type: float32, unit: kvarh}
info:
  - {key: serial_number, address: 64512, table: holding, type: uint32}
  - {key: software_version, address: 64515, table: holding, type: uint16}
"""
)
"""The 13 values of lessons, section 9."""

AT_ONCE: Final = {"fast_interval": 0.0, "counter_interval": 0.0, "slow_interval": 0.0}
POWER: Final = frozenset({"power"})
START: Final = datetime(2026, 3, 1, tzinfo=UTC)


def profile_of(text: str) -> Profile:
    """Return a profile from YAML."""
    return load_profile(text, slug="test", source="test.yaml")


def truth(unit_id: int, register: Register) -> float:
    """The value that a register of a meter holds: it names both."""
    return float(unit_id * 4096 + register.span.address + 1)


def fill(meter: VirtualMeter, profile: Profile) -> VirtualMeter:
    """Let a meter's float registers hold their own names, and its other registers something."""
    for register in profile.registers:
        if register.type.value != "float32":
            continue
        packed = struct.pack(">f", truth(meter.unit_id, register))
        for offset, word in enumerate(struct.unpack(">HH", packed)):
            meter.registers[register.span.table, register.span.address + offset] = word
    for register in profile.info:
        for address in range(register.span.address, register.span.end):
            last = address == register.span.end - 1
            meter.registers[register.span.table, address] = 1000 + meter.unit_id if last else 0
    return meter


@dataclass(slots=True)
class Bench:
    """A running line and all that it said."""

    wire: VirtualLine
    line: ModbusLine
    profile: Profile
    recorder: Recorder = field(default_factory=Recorder)
    sole: bool = True
    began: float = 0.0

    def now(self) -> float:
        """The clock."""
        return asyncio.get_running_loop().time()

    def add(self, unit_id: int, listener: Any = None, **config: Any) -> VirtualMeter:
        """Put a meter on the wire, if there is none, and on the line."""
        meter = self.wire.meters.get(unit_id)
        if meter is None:
            meter = fill(self.wire.add(VirtualMeter(unit_id)), self.profile)
        self.line.add_meter(self.config(unit_id, **config), listener or self.recorder)
        return meter

    def config(self, unit_id: int, **config: Any) -> MeterConfig:
        """How the meter with this unit id is read."""
        values: dict[str, Any] = {
            "meter_id": str(unit_id),
            "profile": self.profile,
            "unit_id": unit_id,
        }
        return MeterConfig(**values | config)

    async def run(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    def times(self, unit_id: int, key: str = "power", *, since: float = 0) -> list[float]:
        """When a quantity was delivered, on the clock."""
        return [
            reading.monotonic
            for reading in self.recorder.readings
            if reading.meter_id == str(unit_id)
            and key in reading.values
            and reading.monotonic >= since
        ]

    def gaps(self, unit_id: int, key: str = "power", *, since: float = 0) -> list[float]:
        """Seconds between two deliveries of a quantity."""
        times = self.times(unit_id, key, since=since)
        return [later - earlier for earlier, later in pairwise(times)]

    def mean_gap(self, units: Iterable[int], key: str = "power", *, since: float = 0) -> float:
        """Mean seconds between two deliveries, over meters."""
        gaps = [gap for unit_id in units for gap in self.gaps(unit_id, key, since=since)]
        return sum(gaps) / len(gaps)

    def check(self) -> int:
        """Check every value ever delivered; return their number."""
        registers: Mapping[str, Register] = {each.key: each for each in self.profile.registers}
        count = 0
        for reading in self.recorder.readings:
            for key, value in reading.values.items():
                assert value == truth(int(reading.meter_id), registers[key]), reading
                count += 1
        return count

    def events(self, unit_id: int) -> list[str]:
        """What was said about a meter, besides values."""
        return [kind for kind, meter_id in self.recorder.events if meter_id == str(unit_id)]


@contextlib.asynccontextmanager
async def bench(
    profile: Profile | None = None,
    *,
    seed: int = 0,
    baudrate: int = 9600,
    prepare: Callable[[Bench], None] | None = None,
    start: bool = True,
) -> AsyncIterator[Bench]:
    """Run a line; what it leaves behind fails the test."""
    loop = asyncio.get_running_loop()
    tasks = asyncio.all_tasks()
    wire = VirtualLine(baudrate, seed=seed)
    began = loop.time()
    with wire.installed():
        made: Bench

        def utc() -> datetime:
            return START + timedelta(seconds=loop.time() - began)

        line = ModbusLine(wire.unit, wire.timing, lambda: made.sole, clock=loop.time, utc=utc)
        made = Bench(wire, line, profile or profile_of(SDM120), began=began)
        if prepare:
            prepare(made)
        if start:
            await line.start()
        try:
            yield made
        finally:
            await line.stop()
            await wire.connection.close()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks
