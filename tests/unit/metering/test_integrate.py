"""Power into energy: exact for straight lines, bounded for curves, unharmed by restarts and gaps."""

import json
import math

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.metering.integrate import EnergyIntegrator, split_trapezoid

POWER = st.floats(-20_000, 20_000)


def _feed(samples: list[tuple[float, float]], restart_after: int | None = None) -> EnergyIntegrator:
    """Integrate (time, power) samples."""
    integrator = EnergyIntegrator(longest_gap=120)
    started = 0.0
    for number, (time, power) in enumerate(samples):
        integrator.add(power, time=time, monotonic=time - started)
        if number == restart_after:
            state = json.loads(json.dumps(integrator.to_dict()))
            integrator = EnergyIntegrator(longest_gap=120, state=state)
            started = time + 0.05  # Another monotonic clock.
    return integrator


def test_constant_power_for_an_hour() -> None:
    integrator = _feed([(t, 1500.0) for t in range(0, 3601, 5)])
    assert integrator.energy_import == pytest.approx(1.5, abs=1e-9)
    assert integrator.energy_export == 0


def test_a_sine_is_within_the_stated_bound() -> None:
    period, peak, step = 600.0, 2000.0, 5.0
    samples = [(t * step, peak * math.sin(2 * math.pi * t * step / period)) for t in range(121)]
    integrator = _feed(samples)
    half_wave = peak * period / math.pi / 3.6e6
    # |P″| ≤ peak·(2π/T)², each step errs by at most |P″|·Δt³/12.
    bound = peak * (2 * math.pi / period) ** 2 * step**3 / 12 * len(samples) / 3.6e6
    assert integrator.energy_import == pytest.approx(half_wave, abs=bound)
    assert integrator.energy_export == pytest.approx(half_wave, abs=bound)


@given(POWER, POWER, st.floats(0.001, 120))
def test_a_straight_line_is_split_where_it_crosses_zero(
    start: float, end: float, seconds: float
) -> None:
    taken, fed = split_trapezoid(start, end, seconds)
    assert taken >= 0
    assert fed >= 0
    assert taken - fed == pytest.approx((start + end) / 2 * seconds / 3600, abs=1e-6)
    if start >= 0 and end >= 0:
        assert fed == 0


@given(st.lists(st.tuples(st.floats(0.1, 100), POWER), min_size=2, max_size=50), st.integers(0, 48))
def test_a_restart_between_samples_changes_nothing(
    steps: list[tuple[float, float]], restart: int
) -> None:
    time, samples = 0.0, []
    for step, power in steps:
        time += step
        samples.append((time, power))
    plain, restarted = _feed(samples), _feed(samples, restart)
    assert restarted.energy_import == pytest.approx(plain.energy_import, abs=2e-9)
    assert restarted.energy_export == pytest.approx(plain.energy_export, abs=2e-9)


@given(st.lists(st.tuples(st.floats(-5, 500), POWER), max_size=50))
def test_energy_never_falls(steps: list[tuple[float, float]]) -> None:
    integrator = EnergyIntegrator(longest_gap=120)
    time, last = 0.0, (0.0, 0.0)
    for step, power in steps:
        time += step
        integrator.add(power, time=time, monotonic=time)
        now = (integrator.energy_import, integrator.energy_export)
        assert now[0] >= last[0]
        assert now[1] >= last[1]
        last = now


def test_a_gap_is_not_guessed_but_recorded() -> None:
    integrator = EnergyIntegrator(longest_gap=120)
    integrator.add(1000, time=0, monotonic=0)
    gap = integrator.add(1000, time=3600, monotonic=3600)
    assert gap is not None
    assert (gap.start, gap.end) == (0, 3600)
    assert integrator.energy_import == 0
    assert (integrator.gaps, integrator.gap_seconds) == (1, 3600)


def test_the_time_a_restart_took_is_a_gap() -> None:
    integrator = _feed([(0, 1000.0), (60, 1000.0)])
    restarted = EnergyIntegrator(longest_gap=120, state=integrator.to_dict())
    gap = restarted.add(1000, time=1000, monotonic=5)
    assert gap is not None
    assert restarted.energy_import == integrator.energy_import


def test_silence_before_a_restart_is_not_bridged_by_it() -> None:
    integrator = _feed([(0, 1000.0), (60, 1000.0)])
    integrator.interrupt()
    restarted = EnergyIntegrator(longest_gap=120, state=integrator.to_dict())
    restarted.add(1000, time=100, monotonic=5)
    assert restarted.energy_import == integrator.energy_import


def test_a_clock_that_was_put_back_over_a_restart_takes_nothing_away() -> None:
    integrator = _feed([(0, 1000.0), (60, 1000.0)])
    restarted = EnergyIntegrator(longest_gap=120, state=integrator.to_dict())
    restarted.add(1000, time=-500, monotonic=5)
    restarted.add(1000, time=-440, monotonic=65)
    assert restarted.energy_import == pytest.approx(2 * integrator.energy_import)


def test_small_power_over_a_long_time_is_not_rounded_away() -> None:
    integrator = EnergyIntegrator(longest_gap=120)
    for second in range(200_001):
        integrator.add(0.01, time=second, monotonic=second)
    assert integrator.energy_import == pytest.approx(0.01 * 200_000 / 3.6e6, rel=1e-5)


@pytest.mark.parametrize("state", [{"import": -1}, {"import": "x", "gaps": -3}, {"export": True}])
def test_a_broken_state_starts_at_zero(state: dict[str, object]) -> None:
    integrator = EnergyIntegrator(longest_gap=120, state=state)
    assert (integrator.energy_import, integrator.energy_export) == (0, 0)
    assert integrator.gaps == 0
