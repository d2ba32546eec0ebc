"""One or two cycles of a circuit's voltage and current, and what can be read off them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, hypot, pi, sin, sqrt
from typing import Final

HARMONICS: Final = 15
"""Highest order that is worked out; above it a few dozen samples a cycle say little."""
_SMALLEST: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What can be read off one quantity's samples; V or A."""

    samples: tuple[float, ...]
    rms: float
    peak: float
    """Largest magnitude."""
    crest_factor: float | None
    harmonics: tuple[float, ...]
    """Effective values of the orders 1, 2, 3 …"""
    distortion: float | None
    """Effective value of the harmonics above the first over the first's, percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waveform:
    """A capture."""

    rate: float
    """Pairs per second."""
    cycles: int
    frequency: float
    """Hz, as the length of the capture says."""
    voltage: Signal
    current: Signal
    delay: float
    """Seconds that the current's samples are late; put right in phase-sensitive results by whoever makes them."""


def _rms(samples: Sequence[float]) -> float:
    return sqrt(sum(sample * sample for sample in samples) / len(samples))


def harmonics_of(samples: Sequence[float], cycles: int, orders: int = HARMONICS) -> list[float]:
    """Effective values of the harmonics 1 … `orders` of samples that cover `cycles` cycles.

    The discrete Fourier sum at multiples of the fundamental; orders above half the samples of a cycle are 0.
    """
    count = len(samples)
    found = []
    for order in range(1, orders + 1):
        if order * cycles * 2 >= count:
            found.append(0.0)
            continue
        step = 2 * pi * order * cycles / count
        real = sum(sample * cos(step * index) for index, sample in enumerate(samples))
        imaginary = sum(sample * sin(step * index) for index, sample in enumerate(samples))
        found.append(hypot(real, imaginary) * sqrt(2) / count)
    return found


def analyse(samples: Sequence[float], cycles: int) -> Signal:
    """Read off samples that cover whole cycles: effective value, peak, crest factor, harmonics, distortion."""
    rms = _rms(samples)
    peak = max(abs(sample) for sample in samples)
    orders = harmonics_of(samples, cycles)
    first = orders[0]
    return Signal(
        samples=tuple(samples),
        rms=rms,
        peak=peak,
        crest_factor=peak / rms if rms > _SMALLEST else None,
        harmonics=tuple(orders),
        distortion=100 * hypot(*orders[1:]) / first if first > _SMALLEST else None,
    )


def waveform(
    *,
    rate: float,
    cycles: int,
    delay: float,
    voltage: Sequence[float],
    current: Sequence[float],
) -> Waveform:
    """What was captured, read off.

    Args:
        rate: pairs per second.
        cycles: whole cycles that the samples cover.
        delay: seconds that the current's samples are late.
        voltage: V.
        current: A, as many.
    """
    return Waveform(
        rate=rate,
        cycles=cycles,
        frequency=rate * cycles / len(voltage),
        voltage=analyse(voltage, cycles),
        current=analyse(current, cycles),
        delay=delay,
    )
