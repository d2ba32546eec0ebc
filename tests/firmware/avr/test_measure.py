"""From samples to volts, amperes and watts, against double precision, over many waves."""

import ctypes
import math

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from .logic import NO_CALIBRATION, Calibration, Measured, logic

TICKS = 2_000_000
PERIOD = 883
SKEW = 224
VOLTS = 5 / 1024 / 0.0025
AMPERES = 5 / 1024 / 0.1
"""Per step of the ADC."""

type Samples = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
type Harmonics = dict[int, tuple[float, float]]
"""Order: (share of the fundamental, degrees)."""


def shape(angle: Samples, harmonics: Harmonics) -> Samples:
    total: Samples = np.sin(angle)
    for order, (share, degrees) in harmonics.items():
        total += share * np.sin(order * angle + math.radians(degrees))
    return total


def measure(
    *,
    volts: float = 230,
    amperes: float = 5,
    hz: float = 50,
    phi: float = 0,
    offsets: tuple[float, float] = (0, 0),
    noise: float = 0,
    v_harmonics: Harmonics | None = None,
    i_harmonics: Harmonics | None = None,
    calibration: Calibration = NO_CALIBRATION,
    seconds: float = 4,
    start: float = 0,
) -> Measured:
    """Sample sines as the board does; what the last window measures out. Offsets in steps of the ADC."""
    random = np.random.default_rng(7)
    count = int(seconds * TICKS / PERIOD)
    times = np.arange(count) * PERIOD / TICKS
    v_angle = 2 * np.pi * hz * times + start
    i_angle = v_angle + 2 * np.pi * hz * SKEW / TICKS - math.radians(phi)
    v = volts * math.sqrt(2) / VOLTS * shape(v_angle, v_harmonics or {}) + 512 + offsets[0]
    i = amperes * math.sqrt(2) / AMPERES * shape(i_angle, i_harmonics or {}) + 512 + offsets[1]
    codes = [
        np.clip(np.floor(wave + random.normal(0, noise, count)), 0, 1023).astype(np.uint16)
        for wave in (v, i)
    ]
    results = (Measured * 16)()
    windows = logic().host_measure(
        codes[0].ctypes.data_as(ctypes.c_void_p),
        codes[1].ctypes.data_as(ctypes.c_void_p),
        ctypes.c_long(count),
        PERIOD,
        SKEW,
        ctypes.byref(calibration),
        results,
        16,
    )
    assert windows >= 3
    result: Measured = results[windows - 1]
    return result


@settings(max_examples=60, deadline=None)
@given(
    volts=st.floats(100, 276),
    amperes=st.floats(0.71, 14),
    hz=st.floats(45, 65),
    phi=st.floats(-60, 60),
    reversed_=st.booleans(),
    offsets=st.tuples(st.floats(-20, 20), st.floats(-20, 20)),
    start=st.floats(0, 6),
)
def test_volts_amperes_and_watts_are_right_over_the_whole_range(
    *,
    volts: float,
    amperes: float,
    hz: float,
    phi: float,
    reversed_: bool,
    offsets: tuple[float, float],
    start: float,
) -> None:
    phi += 180 if reversed_ else 0
    got = measure(
        volts=volts, amperes=amperes, hz=hz, phi=phi, offsets=offsets, noise=0.5, start=start
    )
    power = volts * amperes * math.cos(math.radians(phi))
    assert got.mv / 1000 == pytest.approx(volts, abs=0.005 * volts)
    assert got.ma / 1000 == pytest.approx(amperes, abs=0.007 * amperes)
    assert got.mw / 1000 == pytest.approx(power, abs=0.01 * abs(power))
    assert got.mhz / 1000 == pytest.approx(hz, abs=0.02)
    assert got.factor / 10_000 == pytest.approx(math.cos(math.radians(phi)), abs=0.005)
    assert got.flag_names() == set()


@settings(max_examples=30, deadline=None)
@given(
    phi=st.floats(-75, 75),
    hz=st.floats(45, 65),
    shift=st.floats(-10, 10),
)
def test_the_phase_shift_that_is_set_is_taken_out(phi: float, hz: float, shift: float) -> None:
    """A sensor whose current is read late makes an inductive load look more inductive."""
    calibration = Calibration(1, 0, 1, 0, shift, 0)
    got = measure(hz=hz, phi=phi + shift, calibration=calibration, noise=0.5)
    assert got.factor / 10_000 == pytest.approx(math.cos(math.radians(phi)), abs=0.006)
    assert got.mvar / 1000 == pytest.approx(1150 * math.sin(math.radians(phi)), abs=12)


def test_reactive_power_is_that_of_the_fundamental_and_positive_when_the_current_lags() -> None:
    assert measure(phi=30).mvar / 1000 == pytest.approx(575, abs=3)
    assert measure(phi=-30).mvar / 1000 == pytest.approx(-575, abs=3)


