"""A capture as a bridge answers it: one or two cycles of a circuit, as counts and what they mean.

Strict: a picture that looks right and is not would be worse than none.
"""

from collections.abc import Mapping
from typing import Any, Final

from ...metering.waveform import Waveform, waveform
from .vocabulary import number

CONTROL: Final = "capture"
CAPABILITY: Final = "waveform"
MOST_PAIRS: Final = 512
_LEAST_PAIRS: Final = 8
"""In a cycle; fewer show no form."""
_RATES: Final = (100.0, 1e6)
_FREQUENCIES: Final = (30.0, 80.0)
"""Hz that mains can have; another one means that rate, cycles and samples do not belong together."""
_LONGEST_DELAY: Final = 0.01


class BadWaveformError(Exception):
    """An answer that is no capture; the argument names what is wrong with it."""


def parse_waveform(answer: object, cycles: int) -> Waveform:
    """The capture in the `value` of an `ack`.

    Args:
        answer: as it came.
        cycles: how many were asked for; fewer may have been taken.

    Raises:
        BadWaveformError: it is none.
    """
    if not isinstance(answer, Mapping):
        raise BadWaveformError("no object")
    rate = _number(answer, "rate", *_RATES)
    taken = answer.get("cycles")
    if type(taken) is not int or not 1 <= taken <= cycles:
        raise BadWaveformError("cycles")
    delay = _number(answer, "delay", -_LONGEST_DELAY, _LONGEST_DELAY) if "delay" in answer else 0.0
    voltage, current = (_samples(answer, key) for key in ("voltage", "current"))
    if len(voltage) != len(current) or len(voltage) < _LEAST_PAIRS * taken:
        raise BadWaveformError("samples")
    if not _FREQUENCIES[0] <= rate * taken / len(voltage) <= _FREQUENCIES[1]:
        raise BadWaveformError("rate")
    return waveform(rate=rate, cycles=taken, delay=delay, voltage=voltage, current=current)


def _number(raw: Mapping[str, Any], key: str, low: float, high: float) -> float:
    value = number(raw.get(key))
    if value is None or not low <= value <= high:
        raise BadWaveformError(key)
    return float(value)


def _samples(answer: Mapping[str, Any], key: str) -> list[float]:
    side = answer.get(key)
    if not isinstance(side, Mapping):
        raise BadWaveformError(key)
    counts = side.get("samples")
    if not isinstance(counts, list) or len(counts) > MOST_PAIRS:
        raise BadWaveformError(f"{key}.samples")
    if not all(type(count) is int and abs(count) < 2**31 for count in counts):
        raise BadWaveformError(f"{key}.samples")
    try:
        scale = _number(side, "scale", 1e-9, 1e6)
        zero = _number(side, "zero", -(2.0**31), 2.0**31)
    except BadWaveformError as err:
        raise BadWaveformError(f"{key}.{err}") from None
    return [(count - zero) * scale for count in counts]
