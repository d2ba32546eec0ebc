"""The Energy dashboard is filled by role, and nothing of the user's is ever touched."""

from collections.abc import Collection
from copy import deepcopy
from datetime import timedelta
from typing import Any

from homeassistant.components.energy import data as energy_data
from homeassistant.components.energy.data import (
    DEVICE_CONSUMPTION_SCHEMA,
    ENERGY_SOURCE_SCHEMA,
    EnergyManager,
    async_get_manager,
)
from homeassistant.components.energy.validate import async_validate
from homeassistant.config_entries import ConfigSubentry, ConfigSubentryData
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed
from pytest_homeassistant_custom_component.components.recorder.common import (
    async_wait_recording_done,
    do_adhoc_statistics,
)

from custom_components.energy_meter.const import DOMAIN, ROLES, SUBENTRY_METER
from custom_components.energy_meter.energy_dashboard import (
    SETTLE,
    DashboardMeter,
    _async_dashboard,
    async_apply,
    async_withdraw,
    planned_changes,
)
from custom_components.energy_meter.energy_roles import Obstacle
from custom_components.energy_meter.flows.phrases import Phrases
from custom_components.energy_meter.model import QUANTITIES, Kind

TWO_WAY = ("power", "energy_import", "energy_export")

type Prefs = dict[str, list[dict[str, Any]]]


@pytest.fixture
async def manager(recorder_mock: None, hass: HomeAssistant) -> EnergyManager:
    """Home Assistant with its Energy dashboard."""
    assert await async_setup_component(hass, "sensor", {})
    assert await async_setup_component(hass, "energy", {})
    await hass.async_block_till_done()
    return await async_get_manager(hass)


@pytest.fixture
def home_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dashboard that knows the source `home`, as it does from 2026.11."""
    monkeypatch.setattr(energy_data, "HomeSourceType", dict, raising=False)


class House:
    """A line with meters that are set up, as far as registries and states go."""

    def __init__(self, hass: HomeAssistant) -> None:
        self.hass = hass
        self.entry = MockConfigEntry(domain=DOMAIN, title="Line")
        self.entry.add_to_hass(hass)
        self.registry = er.async_get(hass)

    def meter(
        self,
        identity: str,
        role: str,
        keys: Collection[str] = TWO_WAY,
        *,
        off: Collection[str] = (),
        **data: Any,
    ) -> ConfigSubentry:
        """Set a meter up and give it entities; `off` are disabled by default."""
        subentry = ConfigSubentry(
            **ConfigSubentryData(  # type: ignore[arg-type]
                data={
                    "identity": identity,
                    "role": role,
                    "energy_dashboard": True,
                    **data,
                },
                subentry_type=SUBENTRY_METER,
                title=identity.title(),
                unique_id=identity,
            )
        )
        self.hass.config_entries.async_add_subentry(self.entry, subentry)
        self.entities(subentry, keys, off=off)
        return subentry

    def entities(
        self, subentry: ConfigSubentry, keys: Collection[str], *, off: Collection[str] = ()
    ) -> None:
        """Register a meter's sensors and give those that are on a state."""
        identity = subentry.data["identity"]
        for key in keys:
            entity = self.registry.async_get_or_create(
                "sensor",
                DOMAIN,
                f"{identity}_{key}",
                suggested_object_id=f"{identity}_{key}",
                config_entry=self.entry,
                config_subentry_id=subentry.subentry_id,
                disabled_by=er.RegistryEntryDisabler.INTEGRATION if key in off else None,
            )
            if not entity.disabled:
                self.show(entity.entity_id, key)

    def show(self, entity_id: str, key: str) -> None:
        """Write a state as our sensors do."""
        energy = QUANTITIES[key].kind is Kind.ENERGY
        self.hass.states.async_set(
            entity_id,
            "12.5",
            {
                "device_class": "energy" if energy else "power",
                "state_class": "total_increasing" if energy else "measurement",
                "unit_of_measurement": QUANTITIES[key].unit,
            },
        )

    def change(self, subentry: ConfigSubentry, **data: Any) -> ConfigSubentry:
        """Reconfigure a meter; None removes a field."""
        title = data.pop("title", subentry.title)
        changed = {
            key: value for key, value in (dict(subentry.data) | data).items() if value is not None
        }
        self.hass.config_entries.async_update_subentry(
            self.entry, subentry, data=changed, title=title
        )
        updated: ConfigSubentry = self.entry.subentries[subentry.subentry_id]
        return updated

    async def apply(self, subentry: ConfigSubentry) -> bool:
        """As the runtime does once the entities are there."""
        return await async_apply(self.hass, self.entry, subentry)


