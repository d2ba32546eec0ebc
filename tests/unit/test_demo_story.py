"""The simulated house's evenings have in them what load shedding is for, and load shedding gets it through them."""

from functools import cache

import pytest

from custom_components.energy_meter.load_shedding import Act, Controller, Event, Observation, Plan
from custom_components.energy_meter.shedder.plan_data import limit_of, load_of, settings_of
from custom_components.energy_meter.sources.simulated.circuit import PHASES
from custom_components.energy_meter.sources.simulated.house import House
from scripts.demo_component import shedding, story

READ = {"Water heater": "water_heater", "Car charger": "car"}
"""The circuits that load shedding switches, by the names of the loads."""
DAY = 86_400
WEDNESDAY = story.fast_pace(0.0).start
"""An hour before supper."""


@cache
def plain() -> House:
    """A house in which nothing is switched."""
    return House()


def most(day: int, *without: str) -> float:
    """The highest current on the phase of the oven in an evening, without some circuits, A."""
    house, start = plain(), WEDNESDAY + day * DAY
    found = 0.0
    for time in range(int(start), int(start) + 3 * 3_600, 20):
        power = house.circuits["grid"].at("l2", time).power
        power -= sum(house.circuits[name].at("l2", time).power for name in without)
        found = max(found, power / house.mains.voltage("l2", time))
    return found


@pytest.mark.parametrize("day", range(7))
def test_supper_and_car_together_are_too_much_and_either_alone_is_not(day: int) -> None:
    assert most(day) > story.FUSE
    assert most(day, "car") < story.FUSE
    assert most(day, "kitchen") < story.FUSE


def test_the_fast_day_begins_on_a_wednesday_before_supper() -> None:
    assert story.clock(story.fast_pace(1_000.0).at(1_000.0)) == "Wednesday 17:00"
    assert story.clock(story.fast_pace(1_000.0).at(1_024.0)) == "Wednesday 18:00"
    assert story.clock(story.fast_pace(1_000.0).at(999.0)) != "Wednesday 17:00"


@pytest.mark.parametrize(
    ("fast", "day"), [(True, 0), *((False, day) for day in (0, 1, 4))], ids=str
)
def test_the_water_heater_and_then_the_car_go_off_and_come_back(fast: bool, day: int) -> None:
    house = House()
    parts = shedding.subentries(fast=fast)
    plan = Plan(
        tuple(
            limit_of(one["title"], one["title"], one["data"])
            for one in parts
            if one["subentry_type"] == "limit"
        ),
        tuple(
            load_of(one["title"], one["title"], one["data"])
            for one in parts
            if one["subentry_type"] == "load"
        ),
        settings_of(shedding.settings(fast=fast)),
    )
    start = WEDNESDAY + day * DAY
    if fast:
        start = 1_795_255_200.0
        house.mains.pace = story.fast_pace(start)
    controller = Controller(plan, now=start)
    log: list[tuple[str, str]] = []
    over = 0.0
    interval = 1 if fast else 5

    def carry_out(acts: list[Act], now: float) -> None:
        for act in acts:
            house.relays[READ[act.load]].switch(act.on, now)

    for step in range(int(5 * 3_600 / (story.FAST if fast else 1) / interval)):
        now = start + step * interval
        for load, circuit in READ.items():
            power = house.circuits[circuit].at(None, now).power
            seen = Observation(available=True, on=house.relays[circuit].is_on, power=power)
            controller.observe(load, seen, now)
        for phase in PHASES:
            current = house.circuits["grid"].at(phase, now).current
            if phase == "l2":
                over = over + interval if current > story.FUSE else 0
            controller.reading(f"Main fuse {phase.upper()}", current, now)
        carry_out(controller.step(now), now)
        assert over <= interval + 2
        log += [
            (entry.event.value, entry.load)
            for entry in controller.memory.journal.take_new()
            if entry.load is not None
        ]
    assert log[:2] == [(Event.SHED, "Water heater"), (Event.SHED, "Car charger")]
    assert (Event.RESTORED, "Car charger") in log
    assert log[-1] == (Event.RESTORED, "Water heater")
    assert len(log) <= 16
    assert all(relay.is_on for relay in house.relays.values())
