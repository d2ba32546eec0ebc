"""Whatever goes wrong on a bus, in whatever order: nothing wrong is published, and afterwards all is as before."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Final, override

from hypothesis import HealthCheck, example, given, settings, strategies as st

from custom_components.energy_meter.metering.continuity import Continuity
from custom_components.energy_meter.sources.i2c.registers import NOWHERE
from custom_components.energy_meter.sources.simulated.panel import (
    WINDOW,
    Chip,
    SimulatedMonitor,
    SimulatedMultiplexer,
)
from tests.support.i2c_monitors import Rig, check_values, make_rig, running, unix
from tests.support.virtual_time import run_virtual

HEALED: Final = 100.0
"""Seconds after the last fault within which everybody has to be back: places are asked at least twice a minute."""


class FailingMonitor(SimulatedMonitor):
    """A monitor that can answer nonsense, and lose its supply within a byte."""

    garbles = False
    dies_after: int | None = None

    @override
    def read(self, length: int) -> bytes:
        data = super().read(length)
        if self.garbles:
            return Random(data).randbytes(length)
        if self.dies_after is not None:
            count, self.dies_after = self.dies_after, None
            self.power(False)
            return (data[:count] + bytes([NOWHERE]) * length)[:length]
        return data


type Fault = Callable[[Rig], Awaitable[None]]


@dataclass(frozen=True)
class OfBus:
    """The bus itself."""

    what: str
    seconds: float

    async def happen(self, rig: Rig) -> None:
        setattr(rig.sim, self.what, 0.3 if self.what == "damage" else True)
        await asyncio.sleep(self.seconds)
        setattr(rig.sim, self.what, 0.0 if self.what == "damage" else False)


@dataclass(frozen=True)
class OfMonitor:
    """One monitor, never the first."""

    what: str
    number: int
    seconds: float
    share: float

    async def happen(self, rig: Rig) -> None:
        monitor = rig.monitors[1 + self.number % (len(rig.monitors) - 1)]
        assert isinstance(monitor, FailingMonitor)
        address = monitor.address
        match self.what:
            case "power":
                monitor.power(False)
            case "dies":
                monitor.dies_after = int(self.share * 50)
            case "garbles":
                monitor.garbles = True
            case "stops":
                monitor.frozen = int((unix() - monitor._since) / WINDOW)
            case "stretches":
                rig.sim.stretching.add(address)
            case "shares":
                others = [each for each in rig.monitors[1:] if each is not monitor]
                monitor.address = others[0].address
        await asyncio.sleep(self.seconds)
        monitor.garbles = False
        monitor.frozen = monitor.dies_after = None
        rig.sim.stretching.discard(address)
        monitor.address = address
        monitor.power(True, forgets=self.share * 0.01 if self.what in ("power", "dies") else 0.0)


seconds = st.sampled_from([0.3, 1.0, 2.5, 4.0, 15.0])
of_monitor = st.builds(
    OfMonitor,
    st.sampled_from(["power", "dies", "garbles", "stops", "stretches", "shares"]),
    st.integers(0, 9),
    seconds,
    st.floats(0, 1),
)
of_bus = st.builds(OfBus, st.sampled_from(["held", "reads_zero", "gone", "damage"]), seconds)


def play(faults: Sequence[OfBus | OfMonitor], *, segments: bool = False) -> Rig:
    """Five monitors, on the trunk or three of them on segments; one fault after the other, then peace."""

    def arrange(monitors: list[SimulatedMonitor]) -> list[Chip]:
        for index, each in enumerate(monitors):
            monitors[index] = FailingMonitor(each.id, each.address, each.circuit, clock=unix)
        if not segments:
            return list(monitors)
        return [
            *monitors[:2],
            SimulatedMultiplexer(0x70, {1: [monitors[2], monitors[3]], 6: [monitors[4]]}),
        ]

    async def story(rig: Rig) -> None:
        await asyncio.sleep(4)
        for fault in faults:
            await fault.happen(rig)
            await asyncio.sleep(1)
        await asyncio.sleep(HEALED)

    async def run() -> Rig:
        rig = make_rig(5, arrange=arrange, multiplexers=(0x70,) if segments else ())
        await running(rig, story)
        return rig

    return run_virtual(run())


def check_nothing_wrong(rig: Rig) -> None:
    """Values are what flowed, times rise, counters never fall, everybody is back at full pace."""
    check_values(rig)
    for monitor in rig.monitors:
        readings, counters = rig.heard.of(monitor), Continuity()
        assert all(later.monotonic > sooner.monotonic for sooner, later in pairwise(readings))
        totals = [
            counters.take("energy_import", reading.start, total)
            for reading in readings
            if (total := reading.values["energy_import"]) is not None and reading.start is not None
        ]
        assert all(later >= sooner - 1e-6 for sooner, later in pairwise(totals))
        end = rig.heard.times(rig.monitors[0])[-1]
        assert len([each for each in readings if each.monotonic > end - 10]) >= 9
    assert rig.heard.present == {f"{each.id:016x}" for each in rig.monitors}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(of_monitor, of_bus), max_size=6), st.booleans())
@example([OfBus("held", 15.0), OfMonitor("power", 1, 0.3, 1.0)], True)
@example([OfMonitor("shares", 2, 15.0, 0.0), OfBus("reads_zero", 2.5)], False)
def test_no_sequence_of_faults_publishes_anything_wrong_or_leaves_anybody_away(
    faults: list[OfBus | OfMonitor], segments: bool
) -> None:
    check_nothing_wrong(play(faults, segments=segments))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(of_monitor, min_size=1, max_size=5), st.booleans())
def test_a_fault_of_one_monitor_costs_its_neighbours_nothing(
    faults: list[OfMonitor], segments: bool
) -> None:
    rig = play(faults, segments=segments)
    check_nothing_wrong(rig)
    times = rig.heard.times(rig.monitors[0])
    assert all(later - sooner < 1.5 for sooner, later in pairwise(times))
    assert rig.heard.connections == [True, False]
