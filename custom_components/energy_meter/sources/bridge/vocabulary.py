"""How boards spell quantities, and what that is in the one vocabulary.

A new spelling is one word in `_SPELLINGS`; the same table stands in `docs/bridge-protocol.md`.
"""

from dataclasses import dataclass
from functools import lru_cache
import re
from typing import Final

from ...model import QUANTITIES, Value

_SPELLINGS: Final[tuple[tuple[str, float, float, str], ...]] = (
    # (quantity, times, divided by, spellings)
    ("voltage", 1, 1, "voltage voltage_v volts volt v vrms v_rms u urms"),
    ("voltage", 1, 1000, "voltage_mv mv"),
    ("current", 1, 1, "current current_a current_i amps amp ampere amperes a i irms i_rms"),
    ("current", 1, 1000, "current_ma ma i_ma"),
    ("power", 1, 1, "power power_w watts watt w p active_power real_power"),
    ("power", 1000, 1, "power_kw kw active_power_kw"),
    ("apparent_power", 1, 1, "apparent_power apparent_power_va va s apparent"),
    ("apparent_power", 1000, 1, "apparent_power_kva kva"),
    ("reactive_power", 1, 1, "reactive_power reactive_power_var var vars q reactive"),
    ("reactive_power", 1000, 1, "reactive_power_kvar kvar"),
    ("power_factor", 1, 1, "power_factor powerfactor pf cos_phi cosphi"),
    ("frequency", 1, 1, "frequency frequency_hz freq hz f"),
    ("energy_import", 1, 1, "energy energy_kwh kwh energy_import energy_import_kwh import_kwh"),
    ("energy_import", 1, 1000, "energy_wh wh energy_import_wh import_wh"),
    ("energy_import", 1, 3_600_000, "energy_j joules joule"),
    ("energy_export", 1, 1, "energy_export energy_export_kwh export_kwh"),
    ("energy_export", 1, 1000, "energy_export_wh export_wh"),
    ("temperature", 1, 1, "temperature temperature_c temp temp_c"),
)

_LIMIT: Final = 1e12
"""No quantity of a building comes near; beyond it a number is garbage."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """What a name stands for: value in the quantity's unit = number × `times` / `divided_by`."""

    key: str
    times: float = 1
    divided_by: float = 1


_BY_NAME: Final = {
    name: Spelling(key, times, divided_by)
    for key, times, divided_by, names in _SPELLINGS
    for name in names.split()
}

_SEPARATORS: Final = re.compile(r"[\s\-._]+")
_PHASE_WORD: Final = re.compile(r"(?:^|_)l([123])(?=_|$)")
_PHASE_DIGIT: Final = re.compile(r"^(.*[a-z]{2}|[vuip])_?([123])$")
"""`i3`, `power_1`; no other single letter, because `A1` is an input of an Arduino."""
_MEANT: Final = re.compile(
    r"(?:volt|vrms|urms|current|amp|irms|power|watt|active|apparent|reactive|freq|energy|joule|temp)"
)


def normalise(name: str) -> str:
    """A name in lower case with single underscores where it had blanks, hyphens, dots or underscores."""
    return _SEPARATORS.sub("_", name.strip().lower()).strip("_")


@lru_cache(maxsize=2048)
def resolve(name: str) -> Spelling | None:
    """What a name stands for; None if it is no spelling of a quantity or in a unit that is not ours."""
    if len(name) > 64:
        return None
    plain = normalise(name)
    if plain in _BY_NAME:
        return _BY_NAME[plain]
    if plain in QUANTITIES:
        return Spelling(plain)
    if len(_PHASE_WORD.findall(plain)) == 1:
        phase = _PHASE_WORD.findall(plain)[0]
        return _of_phase(_PHASE_WORD.sub("", plain).strip("_"), phase)
    if found := _PHASE_DIGIT.match(plain):
        return _of_phase(found[1], found[2])
    return None


def _of_phase(rest: str, phase: str) -> Spelling | None:
    spelling = _BY_NAME.get(rest) or (Spelling(rest) if rest in QUANTITIES else None)
    if spelling is None or QUANTITIES[spelling.key].variant is not None:
        return None
    key = f"{spelling.key}_l{phase}"
    return Spelling(key, spelling.times, spelling.divided_by) if key in QUANTITIES else None


@lru_cache(maxsize=2048)
def looks_like_quantity(name: str) -> bool:
    """Whether a name was probably meant for a quantity, though perhaps in no unit of ours: `Power_hp`."""
    plain = normalise(name[:64])
    return plain in _BY_NAME or _MEANT.match(plain) is not None


def number(raw: object) -> float | int | None:
    """The number that `raw` is, or None: no text, no boolean, finite, of a size that exists."""
    if type(raw) is float or type(raw) is int:
        return raw if -_LIMIT < raw < _LIMIT else None
    return None


def convert(spelling: Spelling, raw: object) -> tuple[bool, Value]:
    """(whether it can be used, the value in the quantity's unit); JSON's null is a usable None."""
    if raw is None:
        return True, None
    value = number(raw)
    if value is None:
        return False, None
    if spelling.times != 1:
        value *= spelling.times
    if spelling.divided_by != 1:
        value /= spelling.divided_by
    return True, value
