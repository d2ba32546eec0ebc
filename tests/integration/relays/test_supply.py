"""Disconnecting and reconnecting a supply: admins only, with a reason, read back, and in the logbook."""

from typing import Any, override

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.logbook.models import LazyEventPartialState, async_event_to_row
from homeassistant.core import Context, Event, HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError, Unauthorized
from homeassistant.helpers import device_registry as dr
from homeassistant.util import dt as dt_util
import probatio
import pytest
from pytest_homeassistant_custom_component.common import async_capture_events

from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.logbook import async_describe_events
from tests.integration.bridge.support import (
    OVEN,
    bridge_entry,
    pass_time,
    running,
    set_up,
    workshop,
)
from tests.integration.runtime_support import running as line_running, shows, state, subentry
from tests.integration.test_controls import DDS238, RELAY, relay_meter, relay_register
from tests.support.bridge import SimulatedBridge, SimulatedMeter, relay
from tests.support.meters import Access, Meter
from tests.support.wire import rtu_line

from .test_relays import add_interlock, key_of, switch, turn, with_relay

REASON = "Tenancy ended"


def device_id(hass: HomeAssistant, identity: str = OVEN) -> str:
    """The device of a meter or a bridge."""
    (entry,) = hass.config_entries.async_entries(DOMAIN)
    device = dr.async_get(hass).async_get_device_by_identifier((DOMAIN, identity), entry.entry_id)
    assert device is not None
    return device.id


async def supply(
    hass: HomeAssistant,
    way: str,
    reason: str = REASON,
    device: str | None = None,
    context: Context | None = None,
) -> None:
    await hass.services.async_call(
        DOMAIN,
        f"{way}_supply",
        {"device_id": device or device_id(hass), "reason": reason, "confirm": True},
        blocking=True,
        context=context,
    )


async def test_a_supply_is_disconnected_and_reconnected_with_a_reason(hass: HomeAssistant) -> None:
    user = await hass.auth.async_create_user("Landlord", group_ids=["system-admin"])
    events = async_capture_events(hass, "energy_meter_supply")
    async with running(hass, with_relay()):
        await supply(hass, "disconnect", f"  {REASON} ", context=Context(user_id=user.id))
        found = switch(hass)
        assert found.state == "off"
        assert found.attributes["changed_by"] == "Landlord"
        assert found.attributes["reason"] == REASON
        assert found.attributes["supply_disconnected"] is True
        await supply(hass, "reconnect", "New tenant")
        found = switch(hass)
        assert (found.state, found.attributes["reason"]) == ("on", "New tenant")
        assert found.attributes["supply_disconnected"] is False
        assert [event.data["connected"] for event in events] == [False, True]
        assert events[0].data["entity_id"] == found.entity_id
        assert events[0].context.user_id == user.id


async def test_the_logbook_says_who_and_why(hass: HomeAssistant) -> None:
    described: dict[str, Any] = {}
    async_describe_events(hass, lambda domain, event, say: described.update({event: say}))
    events: list[Event] = async_capture_events(hass, "energy_meter_supply")
    async with running(hass, with_relay()):
        await supply(hass, "disconnect")
        say = described["energy_meter_supply"]
        row = async_event_to_row(events[0])
        assert row is not None
        said = say(LazyEventPartialState(row, {}))
        assert said["name"] == "Oven"
        assert said["message"] == "supply disconnected by Home Assistant: Tenancy ended"
        assert said["entity_id"] == switch(hass).entity_id


@pytest.mark.parametrize("way", ["disconnect", "reconnect"])
async def test_who_is_no_admin_is_refused(hass: HomeAssistant, way: str) -> None:
    bridge = with_relay(1 if way == "disconnect" else 0)
    await hass.auth.async_create_user(
        "Landlord", group_ids=["system-admin"]
    )  # The first one is the owner.
    user = await hass.auth.async_create_user("Tenant", group_ids=["system-users"])
    async with running(hass, bridge):
        with pytest.raises(Unauthorized):
            await supply(hass, way, context=Context(user_id=user.id))
        assert bridge.carried_out == []


