"""Setting load shedding up by its forms: what works, what is refused and where it is said."""

from typing import Any

from homeassistant.config_entries import SOURCE_USER, ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
import pytest

from custom_components.energy_meter.const import DOMAIN

from .home import Home, entity_id, limit, load, shown, subentry_id

SETTINGS = {
    "margin": 300,
    "restore_delay": 60,
    "hold": 600,
    "per_pass": 3,
    "per_hour": 30,
    "voltage": 230,
}
MORE_LIMIT = {"delay": 0, "freshness": 60, "invert": False}
MORE_LOAD = {"min_on": 0, "min_off": 0, "reaction": 1}
LIMIT = {
    "name": "Main fuse",
    "sensor": "sensor.grid",
    "phase": "all",
    "urgency": "hard",
    "value": 5_000,
    "more": MORE_LIMIT,
}
LOAD = {
    "name": "Heater",
    "entity": "input_boolean.heater",
    "order": 1,
    "phase": "single",
    "power": 2_000,
    "restorable": True,
    "protected": False,
    "more": MORE_LOAD,
}


async def create(hass: HomeAssistant) -> ConfigEntry:
    """Go through the menu and the first form."""
    flow = hass.config_entries.flow
    menu = await flow.async_init(DOMAIN, context={"source": SOURCE_USER})
    assert "load_shedding" in menu["menu_options"]
    form = await flow.async_configure(menu["flow_id"], {"next_step_id": "load_shedding"})
    assert form["type"] is FlowResultType.FORM
    done = await flow.async_configure(form["flow_id"], SETTINGS)
    assert done["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    entry: ConfigEntry = done["result"]
    return entry


async def add(
    hass: HomeAssistant, entry: ConfigEntry, kind: str, *inputs: dict[str, Any]
) -> dict[str, Any]:
    """Go through the forms of a limit or a load."""
    flow = hass.config_entries.subentries
    step: Any = await flow.async_init((entry.entry_id, kind), context={"source": SOURCE_USER})
    for each in inputs:
        step = await flow.async_configure(step["flow_id"], each)
    await hass.async_block_till_done()
    result: dict[str, Any] = step
    return result


async def change(
    hass: HomeAssistant, entry: ConfigEntry, title: str, user_input: dict[str, Any]
) -> dict[str, Any]:
    """Go through the form of a limit or a load that is there."""
    flow = hass.config_entries.subentries
    found = entry.subentries[subentry_id(entry, title)]
    step: Any = await flow.async_init(
        (entry.entry_id, found.subentry_type),
        context={"source": "reconfigure", "subentry_id": found.subentry_id},
    )
    step = await flow.async_configure(step["flow_id"], user_input)
    await hass.async_block_till_done()
    result: dict[str, Any] = step
    return result


async def test_an_entry_a_limit_and_a_load_are_set_up_and_act_at_once(
    hass: HomeAssistant, home: Home
) -> None:
    entry = await create(hass)
    assert shown(hass, "shedding_reason").state == "no_limits"
    assert (await add(hass, entry, "limit", LIMIT))["type"] is FlowResultType.CREATE_ENTRY
    assert shown(hass, "shedding_reason").state == "no_loads"
    assert (await add(hass, entry, "load", LOAD))["type"] is FlowResultType.CREATE_ENTRY
    assert shown(hass, "headroom").name == "Load shedding Main fuse headroom"
    assert shown(hass, "limit", "number").state == "5000.0"
    await home.measure(6_500)
    assert not home.is_on("heater")


@pytest.mark.parametrize(
    ("change_of", "field", "error"),
    [
        ({"name": "  "}, "name", "name_missing"),
        ({"sensor": "sensor.missing"}, "sensor", "not_power_or_current"),
        ({"sensor": "sensor.volts"}, "sensor", "not_power_or_current"),
        ({"value": None}, "value", "value_or_sensor"),
        ({"follows": "sensor.contract"}, "value", "value_or_sensor"),
        ({"value": None, "follows": "sensor.grid"}, "follows", "follows_itself"),
        ({"more": {**MORE_LIMIT, "delay": 10}}, "base", "hard_delay"),
    ],
)
async def test_a_limit_that_cannot_be_is_refused_where_it_is_wrong(
    hass: HomeAssistant, home: Home, change_of: dict[str, Any], field: str, error: str
) -> None:
    await home.measure(230, "sensor.volts", "V")
    entry = await create(hass)
    given = {key: value for key, value in {**LIMIT, **change_of}.items() if value is not None}
    result = await add(hass, entry, "limit", given)
    assert result["type"] is FlowResultType.FORM
    assert result["errors"] == {field: error}
    assert not entry.subentries


@pytest.mark.parametrize(
    ("change_of", "field", "error"),
    [
        ({"name": " "}, "name", "name_missing"),
        ({"power": None}, "power", "power_missing"),
        ({"entity": "input_boolean.ev"}, "entity", "load_twice"),
    ],
)
async def test_a_load_that_cannot_be_is_refused_where_it_is_wrong(
    hass: HomeAssistant, home: Home, change_of: dict[str, Any], field: str, error: str
) -> None:
    entry = await create(hass)
    await add(hass, entry, "load", {**LOAD, "name": "EV", "entity": "input_boolean.ev"})
    given = {key: value for key, value in {**LOAD, **change_of}.items() if value is not None}
    result = await add(hass, entry, "load", given)
    assert result["errors"] == {field: error}
    assert len(entry.subentries) == 1


async def test_a_number_asks_how_it_takes_less(hass: HomeAssistant, home: Home) -> None:
    entry = await create(hass)
    given = {**LOAD, "entity": "input_number.wallbox"}
    given.pop("power")
    how = {"watts_per_unit": 230, "minimum": 6, "step": 1, "pause": True}
    result = await add(hass, entry, "load", given, how)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    (found,) = entry.subentries.values()
    assert found.data["watts_per_unit"] == 230


async def test_a_script_asks_what_brings_it_back(hass: HomeAssistant, home: Home) -> None:
    entry = await create(hass)
    given = {**LOAD, "entity": "script.away"}
    result = await add(hass, entry, "load", given, {"back_script": "script.back"})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    (found,) = entry.subentries.values()
    assert found.data["back_script"] == "script.back"


async def test_the_order_of_loads_is_changed_by_their_numbers(
    hass: HomeAssistant, home: Home
) -> None:
    entry = await home.start(limit(), load("heater", 1), load("ev", 2))
    result = await change(
        hass, entry, "Heater", {**LOAD, "entity": "input_boolean.heater", "order": 3}
    )
    assert result["reason"] == "reconfigure_successful"
    await home.measure(6_500)
    assert home.is_on("heater") and not home.is_on("ev")


async def test_a_limit_is_changed_while_its_sensor_is_away(hass: HomeAssistant, home: Home) -> None:
    entry = await home.start(limit(), load("heater", 1))
    await home.measure("unavailable")
    result = await change(hass, entry, "Main fuse", {**LIMIT, "name": "Fuse", "value": 400})
    assert result["reason"] == "reconfigure_successful"
    await home.measure(500)
    assert not home.is_on("heater")


async def test_a_limit_that_is_removed_takes_its_entities_along(
    hass: HomeAssistant, home: Home
) -> None:
    entry = await home.start(limit(), load("heater", 1))
    headroom = entity_id(hass, "sensor", "headroom")
    hass.config_entries.async_remove_subentry(entry, subentry_id(entry, "Main fuse"))
    await hass.async_block_till_done()
    assert hass.states.get(headroom) is None


async def test_how_careful_it_is_can_be_changed(hass: HomeAssistant, home: Home) -> None:
    entry = await home.start(limit(), load("heater", 1))
    flow = hass.config_entries.flow
    form = await flow.async_init(
        DOMAIN, context={"source": "reconfigure", "entry_id": entry.entry_id}
    )
    assert form["step_id"] == "load_shedding_changed"
    done = await flow.async_configure(form["flow_id"], {**SETTINGS, "margin": 2_000})
    assert done["reason"] == "load_shedding_saved"
    await hass.async_block_till_done()
    await home.measure(6_500)
    await home.hold(1_500, 120)
    assert not home.is_on("heater"), "3500 W less the margin are not enough"
    await home.hold(900, 80)
    assert home.is_on("heater")


async def test_a_limit_that_follows_something_from_now_on_has_no_number_any_more(
    hass: HomeAssistant, home: Home
) -> None:
    entry = await home.start(limit(), load("heater", 1))
    number = entity_id(hass, "number", "limit")
    await home.measure(4, "sensor.contract", "kW")
    given = {key: value for key, value in LIMIT.items() if key != "value"}
    await change(hass, entry, "Main fuse", {**given, "follows": "sensor.contract"})
    assert hass.states.get(number) is None
    await home.measure(4_500)
    assert not home.is_on("heater")
    await change(hass, entry, "Main fuse", LIMIT)
    assert shown(hass, "limit", "number").state == "5000.0"


async def test_a_limit_of_another_kind_has_other_units(hass: HomeAssistant, home: Home) -> None:
    entry = await home.start(limit(), load("heater", 1))
    await home.measure(10, "sensor.phase", "A")
    await change(hass, entry, "Main fuse", {**LIMIT, "sensor": "sensor.phase", "value": 16})
    await hass.async_block_till_done()
    assert shown(hass, "headroom").attributes["unit_of_measurement"] == "A"
    await home.measure(11, "sensor.phase", "A")
    assert shown(hass, "headroom").state == "5.0"


async def test_a_limit_that_is_renamed_has_its_name_in_its_entities(
    hass: HomeAssistant, home: Home
) -> None:
    entry = await home.start(limit(), load("heater", 1))
    await change(hass, entry, "Main fuse", {**LIMIT, "name": "Cellar"})
    await hass.async_block_till_done()
    assert shown(hass, "headroom").name == "Load shedding Cellar headroom"
