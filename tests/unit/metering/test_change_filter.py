"""Which changes are worth telling."""

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.metering.change_filter import LONGEST, TOLERANCES, ChangeFilter
from custom_components.energy_meter.model import Kind


def test_noise_is_not_told_and_a_step_is() -> None:
    power = ChangeFilter(Kind.POWER)
    told = [
        power.passes(watts, second) for second, watts in enumerate((1000, 1003, 998, 1007, 1004))
    ]
    assert told == [True, False, False, True, False]


def test_a_creeping_value_is_told_when_it_has_gone_far_enough() -> None:
    voltage = ChangeFilter(Kind.VOLTAGE)
    told = [230 + step / 10 for step in range(21) if voltage.passes(230 + step / 10, step)]
    assert told == pytest.approx([230, 230.6, 231.2, 231.8])


def test_whatever_is_old_is_told() -> None:
    power = ChangeFilter(Kind.POWER)
    assert power.passes(1000, 0)
    assert not power.passes(1001, LONGEST - 1)
    assert power.passes(1001, LONGEST)
    assert not power.passes(1002, LONGEST + 1)


def test_zero_is_told_at_once_and_so_is_what_follows_it() -> None:
    current = ChangeFilter(Kind.CURRENT)
    told = [
        current.passes(amperes, second) for second, amperes in enumerate((0.01, 0.0, 0.0, 0.01))
    ]
    assert told == [True, True, False, True]


def test_none_is_always_told() -> None:
    factor = ChangeFilter(Kind.POWER_FACTOR)
    assert [factor.passes(value, 0) for value in (None, None, 0.9, 0.901, None, 0.9)] == [
        True,
        True,
        True,
        False,
        True,
        True,
    ]


def test_what_was_told_otherwise_counts_from_then_on() -> None:
    power = ChangeFilter(Kind.POWER)
    assert power.passes(1000, 0)
    power.told(500, 1)
    assert power.passes(1000, 2)


def test_kinds_without_noise_tell_everything() -> None:
    assert Kind.ENERGY not in TOLERANCES
    energy = ChangeFilter(Kind.ENERGY)
    assert all(energy.passes(value / 1000, 0) for value in range(5))


@given(
    st.sampled_from(sorted(TOLERANCES)),
    st.lists(st.tuples(st.floats(-1e5, 1e5), st.floats(0, 20)), min_size=1, max_size=60),
)
def test_what_is_shown_is_never_off_by_more_than_the_tolerance_nor_older_than_a_minute(
    kind: Kind, steps: list[tuple[float, float]]
) -> None:
    absolute, relative = TOLERANCES[kind]
    each = ChangeFilter(kind)
    now, shown, at = 0.0, 0.0, 0.0
    for value, pause in steps:
        now += pause
        if each.passes(value, now):
            shown, at = value, now
        assert abs(value - shown) <= absolute + relative * abs(shown) + 1e-9
        assert now - at < LONGEST
