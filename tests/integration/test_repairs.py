"""Repairs: each says what is wrong, offers what can be done, and goes when the cause has gone."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from homeassistant.components.repairs.const import DOMAIN as REPAIRS
from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
import pytest

from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.coordinator import MeterCoordinator
from custom_components.energy_meter.issues import Issue, issue_id
from custom_components.energy_meter.line_watch import LineWatch
from custom_components.energy_meter.profiles import async_check_profiles
from custom_components.energy_meter.sources.base import LinkHealth, MeterHealth
from custom_components.energy_meter.sources.modbus.library import BUILT_IN
from tests.support.wire import Wire, rtu_line

from .runtime_support import (
    SDM120,
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


@pytest.fixture(autouse=True)
async def repairs(hass: HomeAssistant) -> None:
    """Fix flows are served by the repairs integration."""
    assert await async_setup_component(hass, REPAIRS, {})


def issue(hass: HomeAssistant, kind: Issue, subject: str = "meter_1") -> ir.IssueEntry | None:
    """The issue, if it is raised."""
    found = ir.async_get(hass).async_get_issue(DOMAIN, issue_id(kind, subject))
    return found if found is not None and found.active else None


async def fix(
    hass: HomeAssistant, kind: Issue, choice: str | None = None, subject: str = "meter_1"
) -> Any:
    """Go through an issue's fix flow: a menu with a choice, or a form to submit."""
    manager = hass.data[REPAIRS]["flow_manager"]
    result = await manager.async_init(DOMAIN, data={"issue_id": issue_id(kind, subject)})
    if choice is None:
        assert result["type"] is FlowResultType.FORM
        result = await manager.async_configure(result["flow_id"], {})
    else:
        assert result["type"] is FlowResultType.MENU
        assert choice in result["menu_options"]
        result = await manager.async_configure(result["flow_id"], {"next_step_id": choice})
    await hass.async_block_till_done()
    return result


def only_meter(entry: Any) -> MeterCoordinator:
    """The entry's only meter."""
    (found,) = entry.runtime_data.meters.values()
    assert isinstance(found, MeterCoordinator)
    return found


async def replaced(hass: HomeAssistant, line: Wire, device: Any) -> None:
    """Let a meter show what another one would, until the question is asked."""
    await shows(hass, "energy_import", "567.0")
    show(device, SDM120, {"energy_import": 3.0})
    await until(lambda: issue(hass, Issue.METER_CHANGED) is not None, 15)


@pytest.mark.parametrize(
    ("answer", "total", "later"),
    [("new_meter", "567.0", "567.1"), ("reset", "570.0", "570.1"), ("ignore", "567.0", "567.0")],
)
async def test_a_replaced_or_reset_meter_is_asked_about_and_the_total_never_falls(
    hass: HomeAssistant, answer: str, total: str, later: str
) -> None:
    device = meter(SDM120, 1, {"energy_import": 567.0})
    async with rtu_line([device]) as line, running(hass, line, subentry(1)):
        await replaced(hass, line, device)
        asked = issue(hass, Issue.METER_CHANGED)
        assert asked is not None and asked.translation_placeholders is not None
        assert "567.00 → 3.00 kWh" in asked.translation_placeholders["counters"]
        assert state(hass, "energy_import").state == "567.0"
        result = await fix(hass, Issue.METER_CHANGED, answer)
        assert result["type"] is FlowResultType.CREATE_ENTRY
        assert issue(hass, Issue.METER_CHANGED) is None
        assert state(hass, "energy_import").state == total
        show(device, SDM120, {"energy_import": 3.1})
        read = len(line.log)
        await until(lambda: len(line.log) > read + 6)
        await until(lambda: state(hass, "energy_import").state == later, 15)


async def test_the_answer_can_be_taken_back(hass: HomeAssistant) -> None:
    device = meter(SDM120, 1, {"energy_import": 567.0})
    async with rtu_line([device]) as line, running(hass, line, subentry(1)) as entry:
        await replaced(hass, line, device)
        await fix(hass, Issue.METER_CHANGED, "reset")
        assert state(hass, "energy_import").state == "570.0"
        assert issue(hass, Issue.METER_CHANGE_UNDO) is not None
        await fix(hass, Issue.METER_CHANGE_UNDO)
        assert issue(hass, Issue.METER_CHANGE_UNDO) is None
        assert issue(hass, Issue.METER_CHANGED) is not None
        assert state(hass, "energy_import").state == "570.0"
        # The question survives a restart.
        assert await hass.config_entries.async_reload(entry.entry_id)
        assert issue(hass, Issue.METER_CHANGED) is not None


