"""Relays, resets and settings: what a meter reads back is what is shown, and what fails is said."""

from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import entity_registry as er
import pytest

from tests.support.meters import Access, Meter
from tests.support.wire import rtu_line

from .runtime_support import (
    SDM120,
    entity_id,
    meter,
    running,
    shows,
    state,
    subentry,
    subentry_of,
    until,
)

DDS238 = "hiking_dds238-2"
RELAY = 0x1A


def relay_meter(on: int = 0) -> Meter:
    """A meter with a relay."""
    return meter(DDS238, 1, {"voltage": 230.0, "power": 100.0, "relay": on})


async def enable(hass: HomeAssistant, entry_id: str, platform: str, *keys: str) -> None:
    """Enable entities that are off by default, as a user would, and reload."""
    registry = er.async_get(hass)
    for key in keys:
        registry.async_update_entity(entity_id(hass, key, platform=platform), disabled_by=None)
    assert await hass.config_entries.async_reload(entry_id)


async def turn(hass: HomeAssistant, way: str) -> None:
    """Switch the relay and wait for it."""
    await hass.services.async_call(
        "switch",
        f"turn_{way}",
        {"entity_id": entity_id(hass, "relay", platform="switch")},
        blocking=True,
    )


async def test_a_relay_is_switched_and_read_back(hass: HomeAssistant) -> None:
    device = relay_meter()
    table = relay_register(device)
    async with rtu_line([device]) as line, running(hass, line, subentry(1, DDS238)):
        await shows(hass, "relay", "off", platform="switch")
        await turn(hass, "on")
        assert state(hass, "relay", platform="switch").state == "on"
        assert table[RELAY] == 1
        await turn(hass, "off")
        assert state(hass, "relay", platform="switch").state == "off"
        assert table[RELAY] == 0


def relay_register(device: Meter) -> dict[int, int]:
    """The table that the relay is in."""
    return device.holding


async def test_a_relay_that_does_not_move_is_reported_and_not_assumed(
    hass: HomeAssistant,
) -> None:
    device = relay_meter()

    def stuck(meter: Meter, _access: Access) -> None:
        relay_register(meter)[RELAY] = 0

    device.after_write = stuck
    async with rtu_line([device]) as line, running(hass, line, subentry(1, DDS238)):
        await shows(hass, "relay", "off", platform="switch")
        with pytest.raises(HomeAssistantError) as failed:
            await turn(hass, "on")
        assert failed.value.translation_key == "control_mismatch"
        assert state(hass, "relay", platform="switch").state == "off"


async def test_a_relay_of_a_silent_meter_is_unavailable_and_says_why(hass: HomeAssistant) -> None:
    async with rtu_line([relay_meter()]) as line, running(hass, line, subentry(1, DDS238)) as entry:
        await shows(hass, "relay", "off", platform="switch")
        line.silence(1)
        await until(lambda: state(hass, "relay", platform="switch").state == STATE_UNAVAILABLE, 15)
        coordinator = next(iter(entry.runtime_data.meters.values()))
        with pytest.raises(HomeAssistantError) as failed:
            await entry.runtime_data.async_command(coordinator, "relay", 1)
        assert failed.value.translation_key == "control_no_answer"


async def test_a_relay_switched_at_the_meter_is_noticed(hass: HomeAssistant) -> None:
    device = relay_meter()
    async with rtu_line([device]) as line, running(hass, line, subentry(1, DDS238)) as entry:
        await shows(hass, "relay", "off", platform="switch")
        relay_register(device)[RELAY] = 1
        entry.runtime_data.async_read_settings_soon()
        await shows(hass, "relay", "on", platform="switch")


async def test_a_button_writes_and_wants_an_acknowledgement(hass: HomeAssistant) -> None:
    device = meter(SDM120, 1, {"power": 10.0})
    async with rtu_line([device]) as line, running(hass, line, subentry(1)):
        await shows(hass, "power", "10.0")
        button = {"entity_id": entity_id(hass, "reset_demand", platform="button")}
        await hass.services.async_call("button", "press", button, blocking=True)
        assert [(one.address, one.values) for one in device.writes] == [(0xF010, (0,))]


