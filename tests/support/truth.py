"""What the simulated meters measure: a pure function of unit, quantity and time, known to both ends.

Every value names itself: from a published number alone one can tell which meter and which quantity it is from, and
when the meter had it. So a run can prove that no value of another register, meter or moment was taken for
the right one. Values change every `STEP` seconds. Registers are 32-bit floats in the input table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import math
import struct
from typing import Final

from custom_components.energy_meter.model import QUANTITIES, Kind
from custom_components.energy_meter.sources.modbus.profile import Table

from .meters import Meter

STEP: Final = 0.25
"""Seconds between two changes of a meter's values."""
PERIOD: Final = 400
"""Steps after which values that are no counters repeat: 100 s."""


@dataclass(frozen=True, slots=True)
class _Scale:
    """value = base + slot · apart + unit · per_unit + step · per_step."""

    base: float
    apart: float
    per_unit: float
    per_step: float


_COUNTER: Final = _Scale(10000, 2000, 40, 0.01)
_DEFAULT: Final = _Scale(400, 11, 0.25, 0.0005)
_SCALES: Final[Mapping[Kind, _Scale]] = {
    Kind.VOLTAGE: _Scale(210, 11, 0.25, 0.0005),
    Kind.POWER_FACTOR: _Scale(0.1, 0.1, 0.002, 0.000004),
    Kind.FREQUENCY: _Scale(49.6, 0.5, 0.012, 0.00002),
    Kind.ENERGY: _COUNTER,
    Kind.REACTIVE_ENERGY: _COUNTER,
    Kind.APPARENT_ENERGY: _COUNTER,
    Kind.CHARGE: _COUNTER,
}


class Truth:
    """The values of all meters on a line, and the judge of what a client says they are."""

    def __init__(self, keys: Sequence[str], started: float, *, lively: bool = False) -> None:
        """Begin to measure.

        Args:
            keys: the quantities of one meter.
            started: moment (monotonic) of step 0.
            lively: whether values change every second by more than anybody would round away; they do not
                name themselves then.
        """
        self._started = started
        self._lively = lively
        self._slots: dict[str, int] = {}
        count: dict[_Scale, int] = {}
        for key in keys:
            scale = self._scale(key)
            self._slots[key] = count.get(scale, 0)
            count[scale] = self._slots[key] + 1

    @staticmethod
    def _scale(key: str) -> _Scale:
        return _SCALES.get(QUANTITIES[key].kind, _DEFAULT)

    def _base(self, unit: int, key: str) -> float:
        scale = self._scale(key)
        return scale.base + self._slots[key] * scale.apart + unit * scale.per_unit

    def step(self, now: float) -> int:
        """Return the number of the values that meters have at this moment."""
        return int((now - self._started) / STEP)

    def value(self, unit: int, key: str, step: int) -> float:
        """Return what a 32-bit float register holds."""
        scale = self._scale(key)
        moves = step
        if scale is not _COUNTER:
            moves %= PERIOD
            if self._lively:
                moves += 1000 * (step % 4 + step // 4 % 4)
        elif self._lively:
            moves //= 4
        exact = self._base(unit, key) + moves * scale.per_step
        return float(struct.unpack(">f", struct.pack(">f", exact))[0])

    def words(self, unit: int, key: str, step: int, scale: float = 1) -> tuple[int, int]:
        """Return the value, divided by the register's scale, as two registers, high word first."""
        raw = self.value(unit, key, step) / scale
        high, low = struct.unpack(">HH", struct.pack(">f", raw))
        return high, low

    def age(self, unit: int, key: str, value: float, now: float) -> float | None:
        """Return how long ago the meter had this value (0 if it has it now); None if it never had.

        The age is exact to one step, and for values that repeat the shortest possible.
        """
        if not math.isfinite(value):
            return None
        scale = self._scale(key)
        found = round((value - self._base(unit, key)) / scale.per_step)
        if abs(self.value(unit, key, found) - value) > 0.45 * scale.per_step:
            return None
        current = self.step(now)
        if scale is not _COUNTER:
            if not 0 <= found < PERIOD:
                return None
            # The step may have changed between the meter's answer and now.
            return ((current - found) % PERIOD) * STEP
        if not 0 <= found <= current:
            return None
        return (current - found) * STEP


def truthful_meter(
    unit: int,
    truth: Truth,
    addresses: Mapping[str, int],
    *,
    max_registers: int = 125,
    min_gap: float = 0,
    info: Mapping[int, int] | None = None,
    scales: Mapping[str, float] | None = None,
) -> Meter:
    """Return a meter whose registers follow the truth at every read.

    Args:
        unit: address on the line.
        truth: what it measures.
        addresses: quantity to input register.
        max_registers: most registers in one request.
        min_gap: seconds of pause that it wants before a request.
        info: its holding registers.
        scales: value over raw value, by quantity, where it is not 1.
    """
    shown = -1
    scales = scales or {}

    def refresh(meter: Meter) -> None:
        nonlocal shown
        step = truth.step(meter.reads[-1].time)
        if step != shown:
            shown = step
            for key, address in addresses.items():
                words = truth.words(unit, key, step, scales.get(key, 1))
                meter.set(Table.INPUT, address, words)

    return Meter(
        unit_id=unit,
        input=dict.fromkeys(range(max(addresses.values()) + 2), 0),
        holding=dict(info or {}),
        max_registers=max_registers,
        min_gap=min_gap,
        before_read=refresh,
    )
