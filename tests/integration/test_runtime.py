"""An entry at run time: values come out right, silence and return, meters that come and go."""

from collections.abc import Mapping
from datetime import timedelta
import logging
import threading
from types import MappingProxyType
from typing import Any

from homeassistant.config_entries import ConfigEntryState, ConfigSubentry
from homeassistant.const import STATE_UNAVAILABLE, STATE_UNKNOWN
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.helpers import area_registry as ar, device_registry as dr, entity_registry as er
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import (
    async_fire_time_changed,
    mock_restore_cache_with_extra_data,
)

from custom_components.energy_meter import async_remove_config_entry_device
from custom_components.energy_meter.const import DOMAIN, SUBENTRY_METER
from custom_components.energy_meter.runtime import DATA_LIBRARY
from custom_components.energy_meter.sources.modbus.profile import Profile
from custom_components.energy_meter.store import DATA_STORE
from tests.support.wire import Wire, rtu_line

from .runtime_support import (
    SDM120,
    SDM630,
    entity_id,
    entry_for,
    meter,
    running,
    show,
    shows,
    state,
    subentry,
    subentry_of,
    until,
)

SHOWN = {"voltage": 230.5, "current": 5.5, "power": 1234.5, "energy_import": 567.89}

CALM: dict[str, Any] = {"fast_interval": 1.0, "counter_interval": 1.0, "slow_interval": 1.0}
"""Intervals that even a busy machine keeps."""


def new_subentry(unit_id: int, profile: str = SDM120, **data: Any) -> ConfigSubentry:
    """A subentry as a flow would add it to a running entry."""
    made = subentry(unit_id, profile, **data)
    return ConfigSubentry(
        data=MappingProxyType(dict(made["data"])),
        subentry_type=SUBENTRY_METER,
        title=made["title"],
        unique_id=made["unique_id"],
    )


def asked(line: Wire, unit_id: int) -> set[tuple[int, int, int]]:
    """The blocks that a meter was asked for."""
    return {one.block for one in line.log if one.request.unit_id == unit_id}


async def test_values_of_two_models_on_one_line_come_out_right(hass: HomeAssistant) -> None:
    one = meter(SDM120, 1, SHOWN)
    three = meter(SDM630, 2, {"voltage_l1": 229.1, "power": -250.0, "energy_export": 12.345})
    async with (
        rtu_line([one, three]) as line,
        running(hass, line, subentry(1), subentry(2, SDM630)) as entry,
    ):
        assert entry.state is ConfigEntryState.LOADED
        await shows(hass, "voltage", "230.5")
        await shows(hass, "power", "1234.5")
        await shows(hass, "energy_import", "567.89")
        await shows(hass, "voltage_l1", "229.1", "meter_2")
        await shows(hass, "power", "-250.0", "meter_2")
        await shows(hass, "energy_export", "12.345", "meter_2")


async def test_sensors_are_presented_as_what_they_are(hass: HomeAssistant) -> None:
    async with rtu_line([meter(SDM120, 1, SHOWN)]) as line, running(hass, line, subentry(1)):
        await shows(hass, "energy_import", "567.89")
        energy = state(hass, "energy_import").attributes
        assert energy["device_class"] == "energy"
        assert energy["state_class"] == "total_increasing"
        assert energy["unit_of_measurement"] == "kWh"
        assert energy["friendly_name"] == "Meter 1 Energy import"
        power = state(hass, "power").attributes
        assert power["device_class"] == "power"
        assert power["state_class"] == "measurement"
        assert power["unit_of_measurement"] == "W"
        registry = er.async_get(hass)
        extra = registry.async_get(entity_id(hass, "apparent_power"))
        assert extra is not None
        assert extra.disabled_by is er.RegistryEntryDisabler.INTEGRATION
        health = registry.async_get(entity_id(hass, "answer_time"))
        assert health is not None
        assert health.disabled_by is er.RegistryEntryDisabler.INTEGRATION
        assert health.entity_category == "diagnostic"


