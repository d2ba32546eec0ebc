"""Relays, calibrations and buttons of a bridge: what is shown was read back, and a refusal says why."""

from typing import Any
from unittest.mock import patch

from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import entity_registry as er
import pytest

from custom_components.energy_meter.const import DOMAIN
from tests.support.bridge import SimulatedMeter, gain, relay
from tests.support.entities import entity_id, state

from .support import (
    BRIDGE,
    OVEN,
    SHOWN,
    bridge_entry,
    meter_of,
    pass_time,
    running,
    set_up,
    workshop,
)

RESET = {"key": "reset_energy", "kind": "button"}
CALIBRATIONS = (
    "voltage_gain",
    "voltage_offset",
    "current_gain",
    "current_offset",
    "phase_shift",
    "dead_band",
    "power_factor",
)


def node(*controls: dict[str, Any]) -> SimulatedMeter:
    """A meter with these controls."""
    return SimulatedMeter(controls=[dict(control) for control in controls])


async def call(hass: HomeAssistant, domain: str, action: str, key: str, **data: Any) -> None:
    """Use a control of the oven."""
    await hass.services.async_call(
        domain, action, {"entity_id": entity_id(hass, key, OVEN, domain), **data}, blocking=True
    )


async def test_a_relay_is_switched_and_read_back(hass: HomeAssistant) -> None:
    bridge = workshop(meters=[node(relay(1))])
    async with running(hass, bridge):
        assert state(hass, "relay", OVEN, "switch").state == "on"
        await call(hass, "switch", "turn_off", "relay")
        assert state(hass, "relay", OVEN, "switch").state == "off"
        assert bridge.carried_out[-1]["value"] == 0
        await call(hass, "switch", "turn_on", "relay")
        assert state(hass, "relay", OVEN, "switch").state == "on"


async def test_a_refused_relay_stays_where_it_was_and_the_user_is_told_why(
    hass: HomeAssistant,
) -> None:
    bridge = workshop(meters=[node(relay(0))])
    bridge.refuse["relay"] = ("minimum_off_time", "17 s to go")
    async with running(hass, bridge):
        with pytest.raises(HomeAssistantError) as raised:
            await call(hass, "switch", "turn_on", "relay")
        assert raised.value.translation_key == "bridge_minimum_off_time"
        placeholders = raised.value.translation_placeholders or {}
        assert (placeholders["name"], placeholders["text"]) == ("Oven", "17 s to go")
        assert state(hass, "relay", OVEN, "switch").state == "off"


async def test_a_relay_that_was_moved_at_the_board_is_followed(hass: HomeAssistant) -> None:
    bridge = workshop(meters=[node(relay(1))])
    async with running(hass, bridge):
        bridge.event("relay", meter="oven", value=0, reason="button")
        await hass.async_block_till_done()
        assert state(hass, "relay", OVEN, "switch").state == "off"
        bridge.event("relay", meter="oven", value=1, ago=3600)
        await hass.async_block_till_done()
        assert state(hass, "relay", OVEN, "switch").state == "off"


async def test_calibrations_are_settings_within_the_limits_of_the_board(
    hass: HomeAssistant,
) -> None:
    bridge = workshop(meters=[node(*(gain(key, 1.0) for key in CALIBRATIONS))])
    async with running(hass, bridge):
        registry = er.async_get(hass)
        for key in CALIBRATIONS:
            found = state(hass, key, OVEN, "number")
            assert found.state == "1.0"
            assert (found.attributes["min"], found.attributes["max"]) == (0.5, 2.0)
            entry = registry.async_get(found.entity_id)
            assert entry is not None and entry.entity_category == "config"
        await call(hass, "number", "set_value", "voltage_gain", value=1.0123)
        assert state(hass, "voltage_gain", OVEN, "number").state == "1.0123"
        assert bridge.meters["oven"].controls[0]["value"] == 1.0123
        bridge.event("control", meter="oven", control="current_gain", value=0.75)
        await hass.async_block_till_done()
        assert state(hass, "current_gain", OVEN, "number").state == "0.75"


async def test_calibrations_follow_the_link_and_not_the_readings(
    hass: HomeAssistant, freezer: Any
) -> None:
    bridge = workshop(meters=[node(gain())])
    async with running(hass, bridge) as (_runtime, link):
        bridge.measure("oven", SHOWN)
        await pass_time(hass, freezer, 60)
        assert state(hass, "power", OVEN).state == STATE_UNAVAILABLE
        assert state(hass, "voltage_gain", OVEN, "number").state == "1.0"
        link.unplug()
        await hass.async_block_till_done()
        assert state(hass, "voltage_gain", OVEN, "number").state == STATE_UNAVAILABLE
        bridge.meters["oven"].controls[0]["value"] = 1.5
        link.plug()
        await hass.async_block_till_done()
        assert state(hass, "voltage_gain", OVEN, "number").state == "1.5"


async def test_settings_are_unknown_until_the_bridge_has_said_them(hass: HomeAssistant) -> None:
    bridge = workshop(meters=[node(gain(), relay())])
    entry = bridge_entry()
    async with running(hass, bridge, entry) as (_runtime, link):
        await hass.config_entries.async_unload(entry.entry_id)
        bridge.mute = True
        await set_up(hass, entry, link)
        assert state(hass, "voltage_gain", OVEN, "number").state == STATE_UNAVAILABLE
        assert state(hass, "relay", OVEN, "switch").state == STATE_UNAVAILABLE


