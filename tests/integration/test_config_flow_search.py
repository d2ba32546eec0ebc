"""Searching for meters in a flow: real lines, real searches."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
import time
from typing import Any
from unittest.mock import patch

from homeassistant.components.energy.data import async_get_manager
from homeassistant.components.modbus.connection import async_get_connection_info
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import Event, HomeAssistant
from homeassistant.data_entry_flow import (
    EVENT_DATA_ENTRY_FLOW_PROGRESS_UPDATE,
    EVENT_DATA_ENTRY_FLOW_PROGRESSED,
    FlowResultType,
    UnknownFlow,
)
from homeassistant.setup import async_setup_component
import pytest

from custom_components.energy_meter.sources.modbus.discovery import (
    FoundMeter,
    SearchPlan,
    SearchResult,
    plan_search,
)
from custom_components.energy_meter.sources.modbus.link import SerialLink, SerialSettings
from tests.integration.flow_support import NETWORK_ADVANCED, Flow, sdm120, unloaded
from tests.integration.runtime_support import running, state, subentry, until
from tests.support.meters import Meter, MeterServer
from tests.support.wire import Fault, FaultKind, rtu_line

pytestmark = pytest.mark.usefixtures("socket_enabled")

SEARCH = "custom_components.energy_meter.flows.search"


@pytest.fixture
def few_addresses() -> Iterator[None]:
    """Search as always, but not everywhere: what is not there costs its time-out.

    The second setting has parity, which a pseudo terminal refuses as some adapters do.
    """

    def plan(*args: Any, **options: Any) -> SearchPlan:
        planned = plan_search(*args, **options, addresses=(1, 2, 3))
        return replace(planned, settings=planned.settings[:3])

    with patch(f"{SEARCH}.plan_search", plan):
        yield


async def _serial(hass: HomeAssistant, device: str) -> Flow:
    flow = await Flow.user(hass)
    await flow.choose("serial")
    await flow.fill(device=device)
    assert flow.step == "meters", flow.result
    return flow


async def _network(hass: HomeAssistant, port: int) -> Flow:
    flow = await Flow.user(hass)
    await flow.choose("network")
    await flow.fill(host="127.0.0.1", protocol="tcp", port=port, advanced=NETWORK_ADVANCED)
    assert flow.step == "meters", flow.result
    return flow


async def _found(flow: Flow, way: str = "search_quick") -> Flow:
    await flow.choose(way)
    assert flow.kind is FlowResultType.SHOW_PROGRESS
    await flow.wait()
    assert flow.step == "found", flow.result
    return flow


def _options(flow: Flow) -> list[str]:
    [selector] = (
        value for key, value in flow.result["data_schema"].schema.items() if key == "meters"
    )
    return [option["label"] for option in selector.config["options"]]


@pytest.mark.usefixtures("recorder_mock", "few_addresses")
async def test_meters_found_are_described_and_set_up_with_their_roles(hass: HomeAssistant) -> None:
    assert await async_setup_component(hass, "energy", {})
    meters = [sdm120(1, serial_number=4711), sdm120(2, serial_number=4712, power=-80.0)]
    async with rtu_line(meters, baudrate=9600) as line, unloaded(hass):
        flow = await _found(await _serial(hass, line.path))
        labels = _options(flow)
        assert labels[0].startswith("Eastron SDM120M, address 1 · serial number 4711 · 231.2 V")
        assert "512.0 W" in labels[0] and "1234.50 kWh" in labels[0]
        assert "9600 8N1" in labels[0]
        assert flow.prefilled() == {"meters": ["0", "1"], "search_more": False}
        await flow.fill(meters=["0", "1"])
        assert flow.step == "meter"
        assert (flow.placeholders["number"], flow.placeholders["total"]) == ("1", "2")
        assert "512.0 W" in flow.placeholders["live"]
        await flow.fill(**flow.prefilled() | {"name": "Heat pump", "role": "device"})
        assert flow.step == "inside"
        await flow.fill(inside="eastron_4712")
        await flow.fill(**flow.prefilled() | {"name": "Main", "role": "grid", "area": "cellar"})
        assert flow.step == "summary", flow.result
        assert flow.placeholders["changes"].splitlines() == [
            "- Heat pump as device: energy consumed, power",
            "- Main as grid connection: energy taken, energy fed back, power",
        ]
        manager = await async_get_manager(hass)
        assert manager.data is None or not manager.data["energy_sources"]
        await flow.fill(energy_dashboard=False)
        entry = flow.result["result"]
        assert entry.title == f"tty {SerialSettings().describe()}"
        stored = {one.title: one.data for one in entry.subentries.values()}
        assert stored["Heat pump"]["role"] == "device"
        assert stored["Heat pump"]["inside"] == "eastron_4712"
        assert stored["Main"]["area"] == "cellar"
        assert not any(one["energy_dashboard"] for one in stored.values())
        assert [one.unique_id for one in entry.subentries.values()] == [
            "eastron_4711",
            "eastron_4712",
        ]
        # A search reads and never writes.
        assert not any(meter.writes for meter in meters)


@pytest.mark.usefixtures("few_addresses")
async def test_a_solar_meter_is_asked_which_way_round_it_counts(hass: HomeAssistant) -> None:
    meter = sdm120(1, serial_number=4711, energy_import=10.0, energy_export=900.0)
    async with rtu_line([meter], baudrate=9600) as line, unloaded(hass):
        flow = await _found(await _serial(hass, line.path))
        await flow.fill(meters=["0"])
        await flow.fill(**flow.prefilled() | {"role": "solar"})
        assert flow.step == "production"
        assert flow.prefilled() == {"production": "export"}
        await flow.fill(production="export")
        [stored] = flow.result["result"].subentries.values()
        assert stored.data["production"] == "export"


@pytest.mark.usefixtures("few_addresses")
async def test_nothing_ticked_is_an_error_and_searching_on_keeps_what_was_found(
    hass: HomeAssistant,
) -> None:
    async with rtu_line([sdm120(1)], baudrate=9600) as line:
        flow = await _found(await _serial(hass, line.path))
        await flow.fill(meters=[])
        assert flow.errors == {"base": "nothing_ticked"}
        with patch(f"{SEARCH}.search", return_value=SearchResult(found=())):
            await flow.fill(meters=[], search_more=True)
            await flow.wait()
        assert flow.step == "found"
        assert len(_options(flow)) == 1
        # Everything was tried by now.
        assert "search_more" not in flow.prefilled()


async def test_meters_at_different_line_settings_cannot_be_set_up_together(
    hass: HomeAssistant,
) -> None:
    async with rtu_line([sdm120(1)], baudrate=9600) as line, unloaded(hass):
        fast = SerialLink(device=line.path, settings=SerialSettings(baudrate=19200))
        found = (
            FoundMeter(unit_id=1, link=SerialLink(device=line.path), answer_time=0.1),
            FoundMeter(unit_id=2, link=fast, answer_time=0.1, clear=False),
        )
        flow = await _serial(hass, line.path)
        with patch(f"{SEARCH}.search", return_value=SearchResult(found=found)):
            await _found(flow, "search_thorough")
        assert "address 2 is damaged" in flow.placeholders["notes"]
        assert flow.prefilled()["meters"] == ["0"]
        await flow.fill(meters=["0", "1"])
        assert flow.errors == {"base": "mixed_settings"}
        await flow.fill(meters=["1"])
        assert flow.step == "meter"
        await flow.fill(**flow.prefilled() | {"profile": "eastron_sdm120m", "role": "none"})
        assert flow.step == "proof_failed"
        await flow.choose("proof_accept")
        assert flow.result["data"]["baudrate"] == 19200


@pytest.mark.usefixtures("few_addresses")
async def test_when_nobody_answers_it_says_what_was_tried_and_leads_on(hass: HomeAssistant) -> None:
    async with rtu_line([sdm120(1)], baudrate=9600) as line, unloaded(hass):
        line.silence(1)
        flow = await _serial(hass, line.path)
        await flow.choose("search_quick")
        await flow.wait()
        assert flow.step == "nothing_found", flow.result
        assert "9600 8N1" in flow.placeholders["tried"]
        assert "19200 8N1" in flow.placeholders["tried"]
        assert list(flow.result["menu_options"]) == [
            "search_thorough",
            "search_quick",
            "known_meter",
        ]
        line.revive(1)
        await _found(flow, "search_thorough")
        assert flow.prefilled()["meters"] == ["0"]


@pytest.mark.usefixtures("few_addresses")
async def test_a_line_that_breaks_during_the_search_is_named_and_can_be_tried_again(
    hass: HomeAssistant,
) -> None:
    async with rtu_line([sdm120(1)], baudrate=9600) as line, unloaded(hass):
        flow = await _serial(hass, line.path)
        line.unplug()
        await flow.choose("search_quick")
        await flow.wait()
        assert flow.step == "search_failed"
        assert line.path in flow.placeholders["reason"]
        line.plug()
        await _found(flow)


async def test_closing_the_dialog_ends_the_search_and_frees_the_line(hass: HomeAssistant) -> None:
    async with rtu_line([sdm120(1)], baudrate=9600) as line:
        line.silence(1)
        flow = await _serial(hass, line.path)
        await flow.choose("search_thorough")
        await until(lambda: bool(async_get_connection_info(hass)))
        flow.manager.async_abort(flow.result["flow_id"])
        await until(lambda: not async_get_connection_info(hass))
        asked = len(line.log)
        await asyncio.sleep(0.2)
        assert len(line.log) == asked
        with pytest.raises(UnknownFlow):
            flow.manager.async_get(flow.result["flow_id"])


async def test_the_dialog_shows_how_the_search_gets_on(hass: HomeAssistant) -> None:
    shares: list[float] = []
    refreshes: list[Event] = []
    hass.bus.async_listen(
        EVENT_DATA_ENTRY_FLOW_PROGRESS_UPDATE, lambda event: shares.append(event.data["progress"])
    )
    hass.bus.async_listen(EVENT_DATA_ENTRY_FLOW_PROGRESSED, refreshes.append)
    async with rtu_line([sdm120(1, serial_number=4711)], baudrate=9600) as line:
        flow = await _serial(hass, line.path)
        await flow.choose("search_thorough")
        assert flow.placeholders["found"] == "Nothing found yet."
        started = time.monotonic()
        while time.monotonic() < started + 4 and "address 1" not in flow.placeholders["found"]:
            await asyncio.sleep(0.1)
            flow.result = await flow.manager.async_configure(flow.result["flow_id"])
        assert flow.kind is FlowResultType.SHOW_PROGRESS
        assert flow.placeholders["found"] == "- Meter, address 1 · 9600 8N1"
        assert flow.placeholders["settings"] == "9600 8N1"
        assert int(flow.placeholders["seconds"]) > 0
        assert shares and shares == sorted(shares)
        # The text follows about once a second, and does not make the dialog fetch it in a circle.
        assert 1 <= len(refreshes) <= 10
        flow.manager.async_abort(flow.result["flow_id"])
        await until(lambda: not async_get_connection_info(hass))


@pytest.mark.usefixtures("few_addresses")
async def test_a_gateway_that_answers_for_every_address_is_one_meter(hass: HomeAssistant) -> None:
    meters = [sdm120(unit, serial_number=4711) for unit in (1, 2, 3, 187, 231, 255)]
    async with MeterServer(meters) as server, unloaded(hass):
        flow = await _found(await _network(hass, server.serve_tcp()))
        assert "one meter, not a gateway" in flow.placeholders["notes"]
        assert len(_options(flow)) == 1


# Meters that nobody knows


@pytest.mark.usefixtures("few_addresses")
async def test_an_unknown_meter_is_paired_with_a_model_by_its_live_values(
    hass: HomeAssistant,
) -> None:
    stranger = Meter(unit_id=3, holding=dict.fromkeys(range(2), 7), input={})
    async with rtu_line([stranger], baudrate=115200) as line, unloaded(hass):
        flow = await _found(await _serial(hass, line.path))
        assert "Unknown meter, address 3" in _options(flow)[0]
        await flow.fill(meters=["0"])
        assert flow.step == "meter"
        assert flow.placeholders["model"] == "Unknown meter"
        assert "profile" not in flow.prefilled()
        await flow.fill(**flow.prefilled() | {"profile": "nonsense"})
        assert flow.errors == {"profile": "unknown_model"}
        await flow.fill(**flow.prefilled() | {"profile": "eastron_sdm120m", "name": "Workshop"})
        assert flow.step == "proof"
        assert flow.placeholders["live"] == "No values yet."
        await flow.choose("meter")
        assert flow.prefilled()["name"] == "Workshop"
        line.meters[3] = sdm120(3, serial_number=99)
        await flow.fill(**flow.prefilled())
        assert flow.step == "proof"
        assert "231.2 V" in flow.placeholders["live"]
        await flow.choose("proof_accept")
        [stored] = flow.result["result"].subentries.values()
        assert (stored.title, stored.unique_id) == ("Workshop", "eastron_99")


@pytest.mark.usefixtures("few_addresses")
async def test_another_way_of_reading_is_proven_before_it_is_saved(hass: HomeAssistant) -> None:
    async with rtu_line([sdm120(1, serial_number=4711)], baudrate=9600) as line, unloaded(hass):
        flow = await _found(await _serial(hass, line.path))
        await flow.fill(meters=["0"])
        form = flow.prefilled()
        await flow.fill(**form | {"advanced": form["advanced"] | {"word_order": "little"}})
        assert flow.step == "proof"
        assert "231.2 V" not in flow.placeholders["live"]
        line.inject(Fault(FaultKind.DROP), count=40)
        await flow.choose("proof")
        assert flow.step == "proof_failed"
        assert "Nobody answers" in flow.placeholders["reason"]
        await flow.choose("meter")
        await flow.fill(**form)
        assert flow.kind is FlowResultType.CREATE_ENTRY


# On a line that runs


@pytest.mark.usefixtures("few_addresses")
async def test_a_running_line_is_searched_while_its_meters_go_on_being_read(
    hass: HomeAssistant,
) -> None:
    meters = [sdm120(1, serial_number=4711), sdm120(2, serial_number=4712)]
    async with (
        rtu_line(meters, baudrate=115200) as line,
        running(hass, line, subentry(1, identity="eastron_4711", serial_number="4711")) as entry,
    ):
        await until(lambda: state(hass, "power", "eastron_4711").state == "512.0")
        polls = len(meters[0].reads)
        flow = await Flow.add_meter(hass, entry)
        assert flow.step == "user"
        await _found(flow)
        assert len(meters[0].reads) > polls + 3
        assert [label.split(" · ")[0] for label in _options(flow)] == ["Eastron SDM120M, address 2"]
        assert "Address 1 is set up already as Meter 1." in flow.placeholders["notes"]
        await flow.fill(meters=["0"])
        await flow.fill(**flow.prefilled() | {"name": "Second"})
        assert flow.kind is FlowResultType.CREATE_ENTRY
        await until(lambda: _power(hass, "eastron_4712") == "512.0")
        assert {one.title for one in entry.subentries.values()} == {"Meter 1", "Second"}


def _power(hass: HomeAssistant, identity: str) -> str | None:
    from tests.integration.runtime_support import entity_id

    try:
        found = hass.states.get(entity_id(hass, "power", identity))
    except AssertionError:
        return None
    return found.state if found else None


@pytest.mark.usefixtures("few_addresses")
async def test_two_meters_are_added_in_one_go(hass: HomeAssistant) -> None:
    meters = [sdm120(1, serial_number=1), sdm120(2, serial_number=2), sdm120(3, serial_number=2)]
    async with (
        rtu_line(meters, baudrate=115200) as line,
        running(hass, line, subentry(1, identity="eastron_1", serial_number="1")) as entry,
    ):
        flow = await _found(await Flow.add_meter(hass, entry))
        await flow.fill(meters=["0", "1"])
        await flow.fill(**flow.prefilled())
        await flow.fill(**flow.prefilled())
        identities = {one.unique_id for one in entry.subentries.values()}
        # Two meters of one maker that carry the same serial number are two meters all the same.
        assert len(identities) == 3


async def test_a_known_meter_is_added_to_a_line_that_runs(hass: HomeAssistant) -> None:
    meters = [sdm120(1, serial_number=1), sdm120(2, serial_number=2)]
    async with (
        rtu_line(meters, baudrate=115200) as line,
        running(hass, line, subentry(1, identity="eastron_1", serial_number="1")) as entry,
    ):
        flow = await Flow.add_meter(hass, entry)
        await flow.choose("known_meter")
        await flow.fill(profile="eastron_sdm120m")
        assert "line" not in flow.prefilled()
        await flow.fill(unit_id=1)
        assert flow.errors == {"unit_id": "already_set_up"}
        assert flow.placeholders["name"] == "Meter 1"
        await flow.fill(unit_id=2)
        assert flow.step == "meter"
        await flow.fill(**flow.prefilled())
        assert flow.kind is FlowResultType.CREATE_ENTRY


async def _moves(hass: HomeAssistant, entry: ConfigEntry, choice: str) -> Flow:
    flow = await _found(await Flow.add_meter(hass, entry))
    await flow.fill(meters=["0"])
    assert flow.step == "moved", flow.result
    return await flow.choose(choice)


@pytest.mark.usefixtures("few_addresses")
async def test_a_meter_that_got_another_address_is_recognised(hass: HomeAssistant) -> None:
    async with (
        rtu_line([sdm120(3, serial_number=4711)], baudrate=115200) as line,
        running(hass, line, subentry(1, identity="eastron_4711", serial_number="4711")) as entry,
    ):
        flow = await _moves(hass, entry, "move")
        assert flow.result["reason"] == "meter_moved"
        [stored] = entry.subentries.values()
        assert stored.data["unit_id"] == 3
        assert stored.title == "Meter 1"
        await until(lambda: _power(hass, "eastron_4711") == "512.0")


@pytest.mark.usefixtures("few_addresses")
async def test_a_meter_with_a_known_serial_number_can_be_another_one(hass: HomeAssistant) -> None:
    async with (
        rtu_line([sdm120(3, serial_number=4711)], baudrate=115200) as line,
        running(hass, line, subentry(1, identity="eastron_4711", serial_number="4711")) as entry,
    ):
        flow = await _moves(hass, entry, "as_new")
        assert flow.step == "meter"
        await flow.fill(**flow.prefilled())
        assert flow.kind is FlowResultType.CREATE_ENTRY
        assert len({one.unique_id for one in entry.subentries.values()}) == 2


@pytest.mark.usefixtures("few_addresses")
async def test_a_meter_recognised_only_by_its_model_may_be_known_too(hass: HomeAssistant) -> None:
    stranger = Meter(unit_id=3, holding=dict.fromkeys(range(2), 7), input={})
    async with (
        rtu_line([stranger], baudrate=115200) as line,
        running(hass, line, subentry(1, identity="eastron_4711", serial_number="4711")) as entry,
    ):
        for choice in ("as_new", "move"):
            line.meters[3] = stranger
            flow = await _found(await Flow.add_meter(hass, entry))
            await flow.fill(meters=["0"])
            line.meters[3] = sdm120(3, serial_number=4711)
            form = flow.prefilled() | {"profile": "eastron_sdm120m", "name": "Workshop"}
            await flow.fill(**form)
            await flow.choose("proof_accept")
            assert flow.step == "moved"
            await flow.choose(choice)
            if choice == "as_new":
                # What was filled in is not asked again.
                assert flow.kind is FlowResultType.CREATE_ENTRY
                [new] = [one for one in entry.subentries.values() if one.title == "Workshop"]
                assert new.unique_id != "eastron_4711"
                await hass.async_block_till_done()
                hass.config_entries.async_remove_subentry(entry, new.subentry_id)
            else:
                assert flow.result["reason"] == "meter_moved"


@pytest.mark.usefixtures("few_addresses")
async def test_a_model_that_is_not_certain_is_shown_as_a_guess(hass: HomeAssistant) -> None:
    meter = sdm120(1, meter_code=0)
    async with rtu_line([meter], baudrate=115200) as line:
        flow = await _found(await _serial(hass, line.path))
        [label] = _options(flow)
        assert "(probably)" in label
