"""A bridge that posts to the real HTTP server of a Home Assistant: address, key, limits, answers."""

import asyncio
import importlib
import json
import shutil
import subprocess
import sys
from typing import Any

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import async_fire_time_changed
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.energy_meter import bridge_webhook
from custom_components.energy_meter.const import DOMAIN
from tests.integration.bridge_ways.support import (
    choose_way,
    created,
    gone,
    lines,
    reauthenticated,
    shows,
    unloaded,
    value,
)
from tests.integration.flow_support import Flow
from tests.support.bridge import (
    SimulatedBridge,
    SimulatedMeter,
    answer_signature,
    relay,
    signed_post,
)
from tests.support.micropython import FIRMWARE

sys.path.insert(0, str(FIRMWARE / "lib"))
firmware_config = importlib.import_module("energy_meter.config")
sys.path.pop(0)

pytestmark = pytest.mark.usefixtures("socket_enabled")

BARE = b'{"Voltage": 227.5, "Current": 1.42}'
UNSIGNED = {"signed": False, "local_only": True}
SIGNED = {"signed": True, "local_only": True}


@pytest.fixture
async def client(
    hass: HomeAssistant, hass_client_no_auth: ClientSessionGenerator
) -> TestClient[Any, Any]:
    """Somebody who knows nothing but addresses."""
    assert await async_setup_component(hass, DOMAIN, {})
    # A post says nothing of who it is from, so it need not be answered by an address that works.
    hass.config.internal_url = "http://192.168.1.5:8123"
    client: TestClient[Any, Any] = await hass_client_no_auth()
    return client


class Poster:
    """A bridge that posts, signed if it has a key."""

    def __init__(self, client: TestClient[Any, Any], url: str, key: str | None = None) -> None:
        """Take what the set-up page shows."""
        self._client = client
        self._path = url.removeprefix("http://192.168.1.5:8123")
        self.key = key
        self.number = 7 << 32

    async def post(self, body: bytes, **headers: str) -> ClientResponse:
        """Post a body with the next number."""
        self.number += 1
        signed = signed_post(self.key, self.number, body) if self.key else {}
        return await self._client.post(self._path, data=body, headers={**signed, **headers})


def _poster(client: TestClient[Any, Any], flow: Flow) -> Poster:
    """A bridge that has been given the configuration that the page shows."""
    settings, errors = firmware_config.checked(json.loads(flow.placeholders["config"]))
    assert not errors
    assert settings["http"]["on"]
    assert settings["http"]["signed"] == bool(settings["key"])
    return Poster(client, settings["http"]["url"], settings["key"] or None)


async def _added(
    hass: HomeAssistant, client: TestClient[Any, Any], **options: Any
) -> tuple[Poster, ConfigEntry]:
    """A bridge that was added while it posted."""
    flow = await choose_way(hass, "http")
    await flow.fill(**options)
    poster = _poster(client, flow)
    assert (await poster.post(BARE)).status == 200
    await flow.fill()
    assert flow.step == "bridge_heard"
    await flow.fill(name="Cellar")
    return poster, created(flow)


async def test_the_page_shows_all_that_is_needed_and_goes_on_when_something_was_posted(
    hass: HomeAssistant, client: TestClient[Any, Any]
) -> None:
    async with unloaded(hass):
        flow = await choose_way(hass, "http")
        assert flow.prefilled() == SIGNED
        await flow.fill(**UNSIGNED)
        assert flow.step == "bridge_address"
        url = flow.placeholders["url"]
        assert url.startswith("http://192.168.1.5:8123/api/webhook/")
        assert len(url.rsplit("/", 1)[1]) == 64
        assert json.loads(flow.placeholders["config"]) == {
            "http": {"on": True, "url": url, "signed": False}
        }
        assert flow.placeholders["curl"].startswith("curl -d '{")
        await flow.fill()
        assert flow.errors == {"base": "bridge_nothing_posted"}
        poster = Poster(client, url)
        assert (await poster.post(BARE)).status == 200
        await flow.fill(anyway=False)
        assert flow.step == "bridge_heard"
        assert flow.placeholders["heard"] == "- **main**: 227.5 V · 1.42 A"
        await flow.fill(name="Cellar")
        entry = created(flow)
        assert dict(entry.data) == {
            "kind": "bridge",
            "way": "http",
            "webhook_id": url.rsplit("/", 1)[1],
            "local_only": True,
        }
        await hass.async_block_till_done()
        assert (await poster.post(b'{"Voltage": 228.5, "Current": 1.0}')).status == 200
        await shows(hass, "voltage", 228.5, "main", entry.entry_id)


