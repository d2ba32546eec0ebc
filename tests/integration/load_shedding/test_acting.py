"""Load shedding acts on real states: off in time, back when there is room, and never against a person."""

from typing import Any

from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import issue_registry as ir
import pytest

from custom_components.energy_meter.const import DOMAIN

from .home import Home, attributes, limit, load, runtime, shown, subentry_id


async def test_the_first_in_order_goes_off_with_the_reading_and_comes_back_when_there_is_room(
    hass: HomeAssistant, home: Home
) -> None:
    await home.start(limit(), load("heater", 1), load("ev", 2, 3_000))
    await home.measure(4_000)
    assert shown(hass, "shedding_status").state == "normal"
    assert shown(hass, "headroom").state == "1000.0"

    await home.measure(6_500)
    assert not home.is_on("heater") and home.is_on("ev")
    assert shown(hass, "shedding_status").state == "shedding"
    assert shown(hass, "shed_loads").state == "1"
    assert attributes(hass, "shed_loads")["loads"] == ["Heater"]
    log = attributes(hass, "shedding_log", "event")
    assert log["event_type"] == "shed"
    assert (log["load"], log["limit"]) == ("Heater", "Main fuse")
    assert (log["value"], log["bound"], log["watts"]) == (6_500, 5_000, 2_000)

    await home.hold(4_500, 130)
    assert not home.is_on("heater"), "500 W are not enough for 2000 W and the margin"
    assert shown(hass, "shedding_status").state == "recovering"
    assert shown(hass, "shedding_reason").state == "waiting_room"
    assert shown(hass, "shedding_next").state == "restore"
    assert attributes(hass, "shedding_next")["load"] == "Heater"

    await home.hold(2_600, 50)
    assert not home.is_on("heater"), "there was no room long enough"
    await home.hold(2_600, 20)
    assert home.is_on("heater")
    await home.hold(4_600, 200)
    assert home.is_on("heater")
    assert shown(hass, "shed_loads").state == "0"
    assert shown(hass, "shedding_status").state in {"normal", "warning"}


async def test_no_more_than_needed_goes_and_what_is_protected_never(
    hass: HomeAssistant, home: Home
) -> None:
    await home.start(
        limit(),
        load("network", 1, 500, protected=True),
        load("pump", 2, 400),
        load("heater", 3, 2_000),
        load("ev", 4, 3_000),
    )
    await home.measure(6_900)
    assert home.is_on("network") and home.is_on("pump") and home.is_on("ev")
    assert not home.is_on("heater")
    await home.wait(3)
    await home.measure(12_000)
    await home.wait(3)
    await home.measure(12_000)
    assert home.is_on("network")


async def test_it_says_that_there_is_nothing_left(hass: HomeAssistant, home: Home) -> None:
    await home.start(limit(), load("network", 1, protected=True))
    await home.measure(6_500)
    assert shown(hass, "shedding_status").state == "warning"
    assert shown(hass, "shedding_reason").state == "nothing_left"
    assert attributes(hass, "shedding_log", "event")["event_type"] == "nothing_left"


async def test_a_soft_limit_waits_for_its_delay(hass: HomeAssistant, home: Home) -> None:
    await home.start(limit(urgency="soft", delay=60), load("heater", 1))
    await home.measure(5_500)
    assert shown(hass, "shedding_status").state == "warning"
    assert shown(hass, "shedding_reason").state == "waiting_delay"
    assert shown(hass, "shedding_next").state == "shed"
    await home.hold(5_500, 50)
    assert home.is_on("heater")
    await home.hold(5_500, 10)
    assert not home.is_on("heater")