@pytest.fixture
def house(hass: HomeAssistant) -> House:
    """A line without meters."""
    return House(hass)


def prefs(manager: EnergyManager) -> Prefs:
    """What is in the dashboard, after the checks that the frontend's saving would make."""
    data: Any = deepcopy(manager.data or manager.default_preferences())
    if not any(source["type"] == "home" for source in data["energy_sources"]):
        ENERGY_SOURCE_SCHEMA(deepcopy(data["energy_sources"]))
    for device in data["device_consumption"]:
        DEVICE_CONSUMPTION_SCHEMA(dict(device))
    return {"sources": data["energy_sources"], "devices": data["device_consumption"]}


async def by_hand(manager: EnergyManager, **update: Any) -> None:
    """Save preferences as the user does in the frontend."""
    if "energy_sources" in update:
        update["energy_sources"] = ENERGY_SOURCE_SCHEMA(update["energy_sources"])
    await manager.async_update(update)  # type: ignore[arg-type]


# What each role adds


async def test_a_grid_meter_brings_import_export_and_power(
    manager: EnergyManager, house: House
) -> None:
    assert await house.apply(house.meter("grid", "grid"))
    (source,) = prefs(manager)["sources"]
    assert source["type"] == "grid"
    assert source["stat_energy_from"] == "sensor.grid_energy_import"
    assert source["stat_energy_to"] == "sensor.grid_energy_export"
    assert source["power_config"] == {"stat_rate": "sensor.grid_power"}
    assert source["stat_rate"] == "sensor.grid_power"
    assert source["stat_cost"] is None
    assert prefs(manager)["devices"] == []


async def test_a_solar_meter_that_counts_production_as_import_brings_its_power(
    manager: EnergyManager, house: House
) -> None:
    await house.apply(house.meter("roof", "solar", production="import"))
    assert prefs(manager)["sources"] == [
        {
            "type": "solar",
            "name": "Roof",
            "stat_energy_from": "sensor.roof_energy_import",
            "config_entry_solar_forecast": None,
            "stat_rate": "sensor.roof_power",
        }
    ]


async def test_a_solar_meter_that_counts_production_as_export_does_not_show_negative_power(
    manager: EnergyManager, house: House
) -> None:
    await house.apply(house.meter("roof", "solar", production="export"))
    (source,) = prefs(manager)["sources"]
    assert source["stat_energy_from"] == "sensor.roof_energy_export"
    assert "stat_rate" not in source


async def test_a_solar_meter_with_power_fed_back_shows_that_and_switches_it_on(
    manager: EnergyManager, house: House
) -> None:
    keys = (*TWO_WAY, "power_export")
    await house.apply(house.meter("roof", "solar", keys, off={"power_export"}, production="export"))
    (source,) = prefs(manager)["sources"]
    assert source["stat_rate"] == "sensor.roof_power_export"
    entity = house.registry.async_get("sensor.roof_power_export")
    assert entity is not None and not entity.disabled