async def test_an_address_that_was_only_looked_at_is_no_address_any_more(
    hass: HomeAssistant, client: TestClient[Any, Any]
) -> None:
    flow = await choose_way(hass, "http")
    await flow.fill(**UNSIGNED)
    poster = Poster(client, flow.placeholders["url"])
    assert b"hello?" in await (await poster.post(BARE)).read()
    hass.config_entries.flow.async_abort(flow.result["flow_id"])
    await hass.async_block_till_done()
    # What Home Assistant answers at any address that is none.
    answer = await poster.post(BARE)
    assert (answer.status, await answer.read()) == (200, b"")


async def test_the_command_line_that_is_shown_works_as_it_is_pasted(
    hass: HomeAssistant, client: TestClient[Any, Any]
) -> None:
    if shutil.which("curl") is None or shutil.which("openssl") is None:
        pytest.fail("curl and openssl are needed: scripts/setup services installs them.")
    for options in (UNSIGNED, SIGNED):
        flow = await choose_way(hass, "http")
        await flow.fill(**options)
        root = str(client.make_url("/")).rstrip("/")
        command = flow.placeholders["curl"].replace("http://192.168.1.5:8123", root)
        process = await asyncio.create_subprocess_exec(
            *("sh", "-ec", f"{command} -sS -w '%{{http_code}}'"), stdout=subprocess.PIPE
        )
        answer, _ = await process.communicate()
        assert answer.endswith(b"200"), answer
        await flow.fill()
        assert flow.step == "bridge_heard"
        assert "230.1 V" in flow.placeholders["heard"]
        hass.config_entries.flow.async_abort(flow.result["flow_id"])
        await hass.async_block_till_done()


async def test_a_signed_post_is_taken_once_and_its_answer_is_signed_too(
    hass: HomeAssistant, client: TestClient[Any, Any]
) -> None:
    async with unloaded(hass):
        poster, entry = await _added(hass, client, **SIGNED)
        assert poster.key is not None and len(poster.key) == 20
        await hass.async_block_till_done()
        answer = await poster.post(BARE)
        assert answer.status == 200
        body = await answer.read()
        signature = answer.headers["X-Energy-Meter-Signature"]
        assert signature == answer_signature(poster.key, poster.number, body)
        await shows(hass, "voltage", 227.5, "main", entry.entry_id)
        # The same again, and an older one.
        for number in (poster.number - 1, poster.number - 5):
            poster.number = number
            again = await poster.post(b'{"Voltage": 1}')
            assert again.status == 409
            assert await again.json() == {"error": "number_used"}
        assert value(hass, "voltage", "main", entry.entry_id) == "227.5"


async def test_a_number_stays_used_over_a_restart(
    hass: HomeAssistant, client: TestClient[Any, Any], hass_storage: dict[str, Any]
) -> None:
    async with unloaded(hass):
        poster, entry = await _added(hass, client, **SIGNED)
        await hass.async_block_till_done()
        assert (await poster.post(BARE)).status == 200
        used = poster.number
        await hass.config_entries.async_unload(entry.entry_id)
        numbers = hass.data.pop(bridge_webhook.DATA_NUMBERS)
        await numbers._store.async_save(numbers._data())
        assert hass_storage["energy_meter.post_numbers"]["data"] == {entry.data["webhook_id"]: used}
        await hass.config_entries.async_setup(entry.entry_id)
        poster.number = used - 1
        assert (await poster.post(BARE)).status == 409
        assert (await poster.post(BARE)).status == 200
        await hass.config_entries.async_remove(entry.entry_id)
        numbers = hass.data[bridge_webhook.DATA_NUMBERS]
        assert numbers._data() == {}


