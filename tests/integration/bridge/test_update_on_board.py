"""The shipped firmware goes over a real connection onto a board that runs the firmware, which starts into it.

The board runs in MicroPython (`tests/support/esp32.py`); only its chip is doubled.
"""

import asyncio
import json
from pathlib import Path

from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import entity_registry as er, issue_registry as ir
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.energy_meter.bridge_runtime import BridgeRuntime
from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.issues import Issue, issue_id
from custom_components.energy_meter.shipped_firmware import shipped_firmware
from tests.integration.runtime_support import until
from tests.support.esp32 import KEY, RESET, Board, free_port, settings

from .support import BRIDGE, running_entry

pytestmark = pytest.mark.usefixtures("socket_enabled")


ON_TRIAL = 0b1100
IN_SLOT_A = 1


def slots(folder: Path) -> int:
    """What the board keeps about its versions: see slots.py of the firmware."""
    state: int = json.loads((folder / "nvs.json").read_text())["em_slots"]["state"]
    return state


def flashed(folder: Path, port: int) -> Board:
    """A board that was flashed with the same firmware when it was called otherwise."""
    board = Board(folder, settings(tcp={"on": True, "port": port}))
    (folder / "version.txt").write_text("0.0.1\n")
    return board


def entry_for(port: int) -> MockConfigEntry:
    """An entry for the board; not added yet."""
    return MockConfigEntry(
        domain=DOMAIN,
        title="Workshop",
        unique_id=BRIDGE,
        data={"kind": "bridge", "way": "tcp", "host": "127.0.0.1", "port": port, "key": KEY},
    )


def shown(hass: HomeAssistant, entry: MockConfigEntry) -> tuple[str, str]:
    """(state, installed version) of the update entity; empty while there is none."""
    found = er.async_get(hass).async_get_entity_id("update", DOMAIN, f"{entry.entry_id}_firmware")
    state = hass.states.get(found) if found else None
    return (state.state, str(state.attributes["installed_version"])) if state else ("", "")


async def install(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Press the button, and wait for the end."""
    target = er.async_get(hass).async_get_entity_id("update", DOMAIN, f"{entry.entry_id}_firmware")
    await hass.services.async_call("update", "install", {"entity_id": target}, blocking=True)


async def test_a_board_starts_into_the_shipped_firmware(
    hass: HomeAssistant, tmp_path: Path
) -> None:
    shipped = shipped_firmware("esp32")
    assert shipped is not None
    port = free_port()
    board = flashed(tmp_path, port)
    entry = entry_for(port)
    try:
        await board.start()
        async with running_entry(hass, entry):
            await until(lambda: shown(hass, entry) == ("on", "0.0.1"))
            installing = asyncio.create_task(install(hass, entry))
            assert await board.ended(60) == RESET
            await board.cut_power()
            await board.start()
            await asyncio.wait_for(installing, 60)
            assert shown(hass, entry) == ("off", shipped.version)
            for name, content in shipped.read().items():
                if name.startswith("lib/"):
                    assert (tmp_path / "a" / name).read_bytes() == content
            assert slots(tmp_path) & ON_TRIAL
            # A message of the new version is acknowledged: its trial is over, and it stays.
            runtime = entry.runtime_data
            assert isinstance(runtime, BridgeRuntime)
            await board.do("uart", port=1, text='\n{"Voltage": 230.0, "Current": 1.0}\n')
            await until(lambda: runtime.session.counters.readings > 0)
            await runtime._async_keep()
            await until(lambda: slots(tmp_path) == IN_SLOT_A)
    finally:
        await board.cut_power()


async def test_a_board_whose_new_firmware_does_not_start_goes_back_and_says_so(
    hass: HomeAssistant, tmp_path: Path
) -> None:
    port = free_port()
    board = flashed(tmp_path, port)
    entry = entry_for(port)
    try:
        await board.start()
        async with running_entry(hass, entry):
            await until(lambda: shown(hass, entry) == ("on", "0.0.1"))
            installing = asyncio.create_task(install(hass, entry))
            assert await board.ended(60) == RESET
            await board.cut_power()
            (tmp_path / "a" / "lib" / "energy_meter" / "app.py").write_text("raise OSError\n")
            for _ in range(3):  # Each start of a version on trial counts.
                with pytest.raises(AssertionError, match="did not start"):
                    await board.start()
                await board.cut_power()
            await board.start()
            with pytest.raises(HomeAssistantError) as raised:
                await asyncio.wait_for(installing, 60)
            assert raised.value.translation_key == "bridge_rolled_back"
            assert shown(hass, entry) == ("on", "0.0.1")
            known = issue_id(Issue.BRIDGE_ROLLED_BACK, entry.entry_id)
            await until(lambda: ir.async_get(hass).async_get_issue(DOMAIN, known) is not None)
    finally:
        await board.cut_power()
