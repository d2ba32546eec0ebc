"""The single rules of load shedding, one at a time, second by second."""

from dataclasses import replace
from itertools import pairwise
import json

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.load_shedding import (
    Blocker,
    Controller,
    Event,
    Limit,
    Load,
    Measure,
    Memory,
    Next,
    Observation,
    Plan,
    Reason,
    RefusedError,
    Settings,
    Status,
    Urgency,
    outlook,
)

from .house import START, Device, House

TOTAL = Limit(id="total", name="Total", measure=Measure.POWER, value=5_000.0, freshness=30.0)


def device(name: str, order: int, draws: float = 2_000.0, **more: object) -> Device:
    load = Load(id=name, name=name, order=order, power=draws, **more)  # type: ignore[arg-type]
    return Device(load, draws)


def house(*devices: Device, limit: Limit = TOTAL, **settings: object) -> House:
    plan = Plan(
        (limit,),
        tuple(one.load for one in devices),
        Settings(**{"restore_delay": 20.0, **settings}),  # type: ignore[arg-type]
    )
    found = House(plan, devices)
    found.run(1)
    return found


def base(one: House, watts: float) -> None:
    one.base = dict.fromkeys(one.base, watts / 3)


def events(one: House) -> list[str]:
    return [entry.event.value for entry in one.journal]


def test_a_sensor_that_repeats_itself_stops_the_shedding_as_futile_and_is_tried_again_later() -> (
    None
):
    one = house(*(device(f"load{n}", n, 400.0) for n in range(8)))
    one.frozen["total"] = 5_300.0
    one.run(40)
    assert len(one.acts) == 2, "two that do not help are enough"
    assert events(one)[-1] == Event.FUTILE
    assert outlook(one.controller, one.now).reason is Reason.FUTILE
    one.run(60)
    assert len(one.acts) == 3


def test_what_is_futile_is_forgotten_when_the_limit_is_kept() -> None:
    one = house(*(device(f"load{n}", n, 400.0) for n in range(8)))
    one.frozen["total"] = 5_300.0
    one.run(40)
    one.frozen["total"] = 4_000.0
    one.run(3)
    assert one.controller.stopped_until("total", one.now) is None


def test_the_cap_per_hour_holds_even_for_a_hard_limit_and_is_said() -> None:
    one = house(*(device(f"load{n}", n, 500.0) for n in range(6)), per_hour=2, per_pass=1)
    base(one, 6_000.0)
    one.run(30)
    assert len(one.acts) == 2
    assert Event.CAP_REACHED in events(one)
    assert outlook(one.controller, one.now).reason is Reason.CAP_REACHED
    one.run(3_600)
    assert len(one.acts) > 2


def test_a_load_that_has_to_stay_on_is_passed_over() -> None:
    fridge = device("fridge", 1, min_on=300.0)
    fridge.since = START
    one = house(fridge, device("heater", 2))
    base(one, 2_000.0)
    one.run(3)
    assert not one.devices["heater"].on and one.devices["fridge"].on


def test_each_time_that_a_load_has_to_go_off_again_it_waits_twice_as_long() -> None:
    one = house(device("heater", 1))
    waits: list[float] = []
    for _ in range(4):
        base(one, 4_000.0)
        one.run(3)
        assert not one.devices["heater"].on
        went = one.now
        base(one, 1_000.0)
        while not one.devices["heater"].on:
            one.run(1)
        waits.append(one.now - went)
    assert all(1.6 * first < second for first, second in pairwise(waits))


def test_a_more_important_load_comes_back_first_and_the_other_does_not_take_its_room() -> None:
    one = house(device("heater", 1, 1_000.0), device("car", 2, 3_000.0))
    base(one, 6_000.0)
    one.run(5)
    assert not one.devices["heater"].on and not one.devices["car"].on
    base(one, 3_000.0)
    one.run(300)
    assert not one.devices["heater"].on, "there is room for it, and the car waits for more"
    one.run(900)
    assert one.devices["heater"].on, "for ever it does not wait"
    base(one, 500.0)
    one.run(60)
    assert one.devices["car"].on


def test_a_load_that_goes_off_late_is_still_ours_to_bring_back() -> None:
    slow = device("slow", 1)
    slow.latency = 40.0
    one = house(slow)
    base(one, 4_000.0)
    one.run(25)
    assert Event.NO_REACTION in events(one)
    one.run(60)
    assert not slow.on
    base(one, 500.0)
    one.run(200)
    assert slow.on


def test_a_load_that_came_back_from_being_away_is_not_taken_for_a_persons_wish() -> None:
    one = house(device("heater", 1))
    base(one, 4_000.0)
    one.run(3)
    one.away("heater", True)
    one.devices["heater"].set(True, None, one.now)
    one.run(5)
    one.away("heater", False)
    one.run(5)
    assert Event.CAME_BACK in events(one)
    assert not one.devices["heater"].on, "the limit is still exceeded"


def test_the_clock_may_be_set_back_without_anything_being_kept_off_longer() -> None:
    one = house(device("heater", 1, min_off=60.0))
    base(one, 4_000.0)
    one.run(5)
    stored = one.controller.memory.to_json()
    now = one.now - 86_400.0
    controller = Controller(one.plan, Memory.from_json(stored), now=now)
    controller.observe("heater", Observation(available=True, on=False), now)
    for second in range(70):
        controller.reading("total", 500.0, now + second)
        if controller.step(now + second):
            break
    assert 20 <= second < 65


