"""A bridge behind a real MQTT broker (mosquitto) and Home Assistant's real `mqtt`."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

from homeassistant.components import mqtt
from homeassistant.config_entries import SOURCE_MQTT, ConfigEntry, ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.setup import async_setup_component
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.energy_meter.const import DOMAIN
from tests.integration.bridge_ways.support import (
    choose_way,
    created,
    gone,
    heard,
    impatient,
    oven,
    shows,
    unloaded,
    value,
)
from tests.integration.flow_support import Flow
from tests.integration.runtime_support import until
from tests.support.bridge import SimulatedBridge, SimulatedMeter, relay
from tests.support.broker import Broker, broker as running_broker

pytestmark = pytest.mark.usefixtures("socket_enabled", "impatience")


@pytest.fixture
def impatience() -> Iterator[None]:
    with impatient():
        yield


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with running_broker(tmp_path) as one:
        yield one


class Board:
    """A board on the broker, with a client of its own (paho) and its last will."""

    def __init__(self, broker: Broker, bridge: str = "b1", prefix: str = "energy_meter") -> None:
        """Choose who it is; `connect` brings it to the broker."""
        self.simulated = SimulatedBridge(
            bridge, meters=[SimulatedMeter(id="oven", name="Oven", controls=[relay()])]
        )
        self._loop = asyncio.get_running_loop()
        self._broker = broker
        self.topic = f"{prefix}/{bridge}"
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=bridge)
        self.client.reconnect_delay_set(min_delay=1, max_delay=1)
        self.client.will_set(f"{self.topic}/status", "offline", qos=1, retain=True)
        self.client.on_connect = self._connected
        self.client.on_message = self._told
        self._measuring: asyncio.Task[None] | None = None

    def connect(self) -> None:
        """Come to the broker, and back whenever it was away."""
        self.client.connect("127.0.0.1", self._broker.port, keepalive=5)
        self.client.loop_start()

    def _connected(self, client: paho.Client, *_: Any) -> None:
        client.subscribe(f"{self.topic}/down", qos=1)
        client.publish(f"{self.topic}/status", "online", qos=1, retain=True)
        hello = json.dumps(self.simulated.hello())
        client.publish(f"{self.topic}/hello", hello, qos=1, retain=True)

    def _told(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self._loop.call_soon_threadsafe(self.simulated.hear, message.payload + b"\n")

    def say(self, data: bytes) -> None:
        """Publish what the board says; a hello has a topic of its own."""
        if b'"type":"hello"' in data:
            self.client.publish(f"{self.topic}/hello", data, qos=1, retain=True)
        else:
            self.client.publish(f"{self.topic}/up", data, qos=1)

    def die(self) -> None:
        """Lose power: the broker has to find out by itself."""
        self.client.loop_stop()
        sock = self.client.socket()
        if sock is not None:
            sock.close()


@asynccontextmanager
async def board_on(broker: Broker, **options: Any) -> AsyncIterator[Board]:
    """A board that measures every now and then."""
    board = Board(broker, **options)
    board.connect()
    board.simulated.attach(board.say)

    async def measure() -> None:
        while True:
            board.simulated.measure("oven", {"voltage": 230.4, "current": 2.5, "power": 570.0})
            await asyncio.sleep(0.1)

    task = asyncio.create_task(measure())
    try:
        yield board
    finally:
        task.cancel()
        await asyncio.wait({task})
        board.client.disconnect()
        board.client.loop_stop()


@asynccontextmanager
async def with_mqtt(hass: HomeAssistant, broker: Broker) -> AsyncIterator[ConfigEntry]:
    """Home Assistant's own `mqtt`, connected to the broker."""
    entry = MockConfigEntry(
        domain=mqtt.DOMAIN,
        title="broker",
        data={"broker": "127.0.0.1", "port": broker.port, "protocol": "5"},
        options={"birth_message": {}, "will_message": {}},
        version=mqtt.CONFIG_ENTRY_VERSION,
        minor_version=mqtt.CONFIG_ENTRY_MINOR_VERSION,
    )
    entry.add_to_hass(hass)
    # The tests' Home Assistant has no configuration.yaml.
    with patch("homeassistant.config.async_hass_config_yaml", return_value={}):
        assert await hass.config_entries.async_setup(entry.entry_id)
    await until(lambda: mqtt.is_connected(hass))
    try:
        async with unloaded(hass):
            yield entry
    finally:
        await hass.config_entries.async_unload(entry.entry_id)


async def _added(hass: HomeAssistant, bridge: str = "b1") -> ConfigEntry:
    flow = await choose_way(hass, "mqtt")
    await flow.fill(prefix="energy_meter", bridge=bridge)
    await heard(flow)
    await flow.fill(name="Workshop")
    return created(flow)


