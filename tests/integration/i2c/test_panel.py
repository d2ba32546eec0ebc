"""Monitors of a bus in Home Assistant: they appear, show what they measure, come, go, move and are told about."""

import asyncio
from typing import Any

from homeassistant.components import persistent_notification
from homeassistant.config_entries import SOURCE_USER
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr, entity_registry as er, issue_registry as ir
import pytest

from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.diagnostics import async_get_config_entry_diagnostics
from custom_components.energy_meter.sources.simulated.panel import (
    POWER_ON,
    Chip,
    SimulatedMonitor,
    SimulatedMultiplexer,
    simulated_panel,
)

from .support import bus_with, entity_id, identity_of, panel_entry, running, shown, until

GONE = ("missing", "unavailable", "unknown")


async def test_every_monitor_is_a_device_below_its_bus_with_what_it_measures(
    hass: HomeAssistant,
) -> None:
    async with running(hass, 4) as panel:
        monitor = panel.monitors[0]
        device = dr.async_get(hass).async_get_device_by_identifier(
            (DOMAIN, identity_of(monitor)), panel.entry.entry_id
        )
        assert device is not None
        assert device.serial_number == f"{monitor.id:016X}"
        assert device.via_device_id is not None
        now = monitor.circuit.at(monitor._clock())
        assert float(shown(hass, monitor, "voltage")) == pytest.approx(now.voltage, abs=3)
        assert float(shown(hass, monitor, "current_crest_factor")) == pytest.approx(1.41, abs=0.01)
        energy = monitor.circuit.energy(monitor._clock()).taken
        await until(lambda: shown(hass, monitor, "energy_import") not in GONE)
        assert float(shown(hass, monitor, "energy_import")) == pytest.approx(energy, abs=0.01)
        assert panel.subentry(monitor).data["rated_current"] == 63


async def test_one_that_is_pulled_out_is_unavailable_alone_and_comes_back(
    hass: HomeAssistant,
) -> None:
    async with running(hass) as panel:
        leaving, staying, _ = panel.monitors
        await until(lambda: shown(hass, leaving, "energy_import") not in GONE)
        leaving.power(False)
        await until(lambda: shown(hass, leaving, "power") in GONE)
        assert shown(hass, leaving, "energy_import") not in GONE  # A total keeps its last value.
        assert shown(hass, staying, "power") not in GONE
        leaving.power(True)
        await until(lambda: shown(hass, leaving, "power") not in GONE)


async def test_a_new_monitor_appears_with_a_notice_and_a_missing_one_can_be_removed(
    hass: HomeAssistant,
) -> None:
    async with running(hass, 2) as panel:
        new = (await hass.async_add_executor_job(simulated_panel, 3))[2]
        panel.sim.chips.append(new)
        await until(lambda: shown(hass, new, "power") not in GONE, 25)
        notices = persistent_notification._async_get_or_create_notifications(hass)
        assert len([each for each in notices if f"{new.id:016x}" in each]) == 1
        panel.sim.chips.remove(new)
        await until(lambda: shown(hass, new, "power") in GONE)
        hass.config_entries.async_remove_subentry(panel.entry, panel.subentry(new).subentry_id)
        await hass.async_block_till_done()
        assert shown(hass, new, "power") == "missing"
        assert len(panel.runtime.meters) == 2


async def test_another_address_keeps_entities_and_history(hass: HomeAssistant) -> None:
    async with running(hass, 2) as panel:
        monitor = panel.monitors[0]
        before = {each.entity_id for each in er.async_get(hass).entities.values()}
        meter = next(
            one for one in panel.runtime.meters.values() if one.identity == identity_of(monitor)
        )
        await panel.runtime.async_command(meter, "i2c_address", 0x60)
        assert monitor.address == 0x60
        reading = meter.last_reading
        await until(lambda: meter.last_reading != reading)
        after = {each.entity_id for each in er.async_get(hass).entities.values()}
        assert before <= after
        assert not any("0x60" in each for each in after)
        with pytest.raises(HomeAssistantError) as taken:
            await panel.runtime.async_command(meter, "i2c_address", 0x09)
        assert taken.value.translation_key == "i2c_address_taken"


async def test_two_at_one_address_raise_a_repair_that_goes_by_itself(hass: HomeAssistant) -> None:
    async with running(hass) as panel:
        issues = ir.async_get(hass)
        issue = f"i2c_address_shared.{panel.entry.entry_id}"
        panel.monitors[1].address = panel.monitors[0].address
        await until(lambda: issues.async_get_issue(DOMAIN, issue) is not None)
        await until(lambda: shown(hass, panel.monitors[0], "power") in GONE)
        assert shown(hass, panel.monitors[2], "power") not in GONE
        panel.monitors[1].address = 0x44
        await until(lambda: shown(hass, panel.monitors[0], "power") not in GONE, 40)
        panel.runtime._look_for_problems()
        assert issues.async_get_issue(DOMAIN, issue) is None