async def test_devices_tell_who_the_meter_is_and_where_it_hangs(hass: HomeAssistant) -> None:
    device = meter(SDM120, 1, {**SHOWN, "serial_number": 12345678})
    async with rtu_line([device]) as line, running(hass, line, subentry(1)) as entry:
        await shows(hass, "power", "1234.5")
        devices = dr.async_get(hass)

        def known() -> dr.DeviceEntry | None:
            return devices.async_get_device_by_identifier((DOMAIN, "meter_1"), entry.entry_id)

        await until(lambda: (found := known()) is not None and found.serial_number == "12345678")
        found, hub = (
            known(),
            devices.async_get_device_by_identifier((DOMAIN, entry.entry_id), entry.entry_id),
        )
        assert found is not None and hub is not None
        assert (found.manufacturer, found.model, found.name) == ("Eastron", "SDM120M", "Meter 1")
        assert found.via_device_id == hub.id
        assert hub.name == "Cellar"


async def test_only_what_somebody_looks_at_is_read(hass: HomeAssistant) -> None:
    device = meter(SDM120, 1, SHOWN)
    async with rtu_line([device]) as line, running(hass, line, subentry(1)) as entry:
        await shows(hass, "power", "1234.5")
        coordinator = next(iter(entry.runtime_data.meters.values()))
        assert "power" in coordinator.wanted
        assert "reactive_energy_import" not in coordinator.wanted
        er.async_get(hass).async_update_entity(
            entity_id(hass, "frequency"), disabled_by=er.RegistryEntryDisabler.USER
        )
        await until(lambda: "frequency" not in coordinator.wanted)


async def test_a_reading_that_changes_nothing_writes_nothing(hass: HomeAssistant) -> None:
    device = meter(SDM120, 1, SHOWN)
    async with rtu_line([device]) as line, running(hass, line, subentry(1, **CALM)) as entry:
        await shows(hass, "energy_import", "567.89")
        await shows(hass, "current", "5.5")
        coordinator = next(iter(entry.runtime_data.meters.values()))
        await until(lambda: not (coordinator.wanted - coordinator.values.keys()))
        events: list[Event[Any]] = []

        @callback
        def take(event: Event[Any]) -> None:
            events.append(event)

        hass.bus.async_listen("state_changed", take)
        hass.bus.async_listen("state_reported", take, event_filter=_any)
        before = {one.entity_id: one.last_reported for one in hass.states.async_all()}
        rounds = len(line.log)
        await until(lambda: len(line.log) > rounds + 5)
        assert {one.entity_id: one.last_reported for one in hass.states.async_all()} == before
        assert events == []
        # A change below what is shown is none either; a real one wakes its own entity alone.
        show(device, SDM120, {"power": 1234.52})
        rounds = len(line.log)
        await until(lambda: len(line.log) > rounds + 4)
        assert events == []
        show(device, SDM120, {"power": 1300.0})
        await shows(hass, "power", "1300.0")
        assert {event.data["entity_id"] for event in events} == {entity_id(hass, "power")}


@callback
def _any(_data: Mapping[str, Any]) -> bool:
    return True


