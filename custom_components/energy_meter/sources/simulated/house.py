"""A house whose every measured value is a function of the time.

Nothing runs and nothing is kept: power, voltage and counters at a time follow from the seed and the time
alone, so that history, live values and a restarted simulation agree and no counter ever falls. The one
exceptions are the relays in front of the pond pump, the water heater and the car, if somebody switches them.

The week repeats, in a May that never ends.
"""

from functools import cache
from math import acos, tan
from random import Random
from typing import Final

from . import loads
from .circuit import PHASES, Circuit, Relay
from .loads import Week
from .mains import Mains

_FACTORS: Final = {
    "base": 0.93,
    "fridge": 0.82,
    "kitchen": 0.995,
    "washing": 0.97,
    "workshop": 0.9,
    "heat_pump": 0.96,
    "car": 0.995,
    "pump": 0.71,
    "water_heater": 1.0,
    "solar": 0.998,
    "battery": 0.99,
}
"""Power factor of each load; all take reactive power."""
SWITCHED: Final = ("pump", "water_heater", "car")
"""Circuits that can be switched off."""


def _circuit_of(load: str, week: Week) -> tuple[Week, Week]:
    """Active and reactive power of a load of one power factor."""
    slope = tan(acos(_FACTORS[load]))
    return week, [abs(watts) * slope for watts in week]


def _together(*conductors: tuple[Week, Week]) -> tuple[Week, Week]:
    """Active and reactive power of several loads on one conductor."""
    active, reactive = zip(*conductors, strict=True)
    return loads.add(*active), loads.add(*reactive)


def _third(week: Week) -> Week:
    return [watts / 3 for watts in week]


class House:
    """The circuits of the house, by name.

    `grid`, `heat_pump` and `car` have three phases; `solar`, `battery`, `kitchen`, `water_heater`, `workshop`,
    `washing`, `bench` and `pump` have one. The washing machine and the bench hang behind the workshop's meter.
    With the oven, the hob, the car and the water heater at once the second phase carries more than it should.
    """

    def __init__(self, seed: int = 1) -> None:
        """Work out the whole week; takes some tenths of a second, so keep it off the event loop."""

        def rng(name: str) -> Random:
            return Random(f"{seed} {name}")

        base = loads.base(rng("base"))
        week = {
            "fridge": loads.compressor(rng("fridge"), 84, 14, 27),
            "pump": loads.pump(rng("pump")),
            "kitchen": loads.cooking(rng("kitchen")),
            "washing": loads.washing(rng("washing")),
            "heat_pump": loads.heat_pump(rng("heat pump")),
            "car": loads.car(rng("car")),
            "water_heater": loads.water_heater(rng("water heater")),
            "solar": loads.solar(rng("solar")),
        }
        bench = loads.add(loads.tools(rng("tools")), loads.compressor(rng("freezer"), 96, 17, 38))
        everything = loads.add(base, bench, *week.values())
        week["battery"] = loads.battery(rng("battery"), everything, not_for=week["car"])

        flow = {name: _circuit_of(name, watts) for name, watts in week.items()}
        workshop = _together(_circuit_of("workshop", bench), flow["washing"])
        heat_pump = _circuit_of("heat_pump", _third(week["heat_pump"]))
        car = _circuit_of("car", _third(week["car"]))

        def lights(part: float) -> tuple[Week, Week]:
            return _circuit_of("base", [watts * part for watts in base])

        grid = {
            "l1": _together(
                lights(0.4),
                flow["fridge"],
                flow["pump"],
                flow["solar"],
                flow["battery"],
                heat_pump,
                car,
            ),
            "l2": _together(lights(0.25), flow["kitchen"], flow["water_heater"], heat_pump, car),
            "l3": _together(lights(0.35), workshop, heat_pump, car),
        }
        self.mains = Mains(rng("mains"))
        self.circuits = {
            name: Circuit(self.mains, conductors)
            for name, conductors in {
                "grid": grid,
                "solar": {"l1": flow["solar"]},
                "heat_pump": dict.fromkeys(PHASES, heat_pump),
                "car": dict.fromkeys(PHASES, car),
                "kitchen": {"l2": flow["kitchen"]},
                "workshop": {"l3": workshop},
                "washing": {"l3": flow["washing"]},
                "bench": {"l3": _circuit_of("workshop", bench)},
                "pump": {"l1": flow["pump"]},
                "water_heater": {"l2": flow["water_heater"]},
                "battery": {"l1": flow["battery"]},
            }.items()
        }
        for phase in PHASES:
            self.mains.load[phase] = self.circuits["grid"].conductor(phase).active
        self.relays = {name: Relay(self.circuits[name]) for name in SWITCHED}
        """In front of circuits, by their names."""
        for name, relay in self.relays.items():
            for passed in (name, "grid"):
                self.circuits[passed].pass_through(relay)


@cache
def shared_house() -> House:
    """The one house that everybody in this process looks at who does not bring another."""
    return House()
