"""The one vocabulary of measured things.

Every reading, profile, entity and document names a measured thing by a key of `QUANTITIES`. A new
quantity is one row of `_ROWS`; a row with variants stands for one quantity per phase, phase pair,
tariff or channel as well.

Signs follow IEC 62053 as a consumer sees them: positive active power flows from the supply to the
installation (import), negative flows back (export).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Final


class Kind(StrEnum):
    """The physical kind of a quantity; one presentation per kind."""

    VOLTAGE = "voltage"
    CURRENT = "current"
    POWER = "power"
    APPARENT_POWER = "apparent_power"
    REACTIVE_POWER = "reactive_power"
    POWER_FACTOR = "power_factor"
    FREQUENCY = "frequency"
    PHASE_ANGLE = "phase_angle"
    ENERGY = "energy"
    REACTIVE_ENERGY = "reactive_energy"
    APPARENT_ENERGY = "apparent_energy"
    CHARGE = "charge"
    DURATION = "duration"
    TEMPERATURE = "temperature"
    DISTORTION = "distortion"
    UNBALANCE = "unbalance"
    RATIO = "ratio"
    CODE = "code"


class Rate(StrEnum):
    """How often a quantity is worth reading."""

    FAST = "fast"
    """Power, current, voltage: what an automation acts on."""
    COUNTER = "counter"
    """Energy counters."""
    SLOW = "slow"
    """Everything else."""


class Counts(StrEnum):
    """How a counter moves over a meter's life."""

    UP = "up"
    """It only rises: import, export, totals."""
    BOTH = "both"
    """It rises and falls: net energy."""
    RESETTABLE = "resettable"
    """It only rises, and a user may clear it at the meter."""


class Visibility(StrEnum):
    """What a user sees without asking."""

    SHOWN = "shown"
    EXTRA = "extra"
    DIAGNOSTIC = "diagnostic"


