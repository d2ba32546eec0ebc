"""The line against pymodbus meters on a line that goes wrong: nothing false is delivered, and it recovers.

Every value that the meters give names its meter, quantity and moment (`tests.support.truth`), so "no wrong value" is
checked for each delivered number and not by sample.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
import contextlib
from dataclasses import dataclass, field
import time
from typing import Literal

from modbus_connection import ModbusSerialParams, ModbusTcpParams
from modbus_connection.tmodbus import ModbusConnection
import pytest

from custom_components.energy_meter.sources.modbus.line import ModbusLine
from custom_components.energy_meter.sources.modbus.meter import MeterConfig
from custom_components.energy_meter.sources.modbus.profile import Profile
from custom_components.energy_meter.sources.modbus.profile_loader import load_profile
from custom_components.energy_meter.sources.modbus.timing import LineTiming
from tests.support.frames import Adu
from tests.support.recorder import Recorder
from tests.support.truth import STEP, Truth, truthful_meter
from tests.support.wire import (
    Fault,
    FaultKind,
    RandomFaults,
    Wire,
    rtu_line,
    rtu_over_tcp_line,
    tcp_line,
)

type Transport = Literal["pty", "tcp", "rtu_over_tcp"]

pytestmark = pytest.mark.usefixtures("socket_enabled")

_BAUDRATE = 115200
_ADDRESSES: Mapping[str, int] = {
    "voltage": 0,
    "current": 2,
    "power": 4,
    # Blocks of their own, and of equal length: what late replies are most easily mistaken for.
    "energy_import": 200,
    "energy_export": 400,
    "frequency": 600,
}
_PROFILE_TEXT = """
manufacturer: Test
model: Faults
phases: 1
topology: one_phase
transports: [rtu, tcp]
serial: {baudrate: 9600, parity: N, stopbits: 1, unit_id: 1}
modbus: {table: input, max_registers: 40, strict: false, turnaround: 0.003}
registers:
  - {key: voltage, address: 0, type: float32, unit: V}
  - {key: current, address: 2, type: float32, unit: A}
  - {key: power, address: 4, type: float32, unit: W}
  - {key: energy_import, address: 200, type: float32, unit: kWh}
  - {key: energy_export, address: 400, type: float32, unit: kWh}
  - {key: frequency, address: 600, type: float32, unit: Hz}
sources: [none]
confidence: high
confidence_note: for tests
"""


@pytest.fixture(scope="module")
def profile() -> Profile:
    return load_profile(_PROFILE_TEXT, slug="faults", source="faults.yaml")


@dataclass(slots=True)
class _Bench:
    """A running line, its meters and what it delivered."""

    wire: Wire
    truth: Truth
    profile: Profile
    connection: ModbusConnection
    timing: LineTiming
    recorder: Recorder = field(default_factory=Recorder)
    line: ModbusLine = field(init=False)

    def new_line(self, *, interval: float = 0.06) -> None:
        self.line = ModbusLine(self.connection.for_unit, self.timing, lambda: True)
        for unit in self.wire.meters:
            config = MeterConfig(
                meter_id=str(unit),
                profile=self.profile,
                unit_id=unit,
                fast_interval=interval,
                counter_interval=2 * interval,
                slow_interval=3 * interval,
            )
            self.line.add_meter(config, self.recorder)

    def fresh(self, unit: int) -> int:
        return sum(reading.meter_id == str(unit) for reading in self.recorder.readings)

    async def all_deliver(self, *units: int, timeout: float = 5) -> float:
        """Wait until every value of these meters (or all) has come anew; return the seconds."""
        mark = len(self.recorder.readings)

        def everything() -> bool:
            seen = {
                (reading.meter_id, key)
                for reading in self.recorder.readings[mark:]
                for key in reading.values
            }
            return all(
                (str(unit), key) in seen for unit in units or self.wire.meters for key in _ADDRESSES
            )

        return await self.recorder.until(everything, timeout=timeout)

    def check_truth(self, *, oldest: float = 1.0) -> None:
        """Every delivered value was the meter's own, and not older than `oldest` seconds."""
        for reading in self.recorder.readings:
            for key, value in reading.values.items():
                assert isinstance(value, float)
                age = self.truth.age(int(reading.meter_id), key, value, reading.monotonic)
                assert age is not None, f"{key} of {reading.meter_id} was never {value}"
                assert age <= oldest + STEP, f"{key} of {reading.meter_id} was {age} s old"


