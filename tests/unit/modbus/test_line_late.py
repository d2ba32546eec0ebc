"""Late, queued, doubled and damaged replies over thousands of requests: never a wrong value."""

from collections.abc import Callable, Coroutine
import contextlib
import random
from typing import Any

from modbus_connection import ModbusError, ModbusUnit
import pytest

from custom_components.energy_meter.sources.modbus.profile import Table
from tests.support.frames import Adu
from tests.support.virtual_line import VirtualMeter
from tests.support.virtual_time import run_virtual

from .line_bench import AT_ONCE, HEAD, POWER, Bench, bench, profile_of

EQUAL_BLOCKS = (
    HEAD
    + """
modbus: {table: input, max_registers: 4, strict: true, turnaround: 0.02}
registers:
  - {key: power, address: 0, type: float32, unit: W}
  - {key: voltage, address: 100, type: float32, unit: V}
  - {key: current, address: 200, type: float32, unit: A}
  - {key: energy_import, address: 300, type: float32, unit: kWh}
  - {key: energy_export, address: 400, type: float32, unit: kWh}
  - {key: frequency, address: 500, table: holding, type: float32, unit: Hz}
"""
)
"""The hardest map: all blocks of one length, and no other length that the meter would allow."""


def late_by(source: random.Random, share: float, longest: float) -> Callable[[], float]:
    """Return turn-arounds of which some are far too long."""
    return lambda: (
        source.uniform(0.1, longest) if source.random() < share else source.uniform(0.012, 0.03)
    )


def hurt(source: random.Random, share: float) -> Callable[[Adu, bytes], bytes]:
    """Return what a bad line does to a share of the replies."""

    def damage(_: Adu, frame: bytes) -> bytes:
        if source.random() >= share:
            return frame
        place = source.randrange(len(frame))
        noise = source.randbytes(source.randrange(1, 5))
        return source.choice(
            [
                frame[:place]
                + bytes([frame[place] ^ 1 << source.randrange(8)])
                + frame[place + 1 :],
                frame[:place],
                noise + frame,
                frame + noise,
                b"",
                frame + frame,
            ]
        )

    return damage


def once(seconds: float) -> Callable[[], float]:
    """Return turn-arounds of which the first is too long."""
    left = [seconds]
    return lambda: left.pop() if left else 0.02


def read(address: int, count: int) -> Callable[[ModbusUnit], Coroutine[Any, Any, list[int]]]:
    """Return a question that somebody else may put to a meter."""

    async def ask(unit: ModbusUnit) -> list[int]:
        return await unit.read_input_registers(address, count)

    return ask


async def soak(
    line: Bench,
    *,
    seconds: float,
    late: float,
    longest: float,
    bad: float,
    meters: int,
    **config: object,
) -> None:
    source = line.wire.random
    line.wire.damage = hurt(source, bad)
    for unit in range(1, meters + 1):
        meter = line.add(unit, **config)
        meter.queues = True
        meter.turnaround = late_by(source, late, longest)
        meter.exception = lambda: source.choice([2, 3, 4]) if source.random() < bad / 5 else None
    await line.run(seconds)


@pytest.mark.parametrize("seed", range(6))
def test_a_queueing_meter_on_a_bad_line_never_has_a_value_published_under_another_name(
    seed: int,
) -> None:
    async def run() -> None:
        async with bench(seed=seed) as line:
            await soak(
                line, seconds=150, late=0.03, longest=2.5, bad=0.04, meters=3,
                fast_keys=POWER, **AT_ONCE,
            )  # fmt: skip
            assert line.check() > 1000

    run_virtual(run())


@pytest.mark.parametrize("seed", range(4))
def test_it_holds_where_a_third_of_the_replies_is_late_by_up_to_ten_seconds(seed: int) -> None:
    async def run() -> None:
        async with bench(seed=seed) as line:
            await soak(line, seconds=600, late=0.33, longest=10, bad=0.05, meters=2, **AT_ONCE)
            assert line.check() > 100

    run_virtual(run())


