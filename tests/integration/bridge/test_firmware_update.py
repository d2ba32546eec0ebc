"""The firmware of a bridge as an update: offered where it fits, installed over the link, and what goes wrong."""

from pathlib import Path
from unittest.mock import patch

from homeassistant.components.update import DOMAIN as UPDATE
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, State, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import entity_registry as er
import pytest

from custom_components.energy_meter.bridge_runtime import BridgeRuntime
from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.shipped_firmware import ShippedFirmware, shipped_firmware
from tests.support.bridge import SimulatedBridge, SimulatedMeter

from .support import running, workshop


def shipped() -> ShippedFirmware:
    """What comes with the integration."""
    found = shipped_firmware("esp32")
    assert found is not None
    return found


def update_id(hass: HomeAssistant, runtime: BridgeRuntime) -> str | None:
    """The entity, if there is one."""
    return er.async_get(hass).async_get_entity_id(
        UPDATE, DOMAIN, f"{runtime.entry.entry_id}_firmware"
    )


def shown(hass: HomeAssistant, runtime: BridgeRuntime) -> State:
    """Its state."""
    found = update_id(hass, runtime)
    assert found is not None
    state = hass.states.get(found)
    assert state is not None
    return state


def old(**more: object) -> SimulatedBridge:
    """A bridge with firmware older than the shipped one."""
    return workshop(meters=[SimulatedMeter()], firmware="0.0.1", **more)


async def install(hass: HomeAssistant, runtime: BridgeRuntime) -> None:
    """Press the button."""
    await hass.services.async_call(
        UPDATE, "install", {"entity_id": update_id(hass, runtime)}, blocking=True
    )


async def test_newer_firmware_is_offered_and_installed_with_progress(hass: HomeAssistant) -> None:
    bridge = old()
    async with running(hass, bridge) as (runtime, _link):
        state = shown(hass, runtime)
        assert (state.state, state.attributes["installed_version"]) == ("on", "0.0.1")
        percentages: list[object] = []

        # Each event holds its state; what is shown by the time that a thread looks may be later.
        @callback
        def note(event: Event[EventStateChangedData]) -> None:
            state = event.data["new_state"]
            if state is not None and state.entity_id == update_id(hass, runtime):
                percentages.append(state.attributes["update_percentage"])

        remove = hass.bus.async_listen("state_changed", note)
        await install(hass, runtime)
        await hass.async_block_till_done()
        remove()
        assert bridge.firmware == shipped().version
        assert bridge.files == dict(shipped().read())
        assert {0, 50, 100} <= set(percentages)
        state = shown(hass, runtime)
        assert state.state == "off"
        assert state.attributes["in_progress"] is False


@pytest.mark.parametrize(
    "more", [{"kind": "uno"}, {"capabilities": ("buffer", "time")}], ids=["kind", "capability"]
)
async def test_boards_that_it_does_not_fit_are_offered_nothing(
    hass: HomeAssistant, more: dict[str, object]
) -> None:
    async with running(hass, old(**more)) as (runtime, _link):
        assert update_id(hass, runtime) is None


async def test_a_hub_of_our_own_firmware_is_offered_that(hass: HomeAssistant) -> None:
    async with running(hass, old(kind="i2c_hub")) as (runtime, _link):
        assert shown(hass, runtime).attributes["latest_version"] == shipped().version


async def test_a_bridge_that_goes_back_to_its_old_firmware_says_so(hass: HomeAssistant) -> None:
    bridge = old()
    bridge.rolls_back = True
    async with running(hass, bridge) as (runtime, _link):
        with pytest.raises(HomeAssistantError) as raised:
            await install(hass, runtime)
        assert raised.value.translation_key == "bridge_rolled_back"
        assert shown(hass, runtime).state == "on"
        assert shown(hass, runtime).attributes["in_progress"] is False


async def test_a_link_that_fails_in_the_middle_leaves_the_old_firmware(hass: HomeAssistant) -> None:
    bridge = old()
    async with running(hass, bridge) as (runtime, link):
        carry_out = bridge._update

        def update(message: dict[str, object]) -> dict[str, object]:
            if message["step"] == "data":
                hass.loop.call_soon(link.unplug)
            return carry_out(message)

        with (
            patch.object(bridge, "_update", update),
            pytest.raises(HomeAssistantError) as raised,
        ):
            await install(hass, runtime)
        assert raised.value.translation_key == "bridge_away"
        assert bridge.firmware == "0.0.1"
        assert shown(hass, runtime).state == "unavailable"
        link.plug()
        await install(hass, runtime)
        await hass.async_block_till_done()
        assert shown(hass, runtime).state == "off"


async def test_damaged_files_are_not_sent(hass: HomeAssistant) -> None:
    bridge = old()
    async with running(hass, bridge) as (runtime, _link):
        with (
            patch.object(Path, "read_bytes", return_value=b"def cut_off("),
            pytest.raises(HomeAssistantError) as raised,
        ):
            await install(hass, runtime)
        assert raised.value.translation_key == "firmware_damaged"
        assert bridge.files == {}