@contextlib.asynccontextmanager
async def _bench(
    profile: Profile, transport: Transport = "pty", *, meters: int = 3, interval: float = 0.06
) -> AsyncIterator[_Bench]:
    truth = Truth(tuple(_ADDRESSES), time.monotonic())
    served = [truthful_meter(unit, truth, _ADDRESSES) for unit in range(1, meters + 1)]
    async with contextlib.AsyncExitStack() as stack:
        params: ModbusSerialParams | ModbusTcpParams
        match transport:
            case "pty":
                wire = await stack.enter_async_context(rtu_line(served, turnaround=0.003))
                params = ModbusSerialParams(device=wire.path, baudrate=_BAUDRATE)
            case "rtu_over_tcp":
                wire = await stack.enter_async_context(rtu_over_tcp_line(served))
                params = ModbusSerialParams(
                    device=f"socket://127.0.0.1:{wire.port}", baudrate=_BAUDRATE
                )
            case "tcp":
                wire = await stack.enter_async_context(tcp_line(served))
                params = ModbusTcpParams(host="127.0.0.1", port=wire.port)
        connection = ModbusConnection(params)
        stack.push_async_callback(connection.close)
        timing = (
            LineTiming.network() if transport == "tcp" else LineTiming.serial(_BAUDRATE, 8, "N", 1)
        )
        bench = _Bench(wire, truth, profile, connection, timing)
        bench.new_line(interval=interval)
        await bench.line.start()
        try:
            yield bench
        finally:
            await bench.line.stop()


@pytest.mark.parametrize("transport", ["pty", "tcp", "rtu_over_tcp"])
async def test_a_healthy_line_delivers_everything_of_every_meter(
    profile: Profile, transport: Transport
) -> None:
    async with _bench(profile, transport) as bench:
        await bench.all_deliver()
        await bench.all_deliver()
        bench.check_truth()
        assert bench.recorder.events in ([], [("back", "1"), ("back", "2"), ("back", "3")])
        assert bench.line.health.connected
        assert bench.line.health.errors == 0


_FAULTS = (
    Fault(FaultKind.LOSE_REQUEST),
    Fault(FaultKind.DROP),
    Fault(FaultKind.CORRUPT),
    Fault(FaultKind.TRUNCATE),
    Fault(FaultKind.NOISE_BEFORE),
    Fault(FaultKind.NOISE_AFTER),
    Fault(FaultKind.TWICE),
    Fault(FaultKind.EXCEPTION, code=4),
    Fault(FaultKind.EXCEPTION, code=6),
    Fault(FaultKind.DELAY, seconds=0.04),
    Fault(FaultKind.DELAY, seconds=0.4),
)
_ELSEWHERE: Mapping[Transport, tuple[FaultKind, ...]] = {
    "tcp": (FaultKind.DROP, FaultKind.CORRUPT, FaultKind.TRUNCATE, FaultKind.DELAY),
    "rtu_over_tcp": (FaultKind.DROP, FaultKind.CORRUPT, FaultKind.NOISE_BEFORE),
}
"""Faults that another transport gives another face."""


@pytest.mark.parametrize(
    ("transport", "fault"),
    [("pty", fault) for fault in _FAULTS]
    + [
        (transport, fault)
        for transport, kinds in _ELSEWHERE.items()
        for fault in _FAULTS
        if fault.kind in kinds
    ],
    ids=lambda value: (
        f"{value.kind.value}-{value.code}-{value.seconds}" if isinstance(value, Fault) else value
    ),
)
async def test_one_fault_costs_one_reading_at_most(
    profile: Profile, transport: Transport, fault: Fault
) -> None:
    async with _bench(profile, transport, meters=2) as bench:
        await bench.all_deliver()
        bench.wire.inject(fault, unit=2)
        await bench.recorder.until(
            lambda: any(one.fault == fault.kind.value for one in bench.wire.log), timeout=2
        )
        await bench.all_deliver()
        bench.check_truth()
        assert ("silent", "1") not in bench.recorder.events
        assert ("silent", "2") not in bench.recorder.events


@pytest.mark.parametrize("transport", ["pty", "tcp"])
async def test_a_storm_of_faults_brings_no_wrong_value_and_passes(
    profile: Profile, transport: Transport
) -> None:
    async with _bench(profile, transport) as bench:
        await bench.all_deliver()
        bench.wire.faults = RandomFaults(
            7,
            [
                (0.05, Fault(FaultKind.CORRUPT)),
                (0.05, Fault(FaultKind.TRUNCATE)),
                (0.05, Fault(FaultKind.NOISE_BEFORE)),
                (0.05, Fault(FaultKind.NOISE_AFTER)),
                (0.05, Fault(FaultKind.DROP)),
                (0.03, Fault(FaultKind.TWICE)),
                (0.03, Fault(FaultKind.EXCEPTION, code=6)),
            ],
        )
        await asyncio.sleep(1.5)
        bench.wire.faults = None
        await bench.all_deliver()
        bench.check_truth()
        assert bench.line.health.errors > 0
        assert bench.line.health.retries > 0


