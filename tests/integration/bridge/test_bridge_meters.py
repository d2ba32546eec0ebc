"""Meters of a bridge: they appear by themselves, show what they say, fall silent alone, and stay away when told so."""

from copy import deepcopy
from datetime import timedelta

from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import EVENT_HOMEASSISTANT_STOP, STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er
import pytest

from custom_components.energy_meter import async_remove_config_entry_device
from custom_components.energy_meter.const import DOMAIN, SUBENTRY_BRIDGE_METER
from custom_components.energy_meter.sources.bridge import BridgeSession
from custom_components.energy_meter.store import DATA_STORE
from tests.support.bridge import SimulatedBridge, SimulatedMeter
from tests.support.entities import state

from .support import (
    BRIDGE,
    OVEN,
    SHOWN,
    bridge_entry,
    meter_of,
    pass_time,
    running,
    set_up,
    subentry_of,
    workshop,
)


def oven(**more: object) -> SimulatedMeter:
    return SimulatedMeter(**more)  # type: ignore[arg-type]


class BareBoard(SimulatedBridge):
    """A board that prints values and knows nothing of hellos."""

    def __init__(self) -> None:
        """It has nothing to say about itself."""
        super().__init__(meters=[])

    def say_hello(self) -> None:
        """It does not."""


async def test_a_meter_appears_with_what_it_measures(hass: HomeAssistant) -> None:
    bridge = workshop(meters=[oven()])
    async with running(hass, bridge) as (runtime, _link):
        assert runtime.entry.state is ConfigEntryState.LOADED
        bridge.measure("oven", SHOWN)
        bridge.measure("oven", SHOWN)
        await hass.async_block_till_done()
        assert state(hass, "voltage", OVEN).state == "230.5"
        assert state(hass, "power", OVEN).state == "1234.5"
        assert state(hass, "energy_import", OVEN).state == "567.891"
        place = subentry_of(runtime.entry)
        assert (place.subentry_type, place.title) == (SUBENTRY_BRIDGE_METER, "Oven")
        assert place.data["identity"] == OVEN
        assert place.data["rated_current"] == 20


async def test_devices_tell_what_hangs_where(hass: HomeAssistant) -> None:
    bridge = workshop(meters=[oven(serial="0042")])
    async with running(hass, bridge) as (runtime, _link):
        devices = dr.async_get(hass)
        entry_id = runtime.entry.entry_id
        hub = devices.async_get_device_by_identifier((DOMAIN, entry_id), entry_id)
        meter = devices.async_get_device_by_identifier((DOMAIN, OVEN), entry_id)
        assert hub is not None and meter is not None
        assert meter.via_device_id == hub.id
        assert (meter.name, meter.model, meter.serial_number) == ("Oven", "UNO node", "0042")
        assert (hub.name, hub.model, hub.sw_version) == ("Workshop", "simulated", "1.0.0")
        assert not await async_remove_config_entry_device(hass, runtime.entry, hub)
        assert not await async_remove_config_entry_device(hass, runtime.entry, meter)


async def test_a_meter_that_comes_later_appears_too(hass: HomeAssistant) -> None:
    bridge = workshop(meters=[oven()])
    async with running(hass, bridge) as (runtime, _link):
        bridge.meters["pump"] = SimulatedMeter(id="pump", name=None, quantities=("power",))
        bridge.say_hello()
        bridge.measure("pump", {"power": 60.0})
        await hass.async_block_till_done(wait_background_tasks=True)
        assert state(hass, "power", f"{BRIDGE}_pump").state == "60.0"
        assert subentry_of(runtime.entry, "pump").title == "pump"
        assert runtime.entry.runtime_data is runtime


async def test_a_board_that_says_no_hello_becomes_a_meter_and_grows(hass: HomeAssistant) -> None:
    bridge = BareBoard()
    entry = bridge_entry()
    async with running(hass, bridge, entry) as (runtime, _link):
        for _ in range(2):
            bridge.bare({"Voltage": 227.5})
        assert isinstance(runtime.session, BridgeSession)
        runtime.session.settle()
        await hass.async_block_till_done(wait_background_tasks=True)
        identity = f"{entry.entry_id}_main"
        assert state(hass, "voltage", identity).state == "227.5"
        assert subentry_of(entry, "main").title == "Workshop"
        # Seen once it may be a slip, seen twice the meter has it, and the next line shows it.
        for _ in range(3):
            bridge.bare({"Voltage": 227.5, "Current": 2.0})
            await hass.async_block_till_done(wait_background_tasks=True)
        assert state(hass, "current", identity).state == "2.0"
        keys = {one.unique_id for one in er.async_get(hass).entities.values()}
        assert f"{identity}_apparent_power" in keys
        assert f"{identity}_power" not in keys
        assert not runtime.controls


