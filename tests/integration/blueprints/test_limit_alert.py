"""The alert on limits: what is said when, to whom, and what the button does."""

import asyncio
from datetime import timedelta
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
    async_fire_time_changed,
    async_mock_service,
)

from .conftest import Messenger, Use

LIMIT = "binary_sensor.oven_over_power"


def set_limit(hass: HomeAssistant, state: str, value: float = 3650.0) -> None:
    hass.states.async_set(
        LIMIT,
        state,
        {
            "device_class": "problem",
            "friendly_name": "Oven over power",
            "value": value,
            "limit": 3500,
            "unit": "W",
        },
    )


async def settle() -> None:
    """Let everything happen that waits for no clock; an automation that waits would never be "done"."""
    for _ in range(50):
        await asyncio.sleep(0)


async def pass_time(hass: HomeAssistant, freezer: FrozenDateTimeFactory, **time: float) -> None:
    freezer.tick(timedelta(**time))
    async_fire_time_changed(hass)
    await settle()


async def test_it_says_what_is_exceeded_and_that_it_is_over(
    hass: HomeAssistant, messenger: Messenger, use_blueprint: Use
) -> None:
    set_limit(hass, "off")
    await use_blueprint("limit_alert", limits=[LIMIT], notifiers=["notify.messenger"])
    set_limit(hass, "on")
    await settle()
    assert messenger.said == ["Oven over power: 3650.0 W (limit 3500 W)"]
    set_limit(hass, "off")
    await settle()
    assert messenger.said[1:] == ["Oven over power: back to normal"]


async def test_it_repeats_itself_while_it_lasts(
    hass: HomeAssistant,
    messenger: Messenger,
    use_blueprint: Use,
    freezer: FrozenDateTimeFactory,
) -> None:
    set_limit(hass, "off")
    await use_blueprint(
        "limit_alert",
        limits=[LIMIT],
        notifiers=["notify.messenger"],
        repeat_every=10,
        all_clear=False,
        text="{{ value }}",
    )
    set_limit(hass, "on")
    await settle()
    set_limit(hass, "on", 4000)
    await pass_time(hass, freezer, minutes=9)
    assert messenger.said == ["3650.0"]
    await pass_time(hass, freezer, minutes=2)
    assert messenger.said == ["3650.0", "4000"]
    set_limit(hass, "off")
    await pass_time(hass, freezer, minutes=30)
    assert len(messenger.said) == 2


@pytest.mark.parametrize(("back_by_then", "said"), [(False, 1), (True, 0)])
async def test_in_quiet_hours_it_waits(
    hass: HomeAssistant,
    messenger: Messenger,
    use_blueprint: Use,
    freezer: FrozenDateTimeFactory,
    *,
    back_by_then: bool,
    said: int,
) -> None:
    await hass.config.async_set_time_zone("Europe/Berlin")
    freezer.move_to("2026-03-01 23:30:00+01:00")
    set_limit(hass, "off")
    await use_blueprint(
        "limit_alert",
        limits=[LIMIT],
        notifiers=["notify.messenger"],
        all_clear=False,
        quiet_from="22:00:00",
        quiet_to="07:00:00",
    )
    set_limit(hass, "on")
    await settle()
    assert messenger.said == []
    if back_by_then:
        set_limit(hass, "off")
        await settle()
    freezer.move_to("2026-03-02 07:00:30+01:00")
    async_fire_time_changed(hass)
    await settle()
    assert len(messenger.said) == said


async def test_the_button_on_the_phone_switches_the_load_off(
    hass: HomeAssistant, use_blueprint: Use
) -> None:
    entry = MockConfigEntry(domain="mobile_app")
    entry.add_to_hass(hass)
    phone = dr.async_get(hass).async_get_or_create(
        config_entry_id=entry.entry_id, identifiers={("mobile_app", "1")}, name="My Phone"
    )
    told: list[Any] = async_mock_service(hass, "notify", "mobile_app_my_phone")
    assert await async_setup_component(hass, "homeassistant", {})
    assert await async_setup_component(
        hass, "input_boolean", {"input_boolean": {"oven": {"initial": True}}}
    )
    set_limit(hass, "off")
    await use_blueprint(
        "limit_alert", limits=[LIMIT], phones=[phone.id], loads=["input_boolean.oven"]
    )
    set_limit(hass, "on")
    await settle()
    (call,) = told
    (button,) = call.data["data"]["actions"]
    assert button["title"] == "Switch off"
    hass.bus.async_fire("mobile_app_notification_action", {"action": "another"})
    await settle()
    assert hass.states.is_state("input_boolean.oven", "on")
    hass.bus.async_fire("mobile_app_notification_action", {"action": button["action"]})
    await settle()
    assert hass.states.is_state("input_boolean.oven", "off")