class Variants(Enum):
    """Sets of suffixes that a row expands into: (placeholder name, {suffix: spoken form})."""

    PHASES = ("phase", {"l1": "L1", "l2": "L2", "l3": "L3"})
    PAIRS = ("phases", {"l1_l2": "L1-L2", "l2_l3": "L2-L3", "l3_l1": "L3-L1"})
    TARIFFS = ("tariff", {"t1": "1", "t2": "2", "t3": "3", "t4": "4"})
    CHANNELS = ("channel", {f"ch{number}": str(number) for number in range(1, 7)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """One measured thing."""

    key: str
    base: str
    """The key without its variant: `voltage` for `voltage_l1`."""
    kind: Kind
    unit: str | None
    """SI or field unit: V, A, W, VA, var, Hz, °, kWh, kvarh, kVAh, Ah, h, °C, %; None for plain numbers."""
    meaning: str
    rate: Rate
    precision: int
    """Decimals worth showing."""
    counts: Counts | None
    visibility: Visibility
    translation_key: str
    placeholders: Mapping[str, str]
    variant: str | None
    """`l1`, `l1_l2`, `t1`, `ch1` …, or None for the total, average or only value."""


@dataclass(frozen=True, slots=True)
class _Row:
    base: str
    kind: Kind
    meaning: str
    rate: Rate = Rate.SLOW
    visibility: Visibility = Visibility.EXTRA
    counts: Counts | None = None
    variants: tuple[Variants, ...] = ()
    variant_visibility: Visibility | None = None
    unit: str | None = None
    precision: int | None = None
    plain: bool = True
    """Whether the key without a variant exists too."""


_UNIT_AND_PRECISION: Final[Mapping[Kind, tuple[str | None, int]]] = {
    Kind.VOLTAGE: ("V", 1),
    Kind.CURRENT: ("A", 2),
    Kind.POWER: ("W", 1),
    Kind.APPARENT_POWER: ("VA", 1),
    Kind.REACTIVE_POWER: ("var", 1),
    Kind.POWER_FACTOR: (None, 3),
    Kind.FREQUENCY: ("Hz", 2),
    Kind.PHASE_ANGLE: ("°", 1),
    Kind.ENERGY: ("kWh", 2),
    Kind.REACTIVE_ENERGY: ("kvarh", 2),
    Kind.APPARENT_ENERGY: ("kVAh", 2),
    Kind.CHARGE: ("Ah", 2),
    Kind.DURATION: ("h", 1),
    Kind.TEMPERATURE: ("°C", 1),
    Kind.DISTORTION: ("%", 1),
    Kind.UNBALANCE: ("%", 1),
    Kind.RATIO: (None, 2),
    Kind.CODE: (None, 0),
}

_P, _PP, _T, _C = Variants.PHASES, Variants.PAIRS, Variants.TARIFFS, Variants.CHANNELS
_FAST, _COUNTER, _SLOW = Rate.FAST, Rate.COUNTER, Rate.SLOW
_SHOWN, _EXTRA, _DIAGNOSTIC = Visibility.SHOWN, Visibility.EXTRA, Visibility.DIAGNOSTIC
_UP, _BOTH, _RESETTABLE = Counts.UP, Counts.BOTH, Counts.RESETTABLE

_ROWS: Final[tuple[_Row, ...]] = (
    # Voltage and current
    _Row("voltage", Kind.VOLTAGE, "Phase to neutral; the average on three phases", _FAST, _SHOWN, variants=(_P, _PP, _C), variant_visibility=_SHOWN),
    _Row("voltage_ll", Kind.VOLTAGE, "Phase to phase, average of the three pairs"),
    _Row("voltage_pen", Kind.VOLTAGE, "Neutral to protective earth"),
    _Row("current", Kind.CURRENT, "The only or the total current", _FAST, _SHOWN, variants=(_P, _C), variant_visibility=_SHOWN),
    _Row("current_avg", Kind.CURRENT, "Average of the phases", _FAST),
    _Row("current_sum", Kind.CURRENT, "Sum of the phases", _FAST),
    _Row("current_n", Kind.CURRENT, "Neutral conductor", _FAST),
    _Row("voltage_peak", Kind.VOLTAGE, "Largest magnitude of an instant since the last reading"),
    _Row("current_peak", Kind.CURRENT, "Largest magnitude of an instant since the last reading"),
    _Row("current_leakage", Kind.CURRENT, "Residual current", precision=3),
    # Power
    _Row("power", Kind.POWER, "Active power, import positive", _FAST, _SHOWN, variants=(_P, _C), variant_visibility=_SHOWN),
    _Row("power_import", Kind.POWER, "Active power taken, never negative", _FAST, variants=(_P,)),
    _Row("power_export", Kind.POWER, "Active power fed back, never negative", _FAST, variants=(_P,)),
    _Row("power_max", Kind.POWER, "Highest active power since the last reset"),
    _Row("power_min", Kind.POWER, "Lowest active power since the last reset"),
    _Row("apparent_power", Kind.APPARENT_POWER, "Apparent power", _SLOW, _EXTRA, variants=(_P, _C)),
    _Row("apparent_power_max", Kind.APPARENT_POWER, "Highest apparent power since the last reset"),
    _Row("reactive_power", Kind.REACTIVE_POWER, "Reactive power", _SLOW, _EXTRA, variants=(_P,)),
    _Row("reactive_power_import", Kind.REACTIVE_POWER, "Reactive power taken", variants=(_P,)),
    _Row("reactive_power_export", Kind.REACTIVE_POWER, "Reactive power fed back", variants=(_P,)),
    _Row("reactive_power_inductive", Kind.REACTIVE_POWER, "Inductive reactive power", variants=(_P,)),
    _Row("reactive_power_capacitive", Kind.REACTIVE_POWER, "Capacitive reactive power", variants=(_P,)),
    _Row("reactive_power_max", Kind.REACTIVE_POWER, "Highest reactive power since the last reset"),
    _Row("reactive_power_min", Kind.REACTIVE_POWER, "Lowest reactive power since the last reset"),
    _Row("power_factor", Kind.POWER_FACTOR, "Active over apparent power", _SLOW, _SHOWN, variants=(_P, _C)),
    _Row("power_factor_displacement", Kind.POWER_FACTOR, "Power factor of the fundamental", variants=(_P,)),
    _Row("frequency", Kind.FREQUENCY, "Line frequency", _SLOW, _SHOWN, variants=(_P, _C)),
    _Row("frequency_fine", Kind.FREQUENCY, "Line frequency with more decimals", precision=3),
    _Row("phase_angle", Kind.PHASE_ANGLE, "Angle between voltage and current", variants=(_P,)),
    _Row("phase_angle_current", Kind.PHASE_ANGLE, "Angle of the current phasor", variants=(_P, _PP), plain=False),
    _Row("phase_angle_voltage", Kind.PHASE_ANGLE, "Angle of the voltage phasor", variants=(_P, _PP), plain=False),
    # Active energy
    _Row("energy_import", Kind.ENERGY, "Energy taken over the meter's life", _COUNTER, _SHOWN, _UP, (_P, _T, _C)),
    _Row("energy_export", Kind.ENERGY, "Energy fed back over the meter's life", _COUNTER, _SHOWN, _UP, (_P, _T, _C)),
    _Row("energy_total", Kind.ENERGY, "What the meter calls its total", _COUNTER, _EXTRA, _UP, (_P, _T)),
    _Row("energy_net", Kind.ENERGY, "Energy taken minus energy fed back", _COUNTER, _EXTRA, _BOTH, (_P,)),
    _Row("energy_import_resettable", Kind.ENERGY, "Energy taken since the last reset", _COUNTER, _EXTRA, _RESETTABLE),
    _Row("energy_export_resettable", Kind.ENERGY, "Energy fed back since the last reset", _COUNTER, _EXTRA, _RESETTABLE),
    _Row("energy_total_resettable", Kind.ENERGY, "Total since the last reset", _COUNTER, _EXTRA, _RESETTABLE),
    _Row("energy_net_resettable", Kind.ENERGY, "Net energy since the last reset", _COUNTER, _EXTRA, _BOTH),
    # Reactive and apparent energy
    _Row("reactive_energy_import", Kind.REACTIVE_ENERGY, "Reactive energy taken", _COUNTER, _EXTRA, _UP, (_P, _T)),
    _Row("reactive_energy_export", Kind.REACTIVE_ENERGY, "Reactive energy fed back", _COUNTER, _EXTRA, _UP, (_P, _T)),
    _Row("reactive_energy_total", Kind.REACTIVE_ENERGY, "What the meter calls its reactive total", _COUNTER, _EXTRA, _UP, (_P, _T)),
    _Row("reactive_energy_net", Kind.REACTIVE_ENERGY, "Reactive energy taken minus fed back", _COUNTER, _EXTRA, _BOTH, (_P,)),
    _Row("reactive_energy_q1", Kind.REACTIVE_ENERGY, "Reactive energy of quadrant 1", _COUNTER, _EXTRA, _UP, (_P,)),
    _Row("reactive_energy_q2", Kind.REACTIVE_ENERGY, "Reactive energy of quadrant 2", _COUNTER, _EXTRA, _UP, (_P,)),
    _Row("reactive_energy_q3", Kind.REACTIVE_ENERGY, "Reactive energy of quadrant 3", _COUNTER, _EXTRA, _UP, (_P,)),
    _Row("reactive_energy_q4", Kind.REACTIVE_ENERGY, "Reactive energy of quadrant 4", _COUNTER, _EXTRA, _UP, (_P,)),
    _Row("reactive_energy_inductive", Kind.REACTIVE_ENERGY, "Inductive reactive energy", _COUNTER, _EXTRA, _UP, (_P,)),
    _Row("reactive_energy_capacitive", Kind.REACTIVE_ENERGY, "Capacitive reactive energy", _COUNTER, _EXTRA, _UP, (_P,)),
    _Row("reactive_energy_import_inductive", Kind.REACTIVE_ENERGY, "Inductive reactive energy taken", _COUNTER, _EXTRA, _UP),
    _Row("reactive_energy_import_capacitive", Kind.REACTIVE_ENERGY, "Capacitive reactive energy taken", _COUNTER, _EXTRA, _UP),
    _Row("reactive_energy_export_inductive", Kind.REACTIVE_ENERGY, "Inductive reactive energy fed back", _COUNTER, _EXTRA, _UP),
    _Row("reactive_energy_export_capacitive", Kind.REACTIVE_ENERGY, "Capacitive reactive energy fed back", _COUNTER, _EXTRA, _UP),
    _Row("reactive_energy_import_resettable", Kind.REACTIVE_ENERGY, "Reactive energy taken since the last reset", _COUNTER, _EXTRA, _RESETTABLE),
    _Row("reactive_energy_total_resettable", Kind.REACTIVE_ENERGY, "Reactive total since the last reset", _COUNTER, _EXTRA, _RESETTABLE),
    _Row("apparent_energy", Kind.APPARENT_ENERGY, "Apparent energy", _COUNTER, _EXTRA, _UP, (_P, _T)),
    _Row("apparent_energy_import", Kind.APPARENT_ENERGY, "Apparent energy taken", _COUNTER, _EXTRA, _UP, (_P,)),
    _Row("apparent_energy_export", Kind.APPARENT_ENERGY, "Apparent energy fed back", _COUNTER, _EXTRA, _UP, (_P,)),
    _Row("apparent_energy_net", Kind.APPARENT_ENERGY, "Apparent energy taken minus fed back", _COUNTER, _EXTRA, _BOTH, (_P,)),
    _Row("ampere_hours", Kind.CHARGE, "Charge over the meter's life", _COUNTER, _EXTRA, _UP),
    # Demand
    _Row("power_demand", Kind.POWER, "Active power averaged over the demand period", variants=(_P,)),
    _Row("power_demand_max", Kind.POWER, "Highest demand since the last reset"),
    _Row("power_demand_min", Kind.POWER, "Lowest demand since the last reset"),
    _Row("power_demand_import", Kind.POWER, "Import averaged over the demand period"),
    _Row("power_demand_import_max", Kind.POWER, "Highest import demand since the last reset"),
    _Row("power_demand_export", Kind.POWER, "Export averaged over the demand period"),
    _Row("power_demand_export_max", Kind.POWER, "Highest export demand since the last reset"),
    _Row("apparent_power_demand", Kind.APPARENT_POWER, "Apparent power averaged over the demand period"),
    _Row("apparent_power_demand_max", Kind.APPARENT_POWER, "Highest apparent demand since the last reset"),
    _Row("reactive_power_demand", Kind.REACTIVE_POWER, "Reactive power averaged over the demand period"),
    _Row("reactive_power_demand_max", Kind.REACTIVE_POWER, "Highest reactive demand since the last reset"),
    _Row("current_demand", Kind.CURRENT, "Current averaged over the demand period", variants=(_P,)),
    _Row("current_demand_max", Kind.CURRENT, "Highest current demand since the last reset", variants=(_P,)),
    _Row("current_n_demand", Kind.CURRENT, "Neutral current averaged over the demand period"),
    _Row("current_n_demand_max", Kind.CURRENT, "Highest neutral current demand since the last reset"),
    _Row("demand_present", Kind.APPARENT_POWER, "Demand of the running period, as the meter is set up"),
    _Row("demand_max", Kind.APPARENT_POWER, "Highest demand, as the meter is set up"),
    _Row("demand_rising", Kind.APPARENT_POWER, "Demand expected at the end of the running period"),
    # Quality
    _Row("thd_voltage", Kind.DISTORTION, "Total harmonic distortion of the voltage", variants=(_P, _PP)),
    _Row("thd_voltage_ll", Kind.DISTORTION, "Total harmonic distortion of the phase to phase voltage, average"),
    _Row("thd_current", Kind.DISTORTION, "Total harmonic distortion of the current", variants=(_P,)),
    _Row("current_crest_factor", Kind.RATIO, "Peak over effective value of the current", visibility=_SHOWN),
    _Row("unbalance_voltage", Kind.UNBALANCE, "Voltage unbalance"),
    _Row("unbalance_current", Kind.UNBALANCE, "Current unbalance"),
    # The meter itself
    _Row("temperature", Kind.TEMPERATURE, "Inside the meter", _SLOW, _DIAGNOSTIC),
    _Row("operating_time", Kind.DURATION, "Hours in operation", _SLOW, _DIAGNOSTIC, _UP),
    _Row("operating_time_import", Kind.DURATION, "Hours with import", _SLOW, _DIAGNOSTIC, _UP),
    _Row("operating_time_export", Kind.DURATION, "Hours with export", _SLOW, _DIAGNOSTIC, _UP),
    _Row("power_interruptions", Kind.CODE, "Number of supply interruptions", _SLOW, _DIAGNOSTIC),
    _Row("phase_sequence", Kind.CODE, "Rotation of the phases, the maker's coding", _SLOW, _DIAGNOSTIC),
    _Row("power_direction", Kind.CODE, "Direction of active power, the maker's coding", _SLOW, _DIAGNOSTIC, variants=(_C,)),
    _Row("reactive_power_direction", Kind.CODE, "Direction of reactive power, the maker's coding", _SLOW, _DIAGNOSTIC),
    _Row("load_character", Kind.CODE, "Inductive or capacitive, the maker's coding", _SLOW, _DIAGNOSTIC),
    _Row("supply_kind", Kind.CODE, "AC or DC, the maker's coding", _SLOW, _DIAGNOSTIC),
    _Row("status", Kind.CODE, "Status word, the maker's coding", _SLOW, _DIAGNOSTIC),
    _Row("status_relay", Kind.CODE, "Relay state, the maker's coding", _SLOW, _DIAGNOSTIC),
    _Row("status_digital_input", Kind.CODE, "Digital input, the maker's coding", _SLOW, _DIAGNOSTIC),
    _Row("events", Kind.CODE, "Event word, the maker's coding", _SLOW, _DIAGNOSTIC),
    _Row("alarm_status", Kind.CODE, "Alarm word, the maker's coding", _SLOW, _DIAGNOSTIC),
    _Row("alarm_status_high_voltage", Kind.CODE, "High voltage alarm, the maker's coding", _SLOW, _DIAGNOSTIC),
    _Row("alarm_status_low_voltage", Kind.CODE, "Low voltage alarm, the maker's coding", _SLOW, _DIAGNOSTIC),
)  # fmt: skip


def _expand(row: _Row) -> Iterator[Quantity]:
    unit, precision = _UNIT_AND_PRECISION[row.kind]

    def quantity(
        key: str,
        visibility: Visibility,
        translation_key: str,
        placeholders: Mapping[str, str],
        variant: str | None,
    ) -> Quantity:
        return Quantity(
            key=key,
            base=row.base,
            kind=row.kind,
            unit=row.unit or unit,
            meaning=row.meaning,
            rate=row.rate,
            precision=precision if row.precision is None else row.precision,
            counts=row.counts,
            visibility=visibility,
            translation_key=translation_key,
            placeholders=placeholders,
            variant=variant,
        )

    if row.plain:
        yield quantity(row.base, row.visibility, row.base, {}, None)
    extra = row.variant_visibility or (_DIAGNOSTIC if row.visibility is _DIAGNOSTIC else _EXTRA)
    for variants in row.variants:
        placeholder, suffixes = variants.value
        visibility = extra
        if variants is _C:
            visibility = row.visibility  # A channel is a circuit of its own.
        elif variants is _PP:
            visibility = _EXTRA
        for suffix, spoken in suffixes.items():
            yield quantity(
                f"{row.base}_{suffix}",
                visibility,
                f"{row.base}_{placeholder}",
                {placeholder: spoken},
                suffix,
            )


QUANTITIES: Final[Mapping[str, Quantity]] = MappingProxyType(
    {quantity.key: quantity for row in _ROWS for quantity in _expand(row)}
)
"""Every quantity by its key."""
