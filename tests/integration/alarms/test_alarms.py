"""Alarms: set in the user interface, seen as entities, kept over a restart, taken away again."""

from collections.abc import Mapping
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import SOURCE_RECONFIGURE, SOURCE_USER
from homeassistant.const import STATE_OFF, STATE_ON, STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant, State
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import entity_registry as er
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.energy_meter.alarms.data import SUBENTRY_ALARM
from custom_components.energy_meter.bridge_runtime import BridgeRuntime
from custom_components.energy_meter.metering.limits import LimitWatch
from custom_components.energy_meter.model import Value
from tests.integration.bridge.support import (
    OVEN,
    SHOWN,
    bridge_entry,
    pass_time,
    running,
    set_up,
    workshop,
)
from tests.support.bridge import SimulatedBridge, SimulatedMeter


def entity(hass: HomeAssistant, domain: str, key: str) -> State | None:
    """The state of one of the oven's entities; None if there is no such entity."""
    entity_id = er.async_get(hass).async_get_entity_id(domain, "energy_meter", f"{OVEN}_{key}")
    return hass.states.get(entity_id) if entity_id else None


def shown(hass: HomeAssistant, domain: str, key: str) -> State:
    state = entity(hass, domain, key)
    assert state is not None, f"no {domain} {key}"
    return state


async def choose(hass: HomeAssistant, entry_id: str, kind: str) -> Any:
    """Begin a new alarm, as far as the form with the threshold."""
    flow = await hass.config_entries.subentries.async_init(
        (entry_id, SUBENTRY_ALARM), context={"source": SOURCE_USER}
    )
    assert flow["step_id"] == "kind", flow
    return await hass.config_entries.subentries.async_configure(
        flow["flow_id"], {"limit_kind": kind}
    )