async def test_without_mqtt_it_is_said_what_is_missing(hass: HomeAssistant) -> None:
    flow = await choose_way(hass, "mqtt")
    assert flow.kind is FlowResultType.ABORT
    assert flow.result["reason"] == "bridge_mqtt_missing"


async def test_a_bridge_is_added_by_its_topics_and_becomes_sensors(
    hass: HomeAssistant, broker: Broker
) -> None:
    async with with_mqtt(hass, broker), board_on(broker):
        flow = await choose_way(hass, "mqtt")
        assert flow.prefilled() == {"prefix": "energy_meter"}
        await flow.fill(prefix="/energy_meter/", bridge=" b1 ")
        assert await heard(flow) == "- **Oven**: 230.4 V · 2.50 A · 570.0 W"
        await flow.fill(name="Workshop")
        entry = created(flow)
        assert entry.unique_id == "b1"
        assert dict(entry.data) == {
            "kind": "bridge",
            "way": "mqtt",
            "prefix": "energy_meter",
            "bridge": "b1",
        }
        await shows(hass, "power", 570, "oven", "b1")


async def test_a_command_goes_down_and_its_answer_comes_up(
    hass: HomeAssistant, broker: Broker
) -> None:
    async with with_mqtt(hass, broker), board_on(broker) as board:
        await _added(hass)
        await shows(hass, "power", 570, "oven", "b1")
        [switch] = hass.states.async_entity_ids("switch")
        await hass.services.async_call("switch", "turn_off", {"entity_id": switch}, blocking=True)
        assert [each["value"] for each in board.simulated.carried_out] == [0]
        state = hass.states.get(switch)
        assert state is not None and state.state == "off"


async def test_a_bridge_that_loses_power_is_unavailable_by_its_last_will_and_returns(
    hass: HomeAssistant, broker: Broker
) -> None:
    async with with_mqtt(hass, broker):
        async with board_on(broker) as board:
            await _added(hass)
            await shows(hass, "power", 570, "oven", "b1")
            board.die()
            await gone(hass, "power", "oven", "b1")
        async with board_on(broker):
            await shows(hass, "power", 570, "oven", "b1")


async def test_a_broker_that_restarts_takes_nobody_away_for_long(
    hass: HomeAssistant, broker: Broker
) -> None:
    async with with_mqtt(hass, broker), board_on(broker):
        await _added(hass)
        await shows(hass, "power", 570, "oven", "b1")
        broker.stop()
        await gone(hass, "power", "oven", "b1")
        broker.start()
        await until(lambda: value(hass, "power", "oven", "b1") == "570.0", 30)


async def test_what_a_broker_has_kept_does_not_show_as_the_present_value(
    hass: HomeAssistant, broker: Broker
) -> None:
    async with with_mqtt(hass, broker), board_on(broker) as board:
        await _added(hass)
        await shows(hass, "power", 570, "oven", "b1")
        old = b'{"type":"reading","meter":"oven","values":{"voltage":230,"current":1,"power":7}}'
        published = board.client.publish(f"{board.topic}/up", old, qos=1, retain=True)
        await asyncio.to_thread(published.wait_for_publish, 5)
        await shows(hass, "power", 570, "oven", "b1")
        seen: list[str] = []
        hass.bus.async_listen(
            "state_changed", lambda event: seen.append(event.data["new_state"].state)
        )
        [entry] = hass.config_entries.async_entries(DOMAIN)
        await hass.config_entries.async_unload(entry.entry_id)
        kept: list[object] = []
        stop = await mqtt.async_subscribe(
            hass, f"{board.topic}/up", lambda message: kept.append(message.payload), 1, None
        )
        await until(lambda: old in kept)
        stop()
        await hass.config_entries.async_setup(entry.entry_id)
        await shows(hass, "power", 570, "oven", "b1")
        assert "570.0" in seen
        assert "7.0" not in seen


async def test_a_bridge_announces_itself_on_the_broker(hass: HomeAssistant, broker: Broker) -> None:
    assert await async_setup_component(hass, DOMAIN, {})
    async with with_mqtt(hass, broker), board_on(broker):
        flows = hass.config_entries.flow
        await until(lambda: bool(flows.async_progress_by_handler(DOMAIN)))
        [waiting] = flows.async_progress_by_handler(DOMAIN)
        assert waiting["context"]["source"] == SOURCE_MQTT
        assert waiting["context"]["title_placeholders"] == {"name": "Workshop"}
        flow = Flow(hass, flows, await flows.async_configure(waiting["flow_id"]))
        assert flow.step == "bridge_announced"
        await flow.fill()
        assert await heard(flow) == "- **Oven**: 230.4 V · 2.50 A · 570.0 W"
        await flow.fill(name="Workshop")
        assert created(flow).unique_id == "b1"
        await shows(hass, "power", 570, "oven", "b1")


