"""Moving lines and changing meters that are set up: what must stay stays."""

import socket
from types import MappingProxyType
from typing import Any

from homeassistant.config_entries import ConfigEntryState, ConfigSubentry
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import area_registry as ar, device_registry as dr, entity_registry as er
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.energy_meter.alarms.data import SUBENTRY_ALARM, data_of
from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.metering.limits import Limit, LimitKind
from tests.integration.flow_support import NETWORK_ADVANCED, Flow, sdm120, unloaded
from tests.integration.runtime_support import running, shows, state, subentry
from tests.support.meters import MeterServer
from tests.support.wire import rtu_line

pytestmark = pytest.mark.usefixtures("socket_enabled")

LINE = {"baudrate": "115200", "parity": "n", "stopbits": "1", "bytesize": "8"}
KNOWN = subentry(1, identity="eastron_4711", serial_number="4711", role="none")


def _registered(hass: HomeAssistant, identity: str = "eastron_4711") -> dict[str, tuple[str, str]]:
    """Every registry entry of a meter: {unique id: (entity id, registry id)}, the device's too."""
    entries = {
        entity.unique_id: (entity.entity_id, entity.id)
        for entity in er.async_get(hass).entities.values()
        if entity.unique_id.startswith(identity)
    }
    [device] = dr.async_get(hass).async_get_devices(identifiers={(DOMAIN, identity)})
    return entries | {"device": (device.id, device.name_by_user or "")}


async def _fresh(hass: HomeAssistant, watts: str = "512.0") -> None:
    await shows(hass, "power", watts, "eastron_4711")


# The line


async def test_a_line_moves_to_another_transport_with_all_that_belongs_to_it(
    hass: HomeAssistant,
) -> None:
    meter = sdm120(1, serial_number=4711)
    async with (
        rtu_line([sdm120(1, serial_number=4711)], baudrate=115200) as line,
        running(hass, line, KNOWN) as entry,
        MeterServer([meter]) as server,
        unloaded(hass),
    ):
        await _fresh(hass)
        port = server.serve_tcp()
        before = _registered(hass)
        assert len(before) > 5
        flow = await Flow.reconfigure(hass, entry)
        assert flow.step == "reconfigure"
        await flow.choose("network")
        await flow.fill(host="127.0.0.1", protocol="tcp", port=port, advanced=NETWORK_ADVANCED)
        assert flow.result["reason"] == "line_moved"
        await hass.async_block_till_done()
        assert dict(entry.data) == {"transport": "tcp", "host": "127.0.0.1", "port": port}
        assert entry.title == "Cellar"
        meter.show(_power(), {"power": 77.0})
        await _fresh(hass, "77.0")
        assert _registered(hass) == before
        assert [one.unique_id for one in entry.subentries.values()] == ["eastron_4711"]


def _power() -> Any:
    from tests.integration.flow_support import LIBRARY

    return LIBRARY.load("eastron_sdm120m").registers


async def test_the_speed_of_a_line_that_runs_can_be_changed(hass: HomeAssistant) -> None:
    async with (
        rtu_line([sdm120(1, serial_number=4711)], baudrate=115200) as line,
        running(hass, line, KNOWN) as entry,
        unloaded(hass),
    ):
        await _fresh(hass)
        flow = await Flow.reconfigure(hass, entry)
        await flow.choose("serial")
        assert flow.prefilled() == {"device": line.path, "line": LINE}
        await flow.fill(device=line.path, line=LINE | {"baudrate": "38400"})
        assert flow.result["reason"] == "line_moved", flow.result
        await hass.async_block_till_done()
        assert entry.data["baudrate"] == 38400
        assert entry.state is ConfigEntryState.LOADED
        assert entry.runtime_data.link.settings.baudrate == 38400


async def test_a_title_that_was_made_from_the_link_follows_it(hass: HomeAssistant) -> None:
    async with MeterServer([]) as server, unloaded(hass):
        first, second = server.serve_tcp(), server.serve_tcp()
        entry = MockConfigEntry(
            domain=DOMAIN,
            title=f"127.0.0.1:{first}",
            data={"transport": "tcp", "host": "127.0.0.1", "port": first},
        )
        entry.add_to_hass(hass)
        flow = await Flow.reconfigure(hass, entry)
        await flow.choose("network")
        assert flow.prefilled() == {
            "host": "127.0.0.1",
            "protocol": "tcp",
            "port": first,
            "advanced": NETWORK_ADVANCED,
        }
        await flow.fill(**flow.prefilled() | {"port": second})
        assert flow.result["reason"] == "line_moved"
        await hass.async_block_till_done()
        assert entry.title == f"127.0.0.1:{second}"
        assert entry.state is ConfigEntryState.LOADED
        flow = await Flow.reconfigure(hass, entry)
        await flow.choose("simulated")
        await flow.fill()
        await hass.async_block_till_done()
        assert entry.title == "Simulated line"
        assert entry.data == {"transport": "simulated"}


