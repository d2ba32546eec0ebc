"""Meters that do not answer, lines on which nobody does, and links that are gone."""

import errno

import pytest

from custom_components.energy_meter.model import Reading
from tests.support.recorder import Recorder
from tests.support.virtual_time import run_virtual

from .line_bench import AT_ONCE, POWER, bench


async def pace_of_four(silent: bool) -> float:
    """Mean seconds between power readings of four meters beside a fifth that may be silent."""
    async with bench() as line:
        for unit in range(1, 6):
            line.add(unit, fast_keys=POWER, **AT_ONCE)
        line.wire.meters[5].silent = silent
        await line.run(120)
        line.check()
        return line.mean_gap(range(1, 5), since=line.began + 10)


def test_one_silent_meter_of_five_costs_the_others_nothing() -> None:
    with_it, without_it = run_virtual(pace_of_four(False)), run_virtual(pace_of_four(True))
    assert without_it < 1.05 * with_it


def test_three_silent_meters_of_thirty_cost_the_others_less_than_five_percent() -> None:
    async def pace(meters: int, silent: int) -> float:
        async with bench() as line:
            for unit in range(1, meters + 1):
                meter = line.add(unit, fast_keys=POWER, **AT_ONCE)
                meter.silent = unit <= silent
            await line.run(180)
            return line.mean_gap(range(silent + 1, meters + 1), since=line.began + 60)

    assert run_virtual(pace(30, 3)) < 1.05 * run_virtual(pace(27, 0))


def test_a_silent_meter_is_reported_once_probed_ever_more_rarely_and_returns_by_itself() -> None:
    async def run() -> None:
        async with bench() as line:
            gone = line.add(1)
            line.add(2)
            await line.run(30)
            gone.silent = True
            left = line.now()
            await line.run(300)
            assert line.events(1) == ["silent"]
            assert line.line.health.meters["1"].answering is False
            assert line.line.health.meters["2"].answering is True
            before = line.line.health.meters["1"].requests
            await line.run(300)
            assert line.line.health.meters["1"].requests - before <= 6
            assert line.times(1, since=left + 0.2) == []
            gone.silent = False
            await line.run(62)
            assert line.events(1) == ["silent", "back"]
            assert line.times(1, since=left + 600)
            assert line.events(2) == []
            assert max(line.gaps(2)) < 6
            line.check()

    run_virtual(run())


def test_silence_is_declared_by_count_and_time_before_two_readings_are_missing() -> None:
    async def run() -> None:
        async with bench() as line:
            meter = line.add(1)
            line.add(2)
            await line.run(30)
            last = line.times(1)[-1]
            meter.silent = True
            while not line.events(1):
                await line.run(0.05)
            assert 3.0 <= line.now() - last <= 10.0
            assert line.line.health.meters["1"].timeouts >= 3

    run_virtual(run())


def test_one_lost_reply_is_repeated_at_once_and_nobody_notices() -> None:
    async def run() -> None:
        async with bench() as line:
            line.add(1)
            await line.run(30)
            lose = [True]
            line.wire.damage = lambda _, frame: b"" if lose and lose.pop() else frame
            await line.run(60)
            assert line.recorder.events == []
            assert line.recorder.stale == []
            assert max(line.gaps(1)) < 5.3
            assert line.line.health.retries == 1
            line.check()

    run_virtual(run())


def test_what_a_failed_round_left_out_is_read_as_soon_as_the_meter_answers_again() -> None:
    async def run() -> None:
        async with bench() as line:
            meter = line.add(1, fast_interval=20.0, counter_interval=20.0, slow_interval=20.0)
            await line.run(100)
            began = line.times(1)[-1] + 19.9
            await line.run(began - line.now())
            meter.silent = True
            await line.run(1.2)
            meter.silent = False
            await line.run(3)
            assert line.line.health.errors >= 2
            assert line.recorder.events == []
            for register in line.profile.registers:
                assert line.times(1, register.key, since=began)
            line.check()

    run_virtual(run())


@pytest.mark.parametrize(
    "damage",
    [
        lambda frame: frame[:-1] + bytes([frame[-1] ^ 1]),
        lambda frame: frame[:4],
        lambda frame: frame[:-1],
        lambda frame: b"\x55" + frame,
        lambda frame: frame + b"\x00\xff",
        lambda frame: frame[:1] + bytes([frame[1] ^ 0x40]) + frame[2:],
        lambda frame: frame[:2] + bytes([frame[2] ^ 0x02]) + frame[3:],
        lambda frame: frame[:2] + bytes([frame[2] | 0x80]) + frame[3:],
    ],
)
def test_one_damaged_reply_costs_at_most_its_repetition(damage: object) -> None:
    async def run() -> None:
        async with bench() as line:
            line.add(1, **AT_ONCE)
            line.add(2, **AT_ONCE)
            await line.run(20)
            hurt = [True]
            assert callable(damage)
            line.wire.damage = lambda _, frame: damage(frame) if hurt and hurt.pop() else frame
            await line.run(20)
            assert line.recorder.events == []
            for unit in (1, 2):
                assert max(line.gaps(unit)) < 1.2
            assert line.line.health.errors <= 3
            line.check()

    run_virtual(run())


def test_a_meter_that_was_never_there_is_reported_and_the_rest_starts() -> None:
    async def run() -> None:
        async with bench() as line:
            line.add(1).silent = True
            line.add(2)
            await line.run(10)
            assert line.events(1) == ["silent"]
            assert line.times(2)[0] - line.began < 1

    run_virtual(run())