@pytest.mark.parametrize(
    ("production", "out", "into", "power_config", "rate"),
    [
        (
            "export",
            "energy_export",
            "energy_import",
            {"stat_rate_inverted": "sensor.cell_power"},
            "sensor.cell_power_inverted",
        ),
        (
            "import",
            "energy_import",
            "energy_export",
            {"stat_rate": "sensor.cell_power"},
            "sensor.cell_power",
        ),
    ],
)
async def test_a_battery_shows_discharge_as_positive_either_way_round(
    manager: EnergyManager,
    house: House,
    *,
    production: str,
    out: str,
    into: str,
    power_config: dict[str, str],
    rate: str,
) -> None:
    await house.apply(house.meter("cell", "battery", production=production))
    hass = house.hass
    await hass.async_block_till_done()
    (source,) = prefs(manager)["sources"]
    assert source["stat_energy_from"] == f"sensor.cell_{out}"
    assert source["stat_energy_to"] == f"sensor.cell_{into}"
    assert source["power_config"] == power_config
    assert source["stat_rate"] == rate
    state = hass.states.get(rate)
    assert state is not None
    assert float(state.state) == (-12.5 if production == "export" else 12.5)


async def test_a_battery_without_both_counters_is_not_added(
    manager: EnergyManager, house: House
) -> None:
    assert not await house.apply(house.meter("cell", "battery", ("power", "energy_import")))
    assert prefs(manager)["sources"] == []


async def test_a_device_carries_its_name_and_the_device_it_is_inside_of(
    manager: EnergyManager, house: House
) -> None:
    await house.apply(house.meter("kitchen", "device"))
    await house.apply(house.meter("oven", "device", inside="kitchen"))
    assert prefs(manager)["devices"] == [
        {
            "stat_consumption": "sensor.kitchen_energy_import",
            "name": "Kitchen",
            "stat_rate": "sensor.kitchen_power",
        },
        {
            "stat_consumption": "sensor.oven_energy_import",
            "name": "Oven",
            "stat_rate": "sensor.oven_power",
            "included_in_stat": "sensor.kitchen_energy_import",
        },
    ]


async def test_a_device_finds_the_one_it_is_inside_of_when_that_comes_later(
    manager: EnergyManager, house: House
) -> None:
    await house.apply(house.meter("oven", "device", inside="kitchen"))
    assert "included_in_stat" not in prefs(manager)["devices"][0]
    await house.apply(house.meter("kitchen", "device"))
    assert prefs(manager)["devices"][0]["included_in_stat"] == "sensor.kitchen_energy_import"


async def test_a_device_inside_of_the_grid_meter_stands_alone(
    manager: EnergyManager, house: House
) -> None:
    await house.apply(house.meter("grid", "grid"))
    await house.apply(house.meter("oven", "device", inside="grid"))
    assert "included_in_stat" not in prefs(manager)["devices"][0]


async def test_devices_inside_of_each_other_make_no_circle(
    manager: EnergyManager, house: House
) -> None:
    await house.apply(house.meter("a", "device", inside="c"))
    await house.apply(house.meter("b", "device", inside="a"))
    await house.apply(house.meter("c", "device", inside="b"))
    inside = {
        device["stat_consumption"]: device.get("included_in_stat")
        for device in prefs(manager)["devices"]
    }
    for start in inside:
        seen, at = set(), start
        while (at := inside.get(at)) is not None:
            assert at not in seen
            seen.add(at)
    assert sum(outer is not None for outer in inside.values()) == 2


async def test_a_total_counter_serves_a_device_that_has_no_other_and_is_switched_on(
    manager: EnergyManager, house: House
) -> None:
    await house.apply(
        house.meter("pump", "device", ("power", "energy_total"), off={"energy_total"})
    )
    (device,) = prefs(manager)["devices"]
    assert device["stat_consumption"] == "sensor.pump_energy_total"
    entity = house.registry.async_get("sensor.pump_energy_total")
    assert entity is not None and not entity.disabled


async def test_a_sensor_that_the_user_has_disabled_is_left_so(
    manager: EnergyManager, house: House
) -> None:
    grid = house.meter("grid", "grid")
    house.registry.async_update_entity(
        "sensor.grid_energy_export", disabled_by=er.RegistryEntryDisabler.USER
    )
    await house.apply(grid)
    (source,) = prefs(manager)["sources"]
    assert source["stat_energy_to"] is None
    entity = house.registry.async_get("sensor.grid_energy_export")
    assert entity is not None and entity.disabled_by is er.RegistryEntryDisabler.USER