async def test_a_line_on_which_no_meter_answers_stays_as_it_was(hass: HomeAssistant) -> None:
    async with (
        rtu_line([sdm120(1, serial_number=4711)], baudrate=115200) as line,
        running(hass, line, KNOWN) as entry,
        unloaded(hass),
    ):
        await _fresh(hass)
        before, data = _registered(hass), dict(entry.data)
        flow = await Flow.reconfigure(hass, entry)
        await flow.choose("serial")
        line.silence(1)
        form = {"device": line.path, "line": LINE | {"baudrate": "19200"}}
        await flow.fill(**form)
        assert flow.errors == {"base": "no_answer"}
        assert flow.prefilled() == form | {"anyway": False}
        assert dict(entry.data) == data
        assert entry.state is ConfigEntryState.LOADED
        line.revive(1)
        await _fresh(hass)
        assert entry.runtime_data.link.settings.baudrate == 115200
        line.silence(1)
        await flow.fill(**form | {"anyway": True})
        assert flow.result["reason"] == "line_moved"
        await hass.async_block_till_done()
        assert entry.data["baudrate"] == 19200
        assert _registered(hass) == before


async def test_another_meter_at_the_address_is_not_taken_for_ours(hass: HomeAssistant) -> None:
    async with (
        rtu_line([sdm120(1, serial_number=4711)], baudrate=115200) as line,
        running(hass, line, KNOWN) as entry,
        MeterServer([sdm120(1, serial_number=4712)]) as server,
        unloaded(hass),
    ):
        await _fresh(hass)
        flow = await Flow.reconfigure(hass, entry)
        await flow.choose("network")
        await flow.fill(
            host="127.0.0.1", protocol="tcp", port=server.serve_tcp(), advanced=NETWORK_ADVANCED
        )
        assert flow.errors == {"base": "other_meter"}
        assert flow.placeholders["expected"] == "4711"
        assert flow.placeholders["found"] == "4712"
        assert entry.state is ConfigEntryState.LOADED


async def test_a_line_cannot_move_to_where_another_one_is(hass: HomeAssistant) -> None:
    for name in ("one", "two"):
        MockConfigEntry(
            domain=DOMAIN,
            title=name,
            entry_id=name,
            data={"transport": "tcp", "host": f"{name}.lan", "port": 502},
        ).add_to_hass(hass)
    entry = hass.config_entries.async_get_known_entry("one")
    flow = await Flow.reconfigure(hass, entry)
    await flow.choose("network")
    await flow.fill(host="two.lan", protocol="tcp", advanced=NETWORK_ADVANCED)
    assert flow.result["reason"] == "already_configured"
    assert flow.placeholders == {"name": "two"}


async def test_a_line_whose_models_are_gone_can_only_be_moved_anyway(hass: HomeAssistant) -> None:
    async with MeterServer([sdm120(1)]) as server, unloaded(hass):
        port = server.serve_tcp()
        entry = MockConfigEntry(
            domain=DOMAIN,
            data={"transport": "tcp", "host": "meter.lan", "port": 502},
            subentries_data=[subentry(1, profile="of_mine")],
        )
        entry.add_to_hass(hass)
        flow = await Flow.reconfigure(hass, entry)
        await flow.choose("network")
        form = {"host": "127.0.0.1", "protocol": "tcp", "port": port, "advanced": NETWORK_ADVANCED}
        await flow.fill(**form)
        assert flow.errors == {"base": "unknown_model"}
        await flow.fill(**form, anyway=True)
        assert flow.result["reason"] == "line_moved"
        await hass.async_block_till_done()


# A meter


async def _change(hass: HomeAssistant, entry: Any) -> Flow:
    [only] = entry.subentries.values()
    flow = await Flow.change_meter(hass, entry, only.subentry_id)
    assert flow.step == "reconfigure"
    return flow


