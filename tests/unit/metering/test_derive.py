"""Derived values follow physics and never come from what is missing or old."""

import math

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.metering.derive import COHERENCE, applicable, derive


def _derive(
    values: dict[str, float],
    *,
    phases: int = 1,
    at: dict[str, float] | None = None,
    assumed: float | None = None,
) -> dict[str, float | None]:
    times = at or {}
    known = {key: (value, times.get(key, 10.0)) for key, value in values.items()}
    rules = applicable(values, phases=phases, assumed_power_factor=assumed)
    return derive(rules, known, set(values))


def test_a_meter_with_volts_and_amperes_gets_apparent_power_only() -> None:
    given_ = _derive({"voltage": 230.0, "current": 2.0})
    assert given_ == {"apparent_power": 460.0}


@given(st.floats(-30_000, 30_000), st.floats(-30_000, 30_000))
def test_apparent_power_and_power_factor_agree(power: float, reactive: float) -> None:
    given_ = _derive({"power": power, "reactive_power": reactive})
    apparent = given_["apparent_power"]
    assert apparent == pytest.approx(math.hypot(power, reactive))
    factor = given_["power_factor"]
    if factor is not None and apparent is not None:
        assert -1 <= factor <= 1
        assert factor * apparent == pytest.approx(power, abs=1e-6)


@given(st.floats(0, 30_000), st.floats(0, 1))
def test_reactive_power_closes_the_triangle(apparent: float, share: float) -> None:
    power = apparent * share
    reactive = _derive({"power": power, "apparent_power": apparent})["reactive_power"]
    assert reactive is not None
    assert math.hypot(power, reactive) == pytest.approx(apparent, rel=1e-6, abs=1e-6)


def test_a_hair_of_rounding_gives_no_reactive_power_but_nonsense_gives_none() -> None:
    assert _derive({"power": 1001.0, "apparent_power": 1000.0})["reactive_power"] == 0
    assert _derive({"power": 2000.0, "apparent_power": 1000.0})["reactive_power"] is None
    assert _derive({"power": 2000.0, "apparent_power": 1000.0})["power_factor"] is None


def test_a_power_factor_without_load_means_nothing() -> None:
    assert _derive({"power": 0.0, "apparent_power": 0.2})["power_factor"] is None


def test_the_total_is_the_sum_of_the_phases() -> None:
    values = {
        f"power_{phase}": watts for phase, watts in (("l1", 100.0), ("l2", -40.0), ("l3", 5.5))
    }
    assert _derive(values, phases=3)["power"] == pytest.approx(65.5)


def test_a_missing_phase_gives_no_total() -> None:
    rules = applicable(("power_l1", "power_l2", "power_l3"), phases=3)
    known = {"power_l1": (1.0, 0.0), "power_l2": (1.0, 0.0)}
    assert derive(rules, known, {"power_l1", "power_l2"}) == {}


def test_averages_of_three_phases_do_not_multiply() -> None:
    assert "apparent_power" not in _derive({"voltage": 230.0, "current": 9.0}, phases=3)


def test_three_phases_with_volts_and_amperes_add_up() -> None:
    values = {f"voltage_{phase}": 230.0 for phase in ("l1", "l2", "l3")}
    values |= {f"current_{phase}": 2.0 for phase in ("l1", "l2", "l3")}
    assert _derive(values, phases=3)["apparent_power"] == pytest.approx(1380.0)


def test_values_of_different_instants_are_not_combined() -> None:
    values = {"power": 100.0, "reactive_power": 10.0}
    derived = _derive(values, at={"power": 10.0 + COHERENCE + 0.1})
    assert derived.keys() == {"power_export"}


def test_totals_of_different_instants_are() -> None:
    values = {"energy_import": 100.0, "energy_export": 10.0}
    assert _derive(values, at={"energy_import": 1000.0})["energy_net"] == 90.0


def test_what_the_meter_measures_is_not_derived() -> None:
    measured = ("power", "power_export", "reactive_power", "apparent_power", "power_factor")
    assert not applicable(measured, phases=1)


def test_power_from_its_directions() -> None:
    assert _derive({"power_import": 0.0, "power_export": 300.0})["power"] == -300.0


@given(st.floats(-30_000, 30_000))
def test_power_fed_back_is_what_is_negative(power: float) -> None:
    assert _derive({"power": power})["power_export"] == max(-power, 0.0)


def test_power_fed_back_is_not_derived_where_the_meter_has_it() -> None:
    assert "power_export" not in _derive({"power_import": 0.0, "power_export": 70.0})


@given(st.floats(0, 400), st.floats(0, 100), st.floats(-1, 1))
def test_a_measured_power_factor_makes_active_power_of_volts_and_amperes(
    voltage: float, current: float, factor: float
) -> None:
    found = _derive({"voltage": voltage, "current": current, "power_factor": factor})
    assert found["power"] == pytest.approx(voltage * current * factor, abs=1e-6)
    assert "power_factor" not in found


def test_a_power_factor_beyond_one_makes_no_power() -> None:
    found = _derive({"voltage": 230.0, "current": 1.0, "power_factor": 1.08})
    assert found["power"] is None


def test_an_assumed_power_factor_makes_power_but_neither_itself_nor_reactive_power() -> None:
    found = _derive({"voltage": 230.0, "current": 2.0}, assumed=0.9)
    assert found["power"] == pytest.approx(414.0, abs=1e-9)
    assert found.keys() == {"apparent_power", "power"}


def test_a_measured_power_factor_goes_before_the_assumed_one() -> None:
    found = _derive({"voltage": 230.0, "current": 2.0, "power_factor": 0.5}, assumed=0.9)
    assert found["power"] == pytest.approx(230.0, abs=1e-9)


def test_measured_power_is_not_touched_by_an_assumption() -> None:
    found = _derive({"voltage": 230.0, "current": 2.0, "power": 100.0}, assumed=0.9)
    assert "power" not in found
    assert found["power_factor"] == pytest.approx(100 / 460, abs=1e-9)


def test_phases_with_an_assumed_power_factor_add_up() -> None:
    values = {f"voltage_l{n}": 230.0 for n in (1, 2, 3)} | {f"current_l{n}": 1.0 for n in (1, 2, 3)}
    found = _derive(values, phases=3, assumed=0.5)
    assert found["power"] == pytest.approx(345.0, abs=1e-9)
    assert not any(key.startswith(("power_factor", "reactive_power")) for key in found)