@pytest.mark.parametrize("seed", range(4))
def test_it_holds_for_a_strict_meter_whose_blocks_are_all_of_one_length(seed: int) -> None:
    async def run() -> None:
        async with bench(profile_of(EQUAL_BLOCKS), seed=seed) as line:
            await soak(line, seconds=600, late=0.05, longest=3, bad=0.03, meters=2, **AT_ONCE)
            assert line.check() > 300

    run_virtual(run())


def test_a_late_exception_is_not_taken_for_a_refusal_of_another_block() -> None:
    async def run() -> None:
        async with bench() as line:
            meter = line.add(1, **AT_ONCE)
            meter.queues = True
            line.add(2)
            await line.run(20)
            meter.turnaround = once(0.7)
            code = [2]
            meter.exception = lambda: code.pop() if code else None
            await line.run(60)
            assert line.line.health.meters["1"].refused == ()
            assert line.line.memory("1").keys() == {"turnaround"}
            assert line.recorder.events == []
            line.check()

    run_virtual(run())


def test_after_a_late_reply_the_meter_is_in_step_again_within_seconds() -> None:
    async def run() -> None:
        async with bench() as line:
            meter = line.add(1, fast_keys=POWER, **AT_ONCE)
            meter.queues = True
            line.add(2, fast_keys=POWER, **AT_ONCE)
            await line.run(20)
            for lateness in (0.2, 0.5, 1.0, 1.5):
                meter.turnaround = once(lateness)
                began = line.now()
                await line.run(10)
                assert max(line.gaps(1, since=began - 0.3)) < lateness + 1.5
                assert max(line.gaps(2, since=began - 0.3)) < 1.2
                assert line.line.timings("1")["in_step"]
            assert line.recorder.events == []
            line.check()

    run_virtual(run())


def test_a_meter_that_says_everything_twice_is_never_misread() -> None:
    async def run() -> None:
        async with bench() as line:
            line.add(1, **AT_ONCE)
            line.wire.damage = lambda _, frame: frame + frame
            await line.run(60)
            line.check()

    run_virtual(run())


def test_a_lost_request_to_somebody_else_protects_polling_too() -> None:
    """A question of the search that timed out may be answered while the meter is being polled."""

    async def run() -> None:
        async with bench(seed=3) as line:
            meter = line.add(1, **AT_ONCE)
            meter.queues = True
            for address in range(600, 640):
                meter.registers[Table.INPUT, address] = 0x4AAA
            for _ in range(60):
                await line.run(0.5)
                meter.turnaround = late_by(line.wire.random, 0.5, 0.6)
                for count in (2, 14, 10, 4, 32):
                    with contextlib.suppress(TimeoutError, ModbusError):
                        await line.line.request(1, read(600, count), timeout=0.15)
                meter.turnaround = lambda: 0.02
            line.check()

    run_virtual(run())


def test_values_are_never_older_than_the_lateness_of_the_meter() -> None:
    """Each value is the reply number at which the meter gave it: what is accepted was just given."""

    async def run() -> None:
        async with bench(seed=5) as line:
            source = line.wire.random
            given: dict[float, float] = {}
            ages: list[float] = []

            def count(meter: VirtualMeter, table: Table, address: int, size: int) -> None:
                number = len(given) % 60000
                # A float whose high word is fixed and whose low word counts: 4096 + number / 128 or so.
                meter.registers[Table.INPUT, 12] = 0x4580
                meter.registers[Table.INPUT, 13] = number
                given[float(number)] = line.now()

            meter = line.add(1, fast_keys=POWER, wanted=POWER, **AT_ONCE)
            line.add(2, fast_keys=POWER, **AT_ONCE)
            meter.queues = True
            meter.before_read = count
            meter.turnaround = late_by(source, 0.05, 2.0)
            await line.run(200)
            for reading in line.recorder.readings:
                if reading.meter_id != "1":
                    continue
                value = reading.values["power"]
                assert value is not None
                number = round((value - 4096) * 2048)
                ages.append(reading.monotonic - given[float(number)])
            assert len(ages) > 300
            assert max(ages) < 2.5

    run_virtual(run())