@pytest.mark.usefixtures("home_known")
async def test_the_whole_home_is_added_once_where_the_dashboard_knows_it(
    manager: EnergyManager, house: House
) -> None:
    assert await house.apply(house.meter("panel", "home"))
    assert not await house.apply(house.meter("other", "home"))
    assert prefs(manager)["sources"] == [
        {
            "type": "home",
            "name": "Panel",
            "stat_energy_to": "sensor.panel_energy_import",
            "stat_rate": "sensor.panel_power",
        }
    ]


async def test_the_whole_home_is_left_out_where_the_dashboard_does_not_know_it(
    manager: EnergyManager, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(energy_data, "HomeSourceType", raising=False)
    assert not await house.apply(house.meter("panel", "home"))
    assert prefs(manager) == {"sources": [], "devices": []}


async def test_a_meter_of_nothing_special_or_without_consent_adds_nothing(
    manager: EnergyManager, house: House
) -> None:
    assert not await house.apply(house.meter("a", "none"))
    assert not await house.apply(house.meter("b", "grid", energy_dashboard=False))
    assert prefs(manager) == {"sources": [], "devices": []}


async def test_home_assistant_finds_nothing_to_complain_about(
    manager: EnergyManager, house: House, hass: HomeAssistant
) -> None:
    await house.apply(house.meter("grid", "grid"))
    await house.apply(house.meter("roof", "solar", production="import"))
    await house.apply(house.meter("cell", "battery", production="import"))
    await house.apply(house.meter("kitchen", "device"))
    await house.apply(house.meter("oven", "device", inside="kitchen"))
    await async_wait_recording_done(hass)
    start = dt_util.utcnow().replace(second=0, microsecond=0)
    do_adhoc_statistics(hass, start=start - timedelta(minutes=start.minute % 5))
    await async_wait_recording_done(hass)

    result = (await async_validate(hass)).as_dict()

    assert result["energy_sources"] == [[], [], []]
    assert result["device_consumption"] == [[], []]


# Nothing of the user's is touched


async def test_what_is_there_already_stays_in_its_place(
    manager: EnergyManager, house: House
) -> None:
    await by_hand(
        manager,
        energy_sources=[
            {"type": "gas", "stat_energy_from": "sensor.gas"},
            {
                "type": "grid",
                "stat_energy_from": "sensor.other_import",
                "number_energy_price": 0.3,
                "cost_adjustment_day": 0,
            },
        ],
        device_consumption=[{"stat_consumption": "sensor.fridge"}],
    )
    before = prefs(manager)
    await house.apply(house.meter("grid", "grid"))
    await house.apply(house.meter("oven", "device"))
    after = prefs(manager)
    assert after["sources"][:2] == before["sources"] and len(after["sources"]) == 3
    assert after["devices"][:1] == before["devices"] and len(after["devices"]) == 2
    await async_withdraw(house.hass, "grid")
    await async_withdraw(house.hass, "oven")
    assert prefs(manager) == before


@pytest.mark.parametrize(
    ("role", "update"),
    [
        (
            "grid",
            {
                "energy_sources": [
                    {
                        "type": "grid",
                        "stat_energy_from": "sensor.mine_energy_import",
                        "cost_adjustment_day": 0,
                    }
                ]
            },
        ),
        (
            "grid",
            {
                "energy_sources": [
                    {
                        "type": "grid",
                        "stat_energy_to": "sensor.mine_energy_export",
                        "cost_adjustment_day": 0,
                    }
                ]
            },
        ),
        (
            "solar",
            {
                "energy_sources": [
                    {"type": "solar", "stat_energy_from": "sensor.mine_energy_export"}
                ]
            },
        ),
        (
            "battery",
            {
                "energy_sources": [
                    {
                        "type": "battery",
                        "stat_energy_from": "sensor.mine_energy_export",
                        "stat_energy_to": "sensor.elsewhere",
                    }
                ]
            },
        ),
        ("device", {"device_consumption": [{"stat_consumption": "sensor.mine_energy_import"}]}),
    ],
)
async def test_a_statistic_that_the_user_has_added_is_not_added_again_nor_taken_back(
    manager: EnergyManager, house: House, role: str, update: dict[str, Any]
) -> None:
    await by_hand(manager, **update)
    before = prefs(manager)
    subentry = house.meter("mine", role)
    assert not await house.apply(subentry)
    assert prefs(manager) == before
    assert not await async_withdraw(house.hass, "mine")
    assert prefs(manager) == before


async def test_power_that_another_grid_connection_has_is_not_added_twice(
    manager: EnergyManager, house: House
) -> None:
    await by_hand(
        manager,
        energy_sources=[
            {
                "type": "grid",
                "stat_energy_from": "sensor.other_import",
                "power_config": {"stat_rate": "sensor.grid_power"},
                "cost_adjustment_day": 0,
            }
        ],
    )
    await house.apply(house.meter("grid", "grid"))
    assert "power_config" not in prefs(manager)["sources"][1]


async def test_setting_up_again_adds_nothing(manager: EnergyManager, house: House) -> None:
    grid = house.meter("grid", "grid")
    oven = house.meter("oven", "device")
    for subentry in (grid, oven):
        await house.apply(subentry)
    before = prefs(manager)
    for subentry in (grid, oven):
        assert not await house.apply(subentry)
    assert prefs(manager) == before


async def test_what_the_user_has_deleted_stays_deleted(
    manager: EnergyManager, house: House
) -> None:
    grid = house.meter("grid", "grid")
    await house.apply(grid)
    await by_hand(manager, energy_sources=[])
    assert not await house.apply(grid)
    assert prefs(manager)["sources"] == []


async def test_removing_a_meter_takes_back_its_own_only(
    manager: EnergyManager, house: House
) -> None:
    await house.apply(house.meter("one", "device"))
    await house.apply(house.meter("two", "device"))
    assert await async_withdraw(house.hass, "one")
    assert [device["name"] for device in prefs(manager)["devices"]] == ["Two"]
    assert not await async_withdraw(house.hass, "one")
    assert not await async_withdraw(house.hass, "never_seen")


async def test_an_entry_that_the_user_has_changed_is_theirs(
    manager: EnergyManager, house: House
) -> None:
    await house.apply(house.meter("grid", "grid"))
    (source,) = prefs(manager)["sources"]
    await by_hand(manager, energy_sources=[source | {"number_energy_price": 0.31}])
    before = prefs(manager)
    assert not await async_withdraw(house.hass, "grid")
    assert prefs(manager) == before


async def test_saving_the_page_without_a_change_leaves_our_entries_ours(
    manager: EnergyManager, house: House
) -> None:
    await house.apply(house.meter("grid", "grid"))
    await house.apply(house.meter("cell", "battery", production="export"))
    await by_hand(manager, energy_sources=prefs(manager)["sources"])
    assert await async_withdraw(house.hass, "cell")
    assert await async_withdraw(house.hass, "grid")
    assert prefs(manager)["sources"] == []


async def test_removing_the_outer_device_frees_the_inner_one(
    manager: EnergyManager, house: House
) -> None:
    await house.apply(house.meter("kitchen", "device"))
    await house.apply(house.meter("oven", "device", inside="kitchen"))
    await async_withdraw(house.hass, "kitchen")
    (device,) = prefs(manager)["devices"]
    assert device["name"] == "Oven" and "included_in_stat" not in device
    assert await async_withdraw(house.hass, "oven")


# Changes


async def test_another_role_moves_the_meter(manager: EnergyManager, house: House) -> None:
    subentry = house.meter("mine", "grid")
    await house.apply(subentry)
    subentry = house.change(subentry, role="device")
    assert await house.apply(subentry)
    assert prefs(manager)["sources"] == []
    assert [device["name"] for device in prefs(manager)["devices"]] == ["Mine"]
    await house.apply(house.change(subentry, role="none"))
    assert prefs(manager) == {"sources": [], "devices": []}


async def test_turning_production_round_replaces_the_entry(
    manager: EnergyManager, house: House
) -> None:
    subentry = house.meter("cell", "battery", production="export")
    await house.apply(subentry)
    await house.apply(house.change(subentry, production="import"))
    (source,) = prefs(manager)["sources"]
    assert source["stat_energy_from"] == "sensor.cell_energy_import"
    assert source["power_config"] == {"stat_rate": "sensor.cell_power"}


async def test_taking_consent_back_takes_the_entry_back(
    manager: EnergyManager, house: House
) -> None:
    subentry = house.meter("grid", "grid")
    await house.apply(subentry)
    await house.apply(house.change(subentry, energy_dashboard=False))
    assert prefs(manager)["sources"] == []


async def test_another_place_or_name_of_a_device_is_followed_where_it_stands(
    manager: EnergyManager, house: House
) -> None:
    await house.apply(house.meter("kitchen", "device"))
    oven = house.meter("oven", "device")
    await house.apply(oven)
    await house.apply(house.meter("lamp", "device"))
    await house.apply(house.change(oven, inside="kitchen", title="Oven, upper"))
    devices = prefs(manager)["devices"]
    assert [device["name"] for device in devices] == ["Kitchen", "Oven, upper", "Lamp"]
    assert devices[1]["included_in_stat"] == "sensor.kitchen_energy_import"
    await house.apply(house.change(house.entry.subentries[oven.subentry_id], inside=None))
    assert "included_in_stat" not in prefs(manager)["devices"][1]


@pytest.mark.parametrize("role", ["grid", "solar", "battery"])
async def test_a_source_carries_the_meters_name_and_follows_it(
    manager: EnergyManager, house: House, role: str
) -> None:
    subentry = house.meter("mine", role)
    await house.apply(subentry)
    assert [source["name"] for source in prefs(manager)["sources"]] == ["Mine"]
    await house.apply(house.change(subentry, title="Cellar"))
    assert [source["name"] for source in prefs(manager)["sources"]] == ["Cellar"]
    assert await async_withdraw(house.hass, "mine")


async def test_a_source_that_was_added_without_a_name_gets_it_and_a_users_own_name_stays(
    hass: HomeAssistant, manager: EnergyManager, house: House
) -> None:
    grid, roof = house.meter("grid", "grid"), house.meter("roof", "solar")
    await house.apply(grid)
    await house.apply(roof)
    nameless = [
        {key: value for key, value in source.items() if key != "name"}
        for source in prefs(manager)["sources"]
    ]
    dashboard = await _async_dashboard(hass)
    for identity in ("grid", "roof"):
        del dashboard._records[identity]["item"]["name"]
    await by_hand(manager, energy_sources=[nameless[0], nameless[1] | {"name": "My roof"}])
    await house.apply(grid)
    await house.apply(roof)
    assert [source["name"] for source in prefs(manager)["sources"]] == ["Grid", "My roof"]


async def test_renamed_entities_are_followed_everywhere(
    manager: EnergyManager, house: House, hass: HomeAssistant
) -> None:
    await house.apply(house.meter("grid", "grid"))
    await house.apply(house.meter("cell", "battery", production="export"))
    await house.apply(house.meter("kitchen", "device"))
    await house.apply(house.meter("oven", "device", inside="kitchen"))
    for old, new in (
        ("sensor.grid_energy_export", "sensor.fed_back"),
        ("sensor.cell_power", "sensor.cell_watts"),
        ("sensor.kitchen_energy_import", "sensor.kitchen_kwh"),
    ):
        house.registry.async_update_entity(old, new_entity_id=new)
        await hass.async_block_till_done()
    now = prefs(manager)
    assert now["sources"][0]["stat_energy_to"] == "sensor.fed_back"
    assert now["sources"][1]["power_config"] == {"stat_rate_inverted": "sensor.cell_watts"}
    assert now["devices"][0]["stat_consumption"] == "sensor.kitchen_kwh"
    assert now["devices"][1]["included_in_stat"] == "sensor.kitchen_kwh"
    for identity in ("grid", "cell", "kitchen", "oven"):
        assert await async_withdraw(hass, identity)
    assert prefs(manager) == {"sources": [], "devices": []}


async def test_a_renamed_sensor_keeps_the_price_that_the_user_has_set(
    manager: EnergyManager, house: House, hass: HomeAssistant
) -> None:
    await house.apply(house.meter("grid", "grid"))
    (source,) = prefs(manager)["sources"]
    await by_hand(manager, energy_sources=[source | {"number_energy_price": 0.31}])
    house.registry.async_update_entity("sensor.grid_energy_import", new_entity_id="sensor.taken")
    await hass.async_block_till_done()
    (source,) = prefs(manager)["sources"]
    assert source["stat_energy_from"] == "sensor.taken"
    assert source["number_energy_price"] == 0.31


async def test_entities_that_come_later_are_waited_for(
    manager: EnergyManager, house: House, hass: HomeAssistant
) -> None:
    grid = house.meter("grid", "grid", ())
    assert not await house.apply(grid)
    house.entities(grid, TWO_WAY)
    await hass.async_block_till_done()
    assert prefs(manager)["sources"] == []
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=SETTLE + 1))
    await hass.async_block_till_done()
    (source,) = prefs(manager)["sources"]
    assert source["stat_energy_to"] == "sensor.grid_energy_export"