async def test_health_is_shown_to_who_looks_for_it_and_looked_at_twice_a_minute(
    hass: HomeAssistant,
) -> None:
    device = meter(SDM120, 1, SHOWN)
    async with rtu_line([device]) as line:
        entry = entry_for(line, [subentry(1)])
        entry.add_to_hass(hass)
        registry = er.async_get(hass)
        keys = ("last_reading", "data_age", "answer_time", "error_rate", "requests")
        for identity, key in (*(("meter_1", key) for key in keys), (entry.entry_id, "line_load")):
            registry.async_get_or_create("sensor", DOMAIN, f"{identity}_{key}")
        assert await hass.config_entries.async_setup(entry.entry_id)
        await shows(hass, "power", "1234.5")
        assert state(hass, "answer_time").state == STATE_UNKNOWN
        written = state(hass, "requests")
        runtime = entry.runtime_data
        await until(lambda: runtime.line.health.meters["meter_1"].answer_time is not None)
        assert state(hass, "requests") is written
        async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=31))
        await hass.async_block_till_done()
        assert float(state(hass, "answer_time").state) < 1
        assert state(hass, "answer_time").attributes["unit_of_measurement"] == "s"
        assert state(hass, "error_rate").state == "0.0"
        assert int(state(hass, "requests").state) > 0
        assert abs(float(state(hass, "data_age").state)) < 5
        last = dt_util.parse_datetime(state(hass, "last_reading").state)
        assert last is not None and dt_util.utcnow() - last < timedelta(seconds=10)
        assert 0 < float(state(hass, "line_load", entry.entry_id).state) <= 100
        await hass.config_entries.async_unload(entry.entry_id)


async def test_a_new_meter_is_put_into_its_area_and_stays_where_the_user_puts_it(
    hass: HomeAssistant,
) -> None:
    areas = ar.async_get(hass)
    cellar, garage = areas.async_create("Cellar"), areas.async_create("Garage")
    device = meter(SDM120, 1, SHOWN)
    place = subentry(1, area=cellar.id)
    async with rtu_line([device]) as line, running(hass, line, place) as entry:
        devices = dr.async_get(hass)

        def known() -> dr.DeviceEntry:
            found = devices.async_get_device_by_identifier((DOMAIN, "meter_1"), entry.entry_id)
            assert found is not None
            return found

        assert known().area_id == cellar.id
        devices.async_update_device(known().id, area_id=garage.id)
        assert await hass.config_entries.async_reload(entry.entry_id)
        assert known().area_id == garage.id


async def test_what_is_kept_of_meters_that_are_gone_is_dropped_at_the_start(
    hass: HomeAssistant, hass_storage: dict[str, Any]
) -> None:
    hass_storage[DOMAIN] = {
        "version": 1,
        "minor_version": 1,
        "key": DOMAIN,
        "data": {"meters": {"gone": {"metering": {}}, "meter_1": {"declined": ["reversed"]}}},
    }
    async with rtu_line([]) as line, running(hass, line, subentry(1)):
        assert hass.data[DATA_STORE].identities == {"meter_1"}
        assert hass.data[DATA_STORE].record("meter_1").declined == ["reversed"]


async def test_only_devices_that_are_neither_line_nor_meter_may_be_deleted(
    hass: HomeAssistant,
) -> None:
    async with rtu_line([]) as line, running(hass, line, subentry(1)) as entry:
        devices = dr.async_get(hass)
        stray = devices.async_get_or_create(
            config_entry_id=entry.entry_id, identifiers={(DOMAIN, "stray")}
        )
        assert await async_remove_config_entry_device(hass, entry, stray)
        for identifier in ("meter_1", entry.entry_id):
            device = devices.async_get_device_by_identifier((DOMAIN, identifier), entry.entry_id)
            assert device is not None
            assert not await async_remove_config_entry_device(hass, entry, device)