@given(shift=st.floats(-1e6, 1e6))
def test_the_clock_may_jump_while_it_runs(shift: float) -> None:
    one = house(device("heater", 1), device("car", 2))
    base(one, 5_000.0)
    one.run(3)
    one.controller.reading("total", 500.0, one.now + shift)
    assert one.controller.step(one.now + shift) == []


def test_what_is_stored_is_json_and_comes_back_the_same() -> None:
    one = house(device("heater", 1), device("car", 2, 3_000.0))
    base(one, 6_000.0)
    one.run(5)
    stored = one.controller.memory.to_json()
    again = Memory.from_json(json.loads(json.dumps(stored)))
    assert again.to_json() == stored


@pytest.mark.parametrize(
    "stored",
    [{"loads": 3}, {"journal": [{"event": "nonsense"}]}, {"at": "x"}, {"at": float("nan")}],
)
def test_what_was_not_stored_by_us_is_refused(stored: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        Memory.from_json(stored)


def test_wishes_are_refused_with_their_reason() -> None:
    one = house(device("net", 1, protected=True), device("fridge", 2, min_on=1e6), device("tv", 3))
    one.devices["fridge"].since = START
    one.controller.observe("fridge", Observation(available=True, on=False), one.now)
    one.controller.observe("fridge", Observation(available=True, on=True), one.now)
    one.away("tv", True)
    for load_id, blocker in (
        ("net", Blocker.PROTECTED),
        ("fridge", Blocker.MIN_ON),
        ("tv", Blocker.OFFLINE),
    ):
        with pytest.raises(RefusedError) as refused:
            one.controller.shed_now(load_id, one.now)
        assert refused.value.blocker is blocker
    with pytest.raises(RefusedError):
        one.controller.restore_now(None, one.now)


def test_the_outlook_says_what_comes_next_and_when() -> None:
    soft = replace(TOTAL, urgency=Urgency.SOFT, delay=60.0)
    one = house(device("heater", 1, min_off=100.0), limit=soft)
    assert outlook(one.controller, one.now).status is Status.NORMAL
    base(one, 2_700.0)
    one.run(1)
    near = outlook(one.controller, one.now)
    assert (near.status, near.reason) == (Status.WARNING, Reason.NEAR_LIMIT)
    base(one, 4_000.0)
    one.run(10)
    waiting = outlook(one.controller, one.now)
    assert waiting.reason is Reason.WAITING_DELAY
    assert (waiting.next, waiting.next_load) == (Next.SHED, "heater")
    assert waiting.next_at is not None and 45 <= waiting.next_at - one.now <= 55
    one.run(60)
    base(one, 500.0)
    one.run(30)
    off = outlook(one.controller, one.now)
    assert (off.status, off.reason) == (Status.RECOVERING, Reason.WAITING_TIME)
    assert off.shed == ("heater",)
    assert (off.next, off.next_load) == (Next.RESTORE, "heater")
    assert off.next_at is not None
    one.run(int(off.next_at - one.now) + 3)
    assert one.devices["heater"].on


def test_what_may_not_come_back_by_itself_says_that_a_person_has_to() -> None:
    one = house(device("saw", 1, restorable=False))
    base(one, 4_000.0)
    one.run(5)
    base(one, 100.0)
    one.run(300)
    assert not one.devices["saw"].on
    assert outlook(one.controller, one.now).reason is Reason.WAITING_PERSON


def test_a_changed_plan_keeps_what_is_off() -> None:
    one = house(device("heater", 1))
    base(one, 4_000.0)
    one.run(5)
    higher = replace(one.plan, limits=(replace(TOTAL, value=9_000.0),))
    one.plan = higher
    one.bounds["total"] = 9_000.0
    one.readings["total"].append((*one.readings["total"][-1][:2], 9_000.0))
    one.controller.configure(higher, one.now)
    one.run(120)
    assert one.devices["heater"].on


def test_room_that_a_load_has_just_taken_is_not_given_away_again() -> None:
    slow = device("boiler", 2)
    slow.latency = 3.0
    one = house(device("heater", 1), slow, per_pass=1)
    base(one, 6_000.0)
    one.run(8)
    assert not one.devices["heater"].on and not one.devices["boiler"].on
    base(one, 2_200.0)
    one.run(120)
    assert one.devices["boiler"].on
    assert not one.devices["heater"].on, "2800 W are room for one of them"
    assert len(one.acts) == 3, "and nothing went off again"


def test_a_further_rise_is_answered_as_soon_as_the_first_answer_shows() -> None:
    one = house(*(device(f"load{n}", n, 1_000.0) for n in range(4)), restore_delay=300.0)
    base(one, 1_500.0)
    one.run(4)
    assert len(one.acts) == 1
    base(one, 2_500.0)
    one.run(2)
    assert len(one.acts) == 2


def test_what_was_just_switched_off_is_not_answered_twice() -> None:
    slow = device("slow", 1, 1_000.0)
    slow.latency = 1.5
    one = house(slow, device("other", 2, 1_000.0))
    base(one, 3_500.0)
    one.run(10)
    assert [act.load for _at, act in one.acts] == ["slow"]
