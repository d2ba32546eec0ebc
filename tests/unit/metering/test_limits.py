"""Limits: when a value counts as exceeded, and when it is over."""

from collections.abc import Iterable

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.metering.limits import (
    RULES,
    Limit,
    LimitChange,
    LimitKind,
    LimitState,
    LimitWatch,
    possible_kinds,
    suggestion,
)
from custom_components.energy_meter.model import QUANTITIES

OVER_POWER = Limit(
    kind=LimitKind.OVER_POWER, threshold=3000.0, hysteresis=100.0, delay_on=10.0, delay_off=30.0
)


def run(watch: LimitWatch, samples: Iterable[tuple[float, float | None]]) -> list[LimitChange]:
    """Feed (second, power) and return the verdicts."""
    found = (
        watch.take({"power": power}, time=1_000_000 + at, monotonic=at) for at, power in samples
    )
    return [change for change in found if change is not None]


def state(watch: LimitWatch) -> LimitState:
    """How the watch stands now; through a function, since a type checker takes it for constant."""
    return watch.state


def test_a_limit_is_exceeded_only_after_its_delay() -> None:
    watch = LimitWatch(OVER_POWER)
    assert run(watch, [(0, 3500), (9.9, 3500)]) == []
    assert state(watch) is LimitState.CLEAR
    (change,) = run(watch, [(10, 3600)])
    assert change.exceeded and change.value == 3600 and change.key == "power"
    assert change.since == 1_000_000
    assert state(watch) is LimitState.EXCEEDED and watch.since == 1_000_000


def test_a_short_peak_says_nothing() -> None:
    watch = LimitWatch(OVER_POWER)
    assert run(watch, [(0, 3500), (5, 2999), (6, 3500), (15, 3500), (15.9, 3500)]) == []
    assert len(run(watch, [(16, 3500)])) == 1


def test_it_is_over_only_below_the_hysteresis_and_after_its_delay() -> None:
    watch = LimitWatch(OVER_POWER)
    run(watch, [(0, 3500), (10, 3500)])
    assert run(watch, [(20, 2950), (100, 2901), (200, 2899), (229, 2899)]) == []
    (change,) = run(watch, [(230, 2899)])
    assert not change.exceeded and change.since == 1_000_200
    assert state(watch) is LimitState.CLEAR and watch.since is None


def test_an_unknown_value_says_nothing_and_starts_the_wait_anew() -> None:
    watch = LimitWatch(OVER_POWER)
    assert run(watch, [(0, 3500), (9, None)]) == []
    assert state(watch) is LimitState.UNKNOWN
    assert run(watch, [(10, 3500), (19, 3500)]) == []
    assert len(run(watch, [(20, 3500)])) == 1


def test_the_verdict_outlives_a_restart() -> None:
    watch = LimitWatch(OVER_POWER)
    run(watch, [(0, 3500), (10, 3500)])
    again = LimitWatch(OVER_POWER, state=watch.to_dict())
    assert again.exceeded and again.since == 1_000_000
    assert state(again) is LimitState.UNKNOWN
    assert run(again, [(100, 3500), (200, 3500)]) == []
    assert state(again) is LimitState.EXCEEDED


def test_a_moved_threshold_holds_from_the_next_value_on() -> None:
    watch = LimitWatch(OVER_POWER)
    run(watch, [(0, 2500)])
    watch.set_threshold(2000)
    assert run(watch, [(1, 2500), (10, 2500)]) == []
    assert len(run(watch, [(11, 2500)])) == 1


