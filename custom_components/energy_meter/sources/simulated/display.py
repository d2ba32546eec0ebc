"""What a perfect meter shows: every quantity of the vocabulary, worked out from a circuit."""

from cmath import rect
from collections.abc import Callable, Mapping
from math import atan2, degrees, pi, sin
from typing import Final

from ...model import QUANTITIES, Kind, Quantity
from .circuit import INSTALLED, PHASES, Circuit, Instant

type Show = Callable[[Circuit, Quantity, float], float | None]

_TURN: Final = {phase: -2 * pi / 3 * number for number, phase in enumerate(PHASES)}
_IDLE: Final = ("t2", "t3", "t4", "ch2", "ch3", "ch4", "ch5", "ch6")
"""Tariffs and channels that nothing flows in."""


def shown(circuit: Circuit, key: str, time: float) -> float | None:
    """The value of a quantity at a Unix time, in the quantity's unit; None where there is none.

    A meter with more phases than the circuit shows the circuit on its first one.
    """
    quantity = QUANTITIES[key]
    if quantity.variant in _IDLE:
        return 0.0
    if len(circuit.phases) == 1 and quantity.variant not in (None, "l1", "t1", "ch1"):
        return 0.0
    if (show := _SHOWS.get(quantity.base)) is not None:
        return show(circuit, quantity, time)
    return 0.0 if quantity.kind is Kind.CODE else None


def _phase(circuit: Circuit, quantity: Quantity) -> str | None:
    """The house's phase that a quantity is about; None for all together."""
    return quantity.variant if len(circuit.phases) > 1 and quantity.variant in PHASES else None


def _now(value: Callable[[Instant], float]) -> Show:
    """Something that the instant alone tells."""
    return lambda circuit, quantity, time: value(circuit.at(_phase(circuit, quantity), time))


def _energy(value: Callable[[float, float], float]) -> Show:
    """Something that import and export tell."""

    def show(circuit: Circuit, quantity: Quantity, time: float) -> float:
        energy = circuit.energy(_phase(circuit, quantity), time)
        return value(energy.taken, energy.given)

    return show


def _reactive_energy(value: Callable[[float, float], float]) -> Show:
    def show(circuit: Circuit, quantity: Quantity, time: float) -> float:
        energy = circuit.reactive_energy(_phase(circuit, quantity), time)
        return value(energy.taken, energy.given)

    return show


def _demand(value: Callable[[float, float], float]) -> Show:
    def show(circuit: Circuit, quantity: Quantity, time: float) -> float:
        demand = circuit.demand(_phase(circuit, quantity), time)
        return value(demand.taken, demand.given)

    return show


def _always(number: float) -> Show:
    return lambda circuit, quantity, time: number


def _wandering(middle: float, swing: float, period: float) -> Show:
    """A side value that moves a little."""
    return lambda circuit, quantity, time: middle + swing * sin(2 * pi * time / period)


def _voltage(circuit: Circuit, quantity: Quantity, time: float) -> float:
    one, _, other = (quantity.variant or "").partition("_")
    if not other:
        return circuit.at(_phase(circuit, quantity), time).voltage
    return abs(
        rect(circuit.mains.voltage(one, time), _TURN[one])
        - rect(circuit.mains.voltage(other, time), _TURN[other])
    )


def _voltage_ll(circuit: Circuit, quantity: Quantity, time: float) -> float:
    return circuit.at(None, time).voltage * 3**0.5


def _current_neutral(circuit: Circuit, quantity: Quantity, time: float) -> float:
    """The sum of the phases' current vectors."""
    phasors = []
    for phase in circuit.phases:
        now = circuit.at(phase, time)
        lag = atan2(now.reactive, now.power)
        phasors.append(rect(now.current, _TURN[phase] - lag))
    return abs(sum(phasors))


def _current_average(circuit: Circuit, quantity: Quantity, time: float) -> float:
    return circuit.at(None, time).current / len(circuit.phases)


def _frequency(circuit: Circuit, quantity: Quantity, time: float) -> float:
    return circuit.mains.frequency(time)


def _apparent_energy(circuit: Circuit, quantity: Quantity, time: float) -> float:
    return circuit.apparent_energy(_phase(circuit, quantity), time)


def _ampere_hours(circuit: Circuit, quantity: Quantity, time: float) -> float:
    return circuit.apparent_energy(None, time) * 1_000 / 230


def _apparent_demand(circuit: Circuit, quantity: Quantity, time: float) -> float:
    demand = circuit.demand(_phase(circuit, quantity), time)
    return (demand.taken + demand.given) * 1.04


def _current_demand(circuit: Circuit, quantity: Quantity, time: float) -> float:
    return _apparent_demand(circuit, quantity, time) / 230


def _operating_time(circuit: Circuit, quantity: Quantity, time: float) -> float:
    return (time - INSTALLED) / 3_600


