"""The ways up from the ESP32, each against a counterpart that shares no code with it: TCP, HTTP, MQTT, USB."""

import asyncio
import json
import os
from pathlib import Path
import tty

import paho.mqtt.client as mqtt
import pytest

from custom_components.energy_meter.sources.bridge import serial_probe, tcp_probe
from custom_components.energy_meter.sources.bridge.crc import with_crc
from tests.firmware.esp32.counterparts import LINE, TcpHost, Webhook, board, until
from tests.support.broker import Broker
from tests.support.esp32 import KEY, Board, free_port, settings

pytestmark = pytest.mark.usefixtures("socket_enabled")

ID = "a4cf12d3e4f5"


async def test_hello_says_what_is_there(tmp_path: Path) -> None:
    """Home Assistant's own probe finds the bridge, its meter and what can be done to it."""
    port = free_port()
    meters = {"main": {"name": "Oven", "rated_current": 16, "power_factor": 0.9}}
    async with board(tmp_path, tcp={"on": True, "port": port}, meters=meters) as bridge:
        await bridge.do("uart", port=1, text='{"V": 230, "I": 2}\n')
        await asyncio.sleep(0.1)
        hello = await tcp_probe("127.0.0.1", port, KEY)
        assert (hello.bridge, hello.firmware, hello.kind, hello.boot) == (ID, "1.0.0", "esp32", 1)
        assert hello.capabilities == {"buffer", "config", "update", "time"}
        (meter,) = hello.meters
        assert (meter.id, meter.name, meter.phases, meter.rated_current) == ("main", "Oven", 1, 16)
        assert set(meter.quantities) == {"voltage", "current", "power", "energy_import"}
        assert meter.resolution["energy_import"] == 0.01
        assert {control.key for control in meter.controls} >= {"dead_band", "reset_energy"}
        assert meter.settings["power_factor"] == 0.9


async def test_who_does_not_know_the_key_waits_ever_longer(tmp_path: Path) -> None:
    """A wrong key is denied and makes the next attempt slower; the right one is let in all the same."""
    port = free_port()
    async with board(tmp_path, tcp={"on": True, "port": port}):
        loop = asyncio.get_running_loop()
        for attempt in range(2):
            began = loop.time()
            host = await TcpHost.connect(port, "22222222222222222222")
            assert host.signer is None
            assert loop.time() - began >= 0.9 * attempt
        began = loop.time()
        host = await TcpHost.connect(port)
        assert loop.time() - began >= 1.8
        assert (await host.message())["type"] == "hello"


async def test_strangers_cost_nothing(tmp_path: Path) -> None:
    """Rubbish, silence and half a handshake neither disturb the host that is connected nor keep the next one out."""
    port = free_port()
    async with board(tmp_path, tcp={"on": True, "port": port}) as bridge:
        host = await TcpHost.connect(port)
        await host.message("hello")
        for rubbish in (
            b"\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"\xff" * 3000,
            b'{"type":"auth"}\n',
            b"",
        ):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(rubbish)
            writer.close()
        await bridge.do("uart", port=1, text=LINE + "\n")
        assert (await host.message("reading"))["values"]["voltage"] == 230


async def test_a_newer_host_ends_the_older_and_a_wrong_mac_ends_the_connection(
    tmp_path: Path,
) -> None:
    """One host at a time."""
    port = free_port()
    async with board(tmp_path, tcp={"on": True, "port": port}):
        older = await TcpHost.connect(port)
        await older.message("hello")
        newer = await TcpHost.connect(port)
        await newer.message("hello")
        await older.ends()
        newer.writer.write(b'{"type":"command","id":1,"control":"restart"}#0123456789abcdef\n')
        await newer.ends()
        again = await TcpHost.connect(port)
        assert (await again.message())["type"] == "hello"