@pytest.mark.parametrize(
    ("kind", "threshold", "good", "bad", "worst"),
    [
        (LimitKind.OVER_CURRENT, 16, {"current_l1": 15.0, "current_l2": 1.0, "current_l3": 0.0},
         {"current_l1": 3.0, "current_l2": -16.5, "current_l3": 1.0}, ("current_l2", 16.5)),
        (LimitKind.OVER_CURRENT, 16, {"current": 15.0}, {"current": 17.0}, ("current", 17.0)),
        (LimitKind.OVER_VOLTAGE, 253, {"voltage": 252.0}, {"voltage_l1": 230.0, "voltage_l3": 254.0}, ("voltage_l3", 254.0)),
        (LimitKind.UNDER_VOLTAGE, 207, {"voltage": 210.0}, {"voltage_l1": 230.0, "voltage_l3": 200.0}, ("voltage_l3", 200.0)),
        (LimitKind.OVER_FREQUENCY, 50.5, {"frequency": 50.0}, {"frequency": 50.6}, ("frequency", 50.6)),
        (LimitKind.UNDER_FREQUENCY, 49.5, {"frequency": 50.0}, {"frequency": 49.4}, ("frequency", 49.4)),
        (LimitKind.LOW_POWER_FACTOR, 0.8, {"power_factor": 0.3, "current": 0.1}, {"power_factor": -0.5, "current": 8.0}, ("power_factor", 0.5)),
        (LimitKind.PHASE_IMBALANCE, 50, {"current_l1": 10.0, "current_l2": 9.0, "current_l3": 11.0},
         {"current_l1": 20.0, "current_l2": 5.0, "current_l3": 5.0}, ("current_l1", 100.0)),
    ],
)  # fmt: skip
def test_each_kind_judges_the_worst_phase(
    kind: LimitKind,
    threshold: float,
    good: dict[str, float],
    bad: dict[str, float],
    worst: tuple[str, float],
) -> None:
    limit = Limit(kind=kind, threshold=threshold, hysteresis=0, delay_on=0, delay_off=0)
    watch = LimitWatch(limit, rated_current=16)
    assert watch.take(good, time=0, monotonic=0) is None
    assert state(watch) is LimitState.CLEAR
    change = watch.take(bad, time=1, monotonic=1)
    assert change is not None and change.exceeded
    assert change.key == worst[0]
    assert change.value == pytest.approx(worst[1])
    over = watch.take(good, time=2, monotonic=2)
    assert over is not None and not over.exceeded


def test_phases_may_differ_as_they_like_while_nothing_runs() -> None:
    limit = Limit(
        kind=LimitKind.PHASE_IMBALANCE, threshold=50, hysteresis=5, delay_on=0, delay_off=0
    )
    watch = LimitWatch(limit, rated_current=16)
    idle = {"current_l1": 0.4, "current_l2": 0.0, "current_l3": 0.0}
    assert watch.take(idle, time=0, monotonic=0) is None
    assert state(watch) is LimitState.CLEAR


def test_silence_is_judged_by_its_length() -> None:
    limit = Limit.suggested(LimitKind.SILENT, 300)
    watch = LimitWatch(limit)
    assert watch.silent_for(299, time=299, monotonic=299) is None
    change = watch.silent_for(301, time=301, monotonic=301)
    assert change is not None and change.exceeded and change.key is None
    over = watch.silent_for(0, time=310, monotonic=310)
    assert over is not None and not over.exceeded


def test_only_limits_that_a_meter_can_show_are_offered() -> None:
    assert set(possible_kinds(("voltage", "current"), phases=1)) == {
        LimitKind.OVER_CURRENT,
        LimitKind.OVER_VOLTAGE,
        LimitKind.UNDER_VOLTAGE,
        LimitKind.SILENT,
    }
    assert LimitKind.PHASE_IMBALANCE in possible_kinds(("current_l1", "current_l2"), phases=3)
    assert set(possible_kinds(QUANTITIES, phases=3)) == set(LimitKind)


def test_suggestions_follow_the_circuit_and_the_grid() -> None:
    assert suggestion(LimitKind.OVER_POWER, rated_current=16, phases=1) == 3680
    assert suggestion(LimitKind.OVER_POWER, rated_current=25, phases=3) == 17250
    assert suggestion(LimitKind.OVER_CURRENT, rated_current=None, phases=1) == 16
    assert suggestion(LimitKind.OVER_VOLTAGE, rated_current=16, phases=1, voltage=121) == 132
    assert suggestion(LimitKind.UNDER_FREQUENCY, rated_current=16, phases=1, frequency=59.9) == 59.4


@pytest.mark.parametrize("kind", list(LimitKind))
def test_a_suggestion_is_within_what_may_be_set(kind: LimitKind) -> None:
    rule = RULES[kind]
    value = suggestion(kind, rated_current=63, phases=3)
    assert rule.minimum <= value <= rule.maximum
    assert Limit.suggested(kind, value).hysteresis >= 0


@given(
    samples=st.lists(
        st.tuples(st.floats(0.1, 60), st.one_of(st.none(), st.floats(0, 6000))), max_size=60
    )
)
def test_verdicts_alternate_and_each_has_been_true_for_its_delay(
    samples: list[tuple[float, float | None]],
) -> None:
    watch = LimitWatch(OVER_POWER)
    now = 0.0
    history: list[tuple[float, float | None]] = []
    last = False
    for step, power in samples:
        now += step
        history.append((now, power))
        change = watch.take({"power": power}, time=now, monotonic=now)
        if change is None:
            assert watch.exceeded is last
            continue
        assert change.exceeded is not last
        last = change.exceeded
        delay = OVER_POWER.delay_on if last else OVER_POWER.delay_off
        assert now - change.since >= delay
        during = [value for at, value in history if at >= change.since]
        if last:
            assert all(value is not None and value > 3000 for value in during)
        else:
            assert all(value is not None and value < 2900 for value in during)