async def test_a_silent_meter_takes_down_itself_alone_and_keeps_its_totals(
    hass: HomeAssistant, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = meter(SDM120, 1, SHOWN), meter(SDM120, 2, SHOWN)
    async with rtu_line([one, two]) as line, running(hass, line, subentry(1), subentry(2)):
        for identity in ("meter_1", "meter_2"):
            await shows(hass, "energy_import", "567.89", identity)
        caplog.clear()
        line.silence(1)
        await until(lambda: state(hass, "power").state == STATE_UNAVAILABLE, 10)
        await until(lambda: "Meter 1 does not answer" in caplog.text, 10)
        assert state(hass, "voltage").state == STATE_UNAVAILABLE
        assert state(hass, "energy_import").state == "567.89"
        show(two, SDM120, {"power": 55.0})
        await shows(hass, "power", "55.0", "meter_2")
        line.revive(1)
        await until(lambda: state(hass, "power").state == "1234.5", 15)
        told = [one for one in caplog.records if one.name.startswith("custom_components")]
        assert [(one.levelno, one.message) for one in told if one.levelno > logging.DEBUG] == [
            (logging.WARNING, "Meter 1 does not answer"),
            (logging.INFO, "Meter 1 answers again"),
        ]


async def test_a_value_that_the_meter_does_not_have_is_unknown_and_never_zero(
    hass: HomeAssistant,
) -> None:
    device = meter(SDM120, 1, SHOWN)
    async with rtu_line([device]) as line, running(hass, line, subentry(1)):
        await shows(hass, "frequency", "0.0")
        family_address = 0x46
        device.input[family_address] = 0x7FC0  # A float that is no number.
        await until(lambda: state(hass, "frequency").state == STATE_UNKNOWN)


async def test_a_meter_that_is_missing_from_the_start_fails_nothing(hass: HomeAssistant) -> None:
    async with (
        rtu_line([meter(SDM120, 1, SHOWN)]) as line,
        running(hass, line, subentry(1), subentry(9)) as entry,
    ):
        assert entry.state is ConfigEntryState.LOADED
        await shows(hass, "power", "1234.5")
        assert state(hass, "power", "meter_9").state == STATE_UNAVAILABLE
        assert state(hass, "energy_import", "meter_9").state == STATE_UNAVAILABLE


async def test_totals_come_back_after_a_restart_without_the_meter(hass: HomeAssistant) -> None:
    device = meter(SDM120, 1, SHOWN)
    async with rtu_line([device]) as line, running(hass, line, subentry(1)) as entry:
        await shows(hass, "energy_import", "567.89")
        line.silence(1)
        assert await hass.config_entries.async_reload(entry.entry_id)
        assert state(hass, "energy_import").state == "567.89"
        assert state(hass, "power").state == STATE_UNAVAILABLE
        line.revive(1)
        show(device, SDM120, {"energy_import": 568.0})
        await until(lambda: state(hass, "energy_import").state == "568.0", 10)


async def test_totals_come_back_from_what_home_assistant_restores(hass: HomeAssistant) -> None:
    from homeassistant.core import State

    registered = er.async_get(hass).async_get_or_create(
        "sensor", DOMAIN, "meter_1_energy_import", suggested_object_id="kept"
    )
    mock_restore_cache_with_extra_data(
        hass,
        [
            (
                State(registered.entity_id, "321.5"),
                {"native_value": 321.5, "native_unit_of_measurement": "kWh"},
            )
        ],
    )
    async with rtu_line([]) as line, running(hass, line, subentry(1)):
        assert state(hass, "energy_import").state == "321.5"
        assert state(hass, "energy_export").state == STATE_UNAVAILABLE


async def test_what_is_kept_of_a_meter_is_written_in_time(
    hass: HomeAssistant, hass_storage: dict[str, Any]
) -> None:
    device = meter(SDM120, 1, SHOWN)
    async with rtu_line([device]) as line, running(hass, line, subentry(1)):
        await shows(hass, "energy_import", "567.89")
        async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=31))
        async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=100))
        await until(lambda: DOMAIN in hass_storage)
        kept = hass_storage[DOMAIN]["data"]["meters"]["meter_1"]
        assert kept["metering"]["guards"]["energy_import"]["published"] == pytest.approx(567.89)
        assert kept["line"]["turnaround"] > 0