async def test_commands_are_carried_out_once_and_settings_stay_secret(tmp_path: Path) -> None:
    """Calibration, settings and their errors; a repeated request is only answered again."""
    port = free_port()
    async with board(tmp_path, tcp={"on": True, "port": port}) as bridge:
        await bridge.do("uart", port=1, text=LINE + "\n")
        host = await TcpHost.connect(port)
        gain = {"type": "command", "id": 1, "meter": "main", "control": "voltage_gain"}
        assert (await host.ask({**gain, "value": 1.1}))["value"] == 1.1
        assert (await host.ask({**gain, "value": 1.2}))["value"] == 1.1, "the same id"
        assert (await host.ask({**gain, "id": 2, "value": 3}))["error"] == "bad_value"
        assert (await host.ask({**gain, "id": 3, "meter": "x"}))["error"] == "unknown_meter"
        assert (await host.ask({**gain, "id": 4, "control": "x"}))["error"] == "unknown_control"
        assert json.loads((tmp_path / "config.json").read_text())["meters"]["main"] == {
            **json.loads((tmp_path / "config.json").read_text())["meters"]["main"],
            "voltage_gain": 1.1,
        }
        shown = (await host.ask({"type": "config", "id": 5}))["value"]
        assert shown["key"] == shown["wifi"]["password"] == "***"
        change = {"name": "Cellar", "wifi": {"password": "***"}, "interval": 2.5}
        answer = await host.ask({"type": "config", "id": 6, "config": change})
        assert answer["value"]["name"] == "Cellar"
        written = json.loads((tmp_path / "config.json").read_text())
        assert (written["wifi"]["password"], written["interval"]) == ("secret", 2.5)
        answer = await host.ask({"type": "config", "id": 7, "config": {"led": {"pin": 7}}})
        assert answer["error"] == "bad_config"
        assert "led.pin" in answer["text"]
        await bridge.do("uart", port=1, text=LINE + "\n")
        assert (await host.ask({"type": "command", "id": 8, "control": "restart"}))["ok"]
        assert await bridge.ended() == 75


async def test_what_is_missing_is_said_again(tmp_path: Path) -> None:
    """`resend` brings what is there, `gone` says what is not, an acknowledgement frees the buffer."""
    port = free_port()
    async with board(tmp_path, tcp={"on": True, "port": port}) as bridge:
        await bridge.do("lines", seconds=5, port=1, every=1000, line=LINE)
        host = await TcpHost.connect(port)
        first = [(await host.message("reading"))["seq"] for _ in range(5)]
        assert first == [1, 2, 3, 4, 5]
        await host.say({"type": "ack", "boot": 1, "seq": 2})
        await host.say({"type": "resend", "boot": 1, "from": 1, "to": 4})
        assert await host.message("gone", "reading") == {
            "type": "gone",
            "boot": 1,
            "from": 1,
            "to": 2,
        }
        assert [(await host.message("reading"))["seq"] for _ in range(2)] == [3, 4]
        assert (await bridge.look())["buffered"] == 3


async def test_posts_are_signed_and_repeated_until_they_are_taken(tmp_path: Path) -> None:
    """Over HTTP nothing is lost while the server fails, and commands come with the answer."""
    hook = Webhook()
    server = await hook.start()
    hook.fail = 2
    url = f"http://127.0.0.1:{hook.port}/api/webhook/secret"
    async with server, board(tmp_path, http={"on": True, "url": url, "every": 0.2}) as bridge:
        for _ in range(10):  # Not all at once: an answer may take ten of the board's seconds.
            await bridge.do("lines", seconds=1, port=1, every=1000, line=LINE)
            await asyncio.sleep(0.05)
        await until(lambda: len(hook.numbered()) >= 10, 20)
        assert hook.numbered()[:10] == [(1, seq) for seq in range(1, 11)]
        assert hook.lines[0]["type"] == "hello"
        assert hook.numbers == sorted(set(hook.numbers))
        assert hook.numbers[0] == 1 << 32
        hook.to_say.append({"type": "command", "id": 3, "control": "identify"})
        await bridge.do("uart", port=1, text=LINE + "\n")
        await bridge.do("lines", seconds=2, port=1, every=1000, line=LINE)
        await until(lambda: any(one["type"] == "ack" for one in hook.lines), 15)
        assert hook.lines[-1]["type"] != "denied"