async def test_guarded_settings_are_off_until_somebody_looks_for_them(hass: HomeAssistant) -> None:
    async with rtu_line([meter(SDM120, 1, {})]) as line, running(hass, line, subentry(1)):
        registry = er.async_get(hass)
        for platform, key in (("number", "unit_id"), ("select", "baudrate")):
            found = registry.async_get(entity_id(hass, key, platform=platform))
            assert found is not None
            assert found.disabled_by is er.RegistryEntryDisabler.INTEGRATION
            assert found.entity_category == "config"


async def test_a_changed_address_is_followed_so_that_the_meter_is_not_lost(
    hass: HomeAssistant,
) -> None:
    device = meter(SDM120, 1, {"power": 10.0, "unit_id": 1})
    async with rtu_line([device]) as line, running(hass, line, subentry(1)) as entry:

        def move(moved: Meter, access: Access) -> None:
            unit_id = entry.runtime_data.profiles[place.subentry_id].controls
            register = next(one for one in unit_id if one.control.key == "unit_id").register
            if access.address == register.span.address:
                moved.unit_id = 7
                line.meters[7] = line.meters.pop(1)

        place = subentry_of(entry, "meter_1")
        device.after_write = move
        await enable(hass, entry.entry_id, "number", "unit_id")
        await shows(hass, "unit_id", "1.0", platform="number")
        number = {"entity_id": entity_id(hass, "unit_id", platform="number"), "value": 7}
        await hass.services.async_call("number", "set_value", number, blocking=True)
        assert subentry_of(entry, "meter_1").data["unit_id"] == 7
        device.show(entry.runtime_data.profiles[place.subentry_id].registers, {"power": 20.0})
        await until(lambda: state(hass, "power").state == "20.0", 10)


async def test_an_address_that_another_meter_has_is_refused(hass: HomeAssistant) -> None:
    one, two = meter(SDM120, 1, {"power": 1.0}), meter(SDM120, 2, {"power": 2.0})
    async with (
        rtu_line([one, two]) as line,
        running(hass, line, subentry(1), subentry(2)) as entry,
    ):
        await shows(hass, "power", "1.0")
        place = subentry_of(entry, "meter_1")
        with pytest.raises(HomeAssistantError) as failed:
            await entry.runtime_data.async_command(
                entry.runtime_data.meters[place.subentry_id], "unit_id", 2
            )
        assert failed.value.translation_key == "address_taken"
        assert not one.writes


async def test_a_setting_out_of_a_list_is_shown_in_the_makers_words(hass: HomeAssistant) -> None:
    device = meter(SDM120, 1, {"power": 10.0, "baudrate": 2})
    async with rtu_line([device]) as line, running(hass, line, subentry(1)) as entry:
        await enable(hass, entry.entry_id, "select", "baudrate")
        await shows(hass, "baudrate", "9600", platform="select")
        assert "2400" in state(hass, "baudrate", platform="select").attributes["options"]


async def test_a_setting_is_chosen_and_read_back(hass: HomeAssistant) -> None:
    device = meter(SDM120, 1, {"power": 10.0, "measurement_mode": 2})
    async with rtu_line([device]) as line, running(hass, line, subentry(1)) as entry:
        await enable(hass, entry.entry_id, "select", "measurement_mode")
        chosen = "total = import - export"
        await shows(
            hass, "measurement_mode", "total = import + export (default)", platform="select"
        )
        select = {"entity_id": entity_id(hass, "measurement_mode", platform="select")}
        await hass.services.async_call(
            "select", "select_option", {**select, "option": chosen}, blocking=True
        )
        assert state(hass, "measurement_mode", platform="select").state == chosen
        assert device.holding[0xF920] == 3


async def test_an_address_that_the_meter_confirms_but_does_not_take_yet_is_said(
    hass: HomeAssistant,
) -> None:
    device = meter(SDM120, 1, {"power": 10.0, "unit_id": 1})
    async with rtu_line([device]) as line, running(hass, line, subentry(1)) as entry:
        await shows(hass, "power", "10.0")
        place = subentry_of(entry, "meter_1")
        with pytest.raises(HomeAssistantError) as failed:
            await entry.runtime_data.async_command(
                entry.runtime_data.meters[place.subentry_id], "unit_id", 9
            )
        assert failed.value.translation_key == "address_not_taken"
        assert subentry_of(entry, "meter_1").data["unit_id"] == 1
        await shows(hass, "power", "10.0")
