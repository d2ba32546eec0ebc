"""Counters that go on over restarts of a monitor."""

from itertools import pairwise

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.sources.i2c.continuity import WRAP, Continuity


def test_what_a_restart_forgot_is_added_from_then_on() -> None:
    counters = Continuity()
    assert counters.take(1, (1000, 10)) == (1000, 10)
    assert counters.take(2, (900, 10)) == (1000, 10)
    assert counters.take(2, (950, 12)) == (1050, 12)
    assert counters.take(3, (940, 12)) == (1050, 12)


def test_a_fall_without_a_restart_is_passed_on_to_be_judged() -> None:
    counters = Continuity()
    counters.take(1, (1000, 0))
    assert counters.take(1, (900, 0)) == (900, 0)


def test_a_counter_that_is_not_available_at_first_is_still_put_right() -> None:
    counters = Continuity()
    counters.take(1, (1000, None))
    assert counters.take(2, (None, None)) == (None, None)
    assert counters.take(2, (800, None)) == (1000, None)


def test_the_end_of_the_counter_is_no_fall() -> None:
    counters = Continuity()
    counters.take(1, (WRAP - 5, 0))
    assert counters.take(1, (10, 0)) == (WRAP + 10, 0)


def test_a_reset_begins_anew() -> None:
    counters = Continuity()
    counters.take(1, (1000, 0))
    counters.take(2, (900, 0))
    counters.reset()
    assert counters.take(2, (0, 0)) == (0, 0)


@pytest.mark.parametrize("state", [None, 5, [], [[1], None], [["1", 2, 3], [1, -2, 3]], {"a": 1}])
def test_a_broken_state_is_ignored(state: object) -> None:
    assert Continuity(state).take(4, (7, 8)) == (7, 8)


@given(
    st.lists(st.tuples(st.integers(0, 500), st.booleans(), st.integers(0, 300)), max_size=40),
    st.integers(0, 39),
)
def test_the_total_never_falls_and_counts_what_flowed(
    steps: list[tuple[int, bool, int]], restart_at: int
) -> None:
    counters = Continuity()
    boot, raw, seen, lost = 1, 10_000, 10_000, 0
    totals = [counters.take(boot, (raw, 0))[0]]
    for number, (flow, restarts, forgets) in enumerate(steps):
        if restarts:
            boot = boot + 1 & 0xFF
            lost += flow  # What flows while it restarts is seen by nobody but may not be invented.
            raw -= min(forgets, raw)
        else:
            raw += flow
            seen += flow
        if number == restart_at:
            counters = Continuity(counters.state)
        totals.append(counters.take(boot, (raw, 0))[0])
    known = [total for total in totals if total is not None]
    assert all(later >= sooner for sooner, later in pairwise(known))
    assert known[-1] == seen