async def test_an_answer_that_is_not_signed_is_not_believed(tmp_path: Path) -> None:
    """Somebody in the host's place can neither command the bridge nor make it forget."""
    hook = Webhook()
    hook.wrong_key = True
    hook.to_say.append({"type": "command", "id": 3, "control": "restart"})
    server = await hook.start()
    url = f"http://127.0.0.1:{hook.port}/api/webhook/secret"
    async with server, board(tmp_path, http={"on": True, "url": url, "every": 0.2}) as bridge:
        fed = await bridge.do("lines", seconds=3, port=1, every=1000, line=LINE)
        await until(lambda: len(hook.numbers) >= 2, 15)
        assert (await bridge.look())["buffered"] == fed["buffered"] > 0


async def test_a_broker_carries_hello_readings_and_commands(tmp_path: Path) -> None:
    """Hello and status are retained, readings come with QoS 1, commands go down; a broker that restarts costs nothing."""
    (tmp_path / "broker").mkdir()
    broker = Broker(tmp_path / "broker")
    broker.start()
    found: list[mqtt.MQTTMessage] = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)  # type: ignore[attr-defined, unused-ignore]
    client.on_message = lambda _client, _data, message: found.append(message)

    def subscribe(*_: object) -> None:
        client.subscribe(f"energy_meter/{ID}/#", 1)
        client.publish(f"energy_meter/{ID}/down", '{"type":"hello?"}', 1)

    client.on_connect = subscribe
    client.reconnect_delay_set(1, 1)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()

    def lines(topic: str) -> list[dict[str, object]]:
        bodies = [one.payload for one in list(found) if one.topic.endswith(topic)]
        return [json.loads(line) for body in bodies for line in body.split(b"\n")]

    try:
        link = {"on": True, "host": "127.0.0.1", "port": broker.port}
        async with board(tmp_path / "board", mqtt=link) as bridge:
            await bridge.do("lines", seconds=3, port=1, every=1000, line=LINE)
            await until(lambda: any("seq" in one for one in lines("/up")))
            assert lines("/hello")[0]["bridge"] == ID
            assert [one.payload for one in found if one.topic.endswith("/status")] == [b"online"]
            assert all(one.qos == 1 for one in found)
            command = {"type": "command", "id": 4, "control": "identify"}
            client.publish(f"energy_meter/{ID}/down", json.dumps(command), 1)
            await until(lambda: any(one["type"] == "ack" for one in lines("/up")))
            broker.stop()
            await bridge.do("lines", seconds=3, port=1, every=1000, line=LINE)
            broker.start()
            await until(lambda: {one.get("seq") for one in lines("/up")} >= {1, 2, 3, 4, 5, 6}, 20)
        await until(lambda: any(one.payload == b"offline" for one in list(found)), 20)
    finally:
        client.loop_stop()
        broker.stop()


async def test_the_usb_port_speaks_with_a_crc(tmp_path: Path) -> None:
    """Home Assistant's serial probe finds the bridge at its USB port; requests work with a CRC and without."""
    near, far = os.openpty()
    tty.setraw(far)
    os.set_blocking(near, False)
    bridge = Board(tmp_path, settings(usb={"on": True}), usb=far)
    try:
        await bridge.start()
        os.close(far)
        text = b""

        async def reads(what: bytes) -> None:
            nonlocal text
            for _ in range(1000):
                try:
                    text += os.read(near, 65536)
                except BlockingIOError:
                    await asyncio.sleep(0.01)
                if what in text:
                    return
            raise AssertionError(text)

        await reads(b'"type":"hello"')
        os.write(near, b'{"type":"command","id":1,"control":"identify"}\n')
        await reads(b'"id":1,"ok":true')
        os.write(near, with_crc(b'{"type":"command","id":2,"control":"identify"}') + b"\n")
        await reads(b'"id":2,"ok":true')
        for line in text.strip().split(b"\n"):
            assert with_crc(line[:-5]) == line
    finally:
        await bridge.cut_power()
        os.close(near)


async def test_home_assistants_probe_finds_it_at_the_usb_port(tmp_path: Path) -> None:
    """The same port through Home Assistant's own serial link."""
    near, far = os.openpty()
    tty.setraw(near)
    tty.setraw(far)
    bridge = Board(tmp_path, settings(usb={"on": True}), usb=near)
    try:
        await bridge.start()
        hello = await serial_probe(os.ttyname(far), 115200, 8)
        assert (hello.bridge, hello.kind, hello.synthesised) == (ID, "esp32", False)
    finally:
        await bridge.cut_power()
        os.close(near)
        os.close(far)
