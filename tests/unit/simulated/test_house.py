"""The simulated house: one truth at every time, whoever asks and however often it was started."""

from datetime import UTC, datetime, timedelta
from functools import cache
import math

from hypothesis import given, settings, strategies as st
import pytest

from custom_components.energy_meter.model import QUANTITIES, Counts, Kind
from custom_components.energy_meter.sources.simulated.circuit import INSTALLED
from custom_components.energy_meter.sources.simulated.curve import Curve, above_zero
from custom_components.energy_meter.sources.simulated.display import shown
from custom_components.energy_meter.sources.simulated.house import SWITCHED, House
from custom_components.energy_meter.sources.simulated.loads import KNOTS, STEP, WEEK
from custom_components.energy_meter.sources.simulated.pace import Pace

NOON = datetime(2026, 6, 3, 11, tzinfo=UTC).timestamp()
TIMES = st.floats(INSTALLED, INSTALLED + 20 * 365 * 86_400)


@cache
def shared() -> House:
    """One house for all tests that switch nothing."""
    return House()


@pytest.fixture
def house() -> House:
    return shared()


def parts(house: House, time: float) -> float:
    """Power of everything that has a meter of its own and is not behind another one, W."""
    names = (
        "solar",
        "battery",
        "heat_pump",
        "car",
        "kitchen",
        "water_heater",
        "workshop",
        "pump",
    )
    return sum(house.circuits[name].at(None, time).power for name in names)


@given(start=st.floats(-5e3, 5e3), end=st.floats(-5e3, 5e3))
def test_the_part_above_zero_and_the_part_below_make_the_mean(start: float, end: float) -> None:
    above, below = above_zero(start, end), above_zero(-start, -end)
    assert above >= 0
    assert below >= 0
    assert above - below == pytest.approx((start + end) / 2, abs=1e-6)


@given(time=TIMES, later=st.floats(0, 30 * 86_400))
@settings(max_examples=60, deadline=None)
def test_no_counter_ever_falls(time: float, later: float) -> None:
    house = shared()
    rising = [key for key, each in QUANTITIES.items() if each.counts is Counts.UP]
    for circuit in house.circuits.values():
        for key in rising:
            before, after = shown(circuit, key, time), shown(circuit, key, time + later)
            if before is not None and after is not None:
                assert after >= before - 1e-6


@given(time=TIMES, seconds=st.floats(1, 7_200))
@settings(max_examples=40, deadline=None)
def test_energy_is_the_integral_of_power(time: float, seconds: float) -> None:
    circuit = shared().circuits["grid"]
    steps = max(200, int(seconds))
    width = seconds / steps
    powers = [circuit.at(None, time + (step + 0.5) * width).power for step in range(steps)]
    net = shown(circuit, "energy_net", time + seconds) - shown(circuit, "energy_net", time)  # type: ignore[operator]
    assert net == pytest.approx(sum(powers) * width / 3_600_000, abs=2e-3)


def test_a_restarted_house_says_the_same(house: House) -> None:
    again = House()
    for name, circuit in house.circuits.items():
        for key in QUANTITIES:
            assert shown(circuit, key, NOON) == shown(again.circuits[name], key, NOON)


def test_another_seed_is_another_house(house: House) -> None:
    assert (
        House(2).circuits["grid"].at(None, NOON).power
        != house.circuits["grid"].at(None, NOON).power
    )


@given(time=TIMES)
@settings(max_examples=60, deadline=None)
def test_the_grid_carries_what_is_metered_and_the_lights(time: float) -> None:
    house = shared()
    rest = house.circuits["grid"].at(None, time).power - parts(house, time)
    assert 80 < rest < 900


@given(time=TIMES)
@settings(max_examples=60, deadline=None)
def test_each_instant_obeys_physics(time: float) -> None:
    for circuit in shared().circuits.values():
        for phase in circuit.phases:
            now = circuit.at(phase, time)
            assert 215 < now.voltage < 245
            assert now.current == pytest.approx(now.apparent / now.voltage)
            assert -1 <= now.factor <= 1
        assert 49.9 < (shown(circuit, "frequency", time) or 0) < 50.1


def test_the_sun_shines_by_day_only(house: House) -> None:
    solar = house.circuits["solar"]
    assert max(-solar.at(None, NOON + hour * 3_600).power for hour in range(2)) > 1_000
    assert solar.at(None, NOON + 12 * 3_600).power > 0


def test_the_car_charges_in_the_evening(house: House) -> None:
    car = house.circuits["car"]
    monday = datetime(2026, 6, 1, tzinfo=UTC)
    evening = (monday + timedelta(hours=17)).timestamp()
    assert car.at(None, evening).power > 10_000
    assert car.at(None, monday.timestamp() + 12 * 3_600).power < 10