async def test_sensors_that_come_after_the_entry_are_added_to_it(
    manager: EnergyManager, house: House
) -> None:
    grid = house.meter("grid", "grid", ("energy_import",))
    oven = house.meter("oven", "device", ("energy_import",))
    assert await house.apply(grid)
    assert await house.apply(oven)
    for subentry in (grid, oven):
        house.entities(subentry, TWO_WAY)
        assert not await house.apply(subentry)
    (source,) = prefs(manager)["sources"]
    assert source["stat_energy_to"] == "sensor.grid_energy_export"
    assert source["power_config"] == {"stat_rate": "sensor.grid_power"}
    assert prefs(manager)["devices"][0]["stat_rate"] == "sensor.oven_power"
    assert await async_withdraw(house.hass, "grid")


async def test_a_meter_that_is_removed_while_waited_for_adds_nothing(
    manager: EnergyManager, house: House, hass: HomeAssistant
) -> None:
    grid = house.meter("grid", "grid", ())
    await house.apply(grid)
    house.hass.config_entries.async_remove_subentry(house.entry, grid.subentry_id)
    house.entities(house.meter("other", "none", ()), TWO_WAY)
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=SETTLE + 1))
    await hass.async_block_till_done()
    assert prefs(manager)["sources"] == []


# Without the dashboard, and what is remembered