async def test_a_reset_by_our_own_button_asks_nobody(hass: HomeAssistant) -> None:
    device = meter(SDM120, 1, {"energy_import": 567.0})
    async with rtu_line([device]) as line, running(hass, line, subentry(1)) as entry:
        await shows(hass, "energy_import", "567.0")
        only_meter(entry).async_expect_reset()
        show(device, SDM120, {"energy_import": 0.5})
        await until(lambda: state(hass, "energy_import").state == "567.5", 15)
        assert issue(hass, Issue.METER_CHANGED) is None


async def test_a_meter_that_is_silent_for_a_day_is_reported_until_it_answers(
    hass: HomeAssistant,
) -> None:
    device = meter(SDM120, 1, {"power": 10.0})
    async with rtu_line([device]) as line, running(hass, line, subentry(1)) as entry:
        await shows(hass, "power", "10.0")
        coordinator = only_meter(entry)
        line.silence(1)
        await until(lambda: not coordinator.answering, 15)
        now = dt_util.utcnow()
        coordinator.async_review(now + timedelta(hours=23))
        assert issue(hass, Issue.SILENT) is None
        coordinator.async_review(now + timedelta(hours=25))
        assert issue(hass, Issue.SILENT) is not None
        line.revive(1)
        await until(lambda: coordinator.answering, 15)
        coordinator.async_review(now + timedelta(hours=25))
        assert issue(hass, Issue.SILENT) is None


async def test_the_report_of_a_silent_meter_can_be_put_off_for_a_day(hass: HomeAssistant) -> None:
    async with rtu_line([]) as line, running(hass, line, subentry(1)) as entry:
        coordinator, now = only_meter(entry), dt_util.utcnow()
        coordinator.async_review(now + timedelta(hours=25))
        assert (await fix(hass, Issue.SILENT))["type"] is FlowResultType.CREATE_ENTRY
        coordinator.async_review(now + timedelta(hours=23))
        assert issue(hass, Issue.SILENT) is None
        coordinator.async_review(now + timedelta(hours=25))
        assert issue(hass, Issue.SILENT) is not None


async def test_phases_that_do_not_fit_are_reported_until_put_right(hass: HomeAssistant) -> None:
    device = meter(SDM120, 1, {"power": 5000.0, "voltage": 230.0, "current": 2.2})
    place = subentry(1, fast_interval=0)
    async with rtu_line([device]) as line, running(hass, line, place) as entry:
        coordinator = only_meter(entry)
        await until(lambda: bool(coordinator.pipeline.evidence()), 30)
        coordinator.async_review(dt_util.utcnow())
        assert issue(hass, Issue.SWAPPED_PHASES) is not None
        show(device, SDM120, {"power": 500.0})
        await shows(hass, "power", "500.0")
        await fix(hass, Issue.SWAPPED_PHASES, "turned")
        coordinator.async_review(dt_util.utcnow())
        assert issue(hass, Issue.SWAPPED_PHASES) is None


async def test_noise_and_a_second_master_are_reported_and_taken_back(hass: HomeAssistant) -> None:
    async with rtu_line([]) as line, running(hass, line, subentry(1)) as entry:
        runtime = entry.runtime_data
        runtime.watch.forget()
        runtime._look_for_trouble(health(0, meter_1=(0, 0)))
        bad = replace(health(100, meter_1=(20, 0)), foreign_traffic=12)
        runtime._look_for_trouble(bad)
        for kind in (Issue.NOISE, Issue.FOREIGN_TRAFFIC):
            assert issue(hass, kind, entry.entry_id) is not None
        await fix(hass, Issue.NOISE, subject=entry.entry_id)
        runtime._look_for_trouble(bad)
        for kind in (Issue.NOISE, Issue.FOREIGN_TRAFFIC):
            assert issue(hass, kind, entry.entry_id) is None


async def test_another_meter_in_its_place_is_reported_and_not_recorded(
    hass: HomeAssistant,
) -> None:
    device = meter(SDM120, 1, {"power": 10.0, "serial_number": 222})
    async with (
        rtu_line([device]) as line,
        running(hass, line, subentry(1, serial_number="111")) as entry,
    ):
        await until(lambda: issue(hass, Issue.WRONG_METER) is not None)
        assert state(hass, "power").state == STATE_UNAVAILABLE
        await fix(hass, Issue.WRONG_METER, "accept")
        assert subentry_of(entry, "meter_1").data["serial_number"] == "222"
        await shows(hass, "power", "10.0")
        assert issue(hass, Issue.WRONG_METER) is None


