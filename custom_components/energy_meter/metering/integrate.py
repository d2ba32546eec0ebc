"""Power into energy, where the meter has no counter of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

MICRO: Final = 1e6
"""Totals are kept in whole micro watt hours, so that a year of small steps loses nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time in which power was not known and nothing was counted."""

    start: float
    """UTC, seconds since the epoch."""
    end: float


class EnergyIntegrator:
    """Integrates power by the trapezoidal rule into import and export, both only rising.

    Between two samples power is taken as a straight line; where it crosses zero the line is split. The
    error of one step is at most |P″|·Δt³/12 (Davis and Rabinowitz, Methods of Numerical Integration, 2.1).

    Args:
        longest_gap: seconds between two samples above which nothing is assumed about the time between.
        state: what `to_dict` gave before a restart.
    """

    def __init__(self, *, longest_gap: float, state: Mapping[str, Any] | None = None) -> None:
        """Begin at zero, or where `state` ended."""
        self._longest_gap = longest_gap
        self._import = _Total()
        self._export = _Total()
        self._power: float | None = None
        self._monotonic: float | None = None
        self._time: float | None = None
        self.gaps = 0
        self.gap_seconds = 0.0
        if state:
            self._import.restore(state.get("import"))
            self._export.restore(state.get("export"))
            gaps, seconds, time = state.get("gaps"), state.get("gap_seconds"), state.get("time")
            self.gaps = gaps if isinstance(gaps, int) and gaps >= 0 else 0
            self.gap_seconds = float(seconds) if isinstance(seconds, (int, float)) else 0.0
            self._time = float(time) if isinstance(time, (int, float)) else None
            power = state.get("power")
            self._power = float(power) if isinstance(power, (int, float)) else None

    @property
    def energy_import(self) -> float:
        """Energy taken, kWh."""
        return self._import.kwh

    @property
    def energy_export(self) -> float:
        """Energy fed back, kWh."""
        return self._export.kwh

    def add(self, power: float, *, time: float, monotonic: float) -> Gap | None:
        """Take a sample of power, W, and return the gap before it if there was one."""
        before, last, since = self._power, self._time, self._monotonic
        self._power, self._time, self._monotonic = power, time, monotonic
        if last is None:
            return None
        # Only the wall clock spans a restart; the other one knows better while we run.
        elapsed = time - last if since is None else monotonic - since
        if elapsed > self._longest_gap:
            return self._note_gap(time - elapsed, time)
        if before is not None and elapsed > 0:
            taken, fed = split_trapezoid(before, power, elapsed)
            self._import.add(taken)
            self._export.add(fed)
        return None

    def _note_gap(self, start: float, end: float) -> Gap:
        self.gaps += 1
        self.gap_seconds += max(end - start, 0.0)
        return Gap(start=start, end=end)

    def interrupt(self) -> None:
        """The meter fell silent: the next sample begins anew."""
        self._power = None

    @staticmethod
    def state_at(energy_import: float = 0.0, energy_export: float = 0.0) -> dict[str, Any]:
        """Return a state to begin with at these totals, kWh."""
        return {
            "import": max(round(energy_import * MICRO * 1000), 0),
            "export": max(round(energy_export * MICRO * 1000), 0),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return all that a restart has to know, ready for JSON."""
        return {
            "import": self._import.state,
            "export": self._export.state,
            "gaps": self.gaps,
            "gap_seconds": self.gap_seconds,
            "time": self._time,
            "power": self._power,
        }


def split_trapezoid(start: float, end: float, seconds: float) -> tuple[float, float]:
    """Return energy taken and fed back, Wh, both ≥ 0, for power that goes straight from start to end, W."""
    if start >= 0 and end >= 0:
        return (start + end) / 2 * seconds / 3600, 0.0
    if start <= 0 and end <= 0:
        return 0.0, -(start + end) / 2 * seconds / 3600
    crossing = min(seconds * start / (start - end), seconds)
    first = abs(start) / 2 * crossing / 3600
    second = abs(end) / 2 * (seconds - crossing) / 3600
    return (first, second) if start > 0 else (second, first)


class _Total:
    """A sum in whole micro watt hours; what is less is carried on."""

    __slots__ = ("_carry", "_micro")

    def __init__(self) -> None:
        self._micro = 0
        self._carry = 0.0

    def add(self, watt_hours: float) -> None:
        self._carry += watt_hours * MICRO
        whole = int(self._carry)
        self._micro += whole
        self._carry -= whole

    @property
    def kwh(self) -> float:
        return self._micro / (MICRO * 1000)

    @property
    def state(self) -> int:
        return self._micro

    def restore(self, state: object) -> None:
        if isinstance(state, int) and not isinstance(state, bool) and state >= 0:
            self._micro = state
