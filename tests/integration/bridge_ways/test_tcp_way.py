"""A bridge on the network: address and key by hand, announcements, a key that is refused, a link that breaks."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
import socket
from typing import Any

from homeassistant.config_entries import SOURCE_REAUTH, SOURCE_ZEROCONF, ConfigEntryState
from homeassistant.const import EVENT_HOMEASSISTANT_STARTED, EVENT_HOMEASSISTANT_STOP
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers.service_info.zeroconf import ZeroconfServiceInfo
from homeassistant.setup import async_setup_component
import pytest
from zeroconf import IPVersion, ServiceInfo
from zeroconf.asyncio import AsyncZeroconf

from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.sources.bridge import tcp_link
from tests.integration.bridge_ways.support import (
    KEY,
    choose_way,
    created,
    gone,
    heard,
    impatient,
    measuring,
    oven,
    reauthenticated,
    shows,
    unloaded,
)
from tests.integration.flow_support import Flow
from tests.integration.runtime_support import until
from tests.support.bridge import SimulatedBridge, SimulatedMeter

pytestmark = pytest.mark.usefixtures("socket_enabled", "impatience")

WRONG_KEY = "22222222222222222222"


@pytest.fixture
def impatience() -> Iterator[None]:
    with impatient():
        yield


@asynccontextmanager
async def listening(
    *, key: str | None = KEY, bridge: str = "a4cf12d3e4f5"
) -> AsyncIterator[tuple[SimulatedBridge, int]]:
    """A bridge that measures, and the port that it listens on."""
    board = SimulatedBridge(bridge, meters=[oven()], key=key, name="Workshop")
    port = await board.listen()
    try:
        async with measuring(board):
            yield board, port
    finally:
        await board.close()


def announcement(port: int, host: str = "127.0.0.1", **properties: Any) -> ZeroconfServiceInfo:
    """What Home Assistant's zeroconf makes of a bridge's announcement."""
    name = "energy-meter-d3e4f5._energy-meter._tcp.local."
    return ZeroconfServiceInfo(
        ip_address=ip_address(host),
        ip_addresses=[ip_address(host)],
        port=port,
        hostname="energy-meter-d3e4f5.local.",
        type="_energy-meter._tcp.local.",
        name=name,
        properties={"id": "a4cf12d3e4f5", "name": "Workshop", "v": "1", **properties},
    )


async def announced(hass: HomeAssistant, info: ZeroconfServiceInfo) -> Flow:
    """The flow that an announcement starts."""
    manager = hass.config_entries.flow
    result = await manager.async_init(DOMAIN, context={"source": SOURCE_ZEROCONF}, data=info)
    return Flow(hass, manager, result)


async def added(hass: HomeAssistant, port: int, key: str = KEY) -> Any:
    """The entry of a bridge that was added by hand."""
    flow = await choose_way(hass, "tcp")
    await flow.fill(host="127.0.0.1", port=port, key=key)
    await heard(flow)
    await flow.fill(name="Workshop")
    return created(flow)


async def test_a_bridge_is_added_by_address_and_key_and_becomes_sensors(
    hass: HomeAssistant,
) -> None:
    async with listening() as (_board, port), unloaded(hass):
        flow = await choose_way(hass, "tcp")
        assert flow.prefilled() == {"port": 8731}
        # However the key is typed.
        await flow.fill(host="LOCALHOST", port=port, key="abcde-fghjk lmnpq-rstuv")
        assert await heard(flow) == "- **Oven**: 230.4 V · 2.50 A · 570.0 W"
        await flow.fill(name="Workshop")
        entry = created(flow)
        assert entry.unique_id == "a4cf12d3e4f5"
        assert dict(entry.data) == {
            "kind": "bridge",
            "way": "tcp",
            "host": "localhost",
            "port": port,
            "key": KEY,
        }
        await shows(hass, "power", 570, "oven", "a4cf12d3e4f5")


async def test_a_bridge_without_a_key_needs_none(hass: HomeAssistant) -> None:
    async with listening(key=None) as (_board, port), unloaded(hass):
        flow = await choose_way(hass, "tcp")
        await flow.fill(host="127.0.0.1", port=port)
        await heard(flow)
        await flow.fill(name="Workshop")
        assert "key" not in created(flow).data
        await shows(hass, "power", 570, "oven", "a4cf12d3e4f5")


async def test_a_wrong_key_says_so_at_its_field_and_the_right_one_goes_on(
    hass: HomeAssistant,
) -> None:
    async with listening() as (board, port):
        flow = await choose_way(hass, "tcp")
        await flow.fill(host="127.0.0.1", port=port, key=WRONG_KEY)
        await flow.wait()
        assert flow.errors == {"key": "bridge_key_refused"}
        assert board.denials == 1
        await flow.fill(host="127.0.0.1", port=port)
        await flow.wait()
        assert flow.errors == {"key": "bridge_key_needed"}
        await flow.fill(host="127.0.0.1", port=port, key="ABCDE")
        assert flow.errors == {"key": "bridge_no_key"}
        await flow.fill(host="127.0.0.1", port=port, key=KEY)
        await heard(flow)


async def _say_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()
    writer.close()


async def test_an_address_that_leads_nowhere_is_told_from_one_that_leads_elsewhere(
    hass: HomeAssistant,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        flow = await choose_way(hass, "tcp")
        await flow.fill(host="127.0.0.1", port=taken.getsockname()[1], key=KEY)
        await flow.wait()
        assert flow.errors == {"base": "bridge_connection_refused"}
    server = await asyncio.start_server(_say_http, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        await flow.fill(host="127.0.0.1", port=port, key=KEY)
        await flow.wait()
        assert flow.errors == {"base": "bridge_not_a_bridge"}
    await flow.fill(host="no bridge!", port=8731, key=KEY)
    assert flow.errors == {"host": "invalid_host"}


async def test_a_name_that_nobody_knows_is_told_at_its_field(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown(*_args: object, **_kwargs: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    flow = await choose_way(hass, "tcp")
    # The test environment has no name server.
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    await flow.fill(host="no-such-bridge.invalid", port=8731, key=KEY)
    await flow.wait()
    assert flow.errors == {"host": "bridge_unknown_host"}
    assert flow.placeholders["link"] == "no-such-bridge.invalid:8731"


async def test_a_bridge_of_another_version_of_the_protocol_is_named_as_that(
    hass: HomeAssistant,
) -> None:
    async def challenge(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"type":"challenge","v":2,"bridge":"b","nonce":"%s"}\n' % (b"0" * 32))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(challenge, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        flow = await choose_way(hass, "tcp")
        await flow.fill(host="127.0.0.1", port=port, key=KEY)
        await flow.wait()
        assert flow.errors == {"base": "bridge_version"}
        assert flow.placeholders["version"] == "2"


async def test_an_announced_bridge_asks_for_its_key_alone(hass: HomeAssistant) -> None:
    async with listening() as (_board, port), unloaded(hass):
        flow = await announced(hass, announcement(port))
        assert flow.step == "bridge_pair"
        assert flow.placeholders == {"name": "Workshop", "host": "127.0.0.1"}
        [waiting] = hass.config_entries.flow.async_progress_by_handler(DOMAIN)
        assert waiting["context"]["title_placeholders"] == {"name": "Workshop"}
        await flow.fill(key=WRONG_KEY)
        await flow.wait()
        assert flow.step == "bridge_pair"
        assert flow.errors == {"key": "bridge_key_refused"}
        await flow.fill(key=KEY)
        await heard(flow)
        await flow.fill(name="Workshop")
        entry = created(flow)
        assert (entry.unique_id, entry.data["port"]) == ("a4cf12d3e4f5", port)
        await shows(hass, "power", 570, "oven", "a4cf12d3e4f5")


async def test_home_assistant_hears_what_a_bridge_announces_by_mdns(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    loopback: dict[str, Any] = {"interfaces": ["127.0.0.1"], "ip_version": IPVersion.V4Only}
    # The network adapters that the test environment has are made up; multicast stays on this machine.
    monkeypatch.setattr("homeassistant.components.zeroconf._async_get_zc_args", lambda _: loopback)
    async with listening() as (_board, port), unloaded(hass):
        announcer = AsyncZeroconf(**loopback)
        service = ServiceInfo(
            "_energy-meter._tcp.local.",
            "Workshop (d3e4f5)._energy-meter._tcp.local.",
            addresses=[socket.inet_aton("127.0.0.1")],
            port=port,
            properties={"id": "a4cf12d3e4f5", "v": "1", "name": "Workshop"},
            server="energy-meter-a4cf12d3e4f5.local.",
        )
        try:
            assert await async_setup_component(hass, "zeroconf", {})
            hass.bus.async_fire(EVENT_HOMEASSISTANT_STARTED)
            await (await announcer.async_register_service(service))
            flows = hass.config_entries.flow
            await until(lambda: bool(flows.async_progress_by_handler(DOMAIN)), 20)
            [waiting] = flows.async_progress_by_handler(DOMAIN)
            flow = Flow(hass, flows, await flows.async_configure(waiting["flow_id"]))
            assert flow.step == "bridge_pair"
            assert flow.placeholders == {"name": "Workshop", "host": "127.0.0.1"}
            await flow.fill(key=KEY)
            await heard(flow)
            await flow.fill(name="Workshop")
            await shows(hass, "power", 570, "oven", "a4cf12d3e4f5")
        finally:
            # A bridge that takes its leave is no discovery any more, so not before.
            await announcer.async_close()
            hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
            await hass.async_block_till_done()


async def test_an_announcement_of_a_bridge_that_moved_leads_its_entry_there(
    hass: HomeAssistant,
) -> None:
    async with unloaded(hass):
        async with listening() as (_board, port):
            entry = await added(hass, port)
            await shows(hass, "power", 570, "oven", "a4cf12d3e4f5")
        await gone(hass, "power", "oven", "a4cf12d3e4f5")
        async with listening() as (_board, port):
            flow = await announced(hass, announcement(port))
            assert flow.kind is FlowResultType.ABORT
            assert flow.result["reason"] == "bridge_already_configured"
            assert entry.data["port"] == port
            await shows(hass, "power", 570, "oven", "a4cf12d3e4f5")
            # Said again, it disturbs nothing.
            connections = _board.connections
            await announced(hass, announcement(port))
            await hass.async_block_till_done()
            assert _board.connections == connections
            assert entry.state is ConfigEntryState.LOADED


@pytest.mark.parametrize("given", [None, "", "two words", "x" * 33, 7])
async def test_an_announcement_without_a_usable_id_is_ignored(
    hass: HomeAssistant, given: object
) -> None:
    flow = await announced(hass, announcement(8731, id=given))
    assert flow.result["reason"] == "bridge_invalid_discovery"


async def test_two_announcements_of_one_bridge_are_one_discovery(hass: HomeAssistant) -> None:
    await announced(hass, announcement(8731))
    again = await announced(hass, announcement(8731))
    assert again.result["reason"] == "already_in_progress"


async def test_a_key_that_is_refused_later_is_asked_for_again(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp_link, "_AFTER_REFUSAL", 0.2)
    async with listening() as (board, port), unloaded(hass):
        entry = await added(hass, port)
        await shows(hass, "power", 570, "oven", "a4cf12d3e4f5")
        board.key = "Z" * 20
        board.cut()
        await until(lambda: bool(list(entry.async_get_active_flows(hass, {SOURCE_REAUTH}))))
        await gone(hass, "power", "oven", "a4cf12d3e4f5")
        [waiting] = entry.async_get_active_flows(hass, {SOURCE_REAUTH})
        manager = hass.config_entries.flow
        flow = Flow(hass, manager, await manager.async_configure(waiting["flow_id"]))
        assert flow.step == "reauth_confirm"
        assert flow.placeholders == {"name": "Workshop"}
        await flow.fill(key=KEY)
        assert flow.errors == {"key": "bridge_key_refused"}
        await flow.fill(key="zzzzz-zzzzz-zzzzz-zzzzz")
        assert flow.result["reason"] == "bridge_paired"
        await hass.async_block_till_done()
        assert entry.data["key"] == "Z" * 20
        await shows(hass, "power", 570, "oven", "a4cf12d3e4f5")


async def test_another_bridge_is_not_paired_in_the_place_of_one(
    hass: HomeAssistant,
) -> None:
    async with listening() as (_board, port), unloaded(hass):
        entry = await added(hass, port)
        await hass.async_block_till_done()
        await hass.config_entries.async_unload(entry.entry_id)
        async with listening(bridge="stranger") as (_stranger, elsewhere):
            hass.config_entries.async_update_entry(entry, data={**entry.data, "port": elsewhere})
            flow = await reauthenticated(hass, entry)
            await flow.fill(key=KEY)
            assert flow.errors == {"base": "bridge_other"}
            assert flow.placeholders["found"] == "stranger"


async def test_a_bridge_that_loses_its_network_returns_with_what_it_has_kept(
    hass: HomeAssistant,
) -> None:
    async with listening() as (board, port), unloaded(hass):
        await added(hass, port)
        await shows(hass, "power", 570, "oven", "a4cf12d3e4f5")
        connections = board.connections
        board.cut()
        await gone(hass, "power", "oven", "a4cf12d3e4f5")
        await shows(hass, "power", 570, "oven", "a4cf12d3e4f5")
        assert board.connections > connections


async def test_the_address_is_changed_and_the_entry_pauses_while_it_is_tried(
    hass: HomeAssistant,
) -> None:
    async with listening() as (board, port), unloaded(hass):
        entry = await added(hass, port)
        await shows(hass, "power", 570, "oven", "a4cf12d3e4f5")
        flow = await Flow.reconfigure(hass, entry)
        await flow.choose("bridge_tcp")
        assert flow.prefilled() == {"host": "127.0.0.1", "port": port, "key": KEY}
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            await flow.fill(host="127.0.0.1", port=taken.getsockname()[1], key=KEY)
            await flow.wait()
        assert flow.errors == {"base": "bridge_connection_refused"}
        # Nothing has changed, and it goes on.
        assert entry.data["port"] == port
        await shows(hass, "power", 570, "oven", "a4cf12d3e4f5")
        other = await board.listen()
        await flow.fill(host="127.0.0.1", port=other, key=KEY)
        await heard(flow)
        await flow.fill(name="Workshop")
        assert flow.result["reason"] == "bridge_changed"
        await hass.async_block_till_done()
        assert entry.data["port"] == other
        await shows(hass, "power", 570, "oven", "a4cf12d3e4f5")


async def test_what_a_bridge_calls_its_meters_is_shown_as_text_and_nothing_else(
    hass: HomeAssistant,
) -> None:
    board = SimulatedBridge(
        "b1",
        meters=[SimulatedMeter(id="oven", name="**[Click](http://evil.example)** <img src=x>")],
        name="![Here](http://evil.example)",
    )
    port = await board.listen()
    try:
        async with measuring(board):
            flow = await choose_way(hass, "tcp")
            await flow.fill(host="127.0.0.1", port=port)
            shown = await heard(flow)
        assert r"\*\*\[Click\]\(http\://evil.example\)\*\* \<img src=x\>" in shown
        # A form's field shows text as it is.
        assert flow.prefilled() == {"name": "![Here](http://evil.example)"}
    finally:
        await board.close()


async def test_a_bridge_does_not_become_one_that_is_set_up_already(hass: HomeAssistant) -> None:
    async with (
        listening(bridge="one") as (_one, port),
        listening(bridge="two") as (_two, other),
        unloaded(hass),
    ):
        entry = await added(hass, port)
        await added(hass, other)
        await hass.async_block_till_done()
        flow = await Flow.reconfigure(hass, entry)
        await flow.choose("bridge_tcp")
        await flow.fill(host="localhost", port=other, key=KEY)
        await flow.wait()
        assert flow.errors == {"base": "bridge_other"}
        await flow.fill(host="localhost", port=other, key=KEY, anyway=True)
        assert flow.result["reason"] == "bridge_already_configured"
        assert entry.unique_id == "one"


async def test_a_board_that_was_replaced_is_taken_in_the_place_of_the_old_one_if_the_user_says_so(
    hass: HomeAssistant,
) -> None:
    async with (
        listening(bridge="old") as (_old, port),
        listening(bridge="new") as (_new, other),
        unloaded(hass),
    ):
        entry = await added(hass, port)
        await shows(hass, "power", 570, "oven", "old")
        meters = dict(entry.subentries)
        flow = await Flow.reconfigure(hass, entry)
        await flow.choose("bridge_tcp")
        await flow.fill(host="127.0.0.1", port=other, key=KEY)
        await flow.wait()
        await flow.fill(host="127.0.0.1", port=other, key=KEY, anyway=True)
        await flow.fill(name="Workshop")
        assert flow.result["reason"] == "bridge_changed"
        assert entry.unique_id == "new"
        # Its meters, entities and history go on as they were.
        await until(lambda: hass.states.get("sensor.oven_power") is not None)
        await shows(hass, "power", 570, "oven", "old")
        assert entry.subentries.keys() == meters.keys()
