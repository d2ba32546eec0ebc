"""Which loads go off: enough, no more than needed, by phase, in order."""

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.load_shedding import (
    Dimming,
    Limit,
    Load,
    Measure,
    Phase,
    Plan,
    PlanError,
    Urgency,
)
from custom_components.energy_meter.load_shedding.choice import Offer, Want, fit, pick

TOTAL = Limit(id="total", name="Total", measure=Measure.POWER, value=5_000.0)
L1 = Limit(id="l1", name="L1", measure=Measure.CURRENT, value=16.0, phase=Phase.L1)
L2 = Limit(id="l2", name="L2", measure=Measure.CURRENT, value=16.0, phase=Phase.L2)
WALLBOX = Dimming(minimum=6.0, step=1.0, watts=230.0, off=0.0)


def load(name: str, order: int, power: float = 1_000.0, *phases: Phase, **more: object) -> Load:
    return Load(
        id=name,
        name=name,
        order=order,
        power=power,
        phases=frozenset(phases),
        **more,  # type: ignore[arg-type]
    )


def names(plan: Plan, excess: dict[Limit, float], most: int = 9) -> list[str]:
    offers = [Offer(one, one.power or 0.0) for one in plan.ordered]
    return [one.load.id for one in pick(plan, excess, offers, most)]


def test_loads_go_in_the_order_of_their_numbers() -> None:
    plan = Plan((TOTAL,), (load("b", 2), load("c", 3), load("a", 1)))
    assert names(plan, {TOTAL: 1_500.0}) == ["a", "b"]


def test_a_small_load_stays_on_where_a_big_one_has_to_go_anyway() -> None:
    plan = Plan((TOTAL,), (load("small", 1, 500.0), load("big", 2, 3_500.0)))
    assert names(plan, {TOTAL: 3_000.0}) == ["big"]


def test_loads_on_another_phase_stay_on() -> None:
    plan = Plan((L1, L2), (load("two", 1, 2_000.0, Phase.L2), load("one", 2, 2_000.0, Phase.L1)))
    assert names(plan, {L1: 3.0}) == ["one"]


def test_a_load_on_three_phases_relieves_each_by_a_third() -> None:
    boiler = load("boiler", 1, 6_900.0, *Phase)
    plan = Plan((L1,), (boiler,))
    assert plan.effect(boiler, L1, 6_900.0) == pytest.approx(10.0, abs=1e-9)
    assert plan.effect(boiler, TOTAL, 6_900.0) == pytest.approx(6_900.0, abs=1e-9)


def test_a_load_counts_only_towards_the_limits_that_it_is_behind() -> None:
    plan = Plan((TOTAL, L1), (load("shed", 1, limits=frozenset({"l1"})), load("house", 2)))
    assert names(plan, {TOTAL: 500.0}) == ["house"]


def test_no_more_than_the_cap_goes_at_once() -> None:
    plan = Plan((TOTAL,), tuple(load(str(n), n) for n in range(6)))
    assert names(plan, {TOTAL: 5_500.0}, 2) == ["0", "1"]


@pytest.mark.parametrize(
    ("excess", "level"), [(100.0, 15.0), (231.0, 14.0), (2_300.0, 6.0), (2_301.0, 0.0)]
)
def test_a_dimmable_load_goes_down_by_as_many_steps_as_needed(excess: float, level: float) -> None:
    wallbox = Load(id="ev", name="EV", order=1, dimming=WALLBOX)
    chosen = pick(Plan((TOTAL,), (wallbox,)), {TOTAL: excess}, [Offer(wallbox, 3_680.0, 16.0)], 1)
    assert [one.level for one in chosen] == [level]


def test_what_a_dimmable_load_may_take_but_does_not_cannot_be_saved() -> None:
    wallbox = Load(id="ev", name="EV", order=1, dimming=WALLBOX)
    # It is set to 16 A and the car takes 10: to save 1 A it has to be set to 9.
    chosen = pick(Plan((TOTAL,), (wallbox,)), {TOTAL: 200.0}, [Offer(wallbox, 2_300.0, 16.0)], 1)
    assert [one.level for one in chosen] == [9.0]


@given(
    powers=st.lists(st.floats(50, 5_000), min_size=1, max_size=12),
    excess=st.floats(1, 15_000),
)
def test_enough_goes_and_none_of_them_could_have_stayed(powers: list[float], excess: float) -> None:
    plan = Plan((TOTAL,), tuple(load(f"{n:02}", n, power) for n, power in enumerate(powers)))
    offers = [Offer(one, one.power or 0.0) for one in plan.ordered]
    saved = [one.saves for one in pick(plan, {TOTAL: excess}, offers, 99)]
    if sum(powers) < excess:
        assert len(saved) == len(powers)
        return
    assert sum(saved) >= excess - 1e-3
    assert all(sum(saved) - one < excess for one in saved)


@given(
    room=st.floats(-2_000, 8_000), power=st.floats(100, 5_000), margin=st.sampled_from((0.0, 300.0))
)
def test_nothing_comes_back_without_room_for_it_and_the_margin(
    room: float, power: float, margin: float
) -> None:
    from custom_components.energy_meter.load_shedding import Settings

    one = load("one", 1, power)
    plan = Plan((TOTAL,), (one,), Settings(margin=margin))
    found = fit(plan, {TOTAL: room}, Want(one, power))
    assert (found is not None) == (power <= room - margin + 1e-6)


def test_where_the_room_is_not_known_nothing_comes_back() -> None:
    one = load("one", 1)
    assert fit(Plan((TOTAL,), (one,)), {TOTAL: None}, Want(one, 10.0)) is None


def test_a_dimmable_load_comes_back_as_far_as_there_is_room() -> None:
    wallbox = Load(id="ev", name="EV", order=1, dimming=WALLBOX)
    plan = Plan((TOTAL,), (wallbox,))
    want = Want(wallbox, 10 * 230.0, 6.0, 16.0)
    some = fit(plan, {TOTAL: 300.0 + 2.5 * 230.0}, want)
    assert some is not None and some.level == 8.0
    assert fit(plan, {TOTAL: 300.0 + 200.0}, want) is None
    all_of_it = fit(plan, {TOTAL: 5_000.0}, want)
    assert all_of_it is not None and all_of_it.level == 16.0


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(PlanError):
        Limit(id="x", name="X", measure=Measure.POWER, value=0.0)
    with pytest.raises(PlanError, match="hard"):
        Limit(id="x", name="X", measure=Measure.POWER, value=1.0, delay=3.0)
    assert Limit(
        id="x", name="X", measure=Measure.POWER, value=1.0, delay=3.0, urgency=Urgency.SOFT
    )
    with pytest.raises(PlanError):
        load("x", 1, float("nan"))
    with pytest.raises(PlanError, match="two of one id"):
        Plan((TOTAL, TOTAL))
    with pytest.raises(PlanError):
        Dimming(minimum=6.0, step=0.0, watts=230.0)
