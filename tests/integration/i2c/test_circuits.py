"""Circuits of a panel: named in one table, added up, taken off their main meter, looked at as waveforms."""

import asyncio
from collections.abc import Mapping
from typing import Any

from homeassistant.components.image import async_get_image
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import device_registry as dr, entity_registry as er
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.sources.simulated.panel import SimulatedMonitor

from .support import Panel, entity_id, identity_of, panel_entry, running, shown, until

GONE = ("missing", "unavailable", "unknown")


async def fill_in(hass: HomeAssistant, entry: MockConfigEntry, table: str) -> None:
    """Take a table over."""
    manager = hass.config_entries.options
    result = await manager.async_init(entry.entry_id)
    result = await manager.async_configure(result["flow_id"], {"table": table})
    assert result["step_id"] == "preview", result
    result = await manager.async_configure(result["flow_id"], {})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()


def power(panel: Panel, monitor: SimulatedMonitor) -> float:
    """What a monitor has measured last; a state follows within its tolerance."""
    value = next(
        meter.values["power"]
        for meter in panel.runtime.meters.values()
        if meter.identity == identity_of(monitor)
    )
    assert value is not None
    return value


def suggested(result: Mapping[str, Any]) -> str:
    """What the table's field is filled with."""
    marker = next(iter(result["data_schema"].schema))
    return str(marker.description["suggested_value"])


def placeholder(result: Mapping[str, Any], name: str) -> str:
    """What stands in a form's text."""
    return str(result["description_placeholders"][name])


def figure(hass: HomeAssistant, entry: MockConfigEntry, key: str) -> str:
    """The state of a virtual meter's sensor."""
    unique_id = f"{entry.entry_id}_{key}"
    found = er.async_get(hass).async_get_entity_id("sensor", DOMAIN, unique_id)
    state = hass.states.get(found) if found else None
    return state.state if state else "missing"


async def test_a_table_names_and_rates_circuits_after_a_preview(hass: HomeAssistant) -> None:
    async with running(hass, 5) as panel:
        manager = hass.config_entries.options
        result = await manager.async_init(panel.entry.entry_id)
        offered = suggested(result)
        assert offered.startswith("id;address;name;rating;phase;role;inside\n")
        assert offered.count("\n") == 6

        result = await manager.async_configure(
            result["flow_id"], {"table": "id;name\nnobody;Oven\n0x09;Oven\n"}
        )
        assert result["errors"] == {"base": "table_problems"}
        assert "Line 2: There is no circuit nobody" in placeholder(result, "problems")
        assert "nobody;Oven" in suggested(result)  # Nothing is lost.

        result = await manager.async_configure(
            result["flow_id"], {"table": "address;name;rating\n0x0B;Kitchen;13 A\n"}
        )
        assert result["step_id"] == "preview"
        assert "**Kitchen**, 13 A" in placeholder(result, "changes")
        assert (
            panel.subentry(panel.monitors[3]).title == "Circuit 0x0B"
        )  # Not before it is confirmed.
        await manager.async_configure(result["flow_id"], {})
        await hass.async_block_till_done()
        subentry = panel.subentry(panel.monitors[3])
        assert (subentry.title, subentry.data["rated_current"]) == ("Kitchen", 13)
        device = dr.async_get(hass).async_get_device_by_identifier(
            (DOMAIN, identity_of(panel.monitors[3])), panel.entry.entry_id
        )
        assert device is not None and device.name == "Kitchen"