async def test_the_right_meter_back_in_its_place_ends_the_report(hass: HomeAssistant) -> None:
    device = meter(SDM120, 1, {"power": 10.0, "serial_number": 222})
    async with (
        rtu_line([device]) as line,
        running(hass, line, subentry(1, serial_number="111")) as entry,
    ):
        await until(lambda: issue(hass, Issue.WRONG_METER) is not None)
        await fix(hass, Issue.WRONG_METER, "rewired")
        assert issue(hass, Issue.WRONG_METER) is None
        only_meter(entry).async_review(dt_util.utcnow())
        assert issue(hass, Issue.WRONG_METER) is not None
        show(device, SDM120, {"serial_number": 111})
        await until(lambda: state(hass, "power").state == "10.0", 20)
        assert issue(hass, Issue.WRONG_METER) is None


REVERSED = {
    "power": -500.0,
    "voltage": 230.0,
    "current": 2.2,
    "energy_import": 1.0,
    "energy_export": 9.0,
}


async def suspected(hass: HomeAssistant, coordinator: MeterCoordinator) -> None:
    """Wait until enough readings speak for a reversed transformer."""
    await until(lambda: bool(coordinator.pipeline.evidence()), 30)
    coordinator.async_review(dt_util.utcnow())
    assert issue(hass, Issue.REVERSED) is not None


async def test_a_reversed_transformer_is_noticed_and_turned_in_the_numbers(
    hass: HomeAssistant,
) -> None:
    device = meter(SDM120, 1, REVERSED)
    place = subentry(1, role="device", fast_interval=0, counter_interval=0.2)
    async with rtu_line([device]) as line, running(hass, line, place) as entry:
        await shows(hass, "energy_import", "1.0")
        await shows(hass, "energy_export", "9.0")
        await suspected(hass, only_meter(entry))
        await fix(hass, Issue.REVERSED, "invert")
        assert subentry_of(entry, "meter_1").data["invert"] is True
        await shows(hass, "power", "500.0")
        show(device, SDM120, {"energy_export": 9.01})
        # What was shown stays; from now on the meter's export counts as import.
        await shows(hass, "energy_import", "1.01")
        assert state(hass, "energy_export").state == "9.0"
        only_meter(entry).async_review(dt_util.utcnow())
        assert issue(hass, Issue.REVERSED) is None


async def test_a_reversed_transformer_that_is_meant_so_is_not_mentioned_again(
    hass: HomeAssistant,
) -> None:
    device = meter(SDM120, 1, REVERSED)
    place = subentry(1, role="device", fast_interval=0)
    async with rtu_line([device]) as line, running(hass, line, place) as entry:
        await shows(hass, "power", "-500.0")
        await suspected(hass, only_meter(entry))
        await fix(hass, Issue.REVERSED, "leave")
        only_meter(entry).async_review(dt_util.utcnow())
        assert issue(hass, Issue.REVERSED) is None


async def test_two_meters_set_up_at_one_address_are_reported(hass: HomeAssistant) -> None:
    device = meter(SDM120, 1, {"power": 10.0})
    two = subentry(1, identity="other")
    async with rtu_line([device]) as line, running(hass, line, subentry(1), two) as entry:
        subject = f"{entry.entry_id}_1"
        assert issue(hass, Issue.DUPLICATE_ADDRESS, subject) is not None
        place = subentry_of(entry, "other")
        hass.config_entries.async_update_subentry(entry, place, data={**place.data, "unit_id": 2})
        await until(lambda: issue(hass, Issue.DUPLICATE_ADDRESS, subject) is None)


