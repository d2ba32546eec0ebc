"""The message about a silent meter."""

import asyncio
from datetime import timedelta

from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import async_fire_time_changed

from .conftest import Messenger, Use

POWER = "sensor.oven_power"


async def set_power(hass: HomeAssistant, state: str) -> None:
    hass.states.async_set(POWER, state, {"friendly_name": "Oven power"})
    await hass.async_block_till_done()


async def pass_time(hass: HomeAssistant, freezer: FrozenDateTimeFactory, minutes: float) -> None:
    freezer.tick(timedelta(minutes=minutes))
    async_fire_time_changed(hass)
    await asyncio.sleep(0)
    await hass.async_block_till_done()


async def test_silence_and_return_are_told(
    hass: HomeAssistant, messenger: Messenger, use_blueprint: Use, freezer: FrozenDateTimeFactory
) -> None:
    await hass.config.async_set_time_zone("UTC")
    freezer.move_to("2026-05-20 15:00:00+00:00")
    await set_power(hass, "100")
    await use_blueprint("meter_silent", sensors=[POWER], notifiers=["notify.messenger"])
    await set_power(hass, "unavailable")
    await pass_time(hass, freezer, 9)
    assert messenger.said == []
    await pass_time(hass, freezer, 2)
    assert messenger.said == ["Oven power has been silent since 2026-05-20 15:00"]
    await set_power(hass, "120")
    assert messenger.said[1:] == ["Oven power is back"]


async def test_of_a_short_silence_nobody_is_told(
    hass: HomeAssistant, messenger: Messenger, use_blueprint: Use, freezer: FrozenDateTimeFactory
) -> None:
    await set_power(hass, "100")
    await use_blueprint("meter_silent", sensors=[POWER], notifiers=["notify.messenger"])
    await set_power(hass, "unavailable")
    await pass_time(hass, freezer, 5)
    await set_power(hass, "100")
    await pass_time(hass, freezer, 30)
    assert messenger.said == []