async def test_what_is_not_signed_rightly_is_not_let_in(
    hass: HomeAssistant, client: TestClient[Any, Any]
) -> None:
    async with unloaded(hass):
        poster, entry = await _added(hass, client, **SIGNED)
        await hass.async_block_till_done()
        right = poster.key
        ugly = (
            {"X-Energy-Meter-Signature": ""},
            {"X-Energy-Meter-Signature": "0" * 64},
            {"X-Energy-Meter-Signature": "ä"},
            {"X-Energy-Meter-Number": ""},
            {"X-Energy-Meter-Number": "-1"},
            {"X-Energy-Meter-Number": "1e30"},
            {"X-Energy-Meter-Number": "9" * 40},
            {"X-Energy-Meter-Number": "٣"},
        )
        for headers in ugly:
            answer = await poster.post(b'{"Voltage": 1}', **headers)
            assert answer.status == 401, headers
        poster.key = None
        assert (await poster.post(b'{"Voltage": 1}')).status == 401
        poster.key = "Z" * 20
        assert (await poster.post(b'{"Voltage": 1}')).status == 401
        poster.key = right
        assert (await poster.post(BARE)).status == 200
        await shows(hass, "voltage", 227.5, "main", entry.entry_id)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b"[" * 30_000,
        b'{"a":' * 5_000,
        b'{"Voltage": "NaN"',
        b"\n".join([b"garbage"] * 5_000),
        b"9" * 60_000,
        b'[1, 2, "three"]',
    ],
    ids=range(12),
)
async def test_a_body_without_anything_usable_is_refused_and_costs_nothing_else(
    hass: HomeAssistant, client: TestClient[Any, Any], body: bytes
) -> None:
    async with unloaded(hass):
        poster, entry = await _added(hass, client, **UNSIGNED)
        await hass.async_block_till_done()
        answer = await poster.post(body)
        assert answer.status == 400
        assert "error" in await answer.json()
        assert (await poster.post(BARE)).status == 200
        await shows(hass, "voltage", 227.5, "main", entry.entry_id)


async def test_several_messages_come_one_per_line_or_as_an_array(
    hass: HomeAssistant, client: TestClient[Any, Any]
) -> None:
    async with unloaded(hass):
        poster, entry = await _added(hass, client, **UNSIGNED)
        await hass.async_block_till_done()
        batch = b'{"meter": "a", "Voltage": 231}\r\n\n{"meter": "b", "Voltage": 232}\ngarbage'
        array = b' [{"meter": "b", "Voltage": 233}, {"meter": "c", "Voltage": 234}]'
        for _ in range(2):  # A further meter is believed when it has been seen twice.
            assert (await poster.post(batch)).status == 200
            assert (await poster.post(array)).status == 200
        for meter, expected in (("a", 231), ("b", 233), ("c", 234)):
            await shows(hass, "voltage", expected, meter, entry.entry_id)


async def test_what_is_too_long_or_packed_too_well_is_refused(
    hass: HomeAssistant, client: TestClient[Any, Any]
) -> None:
    import gzip

    async with unloaded(hass):
        poster, _entry = await _added(hass, client, **UNSIGNED)
        await hass.async_block_till_done()
        padding = BARE + b" " * (bridge_webhook.MAX_BODY - len(BARE))
        assert (await poster.post(padding)).status == 200
        assert (await poster.post(padding + b" ")).status == 413
        bomb = gzip.compress(b" " * 20_000_000)
        assert len(bomb) < bridge_webhook.MAX_BODY
        answer = await poster.post(bomb, **{"Content-Encoding": "gzip"})
        assert answer.status == 413
        assert (await poster.post(BARE)).status == 200


async def test_a_flood_is_slowed_down_and_leaves_room_again(
    hass: HomeAssistant, client: TestClient[Any, Any]
) -> None:
    async with unloaded(hass):
        poster, _entry = await _added(hass, client, **UNSIGNED)
        await hass.async_block_till_done()
        statuses = [(await poster.post(b"")).status for _ in range(60)]
        assert statuses[: bridge_webhook.BURST - 2] == [200] * (bridge_webhook.BURST - 2)
        assert 429 in statuses
        await asyncio.sleep(0.5)
        assert (await poster.post(BARE)).status == 200


async def test_only_posts_are_taken(hass: HomeAssistant, client: TestClient[Any, Any]) -> None:
    async with unloaded(hass):
        poster, _entry = await _added(hass, client, **UNSIGNED)
        await hass.async_block_till_done()
        assert (await client.put(poster._path, data=BARE)).status == 405
        assert (await client.get(poster._path)).status == 405


async def test_posts_from_elsewhere_are_ignored_unless_they_are_wanted(
    hass: HomeAssistant, hass_client_no_auth: ClientSessionGenerator
) -> None:
    proxy = {"use_x_forwarded_for": True, "trusted_proxies": ["127.0.0.1"]}
    assert await async_setup_component(hass, "http", {"http": proxy})
    assert await async_setup_component(hass, DOMAIN, {})
    hass.config.internal_url = hass.config.external_url = "http://192.168.1.5:8123"
    client = await hass_client_no_auth()
    elsewhere = {"X-Forwarded-For": "203.0.113.7"}
    async with unloaded(hass):
        poster, entry = await _added(hass, client, **UNSIGNED)
        await hass.async_block_till_done()
        await poster.post(b'{"Voltage": 231}')
        await shows(hass, "voltage", 231, "main", entry.entry_id)
        answer = await poster.post(b'{"Voltage": 1}', **elsewhere)
        # Not even told that the address is one.
        assert (answer.status, await answer.read()) == (200, b"")
        await shows(hass, "voltage", 231, "main", entry.entry_id)
        wanted, other = await _added(hass, client, signed=False, local_only=False)
        await hass.async_block_till_done()
        await wanted.post(b'{"Voltage": 232}', **elsewhere)
        await shows(hass, "voltage", 232, "main", other.entry_id)


