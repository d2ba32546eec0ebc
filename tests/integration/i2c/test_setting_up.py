"""Adding this computer's bus: what is there is shown before it is added, and what is wrong is said."""

import errno
from unittest.mock import patch

from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType

from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.sources.i2c.ports import BusPort
from custom_components.energy_meter.sources.simulated.panel import (
    SimulatedMultiplexer,
    simulated_panel,
)
from tests.integration.flow_support import Flow
from tests.support.i2c_monitors import ForeignChip

from .support import bus_with, panel_entry, until

PORTS = [BusPort(1, "bcm2835 (i2c@7e804000)", True), BusPort(20, "", False)]
LISTS = "custom_components.energy_meter.flows.bridge_i2c.list_buses"
OPENS = "custom_components.energy_meter.i2c_runtime.open_bus"


async def asked(hass: HomeAssistant) -> Flow:
    """A flow that asks for the bus."""
    flow = await Flow.first(hass)
    await flow.choose("bridge")
    return await flow.choose("bridge_i2c")


async def submit(hass: HomeAssistant, flow: Flow, **filled: object) -> dict[str, object]:
    """Fill in the form and wait for what comes after the search."""
    manager = hass.config_entries.flow
    result = await manager.async_configure(flow.result["flow_id"], filled)
    while result["type"] is FlowResultType.SHOW_PROGRESS:
        await hass.async_block_till_done(wait_background_tasks=True)
        result = await manager.async_configure(flow.result["flow_id"])
    return dict(result)


async def test_a_bus_is_searched_shown_and_added(hass: HomeAssistant) -> None:
    monitors = await hass.async_add_executor_job(simulated_panel, 3)
    stranger, multiplexer = ForeignChip(0x48), ForeignChip(0x70, b"\x00\x01")
    async with bus_with([*monitors, stranger, multiplexer]):
        with patch(LISTS, return_value=PORTS):
            flow = await asked(hass)
        result = await submit(hass, flow, bus="1", multiplexers=[])
        assert result["step_id"] == "bridge_heard", result
        shown = result["description_placeholders"]
        assert isinstance(shown, dict)
        assert shown["heard"].count("**Circuit 0x") == 3
        assert " V" in shown["heard"]
        assert "At 0x48 there is another chip" in shown["notes"]
        assert "0x70" in shown["notes"]
        result = dict(
            await hass.config_entries.flow.async_configure(
                flow.result["flow_id"], {"name": "Panel"}
            )
        )
        assert result["type"] is FlowResultType.CREATE_ENTRY
        await hass.async_block_till_done()
        (entry,) = hass.config_entries.async_entries(DOMAIN)
        assert entry.data == {"kind": "bridge", "way": "i2c", "bus": 1, "multiplexers": []}
        assert entry.unique_id == "i2c-1"
        assert stranger.written == []
        assert multiplexer.written == []
        await hass.config_entries.async_unload(entry.entry_id)
        await hass.async_block_till_done()


async def test_what_is_wrong_with_a_bus_is_said_in_its_form(hass: HomeAssistant) -> None:
    with patch(LISTS, return_value=PORTS):
        flow = await asked(hass)
        for number, reason in (
            (errno.EACCES, "i2c_no_permission"),
            (errno.ENOENT, "i2c_no_bus"),
        ):
            with patch(OPENS, side_effect=OSError(number, "no")):
                result = await submit(hass, flow, bus="1")
                assert result["errors"] == {"base": reason}
        async with bus_with([]) as sim:
            result = await submit(hass, flow, bus="1")
            assert result["errors"] == {"base": "i2c_nobody"}
            sim.held = True
            result = await submit(hass, flow, bus="1")
            assert result["errors"] == {"base": "i2c_held"}


async def test_a_computer_without_a_bus_says_so_and_offers_the_simulated_one(
    hass: HomeAssistant,
) -> None:
    with patch(LISTS, return_value=[]):
        flow = await asked(hass)
    assert flow.result["errors"] == {"base": "i2c_none"}
    result = await submit(hass, flow, bus="simulated")
    assert result["step_id"] == "bridge_heard", result
    shown = result["description_placeholders"]
    assert isinstance(shown, dict)
    assert shown["heard"].count("**Circuit 0x") == 12
    await hass.config_entries.flow.async_configure(flow.result["flow_id"], {"name": "Trial"})
    await hass.async_block_till_done()
    (entry,) = hass.config_entries.async_entries(DOMAIN)
    await until(lambda: len(entry.runtime_data.meters) == 12)
    await hass.config_entries.async_unload(entry.entry_id)
    await hass.async_block_till_done()


async def test_a_bus_is_added_once(hass: HomeAssistant) -> None:
    panel_entry().add_to_hass(hass)
    with patch(LISTS, return_value=PORTS):
        flow = await asked(hass)
        result = await submit(hass, flow, bus="1")
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "bridge_already_configured"


async def test_a_multiplexer_that_was_forgotten_is_named_afterwards_and_what_it_hides_is_said(
    hass: HomeAssistant,
) -> None:
    monitors = await hass.async_add_executor_job(simulated_panel, 3)
    monitors[2].address = monitors[0].address
    behind = SimulatedMultiplexer(0x70, {3: [monitors[1]], 5: [monitors[2]]})
    async with bus_with([monitors[0], behind]):
        entry = panel_entry()
        entry.add_to_hass(hass)
        assert await hass.config_entries.async_setup(entry.entry_id)
        await until(lambda: len(entry.runtime_data.meters) == 1)
        flow = await Flow.reconfigure(hass, entry)
        with patch(LISTS, return_value=PORTS):
            await flow.choose("bridge_i2c")
        result = await submit(hass, flow, bus="1", multiplexers=["0x70"])
        assert result["step_id"] == "bridge_heard", result
        found = result["description_placeholders"]
        assert isinstance(found, dict)
        assert "Something is hidden at 0x70/5 0x08" in found["notes"]
        await hass.config_entries.flow.async_configure(flow.result["flow_id"], {"name": "Panel"})
        await hass.async_block_till_done()
        assert entry.data["multiplexers"] == [0x70]
        await until(lambda: len(entry.runtime_data.meters) == 2)
        hello = entry.runtime_data.hello
        assert {(each.segment, each.address) for each in hello.meters} == {
            (None, "0x08"),
            ("0x70/3", "0x09"),
        }
        await hass.config_entries.async_unload(entry.entry_id)
        await hass.async_block_till_done()
