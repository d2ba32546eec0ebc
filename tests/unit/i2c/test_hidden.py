"""What is on a segment at an address that a monitor on the trunk has: nobody can read it, so it has to be told."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

from hypothesis import HealthCheck, given, settings, strategies as st
import pytest

from custom_components.energy_meter.sources.i2c.hub import TROUBLE_INTERVAL
from custom_components.energy_meter.sources.i2c.probe import Found
from custom_components.energy_meter.sources.simulated.panel import (
    Chip,
    SimulatedMonitor,
    SimulatedMultiplexer,
)
from tests.support.i2c_monitors import ForeignChip, Rig, check_values, make_rig, running
from tests.support.virtual_time import run_virtual

HIDDEN = "0x70/3 0x10"


def on_trunk_and_behind(monitors: list[SimulatedMonitor], *behind: Chip) -> list[Chip]:
    """The first two on the trunk, the third on segment 0x70/5, and `behind` on 0x70/3."""
    first, second, third = monitors
    first.address, second.address, third.address = 0x10, 0x11, 0x12
    return [first, second, SimulatedMultiplexer(0x70, {3: list(behind), 5: [third]})]


def play(
    story: Callable[[Rig], Awaitable[None]],
    behind: Callable[[list[SimulatedMonitor]], list[Chip]],
) -> Rig:
    async def run() -> Rig:
        rig = make_rig(
            4,
            arrange=lambda monitors: on_trunk_and_behind(monitors[:3], *behind(monitors)),
            multiplexers=(0x70,),
        )
        await running(rig, story)
        return rig

    return run_virtual(run())


def monitor_behind(monitors: list[SimulatedMonitor]) -> list[Chip]:
    monitors[3].address = 0x10
    return [monitors[3]]


def chip_behind(_monitors: list[SimulatedMonitor]) -> list[Chip]:
    return [ForeignChip(0x10)]


def names(monitors: list[SimulatedMonitor]) -> set[str]:
    return {f"{each.id:016x}" for each in monitors}


@pytest.mark.parametrize("behind", [monitor_behind, chip_behind])
def test_what_a_monitor_on_the_trunk_covers_is_told_with_the_first_search(
    behind: Callable[[list[SimulatedMonitor]], list[Chip]],
) -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(5)
        assert rig.hub.places[HIDDEN].found is Found.HIDDEN

    rig = play(story, behind)
    assert rig.heard.troubles == [("address_hidden", HIDDEN)]
    assert rig.heard.present == names(rig.monitors[:3])
    for monitor in rig.monitors[:3]:
        times = rig.heard.times(monitor)
        assert all(later - sooner < 1.1 for sooner, later in pairwise(times[1:]))


def test_the_message_goes_when_the_hidden_one_has_an_address_of_its_own() -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(5)
        rig.monitors[3].address = 0x20
        await asyncio.sleep(60)
        assert HIDDEN not in rig.hub.places

    rig = play(story, monitor_behind)
    assert rig.heard.present == names(rig.monitors)
    assert [meter.segment for meter in rig.heard.hellos[-1].meters] == [
        None,
        None,
        "0x70/3",
        "0x70/5",
    ]


def test_the_message_goes_and_the_hidden_one_is_read_when_the_trunk_is_free() -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(5)
        rig.monitors[0].power(False)
        rig.monitors[0].address = 0x21
        rig.monitors[0].power(True)
        await asyncio.sleep(60)
        assert HIDDEN not in rig.hub.places

    rig = play(story, monitor_behind)
    assert names(rig.monitors[:1]) < rig.heard.present


def test_a_monitor_that_a_later_one_on_the_trunk_covers_is_told() -> None:
    async def story(rig: Rig) -> None:
        front, behind = rig.monitors[0], rig.monitors[3]
        front.power(False)
        await asyncio.sleep(5)
        assert names([behind]) < rig.heard.present
        front.power(True)
        await asyncio.sleep(60)
        assert names([behind]).isdisjoint(rig.heard.present)
        assert rig.hub.places[HIDDEN].found is Found.HIDDEN
        front.power(False)
        await asyncio.sleep(TROUBLE_INTERVAL)

    rig = play(story, monitor_behind)
    assert ("address_hidden", HIDDEN) in rig.heard.troubles
    assert HIDDEN not in rig.hub.places
    check_values(rig)
    assert names([rig.monitors[3]]) < rig.heard.present


def test_a_monitor_that_comes_to_the_trunk_is_not_taken_to_be_on_a_segment() -> None:
    async def story(rig: Rig) -> None:
        rig.monitors[1].power(False)
        await asyncio.sleep(10)
        rig.monitors[1].address = 0x33
        rig.monitors[1].power(True)
        await asyncio.sleep(60)

    rig = play(story, lambda _monitors: [])
    places = {meter.id: (meter.segment, meter.address) for meter in rig.heard.hellos[-1].meters}
    assert places[f"{rig.monitors[1].id:016x}"] == (None, "0x33")
    assert rig.heard.troubles == []


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damage=st.floats(0.0, 0.3), seed=st.integers(0, 1000))
def test_noise_alone_hides_nobody(damage: float, seed: int) -> None:
    async def story(rig: Rig) -> None:
        rig.sim.random.seed(seed)
        rig.sim.damage = damage
        await asyncio.sleep(30)

    rig = play(story, lambda _monitors: [])
    assert "address_hidden" not in [trouble for trouble, _ in rig.heard.troubles]
