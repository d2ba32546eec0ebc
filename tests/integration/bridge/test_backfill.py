"""Hours that were missed are right in the long-term statistics afterwards, with a real recorder."""

from datetime import UTC, datetime, timedelta
import math
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant import loader
from homeassistant.components.recorder.db_schema import Statistics, StatisticsMeta
from homeassistant.components.recorder.statistics import (
    async_change_statistics_unit,
    compile_missing_statistics,
)
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.recorder import get_instance, session_scope
from homeassistant.setup import async_setup_component
from hypothesis import given, settings, strategies as st
import pytest
from pytest_homeassistant_custom_component.common import async_test_home_assistant
from pytest_homeassistant_custom_component.components.recorder.common import (
    async_wait_recording_done,
    do_adhoc_statistics,
)

from custom_components.energy_meter.backfill import Row, put_right
from tests.support.bridge import SimulatedBridge, SimulatedMeter
from tests.support.entities import entity_id

from .support import OVEN, HeldLink, bridge_entry, pass_time, running, set_up, workshop

BEGIN = datetime(2027, 1, 4, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def power_at(moment: datetime) -> float:
    """W; another one in every hour, and rising within it."""
    hours = (moment - BEGIN) / timedelta(hours=1)
    return 500.0 * (1 + math.floor(hours) % 5) + 100.0 * (hours % 1)


def energy(start: datetime, end: datetime) -> float:
    """KWh between two instants as measured each minute, power taken as straight lines between."""
    total, moment = 0.0, start
    while moment < end:
        total += (power_at(moment) + power_at(moment + MINUTE)) / 2 / 60 / 1000
        moment += MINUTE
    return total


def counter_at(moment: datetime) -> float:
    """KWh on a counter of the bridge's own."""
    return 321.0 + energy(BEGIN, moment)


class Story:
    """Minute after minute: the bridge measures, the recorder compiles."""

    def __init__(self, freezer: FrozenDateTimeFactory, bridge: SimulatedBridge) -> None:
        """Begin at ten o'clock."""
        self.freezer = freezer
        self.bridge = bridge
        self.now = BEGIN
        freezer.move_to(BEGIN)

    def measure(self) -> None:
        """One reading, with what the meter has."""
        values = {"power": power_at(self.now), "energy_import": counter_at(self.now)}
        meter = self.bridge.meters["oven"]
        self.bridge.measure("oven", {key: values[key] for key in meter.quantities})

    async def go_on(self, until: datetime, hass: HomeAssistant | None = None) -> None:
        """Let the minutes pass; without Home Assistant nothing is compiled."""
        while self.now < until:
            self.now += MINUTE
            if hass is None:
                self.freezer.move_to(self.now)
                self.measure()
                continue
            if self.now.minute % 5 == 0:
                await self.compile(hass)
            self.freezer.move_to(self.now)
            self.measure()
            await hass.async_block_till_done()

    async def compile(self, hass: HomeAssistant) -> None:
        """The five minutes that end now."""
        await async_wait_recording_done(hass)
        self.freezer.move_to(self.now)
        do_adhoc_statistics(hass, start=self.now - timedelta(minutes=5))
        await async_wait_recording_done(hass)

    async def settle(self, hass: HomeAssistant) -> None:
        """Twice a minute the integration looks after what is to be put right; then look whether it is."""
        for _ in range(3):
            await pass_time(hass, self.freezer, 30)
            await async_wait_recording_done(hass)


async def hourly(hass: HomeAssistant, statistic_id: str) -> list[tuple[datetime, float, float]]:
    """(start, state, sum) of every hour that the recorder has."""

    def read() -> list[tuple[datetime, float, float]]:
        with session_scope(hass=hass, read_only=True) as session:
            rows = (
                session.query(Statistics.start_ts, Statistics.state, Statistics.sum)
                .join(StatisticsMeta, Statistics.metadata_id == StatisticsMeta.id)
                .filter(StatisticsMeta.statistic_id == statistic_id)
                .order_by(Statistics.start_ts)
            )
            return [(datetime.fromtimestamp(row[0], UTC), row[1], row[2]) for row in rows]

    return await get_instance(hass).async_add_executor_job(read)


def assert_right(
    rows: list[tuple[datetime, float, float]],
    base: float,
    *,
    missed: int,
    hours: int,
) -> None:
    """Every hour is there once, with the total that it ended with, and sums that differ by its energy.

    Args:
        rows: as `hourly` gave them.
        base: total at the beginning, kWh.
        missed: so many hours from the beginning were put right.
        hours: so many there are; those that were not missed end with the reading of their last minute.
    """
    assert [start for start, _, _ in rows] == [BEGIN + timedelta(hours=n) for n in range(hours)]
    for number, (start, state, total) in enumerate(rows):
        end = start + timedelta(hours=1) - (MINUTE if number >= missed else timedelta())
        assert state == pytest.approx(base + energy(BEGIN, end), abs=0.0006), start
        assert total - rows[0][2] == pytest.approx(state - rows[0][1], abs=1e-6), start


def meter(*quantities: str) -> SimulatedMeter:
    return SimulatedMeter(quantities=quantities)


@pytest.mark.usefixtures("recorder_mock")
@pytest.mark.parametrize("quantities", [("power",), ("power", "energy_import")])
async def test_an_outage_with_home_assistant_running(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, quantities: tuple[str, ...]
) -> None:
    bridge = workshop(meters=[meter(*quantities)], interval=60.0)
    story = Story(freezer, bridge)
    async with running(hass, bridge) as (runtime, link):
        story.measure()
        await story.go_on(BEGIN + timedelta(minutes=30), hass)
        statistic_id = entity_id(hass, "energy_import", OVEN)
        link.unplug()
        await story.go_on(BEGIN + timedelta(hours=4, minutes=20), hass)
        flat = await hourly(hass, statistic_id)
        assert flat[1][2] == flat[2][2] == flat[3][2]
        link.plug()
        await hass.async_block_till_done(wait_background_tasks=True)
        await story.settle(hass)
        await story.go_on(BEGIN + timedelta(hours=6, minutes=5), hass)
        base = counter_at(BEGIN) if "energy_import" in quantities else 0.0
        rows = await hourly(hass, statistic_id)
        assert_right(rows, base, missed=4, hours=6)
        assert runtime.session.counters.lost == 0
        (backfill,) = runtime._backfills.values()
        assert not backfill.missed.hours
        # A second pass over the same hours changes nothing, nor does what the recorder compiles later.
        backfill.missed.hours["energy_import"] = {
            int(start.timestamp()): state for start, state, _ in rows[:4]
        }
        await story.settle(hass)
        assert not backfill.missed.hours
        assert await hourly(hass, statistic_id) == rows


@pytest.mark.usefixtures("recorder_mock")
async def test_readings_that_arrive_around_a_full_hour_wait_for_the_recorder(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = workshop(meters=[meter("power")], interval=60.0)
    story = Story(freezer, bridge)
    async with running(hass, bridge) as (runtime, link):
        story.measure()
        await story.go_on(BEGIN + timedelta(minutes=30), hass)
        statistic_id = entity_id(hass, "energy_import", OVEN)
        link.unplug()
        await story.go_on(BEGIN + timedelta(minutes=58), hass)
        # The next full hour has begun, and the recorder has not looked at the last one yet.
        for _ in range(3):
            story.now += MINUTE
            freezer.move_to(story.now)
            story.measure()
        link.plug()
        await hass.async_block_till_done(wait_background_tasks=True)
        await story.settle(hass)
        (backfill,) = runtime._backfills.values()
        assert backfill.missed.hours
        assert await hourly(hass, statistic_id) == []
        do_adhoc_statistics(hass, start=BEGIN + timedelta(minutes=55))
        await async_wait_recording_done(hass)
        await story.settle(hass)
        assert not backfill.missed.hours
        (row,) = await hourly(hass, statistic_id)
        assert row[1] == pytest.approx(energy(BEGIN, BEGIN + timedelta(hours=1)), abs=0.0006)


@pytest.mark.usefixtures("recorder_mock")
async def test_an_entity_in_another_unit_is_put_right_in_that_unit(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = workshop(meters=[meter("power")], interval=60.0)
    story = Story(freezer, bridge)
    async with running(hass, bridge) as (_runtime, link):
        statistic_id = entity_id(hass, "energy_import", OVEN)
        story.measure()
        await story.go_on(BEGIN + timedelta(minutes=30), hass)
        link.unplug()
        await story.go_on(BEGIN + timedelta(hours=2, minutes=10), hass)
        await async_change_statistics_unit(
            hass,
            statistic_id,
            new_unit_of_measurement="Wh",
            old_unit_of_measurement="kWh",
        )
        await async_wait_recording_done(hass)
        link.plug()
        await hass.async_block_till_done(wait_background_tasks=True)
        await story.settle(hass)
        rows = await hourly(hass, statistic_id)
        assert rows[1][2] - rows[0][2] == pytest.approx(
            1000 * energy(BEGIN + timedelta(hours=1), BEGIN + timedelta(hours=2)), abs=1.1
        )


@pytest.mark.parametrize("persistent_database", [True])
@pytest.mark.parametrize("enable_missing_statistics", [True])
@pytest.mark.parametrize("recorder_fills_the_gap", [True, False])
async def test_an_outage_with_home_assistant_restarted_in_between(
    async_test_recorder: Any,
    hass_storage: dict[str, Any],
    freezer: FrozenDateTimeFactory,
    recorder_fills_the_gap: bool,
) -> None:
    bridge = workshop(meters=[meter("power")], interval=60.0)
    story = Story(freezer, bridge)
    entry = bridge_entry()
    async with async_test_home_assistant() as hass, async_test_recorder(hass):
        hass.data.pop(loader.DATA_CUSTOM_COMPONENTS)
        entry.add_to_hass(hass)
        link = HeldLink(bridge)
        await set_up(hass, entry, link)
        story.measure()
        await story.go_on(BEGIN + timedelta(minutes=30), hass)
        statistic_id = entity_id(hass, "energy_import", OVEN)
        link.unplug()
        await story.go_on(BEGIN + timedelta(hours=1, minutes=10), hass)
        await hass.async_stop()
    await story.go_on(BEGIN + timedelta(hours=3, minutes=40))
    again = bridge_entry()
    async with async_test_home_assistant() as hass, async_test_recorder(hass):
        hass.data.pop(loader.DATA_CUSTOM_COMPONENTS)
        assert await async_setup_component(hass, "sensor", {})
        object.__setattr__(again, "entry_id", entry.entry_id)
        object.__setattr__(again, "subentries", entry.subentries)
        again.add_to_hass(hass)
        await set_up(hass, again, HeldLink(bridge))
        if recorder_fills_the_gap:
            await get_instance(hass).async_add_executor_job(
                compile_missing_statistics, get_instance(hass)
            )
        await story.settle(hass)
        await story.go_on(BEGIN + timedelta(hours=5, minutes=5), hass)
        await story.settle(hass)
        rows = await hourly(hass, statistic_id)
        assert_right(rows, 0.0, missed=3, hours=5)
        await hass.async_stop()


def test_a_statistic_that_does_not_exist_yet_waits() -> None:
    assert put_right({0: 5.0}, []) == {}


def test_the_sum_of_an_hour_follows_from_its_total_alone() -> None:
    rows = [Row(0, 10.0, 3.0), Row(3600, 10.0, 3.0), Row(14400, 16.0, 9.0)]
    right = put_right({3600: 11.0, 7200: 13.0, 10800: 15.0}, rows)
    assert [row.sum for row in right.values()] == [4.0, 6.0, 8.0]
    assert put_right({3600: 11.0}, right.values()) == {3600: Row(3600, 11.0, 4.0)}


def test_hours_before_the_first_row_take_the_constant_of_that() -> None:
    assert put_right({0: 5.0}, [Row(3600, 8.0, 0.0)]) == {0: Row(0, 5.0, -3.0)}


async def test_without_a_recorder_nothing_is_kept_for_it(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = workshop(meters=[meter("power")], interval=60.0)
    story = Story(freezer, bridge)
    async with running(hass, bridge) as (runtime, link):
        story.measure()
        link.unplug()
        await story.go_on(BEGIN + timedelta(hours=2))
        link.plug()
        await hass.async_block_till_done()
        (backfill,) = runtime._backfills.values()
        assert backfill.missed.hours
        await pass_time(hass, freezer, 31)
        assert not backfill.missed.hours


@pytest.mark.usefixtures("recorder_mock")
async def test_an_entity_that_nobody_records_is_given_up(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = workshop(meters=[meter("power", "energy_import")], interval=60.0)
    story = Story(freezer, bridge)
    async with running(hass, bridge) as (runtime, link):
        registry = er.async_get(hass)
        registry.async_update_entity(
            entity_id(hass, "energy_import", OVEN), disabled_by=er.RegistryEntryDisabler.USER
        )
        for _ in range(2):
            story.measure()
        link.unplug()
        await story.go_on(BEGIN + timedelta(hours=2))
        link.plug()
        await hass.async_block_till_done(wait_background_tasks=True)
        (backfill,) = runtime._backfills.values()
        await story.settle(hass)
        assert "energy_import" in backfill.missed.hours
        await pass_time(hass, freezer, 6 * 3600)
        await story.settle(hass)
        assert "energy_import" not in backfill.missed.hours


@settings(deadline=None)
@given(
    st.lists(st.floats(0, 1000), min_size=2, max_size=30),
    st.floats(-1e4, 1e4),
    st.data(),
)
def test_whatever_is_missing_the_sums_follow_the_totals_and_a_second_pass_changes_nothing(
    rises: list[float], constant: float, data: st.DataObject
) -> None:
    totals = {3600 * number: sum(rises[: number + 1]) for number in range(len(rises))}
    starts = sorted(totals)
    known = data.draw(st.sets(st.sampled_from(starts), min_size=1))
    missed = data.draw(st.sets(st.sampled_from(starts)))
    # Rows of missed hours stand still at some earlier total; the others are right.
    rows = {
        start: Row(start, total, total + constant)
        for start in known
        for total in [totals[min(starts)] if start in missed else totals[start]]
    }
    hours = {start: totals[start] for start in missed}
    right = put_right(hours, rows.values())
    assert right.keys() == missed
    for start, row in right.items():
        assert row.state == totals[start]
        assert row.sum == pytest.approx(totals[start] + constant, abs=1e-6)
    again = put_right(hours, (rows | right).values())
    for start, row in again.items():
        assert row.sum == pytest.approx(right[start].sum, abs=1e-6)