async def add_alarm(hass: HomeAssistant, runtime: BridgeRuntime, kind: str, **values: Any) -> None:
    flow = await choose(hass, runtime.entry.entry_id, kind)
    assert flow["step_id"] == "limit"
    filled = {
        "threshold": 3000,
        "hysteresis": 100,
        "delay_on": 10,
        "delay_off": 30,
        **values,
    }
    flow = await hass.config_entries.subentries.async_configure(flow["flow_id"], filled)
    assert flow["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()


def with_oven() -> SimulatedBridge:
    return workshop(meters=[SimulatedMeter()])


async def measure(hass: HomeAssistant, bridge: SimulatedBridge, **values: float) -> None:
    bridge.measure("oven", {**SHOWN, **values})
    await hass.async_block_till_done()


async def keep(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    bridge: SimulatedBridge,
    seconds: int,
    **values: float,
) -> None:
    """Have the meter say the same every five seconds for a while."""
    for _ in range(0, seconds, 5):
        await measure(hass, bridge, **values)
        await pass_time(hass, freezer, 5)


async def test_without_an_alarm_there_is_no_entity_of_one(hass: HomeAssistant) -> None:
    bridge = with_oven()
    async with running(hass, bridge):
        await measure(hass, bridge)
        assert not hass.states.async_entity_ids("binary_sensor")


async def test_an_alarm_tells_what_is_exceeded_and_when_it_is_over(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = with_oven()
    async with running(hass, bridge) as (runtime, _link):
        await measure(hass, bridge, power=1200)
        await add_alarm(hass, runtime, "over_power")
        alarm = shown(hass, "binary_sensor", "alarm_over_power")
        assert alarm.state == STATE_OFF
        assert alarm.attributes["device_class"] == "problem"
        assert alarm.attributes["limit"] == 3000
        assert "value" not in alarm.attributes
        await keep(hass, freezer, bridge, 5, power=3500)
        assert shown(hass, "binary_sensor", "alarm_over_power").state == STATE_OFF
        await keep(hass, freezer, bridge, 15, power=3500)
        alarm = shown(hass, "binary_sensor", "alarm_over_power")
        assert alarm.state == STATE_ON
        assert alarm.attributes["value"] == 3500
        assert alarm.attributes["unit"] == "W"
        assert alarm.attributes["quantity"] == "power"
        assert "since" in alarm.attributes
        history = shown(hass, "event", "alarm_over_power_history")
        assert history.attributes["event_type"] == "limit_exceeded"
        assert history.attributes["value"] == 3500
        await keep(hass, freezer, bridge, 60, power=500)
        assert shown(hass, "binary_sensor", "alarm_over_power").state == STATE_OFF
        history = shown(hass, "event", "alarm_over_power_history")
        assert history.attributes["event_type"] == "limit_cleared"


async def test_the_verdict_comes_in_time_though_the_value_stays_the_same(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = with_oven()
    async with running(hass, bridge) as (runtime, _link):
        await measure(hass, bridge, power=3500)
        await add_alarm(hass, runtime, "over_power", delay_on=3)
        await pass_time(hass, freezer, 4)
        assert shown(hass, "binary_sensor", "alarm_over_power").state == STATE_ON


async def test_a_threshold_moved_by_its_number_is_kept(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = with_oven()
    async with running(hass, bridge) as (runtime, _link):
        await measure(hass, bridge, power=1200)
        await add_alarm(hass, runtime, "over_power", delay_on=0)
        number = shown(hass, "number", "alarm_over_power_threshold")
        assert (number.state, number.attributes["unit_of_measurement"]) == ("3000.0", "W")
        await hass.services.async_call(
            "number", "set_value", {"entity_id": number.entity_id, "value": 1000}, blocking=True
        )
        await pass_time(hass, freezer, 1)
        assert shown(hass, "binary_sensor", "alarm_over_power").state == STATE_ON
        (subentry,) = runtime.entry.get_subentries_of_type(SUBENTRY_ALARM)
        assert subentry.data["threshold"] == 1000
        assert shown(hass, "number", "alarm_over_power_threshold").state == "1000.0"


async def test_while_the_meter_is_away_nobody_knows(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = with_oven()
    async with running(hass, bridge) as (runtime, link):
        await measure(hass, bridge, power=1200)
        await add_alarm(hass, runtime, "over_power", delay_on=0)
        await measure(hass, bridge, power=3500)
        await pass_time(hass, freezer, 1)
        assert shown(hass, "binary_sensor", "alarm_over_power").state == STATE_ON
        link.unplug()
        await pass_time(hass, freezer, 120)
        assert shown(hass, "binary_sensor", "alarm_over_power").state == STATE_UNAVAILABLE
        assert (
            shown(hass, "event", "alarm_over_power_history").attributes["event_type"]
            == "limit_exceeded"
        )


async def test_silence_is_an_alarm_of_its_own(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = with_oven()
    async with running(hass, bridge) as (runtime, link):
        await measure(hass, bridge)
        await add_alarm(hass, runtime, "silent", threshold=300, hysteresis=0, delay_on=0)
        await pass_time(hass, freezer, 200)
        assert shown(hass, "binary_sensor", "alarm_silent").state == STATE_OFF
        link.unplug()
        await pass_time(hass, freezer, 200)
        assert shown(hass, "binary_sensor", "alarm_silent").state == STATE_ON
        link.plug()
        await measure(hass, bridge)
        await pass_time(hass, freezer, 31)
        await measure(hass, bridge)
        await pass_time(hass, freezer, 31)
        assert shown(hass, "binary_sensor", "alarm_silent").state == STATE_OFF


async def test_a_restart_keeps_the_verdict_and_tells_nobody_again(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = with_oven()
    entry: MockConfigEntry = bridge_entry()
    async with running(hass, bridge, entry) as (runtime, link):
        await measure(hass, bridge, power=3500)
        await add_alarm(hass, runtime, "over_power", delay_on=0)
        await keep(hass, freezer, bridge, 10, power=3500)
        told = shown(hass, "event", "alarm_over_power_history").state
        assert await hass.config_entries.async_unload(entry.entry_id)
        await hass.async_block_till_done()
        await set_up(hass, entry, link)
        await keep(hass, freezer, bridge, 20, power=3500)
        alarm = shown(hass, "binary_sensor", "alarm_over_power")
        assert alarm.state == STATE_ON
        assert shown(hass, "event", "alarm_over_power_history").state == told


async def test_an_alarm_that_is_taken_away_leaves_nothing(hass: HomeAssistant) -> None:
    bridge = with_oven()
    async with running(hass, bridge) as (runtime, _link):
        await measure(hass, bridge)
        await add_alarm(hass, runtime, "over_power")
        (subentry,) = runtime.entry.get_subentries_of_type(SUBENTRY_ALARM)
        hass.config_entries.async_remove_subentry(runtime.entry, subentry.subentry_id)
        await hass.async_block_till_done()
        for domain, key in (
            ("binary_sensor", "alarm_over_power"),
            ("number", "alarm_over_power_threshold"),
            ("event", "alarm_over_power_history"),
        ):
            assert entity(hass, domain, key) is None
            assert er.async_get(hass).async_get_entity_id(domain, "energy_meter", key) is None


async def test_suggestions_come_from_the_meters_rating(hass: HomeAssistant) -> None:
    bridge = with_oven()
    async with running(hass, bridge) as (runtime, _link):
        await measure(hass, bridge, voltage=230.5)
        flow = await choose(hass, runtime.entry.entry_id, "over_power")
        assert flow["data_schema"] is not None
        suggested = {str(key): key.default() for key in flow["data_schema"].schema}
        assert suggested["threshold"] == 4600
        assert suggested["delay_on"] == 10


async def test_a_limit_that_is_set_is_not_offered_again_but_can_be_changed(
    hass: HomeAssistant,
) -> None:
    bridge = with_oven()
    async with running(hass, bridge) as (runtime, _link):
        await measure(hass, bridge)
        await add_alarm(hass, runtime, "over_power")
        entry_id = runtime.entry.entry_id
        flow = await hass.config_entries.subentries.async_init(
            (entry_id, SUBENTRY_ALARM), context={"source": SOURCE_USER}
        )
        assert flow["data_schema"] is not None
        (selector,) = flow["data_schema"].schema.values()
        assert "over_power" not in selector.config["options"]
        assert "over_current" in selector.config["options"]
        (subentry,) = runtime.entry.get_subentries_of_type(SUBENTRY_ALARM)
        flow = await hass.config_entries.subentries.async_init(
            (entry_id, SUBENTRY_ALARM),
            context={"source": SOURCE_RECONFIGURE, "subentry_id": subentry.subentry_id},
        )
        flow = await hass.config_entries.subentries.async_configure(
            flow["flow_id"],
            {"threshold": 2000, "hysteresis": 50, "delay_on": 1, "delay_off": 1},
        )
        assert flow["type"] is FlowResultType.ABORT
        assert flow["reason"] == "reconfigure_successful"
        await hass.async_block_till_done()
        assert shown(hass, "binary_sensor", "alarm_over_power").attributes["limit"] == 2000


async def test_without_a_running_entry_the_flow_says_so(hass: HomeAssistant) -> None:
    entry = bridge_entry()
    entry.add_to_hass(hass)
    flow = await hass.config_entries.subentries.async_init(
        (entry.entry_id, SUBENTRY_ALARM), context={"source": SOURCE_USER}
    )
    assert (flow["type"], flow["reason"]) == (FlowResultType.ABORT, "not_running")


async def test_a_verdict_given_as_the_alarm_is_set_stands_in_its_history(
    hass: HomeAssistant,
) -> None:
    bridge = with_oven()
    async with running(hass, bridge) as (runtime, _link):
        await measure(hass, bridge, power=3500)
        await add_alarm(hass, runtime, "over_power", delay_on=0)
        assert shown(hass, "binary_sensor", "alarm_over_power").state == STATE_ON
        history = shown(hass, "event", "alarm_over_power_history")
        assert history.attributes["event_type"] == "limit_exceeded"
        assert history.attributes["value"] == 3500


async def test_an_alarm_judges_once_per_reading_whatever_has_changed(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge = with_oven()
    async with running(hass, bridge) as (runtime, _link):
        await measure(hass, bridge, power=600, current=10)
        await add_alarm(hass, runtime, "low_power_factor", threshold=0.8, hysteresis=0.03)
        judged: list[dict[str, Value]] = []
        take = LimitWatch.take

        def count(watch: LimitWatch, values: Mapping[str, Value], **at: float) -> Any:
            judged.append(dict(values))
            return take(watch, values, **at)

        monkeypatch.setattr(LimitWatch, "take", count)
        await measure(hass, bridge, power=700, current=11)
        assert [sorted(each) for each in judged] == [["current", "power_factor"]]
        assert judged[0]["current"] == 11


async def test_an_alarm_goes_with_its_meter(hass: HomeAssistant) -> None:
    bridge = with_oven()
    async with running(hass, bridge) as (runtime, _link):
        await measure(hass, bridge)
        await add_alarm(hass, runtime, "over_power")
        await add_alarm(hass, runtime, "over_current", threshold=16, hysteresis=1)
        meter = next(iter(runtime.meters))
        hass.config_entries.async_remove_subentry(runtime.entry, meter)
        await hass.async_block_till_done()
        assert not runtime.entry.subentries
        assert not runtime.alarms.alarms
        left = er.async_entries_for_config_entry(er.async_get(hass), runtime.entry.entry_id)
        assert not [each.unique_id for each in left if "alarm" in each.unique_id]


async def test_an_alarm_whose_meter_was_removed_meanwhile_goes_at_the_next_start(
    hass: HomeAssistant,
) -> None:
    bridge, entry = with_oven(), bridge_entry()
    async with running(hass, bridge, entry) as (runtime, link):
        await measure(hass, bridge)
        await add_alarm(hass, runtime, "over_power")
        meter = next(iter(runtime.meters))
        assert await hass.config_entries.async_unload(entry.entry_id)
        hass.config_entries.async_remove_subentry(entry, meter)
        assert len(entry.subentries) == 1
        bridge.meters.clear()
        await set_up(hass, entry, link)
        assert not list(entry.get_subentries_of_type(SUBENTRY_ALARM))