async def test_a_meter_is_changed_and_stays_itself(hass: HomeAssistant) -> None:
    async with (
        rtu_line([sdm120(1, serial_number=4711)], baudrate=115200) as line,
        running(hass, line, KNOWN) as entry,
        unloaded(hass),
    ):
        await _fresh(hass)
        before = _registered(hass)
        area = ar.async_get(hass).async_create("Cellar")
        flow = await _change(hass, entry)
        assert "512.0 W" in flow.placeholders["live"]
        form = flow.prefilled()
        assert form["unit_id"] == 1
        assert form["profile"] == "Eastron SDM120M"
        await flow.fill(
            **form
            | {
                "name": "Workshop",
                "role": "home",
                "area": area.id,
                "rated_current": 16,
                "advanced": form["advanced"] | {"fast_interval": 0, "invert": True},
            }
        )
        assert flow.result["reason"] == "meter_changed", flow.result
        await hass.async_block_till_done()
        [stored] = entry.subentries.values()
        assert stored.title == "Workshop"
        assert stored.unique_id == stored.data["identity"] == "eastron_4711"
        assert stored.data["role"] == "home"
        assert stored.data["rated_current"] == 16
        assert stored.data["fast_interval"] == 0
        assert stored.data["invert"] is True
        assert _registered(hass) == before
        [device] = dr.async_get(hass).async_get_devices(identifiers={(DOMAIN, "eastron_4711")})
        assert device.area_id == area.id
        assert device.name == "Workshop"
        # What was filled in can be taken back.
        flow = await _change(hass, entry)
        form = flow.prefilled()
        del form["area"], form["rated_current"]
        await flow.fill(**form)
        [stored] = entry.subentries.values()
        assert not {"area", "rated_current"} & stored.data.keys()


async def test_an_address_is_tried_before_it_is_saved(hass: HomeAssistant) -> None:
    meters = [sdm120(1, serial_number=4711), sdm120(2, serial_number=5)]
    async with (
        rtu_line(meters, baudrate=115200) as line,
        running(hass, line, KNOWN, subentry(2, identity="eastron_5", serial_number="5")) as entry,
        unloaded(hass),
    ):
        await _fresh(hass)
        [mine] = [one for one in entry.subentries.values() if one.unique_id == "eastron_4711"]
        flow = await Flow.change_meter(hass, entry, mine.subentry_id)
        form = flow.prefilled()
        await flow.fill(**form | {"unit_id": 2})
        assert flow.errors == {"unit_id": "already_set_up"}
        assert flow.placeholders["name"] == "Meter 2"
        await flow.fill(**form | {"unit_id": 3})
        assert flow.errors == {"base": "no_answer"}
        assert flow.prefilled() == form | {"unit_id": 3, "anyway": False}
        line.meters[3] = sdm120(3, serial_number=4711)
        await flow.fill(**form | {"unit_id": 3})
        assert flow.result["reason"] == "meter_changed"
        assert mine.data["unit_id"] == 3
        await hass.async_block_till_done()
        await _fresh(hass)


async def test_a_replaced_meter_goes_on_under_the_same_identity(hass: HomeAssistant) -> None:
    async with (
        rtu_line([sdm120(1, serial_number=4711)], baudrate=115200) as line,
        running(hass, line, KNOWN) as entry,
        unloaded(hass),
    ):
        await _fresh(hass)
        line.meters[4] = sdm120(4, serial_number=9000)
        flow = await _change(hass, entry)
        form = flow.prefilled() | {"unit_id": 4}
        await flow.fill(**form)
        assert flow.errors == {"base": "other_meter"}
        await flow.fill(**form | {"anyway": True})
        assert flow.result["reason"] == "meter_changed"
        [stored] = entry.subentries.values()
        assert stored.data["serial_number"] == "9000"
        assert stored.unique_id == stored.data["identity"] == "eastron_4711"


async def test_a_model_that_is_not_known_is_an_error_at_its_field(hass: HomeAssistant) -> None:
    async with (
        rtu_line([sdm120(1, serial_number=4711)], baudrate=115200) as line,
        running(hass, line, KNOWN) as entry,
        unloaded(hass),
    ):
        flow = await _change(hass, entry)
        await flow.fill(**flow.prefilled() | {"profile": "what"})
        assert flow.errors == {"profile": "unknown_model"}
        assert "anyway" not in flow.prefilled()
        # A device that is a part of what another meter measures is asked for that meter.
        await flow.fill(**flow.prefilled() | {"profile": "SDM120C", "role": "device"})
        assert flow.result["reason"] == "meter_changed"
        hass.config_entries.async_add_subentry(entry, _outer())
        for inside in ("meter_2", "meter_2", None):
            flow = await Flow.change_meter(hass, entry, next(iter(entry.subentries)))
            await flow.fill(**flow.prefilled())
            assert flow.step == "inside"
            if inside is None:
                # What was said the last time is said again, and can be taken back.
                assert flow.prefilled() == {"inside": "meter_2"}
                await flow.fill()
            else:
                await flow.fill(inside=inside)
            stored = next(iter(entry.subentries.values()))
            assert stored.data.get("inside") == inside


def _outer() -> ConfigSubentry:
    data = subentry(2)
    return ConfigSubentry(
        data=MappingProxyType(dict(data["data"])),
        subentry_type="meter",
        title="Main",
        unique_id="meter_2",
    )


