"""The rules of load shedding hold in any house, whatever happens there: by simulation."""

from collections.abc import Callable
from random import Random

from hypothesis import HealthCheck, given, settings, strategies as st
import pytest

from custom_components.energy_meter.load_shedding import Measure

from .house import PHASES, House, random_house

ANY_SEED = st.integers(0, 2**32 - 1)


def quiet(house: House) -> None:
    """Nobody needs anything any more, and all that was broken works."""
    house.base = dict.fromkeys(PHASES, 0.0)
    house.silent.clear()
    house.frozen.clear()
    for load_id, device in house.devices.items():
        device.deaf = False
        if not device.online:
            house.away(load_id, False)


def strain(house: House, rng: Random) -> None:
    """Somebody cooks, charges, heats; or is done."""
    for phase in PHASES:
        house.base[phase] = rng.choice((0.0, rng.uniform(0, 4_000), rng.uniform(2_000, 9_000)))


def _load(house: House, rng: Random) -> str:
    return rng.choice(sorted(house.devices))


def _person(house: House, rng: Random) -> None:
    load_id = _load(house, rng)
    device = house.devices[load_id]
    on = rng.random() < 0.6
    shed = house.controller.memory.load(load_id).shed
    flight = house.controller.memory.load(load_id).flight
    ours = (
        shed is not None and shed.confirmed and flight is None and not device.on and device.online
    )
    # Just after it was told to come back and did not, nobody can tell a person from a slow load.
    slow = house.controller.memory.load(load_id).returning is not None
    house.by_hand(load_id, on)
    if on and ours and not slow and house.controller.memory.load(load_id).shed is None:
        device.held_until = house.now + house.plan.settings.hold


def _network(house: House, rng: Random) -> None:
    load_id = _load(house, rng)
    house.away(load_id, house.devices[load_id].online)


def _sensor(house: House, rng: Random) -> None:
    limit_id = rng.choice(sorted(house.readings))
    if limit_id in house.silent:
        house.silent.discard(limit_id)
    else:
        house.silent.add(limit_id)


def _unavailable(house: House, rng: Random) -> None:
    limit_id = rng.choice(sorted(house.readings))
    house.controller.reading(limit_id, None, house.now)
    house.readings[limit_id].clear()


def _nonsense(house: House, rng: Random) -> None:
    value = rng.choice((float("nan"), float("inf"), -float("inf"), 9e9, -9e9))
    assert not house.controller.reading(rng.choice(sorted(house.readings)), value, house.now)
    assert house.controller.step(house.now) == []


def _restart(house: House, rng: Random) -> None:
    house.restart()


def _lower(house: House, rng: Random) -> None:
    for limit in house.plan.limits:
        if limit.value is None:
            factor = 1 if limit.measure is Measure.CURRENT else 230.0
            house.follow(limit.id, rng.uniform(5, 40) * factor)


EVENTS: tuple[Callable[[House, Random], None], ...] = (
    strain, strain, strain, _person, _network, _sensor, _unavailable, _nonsense, _restart, _lower,
)  # fmt: skip


def live(seed: int, events: int = 12) -> tuple[House, Random]:
    """Let all kinds of things happen in a house; every rule is checked on the way."""
    house, rng = random_house(seed)
    for _ in range(events):
        rng.choice(EVENTS)(house, rng)
        house.run(rng.randint(1, 90))
    return house, rng


@settings(max_examples=2_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=ANY_SEED)
def test_no_rule_is_ever_broken_in_any_house(seed: int) -> None:
    live(seed)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=ANY_SEED)
def test_everything_comes_back_in_the_end(seed: int) -> None:
    house, rng = random_house(seed)
    for _ in range(8):
        rng.choice((strain, _network, _sensor, _restart, _nonsense))(house, rng)
        house.run(rng.randint(1, 90))
    quiet(house)
    house.widen()
    house.period = 10

    def left() -> list[str]:
        return [
            load.id
            for load in house.plan.loads
            if load.restorable and house.controller.memory.load(load.id).shed is not None
        ]

    # With a low cap per hour this may take some hours.
    for _ in range(30):
        house.run(600)
        if not left():
            break
    assert not left()


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=ANY_SEED)
def test_nothing_swings_where_demand_is_constant(seed: int) -> None:
    house, rng = random_house(seed)
    for device in house.devices.values():
        device.deaf = False
    house.run(60)
    strain(house, rng)
    house.run(1_500)
    for device in house.devices.values():
        if device.load.dimming is None:
            assert len(device.sheds) <= 1 + len(device.restores)
            assert len(device.restores) == 0 or len(device.sheds) <= 2


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=ANY_SEED, period=st.integers(5, 240))
def test_a_demand_that_swings_does_not_make_loads_swing(seed: int, period: int) -> None:
    house, rng = random_house(seed)
    low = dict(house.base)
    strain(house, rng)
    high = dict(house.base)
    for turn in range(3_600 // period):
        house.base = dict(high if turn % 2 else low)
        house.run(period)
    for device in house.devices.values():
        # Every time that it has to go off again it is made to wait twice as long.
        delay = house.plan.settings.restore_delay
        most, wait = 1, delay
        while wait < 3_600:
            most, wait = most + 1, wait * 2
        if device.load.dimming is None and not device.deaf:
            assert len(device.sheds) <= most + 1


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=ANY_SEED)
def test_switched_off_it_gives_back_all_that_it_took(seed: int) -> None:
    house, _rng = live(seed, 6)
    quiet(house)
    house.controller.enable(False, house.now)
    house.run(2_000)
    for load in house.plan.loads:
        assert house.controller.memory.load(load.id).shed is None


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=ANY_SEED)
def test_a_rehearsal_switches_nothing_and_says_what_would_be(seed: int) -> None:
    house, rng = random_house(seed)
    house.controller.rehearse(True, house.now)
    for _ in range(8):
        rng.choice((strain, _network, _sensor, _restart))(house, rng)
        house.run(rng.randint(1, 60))
    assert not house.acts
    assert all(entry.rehearsal for entry in house.journal)


@pytest.mark.parametrize("seed", range(200))
def test_the_same_houses_every_time(seed: int) -> None:
    live(seed, 6)