async def test_a_command_waits_for_the_next_post_and_is_answered_with_the_one_after(
    hass: HomeAssistant, client: TestClient[Any, Any]
) -> None:
    board = SimulatedBridge(
        "poster1", meters=[SimulatedMeter(id="oven", controls=[relay()])], kind="esp32"
    )
    said: list[bytes] = []
    board.attach(lambda data: said.append(data.rstrip(b"\n")))

    async def rounds(poster: Poster) -> None:
        while True:
            body, said[:] = b"\n".join(said), []
            answer = await poster.post(body)
            assert answer.status == 200
            for line in lines(await answer.read()):
                board.hear_line(json.dumps(line).encode())
            await asyncio.sleep(0.15)

    async with unloaded(hass):
        flow = await choose_way(hass, "http")
        await flow.fill(**SIGNED)
        poster = _poster(client, flow)
        board.measure("oven", {"voltage": 230.0, "current": 2.0})
        assert (await poster.post(b"\n".join(said))).status == 200
        said.clear()
        await flow.fill()
        assert flow.prefilled() == {"name": "Workshop"}
        await flow.fill(name="Workshop")
        entry = created(flow)
        assert entry.unique_id == "poster1"
        await hass.async_block_till_done()
        task = asyncio.create_task(rounds(poster))
        try:
            board.measure("oven", {"voltage": 231.0, "current": 2.0})
            await shows(hass, "voltage", 231, "oven", "poster1")
            [switch] = hass.states.async_entity_ids("switch")
            await hass.services.async_call(
                "switch", "turn_off", {"entity_id": switch}, blocking=True
            )
            assert [each["value"] for each in board.carried_out] == [0]
            state = hass.states.get(switch)
            assert state is not None and state.state == "off"
        finally:
            task.cancel()
            await asyncio.wait({task})


async def test_a_bridge_that_posts_no_more_is_away_and_returns(
    hass: HomeAssistant, client: TestClient[Any, Any], freezer: FrozenDateTimeFactory
) -> None:
    async with unloaded(hass):
        poster, entry = await _added(hass, client, **UNSIGNED)
        await hass.async_block_till_done()
        await poster.post(BARE)
        await shows(hass, "voltage", 227.5, "main", entry.entry_id)
        freezer.tick(bridge_webhook.PATIENCE + 1)
        async_fire_time_changed(hass)
        await gone(hass, "voltage", "main", entry.entry_id)
        await poster.post(BARE)
        await shows(hass, "voltage", 227.5, "main", entry.entry_id)


async def test_the_key_can_be_switched_off_and_the_address_stays(
    hass: HomeAssistant, client: TestClient[Any, Any]
) -> None:
    async with unloaded(hass):
        poster, entry = await _added(hass, client, **SIGNED)
        await hass.async_block_till_done()
        flow = await Flow.reconfigure(hass, entry)
        await flow.choose("bridge_http")
        assert flow.prefilled() == SIGNED
        await flow.fill(signed=False, local_only=True)
        assert poster._path in flow.placeholders["url"]
        # The entry listens there already; there is nothing to wait for.
        await flow.fill()
        assert flow.step == "bridge_heard"
        await flow.fill(name="Cellar")
        assert flow.result["reason"] == "bridge_changed"
        await hass.async_block_till_done()
        assert "key" not in entry.data
        poster.key = None
        assert (await poster.post(BARE)).status == 200
        await shows(hass, "voltage", 227.5, "main", entry.entry_id)


async def test_a_wrong_key_is_explained_with_what_has_to_be_set_at_the_bridge(
    hass: HomeAssistant, client: TestClient[Any, Any]
) -> None:
    async with unloaded(hass):
        poster, entry = await _added(hass, client, **SIGNED)
        await hass.async_block_till_done()
        flow = await reauthenticated(hass, entry)
        assert flow.step == "reauth_http"
        assert str(poster.key) in flow.placeholders["config"]
        await flow.fill()
        assert flow.result["reason"] == "bridge_key_shown"
