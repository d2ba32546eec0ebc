"""Sensors that cannot be right are noticed, and those that can are left alone."""

from hypothesis import given, settings, strategies as st

from custom_components.energy_meter.metering.sensor_watch import (
    UNMOVED,
    WINDOW,
    SensorTrouble,
    SensorWatch,
)
from custom_components.energy_meter.model import Value

CLIPPING, STUCK = {SensorTrouble.CLIPPING}, {SensorTrouble.STUCK}


def watched(
    *,
    seconds: float,
    step: float,
    values: dict[str, Value],
    flags: tuple[str, ...] = (),
    every: int = 1,
) -> SensorWatch:
    """A watch that saw readings with a voltage that moves; each `every`th one has the flags."""
    watch = SensorWatch()
    for number in range(int(seconds / step) + 1):
        voltage: dict[str, Value] = {"voltage": 230.0 + number % 7 / 10}
        seen = flags if number % every == 0 else ()
        watch.look(1000 + number * step, voltage | values, seen)
    return watch


def test_a_sensor_that_clips_now_and_then_is_left_alone() -> None:
    assert not watched(seconds=2 * WINDOW, step=1, values={}, flags=("clipping",), every=50).found


def test_a_sensor_that_clips_often_is_noticed_and_forgotten_when_it_does_not_any_more() -> None:
    watch = watched(seconds=WINDOW, step=1, values={}, flags=("clipping",), every=5)
    assert watch.found == CLIPPING
    for second in range(int(2 * WINDOW)):
        watch.look(5000 + second, {"current": second / 7}, ())
    assert not watch.found


def test_a_board_that_calls_its_sensor_stuck_is_believed_if_it_says_so_mostly() -> None:
    assert watched(seconds=WINDOW, step=1, values={}, flags=("stuck",)).found == STUCK
    assert not watched(seconds=WINDOW, step=1, values={}, flags=("stuck",), every=3).found


def test_a_current_of_exactly_the_same_value_for_a_day_is_stuck() -> None:
    assert not watched(seconds=UNMOVED - 60, step=60, values={"current": 0.0}).found
    assert watched(seconds=UNMOVED, step=60, values={"current": 0.0}).found == STUCK
    assert watched(seconds=UNMOVED, step=60, values={"current": 0.13}).found == STUCK


def test_a_current_that_moves_once_is_not_stuck_any_more() -> None:
    watch = watched(seconds=UNMOVED, step=60, values={"current": 0.0})
    watch.look(200_000, {"voltage": 230.0, "current": 0.01}, ())
    assert not watch.found


def test_without_voltage_or_with_one_that_does_not_move_either_nothing_is_said() -> None:
    watch = SensorWatch()
    for minute in range(2000):
        watch.look(60.0 * minute, {"voltage": 0.0, "current": 0.0}, ())
    assert not watch.found
    for minute in range(2000, 4000):
        watch.look(60.0 * minute, {"voltage": 230.0, "current": 0.0}, ())
    assert not watch.found
    assert not watched(seconds=2 * UNMOVED, step=3600, values={"current": 0.0}).found


def test_one_phase_of_three_that_is_stuck_is_noticed() -> None:
    watch = SensorWatch()
    for minute in range(1500):
        values: dict[str, Value] = {
            f"{base}_{phase}": 10.0 + minute % 9
            for base in ("voltage", "current")
            for phase in ("l1", "l2", "l3")
        }
        watch.look(60.0 * minute, values | {"voltage_l2": 230 + minute % 5, "current_l2": 0.0}, ())
    assert watch.found == STUCK
    assert watch.unmoved == ("current_l2",)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(-1e6, 1e9),
            st.dictionaries(
                st.sampled_from(["voltage", "current", "current_l1", "voltage_l1"]),
                st.one_of(st.none(), st.floats(-500, 500)),
            ),
            st.sets(st.sampled_from(["clipping", "stuck", "no_voltage"])),
        ),
        max_size=40,
    )
)
def test_whatever_comes_it_never_fails(
    readings: list[tuple[float, dict[str, Value], set[str]]],
) -> None:
    watch = SensorWatch()
    for time, values, flags in readings:
        watch.look(time, values, flags)
    assert watch.found <= set(SensorTrouble)
