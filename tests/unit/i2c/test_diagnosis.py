"""What monitors say of how they fare: looked at once a minute, told when it means something."""

import asyncio
from collections.abc import Awaitable, Callable

from hypothesis import given, strategies as st

from custom_components.energy_meter.sources.i2c.diagnosis import (
    NOISY,
    Diagnosis,
    diagnosis_of,
    remarks,
)
from custom_components.energy_meter.sources.i2c.registers import DIAGNOSTICS, Flag
from tests.support.i2c_monitors import Rig, make_rig, running
from tests.support.virtual_time import run_virtual

WATCHDOG, BROWN_OUT, POWER_AND_BROWN_OUT = 8, 4, 5


def play(story: Callable[[Rig], Awaitable[None]], count: int = 3) -> Rig:
    async def run() -> Rig:
        rig = make_rig(count)
        await running(rig, story)
        return rig

    return run_virtual(run())


def diagnosis(**values: int | None) -> Diagnosis:
    block = dict.fromkeys(DIAGNOSTICS.fields, 0) | values
    return diagnosis_of(block)


def test_each_monitor_is_looked_at_once_a_minute_and_never_many_at_a_time() -> None:
    asked: list[float] = []

    async def story(rig: Rig) -> None:
        for monitor in rig.monitors:
            answer = monitor._diagnostics

            def look(answer: Callable[[], dict[str, int | None]] = answer) -> dict[str, int | None]:
                asked.append(asyncio.get_running_loop().time())
                return answer()

            monitor._diagnostics = look  # type: ignore[method-assign]
        await asyncio.sleep(63)
        assert len(rig.hub.diagnoses) == 100
        assert rig.hub.diagnoses["0x08"].reset == ("power",)
        await asyncio.sleep(60)

    rig = play(story, 100)
    assert 180 < len(asked) < 220
    assert all(sum(begin <= at < begin + 0.9 for at in asked) <= 2 for begin in range(5, 120))
    assert rig.heard.logs == []
    assert rig.hub.health.overruns == 0


def test_noise_that_only_a_monitor_sees_is_told_once() -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(5)
        for _ in range(4):
            rig.monitors[1].diagnostics["bus_errors"] += NOISY
            await asyncio.sleep(60)
        assert rig.hub.diagnoses["0x09"].bus_errors == 4 * NOISY

    rig = play(story)
    ((level, text),) = rig.heard.logs
    assert level == "warning"
    assert text.startswith(f"0x09: dropped {NOISY} transactions")


def test_a_start_that_no_measurement_told_of_is_told_by_its_cause() -> None:
    async def story(rig: Rig) -> None:
        await asyncio.sleep(5)
        rig.monitors[0].start(WATCHDOG)  # Another master has taken the flag.
        rig.monitors[1].start(BROWN_OUT)
        rig.monitors[1].flags = Flag.BROWN_OUT
        rig.monitors[2].start(POWER_AND_BROWN_OUT)  # A supply that rises slowly is none.
        await asyncio.sleep(3)
        rig.monitors[1].flags = 0
        await asyncio.sleep(180)

    rig = play(story)
    told = [(event.event, event.meter) for event in rig.heard.events if event.event != "new_meter"]
    assert sorted(told) == sorted(
        [("watchdog", f"{rig.monitors[0].id:016x}"), ("brown_out", f"{rig.monitors[1].id:016x}")]
    )


def test_a_start_from_before_is_nothing_new() -> None:
    async def story(rig: Rig) -> None:
        for monitor in rig.monitors:
            monitor.diagnostics["reset"] = WATCHDOG
            monitor._since -= 1000
        await asyncio.sleep(70)
        assert rig.hub.diagnoses["0x08"].cause == "watchdog"

    rig = play(story)
    assert {event.event for event in rig.heard.events} == {"new_meter"}


counts = st.one_of(st.none(), st.integers(0, 65535))
diagnoses = st.builds(
    diagnosis,
    uptime=st.one_of(st.none(), st.integers(0, 2**32 - 2)),
    bus_errors=counts,
    overruns=counts,
    longest_stretch=counts,
    reset=st.integers(0, 255),
)


@given(st.one_of(st.none(), diagnoses), diagnoses)
def test_remarks_are_of_what_has_happened_since(before: Diagnosis | None, now: Diagnosis) -> None:
    found = remarks(before, now)
    assert ("stretch" in found) == ((now.longest_stretch or 0) > 100)
    if before is None:
        assert found.keys() <= {"stretch"}
    if now == before:
        assert found.keys() <= {"stretch"}
    if "overruns" in found:
        assert now.overruns


def test_a_count_that_began_anew_counts_from_nothing() -> None:
    before = diagnosis(uptime=5000, bus_errors=200, overruns=7)
    now = diagnosis(uptime=20, bus_errors=NOISY, overruns=0)
    assert remarks(before, now).keys() == {"bus_errors"}