def test_harmonics_count_in_rms_and_power() -> None:
    harmonics: Harmonics = {3: (0.3, 20), 5: (0.2, -40), 7: (0.1, 90)}
    got = measure(
        v_harmonics={3: (0.05, 0), 5: (0.03, 30)}, i_harmonics=harmonics, phi=20, noise=0.5
    )
    amperes = 5 * math.sqrt(1 + 0.09 + 0.04 + 0.01)
    volts = 230 * math.sqrt(1 + 0.0025 + 0.0009)
    power = 1150 * (
        math.cos(math.radians(20))
        + 0.3 * 0.05 * math.cos(math.radians(60 - 20))
        + 0.2 * 0.03 * math.cos(math.radians(100 + 30 + 40))
    )
    assert got.mv / 1000 == pytest.approx(volts, abs=1)
    assert got.ma / 1000 == pytest.approx(amperes, abs=0.02)
    assert got.mw / 1000 == pytest.approx(power, abs=0.01 * power)


def test_the_crest_factor_of_a_current_with_peaks_is_seen() -> None:
    peaks: Harmonics = {3: (-0.8, 0), 5: (0.5, 0), 7: (-0.25, 0)}
    got = measure(i_harmonics=peaks, amperes=2)
    reference = float(np.max(np.abs(shape(np.linspace(0, 2 * np.pi, 10_000), peaks))))
    rms = math.sqrt((1 + 0.64 + 0.25 + 0.0625) / 2)
    assert got.crest / 1000 == pytest.approx(reference / rms, abs=0.03)


def test_gains_and_offsets_apply_to_volts_and_amperes_and_so_to_watts() -> None:
    got = measure(phi=60, calibration=Calibration(1.1, -2, 0.5, 0.1, 0, 0))
    volts, amperes = 230 * 1.1 - 2, 5 * 0.5 + 0.1
    assert got.mv / 1000 == pytest.approx(volts, abs=0.5)
    assert got.ma / 1000 == pytest.approx(amperes, abs=0.01)
    assert got.mw / 1000 == pytest.approx(volts * amperes / 2, abs=3)


@pytest.mark.parametrize(("amperes", "seen"), [(0.05, 0), (0.1, 0.1)])
def test_below_the_dead_band_there_is_no_current_and_no_power(amperes: float, seen: float) -> None:
    got = measure(amperes=amperes, calibration=Calibration(1, 0, 1, 0, 0, 0.08), noise=0.3)
    assert got.ma / 1000 == pytest.approx(seen, abs=0.005)
    assert got.mw / 1000 == pytest.approx(230 * seen, abs=1.5)
    assert got.has_factor == (seen > 0)
    assert got.mv / 1000 == pytest.approx(230, abs=1)


def test_without_voltage_current_is_still_measured_and_power_is_none() -> None:
    got = measure(volts=0, noise=0.4)
    assert got.flag_names() == {"no_voltage"}
    assert (got.mv, got.mw, got.has_factor, got.has_frequency) == (0, 0, False, False)
    assert got.ma / 1000 == pytest.approx(5, abs=0.05)


@pytest.mark.parametrize(
    ("hz", "flag"), [(20, "no_zero_crossing"), (35, "off_frequency"), (90, "off_frequency")]
)
def test_a_voltage_that_is_no_mains_is_flagged(hz: float, flag: str) -> None:
    got = measure(hz=hz)
    assert got.flag_names() == {flag}
    assert not got.has_frequency
    assert got.mv / 1000 == pytest.approx(230, abs=5)


@pytest.mark.parametrize("over", [{"amperes": 22.0}, {"volts": 800.0}])
def test_an_input_at_its_end_is_flagged(over: dict[str, float]) -> None:
    got = measure(
        volts=over.get("volts", 230),
        amperes=over.get("amperes", 5),
    )
    assert "clipping" in got.flag_names()


def test_a_sensor_without_supply_is_stuck() -> None:
    assert "stuck" in measure(amperes=0, offsets=(0, -511)).flag_names()


@settings(max_examples=25, deadline=None)
@given(
    v=st.lists(st.integers(0, 1023), min_size=1, max_size=40),
    i=st.lists(st.integers(0, 1023), min_size=1, max_size=40),
)
def test_no_pattern_of_samples_gives_figures_beyond_the_inputs(v: list[int], i: list[int]) -> None:
    """Undefined arithmetic would end the process: the library is built so."""
    count = 9000
    codes = [np.resize(np.array(pattern, dtype=np.uint16), count) for pattern in (v, i)]
    results = (Measured * 16)()
    windows = logic().host_measure(
        codes[0].ctypes.data_as(ctypes.c_void_p),
        codes[1].ctypes.data_as(ctypes.c_void_p),
        ctypes.c_long(count),
        PERIOD,
        SKEW,
        ctypes.byref(NO_CALIBRATION),
        results,
        16,
    )
    assert windows >= 3
    for got in results[:windows]:
        assert 0 <= got.mv <= 512 * VOLTS * 1000
        assert 0 <= got.ma <= 512 * AMPERES * 1000
        assert abs(got.mw) <= got.mva + 1