async def test_amperes_kilowatts_and_a_turned_sign_are_understood(
    hass: HomeAssistant, home: Home
) -> None:
    await home.measure(-4, "sensor.export", "kW")
    await home.measure(10, "sensor.phase", "A")
    await home.start(
        limit("Turned", sensor="sensor.export", invert=True),
        limit("L1", sensor="sensor.phase", measure="current", phase="l1", value=16),
        load("heater", 1, 2_300, phase="l1"),
        load("ev", 2, 2_300, phase="l2"),
    )
    await home.measure(-4.9, "sensor.export", "kW")
    assert home.is_on("heater")
    await home.measure(-5.1, "sensor.export", "kW")
    assert not home.is_on("heater")
    await home.measure(20_000, "sensor.phase", "mA")
    await home.wait(3)
    await home.measure(20_000, "sensor.phase", "mA")
    assert home.is_on("ev"), "it is on another phase"


@pytest.mark.parametrize("value", [STATE_UNAVAILABLE, "unknown", "nonsense", "nan", "99999999"])
async def test_what_is_no_reading_never_switches_anything(
    hass: HomeAssistant, home: Home, value: str
) -> None:
    await home.start(limit(), load("heater", 1))
    await home.measure(value)
    await home.wait(30)
    await home.measure(value)
    assert home.is_on("heater")


async def test_a_reading_in_another_unit_is_none(hass: HomeAssistant, home: Home) -> None:
    await home.start(limit(), load("heater", 1))
    await home.measure(9_000, unit="kWh")
    assert home.is_on("heater")
    assert shown(hass, "headroom").state == STATE_UNAVAILABLE


async def test_a_sensor_that_falls_silent_stops_everything_and_the_user_is_asked_to_look(
    hass: HomeAssistant, home: Home
) -> None:
    entry = await home.start(limit(), load("heater", 1))
    await home.measure(6_500)
    assert not home.is_on("heater")
    await home.hold(1_000, 30)
    await home.wait(61)
    assert shown(hass, "shedding_status").state == "suspended"
    assert shown(hass, "shedding_reason").state == "stale"
    assert shown(hass, "headroom").state == STATE_UNAVAILABLE
    for _ in range(8):
        await home.wait(60)
    assert not home.is_on("heater"), "nobody knows whether there is room"
    subject = f"limit_silent.{entry.entry_id}_{subentry_id(entry, 'Main fuse')}"
    assert ir.async_get(hass).async_get_issue(DOMAIN, subject) is not None
    await home.hold(1_000, 50)
    assert not home.is_on("heater"), "the room was not known for long enough"
    await home.hold(1_000, 20)
    assert home.is_on("heater")
    assert ir.async_get(hass).async_get_issue(DOMAIN, subject) is None


async def test_a_person_who_switches_a_load_on_is_not_fought(
    hass: HomeAssistant, home: Home
) -> None:
    await home.start(limit(), load("heater", 1), load("ev", 2))
    await home.measure(6_500)
    assert not home.is_on("heater")
    await home.wait(5)
    await home.switch("heater", True)
    assert attributes(hass, "shedding_log", "event")["event_type"] == "taken_over"
    await home.measure(6_600)
    assert home.is_on("heater"), "a person wants it"
    assert not home.is_on("ev"), "the next in order goes instead"
    await home.hold(8_000, 500)
    assert home.is_on("heater")
    await home.hold(8_000, 120)
    assert not home.is_on("heater"), "the time of grace is over"


async def test_what_a_person_switches_off_stays_off(hass: HomeAssistant, home: Home) -> None:
    await home.start(limit(), load("heater", 1))
    await home.switch("heater", False)
    await home.measure(6_500)
    await home.hold(500, 300)
    assert not home.is_on("heater")


async def test_an_offline_switch_is_passed_over(hass: HomeAssistant, home: Home) -> None:
    hass.states.async_set("switch.remote", STATE_UNAVAILABLE)
    await home.start(limit(), load("switch.remote", 1), load("ev", 2))
    await home.measure(6_500)
    assert not home.is_on("ev")


