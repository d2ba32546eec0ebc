"""What others see of load shedding: its triggers, its conditions, and the logbook."""

from typing import Any

from homeassistant.components.logbook.models import LazyEventPartialState, async_event_to_row
from homeassistant.core import Event, HomeAssistant, ServiceCall
from homeassistant.helpers import area_registry as ar, entity_registry as er
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import async_capture_events, async_mock_service

from custom_components.energy_meter.logbook import async_describe_events
from custom_components.energy_meter.shedder.const import EVENT_SHEDDING

from .home import Home, entity_id, limit, load


async def automate(hass: HomeAssistant, trigger: dict[str, Any], **more: Any) -> list[ServiceCall]:
    """An automation that notes when it runs."""
    calls: list[ServiceCall] = async_mock_service(hass, "test", "noted")
    config = {"triggers": trigger, "actions": {"action": "test.noted"}, **more}
    assert await async_setup_component(hass, "automation", {"automation": config})
    await hass.async_block_till_done()
    return calls


@pytest.mark.parametrize(
    ("trigger", "after_shed", "after_restored"), [("load_shed", 1, 1), ("load_restored", 0, 1)]
)
async def test_what_is_switched_triggers(
    hass: HomeAssistant, home: Home, trigger: str, after_shed: int, after_restored: int
) -> None:
    await home.start(limit(), load("heater", 1))
    log = entity_id(hass, "event", "shedding_log")
    calls = await automate(
        hass, {"trigger": f"energy_meter.{trigger}", "target": {"entity_id": log}}
    )
    await home.measure(6_500)
    assert not home.is_on("heater")
    assert len(calls) == after_shed
    await home.hold(1_000, 100)
    assert home.is_on("heater")
    assert len(calls) == after_restored


@pytest.mark.parametrize(("loads", "fired"), [(["Heater"], 1), (["Ev"], 0), ([], 1)])
async def test_a_trigger_can_be_about_some_loads_only(
    hass: HomeAssistant, home: Home, loads: list[str], fired: int
) -> None:
    await home.start(limit(), load("heater", 1), load("ev", 2))
    log = entity_id(hass, "event", "shedding_log")
    trigger = {"trigger": "energy_meter.load_shed", "target": {"entity_id": log}}
    calls = await automate(hass, {**trigger, "options": {"load": loads}})
    await home.measure(6_500)
    assert not home.is_on("heater") and home.is_on("ev")
    assert len(calls) == fired


async def test_conditions_ask_whether_anything_is_off_also_by_area(
    hass: HomeAssistant, home: Home
) -> None:
    await home.start(limit(), load("heater", 1))
    area = ar.async_get(hass).async_create("Cellar")
    registry = er.async_get(hass)
    for each in ("shed_loads", "shedding_status", "shedding_reason"):
        registry.async_update_entity(entity_id(hass, "sensor", each), area_id=area.id)
    calls: dict[str, list[ServiceCall]] = {}
    for condition, service in (("load_is_shed", "shed"), ("loads_are_restored", "restored")):
        calls[condition] = async_mock_service(hass, "test", service)
    config = [
        {
            "triggers": {"trigger": "event", "event_type": "asked"},
            "conditions": {
                "condition": f"energy_meter.{condition}",
                "target": {"area_id": area.id},
            },
            "actions": {"action": f"test.{service}"},
        }
        for condition, service in (("load_is_shed", "shed"), ("loads_are_restored", "restored"))
    ]
    assert await async_setup_component(hass, "automation", {"automation": config})
    await hass.async_block_till_done()

    async def ask() -> tuple[int, int]:
        hass.bus.async_fire("asked")
        await hass.async_block_till_done()
        return len(calls["load_is_shed"]), len(calls["loads_are_restored"])

    await home.measure(1_000)
    assert await ask() == (0, 1)
    await home.measure(6_500)
    assert await ask() == (1, 1)


async def test_the_logbook_says_what_was_switched_and_why(hass: HomeAssistant, home: Home) -> None:
    described: dict[str, Any] = {}
    async_describe_events(hass, lambda _domain, event, say: described.update({event: say}))
    events: list[Event] = async_capture_events(hass, EVENT_SHEDDING)
    await home.start(limit(), load("heater", 1))
    await home.measure(6_500)
    row = async_event_to_row(events[-1])
    assert row is not None
    said = described[EVENT_SHEDDING](LazyEventPartialState(row, {}))
    assert said["name"] == "Load shedding"
    assert said["message"] == "Heater switched off: Main fuse at 6500 W of 5000 W, 2000 W"
    assert said["entity_id"] == entity_id(hass, "event", "shedding_log")