async def test_totals_follow_the_phases_and_everything_else_the_main_meter(
    hass: HomeAssistant,
) -> None:
    async with running(hass, 9) as panel:
        ids = [f"{each.id:016x}" for each in panel.monitors]
        await fill_in(
            hass,
            panel.entry,
            "id;name;phase;role;inside\n"
            f"{ids[1]};Main L2;L2;grid;\n"
            f"{ids[3]};Kitchen;L2;device;Main L2\n"
            f"{ids[7]};Heat pump L2;L2;device;Main L2\n"
            f"{ids[5]};Pump;L1;device;\n"
            f"{ids[6]};Heat pump L1;L1;device;\n",
        )
        rest = f"rest_{identity_of(panel.monitors[1])}_power"
        await until(lambda: figure(hass, panel.entry, rest) not in GONE)
        await until(lambda: figure(hass, panel.entry, "total_l2_power") not in GONE)

        def fits() -> bool:
            main, kitchen, heat = (power(panel, panel.monitors[index]) for index in (1, 3, 7))
            return (
                abs(float(figure(hass, panel.entry, rest)) - (main - kitchen - heat)) < 0.5
                and abs(float(figure(hass, panel.entry, "total_l2_power")) - kitchen - heat) < 0.5
            )

        await until(fits)
        assert figure(hass, panel.entry, "total_l1_power") not in GONE
        assert figure(hass, panel.entry, "total_l3_power") == "missing"
        assert float(figure(hass, panel.entry, "total_energy")) >= 0

        panel.monitors[3].power(False)  # A part is no total.
        await until(lambda: figure(hass, panel.entry, "total_l2_power") in GONE)
        await until(lambda: figure(hass, panel.entry, rest) in GONE)
        assert figure(hass, panel.entry, "total_l1_power") not in GONE
        assert figure(hass, panel.entry, "total_l2_energy") not in GONE


async def test_the_energy_of_a_total_goes_on_after_a_restart(hass: HomeAssistant) -> None:
    entry = panel_entry()
    async with running(hass, 3, entry) as panel:
        await until(
            lambda: all(shown(hass, each, "energy_import") not in GONE for each in panel.monitors)
        )
        await until(lambda: figure(hass, panel.entry, "total_energy") not in GONE)
        panel.monitors[0].lost -= 5.0  # Five kilowatt-hours flow at once.
        await until(lambda: float(figure(hass, panel.entry, "total_energy")) > 4.9, 20)
        before = float(figure(hass, panel.entry, "total_energy"))
        assert await hass.config_entries.async_reload(entry.entry_id)
        await until(lambda: figure(hass, panel.entry, "total_energy") not in GONE, 20)
        assert before <= float(figure(hass, panel.entry, "total_energy")) < before + 0.2


async def test_a_waveform_is_answered_and_shown(hass: HomeAssistant) -> None:
    async with running(hass, 5) as panel:
        kitchen = panel.monitors[3]
        device = dr.async_get(hass).async_get_device_by_identifier(
            (DOMAIN, identity_of(kitchen)), panel.entry.entry_id
        )
        assert device is not None
        answer = await hass.services.async_call(
            DOMAIN,
            "capture_waveform",
            {"device_id": device.id, "cycles": 1},
            blocking=True,
            return_response=True,
        )
        assert answer is not None
        voltage = answer["voltage"]
        assert isinstance(voltage, dict)
        assert voltage["crest_factor"] == pytest.approx(1.414, abs=0.02)
        now = kitchen.circuit.at(kitchen._clock())
        assert voltage["rms"] == pytest.approx(now.voltage, abs=3)
        assert isinstance(voltage["samples"], list)
        assert len(voltage["samples"]) == pytest.approx(40, abs=1)
        image = entity_id(hass, "image", f"{identity_of(kitchen)}_waveform")
        state = hass.states.get(image)
        assert state is not None and state.state not in GONE
        picture = await async_get_image(hass, image)
        assert picture.content_type == "image/svg+xml"
        assert b"<polyline" in picture.content

        kitchen.power(False)
        with pytest.raises(HomeAssistantError) as away:
            await hass.services.async_call(
                DOMAIN,
                "capture_waveform",
                {"device_id": device.id},
                blocking=True,
                return_response=True,
            )
        assert away.value.translation_key in ("bridge_no_answer", "bridge_away")


async def test_a_waveform_is_taken_while_somebody_looks_at_the_picture(hass: HomeAssistant) -> None:
    async with running(hass, 2) as panel:
        meters = list(panel.runtime.meters.values())
        waves = await asyncio.gather(
            *(
                panel.runtime.async_capture(meter, 1 + number % 2)
                for number in range(3)
                for meter in meters
            )
        )
        assert [wave.cycles for wave in waves] == [1, 1, 2, 2, 1, 1]


async def test_a_device_that_is_no_monitor_is_refused(hass: HomeAssistant) -> None:
    async with running(hass, 1):
        with pytest.raises(ServiceValidationError) as wrong:
            await hass.services.async_call(
                DOMAIN,
                "capture_waveform",
                {"device_id": "nobody"},
                blocking=True,
                return_response=True,
            )
        assert wrong.value.translation_key == "not_a_monitor"