async def test_an_announcement_that_is_none_or_is_known_is_ignored(
    hass: HomeAssistant, broker: Broker
) -> None:
    assert await async_setup_component(hass, DOMAIN, {})
    async with with_mqtt(hass, broker), board_on(broker) as board:
        entry = await _added(hass)
        publish = board.client.publish
        for payload in (b"", b"{", b"\xff", b'{"type":"reading"}', b"[" * 50_000, b"null"):
            publish("energy_meter/someone/hello", payload, qos=1)
        publish("energy_meter/some one/hello", json.dumps(board.simulated.hello()), qos=1)
        publish(f"{board.topic}/hello", json.dumps(board.simulated.hello()), qos=1)
        await shows(hass, "power", 570, "oven", "b1")
        await asyncio.sleep(0.5)
        await hass.async_block_till_done()
        assert [
            flow
            for flow in hass.config_entries.flow.async_progress_by_handler(DOMAIN)
            if flow["context"]["source"] == SOURCE_MQTT
        ] == []
        assert entry.state is ConfigEntryState.LOADED


async def test_a_silent_topic_and_a_topic_that_cannot_be_are_told_apart(
    hass: HomeAssistant, broker: Broker
) -> None:
    async with with_mqtt(hass, broker):
        flow = await choose_way(hass, "mqtt")
        await flow.fill(prefix="energy_meter", bridge="nobody")
        await flow.wait()
        assert flow.errors == {"base": "bridge_mqtt_silent"}
        assert flow.placeholders["topic"] == "energy_meter/nobody"
        for prefix in ("", "a/#", "+/b", "a//b"):
            await flow.fill(prefix=prefix, bridge="b1")
            assert flow.errors == {"prefix": "bridge_bad_prefix"}
        for bridge in ("", "a/b", "#", "two words", "x" * 33):
            await flow.fill(prefix="energy_meter", bridge=bridge)
            assert flow.errors == {"bridge": "bridge_bad_id"}
        await flow.fill(prefix="house/cellar", bridge="later", anyway=True)
        await flow.fill(name="Later")
        entry = created(flow)
        await hass.async_block_till_done()
        assert entry.state is ConfigEntryState.LOADED
        async with board_on(broker, bridge="later", prefix="house/cellar"):
            await shows(hass, "power", 570, "oven", "later")


async def test_garbage_and_giants_on_the_topics_disturb_nobody(
    hass: HomeAssistant, broker: Broker
) -> None:
    async with with_mqtt(hass, broker), board_on(broker) as board:
        await _added(hass)
        for level in ("up", "hello", "status"):
            for payload in (b"", b"\x00\xff", b"{" * 1_000, b"x" * 2_000_000, b"\n" * 10_000):
                board.client.publish(f"{board.topic}/{level}", payload, qos=1)
        await shows(hass, "power", 570, "oven", "b1")


async def test_an_entry_waits_for_mqtt(hass: HomeAssistant, broker: Broker) -> None:
    entry = MockConfigEntry(
        domain=DOMAIN,
        unique_id="b1",
        data={"kind": "bridge", "way": "mqtt", "prefix": "energy_meter", "bridge": "b1"},
    )
    entry.add_to_hass(hass)
    await hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert entry.error_reason_translation_key == "bridge_mqtt_missing"
    async with with_mqtt(hass, broker), board_on(broker):
        await hass.config_entries.async_reload(entry.entry_id)
        await shows(hass, "power", 570, "oven", "b1")


async def test_a_bridge_of_the_network_moves_behind_the_broker_with_its_meters(
    hass: HomeAssistant, broker: Broker
) -> None:
    board = SimulatedBridge("b1", meters=[oven()], key=None)
    port = await board.listen()
    flow = await choose_way(hass, "tcp")
    await flow.fill(host="127.0.0.1", port=port)
    board.measure("oven", {"voltage": 230.4, "current": 2.5, "power": 570.0})
    await heard(flow)
    await flow.fill(name="Workshop")
    entry = created(flow)
    await until(lambda: len(entry.subentries) == 1)
    meters = dict(entry.subentries)
    await board.close()
    async with with_mqtt(hass, broker), board_on(broker):
        flow = await Flow.reconfigure(hass, entry)
        await flow.choose("bridge_mqtt")
        await flow.fill(prefix="energy_meter", bridge="b1")
        await heard(flow)
        await flow.fill(name="Workshop")
        assert flow.result["reason"] == "bridge_changed"
        await shows(hass, "power", 570, "oven", "b1")
        assert dict(entry.subentries) == meters