async def test_a_restart_in_the_middle_keeps_what_is_off_and_brings_it_back(
    hass: HomeAssistant, home: Home, hass_storage: dict[str, Any]
) -> None:
    entry = await home.start(limit(), load("heater", 1), load("ev", 2, min_off=400))
    await home.measure(9_500)
    assert not home.is_on("heater") and not home.is_on("ev")
    await home.wait(2)
    stored = hass_storage[f"{DOMAIN}.load_shedding.{entry.entry_id}"]["data"]
    assert {key for key, one in stored["loads"].items() if "shed" in one} == {
        subentry_id(entry, "Heater"),
        subentry_id(entry, "Ev"),
    }

    assert await hass.config_entries.async_unload(entry.entry_id)
    assert not home.is_on("heater")
    await home.wait(100)
    await home.measure(500)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert shown(hass, "shed_loads").state == "2"
    await home.hold(500, 80)
    assert home.is_on("heater")
    assert not home.is_on("ev"), "its minimum time counts over the restart"
    await home.hold(500, 250)
    assert home.is_on("ev")


async def test_switched_off_it_gives_back_what_it_took(hass: HomeAssistant, home: Home) -> None:
    await home.start(limit(), load("heater", 1), load("ev", 2, 3_000))
    await home.measure(9_900)
    assert not home.is_on("heater") and not home.is_on("ev")
    switch = shown(hass, "load_shedding", "switch").entity_id
    await home.call("switch", "turn_off", entity_id=switch)
    assert shown(hass, "shedding_status").state == "suspended"
    for _ in range(6):
        await home.wait(2)
    assert home.is_on("heater") and home.is_on("ev")
    assert shown(hass, "shedding_reason").state == "switched_off"
    await home.measure(9_900)
    assert home.is_on("heater")


async def test_removed_it_gives_back_what_it_took(hass: HomeAssistant, home: Home) -> None:
    entry = await home.start(limit(), load("heater", 1), load("ev", 2, 3_000))
    await home.measure(9_900)
    await hass.config_entries.async_remove(entry.entry_id)
    await hass.async_block_till_done()
    assert home.is_on("heater") and home.is_on("ev")


async def test_a_load_that_is_removed_is_given_back(hass: HomeAssistant, home: Home) -> None:
    entry = await home.start(limit(), load("heater", 1))
    await home.measure(6_900)
    assert not home.is_on("heater")
    hass.config_entries.async_remove_subentry(entry, subentry_id(entry, "Heater"))
    await hass.async_block_till_done()
    assert home.is_on("heater")
    assert shown(hass, "shedding_reason").state == "no_loads"


async def test_a_dry_run_switches_nothing_and_says_what_it_would(
    hass: HomeAssistant, home: Home
) -> None:
    await home.start(limit(), load("heater", 1))
    switch = shown(hass, "dry_run", "switch").entity_id
    await home.call("switch", "turn_on", entity_id=switch)
    await home.measure(6_500)
    assert home.is_on("heater")
    log = attributes(hass, "shedding_log", "event")
    assert (log["event_type"], log["load"], log["rehearsal"]) == ("shed", "Heater", True)
    assert shown(hass, "shed_loads").state == "1"
    await home.hold(6_500, 30)
    assert shown(hass, "headroom").state == "500.0", "as if it were off"
    await home.hold(2_500, 120)
    assert attributes(hass, "shedding_log", "event")["event_type"] == "restored"
    assert home.is_on("heater")


async def test_a_dry_run_that_begins_gives_back_what_was_taken_in_earnest(
    hass: HomeAssistant, home: Home
) -> None:
    await home.start(limit(), load("heater", 1))
    await home.measure(6_500)
    assert not home.is_on("heater")
    switch = shown(hass, "dry_run", "switch").entity_id
    await home.call("switch", "turn_on", entity_id=switch)
    await home.wait(3)
    assert home.is_on("heater")
    await home.wait(3)
    await home.measure(8_500)
    assert home.is_on("heater")
    assert shown(hass, "shed_loads").state == "1"
    await home.call("switch", "turn_off", entity_id=switch)
    assert shown(hass, "shed_loads").state == "0", "what was only said is forgotten"
    await home.wait(3)
    await home.measure(8_500)
    assert not home.is_on("heater")