def test_a_mute_line_is_reopened_at_growing_intervals_and_found_again_within_a_second() -> None:
    async def run() -> None:
        async with bench() as line:
            for unit in (1, 2, 3):
                line.add(unit, **AT_ONCE)
            await line.run(10)
            assert line.wire.opened == 1
            for meter in line.wire.meters.values():
                meter.silent = True
            await line.run(20)
            health = line.line.health
            assert 1 <= health.recycled <= 4
            assert line.wire.opened == 1 + health.recycled
            for meter in line.wire.meters.values():
                meter.silent = False
            back = line.now()
            await line.run(3)
            assert min(line.times(unit, since=back)[0] for unit in (1, 2, 3)) - back < 1.0
            assert max(line.times(unit, since=back)[0] for unit in (1, 2, 3)) - back < 1.5
            recycled = line.line.health.recycled
            await line.run(60)
            assert line.line.health.recycled == recycled
            line.check()

    run_virtual(run())


def test_a_line_mute_for_a_day_is_not_reopened_every_second() -> None:
    async def run() -> None:
        async with bench() as line:
            line.add(1).silent = True
            await line.run(24 * 3600)
            assert line.line.health.recycled < 320
            assert line.line.health.requests < 15_000

    run_virtual(run())


def test_a_shared_link_is_not_reopened_often_for_our_meters_alone() -> None:
    async def run() -> None:
        async with bench() as line:
            line.sole = False
            line.add(1).silent = True
            await line.run(59)
            assert line.line.health.recycled <= 1

    run_virtual(run())


def test_one_dead_meter_is_no_mute_line() -> None:
    async def run() -> None:
        async with bench() as line:
            line.add(1).silent = True
            line.add(2)
            await line.run(600)
            assert line.line.health.recycled == 0

    run_virtual(run())


@pytest.mark.parametrize("seconds", [2.0, 10.0, 26.0])
def test_an_unplugged_adapter_is_read_again_within_a_second_of_its_return(seconds: float) -> None:
    async def run() -> None:
        async with bench() as line:
            for unit in range(1, 11):
                line.add(unit, **AT_ONCE)
            await line.run(10)
            line.wire.unplug()
            await line.run(seconds)
            health = line.line.health
            assert not health.connected
            line.wire.plug()
            back = line.now()
            await line.run(10)
            assert line.line.health.connected
            firsts = [line.times(unit, since=back)[0] - back for unit in range(1, 11)]
            assert min(firsts) < 0.7
            # All ten within a second more: no meter is held responsible for the link.
            assert max(firsts) < 1.7
            told = ["silent", "back"] if seconds > 3 else []
            assert all(line.events(unit) == told for unit in range(1, 11))
            line.check()

    run_virtual(run())


def test_a_link_that_never_opens_is_tried_every_half_second_and_reported_once() -> None:
    async def run() -> None:
        async with bench(start=False) as line:
            line.add(1)
            line.wire.plugged = False
            await line.line.start()
            await line.run(60)
            assert line.events(1) == ["silent"]
            line.wire.plug()
            await line.run(1)
            assert line.times(1)
            assert line.events(1) == ["silent", "back"]

    run_virtual(run())


def test_a_port_that_breaks_while_it_is_written_to_is_a_link_that_is_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run() -> None:
        async with bench() as line:
            line.add(1, fast_interval=1.0)
            await line.run(5)
            line.wire.broken = OSError(errno.EIO, "closed by the other end")
            await line.run(10)
            assert line.events(1) == ["silent"]
            assert line.line.trouble is not None
            assert line.line.trouble[0] is line.wire.broken
            line.wire.broken = None
            back = line.now()
            await line.run(2)
            assert line.times(1, since=back)
            assert line.line.trouble is None
            assert line.events(1) == ["silent", "back"]

    run_virtual(run())
    assert "Unexpected error" not in caplog.text


def test_values_that_miss_two_rounds_are_called_stale_once_while_the_meter_answers() -> None:
    async def run() -> None:
        async with bench() as line:
            meter = line.add(1)
            await line.run(70)
            # A trouble of one block: the meter says "device failure" for its counters only.
            failing = ["on"]

            def code() -> int | None:
                asked_address = line.wire.meters[1].asked[-1][2]
                return 4 if failing and asked_address >= 70 else None

            meter.exception = code
            await line.run(200)
            keys = frozenset().union(*(keys for _, keys in line.recorder.stale))
            assert {"energy_import", "energy_total", "frequency"} <= keys
            assert not {"power", "voltage"} & keys
            told = [key for _, keys in line.recorder.stale for key in keys]
            assert len(told) == len(set(told))
            assert line.recorder.events == []
            failing.clear()
            await line.run(70)
            assert line.times(1, "energy_import", since=line.now() - 60)
            line.check()

    run_virtual(run())


def test_a_listener_that_fails_does_not_stop_the_line() -> None:
    class Broken:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError(name)

    async def run() -> None:
        async with bench() as line:
            line.add(1, listener=Broken())
            line.add(2)
            await line.run(30)
            assert len(line.times(2)) >= 5

    run_virtual(run())


def test_back_is_said_before_the_first_reading() -> None:
    async def run() -> None:
        order: list[str] = []

        class Listener(Recorder):
            def on_silent(self, meter_id: str) -> None:
                order.append("silent")

            def on_back(self, meter_id: str) -> None:
                order.append("back")

            def on_reading(self, reading: Reading) -> None:
                order.append("reading")

        async with bench() as line:
            meter = line.add(1, listener=Listener())
            line.add(2)
            await line.run(10)
            meter.silent = True
            await line.run(30)
            meter.silent = False
            await line.run(60)
        silent = order.index("silent")
        assert order[silent + 1 : silent + 3] == ["back", "reading"]

    run_virtual(run())