def custom_profile(hass: HomeAssistant, text: str) -> Path:
    """Put a profile into the user's folder."""
    folder = Path(hass.config.path(DOMAIN, "profiles"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def config_folder(hass: HomeAssistant, tmp_path: Path) -> None:
    """A configuration folder of the test's own."""
    hass.config.config_dir = str(tmp_path)


@pytest.mark.usefixtures("config_folder")
async def test_a_broken_profile_is_reported_by_line_and_its_meter_returns_with_it(
    hass: HomeAssistant,
) -> None:
    good = (BUILT_IN / f"{SDM120}.yaml").read_text(encoding="utf-8")
    path = custom_profile(hass, good.replace("phases: 1", "phases: nine"))
    device = meter(SDM120, 1, {"power": 10.0})
    async with rtu_line([device]) as line, running(hass, line, subentry(1, "mine")) as entry:
        assert not entry.runtime_data.meters
        assert issue(hass, Issue.PROFILE_MISSING) is not None
        broken = issue(hass, Issue.BROKEN_PROFILE, "mine.yaml")
        assert broken is not None and broken.translation_placeholders is not None
        assert broken.translation_placeholders["file"] == "mine.yaml"
        assert int(broken.translation_placeholders["line"]) > 0
        result = await fix(hass, Issue.BROKEN_PROFILE, subject="mine.yaml")
        assert result["type"] is FlowResultType.ABORT
        assert result["reason"] == "still_broken"
        path.write_text(good, encoding="utf-8")
        result = await fix(hass, Issue.BROKEN_PROFILE, subject="mine.yaml")
        assert result["type"] is FlowResultType.CREATE_ENTRY
        assert issue(hass, Issue.PROFILE_MISSING) is None
        await until(lambda: hass.states.get("sensor.meter_1_power") is not None)
        await shows(hass, "power", "10.0")


@pytest.mark.usefixtures("config_folder")
async def test_a_broken_profile_that_is_deleted_is_no_issue_any_more(hass: HomeAssistant) -> None:
    path = custom_profile(hass, "phases: 1\n")
    async with rtu_line([]) as line, running(hass, line):
        assert issue(hass, Issue.BROKEN_PROFILE, "mine.yaml") is not None
        path.unlink()
        await async_check_profiles(hass)
        assert issue(hass, Issue.BROKEN_PROFILE, "mine.yaml") is None


async def test_a_clash_of_line_settings_names_the_other_user_and_can_be_settled(
    hass: HomeAssistant,
) -> None:
    device = meter(SDM120, 1, {"power": 10.0})
    async with rtu_line([device]) as line, running(hass, line, subentry(1)):
        await shows(hass, "power", "10.0")
        other = entry_for(line, [subentry(1, identity="other")])
        other.add_to_hass(hass)
        hass.config_entries.async_update_entry(
            other, title="Other", data={**other.data, "baudrate": 9600}
        )
        assert not await hass.config_entries.async_setup(other.entry_id)
        assert other.error_reason_translation_key == "settings_clash"
        clash = issue(hass, Issue.LINK_CLASH, other.entry_id)
        assert clash is not None and clash.translation_placeholders is not None
        assert clash.translation_placeholders["user"] == "Cellar"
        assert clash.translation_placeholders["settings"] == "115200 8N1"
        await fix(hass, Issue.LINK_CLASH, "retry", other.entry_id)
        await until(lambda: issue(hass, Issue.LINK_CLASH, other.entry_id) is not None)
        await fix(hass, Issue.LINK_CLASH, "adopt", other.entry_id)
        await shows(hass, "power", "10.0", "other")
        assert other.data["baudrate"] == 115200
        assert issue(hass, Issue.LINK_CLASH, other.entry_id) is None
        await hass.config_entries.async_unload(other.entry_id)


def health(requests: int, **meters: tuple[int, int]) -> LinkHealth:
    """The health of a line: {meter: (damaged, timeouts)} of so many requests each."""
    return LinkHealth(
        requests=requests * len(meters),
        meters={
            name: MeterHealth(requests=requests, errors=damaged + timeouts, timeouts=timeouts)
            for name, (damaged, timeouts) in meters.items()
        },
    )


def test_damaged_answers_of_one_meter_among_clean_ones_are_two_at_one_address() -> None:
    watch = LineWatch()
    watch.look(0, health(0, one=(0, 0), two=(0, 0)))
    found = watch.look(60, health(100, one=(50, 0), two=(1, 0)))
    assert found.clashing == {"one"}
    assert found.noise is None


def test_damaged_answers_of_all_are_noise_and_silence_is_none() -> None:
    watch = LineWatch()
    watch.look(0, health(0, one=(0, 0), two=(0, 0)))
    found = watch.look(60, health(100, one=(20, 0), two=(15, 0)))
    assert found.clashing == frozenset()
    assert found.noise == pytest.approx(0.2)
    watch.forget()
    watch.look(60, health(100, one=(20, 0), two=(15, 0)))
    assert watch.look(120, health(200, one=(20, 100), two=(15, 0))).noise is None


def test_a_second_master_shows_in_answers_that_belong_to_nobody() -> None:
    watch = LineWatch()
    watch.look(0, LinkHealth())
    assert not watch.look(30, LinkHealth(foreign_traffic=9)).foreign
    assert watch.look(60, LinkHealth(foreign_traffic=10)).foreign
    assert not watch.look(700, LinkHealth(foreign_traffic=10)).foreign