async def test_a_dimmable_load_goes_down_step_by_step_and_up_again(
    hass: HomeAssistant, home: Home
) -> None:
    await home.start(
        limit(),
        load("input_number.wallbox", 1, None, minimum=6, step=1, watts_per_unit=230, pause=True),
    )

    def level() -> float:
        state = hass.states.get("input_number.wallbox")
        assert state is not None
        return float(state.state)

    await home.measure(5_500)
    assert level() == 13
    await home.wait(3)
    await home.measure(6_900)
    assert level() == 0
    await home.hold(2_000, 70)
    assert level() == 11
    await home.hold(1_000, 140)
    assert level() == 16
    assert shown(hass, "shed_loads").state == "0"


async def test_a_limit_follows_a_sensor_and_another_is_moved_by_its_number(
    hass: HomeAssistant, home: Home
) -> None:
    await home.measure(6, "sensor.contract", "kW")
    follows = dict(limit("Contract", follows="sensor.contract")["data"])
    follows.pop("value")
    entry = await home.start(
        {**limit("Contract"), "data": follows}, limit("Fuse", value=20_000), load("heater", 1)
    )
    await home.measure(5_500)
    assert home.is_on("heater")
    await home.measure(5, "sensor.contract", "kW")
    assert not home.is_on("heater")
    await home.measure(STATE_UNAVAILABLE, "sensor.contract", "kW")
    await home.hold(500, 200)
    assert not home.is_on("heater"), "nobody knows how much there may be"
    await home.measure(8, "sensor.contract", "kW")
    await home.hold(500, 80)
    assert home.is_on("heater")

    number = shown(hass, "limit", "number")
    assert number.state == "20000.0"
    await home.call("number", "set_value", entity_id=number.entity_id, value=400)
    assert entry.subentries[subentry_id(entry, "Fuse")].data["value"] == 400
    await home.measure(500)
    assert not home.is_on("heater")


async def test_a_load_that_does_not_react_is_replaced_by_the_next_and_reported(
    hass: HomeAssistant, home: Home
) -> None:
    calls: list[ServiceCall] = []

    async def fail(call: ServiceCall) -> None:
        calls.append(call)
        raise HomeAssistantError("no network")

    hass.states.async_set("switch.dead", "on")
    entry = await home.start(limit(), load("switch.dead", 1), load("ev", 2))
    hass.services.async_register("switch", "turn_off", fail)
    await home.measure(6_500)
    assert len(calls) == 1
    await home.wait(1)
    assert not home.is_on("ev")
    await home.hold(6_500, 60)
    assert len(calls) >= 2
    subject = f"load_no_reaction.{entry.entry_id}_{subentry_id(entry, 'Dead')}"
    assert ir.async_get(hass).async_get_issue(DOMAIN, subject) is not None


async def test_a_thermostat_and_a_water_heater_come_back_in_the_mode_that_they_had(
    hass: HomeAssistant, home: Home
) -> None:
    calls: list[tuple[str, str, dict[str, Any]]] = []

    async def take(call: ServiceCall) -> None:
        calls.append((call.domain, call.service, dict(call.data)))
        state = hass.states.get(call.data["entity_id"])
        assert state is not None
        mode = call.data.get("hvac_mode") or call.data.get("operation_mode")
        hass.states.async_set(state.entity_id, str(mode), state.attributes)

    hass.services.async_register("climate", "set_hvac_mode", take)
    hass.services.async_register("water_heater", "set_operation_mode", take)
    hass.states.async_set("climate.room", "heat_cool", {"hvac_modes": ["off", "heat_cool"]})
    hass.states.async_set("water_heater.tank", "eco", {"operation_list": ["off", "eco"]})
    await home.start(limit(), load("climate.room", 1), load("water_heater.tank", 2))
    await home.measure(8_500)
    assert [call[2] for call in calls] == [
        {"entity_id": "climate.room", "hvac_mode": "off"},
        {"entity_id": "water_heater.tank", "operation_mode": "off"},
    ]
    await home.hold(500, 80)
    assert [call[2] for call in calls[2:]] == [
        {"entity_id": "water_heater.tank", "operation_mode": "eco"},
        {"entity_id": "climate.room", "hvac_mode": "heat_cool"},
    ]


