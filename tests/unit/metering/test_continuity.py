"""Counters that go on over restarts of a meter."""

from datetime import UTC, datetime
from itertools import pairwise
import json

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.metering import MeterPipeline
from custom_components.energy_meter.metering.continuity import Continuity
from custom_components.energy_meter.model import Reading

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


@given(
    st.lists(
        st.tuples(
            st.floats(1, 14_400), st.floats(0, 1), st.none() | st.floats(0, 3), st.booleans()
        ),
        max_size=25,
    )
)
def test_links_that_fail_and_meters_that_restart_cost_no_energy_and_raise_no_question(
    story: list[tuple[float, float, float | None, bool]],
) -> None:
    """(seconds without a reading, share of full load, kWh forgotten in a restart, whether Home Assistant restarts)."""
    measured, moment, start, raw, seen = ("power", IMPORT), 0.0, 7, 100.0, 100.0
    pipeline = MeterPipeline(measured, phases=1, rated_current=16)

    def read(power: float) -> float | None:
        when = datetime.fromtimestamp(1_700_000_000 + moment, UTC)
        values = {"power": power, IMPORT: round(raw, 6)}
        result = pipeline.process(
            Reading(meter_id="m", time=when, monotonic=moment, values=values, start=start)
        )
        assert not result.events
        return result.values.get(IMPORT)

    read(0.0)
    moment += 1
    assert read(0.0) == pytest.approx(100.0, abs=1e-6)
    for seconds, share, forgets, restarts in story:
        pipeline.silent()
        if restarts:
            state = json.loads(json.dumps(pipeline.to_dict()))
            pipeline = MeterPipeline(measured, phases=1, rated_current=16, state=state)
        moment += seconds
        if forgets is None:
            flow = share * 3.84 * seconds / 3600
            raw, seen = raw + flow, seen + flow
        else:
            raw, start = raw - min(forgets, raw), start + 1 & 0xFF
        for _ in range(2):  # After a long silence one reading alone is not believed.
            total = read(3840 * share)
            moment += 1
        assert total == pytest.approx(seen, abs=1e-3)
    assert not pipeline.questions()
