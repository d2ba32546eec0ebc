"""A captured waveform as a picture: voltage and current over the time, and what can be read off them."""

from collections.abc import Sequence
from typing import Final

from .metering.waveform import Waveform

WIDTH: Final = 640
HEIGHT: Final = 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 20, 20, 40, 70
_VOLTAGE, _CURRENT, _GRID, _TEXT = "#1976d2", "#e65100", "#9e9e9e", "#757575"


def _line(samples: Sequence[float], colour: str) -> str:
    """One curve, scaled to its own largest magnitude."""
    peak = max((abs(sample) for sample in samples), default=0.0) or 1.0
    middle = _TOP + (HEIGHT - _TOP - _BOTTOM) / 2
    reach = (HEIGHT - _TOP - _BOTTOM) / 2
    step = (WIDTH - _LEFT - _RIGHT) / max(len(samples) - 1, 1)
    points = " ".join(
        f"{_LEFT + index * step:.1f},{middle - sample / peak * reach:.1f}"
        for index, sample in enumerate(samples)
    )
    return f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>'


def _said(text: str, y: float, colour: str = _TEXT) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f'<text x="{_LEFT}" y="{y}" fill="{colour}">{escaped}</text>'


def draw(wave: Waveform, name: str) -> str:
    """The picture as SVG; no colour of a background, so that it fits any theme.

    Args:
        wave: the capture.
        name: of the circuit.
    """
    voltage, current = wave.voltage, wave.current
    middle = _TOP + (HEIGHT - _TOP - _BOTTOM) / 2
    crest = "–" if current.crest_factor is None else f"{current.crest_factor:.2f}"
    distortion = "–" if current.distortion is None else f"{current.distortion:.0f} %"
    orders = " ".join(
        f"{order}: {amperes:.2f}"
        for order, amperes in enumerate(current.harmonics, 1)
        if order % 2 and order <= 11
    )
    parts = (
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            'font-family="sans-serif" font-size="15">'
        ),
        _said(name, 24),
        (
            f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{middle}" y2="{middle}" '
            f'stroke="{_GRID}" stroke-dasharray="4"/>'
        ),
        _line(voltage.samples, _VOLTAGE),
        _line(current.samples, _CURRENT),
        _said(f"{voltage.rms:.1f} V, {wave.frequency:.2f} Hz", HEIGHT - 46, _VOLTAGE),
        _said(
            f"{current.rms:.2f} A, peak {current.peak:.2f} A, crest factor {crest}, THD {distortion}",
            HEIGHT - 27,
            _CURRENT,
        ),
        _said(f"Harmonics in A: {orders}", HEIGHT - 8, _CURRENT),
        "</svg>",
    )
    return "".join(parts)
