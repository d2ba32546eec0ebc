"""Durations on a line, the learned turn-around, and waiting no longer than worth it."""

import asyncio
import time

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.sources.modbus.profile import Table
from custom_components.energy_meter.sources.modbus.timing import (
    FULL_WAIT_EVERY,
    PATIENCE_FLOOR,
    LineTiming,
    Turnaround,
    data_bytes,
    within,
)
from tests.support.virtual_time import run_virtual


@pytest.mark.parametrize(
    ("settings", "milliseconds"),
    [((9600, 8, "N", 1), 1.0417), ((9600, 8, "E", 1), 1.1458), ((2400, 7, "O", 2), 4.5833)],
)
def test_a_character_has_a_start_bit_its_data_parity_and_stop_bits(
    settings: tuple[int, int, str, int], milliseconds: float
) -> None:
    assert LineTiming.serial(*settings).character * 1000 == pytest.approx(milliseconds, abs=1e-4)


def test_the_silence_is_three_and_a_half_characters_but_not_below_1_75_ms() -> None:
    assert LineTiming.serial(9600, 8, "N", 1).silence == pytest.approx(0.003646, abs=1e-6)
    assert LineTiming.serial(115200, 8, "N", 1).silence == 0.00175


def test_the_budget_of_lessons_section_2_is_met() -> None:
    """One float and 80 registers at three speeds, 20 ms turn-around."""
    for baudrate, one, eighty in ((2400, 0.123, 0.77), (9600, 0.046, 0.21), (19200, 0.033, 0.11)):
        timing = LineTiming.serial(baudrate, 8, "N", 1)
        overhead = timing.request_overhead(0.02)
        for count, seconds in ((2, one), (80, eighty)):
            total = overhead + timing.byte * data_bytes(Table.HOLDING, count)
            assert total == pytest.approx(seconds, rel=0.15)


def test_bits_are_eight_to_a_byte() -> None:
    assert [data_bytes(Table.COIL, count) for count in (1, 8, 9)] == [1, 1, 2]
    assert data_bytes(Table.HOLDING, 3) == 6
    assert data_bytes(Table.INPUT, 3, 4) == 12


@given(st.sampled_from([300, 1200, 2400, 9600, 115200]), st.integers(1, 125), st.floats(0, 5))
def test_the_link_waits_for_the_longest_answer_within_one_and_three_seconds(
    baudrate: int, registers: int, turnaround: float
) -> None:
    timing = LineTiming.serial(baudrate, 8, "N", 1)
    timeout = timing.link_timeout(registers, turnaround)
    assert 1 <= timeout <= 3
    if timeout < 3:
        assert timeout >= timing.frames(Table.HOLDING, registers) + 4 * turnaround


@given(st.lists(st.floats(0, 2), min_size=1, max_size=50))
def test_patience_never_leaves_its_bounds_and_covers_what_was_just_seen(times: list[float]) -> None:
    learned = Turnaround(0.05, floor=PATIENCE_FLOOR, ceiling=1.0)
    for seconds in times:
        learned.note(seconds)
        assert PATIENCE_FLOOR <= learned.patience <= 1.0
        assert learned.patience >= min(1.5 * seconds, 1.0)


def test_a_steady_meter_is_waited_for_four_turn_arounds() -> None:
    learned = Turnaround(0.3, floor=PATIENCE_FLOOR, ceiling=1.0)
    for _ in range(200):
        learned.note(0.1)
    assert learned.mean == pytest.approx(0.1)
    assert learned.patience == pytest.approx(0.4)


def test_time_outs_lengthen_the_patience_twice_and_now_and_then_to_the_full() -> None:
    learned = Turnaround(0.02, floor=0.05, ceiling=1.0)
    waits = []
    for _ in range(2 * FULL_WAIT_EVERY):
        waits.append(round(learned.patience, 3))
        learned.missed()
    assert waits == [0.08, 0.16, 0.32, 1.0, 0.32, 0.32, 0.32, 1.0]
    learned.answered()
    assert learned.patience == pytest.approx(0.08)


def test_within_gives_the_result_or_the_error_or_a_time_out() -> None:
    async def answer(seconds: float, value: int) -> int:
        await asyncio.sleep(seconds)
        if value < 0:
            raise ValueError(value)
        return value

    async def run() -> None:
        assert await within(answer(0, 1), None) == 1
        assert await within(answer(0.5, 2), 1) == 2
        with pytest.raises(ValueError, match="-1"):
            await within(answer(0.5, -1), 1)
        began = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            await within(answer(5, 3), 1)
        assert asyncio.get_running_loop().time() - began == pytest.approx(1, abs=0.01)

    run_virtual(run())


def test_within_starts_its_clock_when_the_port_is_open() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()

        async def answer() -> int:
            await asyncio.sleep(3)
            return 1

        def opened() -> bool:
            return loop.time() - began > 2.5

        assert await within(answer(), 1, begun=opened, opening=10) == 1
        with pytest.raises(TimeoutError):
            await within(answer(), 1, begun=lambda: False, opening=1)

    run_virtual(run())


def test_within_leaves_nothing_running_when_it_is_cancelled() -> None:
    ended: list[str] = []

    async def answer() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            ended.append("answer")

    async def run() -> None:
        task = asyncio.create_task(within(answer(), 50))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == ["answer"]

    run_virtual(run())


async def test_an_answer_that_came_while_the_loop_was_blocked_is_not_thrown_away() -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[int] = loop.create_future()

    async def answer() -> int:
        return await future

    def block() -> None:
        time.sleep(0.08)
        # The answer was received meanwhile; the loop learns of it after the timer.
        loop.call_later(0.001, future.set_result, 7)

    loop.call_later(0.005, block)
    assert await within(answer(), 0.03) == 7
