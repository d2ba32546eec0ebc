"""What is wrong with a bridge comes as a repair, offers what fits, and goes with its cause."""

from datetime import timedelta
from typing import Any
from unittest.mock import patch

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.repairs import DOMAIN as REPAIRS
from homeassistant.components.repairs.issue_handler import RepairsFlowManager
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
import pytest

from custom_components.energy_meter.bridge_runtime import BridgeRuntime
from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.issues import Issue, issue_id
from tests.support.bridge import SimulatedBridge, SimulatedMeter
from tests.support.entities import state

from .support import OVEN, SHOWN, bridge_entry, meter_of, pass_time, running, workshop

VOLTAGES = (230.0, 230.4, 229.7)


def issue(hass: HomeAssistant, kind: Issue, subject: str) -> ir.IssueEntry | None:
    """The issue, if it is raised."""
    found = ir.async_get(hass).async_get_issue(DOMAIN, issue_id(kind, subject))
    return found if found is not None and found.active else None


async def fix(hass: HomeAssistant, kind: Issue, subject: str, option: str | None = None) -> Any:
    """Go through the fix flow, by an option of its menu if it has one."""
    assert await async_setup_component(hass, REPAIRS, {})
    flows: RepairsFlowManager = hass.data[REPAIRS]["flow_manager"]
    found = await flows.async_init(DOMAIN, data={"issue_id": issue_id(kind, subject)})
    step = {"next_step_id": option} if option else {}
    result = await flows.async_configure(found["flow_id"], step)
    await hass.async_block_till_done(wait_background_tasks=True)
    return result


def oven() -> SimulatedBridge:
    return workshop(meters=[SimulatedMeter()])


