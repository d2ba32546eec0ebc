"""When a meter's groups are due, and how meters share rounds."""

import itertools

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.sources.modbus.breaker import FAILURES, HOLD, Breaker
from custom_components.energy_meter.sources.modbus.health import Counters, Load
from custom_components.energy_meter.sources.modbus.schedule import (
    ROUNDS,
    Group,
    Schedule,
    phase_of,
    slots,
)

FAST, COUNTER, SLOW, INFO = Group.FAST, Group.COUNTER, Group.SLOW, Group.INFO
USUAL = {FAST: 5.0, COUNTER: 30.0, SLOW: 60.0}
AT_ONCE = {FAST: 0.0, COUNTER: 0.0, SLOW: 0.0}


def run(
    schedule: Schedule, now: float, until: float, cost: float = 0.1
) -> list[tuple[float, frozenset[Group]]]:
    turns = []
    while now < until:
        groups = schedule.due(now)
        if not groups:
            now = max(schedule.next_at, now)
            continue
        turns.append((now, groups))
        schedule.begun(groups, now)
        now += cost
    return turns


@given(st.floats(0, 0.999), st.sampled_from([2.0, 5.0, 7.0, 45.0]))
def test_every_group_comes_at_its_interval(phase: float, fast: float) -> None:
    schedule = Schedule({**USUAL, FAST: fast}, [FAST, COUNTER, SLOW], now=100, phase=phase)
    turns = [turn for turn in run(schedule, 100, 700) if turn[0] > 230]
    for group, interval in ((FAST, fast), (COUNTER, 30.0), (SLOW, 60.0)):
        times = [at for at, groups in turns if group in groups]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert sum(gaps) / len(gaps) == pytest.approx(interval, rel=0.15)
        assert max(gaps) <= interval + fast / 2 + 0.2


def test_slow_groups_ride_along_with_the_fast_one() -> None:
    schedule = Schedule(USUAL, [FAST, COUNTER, SLOW], now=0, phase=0.37)
    turns = [groups for at, groups in run(schedule, 0, 600) if at > 60]
    assert all(FAST in groups for groups in turns)


def test_the_first_turn_reads_the_fast_group_only() -> None:
    schedule = Schedule(USUAL, [FAST, COUNTER, SLOW, INFO], now=0)
    first, second, *_ = run(schedule, 0, 10)
    assert first == (0, frozenset({FAST}))
    assert second[1] >= {COUNTER, SLOW, INFO}


@pytest.mark.parametrize("slot", [0, 4, 9])
def test_in_rounds_slow_groups_come_with_every_tenth_fast_turn(slot: int) -> None:
    schedule = Schedule(AT_ONCE, [FAST, COUNTER, SLOW], now=0, slot=slot)
    turns = [groups for _, groups in run(schedule, 0, 10)]
    slow = [number for number, groups in enumerate(turns) if SLOW in groups]
    assert slow[0] == max(ROUNDS - 1 - slot, 1)
    assert {later - earlier for earlier, later in itertools.pairwise(slow)} == {ROUNDS}


def test_without_anything_fast_the_rest_still_comes() -> None:
    schedule = Schedule(AT_ONCE, [COUNTER], now=0)
    assert len(run(schedule, 0, 10)) == pytest.approx(10, abs=2)


def test_times_that_were_missed_are_counted_and_not_caught_up() -> None:
    schedule = Schedule(USUAL, [FAST], now=0)
    schedule.begun(schedule.due(0), 0)
    assert schedule.begun(schedule.due(23), 23) == 3
    assert schedule.next_at == pytest.approx(25)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=60))
def test_rounds_are_filled_evenly(costs: list[float]) -> None:
    loads = [0.0] * ROUNDS
    for cost, slot in zip(costs, slots(costs), strict=True):
        loads[slot] += cost
    assert max(loads) - min(loads) <= max(costs) + 1e-9


@pytest.mark.parametrize("count", [2, 3, 5, 8, 10, 30])
def test_phases_of_any_number_of_meters_are_apart(count: int) -> None:
    phases = sorted(phase_of(index) for index in range(count))
    gaps = [
        later - earlier for earlier, later in zip(phases, [*phases[1:], phases[0] + 1], strict=True)
    ]
    assert min(gaps) > 0.35 / count


def test_a_breaker_opens_by_count_and_by_time() -> None:
    quick = Breaker()
    quick.answered(0)
    assert not any(quick.failed(0.1 * number) for number in range(1, 2 * FAILURES))
    assert quick.failed(HOLD + 0.1)
    slow = Breaker()
    slow.answered(0)
    assert [slow.failed(100.0 * number) for number in range(1, FAILURES + 2)] == [
        *[False] * (FAILURES - 1),
        True,
        False,
    ]


def test_pauses_double_from_half_a_second_to_a_minute_and_start_over_with_an_answer() -> None:
    breaker = Breaker()
    pauses = []
    for _ in range(10):
        breaker.failed(0)
        pauses.append(breaker.try_at)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    breaker.answered(1)
    breaker.failed(2)
    assert breaker.try_at == 2.5


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=200, max_size=300))
def test_the_load_is_the_share_of_busy_time_of_late(times: list[tuple[float, float]]) -> None:
    load, now, busy = Load(), 50.0, 0.0
    assert load.share(now) is None
    began = now
    for work, rest in times:
        load.busy(now, now + work)
        now += work + rest
        busy += work
    share = load.share(now)
    if now == began:
        return
    assert share is not None
    assert 0 <= share <= 1
    if now - began > 100:
        assert share == pytest.approx(busy / (now - began), abs=0.15)


def test_the_error_rate_looks_back_over_some_fifty_requests() -> None:
    counters = Counters()
    for _ in range(100):
        counters.sent(failed=False)
    for _ in range(50):
        counters.sent(failed=True, timeout=True)
    assert counters.error_rate == pytest.approx(0.63, abs=0.02)
    assert (counters.requests, counters.errors, counters.timeouts) == (150, 50, 50)
