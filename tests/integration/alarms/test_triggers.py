"""Triggers and conditions of our own in automations."""

from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.helpers import entity_registry as er
from homeassistant.setup import async_setup_component
import probatio
import pytest
from pytest_homeassistant_custom_component.common import async_mock_service

from custom_components.energy_meter.trigger import LimitExceeded
from tests.integration.bridge.support import OVEN, pass_time, running

from .test_alarms import add_alarm, keep, measure, with_oven


def entity_id(hass: HomeAssistant, domain: str, key: str) -> str:
    found = er.async_get(hass).async_get_entity_id(domain, "energy_meter", f"{OVEN}_{key}")
    assert found is not None
    return found


async def automate(
    hass: HomeAssistant,
    trigger: str,
    event: str,
    options: dict[str, Any] | None = None,
    **more: Any,
) -> list[ServiceCall]:
    """Set an automation up that notes when our trigger fires."""
    calls: list[ServiceCall] = async_mock_service(hass, "test", "noted")
    config = {
        "automation": {
            "triggers": {
                "trigger": f"energy_meter.{trigger}",
                "target": {"entity_id": event},
                "options": options or {},
            },
            "actions": {"action": "test.noted", "data": {"of": "{{ trigger.entity_id }}"}},
            **more,
        }
    }
    assert await async_setup_component(hass, "automation", config)
    await hass.async_block_till_done()
    return calls


@pytest.mark.parametrize(
    ("trigger", "after_exceeded", "after_cleared"),
    [("limit_exceeded", 1, 1), ("limit_cleared", 0, 1), ("meter_silent", 0, 0)],
)
async def test_alarms_trigger(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    trigger: str,
    after_exceeded: int,
    after_cleared: int,
) -> None:
    bridge = with_oven()
    async with running(hass, bridge) as (runtime, _link):
        await measure(hass, bridge, power=1200)
        await add_alarm(hass, runtime, "over_power", delay_on=0, delay_off=0)
        calls = await automate(hass, trigger, entity_id(hass, "event", "alarm_over_power_history"))
        await keep(hass, freezer, bridge, 5, power=3500)
        assert len(calls) == after_exceeded
        await keep(hass, freezer, bridge, 5, power=500)
        assert len(calls) == after_cleared


async def test_a_silent_meter_triggers(hass: HomeAssistant, freezer: FrozenDateTimeFactory) -> None:
    bridge = with_oven()
    async with running(hass, bridge) as (runtime, link):
        await measure(hass, bridge)
        await add_alarm(hass, runtime, "silent", threshold=60, hysteresis=0, delay_on=0)
        calls = await automate(
            hass, "meter_silent", entity_id(hass, "event", "alarm_silent_history")
        )
        link.unplug()
        await pass_time(hass, freezer, 70)
        assert len(calls) == 1


@pytest.mark.parametrize(("kinds", "fired"), [(["over_power", "silent"], 1), (["over_current"], 0)])
async def test_a_trigger_can_be_about_some_kinds_of_limits_only(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, kinds: list[str], fired: int
) -> None:
    bridge = with_oven()
    async with running(hass, bridge) as (runtime, _link):
        await measure(hass, bridge, power=1200)
        await add_alarm(hass, runtime, "over_power", delay_on=0)
        history = entity_id(hass, "event", "alarm_over_power_history")
        calls = await automate(hass, "limit_exceeded", history, {"limit_kind": kinds})
        await keep(hass, freezer, bridge, 5, power=3500)
        assert len(calls) == fired


async def test_a_kind_that_there_is_not_is_refused(hass: HomeAssistant) -> None:
    with pytest.raises(probatio.Invalid):
        await LimitExceeded.async_validate_config(
            hass,
            {"target": {"entity_id": "event.oven"}, "options": {"limit_kind": ["too_much"]}},
        )


@pytest.mark.parametrize(("condition", "met"), [("limit_is_exceeded", 1), ("limit_is_clear", 0)])
async def test_a_condition_asks_how_an_alarm_stands(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, condition: str, met: int
) -> None:
    bridge = with_oven()
    async with running(hass, bridge) as (runtime, _link):
        await measure(hass, bridge, power=1200)
        await add_alarm(hass, runtime, "over_power", delay_on=0)
        calls = await automate(
            hass,
            "limit_exceeded",
            entity_id(hass, "event", "alarm_over_power_history"),
            conditions={
                "condition": f"energy_meter.{condition}",
                "target": {"entity_id": entity_id(hass, "binary_sensor", "alarm_over_power")},
            },
        )
        await keep(hass, freezer, bridge, 5, power=3500)
        assert len(calls) == met


@pytest.mark.parametrize(("condition", "met"), [("meter_is_silent", 1), ("tamper_is_suspected", 0)])
async def test_a_condition_asks_about_its_own_kind_of_alarm_in_a_device(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, condition: str, met: int
) -> None:
    bridge = with_oven()
    async with running(hass, bridge) as (runtime, link):
        await measure(hass, bridge, power=3500)
        await add_alarm(hass, runtime, "over_power", delay_on=0)
        await add_alarm(hass, runtime, "silent", threshold=60, hysteresis=0, delay_on=0)
        entry = er.async_get(hass).async_get(entity_id(hass, "binary_sensor", "alarm_silent"))
        assert entry is not None
        calls: list[ServiceCall] = async_mock_service(hass, "test", "noted")
        config = {
            "automation": {
                "triggers": {"trigger": "event", "event_type": "asked"},
                "conditions": {
                    "condition": f"energy_meter.{condition}",
                    "target": {"device_id": entry.device_id},
                },
                "actions": {"action": "test.noted"},
            }
        }
        assert await async_setup_component(hass, "automation", config)
        hass.bus.async_fire("asked")
        await hass.async_block_till_done()
        assert not calls, "the power is exceeded, and the meter is not silent"
        link.unplug()
        await pass_time(hass, freezer, 70)
        hass.bus.async_fire("asked")
        await hass.async_block_till_done()
        assert len(calls) == met
