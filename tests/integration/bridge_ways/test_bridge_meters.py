"""The meters of a bridge in the set-up: what only the user knows of them, and those that were removed."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from homeassistant.components.energy.data import async_get_manager
from homeassistant.config_entries import (
    SOURCE_RECONFIGURE,
    SOURCE_USER,
    ConfigEntryState,
    ConfigSubentry,
)
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import area_registry as ar, device_registry as dr
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.energy_meter.const import DOMAIN, SUBENTRY_BRIDGE_METER
from tests.integration.bridge_ways.support import shows, unloaded, value
from tests.integration.flow_support import Flow
from tests.integration.runtime_support import until
from tests.support.bridge import SimulatedBridge, SimulatedMeter

pytestmark = pytest.mark.usefixtures("socket_enabled")

OVEN = {"voltage": 230.0, "current": 2.0, "power": 437.0, "energy_import": 12.5}
PUMP = {"voltage": 230.0, "current": 2.0}


@asynccontextmanager
async def bridge_with_meters(
    hass: HomeAssistant,
) -> AsyncIterator[tuple[SimulatedBridge, MockConfigEntry]]:
    """A bridge that runs, with an oven that measures everything and a pump that does not know its watts."""
    board = SimulatedBridge(
        "b1",
        meters=[
            SimulatedMeter(id="oven", name="Oven"),
            SimulatedMeter(id="pump", name="Pump", quantities=("voltage", "current")),
        ],
    )
    port = await board.listen()
    entry = MockConfigEntry(
        domain=DOMAIN,
        title="Workshop",
        unique_id="b1",
        data={"kind": "bridge", "way": "tcp", "host": "127.0.0.1", "port": port},
    )
    entry.add_to_hass(hass)
    try:
        async with unloaded(hass):
            assert await hass.config_entries.async_setup(entry.entry_id)
            await until(lambda: board.connections == 1)
            measure(board)
            await shows(hass, "voltage", 230, "oven", "b1")
            await shows(hass, "voltage", 230, "pump", "b1")
            yield board, entry
    finally:
        await board.close()


def measure(board: SimulatedBridge) -> None:
    """A reading of both meters."""
    board.measure("oven", OVEN)
    board.measure("pump", PUMP)


def meter_of(entry: MockConfigEntry, meter: str) -> ConfigSubentry:
    """The subentry of a meter."""
    found: ConfigSubentry
    [found] = [one for one in entry.subentries.values() if one.unique_id == meter]
    return found


async def change(hass: HomeAssistant, entry: MockConfigEntry, meter: str) -> Flow:
    """Reconfigure a meter."""
    manager = hass.config_entries.subentries
    result = await manager.async_init(
        (entry.entry_id, SUBENTRY_BRIDGE_METER),
        context={
            "source": SOURCE_RECONFIGURE,
            "subentry_id": meter_of(entry, meter).subentry_id,
        },
    )
    return Flow(hass, manager, result)


async def add_again(hass: HomeAssistant, entry: MockConfigEntry) -> Flow:
    """Ask for removed meters."""
    manager = hass.config_entries.subentries
    result = await manager.async_init(
        (entry.entry_id, SUBENTRY_BRIDGE_METER), context={"source": SOURCE_USER}
    )
    return Flow(hass, manager, result)


def kept(entry: MockConfigEntry, meter: str) -> Mapping[str, Any]:
    """What is kept about a meter."""
    return meter_of(entry, meter).data


async def test_name_area_and_rating_are_the_users(hass: HomeAssistant) -> None:
    garden = ar.async_get(hass).async_create("Garden")
    async with bridge_with_meters(hass) as (_board, entry):
        identity = kept(entry, "pump")["identity"]
        flow = await change(hass, entry, "pump")
        assert flow.step == "reconfigure"
        assert flow.placeholders == {"name": "Pump", "live": "230.0 V · 2.00 A"}
        assert flow.prefilled() == {
            "name": "Pump",
            "role": "none",
            "invert": False,
            "rated_current": 20,
        }
        await flow.fill(name="Pond", role="none", area=garden.id, rated_current=6.0, invert=False)
        assert flow.result["reason"] == "meter_changed"
        assert flow.placeholders == {"name": "Pond"}
        await hass.async_block_till_done()
        assert meter_of(entry, "pump").title == "Pond"
        assert kept(entry, "pump")["rated_current"] == 6.0
        device = dr.async_get(hass).async_get_device_by_identifier(
            (DOMAIN, identity), entry.entry_id
        )
        assert device is not None
        assert device.area_id == garden.id
        # What is emptied is gone.
        flow = await change(hass, entry, "pump")
        await flow.fill(name="Pond", role="none", invert=False)
        assert "rated_current" not in kept(entry, "pump")
        assert "area" not in kept(entry, "pump")


async def test_an_assumed_power_factor_makes_watts_of_volts_and_amperes(
    hass: HomeAssistant,
) -> None:
    async with bridge_with_meters(hass) as (board, entry):
        assert value(hass, "power", "pump", "b1") is None
        flow = await change(hass, entry, "pump")
        await flow.fill(name="Pump", role="none", invert=False, assumed_power_factor=0.5)
        assert flow.result["reason"] == "meter_changed"
        await hass.async_block_till_done()
        measure(board)
        await shows(hass, "power", 230, "pump", "b1")
        assert entry.state is ConfigEntryState.LOADED


async def test_a_role_brings_a_meter_into_the_energy_dashboard_if_the_user_agrees(
    hass: HomeAssistant, recorder_mock: object
) -> None:
    assert await async_setup_component(hass, "energy", {})
    async with bridge_with_meters(hass) as (_board, entry):
        flow = await change(hass, entry, "oven")
        await flow.fill(name="Oven", role="device", invert=False)
        # There is another meter that it might be behind of.
        assert flow.step == "inside"
        await flow.fill()
        assert flow.step == "summary"
        assert "Oven as device" in flow.placeholders["changes"]
        await flow.fill(energy_dashboard=True)
        assert flow.result["reason"] == "meter_changed"
        await hass.async_block_till_done()
        manager = await async_get_manager(hass)

        def devices() -> list[str]:
            data: Any = manager.data or {}
            return [one["stat_consumption"] for one in data.get("device_consumption", [])]

        await until(lambda: len(devices()) == 1)
        assert devices()[0].startswith("sensor.oven")


async def test_a_meter_that_was_removed_stays_away_until_it_is_asked_for(
    hass: HomeAssistant,
) -> None:
    async with bridge_with_meters(hass) as (board, entry):
        flow = await add_again(hass, entry)
        assert flow.kind is FlowResultType.ABORT
        assert flow.result["reason"] == "bridge_nothing_removed"

        pump = meter_of(entry, "pump").subentry_id
        hass.config_entries.async_remove_subentry(entry, pump)
        await until(lambda: entry.options.get("removed") == ["pump"])
        board.say_hello()
        measure(board)
        await hass.async_block_till_done()
        assert [one.unique_id for one in entry.subentries.values()] == ["oven"]

        flow = await add_again(hass, entry)
        assert flow.step == "user"
        await flow.fill(meters=["pump"])
        assert flow.result["reason"] == "bridge_meters_back"
        assert flow.placeholders == {"name": "pump"}
        await until(lambda: len(entry.subentries) == 2)
        measure(board)
        await shows(hass, "voltage", 230, "pump", "b1")
        assert entry.options["removed"] == []


async def test_a_meter_can_be_changed_while_its_bridge_does_not_run(hass: HomeAssistant) -> None:
    async with bridge_with_meters(hass) as (_board, entry):
        await hass.config_entries.async_unload(entry.entry_id)
        flow = await change(hass, entry, "oven")
        assert flow.step == "reconfigure"
        await flow.fill(name="Old oven", role="none", invert=True)
        assert flow.result["reason"] == "meter_changed"
        await hass.async_block_till_done()
        assert (meter_of(entry, "oven").title, kept(entry, "oven")["invert"]) == ("Old oven", True)
