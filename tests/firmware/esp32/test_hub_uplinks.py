"""A hundred circuits over each way up from the hub: the hello and the message of every second, whole and in time."""

import asyncio
from collections.abc import Callable
import json
import os
from pathlib import Path
import tty
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from custom_components.energy_meter.sources.bridge.protocol import (
    MAX_LINE,
    HelloMessage,
    Readings,
    parse_line,
)
from custom_components.energy_meter.sources.simulated.panel import simulated_panel
from tests.firmware.esp32.counterparts import TcpHost, Webhook, until
from tests.firmware.esp32.hubs import hub
from tests.support.broker import broker as running_broker
from tests.support.esp32 import Board, settings
from tests.support.i2c_wire import Board as BoardTime, Monitors, Wire

pytestmark = pytest.mark.usefixtures("socket_enabled")

OFF = {"on": False}
MAX_BODY = 65_536


def looked_at(lines: list[bytes]) -> tuple[int, list[Readings]]:
    """(circuits in the last hello, the rounds), by Home Assistant's parser."""
    circuits, rounds = 0, []
    for line in lines:
        assert len(line) <= MAX_LINE
        message, _ = parse_line(line)
        if isinstance(message, HelloMessage):
            assert message.hello is not None
            circuits = len(message.hello.meters)
        elif isinstance(message, Readings):
            assert message.refused == ()
            rounds.append(message)
    return circuits, rounds


def unbroken(rounds: list[Readings]) -> bool:
    """Whether each round begins where the one before ended."""
    numbers = [one.seq for message in rounds for one in message.readings]
    first = numbers[0]
    assert first is not None
    return numbers == list(range(first, first + len(numbers)))


async def enough(lines: Callable[[], list[bytes]], rounds: int = 5) -> None:
    """Wait for the hello of everybody and so many rounds, and look at them."""
    await until(lambda: len(looked_at(lines())[1]) >= rounds, 30)
    circuits, found = looked_at(lines())
    assert circuits == 100
    assert all(len(one.readings) == 100 for one in found)
    assert unbroken(found)


async def test_over_tcp(tmp_path: Path) -> None:
    """Every line signed; what did not fit one packet is put together again."""
    async with hub(tmp_path, 100, connected=False) as one:
        await one.board.look()
        await asyncio.sleep(1)
        host = await TcpHost.connect(one.port)
        lines: list[bytes] = []
        for _ in range(8):
            line = await asyncio.wait_for(host.reader.readline(), 10)
            body = host.signer.check(line[:-1])
            assert body is not None
            lines.append(body)
        await enough(lambda: lines)


async def test_over_usb(tmp_path: Path) -> None:
    """Every line with its CRC, which Home Assistant's parser checks."""
    near, far = os.openpty()
    tty.setraw(far)
    os.set_blocking(near, False)
    time = BoardTime()
    text = b""

    def lines() -> list[bytes]:
        nonlocal text
        while True:
            try:
                text += os.read(near, 65536)
            except BlockingIOError:
                found = text.split(b"\n")[:-1]
                assert all(line[-5:-4] == b"*" for line in found)
                return found

    async with Wire(Monitors(simulated_panel(100, clock=time.unix)), time) as wire:
        config = settings(usb={"on": True}, uarts=[], i2c={"on": True})
        board = Board(tmp_path, config, usb=far, wire=wire.port)
        try:
            await board.start()
            os.close(far)
            await enough(lines)
        finally:
            await board.cut_power()
            os.close(near)


class Hook(Webhook):
    """Keeps the bodies."""

    def __init__(self) -> None:
        """Nothing yet."""
        super().__init__()
        self.bodies: list[bytes] = []

    def _acknowledged(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self.bodies.append(
            b"\n".join(json.dumps(one, separators=(",", ":")).encode() for one in found)
        )
        return []


async def test_over_http(tmp_path: Path) -> None:
    """Each round in a post of its own, far below the limit of a body, and at once, whatever pause is set."""
    hook = Hook()
    server = await hook.start()
    post = {"on": True, "url": f"http://127.0.0.1:{hook.port}/api/webhook/secret", "every": 5}
    async with server, hub(tmp_path, 100, connected=False, tcp=OFF, http=post):
        await enough(
            lambda: [line for body in hook.bodies for line in body.split(b"\n") if line], 8
        )
        assert max(len(body) for body in hook.bodies) < MAX_BODY // 2
        hook.fail = 3
        await asyncio.sleep(1)
        before = len(hook.bodies)
        await until(lambda: len(hook.bodies) > before + 3, 60)


async def test_over_mqtt(tmp_path: Path) -> None:
    """The hello retained, the rounds one by one, through a real broker."""
    found: list[mqtt.MQTTMessage] = []
    (tmp_path / "broker").mkdir()
    with running_broker(tmp_path / "broker") as broker:
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)  # type: ignore[attr-defined, unused-ignore]
        client.on_message = lambda _client, _data, message: found.append(message)

        def subscribe(*_: object) -> None:
            client.subscribe("energy_meter/#", 1)

        client.on_connect = subscribe
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        link = {"on": True, "host": "127.0.0.1", "port": broker.port}
        try:
            async with hub(tmp_path / "board", 100, connected=False, tcp=OFF, mqtt=link):

                def lines() -> list[bytes]:
                    return [
                        line
                        for one in list(found)
                        if not one.topic.endswith("/status")
                        for line in one.payload.split(b"\n")
                    ]

                await enough(lines)
                assert max(len(one.payload) for one in found) < MAX_LINE
                command = {"type": "command", "id": 4, "control": "identify"}
                client.publish("energy_meter/a4cf12d3e4f5/down", json.dumps(command), 1)
                await until(lambda: any(b'"ack"' in line for line in lines()))
        finally:
            client.loop_stop()
