"""The demo's day has in it what load shedding is for, and load shedding gets it through the day."""

import pytest

from custom_components.energy_meter.load_shedding import Act, Controller, Event, Observation
from custom_components.energy_meter.shedder.plan_data import limit_of, load_of, settings_of
from scripts.demo_component import shedding, story


def test_oven_and_car_together_are_too_much_and_either_alone_is_not() -> None:
    most = max(
        story.house(minute) + story.heater(minute, on=True) + story.car(minute, on=True)
        for minute in range(story.MINUTES)
    )
    assert most > story.LIMIT
    assert all(story.house(m) + story.car(m, on=False) < story.LIMIT for m in range(story.MINUTES))


@pytest.mark.parametrize("fast", [True, False])
def test_the_water_heater_and_then_the_car_go_off_and_come_back(fast: bool) -> None:
    from custom_components.energy_meter.load_shedding import Plan

    limit, *loads = shedding.subentries(fast=fast)
    plan = Plan(
        (limit_of("limit", limit["title"], limit["data"]),),
        tuple(load_of(one["title"], one["title"], one["data"]) for one in loads),
        settings_of(shedding.settings(fast=fast)),
    )
    on = {"Water heater": True, "Car charger": True}
    start = 1_800_000_000.0
    controller = Controller(plan, now=start)
    speed = story.FAST if fast else 1.0
    log: list[tuple[str, str]] = []
    over = 0.0

    def carry_out(acts: list[Act]) -> None:
        for act in acts:
            on[act.load] = act.on

    for second in range(int(6 * 3_600 / speed)):
        now = start + second
        minute = story.FIRST_MINUTE + second * speed / 60
        takes = {
            "Water heater": story.heater(minute, on=on["Water heater"]),
            "Car charger": story.car(minute, on=on["Car charger"]),
        }
        for load_id, watts in takes.items():
            seen = Observation(available=True, on=on[load_id], power=watts)
            controller.observe(load_id, seen, now)
        supply = story.house(minute) + sum(takes.values())
        over = over + 1 if supply > story.LIMIT else 0
        assert over <= 3
        controller.reading("limit", supply, now)
        carry_out(controller.step(now))
        log += [
            (entry.event.value, entry.load)
            for entry in controller.memory.journal.take_new()
            if entry.load is not None
        ]
    assert log[:2] == [(Event.SHED, "Water heater"), (Event.SHED, "Car charger")]
    assert {one for one in log if one[0] == Event.RESTORED} == {
        (Event.RESTORED, "Water heater"),
        (Event.RESTORED, "Car charger"),
    }
    assert len(log) <= 8
    assert on == {"Water heater": True, "Car charger": True}
