"""Meters that nobody has installed."""

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.metering.virtual import EnergySum, power_sum, without_parents

MAIN = {"main": 1, "oven": -1, "pump": -1}


def test_a_sum_counts_from_where_its_members_are() -> None:
    total = EnergySum({"oven": 1, "pump": 1})
    for oven, pump in ((100.0, 7.0), (100.5, 7.25), (101.0, 7.5)):
        total.take("oven", oven)
        total.take("pump", pump)
    assert total.energy == pytest.approx(1.5)


def test_the_rest_is_right_whoever_is_read_first() -> None:
    rest = EnergySum(MAIN)
    for hour in range(100):
        rest.take("oven", hour * 1.0)
        rest.take("main", 50 + hour * 3.0)
        rest.take("pump", hour * 0.5)
    assert rest.energy == pytest.approx(99 * 1.5, abs=0.51)


def test_a_meter_that_was_replaced_or_is_new_moves_nothing() -> None:
    total = EnergySum({"oven": 1})
    total.take("oven", 100)
    total.take("oven", 3)
    total.take("oven", 4)
    assert total.energy == 1


def test_it_goes_on_after_a_restart_with_what_flowed_meanwhile() -> None:
    total = EnergySum({"oven": 1})
    total.take("oven", 100)
    total.take("oven", 101)
    again = EnergySum({"oven": 1, "pump": 1}, total.state)
    again.take("oven", 105)
    again.take("pump", 900)
    assert again.energy == 5


@pytest.mark.parametrize(
    "state", [None, 7, {"energy": "x"}, {"energy": -1, "last": 3}, {"last": {"oven": "nan"}}]
)
def test_a_broken_state_is_ignored(state: object) -> None:
    assert EnergySum({"oven": 1}, state).energy == 0


@given(
    st.lists(st.tuples(st.sampled_from(sorted(MAIN)), st.floats(0, 1e6)), min_size=1, max_size=60)
)
def test_nothing_ever_falls(reads: list[tuple[str, float]]) -> None:
    rest = EnergySum(MAIN)
    before = 0.0
    for member, total in reads:
        rest.take(member, total)
        assert rest.energy >= before
        before = rest.energy


@given(st.lists(st.floats(0, 5), min_size=1, max_size=50), st.floats(0, 1))
def test_what_is_taken_off_as_it_flows_is_off_in_the_end(steps: list[float], share: float) -> None:
    rest = EnergySum({"main": 1, "oven": -1})
    main = oven = 0.0
    for step in [0.0, *steps]:
        main += step
        oven += step * share
        rest.take("oven", oven)
        rest.take("main", main)
    assert rest.energy == pytest.approx(main - oven, abs=1e-6)


def test_power_is_unknown_as_soon_as_one_is() -> None:
    known: dict[str, float | None] = {"main": 3000.0, "oven": 1200.0, "pump": 300.0}
    assert power_sum(MAIN, known.get) == 1500
    known["pump"] = None
    assert power_sum(MAIN, known.get) is None
    assert power_sum({}, known.get) == 0


def test_whoever_measures_others_too_is_left_out_of_a_sum() -> None:
    assert without_parents(["main", "oven", "pump"], {"oven": "main"}) == ["oven", "pump"]