async def test_a_held_bus_takes_everything_down_and_brings_it_back(hass: HomeAssistant) -> None:
    async with running(hass) as panel:
        issues = ir.async_get(hass)
        issue = f"i2c_bus_held.{panel.entry.entry_id}"
        panel.sim.held = True
        await until(lambda: all(shown(hass, each, "power") in GONE for each in panel.monitors))
        await until(lambda: issues.async_get_issue(DOMAIN, issue) is not None)
        panel.sim.held = False
        await until(
            lambda: all(shown(hass, each, "power") not in GONE for each in panel.monitors), 25
        )
        assert issues.async_get_issue(DOMAIN, issue) is None


async def test_a_relay_is_a_switch_and_a_gain_is_a_number(hass: HomeAssistant) -> None:
    async with running(hass, 6) as panel:
        pump = panel.monitors[5]
        switch = entity_id(hass, "switch", f"{identity_of(pump)}_relay")
        await until(lambda: (state := hass.states.get(switch)) and state.state == "on")
        await hass.services.async_call("switch", "turn_off", {"entity_id": switch}, blocking=True)
        assert pump.relay == 0
        assert hass.states.get(switch).state == "off"  # type: ignore[union-attr]
        number = er.async_get(hass).async_get_entity_id(
            "number", DOMAIN, f"{identity_of(pump)}_voltage_gain"
        )
        assert number is not None
        assert er.async_get(hass).entities[number].disabled  # Until somebody looks for it.


async def test_a_monitors_relay_has_an_interlock_and_a_start_of_the_monitor_in_its_record(
    hass: HomeAssistant,
) -> None:
    async with running(hass, 6) as panel:
        pump = panel.monitors[5]
        pump.rests_closed = False  # It hangs on the normally open contact.
        switch = entity_id(hass, "switch", f"{identity_of(pump)}_relay")
        await until(lambda: (state := hass.states.get(switch)) and state.state == "on")
        flow: Any = await hass.config_entries.subentries.async_init(
            (panel.entry.entry_id, "interlock"), context={"source": SOURCE_USER}
        )
        assert flow["step_id"] == "interlock", flow
        await hass.config_entries.subentries.async_configure(flow["flow_id"], {"minimum_off": 1})
        await hass.async_block_till_done()

        def record() -> tuple[str, Any, Any]:
            state = hass.states.get(switch)
            assert state is not None
            return state.state, state.attributes["changed_by"], state.attributes["reason"]

        async def turn(way: str) -> None:
            await hass.services.async_call(
                "switch", f"turn_{way}", {"entity_id": switch}, blocking=True
            )

        await turn("off")
        assert record() == ("off", "Home Assistant", None)
        with pytest.raises(HomeAssistantError) as raised:
            await turn("on")
        assert raised.value.translation_key == "relay_minimum_off"
        assert pump.relay == 0
        await asyncio.sleep(1)
        await turn("on")
        assert record() == ("on", "Home Assistant", None)
        pump.start(POWER_ON)
        await until(lambda: record() == ("off", "meter", "restart"))
        assert pump.relay == 0  # Nobody closes it again by himself.


async def test_a_bus_that_is_not_there_is_a_repair_and_nothing_else(hass: HomeAssistant) -> None:
    entry = panel_entry(bus=97)
    entry.add_to_hass(hass)
    assert await hass.config_entries.async_setup(entry.entry_id)
    issue = f"i2c_bus_gone.{entry.entry_id}"
    await until(lambda: ir.async_get(hass).async_get_issue(DOMAIN, issue) is not None)
    assert await hass.config_entries.async_unload(entry.entry_id)
    assert ir.async_get(hass).async_get_issue(DOMAIN, issue) is None


async def test_totals_survive_a_restart_in_which_a_monitor_forgot(hass: HomeAssistant) -> None:
    entry = panel_entry()
    async with running(hass, 1, entry) as panel:
        monitor = panel.monitors[0]
        await until(lambda: shown(hass, monitor, "energy_import") not in GONE)
        before = float(shown(hass, monitor, "energy_import"))
        assert await hass.config_entries.async_unload(entry.entry_id)
        monitor.power(False)
        monitor.power(True, forgets=0.05)
        assert await hass.config_entries.async_setup(entry.entry_id)
        await until(lambda: shown(hass, monitor, "power") not in GONE)
        assert float(shown(hass, monitor, "energy_import")) >= before