@pytest.mark.parametrize("seconds", [0.1, 0.3])
async def test_late_replies_of_a_meter_that_queues_are_never_taken_for_others(
    profile: Profile, seconds: float
) -> None:
    async with _bench(profile) as bench:
        await bench.all_deliver()
        bench.wire.faults = RandomFaults(
            11, [(0.15, Fault(FaultKind.DELAY, seconds=seconds))], units=[1, 2]
        )
        await asyncio.sleep(1.5)
        bench.wire.faults = None
        await bench.all_deliver()
        assert bench.wire.statistics().faults["delay"] >= 3
        bench.check_truth(oldest=seconds + 0.5)


async def test_a_silent_meter_is_reported_once_and_its_neighbours_keep_their_pace(
    profile: Profile,
) -> None:
    async with _bench(profile) as bench:
        await bench.all_deliver()
        bench.wire.silence(2)
        await bench.recorder.until(lambda: ("silent", "2") in bench.recorder.events, timeout=6)
        before = bench.fresh(1)
        # If the silent meter held the others up, this took a link time-out of a second for each.
        await bench.recorder.until(lambda: bench.fresh(1) - before >= 10, timeout=4)
        assert bench.recorder.events.count(("silent", "2")) == 1
        assert not {("silent", "1"), ("silent", "3")} & set(bench.recorder.events)
        mark = len(bench.recorder.events)
        bench.wire.revive(2)
        # The pause between two tries has grown to a few seconds by now.
        await bench.recorder.until(lambda: ("back", "2") in bench.recorder.events[mark:], timeout=8)
        await bench.all_deliver(2)
        bench.check_truth()


@pytest.mark.parametrize("transport", ["pty", "tcp"])
async def test_an_unplugged_adapter_takes_all_down_and_its_return_brings_all_back(
    profile: Profile, transport: Transport
) -> None:
    async with _bench(profile, transport) as bench:
        await bench.all_deliver()
        bench.wire.unplug()
        gone = {("silent", str(unit)) for unit in bench.wire.meters}
        await bench.recorder.until(lambda: gone <= set(bench.recorder.events), timeout=8)
        assert not bench.line.health.connected
        delivered = len(bench.recorder.readings)
        await asyncio.sleep(0.3)
        assert len(bench.recorder.readings) == delivered
        bench.wire.plug()
        assert await bench.all_deliver(timeout=3) < 2
        back = [meter for event, meter in bench.recorder.events if event == "back"]
        assert sorted(back[-3:]) == ["1", "2", "3"]
        for meter in ("1", "2", "3"):
            assert bench.recorder.events.count(("silent", meter)) == 1
        bench.check_truth()


async def test_stopping_in_the_middle_of_a_request_leaves_nothing_and_a_new_line_goes_on(
    profile: Profile,
) -> None:
    async with _bench(profile) as bench:
        await bench.all_deliver()
        bench.wire.inject(Fault(FaultKind.DELAY, seconds=0.2), unit=2)
        await bench.recorder.until(
            lambda: any(one.fault == "delay" for one in bench.wire.log), timeout=2
        )
        await bench.line.stop()
        stopped = len(bench.recorder.readings)
        await asyncio.sleep(0.1)
        assert len(bench.recorder.readings) == stopped
        # The late reply comes while the new line asks the same meter already.
        bench.new_line()
        await bench.line.start()
        await bench.all_deliver()
        bench.check_truth()


async def test_noise_and_foreign_talk_between_requests_do_no_harm(profile: Profile) -> None:
    async with _bench(profile) as bench:
        await bench.all_deliver()
        for turn in range(10):
            bench.wire.send_stray(bytes([0xFF, 0x00, turn]))
            await asyncio.sleep(0.03)
            # Another master asks for the power of unit 2, and 7 W is the answer for this address of another table.
            bench.wire.foreign_exchange(
                Adu(2, bytes([3, 0, 4, 0, 2])), Adu(2, bytes([3, 4, 0x40, 0xE0, 0, 0]))
            )
            await asyncio.sleep(0.03)
        await bench.all_deliver()
        bench.check_truth()


async def test_no_request_comes_before_the_silence_that_meters_insist_on(profile: Profile) -> None:
    async with _bench(profile) as bench:
        bench.wire.insist_on_silence = True
        await bench.all_deliver()
        await bench.all_deliver()
        assert "no_silence" not in bench.wire.statistics().faults


async def test_a_request_from_elsewhere_waits_its_turn_and_polling_goes_on(
    profile: Profile,
) -> None:
    async with _bench(profile) as bench:
        await bench.all_deliver()
        words = await bench.line.request(
            3, lambda unit: unit.read_input_registers(200, 2), timeout=0.5
        )
        expected = [
            list(bench.truth.words(3, "energy_import", bench.truth.step(time.monotonic()) - back))
            for back in (0, 1)
        ]
        assert words in expected
        with pytest.raises(TimeoutError):
            await bench.line.request(99, lambda unit: unit.read_input_registers(0, 2), timeout=0.1)
        await bench.all_deliver()
        bench.check_truth()
