"""Actions: for admins only, with an answer, between polls; and the diagnostics download played back."""

from collections.abc import Mapping
import json
from pathlib import Path
from typing import Any

from homeassistant.auth.models import User
from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError, Unauthorized
from homeassistant.helpers import device_registry as dr
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.diagnostics import (
    async_get_config_entry_diagnostics,
    async_get_device_diagnostics,
)
from tests.support.recorded import recorded_configs, recorded_meters
from tests.support.wire import rtu_line

from .runtime_support import SDM120, SDM630, meter, running, shows, state, subentry, until

SHOWN = {
    "voltage": 230.5,
    "current": 5.5,
    "power": 1234.5,
    "energy_import": 567.89,
    "serial_number": 12345678,
}


async def act(hass: HomeAssistant, name: str, context: Context | None = None, **data: Any) -> Any:
    """Call an action and return its response."""
    return await hass.services.async_call(
        DOMAIN, name, data, blocking=True, return_response=True, context=context
    )


async def test_registers_are_read_and_decoded(hass: HomeAssistant) -> None:
    async with (
        rtu_line([meter(SDM120, 1, SHOWN)]) as line,
        running(hass, line, subentry(1)) as entry,
    ):
        answer = await act(
            hass,
            "read_registers",
            config_entry_id=entry.entry_id,
            unit_id=1,
            table="input",
            address=0,
            count=2,
            type="float32",
        )
        assert answer == {
            "registers": [0x4366, 0x8000],
            "hex": ["0x4366", "0x8000"],
            "value": 230.5,
        }


async def test_registers_are_written_and_read_back(hass: HomeAssistant) -> None:
    device = meter(SDM120, 1, SHOWN)
    async with rtu_line([device]) as line, running(hass, line, subentry(1)) as entry:
        where = {"config_entry_id": entry.entry_id, "unit_id": 1, "address": 0xF920}
        assert await act(hass, "write_registers", values=[2], **where) == {"registers": [2]}
        assert device.holding[0xF920] == 2
        assert await act(hass, "write_registers", values=3, single=True, **where) == {
            "registers": [3]
        }


async def test_what_a_meter_refuses_or_does_not_answer_is_said(hass: HomeAssistant) -> None:
    device = meter(SDM120, 1, SHOWN)
    device.strict = True
    async with rtu_line([device]) as line, running(hass, line, subentry(1)) as entry:
        where: dict[str, Any] = {"config_entry_id": entry.entry_id, "unit_id": 1}
        with pytest.raises(HomeAssistantError) as failed:
            await act(hass, "read_registers", address=9999, **where)
        assert failed.value.translation_key == "meter_refused"
        with pytest.raises(ServiceValidationError) as wrong:
            await act(hass, "read_registers", address=65535, count=2, **where)
        assert wrong.value.translation_key == "registers_beyond_the_end"
        with pytest.raises(ServiceValidationError) as wrong:
            await act(
                hass, "read_registers", address=0, count=1, type="float32", table="input", **where
            )
        assert wrong.value.translation_key == "type_does_not_fit"
        with pytest.raises(ServiceValidationError) as wrong:
            await act(hass, "write_registers", address=0, values=[1, 2], single=True, **where)
        assert wrong.value.translation_key == "values_do_not_fit"
        where["unit_id"] = 77
        with pytest.raises(HomeAssistantError) as failed:
            await act(hass, "read_registers", address=0, **where)
        assert failed.value.translation_key == "no_answer"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("read_registers", {"unit_id": 1, "address": 0}),
        ("write_registers", {"unit_id": 1, "address": 0, "values": [1]}),
        ("rescan", {}),
    ],
)
async def test_actions_are_for_admins(
    hass: HomeAssistant, hass_read_only_user: User, name: str, data: dict[str, Any]
) -> None:
    async with (
        rtu_line([meter(SDM120, 1, SHOWN)]) as line,
        running(hass, line, subentry(1)) as entry,
    ):
        with pytest.raises(Unauthorized):
            await act(
                hass,
                name,
                Context(user_id=hass_read_only_user.id),
                config_entry_id=entry.entry_id,
                **data,
            )


async def test_an_action_on_a_line_that_does_not_run_is_refused(hass: HomeAssistant) -> None:
    async with rtu_line([]) as line, running(hass, line) as entry:
        await hass.config_entries.async_unload(entry.entry_id)
        with pytest.raises(ServiceValidationError):
            await act(hass, "read_registers", config_entry_id=entry.entry_id, unit_id=1, address=0)


