"""A limit and its readings: what is believed, how long, and how much room there was."""

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.load_shedding import Gauge, Limit, Measure, Urgency


def gauge(value: float | None = 5_000.0, **more: object) -> Gauge:
    return Gauge(
        Limit(id="x", name="X", measure=Measure.POWER, value=value, freshness=30.0, **more),  # type: ignore[arg-type]
        60.0,
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 30_000.0, -30_000.0])
def test_what_makes_no_sense_changes_nothing(value: float) -> None:
    one = gauge()
    assert one.take(3_000.0, 0.0)
    assert not one.take(value, 1.0)
    assert one.headroom(1.0) == pytest.approx(2_000.0, abs=1e-9)
    assert one.refused == 1


def test_a_reading_is_used_until_it_is_too_old() -> None:
    one = gauge()
    one.take(6_000.0, 0.0)
    assert one.over(30.0)
    assert not one.over(30.1)
    assert one.headroom(30.1) is None


def test_a_sensor_that_says_it_knows_nothing_is_believed_at_once() -> None:
    one = gauge()
    one.take(6_000.0, 0.0)
    one.take(None, 1.0)
    assert not one.fresh(1.0)


def test_the_delay_begins_anew_when_the_limit_was_kept_or_the_readings_had_a_gap() -> None:
    one = gauge(urgency=Urgency.SOFT, delay=20.0)
    one.take(6_000.0, 0.0)
    one.take(4_000.0, 10.0)
    one.take(6_000.0, 15.0)
    assert one.due(15.0) == 35.0
    one.take(6_000.0, 60.0)
    assert one.due(60.0) == 80.0


def test_a_limit_that_follows_a_sensor_is_not_known_while_the_sensor_is_not() -> None:
    one = gauge(None, bound_freshness=100.0)
    one.take(3_000.0, 0.0)
    assert not one.fresh(0.0)
    one.take_bound(4_000.0, 0.0)
    one.take(3_000.0, 0.0)
    assert one.headroom(0.0) == pytest.approx(1_000.0, abs=1e-9)
    one.take_bound(2_500.0, 1.0)
    assert one.over(1.0)
    one.take_bound(None, 2.0)
    assert not one.fresh(2.0)
    one.take_bound(4_000.0, 3.0)
    for now in range(3, 120, 10):
        one.take(3_000.0, float(now))
    assert not one.fresh(113.0)


def test_no_room_is_known_before_the_window_is_full() -> None:
    one = gauge()
    for now in range(0, 60, 10):
        one.take(1_000.0, float(now))
        assert one.room(float(now)) is None
    one.take(1_000.0, 60.0)
    assert one.room(60.0) == pytest.approx(4_000.0, abs=1e-9)


@given(st.lists(st.floats(-5_000, 9_000), min_size=70, max_size=140))
def test_the_room_is_the_least_of_the_window(values: list[float]) -> None:
    one = gauge()
    for now, value in enumerate(values):
        one.take(value, float(now))
        if now >= 60:
            assert one.room(float(now)) == pytest.approx(
                5_000.0 - max(values[now - 60 : now + 1]), abs=1e-6
            )


def test_a_reading_counts_until_the_next_one_comes() -> None:
    one = gauge()
    for now, value in ((0.0, 1_000.0), (20.0, 4_900.0), (45.0, 1_000.0), (70.0, 1_000.0)):
        one.take(value, now)
    assert one.room(70.0) == pytest.approx(100.0, abs=1e-9)
    one.take(1_000.0, 95.0)
    assert one.room(95.0) == pytest.approx(100.0, abs=1e-9), "it was so until second 45"
    one.take(1_000.0, 105.1)
    assert one.room(105.1) == pytest.approx(4_000.0, abs=1e-9)