async def test_nothing_is_lost_or_reported_when_home_assistant_stops(
    hass: HomeAssistant, hass_storage: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    device = meter(SDM120, 1, SHOWN)
    async with rtu_line([device]) as line:
        entry = entry_for(line, [subentry(1)])
        entry.add_to_hass(hass)
        assert await hass.config_entries.async_setup(entry.entry_id)
        await shows(hass, "energy_import", "567.89")
        await hass.async_stop(force=True)
    kept = hass_storage[DOMAIN]["data"]["meters"]["meter_1"]
    assert kept["metering"]["guards"]["energy_import"]["published"] == pytest.approx(567.89)
    assert "does not answer" not in caplog.text


async def test_a_meter_is_added_and_removed_without_touching_the_others(
    hass: HomeAssistant,
) -> None:
    one, two = meter(SDM120, 1, SHOWN), meter(SDM120, 2, SHOWN)
    async with rtu_line([one, two]) as line, running(hass, line, subentry(1, **CALM)) as entry:
        await shows(hass, "energy_import", "567.89")
        await shows(hass, "energy_export", "0.0")
        runtime = entry.runtime_data
        events: list[str] = []

        @callback
        def take(event: Event[Any]) -> None:
            events.append(event.data["entity_id"])

        hass.bus.async_listen("state_changed", take)
        hass.config_entries.async_add_subentry(entry, new_subentry(2, **CALM))
        await until(lambda: hass.states.get("sensor.meter_2_power") is not None)
        await shows(hass, "energy_import", "567.89", "meter_2")
        subentry_id = subentry_of(entry, "meter_2").subentry_id
        registered = er.async_get(hass).async_get(entity_id(hass, "power", "meter_2"))
        assert registered is not None and registered.config_subentry_id == subentry_id

        hass.config_entries.async_remove_subentry(entry, subentry_id)
        await hass.async_block_till_done()
        assert hass.states.get("sensor.meter_2_power") is None
        assert (
            dr.async_get(hass).async_get_device_by_identifier((DOMAIN, "meter_2"), entry.entry_id)
            is None
        )
        assert hass.data[DATA_STORE].identities == {"meter_1"}
        polls = len([each for each in line.log if each.request.unit_id == 2])
        rounds = len(line.log)
        await until(lambda: len(line.log) > rounds + 4)
        assert len([each for each in line.log if each.request.unit_id == 2]) <= polls + 1
        assert entry.runtime_data is runtime
        assert not [each for each in events if each.startswith("sensor.meter_1")]


async def test_a_meter_removed_while_its_profile_is_being_read_leaves_nothing(
    hass: HomeAssistant, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = meter(SDM120, 1, SHOWN), meter(SDM120, 2, SHOWN)
    async with rtu_line([one, two]) as line, running(hass, line, subentry(1)) as entry:
        await shows(hass, "power", "1234.5")
        library = hass.data[DATA_LIBRARY]
        reading, read = threading.Event(), threading.Event()
        load = library.load

        def slowly(slug: str) -> Profile:
            reading.set()
            read.wait(5)
            return load(slug)

        monkeypatch.setattr(library, "load", slowly)
        added = new_subentry(2)
        hass.config_entries.async_add_subentry(entry, added)
        await until(reading.is_set)
        hass.config_entries.async_remove_subentry(entry, added.subentry_id)
        read.set()
        await hass.async_block_till_done()
        assert [each.identity for each in entry.runtime_data.meters.values()] == ["meter_1"]
        assert hass.data[DATA_STORE].identities == {"meter_1"}
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
        # The line has taken no harm: the same meter can be added again.
        hass.config_entries.async_add_subentry(entry, added)
        await until(lambda: hass.states.get("sensor.meter_2_power") is not None)
        await shows(hass, "power", "1234.5", "meter_2")


async def test_a_changed_address_is_followed_in_place(hass: HomeAssistant) -> None:
    one, five = meter(SDM120, 1, SHOWN), meter(SDM120, 5, {**SHOWN, "power": 5.0})
    async with rtu_line([one, five]) as line, running(hass, line, subentry(1)) as entry:
        await shows(hass, "power", "1234.5")
        runtime = entry.runtime_data
        place = subentry_of(entry, "meter_1")
        hass.config_entries.async_update_subentry(
            entry, place, data={**place.data, "unit_id": 5}, title="Moved"
        )
        await shows(hass, "power", "5.0")
        assert entry.runtime_data is runtime
        device = dr.async_get(hass).async_get_device_by_identifier(
            (DOMAIN, "meter_1"), entry.entry_id
        )
        assert device is not None and device.name == "Moved"


async def test_another_model_gives_other_entities_to_this_meter_only(hass: HomeAssistant) -> None:
    one, two = meter(SDM120, 1, SHOWN), meter(SDM120, 2, SHOWN)
    async with (
        rtu_line([one, two]) as line,
        running(hass, line, subentry(1, **CALM), subentry(2, **CALM)) as entry,
    ):
        await shows(hass, "power", "1234.5", "meter_2")
        runtime, other = entry.runtime_data, state(hass, "voltage", "meter_2")
        del line.meters[1]
        line.meters[1] = meter(SDM630, 1, {"voltage_l2": 222.0})
        place = subentry_of(entry, "meter_1")
        hass.config_entries.async_update_subentry(
            entry, place, data={**place.data, "profile": SDM630}
        )
        await until(lambda: hass.states.get("sensor.meter_1_voltage_l2") is not None)
        await shows(hass, "voltage_l2", "222.0")
        assert entry.runtime_data is runtime
        assert state(hass, "voltage", "meter_2") is other


async def test_a_changed_link_is_taken_up_by_a_reload(hass: HomeAssistant) -> None:
    device = meter(SDM120, 1, SHOWN)
    async with rtu_line([device]) as line, running(hass, line, subentry(1)) as entry:
        await shows(hass, "power", "1234.5")
        runtime = entry.runtime_data
        hass.config_entries.async_update_entry(entry, data={**entry.data, "baudrate": 57600})
        await until(
            lambda: entry.state is ConfigEntryState.LOADED and entry.runtime_data is not runtime
        )
        assert entry.runtime_data.link.serial_settings.baudrate == 57600


async def test_unloading_ends_polling_and_loading_begins_it_again(hass: HomeAssistant) -> None:
    device = meter(SDM120, 1, SHOWN)
    async with rtu_line([device]) as line, running(hass, line, subentry(1)) as entry:
        await shows(hass, "power", "1234.5")
        assert await hass.config_entries.async_unload(entry.entry_id)
        assert entry.state is ConfigEntryState.NOT_LOADED
        assert state(hass, "power").state == STATE_UNAVAILABLE
        polls = len(line.log)
        assert await hass.config_entries.async_setup(entry.entry_id)
        await shows(hass, "power", "1234.5")
        assert len(line.log) > polls


async def test_removing_the_entry_leaves_nothing(hass: HomeAssistant) -> None:
    device = meter(SDM120, 1, SHOWN)
    async with rtu_line([device]) as line:
        entry = entry_for(line, [subentry(1)])
        entry.add_to_hass(hass)
        assert await hass.config_entries.async_setup(entry.entry_id)
        await shows(hass, "power", "1234.5")
        await hass.config_entries.async_remove(entry.entry_id)
        await hass.async_block_till_done()
        assert hass.data[DATA_STORE].identities == frozenset()
        assert not er.async_get(hass).entities
        assert not dr.async_get(hass).devices


@pytest.mark.usefixtures("socket_enabled")
async def test_the_simulated_line_runs_like_a_real_one(hass: HomeAssistant) -> None:
    from pytest_homeassistant_custom_component.common import MockConfigEntry

    from custom_components.energy_meter.sources.simulated.meter import METERS

    spec = METERS[0]
    entry = MockConfigEntry(
        domain=DOMAIN,
        title="Simulated",
        data={"transport": "simulated"},
        subentries_data=(subentry(spec.unit_id, spec.profile, identity="first"),),
    )
    entry.add_to_hass(hass)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await until(
        lambda: state(hass, "power", "first").state not in {STATE_UNAVAILABLE, STATE_UNKNOWN}, 20
    )
    assert await hass.config_entries.async_unload(entry.entry_id)
