"""How fast a line gets round its meters, in virtual time with true character times."""

import asyncio
from itertools import pairwise
import statistics

import pytest

from custom_components.energy_meter.sources.modbus.plan import Cost, Limits, Need, plan
from custom_components.energy_meter.sources.modbus.profile import Profile, Span, Table
from tests.support.virtual_line import VirtualLine
from tests.support.virtual_time import run_virtual

from .line_bench import AT_ONCE, POWER, SDM120, bench, profile_of

WARM_UP = 30.0


def oldest_in_rounds(power: list[float], other: list[float]) -> int:
    """Return the most power readings between two readings of another quantity."""
    return max(sum(earlier < at <= later for at in power) for earlier, later in pairwise(other))


@pytest.mark.parametrize(("meters", "limit"), [(10, 0.6), (30, 2.0), (1, 0.08)])
def test_power_comes_often_while_all_else_is_at_most_ten_rounds_old(
    meters: int, limit: float
) -> None:
    async def run() -> None:
        async with bench() as line:
            for unit in range(1, meters + 1):
                line.add(unit, fast_keys=POWER, **AT_ONCE)
            await line.run(WARM_UP + 60)
            since = line.began + WARM_UP
            assert line.mean_gap(range(1, meters + 1), since=since) <= limit
            others = [key for each in line.profile.registers if (key := each.key) != "power"]
            assert len(others) == 12
            for unit in range(1, meters + 1):
                power = line.times(unit, since=since)
                for key in others:
                    assert oldest_in_rounds(power, line.times(unit, key, since=since)) <= 10
            assert line.check() > 1000
            assert line.line.health.errors == 0
            assert line.line.health.overruns == 0

    run_virtual(run())


def test_slow_blocks_are_spread_evenly_over_the_rounds() -> None:
    async def run() -> None:
        async with bench() as line:
            for unit in range(1, 11):
                line.add(unit, fast_keys=POWER, **AT_ONCE)
            await line.run(WARM_UP + 30)
            gaps = line.gaps(5, since=line.began + WARM_UP)
            # Ten meters and ten rounds: each has one sweep, and at times a neighbour's before its own turn.
            sweep = line.line.timings("5")["extra_seconds"]
            assert max(gaps) < statistics.mean(gaps) + 1.1 * sweep

    run_virtual(run())


def least_sweep(wire: VirtualLine, profile: Profile, meters: int) -> float:
    """The least time in which a line can carry all values of its meters, silence kept."""
    cost = Cost(wire.timing.request_overhead(0.02), wire.timing.byte)
    needs = [Need(register.span) for register in profile.registers]
    blocks = plan(needs, Limits(max_registers=80, alignment=2), cost).blocks
    return meters * cost.total(blocks)


def test_a_sweep_of_thirty_meters_takes_hardly_longer_than_the_wire_needs() -> None:
    async def run() -> None:
        async with bench() as line:
            keys = frozenset(register.key for register in line.profile.registers)
            for unit in range(1, 31):
                line.add(unit, fast_keys=keys, **AT_ONCE)
            await line.run(WARM_UP + 60)
            sweep = line.mean_gap(range(1, 31), "energy_total", since=line.began + WARM_UP)
            least = least_sweep(line.wire, line.profile, 30)
            # The shared client counts 11 bits per character for the silence: that is all it may cost.
            assert least <= sweep <= 1.02 * least

    run_virtual(run())


def test_intervals_are_kept_and_meters_take_turns() -> None:
    async def run() -> None:
        async with bench() as line:
            for unit in range(1, 11):
                line.add(unit)
            await line.run(200)
            since = line.began + WARM_UP
            for unit in range(1, 11):
                assert all(4.5 < gap < 5.5 for gap in line.gaps(unit, since=since))
                assert all(28 < gap < 32 for gap in line.gaps(unit, "energy_import", since=since))
                assert all(58 < gap < 62 for gap in line.gaps(unit, "frequency", since=since))
            health = line.line.health
            assert health.overruns == 0
            assert health.load is not None
            assert 0.15 < health.load < 0.25
            firsts = sorted(line.times(unit, since=since)[0] % 5 for unit in range(1, 11))
            assert max(b - a for a, b in pairwise(firsts)) < 1

    run_virtual(run())


def test_an_interval_that_the_line_cannot_keep_is_skipped_and_counted() -> None:
    async def run() -> None:
        async with bench() as line:
            for unit in range(1, 31):
                line.add(unit, fast_interval=1.0)
            await line.run(120)
            health = line.line.health
            assert health.overruns > 100
            assert health.load is not None and health.load > 0.97
            # The line is never idle, nobody is left behind, and the counters still come.
            gaps = [line.mean_gap([unit], since=line.began + WARM_UP) for unit in range(1, 31)]
            assert max(gaps) < 1.5 * min(gaps)
            for unit in range(1, 31):
                assert len(line.times(unit, "energy_import")) >= 2

    run_virtual(run())


def test_the_first_values_come_at_once_and_the_rest_in_the_background() -> None:
    async def run() -> None:
        async with bench(start=False) as line:
            for unit in range(1, 31):
                line.add(unit)
            before = line.now()
            await line.line.start()
            assert line.now() == before
            await line.run(30)
            firsts = [line.times(unit)[0] - before for unit in range(1, 31)]
            assert max(firsts) < 3.5
            for unit in range(1, 31):
                assert line.times(unit, "energy_total")[0] - before > 0
                assert max(line.gaps(unit)) < 8

    run_virtual(run())


