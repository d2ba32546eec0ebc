"""The hub: who is there, what they measure, and what goes wrong on a bus."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st
import pytest

from custom_components.energy_meter.metering.continuity import Continuity
from custom_components.energy_meter.sources.base import SourceError
from custom_components.energy_meter.sources.i2c.registers import Capability
from custom_components.energy_meter.sources.simulated.panel import (
    Chip,
    SimulatedMonitor,
    SimulatedMultiplexer,
)
from tests.support.i2c_monitors import (
    ForeignChip,
    GarblingMonitor,
    Rig,
    check_values,
    make_rig,
    running,
    unix,
)
from tests.support.virtual_time import run_virtual

type Story = Callable[[Rig], Awaitable[None]]


def play(story: Story, count: int = 3, **more: Any) -> Rig:
    """Let a story happen to a hub."""

    async def run() -> Rig:
        rig = make_rig(count, **more)
        await running(rig, story)
        return rig

    return run_virtual(run())


def key(monitor: SimulatedMonitor) -> str:
    return f"{monitor.id:016x}"


# What works


def test_every_monitor_becomes_a_meter_with_its_own_id() -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(3)

    rig = play(story, 12)
    hello = rig.heard.hellos[-1]
    assert hello.bridge == "i2c-1"
    assert [meter.address for meter in hello.meters] == [f"0x{8 + n:02X}" for n in range(12)]
    assert [meter.id for meter in hello.meters] == [key(each) for each in rig.monitors]
    assert hello.meters[3].rated_current == 16
    assert "current_crest_factor" in hello.meters[0].quantities
    assert hello.meters[0].settings["voltage_gain"] == 1.0
    assert rig.heard.connections == [True, False]


def test_every_monitor_is_read_once_a_second_with_what_it_measures() -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(10.5)

    rig = play(story, 12)
    check_values(rig)
    for monitor in rig.monitors:
        times = rig.heard.times(monitor)
        assert len(times) in (10, 11)
        assert all(0.9 < later - sooner < 1.1 for sooner, later in pairwise(times[1:]))
    last = rig.heard.of(rig.monitors[0])[-1]
    energy = rig.monitors[0].circuit.energy(last.time.timestamp())
    assert last.values["energy_import"] == pytest.approx(energy.taken, abs=0.001)
    assert set(last.values) == set(rig.heard.hellos[-1].meters[0].quantities)


def test_a_hundred_monitors_fit_into_a_second_within_a_tenth_of_the_least_bus_time() -> None:
    spent: list[float] = []

    async def story(rig: Rig) -> None:
        await asyncio.sleep(3)
        rig.sim.stretch = 0.0
        before = rig.sim.bus_time
        await asyncio.sleep(10)
        spent.append((rig.sim.bus_time - before) / 10)

    rig = play(story, 100)
    assert spent[0] == pytest.approx(0.480, rel=0.1)
    assert rig.hub.health.overruns == 0
    assert all(len(rig.heard.times(each)) in (12, 13) for each in rig.monitors)


def test_a_search_never_writes() -> None:
    strangers = [ForeignChip(0x48), ForeignChip(0x68), ForeignChip(0x77, b"\xff")]

    async def story(rig: Rig) -> None:
        await asyncio.sleep(120)

    rig = play(story, 1, arrange=lambda monitors: [*monitors, *strangers])
    assert rig.heard.present == {key(rig.monitors[0])}
    for stranger in strangers:
        assert stranger.written == []
        assert stranger.reads < 10  # Known to be none of ours, it is left alone.
    assert set(rig.hub.places) == {"0x48", "0x68", "0x77"}


def test_monitors_behind_multiplexers_may_have_the_same_address() -> None:
    def arrange(monitors: list[SimulatedMonitor]) -> list[Chip]:
        for monitor in monitors:
            monitor.address = 0x10
        channels: dict[int, list[Chip]] = {number: [each] for number, each in enumerate(monitors)}
        monitors[2].address = 0x11
        return [SimulatedMultiplexer(0x70, channels), SimulatedMultiplexer(0x71, {})]

    async def story(rig: Rig) -> None:
        await asyncio.sleep(20)

    rig = play(story, 4, arrange=arrange, multiplexers=(0x70, 0x71))
    meters = {meter.id: (meter.segment, meter.address) for meter in rig.heard.hellos[-1].meters}
    assert meters == {
        key(monitor): (f"0x70/{channel}", "0x11" if channel == 2 else "0x10")
        for channel, monitor in enumerate(rig.monitors)
    }
    check_values(rig)
    assert all(len(rig.heard.times(each)) >= 19 for each in rig.monitors)


# Who comes, goes and moves


def test_a_monitor_that_is_plugged_in_appears_and_one_that_is_pulled_out_goes() -> None:
    async def story(rig: Rig) -> None:
        late, leaving, staying = rig.monitors
        late.power(False)
        await asyncio.sleep(5)
        assert rig.heard.present == {key(leaving), key(staying)}
        late.power(True)
        await asyncio.sleep(20)
        assert rig.heard.present == {key(each) for each in rig.monitors}
        leaving.power(False)
        await asyncio.sleep(5)
        assert rig.heard.present == {key(late), key(staying)}
        leaving.power(True)
        await asyncio.sleep(9)
        assert rig.heard.present == {key(each) for each in rig.monitors}

    rig = play(story)
    told = [(event.event, event.meter) for event in rig.heard.events]
    assert ("meter_gone", key(rig.monitors[1])) in told
    assert told.count(("new_meter", key(rig.monitors[0]))) == 1
    times = rig.heard.times(rig.monitors[2])
    assert all(later - sooner < 1.2 for sooner, later in pairwise(times))


def test_a_monitor_keeps_its_name_at_another_address() -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(3)
        moving = rig.monitors[1]
        moving.power(False)
        await asyncio.sleep(1.5)
        moving.address = 0x55
        moving.power(True)
        await asyncio.sleep(20)

    rig = play(story)
    places = {meter.id: meter.address for meter in rig.heard.hellos[-1].meters}
    assert places[key(rig.monitors[1])] == "0x55"
    assert len(places) == 3
    assert rig.heard.troubles == []


def test_a_monitor_in_the_place_of_another_is_never_taken_for_it() -> None:
    async def story(rig: Rig) -> None:
        first, second = rig.monitors
        second.power(False)
        second.address = first.address
        await asyncio.sleep(3)
        first.power(False)
        second.power(True)
        second._since -= 1  # Exchanged between two readings.
        await asyncio.sleep(4)

    rig = play(story, 2)
    check_values(rig)
    assert rig.heard.present == {key(rig.monitors[1])}


def test_two_at_one_address_are_told_and_nothing_of_them_is_published() -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(5)
        rig.monitors[1].address = rig.monitors[0].address
        await asyncio.sleep(60)
        rig.heard.readings.clear()
        await asyncio.sleep(5)
        assert not rig.heard.of(rig.monitors[0]) and not rig.heard.of(rig.monitors[1])
        rig.monitors[1].address = 0x30
        await asyncio.sleep(60)

    rig = play(story)
    assert ("address_shared", "0x08") in rig.heard.troubles
    check_values(rig)
    assert rig.heard.present == {key(each) for each in rig.monitors}


def test_two_with_one_id_are_told_and_the_first_stays() -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(30)

    def arrange(monitors: list[SimulatedMonitor]) -> list[Chip]:
        monitors[2].id = monitors[0].id
        return list(monitors)

    rig = play(story, arrange=arrange)
    assert [trouble for trouble, _ in rig.heard.troubles] == ["id_twice"]
    assert [meter.address for meter in rig.heard.hellos[-1].meters] == ["0x08", "0x09"]


# What goes wrong


def test_one_percent_of_damaged_blocks_is_never_published_and_costs_nobody_a_reading() -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(3)
        rig.sim.damage = 0.01
        await asyncio.sleep(60)

    rig = play(story, 30)
    assert rig.sim.damaged > 10
    check_values(rig)
    assert rig.hub.health.retries > 10
    for monitor in rig.monitors:
        times = rig.heard.times(monitor)
        assert all(later - sooner < 2.2 for sooner, later in pairwise(times))
        assert len(times) > 60
    assert [event.event for event in rig.heard.events].count("meter_gone") == 0


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damage=st.floats(0.0, 0.9), seed=st.integers(0, 1000))
def test_whatever_share_is_damaged_nothing_wrong_is_published(damage: float, seed: int) -> None:
    async def story(rig: Rig) -> None:
        rig.sim.random.seed(seed)
        rig.sim.damage = damage
        await asyncio.sleep(20)
        rig.sim.damage = 0.0
        await asyncio.sleep(60)

    rig = play(story, 4)
    check_values(rig)
    assert rig.heard.present == {key(each) for each in rig.monitors}
    totals = [reading.values["energy_import"] for reading in rig.heard.of(rig.monitors[0])]
    known = [total for total in totals if total is not None]
    assert known == sorted(known)


def test_a_monitor_that_answers_nonsense_goes_alone_and_comes_back() -> None:
    async def story(rig: Rig) -> None:
        odd = rig.monitors[1]
        assert isinstance(odd, GarblingMonitor)
        await asyncio.sleep(3)
        odd.garbles = True
        await asyncio.sleep(30)
        assert key(odd) not in rig.heard.present
        odd.garbles = False
        await asyncio.sleep(40)
        assert key(odd) in rig.heard.present

    def arrange(monitors: list[SimulatedMonitor]) -> list[Chip]:
        first, second, third = monitors
        monitors[1] = GarblingMonitor(second.id, second.address, second.circuit, clock=unix)
        return [first, monitors[1], third]

    rig = play(story, arrange=arrange)
    check_values(rig)
    for monitor in (rig.monitors[0], rig.monitors[2]):
        times = rig.heard.times(monitor)
        assert all(later - sooner < 1.2 for sooner, later in pairwise(times))


def test_a_monitor_that_has_stopped_to_measure_is_not_published_again_and_again() -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(3.5)
        rig.monitors[0].frozen = 99
        await asyncio.sleep(10)

    rig = play(story)
    blocks = len(rig.heard.of(rig.monitors[0]))
    assert blocks in (4, 5, 6)  # The last one is the one it stopped at.
    assert key(rig.monitors[0]) not in rig.heard.present


def test_a_monitor_that_holds_the_clock_does_not_take_its_neighbours_with_it() -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(3)
        rig.sim.stretching.add(rig.monitors[1].address)
        await asyncio.sleep(30)

    rig = play(story, 5)
    assert key(rig.monitors[1]) not in rig.heard.present
    assert rig.heard.connections == [True, False]
    times = rig.heard.times(rig.monitors[4])
    assert all(later - sooner < 1.5 for sooner, later in pairwise(times))


@pytest.mark.parametrize("how", ["held", "reads_zero", "gone"])
def test_a_bus_that_does_not_move_is_reopened_until_it_does(how: str) -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(5)
        setattr(rig.sim, how, True)
        await asyncio.sleep(60)
        assert rig.heard.connections == [True, False]
        count = len(rig.heard.readings)
        opened = rig.sim.opened
        setattr(rig.sim, how, False)
        await asyncio.sleep(12)
        assert rig.heard.connections == [True, False, True]
        assert len(rig.heard.readings) > count
        assert how == "gone" or opened > 5

    rig = play(story, 6)
    check_values(rig)
    assert rig.heard.present == {key(each) for each in rig.monitors}
    assert {trouble for trouble, _ in rig.heard.troubles} <= {"bus_held", "bus_gone"}
    assert rig.hub.health.recycled > 3


def test_opening_the_device_anew_frees_a_slave_that_holds_the_bus() -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(5)
        rig.sim.released_by_open = True
        rig.sim.held = True
        await asyncio.sleep(10)

    rig = play(story)
    assert rig.heard.connections == [True, False, True, False]


def test_a_bus_that_may_not_be_opened_is_told_and_tried_again() -> None:
    async def run() -> Rig:
        rig = make_rig(2)
        rig.sim.gone = True

        async def story(rig: Rig) -> None:
            await asyncio.sleep(5)
            assert rig.heard.connections == []
            rig.sim.gone = False
            await asyncio.sleep(12)

        await running(rig, story)
        return rig

    rig = run_virtual(run())
    assert rig.heard.troubles[0][0] == "bus_gone"
    assert len(rig.heard.present) == 2


def test_a_dead_multiplexer_takes_its_own_segments_alone() -> None:
    multiplexers: list[SimulatedMultiplexer] = []

    def arrange(monitors: list[SimulatedMonitor]) -> list[Chip]:
        multiplexers.extend(
            SimulatedMultiplexer(0x70 + number, {0: [each]}) for number, each in enumerate(monitors)
        )
        return list(multiplexers)

    async def story(rig: Rig) -> None:
        await asyncio.sleep(5)
        rig.sim.chips.remove(multiplexers[0])
        await asyncio.sleep(20)
        assert rig.heard.present == {key(rig.monitors[1])}
        rig.sim.chips.append(multiplexers[0])
        await asyncio.sleep(40)

    rig = play(story, 2, arrange=arrange, multiplexers=(0x70, 0x71))
    check_values(rig)
    assert len(rig.heard.present) == 2
    times = rig.heard.times(rig.monitors[1])
    assert all(later - sooner < 1.3 for sooner, later in pairwise(times))


def test_energy_goes_on_where_it_was_when_a_monitor_forgets_with_its_supply() -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(5)
        for _ in range(3):
            rig.monitors[0].power(False)
            await asyncio.sleep(1.2)
            rig.monitors[0].power(True, forgets=0.25)
            await asyncio.sleep(8)

    rig = play(story)
    counters = Continuity()
    known = [
        counters.take("energy_import", reading.start, total)
        for reading in rig.heard.of(rig.monitors[0])
        if (total := reading.values["energy_import"]) is not None and reading.start is not None
    ]
    assert all(later >= sooner - 1e-6 for sooner, later in pairwise(known))
    assert known[-1] - known[0] < 0.2  # Nothing is counted that did not flow.
    flags = [flags for reading, flags in rig.heard.readings if "restarted" in flags]
    assert len(flags) >= 3


def test_late_rounds_are_skipped_not_queued() -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(3)
        rig.sim.stretch = 0.002
        await asyncio.sleep(60)
        rig.sim.stretch = 12e-6
        await asyncio.sleep(5)

    rig = play(story, 40)
    assert rig.hub.health.overruns > 20
    times = rig.heard.times(rig.monitors[0])
    slow = [later - sooner for sooner, later in pairwise(times) if later - sooner > 1.5]
    assert len(slow) > 10
    assert [round(later - sooner) for sooner, later in pairwise(times[-4:])] == [1, 1, 1]


# What can be done


def test_a_relay_is_switched_and_what_it_stands_at_is_told() -> None:
    async def story(rig: Rig) -> None:
        pump = rig.monitors[5]
        await asyncio.sleep(3)
        assert await rig.hub.command("relay", 0, key(pump)) == 0
        assert pump.relay == 0
        pump.switch(True)  # Somebody at the panel.
        await asyncio.sleep(2)
        event = rig.heard.events[-1]
        assert (event.event, event.value, event.meter) == ("relay", 1, key(pump))

    play(story, 6)


def test_a_calibration_is_unlocked_written_and_read_back() -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(3)
        assert await rig.hub.command("voltage_gain", 1.0123, key(rig.monitors[0])) == 1.0123
        assert rig.monitors[0].calibration["voltage_gain"] == 1_012_300
        assert rig.monitors[1].calibration["voltage_gain"] == 1_000_000
        assert await rig.hub.command("phase_shift", -1.5, key(rig.monitors[1])) == -1.5

    play(story)


def test_an_address_is_changed_and_the_readings_go_on_there() -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(3)
        meter = key(rig.monitors[0])
        assert await rig.hub.command("i2c_address", 0x40, meter) == 0x40
        await asyncio.sleep(5)
        assert rig.monitors[0].address == 0x40
        assert rig.heard.hellos[-1].meter(meter) is not None
        with pytest.raises(SourceError) as taken:
            await rig.hub.command("i2c_address", 0x09, meter)
        assert taken.value.key == "i2c_address_taken"
        rig.monitors[0].capabilities &= ~Capability.ADDRESS  # A switch was set meanwhile.
        with pytest.raises(SourceError) as switch:
            await rig.hub.command("i2c_address", 0x41, meter)
        assert switch.value.key == "i2c_address_by_switch"

    rig = play(story)
    times = rig.heard.times(rig.monitors[0])
    assert all(later - sooner < 2.2 for sooner, later in pairwise(times))
    assert [event.event for event in rig.heard.events].count("meter_gone") == 0


@pytest.mark.parametrize(
    ("control", "value", "reason"),
    [
        ("voltage_gain", 3.0, "bridge_bad_value"),
        ("voltage_gain", float("nan"), "bridge_bad_value"),
        ("relay", 1, "bridge_unknown_control"),  # It has none.
        ("colour", 1, "bridge_unknown_control"),
    ],
)
def test_what_cannot_be_done_is_said(control: str, value: float, reason: str) -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(3)
        with pytest.raises(SourceError) as refused:
            await rig.hub.command(control, value, key(rig.monitors[0]))
        assert refused.value.key == reason

    play(story)


def test_a_command_to_a_monitor_that_is_away_says_so() -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(3)
        with pytest.raises(SourceError) as away:
            await rig.hub.command("identify", None, "0123456789abcdef")
        assert away.value.key == "bridge_away"
        rig.monitors[0].power(False)
        with pytest.raises(SourceError) as silent:
            await rig.hub.command("identify", None, key(rig.monitors[0]))
        assert silent.value.key == "bridge_no_answer"

    play(story)


def test_a_waveform_shows_crest_factor_and_harmonics() -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(3)
        workshop = rig.monitors[4]
        now = workshop.circuit.at(unix())
        workshop.circuit = replace(workshop.circuit, share=10 / now.current)
        wave = await rig.hub.capture(key(workshop), 2)
        assert wave.cycles == 2
        assert wave.frequency == pytest.approx(50, abs=1)
        assert wave.voltage.rms == pytest.approx(now.voltage, abs=3)
        assert wave.voltage.crest_factor == pytest.approx(2**0.5, abs=0.02)
        assert wave.current.crest_factor == pytest.approx(workshop.circuit.crest_factor, abs=0.1)
        assert wave.current.distortion is not None and wave.current.distortion > 20
        with pytest.raises(SourceError):
            await rig.hub.capture(key(workshop), 7)

    play(story, 5)
