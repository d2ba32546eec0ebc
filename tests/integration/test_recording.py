"""What reaches the recorder and the Energy dashboard: what changed, never less, and only what is ours."""

from typing import Any

from homeassistant.components.energy.data import EnergyManager, async_get_manager
from homeassistant.components.recorder.db_schema import States
from homeassistant.core import HomeAssistant
from homeassistant.helpers.recorder import get_instance, session_scope
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.components.recorder.common import (
    async_wait_recording_done,
)

from custom_components.energy_meter.store import DATA_STORE
from tests.support.wire import rtu_line

from .runtime_support import (
    SDM120,
    entity_id,
    meter,
    running,
    show,
    shows,
    state,
    subentry,
    subentry_of,
    until,
)

WITHOUT_COUNTERS = "algodue_upm209"
CALM: dict[str, Any] = {"fast_interval": 1.0, "counter_interval": 1.0, "slow_interval": 1.0}


@pytest.fixture
async def dashboard(recorder_mock: None, hass: HomeAssistant) -> EnergyManager:
    """Home Assistant with its Energy dashboard."""
    assert await async_setup_component(hass, "energy", {})
    await hass.async_block_till_done()
    return await async_get_manager(hass)


async def rows(hass: HomeAssistant) -> int:
    """How many states the recorder has."""
    await async_wait_recording_done(hass)

    def count() -> int:
        with session_scope(hass=hass, read_only=True) as session:
            return session.query(States).count()

    return await get_instance(hass).async_add_executor_job(count)


@pytest.mark.usefixtures("recorder_mock")
async def test_readings_that_change_nothing_cost_no_row(hass: HomeAssistant) -> None:
    device = meter(SDM120, 1, {"voltage": 230.0, "power": 100.0, "energy_import": 5.0})
    async with rtu_line([device]) as line, running(hass, line, subentry(1, **CALM)) as entry:
        await shows(hass, "energy_import", "5.0")
        coordinator = next(iter(entry.runtime_data.meters.values()))
        await until(lambda: not (coordinator.wanted - coordinator.values.keys()))
        before = await rows(hass)
        polls = len(line.log)
        await until(lambda: len(line.log) > polls + 6)
        assert await rows(hass) == before
        show(device, SDM120, {"power": 101.0})
        await shows(hass, "power", "101.0")
        assert await rows(hass) == before + 1


@pytest.mark.usefixtures("recorder_mock")
async def test_integrated_energy_does_not_step_back_after_a_power_cut(hass: HomeAssistant) -> None:
    device = meter(WITHOUT_COUNTERS, 1, {"power": 360_000.0})
    place = subentry(1, WITHOUT_COUNTERS)
    async with rtu_line([device]) as line, running(hass, line, place) as entry:
        await until(lambda: state(hass, "energy_import").state not in {"unavailable", "0.0"})
        record = hass.data[DATA_STORE].record("meter_1")
        coordinator = next(iter(entry.runtime_data.meters.values()))
        coordinator.async_refresh_record()
        written = record.metering
        kept = float(state(hass, "energy_import").state)
        await until(lambda: float(state(hass, "energy_import").state) > kept + 0.1)
        line.silence(1)
        await until(lambda: not coordinator.answering, 15)
        reached = state(hass, "energy_import").state
        await async_wait_recording_done(hass)
        # As if Home Assistant had died: what was written last is all that it has.
        await hass.config_entries.async_unload(entry.entry_id)
        record.metering = written
        hass.states.async_set(
            entity_id(hass, "energy_import"),
            reached,
            {"unit_of_measurement": "kWh", "restored": True},
            force_update=True,
        )
        await async_wait_recording_done(hass)
        assert await hass.config_entries.async_setup(entry.entry_id)
        assert state(hass, "energy_import").state == reached
        line.revive(1)
        await until(lambda: float(state(hass, "energy_import").state) > float(reached), 30)


async def test_a_meter_with_a_role_fills_the_dashboard_and_takes_its_own_back(
    hass: HomeAssistant, dashboard: EnergyManager
) -> None:
    device = meter(SDM120, 1, {"power": 100.0, "energy_import": 5.0})
    place = subentry(1, role="device", energy_dashboard=True)
    async with rtu_line([device]) as line, running(hass, line, place) as entry:
        await shows(hass, "energy_import", "5.0")

        def devices() -> list[str]:
            if dashboard.data is None:
                return []
            return [each["stat_consumption"] for each in dashboard.data["device_consumption"]]

        await until(lambda: devices() == [entity_id(hass, "energy_import")])
        hass.config_entries.async_remove_subentry(entry, subentry_of(entry, "meter_1").subentry_id)
        await until(lambda: devices() == [])