async def test_energy_that_is_reset_by_our_button_raises_no_question(hass: HomeAssistant) -> None:
    bridge = workshop(meters=[node(RESET)])
    async with running(hass, bridge) as (runtime, _link):
        for _ in range(2):
            bridge.measure("oven", SHOWN)
        await call(hass, "button", "press", "reset_energy")
        assert bridge.carried_out[-1]["control"] == "reset_energy"
        for reading in range(4):
            bridge.measure("oven", {"energy_import": 0.001 * (reading + 1)})
        await hass.async_block_till_done()
        assert float(state(hass, "energy_import", OVEN).state) >= 567.891
        assert all(each.answer for each in meter_of(runtime).pipeline.questions())


async def test_the_bridge_itself_can_be_restarted_and_identified(hass: HomeAssistant) -> None:
    bridge = workshop(meters=[node()])
    async with running(hass, bridge) as (runtime, link):
        for key, device_class in (("restart", "restart"), ("identify", "identify")):
            found = state(hass, key, runtime.entry.entry_id, "button")
            assert found.attributes["device_class"] == device_class
            await hass.services.async_call(
                "button", "press", {"entity_id": found.entity_id}, blocking=True
            )
            assert bridge.carried_out[-1]["control"] == key
            assert "meter" not in bridge.carried_out[-1]
        link.unplug()
        await hass.async_block_till_done()
        restart = state(hass, "restart", runtime.entry.entry_id, "button")
        assert restart.state == STATE_UNAVAILABLE


async def test_a_relay_of_the_bridge_itself_is_a_switch_of_its_own(hass: HomeAssistant) -> None:
    bridge = workshop(meters=[node()])
    hello = bridge.hello
    bridge.hello = lambda: {**hello(), "controls": [relay(0)]}  # type: ignore[method-assign]
    bridge._carry_out = lambda message: {"ok": True, "value": message["value"]}  # type: ignore[method-assign]
    async with running(hass, bridge) as (runtime, _link):
        place = runtime.entry.entry_id
        assert state(hass, "relay", place, "switch").state == "off"
        found = entity_id(hass, "relay", place, "switch")
        await hass.services.async_call("switch", "turn_on", {"entity_id": found}, blocking=True)
        assert state(hass, "relay", place, "switch").state == "on"
        bridge.event("relay", value=0)
        await hass.async_block_till_done()
        assert state(hass, "relay", place, "switch").state == "off"


async def test_a_control_that_nobody_here_has_a_name_for_is_offered_all_the_same(
    hass: HomeAssistant,
) -> None:
    bridge = workshop(
        meters=[node({"key": "fan_speed", "kind": "number", "value": 3, "min": 0, "max": 9})]
    )
    async with running(hass, bridge):
        found = state(hass, "fan_speed", OVEN, "number")
        assert found.attributes["friendly_name"] == "Oven Fan speed"


async def test_how_the_bridge_fares_is_shown(hass: HomeAssistant, freezer: Any) -> None:
    bridge = workshop(meters=[node()])
    async with running(hass, bridge) as (runtime, link):
        registry, place = er.async_get(hass), runtime.entry.entry_id
        shown = {
            "signal_strength": -61,
            "uptime": 86400,
            "free_memory": 81234,
            "buffered_readings": 3,
            "dropped_readings": 1,
            "sensor_line_errors": 2,
            "lost_readings": 0,
            "repeated_readings": 0,
            "bad_lines": 1,
        }
        for key in shown:
            found = registry.async_get_entity_id("sensor", DOMAIN, f"{place}_{key}")
            assert found is not None
            entry = registry.async_get(found)
            assert entry is not None and entry.disabled_by and entry.entity_category == "diagnostic"
            registry.async_update_entity(found, disabled_by=None)
        with patch("custom_components.energy_meter.meter_entry.make_link", return_value=link):
            await pass_time(hass, freezer, 31)  # Home Assistant loads the entry again by itself.
        bridge.health(rssi=-61, uptime=86400, free_memory=81234, buffered=3, dropped=1, errors=2)
        bridge.say_raw(b"{torn")
        await pass_time(hass, freezer, 31)
        assert {key: float(state(hass, key, place).state) for key in shown} == shown
        link.unplug()
        await hass.async_block_till_done()
        assert state(hass, "signal_strength", place).state == STATE_UNAVAILABLE
        assert state(hass, "bad_lines", place).state == "1"


async def test_diagnostics_tell_all_but_secrets(hass: HomeAssistant) -> None:
    from custom_components.energy_meter.diagnostics import async_get_config_entry_diagnostics

    bridge = workshop(meters=[SimulatedMeter(serial="0042", controls=[relay()])])
    entry = bridge_entry(key="ABCDEFGHJKLMNPQRSTUV")
    async with running(hass, bridge, entry):
        bridge.measure("oven", SHOWN)
        found = await async_get_config_entry_diagnostics(hass, entry)
        text = str(found)
        for secret in ("ABCDEFGHJKLMNPQRSTUV", "127.0.0.1", "0042", BRIDGE):
            assert secret not in text
        assert found["bridge"]["hello"]["kind"] == "esp32"
        assert found["bridge"]["counters"]["readings"] == 1
        (meter,) = found["meters"]
        assert meter["values"]["voltage"] == 230.5
        assert meter["settings"] == {"relay": 1}