def test_a_week_uses_a_believable_amount_of_energy(house: House) -> None:
    grid, solar = house.circuits["grid"], house.circuits["solar"]
    week = grid.conductor(None).active
    assert 80 < week.energy(NOON + WEEK).taken - week.energy(NOON).taken < 350
    assert 10 < week.energy(NOON + WEEK).given - week.energy(NOON).given < 150
    sun = solar.conductor(None).active
    assert 100 < sun.energy(NOON + WEEK).given - sun.energy(NOON).given < 260


def test_a_switched_off_pump_is_missing_everywhere_and_its_counters_only_pause() -> None:
    house = House()
    plain = shared()
    pump, grid = house.circuits["pump"], house.circuits["grid"]
    house.relays["pump"].switch(False, NOON)
    hour = NOON + 3_600
    assert pump.at(None, hour).power == pytest.approx(0, abs=1e-9)
    used = plain.circuits["pump"].at(None, hour).power
    assert grid.at(None, hour).power == pytest.approx(
        plain.circuits["grid"].at(None, hour).power - used
    )
    stopped = pump.energy(None, NOON).taken
    assert pump.energy(None, hour).taken == pytest.approx(stopped)
    net, off = (each.circuits["grid"].energy(None, hour) for each in (plain, house))
    assert (net.taken - net.given) - (off.taken - off.given) == pytest.approx(
        used / 1_000, rel=0.05
    )

    house.relays["pump"].switch(True, hour)
    later = hour + 3_600
    assert pump.at(None, later).power == pytest.approx(used, rel=0.1)
    assert pump.energy(None, later).taken - stopped == pytest.approx(used / 1_000, rel=0.05)


@given(
    switchings=st.lists(
        st.tuples(st.sampled_from(SWITCHED), st.booleans(), st.floats(0.5, 600)), max_size=5
    ),
    speed=st.sampled_from([1.0, 10.0, 150.0]),
)
@settings(max_examples=8, deadline=None)
def test_whatever_is_switched_at_whatever_pace_counters_count_what_flows(
    switchings: list[tuple[str, bool, float]], speed: float
) -> None:
    house = House()
    evening = datetime(2026, 6, 1, 17, tzinfo=UTC).timestamp()
    house.mains.pace = Pace(since=NOON, start=evening, speed=speed)
    time = NOON - 60
    counted = dict.fromkeys(("grid", *SWITCHED), 0.0)
    begin = {name: house.circuits[name].energy(None, time) for name in counted}
    for relay, on, seconds in [("pump", True, 60.0), *switchings, ("pump", True, 60.0)]:
        steps = max(100, int(seconds * speed / 15))
        width = seconds / steps
        for name in counted:
            circuit = house.circuits[name]
            powers = (circuit.at(None, time + (step + 0.5) * width).power for step in range(steps))
            counted[name] += sum(powers) * width / 3_600_000
        time += seconds
        house.relays[relay].switch(on, time)
    for name, energy in counted.items():
        passed = house.circuits[name].energy(None, time) - begin[name]
        assert passed.taken - passed.given == pytest.approx(energy, abs=2e-3)
        assert passed.taken >= -1e-9
        assert passed.given >= -1e-9


def test_a_fast_house_goes_through_its_evening_and_back_to_its_morning() -> None:
    house = House()
    evening = datetime(2026, 6, 1, 16, tzinfo=UTC).timestamp()
    house.mains.pace = Pace(since=NOON, start=evening, speed=150.0)
    car, plain = house.circuits["car"], shared().circuits["car"]
    assert car.at(None, NOON - 1).power == pytest.approx(plain.at(None, NOON - 1).power)
    assert max(car.at(None, NOON + second).power for second in range(60)) > 10_000
    assert car.at(None, NOON + 14 * 24).power < 10


def test_a_curve_meets_its_knots_and_comes_round() -> None:
    curve = Curve(math.sin(knot / 50) * 100 for knot in range(KNOTS))
    monday = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
    assert curve.power(monday + 7 * STEP) == pytest.approx(math.sin(7 / 50) * 100)
    assert curve.power(monday + 7.5 * STEP) == pytest.approx(
        (math.sin(7 / 50) + math.sin(8 / 50)) * 50
    )
    assert curve.power(monday + WEEK - 0.001) == pytest.approx(curve.power(monday), abs=0.1)


def test_unheard_of_quantities_are_absent_and_codes_are_quiet(house: House) -> None:
    grid = house.circuits["grid"]
    assert shown(grid, "operating_time_export", NOON) is None
    assert QUANTITIES["alarm_status"].kind is Kind.CODE
    assert shown(grid, "alarm_status", NOON) == 0