def _plus(value: float) -> float:
    return max(0.0, value)


_SHOWS: Final[Mapping[str, Show]] = {
    "voltage": _voltage,
    "voltage_ll": _voltage_ll,
    "voltage_peak": _now(lambda now: now.voltage * 2**0.5),
    "current_peak": _now(lambda now: now.current * 2**0.5),
    "current_crest_factor": _always(2**0.5),
    "voltage_pen": _wandering(0.6, 0.2, 900),
    "current": _now(lambda now: now.current),
    "current_avg": _current_average,
    "current_sum": _now(lambda now: now.current),
    "current_n": _current_neutral,
    "current_leakage": _wandering(0.004, 0.001, 700),
    "power": _now(lambda now: now.power),
    "power_import": _now(lambda now: _plus(now.power)),
    "power_export": _now(lambda now: _plus(-now.power)),
    "power_max": lambda circuit, quantity, time: circuit.extremes[1],
    "power_min": lambda circuit, quantity, time: circuit.extremes[0],
    "apparent_power": _now(lambda now: now.apparent),
    "apparent_power_max": lambda circuit, quantity, time: circuit.extremes[1] * 1.04,
    "reactive_power": _now(lambda now: now.reactive),
    "reactive_power_import": _now(lambda now: _plus(now.reactive)),
    "reactive_power_export": _now(lambda now: _plus(-now.reactive)),
    "reactive_power_inductive": _now(lambda now: _plus(now.reactive)),
    "reactive_power_capacitive": _now(lambda now: _plus(-now.reactive)),
    "reactive_power_max": lambda circuit, quantity, time: circuit.extremes[1] * 0.3,
    "reactive_power_min": _always(0),
    "power_factor": _now(lambda now: now.factor),
    "power_factor_displacement": _now(lambda now: now.factor),
    "frequency": _frequency,
    "frequency_fine": _frequency,
    "phase_angle": _now(lambda now: degrees(atan2(now.reactive, now.power))),
    "energy_import": _energy(lambda taken, given: taken),
    "energy_export": _energy(lambda taken, given: given),
    "energy_total": _energy(lambda taken, given: taken + given),
    "energy_net": _energy(lambda taken, given: taken - given),
    "energy_import_resettable": _energy(lambda taken, given: taken),
    "energy_export_resettable": _energy(lambda taken, given: given),
    "energy_total_resettable": _energy(lambda taken, given: taken + given),
    "energy_net_resettable": _energy(lambda taken, given: taken - given),
    "reactive_energy_import": _reactive_energy(lambda taken, given: taken),
    "reactive_energy_export": _reactive_energy(lambda taken, given: given),
    "reactive_energy_total": _reactive_energy(lambda taken, given: taken + given),
    "reactive_energy_net": _reactive_energy(lambda taken, given: taken - given),
    "reactive_energy_inductive": _reactive_energy(lambda taken, given: taken),
    "reactive_energy_capacitive": _reactive_energy(lambda taken, given: given),
    "reactive_energy_import_resettable": _reactive_energy(lambda taken, given: taken),
    "reactive_energy_total_resettable": _reactive_energy(lambda taken, given: taken + given),
    "apparent_energy": _apparent_energy,
    "apparent_energy_import": _apparent_energy,
    "apparent_energy_export": _always(0),
    "apparent_energy_net": _apparent_energy,
    "ampere_hours": _ampere_hours,
    "power_demand": _demand(lambda taken, given: taken + given),
    "power_demand_max": lambda circuit, quantity, time: circuit.extremes[2],
    "power_demand_import": _demand(lambda taken, given: taken),
    "power_demand_import_max": lambda circuit, quantity, time: circuit.extremes[2],
    "power_demand_export": _demand(lambda taken, given: given),
    "power_demand_export_max": lambda circuit, quantity, time: _plus(-circuit.extremes[0]),
    "apparent_power_demand": _apparent_demand,
    "apparent_power_demand_max": lambda circuit, quantity, time: circuit.extremes[2] * 1.04,
    "current_demand": _current_demand,
    "current_demand_max": lambda circuit, quantity, time: circuit.extremes[2] * 1.04 / 230,
    "current_n_demand": _current_neutral,
    "current_n_demand_max": lambda circuit, quantity, time: circuit.extremes[2] / 230,
    "thd_voltage": _wandering(1.9, 0.3, 1_300),
    "thd_voltage_ll": _wandering(1.7, 0.3, 1_300),
    "thd_current": _wandering(9.5, 2.0, 800),
    "unbalance_voltage": _wandering(0.4, 0.1, 2_000),
    "unbalance_current": _wandering(28, 6, 1_700),
    "temperature": _wandering(33, 2.5, 86_400),
    "operating_time": _operating_time,
}