async def test_a_script_takes_a_load_away_and_another_brings_it_back(
    hass: HomeAssistant, home: Home
) -> None:
    calls: list[str] = []

    async def run(call: ServiceCall) -> None:
        calls.append(call.data["entity_id"])

    hass.services.async_register("script", "turn_on", run)
    hass.states.async_set("script.away", "off")
    hass.states.async_set("script.back", "off")
    await home.start(limit(), load("script.away", 1, back_script="script.back"))
    await home.measure(6_500)
    assert calls == ["script.away"]
    await home.hold(500, 80)
    assert calls == ["script.away", "script.back"]
    assert shown(hass, "shed_loads").state == "0"


async def test_a_measured_load_that_takes_nothing_is_left_alone(
    hass: HomeAssistant, home: Home
) -> None:
    await home.measure(3, "sensor.heater")
    await home.start(limit(), load("heater", 1, power_sensor="sensor.heater"), load("ev", 2))
    await home.measure(6_500)
    assert home.is_on("heater") and not home.is_on("ev")


async def test_actions_switch_off_and_on_whatever_the_limits_say(
    hass: HomeAssistant, home: Home
) -> None:
    entry = await home.start(limit(), load("heater", 1), load("network", 2, protected=True))
    about = {"config_entry_id": entry.entry_id}
    await home.measure(1_000)
    await home.call(DOMAIN, "shed_now", **about)
    assert not home.is_on("heater")
    await home.hold(500, 300)
    assert not home.is_on("heater"), "it was asked to stay off for half an hour"
    await home.call(DOMAIN, "restore_now", **about, load="input_boolean.heater")
    assert home.is_on("heater")
    await home.measure(6_500)
    assert home.is_on("heater"), "what was asked for is left alone"
    for action, data, key in (
        ("shed_now", {"load": "input_boolean.network"}, "refused_protected"),
        ("restore_now", {"load": "input_boolean.heater"}, "refused_not_shed"),
        ("restore_now", {}, "refused_all"),
        ("shed_now", {"load": "input_boolean.nobody"}, "no_such_load"),
    ):
        with pytest.raises(ServiceValidationError) as refused:
            await home.call(DOMAIN, action, **about, **data)
        assert refused.value.translation_key == key


async def test_diagnostics_tell_the_plan_the_state_and_the_journal(
    hass: HomeAssistant, home: Home
) -> None:
    from custom_components.energy_meter.diagnostics import async_get_config_entry_diagnostics

    entry = await home.start(limit(), load("heater", 1))
    await home.measure(6_500)
    found = await async_get_config_entry_diagnostics(hass, entry)
    assert found["outlook"]["status"] == "shedding"
    assert found["memory"]["journal"][-1]["event"] == "shed"
    assert found["loads"][0]["why_off"] is not None


async def test_state_that_cannot_be_understood_is_dropped(
    hass: HomeAssistant, home: Home, hass_storage: dict[str, Any]
) -> None:
    from .home import entry_with

    entry = entry_with(limit(), load("heater", 1))
    key = f"{DOMAIN}.load_shedding.{entry.entry_id}"
    hass_storage[key] = {"version": 1, "minor_version": 1, "key": key, "data": {"loads": 3}}
    entry.add_to_hass(hass)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    await home.measure(6_500)
    assert not home.is_on("heater")
    assert runtime(entry).controller.memory.enabled
