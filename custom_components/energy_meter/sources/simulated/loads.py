"""What switches on and off in the simulated house during one week.

Every function returns one week of active power, in watts, as a consumer sees it (consumption positive,
generation negative): a list of `KNOTS` values that are `STEP` seconds apart and start on Monday 00:00 UTC.
The same generator of random numbers gives the same week.
"""

from collections.abc import Callable, Iterator
from math import pi, sin
from random import Random
from typing import Final

STEP: Final = 30
"""Seconds between two knots."""
DAY: Final = 86_400
WEEK: Final = 7 * DAY
KNOTS: Final = WEEK // STEP

_LOCAL_TIME: Final = 3_600
"""The house's clock is this many seconds ahead of UTC, the whole year."""

type Week = list[float]


def _knot(day: int, hour: float) -> int:
    """The knot of a local hour on a day of the week (0 = Monday), wrapped around the week."""
    return int((day * DAY + hour * 3_600 - _LOCAL_TIME) // STEP) % KNOTS


def _local_hours() -> Iterator[float]:
    """The local hour of the day, 0 to 24, of every knot."""
    for knot in range(KNOTS):
        yield (knot * STEP + _LOCAL_TIME) % DAY / 3_600


def _run(week: Week, start: int, minutes: float, watts: Callable[[float], float]) -> None:
    """Add a run of `minutes` from knot `start`; `watts` is asked for every minute into the run."""
    for step in range(int(minutes * 60 / STEP)):
        week[(start + step) % KNOTS] += max(0.0, watts(step * STEP / 60))


def base(rng: Random) -> Week:
    """Standby, network, lights and screens: more in the morning and in the evening."""
    week = []
    drift = 0.0
    for hour in _local_hours():
        drift = 0.97 * drift + rng.gauss(0, 4)
        morning = 140 * max(0.0, sin(pi * (hour - 5.5) / 4)) if 5.5 < hour < 9.5 else 0
        evening = 290 * max(0.0, sin(pi * (hour - 16.5) / 7)) if 16.5 < hour < 23.5 else 0
        week.append(max(90.0, 170 + morning + evening + drift))
    return week


def compressor(rng: Random, watts: float, minutes_on: float, minutes_off: float) -> Week:
    """A fridge or freezer: on and off all day, never in the same rhythm."""
    week = [2.0] * KNOTS
    knot = 0
    while knot < KNOTS:
        on = int(minutes_on * rng.uniform(0.8, 1.3) * 60 / STEP)
        for step in range(min(on, KNOTS - knot)):
            starting = 1.6 if step == 0 else 1.0
            week[knot + step] = watts * starting * (1.06 - 0.08 * step / on) + rng.gauss(0, 0.6)
        knot += on + int(minutes_off * rng.uniform(0.8, 1.2) * 60 / STEP)
    return week


def cooking(rng: Random) -> Week:
    """Oven and hob: a short breakfast, dinner every day, lunch too at the weekend."""
    week = [3.0] * KNOTS

    def kettle(minute: float) -> float:
        return 1_850 + rng.gauss(0, 8)

    def hob(minute: float) -> float:
        return (1_900 if minute < 6 else 1_150 if minute % 1.5 < 1 else 40) + rng.gauss(0, 6)

    def oven(minute: float) -> float:
        heating = minute < 11 or minute % 4 < 1.5
        return (2_350 if heating else 55) + rng.gauss(0, 7)

    for day in range(7):
        weekend = day >= 5
        _run(week, _knot(day, (8.2 if weekend else 6.7) + rng.uniform(0, 0.5)), 4, kettle)
        _run(week, _knot(day, 18.1 + rng.uniform(0, 0.6)), rng.uniform(22, 35), hob)
        if weekend or rng.random() < 0.6:
            _run(week, _knot(day, 18.3 + rng.uniform(0, 0.4)), rng.uniform(35, 60), oven)
        if weekend:
            _run(week, _knot(day, 12 + rng.uniform(0, 0.6)), rng.uniform(25, 40), hob)
    return week


def washing(rng: Random) -> Week:
    """A washing machine: four programmes a week, two of them on Saturday."""
    week = [0.9] * KNOTS

    def programme(minute: float) -> float:
        if 4 < minute < 22:
            return 2_050 + rng.gauss(0, 8)
        if minute > 84:
            return 420 + rng.gauss(0, 30)
        return 130 + 60 * sin(minute * 2.6) + rng.gauss(0, 10)

    for day, hour in ((1, 19.2), (3, 17.6), (5, 9.4), (5, 11.6)):
        _run(week, _knot(day, hour + rng.uniform(0, 0.4)), 96, programme)
    return week


def tools(rng: Random) -> Week:
    """A workbench: Saturday from morning to afternoon, and an evening or two."""
    week = [4.0] * KNOTS
    for day, first, last in ((5, 13.5, 17.0), (2, 19.5, 21.0), (4, 20.0, 20.8)):
        for light in range(_knot(day, first), _knot(day, last)):
            week[light] += 72
        hour = first
        while (hour := hour + rng.uniform(0.05, 0.35)) < last:
            strength = rng.uniform(450, 1_500)
            _run(
                week,
                _knot(day, hour),
                rng.uniform(1, 6),
                lambda minute, watts=strength: watts + rng.gauss(0, 45),  # type: ignore[misc]
            )
    return week


def heat_pump(rng: Random) -> Week:
    """Heats by night and day with the inverter's turns, and makes hot water twice a day."""
    week = []
    level = 900.0
    for hour in _local_hours():
        wish = 720 + 620 * max(0.0, sin(pi * (hour + 3) / 12)) if hour < 9 else 480 + 12 * hour
        level += 0.02 * (wish - level) + rng.gauss(0, 6)
        week.append(max(14.0, level))
    for day in range(7):
        for hour in (5.1, 13.6):
            start = _knot(day, hour + rng.uniform(0, 0.4))
            _run(week, start, 42, lambda minute: 1_350 + 11 * minute + rng.gauss(0, 9))
        for _ in range(3):  # The inverter rests, or defrosts.
            start = _knot(day, rng.uniform(0, 23))
            for step in range(int(rng.uniform(9, 16) * 60 / STEP)):
                week[(start + step) % KNOTS] = 13 + rng.gauss(0, 0.5)
    return week


def car(rng: Random) -> Week:
    """A three-phase car charger: every evening from coming home on, full power and then the taper."""
    week = [6.5] * KNOTS
    for day in range(7):
        full = rng.uniform(105, 130)

        def charge(minute: float, full: float = full) -> float:
            if minute < full:
                return 10_800 + rng.gauss(0, 25)
            return 10_800 - (minute - full) * 410 + rng.gauss(0, 25)

        _run(week, _knot(day, 17.5 + rng.uniform(0, 0.3)), full + 22, charge)
    return week


def water_heater(rng: Random) -> Week:
    """An electric water heater without a relay of its own: before breakfast, and through the evening."""
    week = [1.2] * KNOTS

    def heat(minute: float) -> float:
        return 2_000 + rng.gauss(0, 5)

    for day in range(7):
        _run(week, _knot(day, 5.4 + rng.uniform(0, 0.3)), rng.uniform(40, 60), heat)
        _run(week, _knot(day, 17.1 + rng.uniform(0, 0.1)), rng.uniform(195, 215), heat)
    return week


def pump(rng: Random) -> Week:
    """A pond pump that runs all the time."""
    return [86 + rng.gauss(0, 0.5) for _ in range(KNOTS)]


def solar(rng: Random) -> Week:
    """A photovoltaic inverter of 4.6 kW in May, with every kind of sky; negative, as it generates."""
    skies = [0.95, 0.75, 0.45, 0.9, 0.65, 1.0, 0.82]
    rng.shuffle(skies)
    week = []
    veil = 1.0
    for knot, hour in enumerate(_local_hours()):
        sky = skies[(knot * STEP + _LOCAL_TIME) // DAY % 7]
        veil += 0.03 * (sky - veil) + rng.gauss(0, 0.028) * (1.05 - sky) * 3
        veil = min(1.0, max(0.12, veil))
        sun = max(0.0, sin(pi * (hour - 5.4) / 15.0)) ** 1.3 if 5.4 < hour < 20.4 else 0.0
        week.append(3.2 - 4_450 * sun * veil if sun > 0.004 else 3.2)
    return week


def battery(rng: Random, rest: Week, *, not_for: Week) -> Week:
    """A battery that evens out the house: charges from surplus, gives back when there is need.

    Args:
        rng: what its measuring errors come from.
        rest: everything else in the house together.
        not_for: consumption inside `rest` that it does not feed: the car.
    """
    capacity, limit, losses = 8_500.0, 2_600.0, 0.95
    charge = 0.5 * capacity
    week = [0.0] * KNOTS
    power = 0.0
    for _ in range(2):  # The second week starts with what the first one left.
        for knot in range(KNOTS):
            need = rest[knot] - not_for[knot] + rng.gauss(0, 9)
            power += 0.7 * (max(-limit, min(limit, -need)) - power)
            if (power > 0 and charge >= capacity) or (power < 0 and charge <= 0.08 * capacity):
                power = 0.0
            charge += power * (losses if power > 0 else 1 / losses) * STEP / 3_600
            week[knot] = power + 9
    return week


def add(*weeks: Week) -> Week:
    """The sum of loads on one conductor."""
    return [sum(values) for values in zip(*weeks, strict=True)]


def share(week: Week, part: float) -> Week:
    """A part of a load."""
    return [value * part for value in week]
