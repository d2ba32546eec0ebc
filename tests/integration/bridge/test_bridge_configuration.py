"""What a user sets about a meter of a bridge takes effect at once, as for any other meter."""

from typing import Any

from homeassistant.components.energy.data import async_get_manager
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.setup import async_setup_component
import pytest

from custom_components.energy_meter.bridge_runtime import BridgeRuntime
from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.store import DATA_STORE
from tests.integration.runtime_support import until
from tests.support.bridge import SimulatedMeter
from tests.support.entities import entity_id, state

from .support import OVEN, SHOWN, bridge_entry, running, subentry_of, workshop


async def change(hass: HomeAssistant, runtime: BridgeRuntime, **data: Any) -> None:
    """Change what is set about the oven."""
    place = subentry_of(runtime.entry)
    hass.config_entries.async_update_subentry(runtime.entry, place, data={**place.data, **data})
    await hass.async_block_till_done(wait_background_tasks=True)


@pytest.mark.usefixtures("recorder_mock")
async def test_a_role_fills_the_dashboard_and_removing_the_meter_takes_its_own_back(
    hass: HomeAssistant,
) -> None:
    assert await async_setup_component(hass, "energy", {})
    await hass.async_block_till_done()
    dashboard = await async_get_manager(hass)
    bridge = workshop(meters=[SimulatedMeter()])

    def devices() -> list[str]:
        if dashboard.data is None:
            return []
        return [each["stat_consumption"] for each in dashboard.data["device_consumption"]]

    async with running(hass, bridge) as (runtime, _link):
        bridge.measure("oven", SHOWN)
        await change(hass, runtime, role="device", energy_dashboard=True)
        await until(lambda: devices() == [entity_id(hass, "energy_import", OVEN)])
        hass.config_entries.async_remove_subentry(
            runtime.entry, subentry_of(runtime.entry).subentry_id
        )
        await until(lambda: devices() == [])


async def test_a_meter_that_is_turned_over_shows_power_the_other_way_round(
    hass: HomeAssistant,
) -> None:
    bridge = workshop(meters=[SimulatedMeter(quantities=("power",))])
    async with running(hass, bridge) as (runtime, _link):
        await change(hass, runtime, invert=True)
        bridge.measure("oven", {"power": 100.0})
        await hass.async_block_till_done()
        assert state(hass, "power", OVEN).state == "-100.0"


async def test_a_new_name_is_that_of_the_device(hass: HomeAssistant) -> None:
    bridge = workshop(meters=[SimulatedMeter()])
    async with running(hass, bridge) as (runtime, _link):
        hass.config_entries.async_update_subentry(
            runtime.entry, subentry_of(runtime.entry), title="Big oven"
        )
        await hass.async_block_till_done(wait_background_tasks=True)
        device = dr.async_get(hass).async_get_device_by_identifier(
            (DOMAIN, OVEN), runtime.entry.entry_id
        )
        assert device is not None and device.name == "Big oven"


async def test_removing_the_bridge_leaves_nothing_of_it(hass: HomeAssistant) -> None:
    bridge = workshop(meters=[SimulatedMeter()])
    entry = bridge_entry()
    async with running(hass, bridge, entry):
        bridge.measure("oven", SHOWN)
        await hass.async_block_till_done()
        assert OVEN in hass.data[DATA_STORE].identities
        await hass.config_entries.async_remove(entry.entry_id)
        await hass.async_block_till_done()
        store = hass.data[DATA_STORE]
        assert OVEN not in store.identities
        assert store.bridge(entry.entry_id).memory == {}


async def test_the_id_that_a_bridge_says_is_what_its_entry_is_known_by(
    hass: HomeAssistant,
) -> None:
    entry = bridge_entry()
    object.__setattr__(entry, "unique_id", None)
    bridge = workshop(meters=[SimulatedMeter()])
    async with running(hass, bridge, entry):
        assert entry.unique_id == bridge.bridge
