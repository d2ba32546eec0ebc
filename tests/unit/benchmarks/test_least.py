"""The least line time is what the formula says, and no cut into blocks beats it."""

from itertools import combinations, pairwise

from hypothesis import given, strategies as st
import pytest

from benchmarks.least import least_time, request_time
from benchmarks.setting import SDM120, SDM630, Setting
from tests.support.wire import ByteTiming

_LINE = ByteTiming(9600)


def test_one_float_takes_what_the_standard_says() -> None:
    # 8 + 9 characters of 10 bits, 20 ms of turn-around, 3.5 characters of silence
    assert request_time(2, _LINE, 0.02) == pytest.approx((17 + 3.5) * 10 / 9600 + 0.02)


def test_a_meter_that_wants_a_longer_pause_gets_it() -> None:
    assert request_time(2, _LINE, 0.02, 0.05) == pytest.approx(17 * 10 / 9600 + 0.07)


def test_thirty_meters_take_six_seconds_and_52_values_a_third_of_one() -> None:
    thirty = Setting(model=SDM120, count=30, started=0).least_sweep()
    assert thirty.seconds == pytest.approx(6.22, abs=0.01)
    assert thirty.blocks == ((0, 32), (70, 10), (342, 4))
    assert len(SDM120.values) == 13
    assert len(SDM630.values) == 52
    assert Setting(model=SDM630, count=1, started=0).least_sweep().seconds == pytest.approx(
        0.387, abs=0.001
    )


def test_a_value_longer_than_a_request_may_be_is_an_error() -> None:
    with pytest.raises(ValueError, match="longer than a request"):
        least_time([(0, 20)], _LINE, 0.02, max_registers=10)


@given(
    st.lists(st.integers(0, 150), min_size=1, max_size=7, unique=True),
    st.sampled_from([2400, 9600, 38400]),
    st.floats(0, 0.1),
)
def test_no_other_cut_takes_less(addresses: list[int], baudrate: int, turnaround: float) -> None:
    timing = ByteTiming(baudrate)
    spans = sorted((2 * address, 2) for address in addresses)
    found = least_time(spans, timing, turnaround, max_registers=60)
    every = []
    for cuts in range(len(spans)):
        for places in combinations(range(1, len(spans)), cuts):
            groups = [spans[a:b] for a, b in pairwise([0, *places, len(spans)])]
            counts = [sum(group[-1]) - group[0][0] for group in groups]
            if max(counts) <= 60:
                every.append(sum(request_time(count, timing, turnaround) for count in counts))
    assert found.seconds == pytest.approx(min(every))
    for address, count in spans:
        assert any(
            start <= address and address + count <= start + length for start, length in found.blocks
        )
    assert all(length <= 60 for _, length in found.blocks)