@pytest.mark.parametrize("reason", ["", "   ", "x" * 251])
async def test_without_a_reason_nothing_is_done(hass: HomeAssistant, reason: str) -> None:
    bridge = with_relay()
    async with running(hass, bridge):
        with pytest.raises(probatio.Invalid):
            await supply(hass, "disconnect", reason)
        assert bridge.carried_out == []


async def test_a_disconnected_supply_is_not_brought_back_by_its_switch(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge, entry = with_relay(), bridge_entry()
    async with running(hass, bridge, entry) as (_runtime, link):
        await supply(hass, "disconnect")
        assert await hass.config_entries.async_unload(entry.entry_id)
        await pass_time(hass, freezer, 600)
        await set_up(hass, entry, link)
        with pytest.raises(ServiceValidationError) as raised:
            await turn(hass, "on")
        assert key_of(raised) == "relay_held"
        placeholders = raised.value.translation_placeholders or {}
        assert (placeholders["who"], placeholders["reason"]) == ("Home Assistant", REASON)
        assert switch(hass).state == "off"
        await supply(hass, "reconnect")
        await turn(hass, "off")
        await turn(hass, "on")
        assert switch(hass).state == "on"


async def test_a_relay_that_is_off_already_is_held_from_then_on(hass: HomeAssistant) -> None:
    async with running(hass, with_relay()):
        await turn(hass, "off")
        since = switch(hass).attributes["since"]
        await supply(hass, "disconnect")
        attributes = switch(hass).attributes
        assert (attributes["reason"], attributes["since"]) == (REASON, since)
        with pytest.raises(ServiceValidationError):
            await turn(hass, "on")


async def test_a_button_at_the_meter_ends_it_and_is_named(hass: HomeAssistant) -> None:
    bridge = with_relay()
    async with running(hass, bridge):
        await supply(hass, "disconnect")
        bridge.event("relay", meter="oven", value=1, reason="button")
        await hass.async_block_till_done()
        attributes = switch(hass).attributes
        assert (attributes["changed_by"], attributes["supply_disconnected"]) == ("meter", False)


async def test_the_interlock_holds_for_landlords_too(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = with_relay()
    async with running(hass, bridge) as (runtime, _link):
        await add_interlock(hass, runtime, minimum_off=60, must_be_off=["switch.ventilator"])
        hass.states.async_set("switch.ventilator", "on")
        with pytest.raises(ServiceValidationError) as raised:
            await supply(hass, "disconnect")
        assert key_of(raised) == "relay_load_on"
        assert bridge.carried_out == []
        hass.states.async_set("switch.ventilator", "off")
        await supply(hass, "disconnect")
        with pytest.raises(ServiceValidationError) as raised:
            await supply(hass, "reconnect")
        assert key_of(raised) == "relay_minimum_off"
        await pass_time(hass, freezer, 61)
        await supply(hass, "reconnect")
        assert switch(hass).state == "on"


async def test_a_meter_that_cannot_be_reached_is_not_believed_to_be_off(
    hass: HomeAssistant,
) -> None:
    events = async_capture_events(hass, "energy_meter_supply")
    bridge = with_relay()
    async with running(hass, bridge) as (_runtime, link):
        link.unplug()
        await hass.async_block_till_done()
        with pytest.raises(HomeAssistantError) as raised:
            await supply(hass, "disconnect")
        assert key_of(raised) == "relay_unreachable"
        link.plug()
        await hass.async_block_till_done()
        assert switch(hass).state == "on"
        assert switch(hass).attributes["supply_disconnected"] is False
        assert events == []
        await supply(hass, "disconnect")
        assert switch(hass).state == "off"


async def test_an_entry_that_is_not_running_says_so(hass: HomeAssistant) -> None:
    entry = bridge_entry()
    async with running(hass, with_relay(), entry):
        device = device_id(hass)
        assert await hass.config_entries.async_unload(entry.entry_id)
        with pytest.raises(ServiceValidationError) as raised:
            await supply(hass, "disconnect", device=device)
        assert key_of(raised) == "supply_not_running"


async def test_a_device_without_a_relay_or_of_others_is_refused(hass: HomeAssistant) -> None:
    async with running(hass, workshop(meters=[SimulatedMeter()])) as (runtime, _link):
        for device, key in (
            (device_id(hass), "supply_no_relay"),
            (device_id(hass, runtime.entry.entry_id), "supply_no_relay"),
            ("nobody", "supply_no_meter"),
        ):
            with pytest.raises(ServiceValidationError) as raised:
                await supply(hass, "disconnect", device=device)
            assert key_of(raised) == key


async def test_on_a_modbus_line_a_relay_that_is_stuck_is_said_and_not_recorded(
    hass: HomeAssistant,
) -> None:
    device = relay_meter(1)

    def stuck(meter: Meter, _access: Access) -> None:
        relay_register(meter)[RELAY] = 1

    async with rtu_line([device]) as line, line_running(hass, line, subentry(1, DDS238)):
        await shows(hass, "relay", "on", platform="switch")
        device.after_write = stuck
        events = async_capture_events(hass, "energy_meter_supply")
        with pytest.raises(HomeAssistantError) as raised:
            await supply(hass, "disconnect", device=device_id(hass, "meter_1"))
        assert key_of(raised) == "control_mismatch"
        assert events == []
        device.after_write = None
        await supply(hass, "disconnect", device=device_id(hass, "meter_1"))
        await shows(hass, "relay", "off", platform="switch")
        assert relay_register(device)[RELAY] == 0
        assert len(events) == 1


class SwitchingBridge(SimulatedBridge):
    """A bridge with a relay of its own."""

    closed = 1

    @override
    def hello(self) -> dict[str, Any]:
        return {**super().hello(), "controls": [relay(self.closed)]}

    @override
    def _carry_out(self, message: dict[str, Any]) -> dict[str, Any]:
        if "meter" in message or message["control"] != "relay":
            return super()._carry_out(message)
        self.closed = message["value"]
        return {"ok": True, "value": self.closed}


async def test_a_bridge_may_have_a_relay_of_its_own(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    bridge = SwitchingBridge(clock=lambda: dt_util.utcnow().timestamp(), meters=[SimulatedMeter()])
    entry = bridge_entry()
    async with running(hass, bridge, entry) as (_runtime, link):
        identity = entry.entry_id
        await supply(hass, "disconnect", device=device_id(hass, identity))
        assert bridge.closed == 0
        before = state(hass, "relay", identity, "switch")
        assert (before.state, before.attributes["reason"]) == ("off", REASON)
        assert await hass.config_entries.async_unload(entry.entry_id)
        await pass_time(hass, freezer, 60)
        await set_up(hass, entry, link)
        after = state(hass, "relay", identity, "switch")
        assert after.attributes == before.attributes
        await supply(hass, "reconnect", device=device_id(hass, identity))
        assert bridge.closed == 1


@pytest.mark.parametrize("confirm", [{}, {"confirm": False}])
@pytest.mark.parametrize("way", ["disconnect", "reconnect"])
async def test_without_having_made_sure_nothing_is_switched(
    hass: HomeAssistant, way: str, confirm: dict[str, bool]
) -> None:
    async with running(hass, with_relay()):
        before = switch(hass).state
        with pytest.raises(probatio.Invalid, match=r"confirm"):
            await hass.services.async_call(
                DOMAIN,
                f"{way}_supply",
                {"device_id": device_id(hass), "reason": REASON, **confirm},
                blocking=True,
            )
        assert switch(hass).state == before
