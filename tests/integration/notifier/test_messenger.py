"""A messenger: set up with a test message, used by an automation, failing visibly."""

from collections.abc import AsyncIterator, Iterator
import json
from typing import Any
from unittest.mock import patch

from aiohttp.test_utils import TestServer
from homeassistant.config_entries import SOURCE_RECONFIGURE, SOURCE_USER, ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.aiohttp_client import async_get_clientsession
import pytest

from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.diagnostics import async_get_config_entry_diagnostics
from custom_components.energy_meter.notifier.callmebot import CallMeBot, Recipient
from tests.support.callmebot import Gateway

PHONE, KEY = "+34123456789", "987654"
FILLED = {"name": "Ana", "messenger": "whatsapp", "phone": "0034 123 456 789", "key": f" {KEY} "}


@pytest.fixture
async def gateway(socket_enabled: None) -> AsyncIterator[Gateway]:
    gateway = Gateway()
    gateway.keys = {KEY, "new key"}
    async with TestServer(gateway.app) as server:
        gateway.url = str(server.make_url("")).rstrip("/")
        yield gateway


@pytest.fixture(autouse=True)
def _local(gateway: Gateway) -> Iterator[None]:
    """Write to the local gateway, without its pauses."""

    async def no_wait(_seconds: float) -> None:
        return

    def make(hass: HomeAssistant, recipient: Recipient) -> CallMeBot:
        session = async_get_clientsession(hass)
        return CallMeBot(session, recipient, base_url=gateway.url, sleep=no_wait)

    place = "custom_components.energy_meter.notifier"
    with (
        patch(f"{place}.entry.make_sender", side_effect=make),
        patch(f"{place}.flow.make_sender", side_effect=make),
    ):
        yield


async def begin(hass: HomeAssistant) -> Any:
    flow = await hass.config_entries.flow.async_init(DOMAIN, context={"source": SOURCE_USER})
    assert flow["type"] is FlowResultType.MENU
    return await hass.config_entries.flow.async_configure(
        flow["flow_id"], {"next_step_id": "messenger"}
    )


async def set_up(hass: HomeAssistant) -> ConfigEntry:
    flow = await begin(hass)
    flow = await hass.config_entries.flow.async_configure(flow["flow_id"], FILLED)
    assert flow["type"] is FlowResultType.CREATE_ENTRY, flow
    await hass.async_block_till_done()
    (entry,) = hass.config_entries.async_entries(DOMAIN)
    return entry


async def say(hass: HomeAssistant, **data: str) -> None:
    await hass.services.async_call(
        "notify", "send_message", {"entity_id": "notify.ana", **data}, blocking=True
    )


def failing(hass: HomeAssistant, entry: ConfigEntry) -> ir.IssueEntry | None:
    return ir.async_get(hass).async_get_issue(DOMAIN, f"messenger_fails.{entry.entry_id}")


async def test_a_test_message_proves_number_and_key(hass: HomeAssistant, gateway: Gateway) -> None:
    entry = await set_up(hass)
    ((path, phone, key, text),) = gateway.received
    assert (path, phone, key) == ("/whatsapp.php", PHONE, KEY)
    assert "test message" in text
    assert entry.title == "Ana"
    assert hass.states.get("notify.ana") is not None


@pytest.mark.parametrize(
    ("filled", "error"),
    [
        ({"phone": "0170 123"}, {"phone": "not_a_phone_number"}),
        ({"key": "wrong"}, {"base": "messenger_invalid_key"}),
    ],
)
async def test_what_is_wrong_is_said_and_can_be_put_right(
    hass: HomeAssistant, gateway: Gateway, filled: dict[str, str], error: dict[str, str]
) -> None:
    flow = await begin(hass)
    flow = await hass.config_entries.flow.async_configure(flow["flow_id"], {**FILLED, **filled})
    assert (flow["type"], flow["errors"]) == (FlowResultType.FORM, error)
    flow = await hass.config_entries.flow.async_configure(flow["flow_id"], FILLED)
    assert flow["type"] is FlowResultType.CREATE_ENTRY


async def test_nobody_is_set_up_twice(hass: HomeAssistant) -> None:
    await set_up(hass)
    flow = await begin(hass)
    flow = await hass.config_entries.flow.async_configure(flow["flow_id"], FILLED)
    assert (flow["type"], flow["reason"]) == (FlowResultType.ABORT, "already_configured")


async def test_a_message_with_its_title_is_sent(hass: HomeAssistant, gateway: Gateway) -> None:
    await set_up(hass)
    await say(hass, message="3.6 kW", title="Oven")
    assert gateway.received[-1][-1] == "*Oven*\n3.6 kW"


async def test_a_key_that_is_refused_later_is_a_repair_until_a_message_gets_through(
    hass: HomeAssistant, gateway: Gateway
) -> None:
    entry = await set_up(hass)
    gateway.keys = {"new key"}
    with pytest.raises(HomeAssistantError) as failure:
        await say(hass, message="x")
    assert failure.value.translation_key == "messenger_invalid_key"
    issue = failing(hass, entry)
    assert issue is not None and issue.translation_placeholders is not None
    assert KEY not in json.dumps(issue.translation_placeholders)
    flow: Any = await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_RECONFIGURE, "entry_id": entry.entry_id}
    )
    assert flow["step_id"] == "messenger_changed"
    flow = await hass.config_entries.flow.async_configure(
        flow["flow_id"], {"messenger": "whatsapp", "phone": PHONE, "key": "new key"}
    )
    assert (flow["type"], flow["reason"]) == (FlowResultType.ABORT, "messenger_saved")
    await hass.async_block_till_done()
    await say(hass, message="y")
    assert failing(hass, entry) is None
    assert gateway.received[-1][2:] == ("new key", "y")


async def test_a_gateway_that_is_away_for_a_moment_is_no_repair(
    hass: HomeAssistant, gateway: Gateway
) -> None:
    entry = await set_up(hass)
    for times, repair in ((1, False), (2, False), (3, True)):
        gateway.answers = [(503, "")] * 3
        with pytest.raises(HomeAssistantError):
            await say(hass, message=str(times))
        assert (failing(hass, entry) is not None) is repair
    await say(hass, message="back")
    assert failing(hass, entry) is None


async def test_diagnostics_hold_neither_number_nor_key(hass: HomeAssistant) -> None:
    entry = await set_up(hass)
    shown = json.dumps(await async_get_config_entry_diagnostics(hass, entry))
    assert KEY not in shown
    assert PHONE[1:] not in shown


async def test_a_removed_messenger_leaves_nothing(hass: HomeAssistant, gateway: Gateway) -> None:
    entry = await set_up(hass)
    gateway.keys = set()
    with pytest.raises(HomeAssistantError):
        await say(hass, message="x")
    await hass.config_entries.async_remove(entry.entry_id)
    await hass.async_block_till_done()
    assert failing(hass, entry) is None
    assert hass.states.get("notify.ana") is None
