"""The totals at the ends of hours that late readings belong to."""

import json

from hypothesis import given, settings, strategies as st
import pytest

from custom_components.energy_meter.metering.missed import HOUR, MissedHours

START = 1_794_000_000 // HOUR * HOUR
"""A full hour."""
BACK = START + 3 * HOUR + 20
"""When what was kept arrives."""


def test_hours_whose_readings_came_in_time_are_not_missed() -> None:
    missed = MissedHours(longest_gap=120)
    for minute in range(180):
        missed.take(
            START + 60 * minute, {"energy_import": minute / 60}, arrived=START + 60 * minute + 2
        )
    assert missed.hours == {}


def test_each_hour_of_late_readings_ends_at_its_own_total() -> None:
    missed = MissedHours(longest_gap=120)
    missed.take(START + 1750, {"energy_import": 10.0}, arrived=START + 1750)
    for second in range(1800, 3 * HOUR, 50):
        missed.take(START + second, {"energy_import": 10 + (second - 1750) / HOUR}, arrived=BACK)
    missed.take(START + 3 * HOUR, {"energy_import": 10 + (3 * HOUR - 1750) / HOUR}, arrived=BACK)
    assert missed.hours == {
        "energy_import": {
            START + hour * HOUR: pytest.approx(10 + ((hour + 1) * HOUR - 1750) / HOUR, abs=1e-9)
            for hour in range(3)
        }
    }


@settings(deadline=None)
@given(st.floats(0, 50), st.floats(0, 50), st.floats(0.1, 60), st.floats(0.1, 60))
def test_between_two_readings_a_total_is_a_straight_line(
    before: float, more: float, earlier: float, later: float
) -> None:
    missed = MissedHours(longest_gap=120)
    missed.take(START + HOUR - earlier, {"energy_import": before}, arrived=BACK)
    missed.take(START + HOUR + later, {"energy_import": before + more}, arrived=BACK)
    at_the_end = missed.hours["energy_import"][START]
    assert at_the_end == pytest.approx(before + more * earlier / (earlier + later), abs=1e-4)


def test_over_a_gap_a_total_stands_still() -> None:
    missed = MissedHours(longest_gap=120)
    missed.take(START + 10, {"energy_import": 1.0}, arrived=BACK)
    missed.take(START + 2 * HOUR + 10, {"energy_import": 4.0}, arrived=BACK)
    assert missed.hours["energy_import"] == {START: 1.0, START + HOUR: 1.0}


def test_an_hour_is_missed_only_if_its_last_reading_came_after_its_end() -> None:
    missed = MissedHours(longest_gap=120)
    end = START + HOUR
    missed.take(end - 60, {"energy_import": 1.0}, arrived=end - 5)
    missed.take(end + 60, {"energy_import": 2.0}, arrived=end + 60)
    missed.take(end + HOUR - 1, {"energy_import": 3.0}, arrived=end + HOUR + 1)
    missed.take(end + HOUR + 60, {"energy_import": 4.0}, arrived=end + HOUR + 60)
    assert missed.hours == {}


def test_a_restart_in_between_loses_nothing() -> None:
    missed = MissedHours(longest_gap=120)
    missed.take(START + HOUR - 10, {"energy_import": 1.0}, arrived=BACK)
    again = MissedHours(longest_gap=120, state=json.loads(json.dumps(missed.to_dict())))
    again.take(START + HOUR + 10, {"energy_import": 2.0}, arrived=BACK)
    assert again.hours == {"energy_import": {START: pytest.approx(1.5, abs=1e-9)}}
    once_more = MissedHours(longest_gap=120, state=json.loads(json.dumps(again.to_dict())))
    assert once_more.hours == again.hours


@pytest.mark.parametrize(
    "state", [{"time": "x"}, {"hours": 3}, {"hours": {"energy_import": {"x": 1, "3600": None}}}]
)
def test_a_broken_state_is_a_new_start(state: dict[str, object]) -> None:
    assert MissedHours(longest_gap=120, state=state).hours == {}


def test_what_is_settled_or_began_anew_is_forgotten() -> None:
    missed = MissedHours(longest_gap=120)
    missed.take(START, {"energy_import": 1.0, "energy_export": 1.0}, arrived=BACK)
    missed.take(START + 2 * HOUR, {"energy_import": 1.0, "energy_export": 1.0}, arrived=BACK)
    missed.settle("energy_import", {START})
    assert missed.hours["energy_import"].keys() == {START + HOUR}
    missed.settle("energy_import", {START + HOUR})
    missed.forget("energy_export")
    assert missed.hours == {}


def test_a_reading_out_of_order_changes_nothing() -> None:
    missed = MissedHours(longest_gap=120)
    missed.take(START + HOUR, {"energy_import": 1.0}, arrived=BACK)
    missed.take(START, {"energy_import": 5.0}, arrived=BACK)
    assert missed.hours == {}