async def test_without_the_energy_integration_nothing_happens_and_nothing_breaks(
    recorder_mock: None, hass: HomeAssistant, house: House
) -> None:
    grid = house.meter("grid", "grid")
    assert not await house.apply(grid)
    assert not await async_withdraw(hass, "grid")
    (change,) = await planned_changes(
        hass, [DashboardMeter(identity="grid", name="Grid", role="grid", quantities=TWO_WAY)]
    )
    assert change.obstacle is Obstacle.NO_DASHBOARD
    assert await async_setup_component(hass, "energy", {})
    await hass.async_block_till_done()
    assert await house.apply(grid)


async def test_what_is_ours_is_remembered_over_a_restart(
    manager: EnergyManager, house: House, hass: HomeAssistant, hass_storage: dict[str, Any]
) -> None:
    grid = house.meter("grid", "grid")
    await house.apply(grid)
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=70))
    await hass.async_block_till_done()
    assert "grid" in hass_storage["energy_meter.energy_dashboard"]["data"]["meters"]
    # A restart, and a rename while the integration was not there to see it.
    hass.data.pop("energy_meter_energy_dashboard")
    house.registry.async_update_entity("sensor.grid_power", new_entity_id="sensor.watts")
    await hass.async_block_till_done()
    hass.data.pop("energy_meter_energy_dashboard", None)
    assert not await house.apply(grid)
    (source,) = prefs(manager)["sources"]
    assert source["power_config"] == {"stat_rate": "sensor.watts"}
    assert await async_withdraw(hass, "grid")
    assert prefs(manager)["sources"] == []