async def test_a_bridge_that_is_away_for_a_day(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = oven()
    async with running(hass, bridge) as (runtime, link):
        entry_id = runtime.entry.entry_id
        bridge.measure("oven", SHOWN)
        link.unplug()
        await pass_time(hass, freezer, 23 * 3600)
        assert issue(hass, Issue.BRIDGE_SILENT, entry_id) is None
        await pass_time(hass, freezer, 2 * 3600)
        raised = issue(hass, Issue.BRIDGE_SILENT, entry_id)
        assert raised is not None and raised.translation_placeholders is not None
        assert raised.translation_placeholders["name"] == "Workshop"
        # One cause, one repair: its meters are silent because it is.
        assert issue(hass, Issue.BRIDGE_METER_SILENT, OVEN) is None
        await fix(hass, Issue.BRIDGE_SILENT, entry_id)
        await pass_time(hass, freezer, 60)
        assert issue(hass, Issue.BRIDGE_SILENT, entry_id) is None
        await pass_time(hass, freezer, 25 * 3600)
        assert issue(hass, Issue.BRIDGE_SILENT, entry_id) is not None
        link.plug()
        await pass_time(hass, freezer, 31)
        assert issue(hass, Issue.BRIDGE_SILENT, entry_id) is None


async def test_a_meter_that_is_silent_for_a_day_beside_others(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = workshop(meters=[SimulatedMeter(), SimulatedMeter(id="pump", quantities=("power",))])
    async with running(hass, bridge):
        bridge.measure("oven", SHOWN)
        for _ in range(25):
            await pass_time(hass, freezer, 3600)
            bridge.measure("pump", {"power": 1.0})
        await pass_time(hass, freezer, 31)
        assert issue(hass, Issue.BRIDGE_METER_SILENT, OVEN) is not None
        assert issue(hass, Issue.SILENT, OVEN) is None
        for _ in range(3):
            bridge.measure("oven", SHOWN)
            await pass_time(hass, freezer, 16)
        assert issue(hass, Issue.BRIDGE_METER_SILENT, OVEN) is None


async def test_a_clock_that_is_wrong(hass: HomeAssistant, freezer: FrozenDateTimeFactory) -> None:
    bridge = oven()
    async with running(hass, bridge) as (runtime, _link):
        entry_id = runtime.entry.entry_id
        ahead = dt_util.utcnow().timestamp() + 86_400
        bridge.seq += 1
        values = {"energy_import": 5.0}
        bridge.say(
            {
                "type": "reading",
                "boot": 1,
                "seq": bridge.seq,
                "at": ahead,
                "meter": "oven",
                "values": values,
            }
        )
        await hass.async_block_till_done()
        assert issue(hass, Issue.BRIDGE_CLOCK, entry_id) is not None
        await pass_time(hass, freezer, 31 * 60)
        assert issue(hass, Issue.BRIDGE_CLOCK, entry_id) is None


async def test_a_bridge_of_another_version_says_which_end_is_too_old(hass: HomeAssistant) -> None:
    bridge = oven()
    async with running(hass, bridge) as (runtime, link):
        entry_id, hello = runtime.entry.entry_id, bridge.hello
        bridge.hello = lambda: {**hello(), "v": 2}  # type: ignore[method-assign]
        bridge.say_hello()
        await hass.async_block_till_done()
        assert issue(hass, Issue.BRIDGE_TOO_NEW, entry_id) is not None
        bridge.hello = hello  # type: ignore[method-assign]
        with patch("custom_components.energy_meter.meter_entry.make_link", return_value=link):
            await fix(hass, Issue.BRIDGE_TOO_NEW, entry_id)
        assert issue(hass, Issue.BRIDGE_TOO_NEW, entry_id) is None
        again = runtime.entry.runtime_data
        assert isinstance(again, BridgeRuntime)
        again.on_trouble("version", "0")
        assert issue(hass, Issue.BRIDGE_TOO_OLD, entry_id) is not None
        bridge.measure("oven", SHOWN)
        await hass.async_block_till_done()
        assert issue(hass, Issue.BRIDGE_TOO_OLD, entry_id) is None


async def test_another_bridge_in_its_place_is_taken_as_successor_with_the_totals(
    hass: HomeAssistant,
) -> None:
    bridge = oven()
    entry = bridge_entry()
    async with running(hass, bridge, entry) as (_runtime, link):
        for _ in range(2):
            bridge.measure("oven", SHOWN)
        await hass.async_block_till_done()
        link.unplug()
        link.bridge = other = workshop(bridge="ffffffffffff", meters=[SimulatedMeter()])
        link.plug()
        other.measure("oven", {"power": 1.0})
        await hass.async_block_till_done()
        assert issue(hass, Issue.WRONG_BRIDGE, entry.entry_id) is not None
        assert state(hass, "power", OVEN).state == "unavailable"
        with patch("custom_components.energy_meter.meter_entry.make_link", return_value=link):
            await fix(hass, Issue.WRONG_BRIDGE, entry.entry_id, "accept")
        assert entry.unique_id == "ffffffffffff"
        other.measure("oven", {"power": 2.0})
        await hass.async_block_till_done(wait_background_tasks=True)
        assert state(hass, "power", OVEN).state == "2.0"
        assert state(hass, "energy_import", OVEN).state == "567.891"
        assert issue(hass, Issue.WRONG_BRIDGE, entry.entry_id) is None


async def test_the_right_bridge_again_settles_it_by_itself(hass: HomeAssistant) -> None:
    bridge = oven()
    async with running(hass, bridge) as (runtime, link):
        link.unplug()
        link.bridge = workshop(bridge="ffffffffffff", meters=[SimulatedMeter()])
        link.plug()
        assert issue(hass, Issue.WRONG_BRIDGE, runtime.entry.entry_id) is not None
        link.unplug()
        link.bridge = bridge
        link.plug()
        bridge.measure("oven", SHOWN)
        assert issue(hass, Issue.WRONG_BRIDGE, runtime.entry.entry_id) is None


async def test_a_successor_that_is_set_up_elsewhere_is_not_taken(hass: HomeAssistant) -> None:
    bridge = oven()
    entry, elsewhere = bridge_entry(), bridge_entry()
    async with running(hass, bridge, entry) as (runtime, _link):
        object.__setattr__(elsewhere, "unique_id", "ffffffffffff")
        elsewhere.add_to_hass(hass)
        runtime.on_trouble("wrong_bridge", "ffffffffffff")
        result = await fix(hass, Issue.WRONG_BRIDGE, entry.entry_id, "accept")
        assert result["reason"] == "already_configured"
        assert entry.unique_id != "ffffffffffff"


async def test_firmware_that_was_taken_back_is_told(hass: HomeAssistant) -> None:
    bridge = oven()
    async with running(hass, bridge) as (runtime, _link):
        bridge.event("rolled_back")
        await hass.async_block_till_done()
        entry_id = runtime.entry.entry_id
        raised = issue(hass, Issue.BRIDGE_ROLLED_BACK, entry_id)
        assert raised is not None and raised.translation_placeholders is not None
        assert raised.translation_placeholders["firmware"] == "1.0.0"
        await fix(hass, Issue.BRIDGE_ROLLED_BACK, entry_id)
        assert issue(hass, Issue.BRIDGE_ROLLED_BACK, entry_id) is None


async def test_a_sensor_that_clips_is_told_until_it_is_put_right(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = oven()
    async with running(hass, bridge):

        def measure(*flags: str) -> None:
            for _ in range(130):
                freezer.tick(timedelta(seconds=5))
                bridge.measure("oven", SHOWN, flags=flags)

        measure("clipping")
        await pass_time(hass, freezer, 31)
        assert issue(hass, Issue.SENSOR_CLIPPING, OVEN) is not None
        await fix(hass, Issue.SENSOR_CLIPPING, OVEN, "checked")
        await pass_time(hass, freezer, 31)
        assert issue(hass, Issue.SENSOR_CLIPPING, OVEN) is None
        measure("clipping")
        await pass_time(hass, freezer, 31)
        assert issue(hass, Issue.SENSOR_CLIPPING, OVEN) is not None
        measure()
        measure()
        await pass_time(hass, freezer, 31)
        assert issue(hass, Issue.SENSOR_CLIPPING, OVEN) is None


async def test_a_sensor_that_does_not_move_is_told_once_and_left_if_it_is_right_so(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = oven()
    async with running(hass, bridge) as (runtime, _link):

        def measure() -> None:
            for number in range(300):
                freezer.tick(timedelta(minutes=5))
                values = {"voltage": VOLTAGES[number % 3], "current": 0.0}
                bridge.measure("oven", values)

        measure()
        await pass_time(hass, freezer, 1)
        await pass_time(hass, freezer, 31)
        raised = issue(hass, Issue.SENSOR_STUCK, OVEN)
        assert raised is not None and raised.translation_placeholders is not None
        assert raised.translation_placeholders["current"] == "0.00 A"
        await fix(hass, Issue.SENSOR_STUCK, OVEN, "leave")
        measure()
        await pass_time(hass, freezer, 31)
        assert issue(hass, Issue.SENSOR_STUCK, OVEN) is None
        assert meter_of(runtime).record.declined == ["sensor_stuck"]


async def test_a_key_that_is_refused_asks_for_the_new_one(hass: HomeAssistant) -> None:
    bridge = oven()
    async with running(hass, bridge, bridge_entry(key="ABCDEFGHJKLMNPQRSTUV")) as (runtime, _link):
        runtime.on_trouble("key_refused", "")
        await hass.async_block_till_done()
        (flow,) = hass.config_entries.flow.async_progress_by_handler(DOMAIN)
        assert flow["context"]["source"] == "reauth"
        assert flow["context"]["entry_id"] == runtime.entry.entry_id


async def test_trouble_that_goes_on_is_in_the_log_once(
    hass: HomeAssistant, caplog: pytest.LogCaptureFixture
) -> None:
    bridge = oven()
    async with running(hass, bridge) as (runtime, _link):
        for _ in range(3):
            runtime.on_trouble("cannot_connect", "refused")
        warnings = [each for each in caplog.records if each.levelname == "WARNING"]
        assert len([each for each in warnings if "cannot_connect" in each.message]) == 1
        bridge.measure("oven", SHOWN)
        runtime.on_trouble("cannot_connect", "refused")
        warnings = [each for each in caplog.records if each.levelname == "WARNING"]
        assert len([each for each in warnings if "cannot_connect" in each.message]) == 2
