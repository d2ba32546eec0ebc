"""Relays: interlocked, read back, and recorded with who has switched them and why."""

from types import MappingProxyType
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import SOURCE_RECONFIGURE, SOURCE_USER, ConfigSubentry
from homeassistant.core import Context, HomeAssistant, State
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.setup import async_setup_component
import pytest

from custom_components.energy_meter.bridge_runtime import BridgeRuntime
from custom_components.energy_meter.relays import interlock
from tests.integration.bridge.support import (
    OVEN,
    bridge_entry,
    pass_time,
    running,
    set_up,
    workshop,
)
from tests.integration.runtime_support import entity_id, state
from tests.support.bridge import SimulatedBridge, SimulatedMeter, relay


def with_relay(on: int = 1) -> SimulatedBridge:
    """A bridge whose oven has a relay."""
    return workshop(meters=[SimulatedMeter(controls=[relay(on)])])


def switch(hass: HomeAssistant) -> State:
    return state(hass, "relay", OVEN, "switch")


async def turn(hass: HomeAssistant, way: str, context: Context | None = None) -> None:
    target = {"entity_id": entity_id(hass, "relay", OVEN, "switch")}
    await hass.services.async_call("switch", f"turn_{way}", target, blocking=True, context=context)


async def add_interlock(hass: HomeAssistant, runtime: BridgeRuntime, **values: Any) -> None:
    """Go through the flow as a user does."""
    flow: Any = await hass.config_entries.subentries.async_init(
        (runtime.entry.entry_id, "interlock"), context={"source": SOURCE_USER}
    )
    assert flow["step_id"] == "interlock", flow
    flow = await hass.config_entries.subentries.async_configure(
        flow["flow_id"], {"minimum_off": 0, "confirm": False, **values}
    )
    assert flow["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()


def key_of(raised: pytest.ExceptionInfo[HomeAssistantError]) -> str | None:
    return raised.value.translation_key


async def test_a_relay_that_was_not_switched_yet_has_nobody_to_name(hass: HomeAssistant) -> None:
    async with running(hass, with_relay()):
        attributes = switch(hass).attributes
        assert [attributes[key] for key in ("changed_by", "reason", "since")] == [None] * 3
        assert attributes["supply_disconnected"] is False


async def test_a_person_who_switches_is_named(hass: HomeAssistant) -> None:
    user = await hass.auth.async_create_user("Ada", group_ids=["system-admin"])
    async with running(hass, with_relay()):
        await turn(hass, "off", Context(user_id=user.id))
        assert switch(hass).state == "off"
        assert switch(hass).attributes["changed_by"] == "Ada"
        assert switch(hass).attributes["since"] is not None
        since = switch(hass).attributes["since"]
        await turn(hass, "off")
        assert switch(hass).attributes["changed_by"] == "Ada"
        assert switch(hass).attributes["since"] == since
        await turn(hass, "on")
        assert switch(hass).attributes["changed_by"] == "Home Assistant"


async def test_an_automation_that_switches_is_named(hass: HomeAssistant) -> None:
    async with running(hass, with_relay()):
        config = {
            "automation": {
                "alias": "Night",
                "triggers": {"trigger": "event", "event_type": "night"},
                "actions": {
                    "action": "switch.turn_off",
                    "target": {"entity_id": entity_id(hass, "relay", OVEN, "switch")},
                },
            }
        }
        assert await async_setup_component(hass, "automation", config)
        hass.bus.async_fire("night")
        await hass.async_block_till_done()
        assert switch(hass).attributes["changed_by"] == "Night"


async def test_the_meter_is_named_with_its_reason_when_it_has_switched_itself(
    hass: HomeAssistant,
) -> None:
    bridge = with_relay()
    async with running(hass, bridge):
        bridge.event("relay", meter="oven", value=0, reason="button")
        await hass.async_block_till_done()
        attributes = switch(hass).attributes
        assert (attributes["changed_by"], attributes["reason"]) == ("meter", "button")


async def test_the_record_outlives_a_restart(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge, entry = with_relay(), bridge_entry()
    async with running(hass, bridge, entry) as (_runtime, link):
        bridge.event("relay", meter="oven", value=0, reason="button")
        await hass.async_block_till_done()
        bridge.meters["oven"].controls[0]["value"] = 0
        before = dict(switch(hass).attributes)
        assert await hass.config_entries.async_unload(entry.entry_id)
        await pass_time(hass, freezer, 600)
        await set_up(hass, entry, link)
        assert dict(switch(hass).attributes) == before


async def test_a_relay_that_moved_while_nobody_watched_was_moved_by_the_meter(
    hass: HomeAssistant,
) -> None:
    bridge, entry = with_relay(), bridge_entry()
    async with running(hass, bridge, entry) as (_runtime, link):
        await turn(hass, "off")
        assert await hass.config_entries.async_unload(entry.entry_id)
        bridge.meters["oven"].controls[0]["value"] = 1
        await set_up(hass, entry, link)
        assert switch(hass).state == "on"
        assert switch(hass).attributes["changed_by"] == "meter"


async def test_a_relay_stays_off_for_its_minimum(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = with_relay()
    async with running(hass, bridge) as (runtime, _link):
        await add_interlock(hass, runtime, minimum_off=60)
        await turn(hass, "off")
        await pass_time(hass, freezer, 20)
        with pytest.raises(ServiceValidationError) as raised:
            await turn(hass, "on")
        assert key_of(raised) == "relay_minimum_off"
        assert (raised.value.translation_placeholders or {})["seconds"] == "40"
        assert switch(hass).state == "off"
        assert len(bridge.carried_out) == 1
        await pass_time(hass, freezer, 41)
        await turn(hass, "on")
        assert switch(hass).state == "on"


@pytest.mark.parametrize(
    ("load", "key"),
    [("on", "relay_load_on"), ("unavailable", "relay_load_unknown"), (None, "relay_load_unknown")],
)
async def test_a_relay_stays_on_while_something_needs_power(
    hass: HomeAssistant, load: str | None, key: str
) -> None:
    bridge = with_relay()
    async with running(hass, bridge) as (runtime, _link):
        await add_interlock(hass, runtime, must_be_off=["switch.server", "sensor.freezer"])
        hass.states.async_set("sensor.freezer", "2.0")
        if load is not None:
            hass.states.async_set("switch.server", load, {"friendly_name": "Server"})
        with pytest.raises(ServiceValidationError) as raised:
            await turn(hass, "off")
        assert key_of(raised) == key
        placeholders = raised.value.translation_placeholders or {}
        assert placeholders["loads"] == ("switch.server" if load is None else "Server")
        assert bridge.carried_out == []
        hass.states.async_set("switch.server", "off")
        hass.states.async_set("sensor.freezer", "90")
        with pytest.raises(ServiceValidationError):
            await turn(hass, "off")
        hass.states.async_set("sensor.freezer", "3")
        await turn(hass, "off")
        assert switch(hass).state == "off"


async def test_a_relay_that_is_not_where_it_was_sent_is_said_and_nobody_is_named(
    hass: HomeAssistant,
) -> None:
    bridge = with_relay()
    carry_out = bridge._carry_out

    def stuck(message: dict[str, Any]) -> dict[str, Any]:
        return {**carry_out(message), "value": 1}

    bridge._carry_out = stuck  # type: ignore[method-assign]
    async with running(hass, bridge):
        with pytest.raises(HomeAssistantError) as raised:
            await turn(hass, "off")
        assert key_of(raised) == "relay_not_confirmed"
        assert switch(hass).state == "on"
        assert switch(hass).attributes["changed_by"] is None


async def test_a_command_whose_answer_was_lost_is_still_whose_it_was(
    hass: HomeAssistant,
) -> None:
    bridge = with_relay()
    bridge.refuse["relay"] = ("no_answer", "")
    user = await hass.auth.async_create_user("Ada", group_ids=["system-admin"])
    async with running(hass, bridge):
        with pytest.raises(HomeAssistantError):
            await turn(hass, "off", Context(user_id=user.id))
        assert switch(hass).state == "on"
        bridge.event("relay", meter="oven", value=0, reason="command")
        await hass.async_block_till_done()
        assert switch(hass).attributes["changed_by"] == "Ada"


async def test_a_minute_after_a_command_failed_a_change_is_the_meters(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = with_relay()
    bridge.refuse["relay"] = ("busy", "")
    async with running(hass, bridge):
        with pytest.raises(HomeAssistantError):
            await turn(hass, "off")
        await pass_time(hass, freezer, 61)
        bridge.event("relay", meter="oven", value=0, reason="button")
        await hass.async_block_till_done()
        attributes = switch(hass).attributes
        assert (attributes["changed_by"], attributes["reason"]) == ("meter", "button")


async def test_an_interlock_is_set_once_and_can_be_changed(hass: HomeAssistant) -> None:
    async with running(hass, with_relay()) as (runtime, _link):
        await add_interlock(hass, runtime, minimum_off=60)
        at = (runtime.entry.entry_id, "interlock")
        flow: Any = await hass.config_entries.subentries.async_init(
            at, context={"source": SOURCE_USER}
        )
        assert (flow["type"], flow["reason"]) == (FlowResultType.ABORT, "all_set")
        (subentry,) = runtime.entry.get_subentries_of_type("interlock")
        flow = await hass.config_entries.subentries.async_init(
            at, context={"source": SOURCE_RECONFIGURE, "subentry_id": subentry.subentry_id}
        )
        flow = await hass.config_entries.subentries.async_configure(
            flow["flow_id"], {"minimum_off": 0, "must_be_off": ["light.desk"]}
        )
        assert flow["reason"] == "reconfigure_successful"
        hass.states.async_set("light.desk", "on")
        with pytest.raises(ServiceValidationError):
            await turn(hass, "off")
        hass.config_entries.async_remove_subentry(
            runtime.entry, runtime.entry.get_subentries_of_type("interlock")[0].subentry_id
        )
        await hass.async_block_till_done()
        await turn(hass, "off")
        assert switch(hass).state == "off"


async def test_of_several_relays_the_user_chooses(hass: HomeAssistant) -> None:
    meters = [SimulatedMeter(controls=[relay(), {**relay(), "key": "relay_2"}])]
    async with running(hass, workshop(meters=meters)) as (runtime, _link):
        flow: Any = await hass.config_entries.subentries.async_init(
            (runtime.entry.entry_id, "interlock"), context={"source": SOURCE_USER}
        )
        assert flow["step_id"] == "user"
        flow = await hass.config_entries.subentries.async_configure(
            flow["flow_id"], {"relay": f"{OVEN}_relay_2"}
        )
        assert flow["step_id"] == "interlock"
        assert flow["description_placeholders"]["name"] == "Oven 2"


async def test_without_a_relay_or_a_running_bridge_the_flow_says_so(hass: HomeAssistant) -> None:
    entry = bridge_entry()
    entry.add_to_hass(hass)
    context: Any = {"source": SOURCE_USER}
    at = (entry.entry_id, "interlock")
    flow: Any = await hass.config_entries.subentries.async_init(at, context=context)
    assert flow["reason"] == "not_running"
    await hass.config_entries.async_remove(entry.entry_id)
    async with running(hass, workshop(meters=[SimulatedMeter()])) as (runtime, _link):
        at = (runtime.entry.entry_id, "interlock")
        flow = await hass.config_entries.subentries.async_init(at, context=context)
        assert flow["reason"] == "no_relays"


async def test_an_interlock_goes_with_its_meter(hass: HomeAssistant) -> None:
    async with running(hass, with_relay()) as (runtime, _link):
        await add_interlock(hass, runtime, minimum_off=60)
        meter = next(iter(runtime.meters))
        hass.config_entries.async_remove_subentry(runtime.entry, meter)
        await hass.async_block_till_done()
        assert not runtime.entry.subentries


async def test_who_touches_the_switch_is_asked_to_do_it_twice(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await hass.auth.async_create_user("Ada", group_ids=["system-admin"])
    async with running(hass, with_relay()) as (runtime, _link):
        await add_interlock(hass, runtime, confirm=True)
        monkeypatch.setattr(interlock, "CONFIRM_FROM", 0.0)
        with pytest.raises(ServiceValidationError) as raised:
            await turn(hass, "off", Context(user_id=user.id))
        assert key_of(raised) == "relay_confirm_off"
        assert raised.value.translation_placeholders == {"name": "Oven", "seconds": "15"}
        assert switch(hass).state == "on"
        await turn(hass, "off", Context(user_id=user.id))
        assert switch(hass).state == "off"
        assert switch(hass).attributes["changed_by"] == "Ada"
        with pytest.raises(ServiceValidationError) as raised:
            await turn(hass, "on", Context(user_id=user.id))
        assert key_of(raised) == "relay_confirm_on"


async def test_automations_and_load_shedding_are_not_asked(hass: HomeAssistant) -> None:
    user = await hass.auth.async_create_user("Ada", group_ids=["system-admin"])
    async with running(hass, with_relay()) as (runtime, _link):
        await add_interlock(hass, runtime, confirm=True)
        await turn(hass, "off")
        assert switch(hass).state == "off"
        target = {"entity_id": entity_id(hass, "relay", OVEN, "switch")}
        script = {"evening": {"sequence": {"action": "switch.turn_on", "target": target}}}
        assert await async_setup_component(hass, "script", {"script": script})
        await hass.services.async_call(
            "script", "evening", blocking=True, context=Context(user_id=user.id)
        )
        assert switch(hass).state == "on"


async def test_what_may_not_be_switched_is_refused_before_anybody_is_asked(
    hass: HomeAssistant,
) -> None:
    user = await hass.auth.async_create_user("Ada", group_ids=["system-admin"])
    async with running(hass, with_relay()) as (runtime, _link):
        await add_interlock(hass, runtime, confirm=True, must_be_off=["light.stairs"])
        with pytest.raises(ServiceValidationError) as raised:
            await turn(hass, "off", Context(user_id=user.id))
        assert key_of(raised) == "relay_load_unknown"


async def test_the_interlock_of_a_bridges_own_relay_stays_when_its_meters_go(
    hass: HomeAssistant,
) -> None:
    async with running(hass, with_relay()) as (runtime, _link):
        entry = runtime.entry
        own = ConfigSubentry(
            data=MappingProxyType(
                {"identity": entry.entry_id, "control": "relay", "minimum_off": 60.0}
            ),
            subentry_type="interlock",
            title="Workshop: interlock",
            unique_id=f"{entry.entry_id}_relay",
        )
        hass.config_entries.async_add_subentry(entry, own)
        await hass.async_block_till_done()
        hass.config_entries.async_remove_subentry(entry, next(iter(runtime.meters)))
        await hass.async_block_till_done()
        assert list(entry.subentries.values()) == [own]
