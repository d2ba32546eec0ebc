"""A monitor's relay and its restart, through the hub."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import override

import pytest

from custom_components.energy_meter.sources.base import SourceError
from custom_components.energy_meter.sources.i2c.registers import Capability, Flag, Result
from custom_components.energy_meter.sources.simulated.panel import Chip, SimulatedMonitor
from tests.support.i2c_monitors import Rig, make_rig, running, unix
from tests.support.virtual_time import run_virtual

WATCHDOG = 8


class SeizedMonitor(SimulatedMonitor):
    """Its pin does not follow."""

    @override
    def _carry_out(self, opcode: int, argument: int) -> Result:
        return Result.FAILED


def play(
    story: Callable[[Rig], Awaitable[None]],
    arrange: Callable[[list[SimulatedMonitor]], list[Chip]] = list,
) -> Rig:
    """The first of three monitors has a relay."""

    async def run() -> Rig:
        rig = make_rig(3, arrange=arrange)
        rig.monitors[0].capabilities |= Capability.RELAY
        await running(rig, story)
        return rig

    return run_virtual(run())


def key(rig: Rig, number: int = 0) -> str:
    return f"{rig.monitors[number].id:016x}"


def relay_events(rig: Rig) -> list[tuple[object, str | None]]:
    return [(event.value, event.reason) for event in rig.heard.events if event.event == "relay"]


@pytest.mark.parametrize("rests_closed", [True, False])
def test_a_start_puts_the_relay_to_rest_and_is_its_reason(rests_closed: bool) -> None:
    async def story(rig: Rig) -> None:
        monitor = rig.monitors[0]
        monitor.rests_closed = rests_closed
        monitor.switch(not rests_closed)
        await asyncio.sleep(3)
        monitor.start(WATCHDOG)
        monitor.flags = Flag.WATCHDOG
        await asyncio.sleep(1.5)
        monitor.flags = 0
        assert relay_events(rig) == [(int(rests_closed), "watchdog")]
        assert await rig.hub.command("relay", int(not rests_closed), key(rig)) == (not rests_closed)
        monitor.start(1)
        await asyncio.sleep(2)
        assert relay_events(rig)[1:] == [(int(rests_closed), "restart")]

    rig = play(story)
    assert [event.event for event in rig.heard.events].count("watchdog") == 1


def test_what_the_monitor_commanded_is_not_put_down_to_somebody_else() -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(3)
        for value in (0, 1, 0):
            assert await rig.hub.command("relay", value, key(rig)) == value
            await asyncio.sleep(1.3)

    assert relay_events(play(story)) == []


def test_a_relay_whose_pin_does_not_follow_is_not_confirmed() -> None:
    def arrange(monitors: list[SimulatedMonitor]) -> list[Chip]:
        first = monitors[0]
        monitors[0] = SeizedMonitor(first.id, first.address, first.circuit, clock=unix)
        return list(monitors)

    async def story(rig: Rig) -> None:
        await asyncio.sleep(3)
        with pytest.raises(SourceError) as raised:
            await rig.hub.command("relay", 0, key(rig))
        assert raised.value.key == "relay_not_confirmed"

    play(story, arrange)


def test_a_monitor_is_restarted_and_goes_on_within_two_seconds() -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(3)
        assert await rig.hub.command("restart", None, key(rig, 1)) is None
        await asyncio.sleep(5)
        assert rig.hub.diagnoses["0x09"].reset == ()

    rig = play(story)
    starts = [reading.start for reading in rig.heard.of(rig.monitors[1])]
    assert set(starts) == {1, 2}
    times = rig.heard.times(rig.monitors[1])
    assert max(later - sooner for sooner, later in pairwise(times)) < 2.3
    assert {event.event for event in rig.heard.events} == {"new_meter"}


def test_a_restart_that_would_move_the_relay_is_refused() -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(3)
        await rig.hub.command("relay", 0, key(rig))
        with pytest.raises(SourceError) as raised:
            await rig.hub.command("restart", None, key(rig))
        assert raised.value.key == "i2c_relay_not_at_rest"
        await asyncio.sleep(3)
        assert rig.monitors[0].relay == 0
        await rig.hub.command("relay", 1, key(rig))
        await rig.hub.command("restart", None, key(rig))
        await asyncio.sleep(3)

    play(story)