async def test_a_meter_whose_model_is_gone_can_be_given_another(hass: HomeAssistant) -> None:
    async with (
        rtu_line([sdm120(1)], baudrate=115200) as line,
        running(hass, line, subentry(1, profile="of_mine")) as entry,
        unloaded(hass),
    ):
        flow = await _change(hass, entry)
        assert flow.placeholders["live"] == "No values yet."
        assert flow.prefilled()["profile"] == "of_mine"
        await flow.fill(**flow.prefilled())
        assert flow.errors == {"profile": "unknown_model"}
        await flow.fill(**flow.prefilled() | {"profile": "eastron_sdm120m"})
        assert flow.result["reason"] == "meter_changed"
        await hass.async_block_till_done()
        await shows(hass, "power", "512.0", "meter_1")


async def test_a_new_gateway_that_is_not_there_leaves_the_line_running(
    hass: HomeAssistant,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with (
        rtu_line([sdm120(1, serial_number=4711)], baudrate=115200) as line,
        running(hass, line, KNOWN) as entry,
        unloaded(hass),
    ):
        await _fresh(hass)
        flow = await Flow.reconfigure(hass, entry)
        await flow.choose("network")
        await flow.fill(host="127.0.0.1", protocol="tcp", port=port, advanced=NETWORK_ADVANCED)
        assert flow.errors == {"base": "connection_refused"}
        assert entry.data["transport"] == "serial"
        assert entry.state is ConfigEntryState.LOADED


# A meter that moves to another line


@pytest.mark.parametrize("way", ["to a line that is set up", "to a new line"])
async def test_a_meter_moves_to_another_line_with_its_device_and_its_entities(
    hass: HomeAssistant, way: str
) -> None:
    meter = sdm120(9, serial_number=4711)
    async with (
        rtu_line([sdm120(1, serial_number=4711), sdm120(2)], baudrate=115200) as line,
        running(hass, line, KNOWN, subentry(2)) as old,
        MeterServer([meter]) as server,
        unloaded(hass),
    ):
        await _fresh(hass)
        port = server.serve_tcp()
        dr.async_get(hass).async_update_device(
            _registered(hass)["device"][0], name_by_user="Dear old meter"
        )
        limit = Limit.suggested(LimitKind.OVER_POWER, 3_000.0)
        alarm = ConfigSubentry(
            data=MappingProxyType(data_of("eastron_4711", limit)),
            subentry_type=SUBENTRY_ALARM,
            title="Meter 1: over power",
            unique_id="eastron_4711_over_power",
        )
        hass.config_entries.async_add_subentry(old, alarm)
        await shows(hass, "alarm_over_power", "off", "eastron_4711", "binary_sensor")
        before = _registered(hass)
        line.silence(1)
        if way == "to a new line":
            flow = await Flow.user(hass)
            await flow.choose("network")
            await flow.fill(host="127.0.0.1", protocol="tcp", port=port, advanced=NETWORK_ADVANCED)
        else:
            target = MockConfigEntry(
                domain=DOMAIN, data={"transport": "tcp", "host": "127.0.0.1", "port": port}
            )
            target.add_to_hass(hass)
            assert await hass.config_entries.async_setup(target.entry_id)
            flow = await Flow.add_meter(hass, target)
        await flow.choose("known_meter")
        await flow.fill(profile="eastron_sdm120m")
        await flow.fill(unit_id=9)
        assert flow.step == "moved", flow.result
        assert flow.placeholders["name"] == "Meter 1"
        assert flow.placeholders["line"] == "Cellar"
        assert (flow.placeholders["unit_id"], flow.placeholders["new_unit_id"]) == ("1", "9")
        await flow.choose("move")
        if way == "to a new line":
            assert flow.kind is FlowResultType.CREATE_ENTRY
            target = flow.result["result"]
        else:
            assert flow.result["reason"] == "meter_moved"
        await hass.async_block_till_done()
        moved, followed = target.subentries.values()
        assert followed == alarm
        assert moved.title == "Meter 1"
        assert moved.unique_id == "eastron_4711"
        assert moved.data["unit_id"] == 9
        assert [one.unique_id for one in old.subentries.values()] == ["meter_2"]
        meter.show(_power(), {"power": 66.0})
        await _fresh(hass, "66.0")
        await shows(hass, "alarm_over_power", "off", "eastron_4711", "binary_sensor")
        assert _registered(hass) == before
        entity = er.async_get(hass).async_get(state(hass, "power", "eastron_4711").entity_id)
        assert entity is not None
        assert entity.config_entry_id == target.entry_id
        assert entity.config_subentry_id == moved.subentry_id
        # The line that it left goes on.
        assert old.state is ConfigEntryState.LOADED
        await shows(hass, "power", "512.0", "meter_2")