async def test_diagnostics_tell_how_each_monitor_fares(hass: HomeAssistant) -> None:
    async with running(hass, 2) as panel:
        await until(lambda: len(panel.runtime.hub.diagnoses) == 2)
        about = await async_get_config_entry_diagnostics(hass, panel.entry)
        assert about["bridge"]["connected"] is True
        assert about["bridge"]["counters"]["lines"] > 0
        assert len(about["meters"]) == 2
        bus = about["bridge"]["bus"]
        monitors = bus["monitors"]  # What each says of itself.
        assert monitors["0x09"]["reset"] == ("power",)
        assert monitors["0x09"]["bus_errors"] == 0
        assert monitors["0x09"]["uptime"] > 0
        assert bus["health"]["meters"].keys() == {"0x08", "0x09"}
        assert all(each["answering"] for each in bus["health"]["meters"].values())
        registry = er.async_get(hass)
        for key in ("line_load", "overruns", "recycled"):
            assert registry.async_get_entity_id("sensor", DOMAIN, f"{panel.entry.entry_id}_{key}")
        rate = f"{identity_of(panel.monitors[0])}_error_rate"
        assert registry.async_get_entity_id("sensor", DOMAIN, rate)


async def test_what_is_hidden_behind_a_multiplexer_is_a_repair(hass: HomeAssistant) -> None:
    monitors = await hass.async_add_executor_job(simulated_panel, 2)
    front, behind = monitors
    behind.address = front.address
    async with bus_with([front, SimulatedMultiplexer(0x70, {3: [behind]})]):
        entry = panel_entry(multiplexers=[0x70])
        entry.add_to_hass(hass)
        assert await hass.config_entries.async_setup(entry.entry_id)
        issues = ir.async_get(hass)
        issue = f"i2c_hidden.{entry.entry_id}"
        await until(lambda: issues.async_get_issue(DOMAIN, issue) is not None)
        told = issues.async_get_issue(DOMAIN, issue)
        assert told is not None
        assert (told.translation_placeholders or {})["places"] == "0x70/3 0x08"
        await until(lambda: shown(hass, front, "power") not in GONE)
        assert await hass.config_entries.async_unload(entry.entry_id)


async def test_monitors_are_devices_below_their_segment_which_goes_with_the_last_of_them(
    hass: HomeAssistant,
) -> None:
    front, third, fourth = monitors = await hass.async_add_executor_job(simulated_panel, 3)
    segments: dict[int, list[Chip]] = {3: [third], 4: [fourth]}
    devices = dr.async_get(hass)
    entry = panel_entry(multiplexers=[0x70])
    entry.add_to_hass(hass)

    def device_of(identity: str) -> dr.DeviceEntry | None:
        found = devices.async_get_device_by_identifier((DOMAIN, identity), entry.entry_id)
        assert found is None or isinstance(found, dr.DeviceEntry)
        return found

    def above(monitor: SimulatedMonitor) -> str | None:
        device = device_of(identity_of(monitor))
        found = device and device.via_device_id and devices.async_get(device.via_device_id)
        return found.name if found else None

    async with bus_with([front, SimulatedMultiplexer(0x70, segments)]):
        assert await hass.config_entries.async_setup(entry.entry_id)
        await until(lambda: all(shown(hass, each, "power") not in GONE for each in monitors))
        placed = ("Panel", "Panel segment 0x70/3", "Panel segment 0x70/4")
        assert tuple(map(above, monitors)) == placed
        hub = device_of(entry.entry_id)
        segment = device_of(f"{entry.entry_id}_segment_0x70/3")
        assert hub is not None and segment is not None
        assert segment.via_device_id == hub.id

        assert await hass.config_entries.async_reload(entry.entry_id)
        assert tuple(map(above, monitors)) == placed
        await until(lambda: all(shown(hass, each, "power") not in GONE for each in monitors))

        segments[4].append(third)
        segments[3].clear()
        await until(lambda: above(third) == placed[2], 40)
        assert devices.async_get(segment.id) is None
        assert await hass.config_entries.async_unload(entry.entry_id)


async def test_a_monitor_is_restarted_by_a_button_that_somebody_has_to_look_for(
    hass: HomeAssistant,
) -> None:
    entry = panel_entry()
    entry.add_to_hass(hass)
    monitors = await hass.async_add_executor_job(simulated_panel, 6)
    pump = monitors[5]
    registry = er.async_get(hass)
    async with bus_with(monitors):
        assert await hass.config_entries.async_setup(entry.entry_id)
        button = f"{identity_of(pump)}_restart"
        await until(lambda: registry.async_get_entity_id("button", DOMAIN, button))
        found = registry.async_get_entity_id("button", DOMAIN, button)
        assert found is not None
        assert registry.entities[found].disabled
        registry.async_update_entity(found, disabled_by=None)
        assert await hass.config_entries.async_reload(entry.entry_id)
        await until(lambda: shown(hass, pump, "power") not in GONE)

        pump.switch(False)
        with pytest.raises(HomeAssistantError) as raised:
            await hass.services.async_call("button", "press", {"entity_id": found}, blocking=True)
        assert raised.value.translation_key == "i2c_relay_not_at_rest"
        pump.switch(True)
        await hass.services.async_call("button", "press", {"entity_id": found}, blocking=True)
        await until(lambda: pump.diagnostics["reset"] == 0)
        assert await hass.config_entries.async_unload(entry.entry_id)