async def test_a_damaged_memory_is_as_none(
    manager: EnergyManager, house: House, hass_storage: dict[str, Any]
) -> None:
    hass_storage["energy_meter.energy_dashboard"] = {
        "version": 1,
        "minor_version": 1,
        "key": "energy_meter.energy_dashboard",
        "data": {"meters": {"grid": {"item": 3}, "other": "x"}},
    }
    assert await house.apply(house.meter("grid", "grid"))
    assert len(prefs(manager)["sources"]) == 1


# What is said beforehand


async def test_the_plan_says_what_setting_up_then_does(
    manager: EnergyManager, house: House, hass: HomeAssistant
) -> None:
    meters = [
        DashboardMeter(
            identity=f"{role}_1", name=f"My {role}", role=role, quantities=TWO_WAY, inside=None
        )
        for role in ROLES
    ] + [
        DashboardMeter(
            identity="oven",
            name="Oven",
            role="device",
            quantities=TWO_WAY,
            inside="device_1",
        ),
        DashboardMeter(identity="bad", name="Bad", role="battery", quantities=("power",)),
        DashboardMeter(identity="mute", name="Mute", role="grid", quantities=("voltage",)),
    ]
    before = prefs(manager)
    changes = {change.meter.identity: change for change in await planned_changes(hass, meters)}
    assert prefs(manager) == before
    assert "none_1" not in changes
    assert changes["bad"].obstacle is Obstacle.NEEDS_BOTH
    assert changes["mute"].obstacle is Obstacle.NO_ENERGY
    assert changes["oven"].inside == "My device"

    for role in ROLES:
        await house.apply(house.meter(f"{role}_1", role))
    added = [source["type"] for source in prefs(manager)["sources"]]
    planned = [
        change.part.role
        for change in changes.values()
        if change.obstacle is None and change.part.role != "device"
    ]
    assert added == planned