async def test_a_limit_that_was_unknown_and_is_exceeded_is_told(
    hass: HomeAssistant, messenger: Messenger, use_blueprint: Use
) -> None:
    events = async_capture_events(hass, "automation_triggered")
    set_limit(hass, "unavailable")
    await use_blueprint("limit_alert", limits=[LIMIT], notifiers=["notify.messenger"])
    set_limit(hass, "on")
    await settle()
    assert len(messenger.said) == 1
    set_limit(hass, "unavailable")
    await settle()
    assert len(events) == 1


@pytest.mark.parametrize(
    ("began", "over", "said"),
    [
        ("21:50:00", "23:30:00", ["Oven over power: back to normal"]),
        ("23:00:00", "23:30:00", []),
        ("02:00:00", "06:59:00", []),
    ],
)
async def test_of_what_quiet_hours_have_swallowed_there_is_no_all_clear(
    hass: HomeAssistant,
    messenger: Messenger,
    use_blueprint: Use,
    freezer: FrozenDateTimeFactory,
    *,
    began: str,
    over: str,
    said: list[str],
) -> None:
    await hass.config.async_set_time_zone("Europe/Berlin")
    freezer.move_to(f"2026-03-01 {began}+01:00")
    set_limit(hass, "off")
    await use_blueprint(
        "limit_alert",
        limits=[LIMIT],
        notifiers=["notify.messenger"],
        quiet_from="22:00:00",
        quiet_to="07:00:00",
    )
    set_limit(hass, "on")
    await settle()
    messenger.said.clear()
    freezer.move_to(f"2026-03-01 {over}+01:00")
    set_limit(hass, "off")
    await settle()
    assert messenger.said == []
    freezer.move_to("2026-03-02 07:00:30+01:00")
    async_fire_time_changed(hass)
    await settle()
    assert messenger.said == said


async def test_repetitions_pause_in_quiet_hours_and_go_on_in_the_morning(
    hass: HomeAssistant,
    messenger: Messenger,
    use_blueprint: Use,
    freezer: FrozenDateTimeFactory,
) -> None:
    await hass.config.async_set_time_zone("Europe/Berlin")
    freezer.move_to("2026-03-01 21:30:00+01:00")
    set_limit(hass, "off")
    await use_blueprint(
        "limit_alert",
        limits=[LIMIT],
        notifiers=["notify.messenger"],
        repeat_every=20,
        quiet_from="22:00:00",
        quiet_to="07:00:00",
    )
    set_limit(hass, "on")
    await settle()
    await pass_time(hass, freezer, minutes=21)
    assert len(messenger.said) == 2
    for _ in range(3):
        await pass_time(hass, freezer, minutes=21)
    assert len(messenger.said) == 2
    freezer.move_to("2026-03-02 07:00:30+01:00")
    async_fire_time_changed(hass)
    await settle()
    assert len(messenger.said) == 3


async def test_signs_of_tampering_are_named(
    hass: HomeAssistant, messenger: Messenger, use_blueprint: Use
) -> None:
    tamper = {"device_class": "tamper", "friendly_name": "Oven tampering"}
    hass.states.async_set("binary_sensor.oven_tampering", "off", tamper)
    await use_blueprint(
        "limit_alert", limits=["binary_sensor.oven_tampering"], notifiers=["notify.messenger"]
    )
    signs = {**tamper, "signs": ["cover_open", "current_without_voltage"], "source": "meter"}
    hass.states.async_set("binary_sensor.oven_tampering", "on", signs)
    await settle()
    assert messenger.said == ["Oven tampering: cover open, current without voltage"]
