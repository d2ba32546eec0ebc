"""What is read off a waveform."""

from math import pi, sin, sqrt

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.metering.waveform import Signal, Waveform, analyse, harmonics_of
from custom_components.energy_meter.waveform_svg import draw


def samples(
    *amplitudes: float, cycles: int = 2, count: int = 80, phase: float = 0.3
) -> list[float]:
    """Samples of harmonics 1, 2, 3 … with these effective values."""
    return [
        sum(
            sqrt(2) * rms * sin(2 * pi * order * cycles * index / count + phase * order)
            for order, rms in enumerate(amplitudes, 1)
        )
        for index in range(count)
    ]


def test_a_sine_has_its_crest_factor_and_no_harmonics() -> None:
    signal = analyse(samples(230, count=400), 2)
    assert signal.rms == pytest.approx(230, abs=1e-6)
    assert signal.crest_factor == pytest.approx(sqrt(2), abs=0.001)
    assert signal.distortion == pytest.approx(0, abs=1e-6)


@given(st.lists(st.floats(0.01, 50), min_size=1, max_size=9), st.sampled_from([1, 2]))
def test_harmonics_are_those_that_were_put_in(amplitudes: list[float], cycles: int) -> None:
    found = harmonics_of(samples(*amplitudes, cycles=cycles), cycles)
    for order, rms in enumerate(found):
        expected = amplitudes[order] if order < len(amplitudes) else 0.0
        assert rms == pytest.approx(expected, abs=1e-6)


def test_distortion_is_the_share_of_the_harmonics() -> None:
    assert analyse(samples(4, 0, 3), 2).distortion == pytest.approx(75, abs=1e-6)


def test_orders_that_the_samples_cannot_show_are_zero() -> None:
    assert harmonics_of(samples(1, count=20), 2, 15)[5:] == [0.0] * 10


def test_no_current_has_no_crest_factor() -> None:
    signal = analyse([0.0] * 40, 1)
    assert signal.crest_factor is None
    assert signal.distortion is None


def test_a_picture_has_both_curves_and_escapes_names() -> None:
    signal: Signal = analyse(samples(5), 2)
    nothing = analyse([0.0] * 80, 2)
    wave = Waveform(rate=2000, cycles=2, frequency=50, voltage=signal, current=nothing, delay=0.0)
    picture = draw(wave, "Oven <&> hob")
    assert picture.count("<polyline") == 2
    assert "Oven &lt;&amp;&gt; hob" in picture
    assert "crest factor –" in picture
