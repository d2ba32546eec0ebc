"""How accurate the I²C monitor's firmware is, over loads, currents and frequencies: the table of firmware/avr/README.md.

    .venv/bin/python -m tests.firmware.avr.accuracy

The firmware runs in simavr; against it stands the wave's formula in double precision.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Final

from tests.support.avr_bench import AvrBench

from .monitor import ACS758, STARTED, Monitor, monitors

FULL: Final = 35
"""A: the range of an ACS758-050B, 50 A at the peak of a sine."""
SHARES: Final = (0.05, 0.2, 0.5, 1)
FREQUENCIES: Final = (45, 50, 55, 60, 65)
HIGHEST_PEAK: Final = 60.0
"""A that the converter still sees: 2.4 V at 40 mV per ampere, less noise and offset."""
PLAIN: Final[Mapping[str, float]] = {
    "vrms": 230, "irms": 10, "hz": 50, "phi": 0, "noise": 0, "vdc": 2500, "idc": 2500,
    "vhold": -1, "ihold": -1, "igain": ACS758,
    **{f"{signal}h{order}": 0 for signal in "vi" for order in (3, 5, 7, 9, 11)},
}  # fmt: skip
RECTIFIER: Final[Mapping[str, float]] = {
    "ih3": -0.85, "ih5": 0.6, "ih7": -0.35, "ih9": 0.15, "ih11": -0.05,
}  # fmt: skip
LOADS: Final[Mapping[str, Mapping[str, float]]] = {
    "resistive": {"irms": 12},
    "inductive": {"irms": 8, "phi": 55},
    "capacitive": {"irms": 6, "phi": -70},
    "rectifier": {"irms": 6, **RECTIFIER},
    "solar power": {"irms": 14, "phi": 180},
    "solar power with an inductive load": {"irms": 14, "phi": 150},
    "bad mains": {"irms": 10, "vh3": 0.05, "vh5": 0.04, "phi": 20, "ih3": 0.2},
    "noise": {"irms": 8, "noise": 5, "phi": 30},
    "offsets": {"irms": 10, "vdc": 2400, "idc": 2600, "phi": -30},
}
DISTURBED: Final = ("noise", "bad mains")

RELATIVE: Final = {"voltage": 100, "current": 1000, "crest_factor": 1000}
"""Fields whose deviation is a share of themselves, and their digits in the unit."""
OF_APPARENT: Final = {"power": 1000, "reactive_power": 1000, "apparent_power": 1000}
ABSOLUTE: Final = {"frequency": 100, "power_factor": 10_000}
_TRUTH: Final = {"crest_factor": "crest"}


@dataclass
class Deviations:
    """The largest deviation of each field, with the wave it came with."""

    worst: dict[str, tuple[float, str]] = field(default_factory=dict)

    def take(self, got: Mapping[str, int | None], true: Mapping[str, float], wave: str) -> None:
        """Compare one measurement."""
        for name, deviation in deviations(got, true):
            if deviation > self.worst.get(name, (-1.0, ""))[0]:
                self.worst[name] = (deviation, wave)


def deviations(
    got: Mapping[str, int | None], true: Mapping[str, float]
) -> Iterator[tuple[str, float]]:
    """(field, deviation): of `RELATIVE` a share of the truth, of `OF_APPARENT` of the apparent power; else plain."""
    for name, digits in (RELATIVE | OF_APPARENT | ABSOLUTE).items():
        truth = true[_TRUTH.get(name, name)]
        value = got[name]
        deviation = float("inf") if value is None else abs(value / digits - truth)
        if name in RELATIVE:
            deviation /= truth
        elif name in OF_APPARENT:
            deviation /= true["apparent_power"]
        yield name, deviation
    peak = true["crest"] * true["current"]
    yield "current_peak", abs((got["current_peak"] or 0) / 100 - peak) / peak


def measure(monitor: Monitor, found: Deviations, loads: Iterable[str]) -> int:
    """Go through loads, currents and frequencies; gives how many waves there were."""
    count = 0
    for load, share, hz in product(loads, SHARES, FREQUENCIES):
        waves = {**PLAIN, **LOADS[load], "irms": share * FULL, "hz": hz}
        monitor.bench.set(**waves)
        true = monitor.bench.true()
        if true["crest"] * true["current"] > HIGHEST_PEAK:
            continue
        found.take(monitor.after_change(), true, f"{load}, {share * FULL:g} A, {hz} Hz")
        count += 1
    return count


def main() -> None:
    """Print the table."""
    clean, noisy = Deviations(), Deviations()
    bench: AvrBench
    with monitors() as bench:
        bench.run(STARTED)
        monitor = Monitor(bench)
        count = measure(monitor, clean, [load for load in LOADS if load not in DISTURBED])
        both = count + measure(monitor, noisy, DISTURBED)
    print(f"{both} waves, {count} of them without noise and with sinusoidal mains")
    for name in clean.worst:
        for what, each in (("", clean), ("noise, bad mains", noisy)):
            deviation, wave = each.worst[name]
            unit = deviation if name in ABSOLUTE else deviation * 100
            print(f"{name:15} {what:16} {unit:8.3f} {'' if name in ABSOLUTE else '%'} ({wave})")


if __name__ == "__main__":
    main()
