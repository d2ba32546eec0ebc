"""Tampering: set in the user interface, seen as entities with evidence, kept over a restart, taken away again."""

from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import SOURCE_RECONFIGURE, SOURCE_USER
from homeassistant.const import STATE_OFF, STATE_ON
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
import pytest

from custom_components.energy_meter.alarms.data import SUBENTRY_ALARM
from custom_components.energy_meter.runtime_base import EntryRuntime
from tests.integration.bridge.support import (
    SHOWN,
    bridge_entry,
    pass_time,
    running,
    set_up,
    workshop,
)
from tests.integration.runtime_support import (
    SDM120,
    meter,
    running as line_running,
    show as show_values,
    shows,
    state,
    subentry,
    until,
)
from tests.support.bridge import SimulatedBridge, SimulatedMeter
from tests.support.wire import rtu_line

from .test_alarms import entity, measure, shown, with_oven
from .test_triggers import automate, entity_id

BINARY, HISTORY = "alarm_tamper", "alarm_tamper_history"


async def add_tamper(hass: HomeAssistant, runtime: EntryRuntime, *, one_way: bool = True) -> None:
    """Go through the flow as a user does."""
    flow: Any = await hass.config_entries.subentries.async_init(
        (runtime.entry.entry_id, SUBENTRY_ALARM), context={"source": SOURCE_USER}
    )
    if flow["step_id"] == "user":
        flow = await hass.config_entries.subentries.async_configure(
            flow["flow_id"], {"identity": next(iter(runtime.meters.values())).identity}
        )
    flow = await hass.config_entries.subentries.async_configure(
        flow["flow_id"], {"limit_kind": "tamper"}
    )
    assert flow["step_id"] == "tamper"
    flow = await hass.config_entries.subentries.async_configure(
        flow["flow_id"], {"one_way": one_way}
    )
    assert flow["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()


async def show(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    bridge: SimulatedBridge,
    seconds: int,
    meters: tuple[str, ...] = ("oven",),
    **values: float,
) -> None:
    """Have meters say the same every five seconds for a while."""
    for _ in range(0, seconds, 5):
        for each in meters:
            bridge.measure(each, {**SHOWN, **values})
        await pass_time(hass, freezer, 5)


async def test_an_open_cover_is_the_meters_own_word(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = with_oven()
    async with running(hass, bridge) as (runtime, _link):
        await measure(hass, bridge)
        assert entity(hass, "binary_sensor", BINARY) is None
        await add_tamper(hass, runtime)
        alarm = shown(hass, "binary_sensor", BINARY)
        assert (alarm.state, alarm.attributes["device_class"]) == (STATE_OFF, "tamper")
        calls = await automate(hass, "tamper", entity_id(hass, "event", HISTORY))
        bridge.event("cover_open", meter="oven")
        await hass.async_block_till_done()
        alarm = shown(hass, "binary_sensor", BINARY)
        assert alarm.state == STATE_ON
        assert (alarm.attributes["source"], alarm.attributes["signs"]) == ("meter", ["cover_open"])
        history = shown(hass, "event", HISTORY)
        assert history.attributes["event_type"] == "tamper"
        assert history.attributes["sign"] == "cover_open"
        assert len(calls) == 1
        bridge.event("cover_closed", meter="oven")
        await pass_time(hass, freezer, 3599)
        assert shown(hass, "binary_sensor", BINARY).state == STATE_ON
        await pass_time(hass, freezer, 10)
        alarm = shown(hass, "binary_sensor", BINARY)
        assert alarm.state == STATE_OFF
        assert "evidence" not in alarm.attributes
        assert shown(hass, "event", HISTORY).attributes["event_type"] == "tamper_over"
        assert len(calls) == 1


async def test_current_without_voltage_is_inferred_with_its_numbers(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = with_oven()
    async with running(hass, bridge) as (runtime, _link):
        await add_tamper(hass, runtime)
        await show(hass, freezer, bridge, 30)
        await show(hass, freezer, bridge, 30, voltage=0.2, power=0.0)
        alarm = shown(hass, "binary_sensor", BINARY)
        assert (alarm.state, alarm.attributes["source"]) == (STATE_ON, "inferred")
        (evidence,) = alarm.attributes["evidence"]
        assert evidence["sign"] == "current_without_voltage"
        assert (evidence["voltage"], evidence["current"]) == (0.2, 5.5)
        since = alarm.last_updated
        await show(hass, freezer, bridge, 30, voltage=0.3, power=0.0)
        assert shown(hass, "binary_sensor", BINARY).last_updated == since


async def test_power_that_turns_round_counts_only_where_it_flows_in(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = with_oven()
    async with running(hass, bridge) as (runtime, _link):
        await add_tamper(hass, runtime, one_way=False)
        await show(hass, freezer, bridge, 90)
        await show(hass, freezer, bridge, 90, power=-1200.0)
        assert shown(hass, "binary_sensor", BINARY).state == STATE_OFF
        (subentry,) = runtime.entry.get_subentries_of_type(SUBENTRY_ALARM)
        flow = await hass.config_entries.subentries.async_init(
            (runtime.entry.entry_id, SUBENTRY_ALARM),
            context={"source": SOURCE_RECONFIGURE, "subentry_id": subentry.subentry_id},
        )
        assert flow["step_id"] == "change_tamper"
        flow = await hass.config_entries.subentries.async_configure(
            flow["flow_id"], {"one_way": True}
        )
        assert flow["reason"] == "reconfigure_successful"
        await hass.async_block_till_done()
        await show(hass, freezer, bridge, 90)
        await show(hass, freezer, bridge, 90, power=-1200.0)
        alarm = shown(hass, "binary_sensor", BINARY)
        assert alarm.attributes["signs"] == ["reversal"]


@pytest.mark.parametrize("announced", [False, True])
async def test_a_counter_that_steps_back_is_a_sign_and_our_own_reset_is_not(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, announced: bool
) -> None:
    bridge = with_oven()
    async with running(hass, bridge) as (runtime, _link):
        await add_tamper(hass, runtime)
        await show(hass, freezer, bridge, 60)
        if announced:
            next(iter(runtime.meters.values())).async_expect_reset()
        await show(hass, freezer, bridge, 60, energy_import=3.0)
        alarm = shown(hass, "binary_sensor", BINARY)
        assert (alarm.state == STATE_OFF) is announced
        if not announced:
            (evidence,) = alarm.attributes["evidence"]
            assert evidence["sign"] == "counter_back"
            assert (evidence["before"], evidence["after"]) == (567.891, 3.0)
            assert alarm.attributes["source"] == "inferred"


async def test_silence_counts_while_a_neighbour_has_power_and_the_link_is_up(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = workshop(meters=[SimulatedMeter(), SimulatedMeter(id="pump", name="Pump")])
    async with running(hass, bridge) as (runtime, link):
        await add_tamper(hass, runtime)
        both, pump = ("oven", "pump"), ("pump",)
        await show(hass, freezer, bridge, 60, both)
        link.unplug()
        await pass_time(hass, freezer, 1200)
        link.plug()
        await show(hass, freezer, bridge, 60, both)
        assert shown(hass, "binary_sensor", BINARY).state == STATE_OFF
        await show(hass, freezer, bridge, 400, pump)
        alarm = shown(hass, "binary_sensor", BINARY)
        assert alarm.attributes["signs"] == ["gap_with_power"]
        assert alarm.attributes["evidence"][0]["neighbours"] == 1


async def test_a_restart_keeps_the_signs_and_tells_nobody_again(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = with_oven()
    entry = bridge_entry()
    async with running(hass, bridge, entry) as (runtime, link):
        await show(hass, freezer, bridge, 30)
        await add_tamper(hass, runtime)
        bridge.event("magnet", meter="oven")
        await hass.async_block_till_done()
        told = shown(hass, "event", HISTORY).state
        assert await hass.config_entries.async_unload(entry.entry_id)
        await hass.async_block_till_done()
        await set_up(hass, entry, link)
        await show(hass, freezer, bridge, 600)
        alarm = shown(hass, "binary_sensor", BINARY)
        assert (alarm.state, alarm.attributes["signs"]) == (STATE_ON, ["magnet"])
        assert shown(hass, "event", HISTORY).state == told


async def test_taken_away_it_leaves_nothing_and_is_offered_once(hass: HomeAssistant) -> None:
    bridge = with_oven()
    async with running(hass, bridge) as (runtime, _link):
        await measure(hass, bridge)
        await add_tamper(hass, runtime)
        bridge.event("magnet", meter="oven")
        flow: Any = await hass.config_entries.subentries.async_init(
            (runtime.entry.entry_id, SUBENTRY_ALARM), context={"source": SOURCE_USER}
        )
        (selector,) = flow["data_schema"].schema.values()
        assert "tamper" not in selector.config["options"]
        (subentry,) = runtime.entry.get_subentries_of_type(SUBENTRY_ALARM)
        hass.config_entries.async_remove_subentry(runtime.entry, subentry.subentry_id)
        await hass.async_block_till_done()
        assert entity(hass, "binary_sensor", BINARY) is None
        assert entity(hass, "event", HISTORY) is None
        await add_tamper(hass, runtime)
        assert shown(hass, "binary_sensor", BINARY).state == STATE_OFF


async def test_a_meter_on_a_line_whose_counter_steps_back_is_told(hass: HomeAssistant) -> None:
    values = {"voltage": 230.0, "current": 4.0, "power": 900.0, "energy_import": 812.5}
    device = meter(SDM120, 1, values)
    async with rtu_line([device]) as line, line_running(hass, line, subentry(1)) as entry:
        await shows(hass, "energy_import", "812.5")
        await add_tamper(hass, entry.runtime_data)
        assert state(hass, BINARY, platform="binary_sensor").state == STATE_OFF
        await until(lambda: entry.runtime_data.health.connected)
        show_values(device, SDM120, {**values, "energy_import": 3.25})
        await until(
            lambda: state(hass, BINARY, platform="binary_sensor").state == STATE_ON, seconds=20
        )
        found = state(hass, BINARY, platform="binary_sensor")
        (evidence,) = found.attributes["evidence"]
        assert (evidence["sign"], evidence["counter"]) == ("counter_back", "energy_import")
        assert (evidence["before"], evidence["after"]) == (812.5, 3.25)
        assert found.attributes["source"] == "inferred"