async def test_an_assumed_power_factor_gives_power_and_energy(hass: HomeAssistant) -> None:
    bridge = workshop(meters=[oven(quantities=("voltage", "current"))])
    async with running(hass, bridge) as (runtime, _link):
        place = subentry_of(runtime.entry)
        before = dict(place.data)
        hass.config_entries.async_update_subentry(
            runtime.entry, place, data={**before, "assumed_power_factor": 0.5}
        )
        await hass.async_block_till_done(wait_background_tasks=True)
        bridge.measure("oven", {"voltage": 230.0, "current": 2.0})
        await hass.async_block_till_done()
        assert state(hass, "power", OVEN).state == "230.0"
        assert state(hass, "energy_import", OVEN).state == "0.0"
        hass.config_entries.async_update_subentry(
            runtime.entry, subentry_of(runtime.entry), data=before
        )
        await hass.async_block_till_done(wait_background_tasks=True)
        assert not er.async_get(hass).async_get_entity_id("sensor", DOMAIN, f"{OVEN}_power")


async def test_a_silent_meter_takes_down_itself_alone_and_keeps_its_total(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = workshop(meters=[oven(), SimulatedMeter(id="pump", quantities=("power",))])
    async with running(hass, bridge):
        for _ in range(2):
            bridge.measure("oven", SHOWN)
            bridge.measure("pump", {"power": 60.0})
        for _ in range(8):
            await pass_time(hass, freezer, 4)
            bridge.measure("pump", {"power": 60.0})
        await pass_time(hass, freezer, 1)
        assert state(hass, "power", OVEN).state == STATE_UNAVAILABLE
        assert state(hass, "energy_import", OVEN).state == "567.891"
        assert state(hass, "power", f"{BRIDGE}_pump").state == "60.0"
        bridge.measure("oven", SHOWN)
        await hass.async_block_till_done()
        assert state(hass, "power", OVEN).state == "1234.5"


async def test_a_quantity_that_stays_away_is_not_shown_as_fresh(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = workshop(meters=[oven()])
    async with running(hass, bridge):
        bridge.measure("oven", SHOWN)
        for _ in range(14):
            await pass_time(hass, freezer, 10)
            bridge.measure("oven", {"power": 10.0})
        assert state(hass, "voltage", OVEN).state == STATE_UNAVAILABLE
        assert state(hass, "power", OVEN).state == "10.0"


async def test_the_link_takes_all_meters_down_and_brings_them_back(hass: HomeAssistant) -> None:
    bridge = workshop(meters=[oven(), SimulatedMeter(id="pump", quantities=("power",))])
    async with running(hass, bridge) as (_runtime, link):
        for _ in range(2):
            bridge.measure("oven", SHOWN)
        bridge.measure("pump", {"power": 60.0})
        await hass.async_block_till_done()
        link.unplug()
        await hass.async_block_till_done()
        assert state(hass, "power", OVEN).state == STATE_UNAVAILABLE
        assert state(hass, "power", f"{BRIDGE}_pump").state == STATE_UNAVAILABLE
        assert state(hass, "energy_import", OVEN).state == "567.891"
        link.plug()
        bridge.measure("oven", SHOWN)
        await hass.async_block_till_done()
        assert state(hass, "power", OVEN).state == "1234.5"


async def test_what_was_kept_while_the_link_was_away_counts_but_is_not_shown_as_present(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = workshop(meters=[oven(quantities=("power",))])
    async with running(hass, bridge) as (runtime, link):
        bridge.measure("oven", {"power": 3600.0})
        link.unplug()
        for _ in range(600):
            freezer.tick(timedelta(seconds=1))
            bridge.measure("oven", {"power": 3600.0})
        freezer.tick(timedelta(seconds=30))
        link.plug()
        await pass_time(hass, freezer, 1)
        assert state(hass, "power", OVEN).state == STATE_UNAVAILABLE
        assert state(hass, "energy_import", OVEN).state == "0.6"
        bridge.measure("oven", {"power": 100.0})
        await hass.async_block_till_done()
        assert state(hass, "power", OVEN).state == "100.0"
        assert runtime.session.counters.lost == 0


async def test_a_removed_meter_does_not_come_back_until_it_is_wanted_again(
    hass: HomeAssistant,
) -> None:
    bridge = workshop(meters=[oven()])
    async with running(hass, bridge) as (runtime, _link):
        bridge.measure("oven", SHOWN)
        place = subentry_of(runtime.entry)
        hass.config_entries.async_remove_subentry(runtime.entry, place.subentry_id)
        await hass.async_block_till_done(wait_background_tasks=True)
        assert runtime.entry.options["removed"] == ["oven"]
        assert OVEN not in hass.data[DATA_STORE].identities
        bridge.say_hello()
        bridge.measure("oven", SHOWN)
        await hass.async_block_till_done(wait_background_tasks=True)
        assert not runtime.entry.subentries and not runtime.meters
        hass.config_entries.async_add_subentry(runtime.entry, place)
        await hass.async_block_till_done(wait_background_tasks=True)
        bridge.measure("oven", SHOWN)
        await hass.async_block_till_done(wait_background_tasks=True)
        assert state(hass, "power", OVEN).state == "1234.5"
        assert runtime.entry.options["removed"] == []


async def test_a_meter_removed_while_its_entry_was_not_loaded_does_not_come_back(
    hass: HomeAssistant,
) -> None:
    bridge = workshop(meters=[oven()])
    entry = bridge_entry()
    async with running(hass, bridge, entry) as (_runtime, link):
        await hass.config_entries.async_unload(entry.entry_id)
        hass.config_entries.async_remove_subentry(entry, subentry_of(entry).subentry_id)
        await set_up(hass, entry, link)
        assert not entry.subentries
        assert entry.options["removed"] == ["oven"]


async def test_after_a_restart_totals_are_there_before_the_bridge_is(hass: HomeAssistant) -> None:
    bridge = workshop(meters=[oven()])
    entry = bridge_entry()
    async with running(hass, bridge, entry) as (_runtime, link):
        for _ in range(2):
            bridge.measure("oven", SHOWN)
        await hass.async_block_till_done()
        await hass.config_entries.async_unload(entry.entry_id)
        bridge.mute = True
        await set_up(hass, entry, link)
        assert state(hass, "energy_import", OVEN).state == "567.891"
        assert state(hass, "power", OVEN).state == STATE_UNAVAILABLE


async def test_nothing_is_taken_twice_over_a_restart(hass: HomeAssistant) -> None:
    bridge = workshop(meters=[oven(quantities=("power",))])
    entry = bridge_entry()
    async with running(hass, bridge, entry) as (runtime, link):
        for _ in range(5):
            bridge.measure("oven", {"power": 100.0})
        await hass.async_block_till_done()
        taken = runtime.session.counters.readings
        assert taken == 5
        await hass.config_entries.async_unload(entry.entry_id)
        # Nothing was acknowledged, so that the bridge says it all again.
        assert len(bridge.buffer) == 5
        again = await set_up(hass, entry, link)
        assert again.session.counters.readings == 0
        assert again.session.counters.repeated == 5


async def test_what_is_written_is_acknowledged(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = workshop(meters=[oven()])
    async with running(hass, bridge) as (runtime, _link):
        bridge.measure("oven", SHOWN)
        assert isinstance(runtime.session, BridgeSession)
        runtime.session.tick()
        assert len(bridge.buffer) == 1
        await pass_time(hass, freezer, 31)
        runtime.session.tick()
        assert bridge.buffer == []


async def test_a_firmware_without_a_quantity_drops_its_entity(hass: HomeAssistant) -> None:
    bridge = workshop(meters=[oven()])
    async with running(hass, bridge):
        bridge.meters["oven"].quantities = ("voltage", "current", "power")
        bridge.say_hello()
        await hass.async_block_till_done(wait_background_tasks=True)
        registry = er.async_get(hass)
        assert state(hass, "energy_import", OVEN)
        bridge.firmware = "2.0.0"
        bridge.meters["oven"].quantities = ("voltage", "current")
        bridge.say_hello()
        await hass.async_block_till_done(wait_background_tasks=True)
        assert not registry.async_get_entity_id("sensor", DOMAIN, f"{OVEN}_energy_import")


async def test_a_total_goes_on_when_new_firmware_brings_a_counter(hass: HomeAssistant) -> None:
    bridge = workshop(meters=[oven(quantities=("power",))])
    async with running(hass, bridge) as (runtime, _link):
        bridge.measure("oven", {"power": 36_000.0}, ago=3)
        bridge.measure("oven", {"power": 36_000.0}, ago=2)
        await hass.async_block_till_done()
        assert state(hass, "energy_import", OVEN).state == "0.01"
        bridge.meters["oven"].quantities = ("power", "energy_import")
        bridge.firmware = "1.1.0"
        bridge.say_hello()
        await hass.async_block_till_done(wait_background_tasks=True)
        for _ in range(2):
            bridge.measure("oven", {"power": 36_000.0, "energy_import": 500.0})
        await hass.async_block_till_done()
        assert state(hass, "energy_import", OVEN).state == "0.01"
        assert meter_of(runtime).pipeline.questions() == ()


async def test_when_home_assistant_stops_nobody_is_away(hass: HomeAssistant) -> None:
    bridge = workshop(meters=[oven()])
    async with running(hass, bridge):
        bridge.measure("oven", SHOWN)
        hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
        await hass.async_block_till_done()
        assert state(hass, "power", OVEN).state == "1234.5"
        bridge.measure("oven", SHOWN | {"power": 1.0})
        await hass.async_block_till_done()
        assert state(hass, "power", OVEN).state == "1234.5"


async def test_readings_that_come_before_the_meter_is_set_up_are_not_lost(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    freezer.tick(0)
    bridge = workshop(meters=[oven(quantities=("power",))])
    for seconds in range(100, 0, -1):
        bridge.measure("oven", {"power": 36_000.0}, ago=seconds)
    async with running(hass, bridge):
        bridge.measure("oven", {"power": 36_000.0})
        await hass.async_block_till_done()
        assert state(hass, "energy_import", OVEN).state == "1.0"


async def test_another_pace_changes_the_gaps_that_are_counted_over_and_no_entity(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    freezer.tick(0)
    bridge = workshop(meters=[oven(quantities=("power",))], interval=1.0)
    async with running(hass, bridge) as (runtime, _link):
        meter = meter_of(runtime)
        bridge.interval = 300.0
        bridge.say_hello()
        await hass.async_block_till_done(wait_background_tasks=True)
        assert meter_of(runtime) is meter
        bridge.measure("oven", {"power": 6000.0}, ago=600)
        bridge.measure("oven", {"power": 6000.0})
        await hass.async_block_till_done()
        assert state(hass, "energy_import", OVEN).state == "1.0"
        await pass_time(hass, freezer, 600)
        assert state(hass, "power", OVEN).state == "6000.0"


async def test_a_meter_that_is_missing_from_a_later_hello_is_gone(hass: HomeAssistant) -> None:
    bridge = workshop(meters=[oven(), SimulatedMeter(id="pump", quantities=("power",))])
    async with running(hass, bridge):
        bridge.measure("oven", SHOWN)
        del bridge.meters["oven"]
        bridge.say_hello()
        await hass.async_block_till_done(wait_background_tasks=True)
        assert state(hass, "power", OVEN).state == STATE_UNAVAILABLE


@pytest.mark.parametrize(
    "kept", [{}, {"measured": 3}, {"measured": ["power"], "phases": 1, "controls": [{}]}]
)
async def test_a_stored_shape_that_cannot_be_read_is_said_again_by_the_bridge(
    hass: HomeAssistant, kept: dict[str, object]
) -> None:
    bridge = workshop(meters=[oven()])
    entry = bridge_entry()
    async with running(hass, bridge, entry) as (_runtime, link):
        await hass.config_entries.async_unload(entry.entry_id)
        record = hass.data[DATA_STORE].bridge(entry.entry_id)
        record.shapes = {"oven": kept}
        record.memory = {}
        runtime = await set_up(hass, entry, link)
        assert meter_of(runtime).shape.measured == ("voltage", "current", "power", "energy_import")


async def test_what_a_bridge_logs_is_in_the_log(
    hass: HomeAssistant, caplog: pytest.LogCaptureFixture
) -> None:
    bridge = workshop(meters=[oven()])
    async with running(hass, bridge):
        bridge.log("UART 1: no line for 30 s", "warning")
        bridge.event("brown_out", meter="oven", reason="supply")
        await hass.async_block_till_done()
        assert "Workshop says: UART 1: no line for 30 s" in caplog.text
        assert "Workshop: brown_out at oven (supply)" in caplog.text


async def test_a_crash_of_home_assistant_costs_nothing_that_the_bridge_still_has(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = workshop(meters=[oven(quantities=("power",))])
    entry = bridge_entry()

    async def measure(seconds: int) -> None:
        for _ in range(seconds):
            freezer.tick(timedelta(seconds=1))
            bridge.measure("oven", {"power": 36_000.0})
        await hass.async_block_till_done()

    async with running(hass, bridge, entry) as (runtime, link):
        await measure(101)
        await pass_time(hass, freezer, 30)
        store = hass.data[DATA_STORE]
        written = deepcopy(
            (store.record(OVEN).metering, store.record(OVEN).missed, runtime.record.memory)
        )
        await measure(50)
        assert state(hass, "energy_import", OVEN).state == "1.8"
        await hass.config_entries.async_unload(entry.entry_id)
        # As if the power had failed: what was written last is all that there is.
        store.record(OVEN).metering, store.record(OVEN).missed, runtime.record.memory = written
        await measure(20)
        await set_up(hass, entry, link)
        assert state(hass, "energy_import", OVEN).state == "2.0"


async def test_a_counter_that_begins_at_zero_with_its_board_goes_on_without_a_question(
    hass: HomeAssistant,
) -> None:
    bridge = workshop(meters=[oven()])
    async with running(hass, bridge) as (runtime, _link):
        for _ in range(2):
            bridge.measure("oven", {"energy_import": 5.0})
        bridge.measure("oven", {"energy_import": 0.001}, flags=["restarted"])
        for figure in (0.002, 0.003, 0.004):
            bridge.measure("oven", {"energy_import": figure})
        await hass.async_block_till_done()
        assert state(hass, "energy_import", OVEN).state == "5.004"
        assert meter_of(runtime).pipeline.questions() == ()


async def test_a_counter_that_falls_without_a_start_is_asked_about(hass: HomeAssistant) -> None:
    bridge = workshop(meters=[oven()])
    async with running(hass, bridge) as (runtime, _link):
        for _ in range(2):
            bridge.measure("oven", {"energy_import": 5.0})
        for figure in (0.001, 0.002, 0.003, 0.004):
            bridge.measure("oven", {"energy_import": figure})
        await hass.async_block_till_done()
        (question,) = meter_of(runtime).pipeline.questions()
        assert question.answer is None


async def test_another_board_in_its_place_is_asked_about_though_it_has_just_started(
    hass: HomeAssistant,
) -> None:
    bridge = workshop(meters=[oven()])
    async with running(hass, bridge) as (runtime, _link):
        for _ in range(2):
            bridge.measure("oven", {"energy_import": 500.0})
        for _ in range(4):
            bridge.measure("oven", {"energy_import": 300.0}, flags=["restarted"])
        await hass.async_block_till_done()
        (question,) = meter_of(runtime).pipeline.questions()
        assert (question.answer, question.after) == (None, 300.0)


async def test_a_bare_board_that_counts_from_zero_after_each_start_is_believed(
    hass: HomeAssistant,
) -> None:
    bridge = BareBoard()
    entry = bridge_entry()
    async with running(hass, bridge, entry) as (runtime, _link):
        for _ in range(2):
            bridge.bare({"Energy_Wh": 5000.0})
        assert isinstance(runtime.session, BridgeSession)
        runtime.session.settle()
        await hass.async_block_till_done(wait_background_tasks=True)
        for _ in range(2):
            bridge.bare({"Energy_Wh": 5000.0})
        for _ in range(2):
            for watt_hours in (100.0, 200.0, 300.0, 400.0):
                bridge.bare({"Energy_Wh": watt_hours})
        await hass.async_block_till_done(wait_background_tasks=True)
        assert state(hass, "energy_import", f"{entry.entry_id}_main").state == "5.8"
        assert meter_of(runtime, "main").pipeline.questions() == ()