@pytest.mark.usefixtures("home_known")
async def test_the_plan_lets_one_meter_be_the_whole_home(
    manager: EnergyManager, hass: HomeAssistant
) -> None:
    changes = await planned_changes(
        hass,
        [
            DashboardMeter(identity=name, name=name, role="home", quantities=TWO_WAY)
            for name in ("one", "two")
        ],
    )
    assert [change.obstacle for change in changes] == [None, Obstacle.HOME_TAKEN]


async def test_the_plan_knows_what_is_there_but_not_its_own(
    manager: EnergyManager, house: House, hass: HomeAssistant
) -> None:
    await house.apply(house.meter("ours", "grid"))
    house.meter("theirs", "grid")
    ours, theirs = (
        DashboardMeter(identity=name, name=name, role="grid", quantities=TWO_WAY)
        for name in ("ours", "theirs")
    )
    await by_hand(
        manager,
        energy_sources=[
            *prefs(manager)["sources"],
            {
                "type": "grid",
                "stat_energy_from": "sensor.theirs_energy_import",
                "cost_adjustment_day": 0,
            },
        ],
    )
    changes = await planned_changes(hass, [ours, theirs])
    assert [change.obstacle for change in changes] == [None, Obstacle.ALREADY_THERE]


async def test_every_plan_can_be_said_in_words(
    manager: EnergyManager, hass: HomeAssistant, home_known: None
) -> None:
    phrases = await Phrases.load(hass)
    meters = [
        DashboardMeter(identity=role, name=f"My {role}", role=role, quantities=TWO_WAY)
        for role in ROLES
    ]
    lines = [change.words(phrases) for change in await planned_changes(hass, meters)]
    assert lines[0] == "My grid as grid connection: energy taken, energy fed back, power"
    assert len(lines) == 5
    for obstacle in Obstacle:
        assert "My grid" in phrases(f"dashboard_{obstacle}", name="My grid")