async def test_a_rescan_reports_known_and_new_meters_while_polling_goes_on(
    hass: HomeAssistant,
) -> None:
    one, three = meter(SDM120, 1, SHOWN), meter(SDM630, 3, {"voltage_l1": 231.0, "frequency": 50.0})
    async with rtu_line([one, three]) as line, running(hass, line, subentry(1)) as entry:
        await shows(hass, "power", "1234.5")
        polls = len([each for each in line.log if each.request.unit_id == 1])
        answer = await act(
            hass, "rescan", config_entry_id=entry.entry_id, first_address=1, last_address=5
        )
        found = {each["unit_id"]: each for each in answer["meters"]}
        assert found.keys() == {1, 3}
        assert (found[1]["new"], found[1]["name"]) == (False, "Meter 1")
        assert found[3]["new"] is True
        assert len([each for each in line.log if each.request.unit_id == 1]) > polls
        assert state(hass, "power").state == "1234.5"


async def test_a_rescan_leaves_a_notification(hass: HomeAssistant) -> None:
    new = meter(SDM120, 3, SHOWN | {"serial_number": 4711, "meter_code": 0x20})
    async with (
        rtu_line([meter(SDM120, 1, SHOWN), new]) as line,
        running(hass, line, subentry(1)) as entry,
    ):
        await shows(hass, "power", "1234.5")
        await act(hass, "rescan", config_entry_id=entry.entry_id, first_address=1, last_address=5)
        told = _notification(hass, entry)
        assert told["title"] == "Search on Cellar"
        fresh, known = told["message"].split("Set up already:")
        assert "Eastron SDM120M, address 3, serial number 4711" in fresh
        assert "Meter 1, address 1" in known
        await act(hass, "rescan", config_entry_id=entry.entry_id, first_address=7, last_address=9)
        told = _notification(hass, entry)
        assert told["message"] == "Nothing answers at the addresses 7 to 9."
        with pytest.raises(ServiceValidationError, match="lower"):
            await act(
                hass, "rescan", config_entry_id=entry.entry_id, first_address=9, last_address=7
            )


def _notification(hass: HomeAssistant, entry: MockConfigEntry) -> Mapping[str, str]:
    notifications: Mapping[str, Mapping[str, str]] = hass.data["persistent_notification"]
    return notifications[f"energy_meter_rescan_{entry.entry_id}"]


async def test_a_profile_is_exported_once_and_never_overwritten(
    hass: HomeAssistant, tmp_path: Path
) -> None:
    hass.config.config_dir = str(tmp_path)
    async with rtu_line([]) as line, running(hass, line):
        answer = await act(hass, "export_profile", profile=SDM120)
        path = Path(answer["file"])
        assert path == tmp_path / DOMAIN / "profiles" / f"{SDM120}.yaml"
        text = await hass.async_add_executor_job(path.read_text, "utf-8")
        assert "SDM120M" in text
        with pytest.raises(ServiceValidationError) as failed:
            await act(hass, "export_profile", profile=SDM120)
        assert failed.value.translation_key == "profile_file_exists"
        with pytest.raises(ServiceValidationError) as failed:
            await act(hass, "export_profile", profile="../../secrets")
        assert failed.value.translation_key == "unknown_profile"


async def test_diagnostics_are_a_recording_without_what_is_private(hass: HomeAssistant) -> None:
    one, two = meter(SDM120, 1, SHOWN), meter(SDM630, 2, {"voltage_l1": 229.1, "power": -250.0})
    places = (subentry(1, area="secret_room"), subentry(2, SDM630))
    async with rtu_line([one, two]) as line, running(hass, line, *places) as entry:
        await shows(hass, "energy_import", "567.89")
        await shows(hass, "voltage_l1", "229.1", "meter_2")
        coordinator = next(iter(entry.runtime_data.meters.values()))
        await until(lambda: coordinator.info is not None and coordinator.info.serial_number)
        text = json.dumps(await async_get_config_entry_diagnostics(hass, entry))
        device = dr.async_get(hass).async_get_device_by_identifier(
            (DOMAIN, "meter_2"), entry.entry_id
        )
        assert device is not None
        single = await async_get_device_diagnostics(hass, entry, device)
        assert [each["config"]["unit_id"] for each in single["meters"]] == [2]
    for private in ("12345678", line.path, "secret_room", "meter_1"):
        assert private not in text
    download = json.loads(text)
    first = download["meters"][0]
    assert first["values"]["voltage"] == 230.5
    assert first["timing"]["turnaround"] > 0
    assert first["health"]["requests"] > 0

    replayed = [
        subentry(
            config["unit_id"], **{key: value for key, value in config.items() if key != "unit_id"}
        )
        for config in recorded_configs(download)
    ]
    async with rtu_line(recorded_meters(download)) as line, running(hass, line, *replayed):
        for number, recorded in enumerate(download["meters"], 1):
            for key in set(recorded["fresh"]) & set(recorded["wanted"]):
                if recorded["values"][key] is not None:
                    await replays(hass, key, f"recorded_{number}", recorded["values"][key])


async def replays(hass: HomeAssistant, key: str, identity: str, value: float) -> None:
    """Wait until a played back quantity shows what was recorded."""

    def same() -> bool:
        shown = state(hass, key, identity).state
        return shown != STATE_UNAVAILABLE and float(shown) == pytest.approx(value, abs=0.06)

    await until(same)
