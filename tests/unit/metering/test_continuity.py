"""Counters that go on over restarts of a meter."""

from itertools import pairwise
import json

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.metering.continuity import Continuity

IMPORT = "energy_import"


def test_what_a_restart_forgot_is_added_from_then_on() -> None:
    counters = Continuity()
    assert counters.take(IMPORT, 1, 10.0) == 10.0
    assert counters.take(IMPORT, 2, 9.0) == 10.0
    assert counters.take(IMPORT, 2, 9.5) == 10.5
    assert counters.take(IMPORT, 3, 9.4) == 10.5


def test_a_fall_without_a_restart_is_passed_on_to_be_judged() -> None:
    counters = Continuity()
    counters.take(IMPORT, 1, 10.0)
    assert counters.take(IMPORT, 1, 9.0) == 9.0


def test_what_flowed_while_the_link_was_down_counts_though_the_meter_has_restarted() -> None:
    counters = Continuity()
    counters.take(IMPORT, 1, 10.0)
    assert counters.take(IMPORT, 7, 12.5) == 12.5


def test_each_counter_goes_on_for_itself() -> None:
    counters = Continuity()
    counters.take(IMPORT, 1, 10.0)
    assert counters.take("energy_export", 2, 3.0) == 3.0
    assert counters.take(IMPORT, 2, 8.0) == 10.0
    assert counters.take("energy_export", 2, 3.5) == 3.5


@pytest.mark.parametrize(
    "state",
    [
        None,
        5,
        [],
        {IMPORT: None},
        {IMPORT: [1]},
        {IMPORT: ["1", 2, 3]},
        {IMPORT: [1, 20.0, -2]},
        {IMPORT: [1, 20.0, float("inf")]},
        {IMPORT: [1, float("nan"), 0]},
    ],
)
def test_a_broken_state_is_ignored(state: object) -> None:
    assert Continuity(state).take(IMPORT, 4, 7.0) == 7.0


@given(
    st.lists(
        st.tuples(st.floats(0, 5), st.booleans(), st.floats(0, 3)),
        max_size=40,
    ),
    st.integers(0, 39),
)
def test_the_total_never_falls_and_counts_what_flowed(
    steps: list[tuple[float, bool, float]], restart_at: int
) -> None:
    counters = Continuity()
    start, raw, seen = 1, 100.0, 100.0
    totals = [counters.take(IMPORT, start, raw)]
    for number, (flow, restarts, forgets) in enumerate(steps):
        if restarts:
            start = start + 1 & 0xFF
            raw -= min(forgets, raw)
        else:
            raw += flow
            seen += flow
        if number == restart_at:  # Of Home Assistant.
            counters = Continuity(json.loads(json.dumps(counters.to_dict())))
        totals.append(counters.take(IMPORT, start, raw))
    assert all(later >= sooner - 1e-6 for sooner, later in pairwise(totals))
    assert totals[-1] == pytest.approx(seen, abs=1e-6)