def test_a_meter_added_changed_or_removed_does_not_disturb_the_others_or_the_link() -> None:
    async def run() -> None:
        async with bench() as line:
            line.add(1, **AT_ONCE)
            line.add(2, **AT_ONCE)
            await line.run(10)
            line.add(3)
            await line.run(10)
            line.line.update_meter(line.config(3, fast_interval=2.0))
            await line.run(20)
            assert all(1.5 < gap < 2.5 for gap in line.gaps(3, since=line.now() - 16))
            line.line.remove_meter("3")
            removed = line.now()
            await line.run(10)
            assert line.times(3, since=removed + 0.2) == []
            assert max(line.gaps(1)) < 0.6
            assert line.wire.opened == 1
            with pytest.raises(ValueError, match="on the line already"):
                line.line.add_meter(line.config(1), line.recorder)
            with pytest.raises(KeyError):
                line.line.update_meter(line.config(9))
            line.check()

    run_virtual(run())


def test_a_meter_removed_while_it_is_being_read_says_nothing_more() -> None:
    async def run() -> None:
        async with bench() as line:
            line.add(1, **AT_ONCE)
            await line.run(5.01)
            line.line.remove_meter("1")
            count = len(line.recorder.readings)
            await line.run(5)
            assert len(line.recorder.readings) == count

    run_virtual(run())


def test_a_learned_turn_around_changes_the_plan() -> None:
    async def run() -> None:
        async with bench() as line:
            slow = line.add(1, **AT_ONCE)
            slow.turnaround = lambda: 0.15
            line.add(2, **AT_ONCE)
            await line.run(120)
            health = line.line.health.meters
            assert health["1"].answer_time == pytest.approx(0.15, abs=0.01)
            assert health["2"].answer_time == pytest.approx(0.02, abs=0.005)
            # 38 registers of a hole cost 79 ms: less than another request to the slow meter.
            blocks = line.line.timings("1")["blocks"]
            assert ["input", 0, 80] in blocks
            assert ["input", 0, 32] in line.line.timings("2")["blocks"]
            assert line.line.memory("1")["turnaround"] == pytest.approx(0.15, abs=0.01)
            line.check()

    run_virtual(run())


def test_what_was_learned_is_known_after_a_restart() -> None:
    async def run() -> None:
        async with bench() as line:
            slow = line.add(1, memory={"turnaround": 0.3}, **AT_ONCE)
            slow.turnaround = lambda: 0.3
            await line.run(10)
            assert line.line.health.errors == 0

    run_virtual(run())


def test_a_link_that_others_use_teaches_nothing_about_the_meters() -> None:
    async def run() -> None:
        async with bench() as line:
            line.sole = False
            line.add(1, **AT_ONCE)
            await line.run(10)
            assert line.line.health.meters["1"].answer_time is None
            assert line.times(1)

    run_virtual(run())


def test_a_pause_that_a_meter_wants_is_kept() -> None:
    async def run() -> None:
        text = SDM120.replace("turnaround: 0.02", "turnaround: 0.02, min_gap: 0.05")
        async with bench(profile_of(text)) as line:
            meter = line.add(1, **AT_ONCE)
            await line.run(10)
            assert line.line.health.errors == 0
            heard = [at for at, *_ in meter.asked]
            request = 8 * line.wire.timing.character
            shortest = min(later - earlier for earlier, later in pairwise(heard))
            reply = 0.02 + 9 * line.wire.timing.character
            assert shortest >= 0.05 + request + reply - 1e-6

    run_virtual(run())


def test_the_link_waits_about_a_second_before_it_ever_opens() -> None:
    async def run() -> None:
        async with bench(start=False) as line:
            line.add(1)
            assert line.wire.connection._timeout == pytest.approx(1.0)
            assert line.wire.opened == 0
            await line.line.start()
            await line.run(5)
            assert line.wire.connection._client_timeout == pytest.approx(1.0)

    run_virtual(run())


def test_a_line_without_meters_waits_and_asks_nobody() -> None:
    async def run() -> None:
        async with bench() as line:
            await line.run(100)
            assert line.wire.opened == 0
            assert line.line.health.requests == 0

    run_virtual(run())


def test_stopping_twice_or_without_a_start_is_harmless() -> None:
    async def run() -> None:
        async with bench(start=False) as line:
            line.add(1)
            await line.line.stop()
            await line.line.stop()
            await asyncio.sleep(1)
            assert line.recorder.readings == []

    run_virtual(run())


def test_two_meters_with_one_unit_id_are_one_device_read_twice() -> None:
    """A device with channels may be set up as several meters."""

    async def run() -> None:
        async with bench() as line:
            line.add(1, wanted=frozenset({"voltage", "power"}))
            line.line.add_meter(
                line.config(1, meter_id="again", wanted=frozenset({"energy_import"})), line.recorder
            )
            await line.run(40)
            assert line.recorder.latest("again").keys() == {"energy_import"}
            assert line.recorder.latest("1").keys() == {"voltage", "power"}

    run_virtual(run())


def test_only_wanted_quantities_are_read() -> None:
    async def run() -> None:
        async with bench() as line:
            meter = line.add(1, wanted=frozenset({"power", "energy_total"}))
            await line.run(100)
            asked = {(function, address) for _, function, address, _ in meter.asked}
            assert {address for function, address in asked if function == 4} == {12, 342}
            info = line.line.info("1")
            assert info is not None
            assert info.quantities == ("power", "energy_total")
            assert line.line.image("1").has(Span(Table.INPUT, 342, 2))

    run_virtual(run())
