"""A bridge over real TCP: the pairing, link loss, strangers, a man in the middle, a dead connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
import contextlib
import json
import time
from typing import Any

import pytest

from custom_components.energy_meter.sources.base import SourceError
from custom_components.energy_meter.sources.bridge import (
    BridgeSession,
    BridgeSource,
    TcpLink,
    link as links,
    tcp_link,
    tcp_probe,
)
from custom_components.energy_meter.sources.bridge.security import format_key
from tests.support.bridge import SimulatedBridge, SimulatedMeter, hmac_hex, relay
from tests.support.bridge_listener import RecordingListener

pytestmark = pytest.mark.usefixtures("socket_enabled")

KEY = "ABCDEFGHJKLMNPQRSTUV"
OTHER_KEY = "VUTSRQPNMLKJHGFEDCBA"

type Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def until(condition: Callable[[], Any], seconds: float = 10) -> None:
    """Wait until something is so; the wait is for real sockets, not for a clock."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 — nobody tells of it.
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(
    port: int, key: str | None = KEY
) -> AsyncIterator[tuple[BridgeSource, RecordingListener]]:
    """A source that connects there."""
    listener = RecordingListener()
    link = TcpLink("127.0.0.1", port, key)
    session = BridgeSession(
        listener, link.send, clock=lambda: (time.monotonic(), time.time()), name="tcp"
    )
    source = BridgeSource(link, session)
    await source.start()
    try:
        yield source, listener
    finally:
        await source.stop()


@pytest.fixture
async def bridge() -> AsyncIterator[SimulatedBridge]:
    """A bridge with a key and an oven."""
    bridge = SimulatedBridge(key=KEY, meters=[SimulatedMeter(controls=[relay()])])
    yield bridge
    await bridge.close()


@contextlib.asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[int]:
    """A server of any behaviour; its port."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        server.close_clients()
        await server.wait_closed()


class Middle:
    """A man in the middle who passes on everything, changed as he likes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.down: Callable[[bytes], bytes] = lambda line: line
        """From the bridge."""
        self.up: Callable[[bytes], bytes] = lambda line: line
        self.frozen = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.port)
        tasks = [
            asyncio.create_task(self._pass(there_reader, writer, "down")),
            asyncio.create_task(self._pass(reader, there_writer, "up")),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            writer.transport.abort()
            there_writer.transport.abort()

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        change: str,
    ) -> None:
        while line := await reader.readline():
            if not self.frozen:
                writer.write(getattr(self, change)(line))


async def test_readings_come_and_commands_go(bridge: SimulatedBridge) -> None:
    async with running(await bridge.listen(), format_key(KEY).lower()) as (source, listener):
        await until(lambda: listener.hellos)
        bridge.measure("oven", {"voltage": 227.5})
        await until(lambda: listener.readings)
        assert await source.command("oven", "relay", 0) == 0
        assert await source.command(None, "identify", None) is None
        await until(lambda: not bridge.buffer)
        assert source.link.connected
        assert KEY not in source.link.describe()
        # It says hello by itself: to ask would mean to hear everything twice.
        assert "hello?" not in {message["type"] for message in bridge.heard}
    assert listener.links == [True, False]


async def test_a_lost_link_comes_back_and_loses_nothing(bridge: SimulatedBridge) -> None:
    async with running(await bridge.listen()) as (source, listener):
        await until(lambda: listener.hellos)
        for number in range(5):
            bridge.measure("oven", {"voltage": number})
            bridge.cut()
            bridge.measure("oven", {"voltage": number + 0.5})
            links_before = len(listener.links)
            await until(lambda: len(listener.links) >= links_before + 1)  # noqa: B023
        await until(lambda: len(listener.readings) == 10)
        assert listener.values("voltage") == [number / 2 for number in range(10)]
        assert source.session.counters.lost == 0


async def test_a_bridge_that_is_started_later_is_found(bridge: SimulatedBridge) -> None:
    port = await bridge.listen()
    await bridge.close()
    async with running(port) as (_, listener):
        await until(lambda: listener.troubles)
        assert listener.trouble_keys() == ["cannot_connect"]
        await bridge.listen(port)
        await until(lambda: listener.hellos)


async def test_who_does_not_know_the_key_hears_nothing(bridge: SimulatedBridge) -> None:
    bridge.measure("oven", {"voltage": 1})
    async with running(await bridge.listen(), OTHER_KEY) as (source, listener):
        await until(lambda: listener.troubles)
        assert listener.troubles == [("key_refused", "")]
        assert listener.links == []
        assert not source.link.connected
        await asyncio.sleep(1.2)
        assert bridge.denials == 1  # Each attempt makes the bridge slower for everybody.


async def test_without_a_key_one_is_asked_for(bridge: SimulatedBridge) -> None:
    async with running(await bridge.listen(), None) as (_, listener):
        await until(lambda: listener.troubles)
        assert listener.trouble_keys() == ["key_needed"]
        assert listener.links == []


async def test_a_bridge_without_a_key_is_taken_by_who_has_none() -> None:
    bridge = SimulatedBridge(meters=[SimulatedMeter()])
    try:
        async with running(await bridge.listen(), None) as (_, listener):
            await until(lambda: listener.hellos)
            bridge.measure("oven", {"voltage": 1})
            await until(lambda: listener.readings)
    finally:
        await bridge.close()


async def test_who_has_a_key_takes_nothing_unsigned() -> None:
    bridge = SimulatedBridge(meters=[SimulatedMeter()])
    try:
        async with running(await bridge.listen()) as (_, listener):
            await until(lambda: listener.troubles)
            assert listener.trouble_keys() == ["not_a_bridge"]
            assert listener.hellos == []
    finally:
        await bridge.close()


async def test_somebody_in_the_bridges_place_is_not_believed() -> None:
    """He knows the protocol but not the key."""

    async def impostor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"type":"challenge","v":1,"bridge":"a","nonce":"%s"}\n' % (b"0" * 32))
        auth = json.loads(await reader.readline())
        writer.write(b'{"type":"welcome","mac":"%s"}\n' % auth["mac"].encode())
        writer.write(b'{"type":"hello","v":1,"bridge":"a","meters":[]}\n')

    async with serving(impostor) as port, running(port) as (_, listener):
        await until(lambda: listener.troubles)
        assert listener.trouble_keys() == ["key_refused"]
        assert listener.hellos == []
        assert listener.links == []


async def test_a_newer_host_ends_the_older(bridge: SimulatedBridge) -> None:
    port = await bridge.listen()
    async with running(port) as (_, first):
        await until(lambda: first.hellos)
        hello = await tcp_probe("127.0.0.1", port, KEY)
        assert hello.bridge == "a4cf12d3e4f5"
        await until(lambda: first.links[:2] == [True, False])
        await until(lambda: first.links == [True, False, True])
        bridge.measure("oven", {"voltage": 1})
        await until(lambda: first.readings)


async def test_a_man_in_the_middle_who_changes_a_digit_is_noticed(bridge: SimulatedBridge) -> None:
    middle = Middle(await bridge.listen())
    async with serving(middle.serve) as port, running(port) as (source, listener):
        await until(lambda: listener.hellos)
        middle.down = lambda line: line.replace(b"227.5", b"127.5")
        bridge.measure("oven", {"voltage": 227.5})
        await until(lambda: "tampered" in listener.trouble_keys())
        assert listener.readings == []
        middle.down = lambda line: line
        await until(lambda: listener.readings)
        assert listener.values("voltage") == [227.5]
        assert source.session.counters.lost == 0


async def test_a_man_in_the_middle_cannot_switch(bridge: SimulatedBridge) -> None:
    middle = Middle(await bridge.listen())
    async with serving(middle.serve) as port, running(port) as (source, listener):
        await until(lambda: listener.hellos)
        middle.up = lambda line: line.replace(b'"value":1', b'"value":0')
        with pytest.raises(SourceError, match="bridge_away"):
            await source.command("oven", "relay", 1)
        assert bridge.carried_out == []


async def test_a_line_said_again_by_a_stranger_is_not_taken(bridge: SimulatedBridge) -> None:
    middle = Middle(await bridge.listen())
    async with serving(middle.serve) as port, running(port) as (source, listener):
        await until(lambda: listener.hellos)
        middle.up = lambda line: line * 2
        with contextlib.suppress(SourceError):
            await source.command("oven", "relay", 0, timeout=1)
        await until(lambda: False in listener.links)
        assert len(bridge.carried_out) <= 1


async def test_a_dead_connection_is_noticed_and_made_anew(
    bridge: SimulatedBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp_link, "PING_AFTER", 0.1)
    monkeypatch.setattr(tcp_link, "DEAD_AFTER", 0.5)
    middle = Middle(await bridge.listen())
    async with serving(middle.serve) as port, running(port) as (_, listener):
        await until(lambda: listener.hellos)
        await until(lambda: sum(message["type"] == "ping" for message in bridge.heard) > 2)
        middle.frozen = True
        await until(lambda: listener.links == [True, False])
        middle.frozen = False
        await until(lambda: listener.links[:3] == [True, False, True])


async def test_a_line_beyond_the_limit_ends_a_signed_connection(bridge: SimulatedBridge) -> None:
    async with running(await bridge.listen()) as (_, listener):
        await until(lambda: listener.hellos)
        bridge.say_raw(b"[" * 40_000)
        await until(lambda: "tampered" in listener.trouble_keys())
        await until(lambda: listener.links == [True, False, True])


async def test_a_line_beyond_the_limit_costs_a_count_without_a_key() -> None:
    bridge = SimulatedBridge(meters=[SimulatedMeter()])
    try:
        async with running(await bridge.listen(), None) as (source, listener):
            await until(lambda: listener.hellos)
            bridge.say_raw(b"[" * 1_000_000)
            bridge.measure("oven", {"voltage": 1})
            await until(lambda: listener.readings)
            assert source.session.counters.bad == 1
    finally:
        await bridge.close()


async def test_a_fault_above_does_not_end_the_link(
    bridge: SimulatedBridge, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tcp_link, "_LONGEST_PAUSE", 0.5)
    async with running(await bridge.listen()) as (_, listener):
        await until(lambda: listener.hellos)
        listener.on_reading = None  # type: ignore[method-assign, assignment]
        bridge.measure("oven", {"voltage": 1})
        await until(lambda: False in listener.links)
        del listener.on_reading
        await until(lambda: listener.links[-1])
        bridge.measure("oven", {"voltage": 2})
        await until(lambda: listener.values("voltage")[-1:] == [2])
    assert "starting its link anew" in caplog.text


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


def saying(*lines: bytes) -> Serve:
    """A server that says that and waits."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for line in lines:
            writer.write(line + b"\n")
        await reader.read()

    return serve


def denying() -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonce = "ab" * 16
        challenge = {"type": "challenge", "v": 1, "bridge": "a", "nonce": nonce}
        writer.write(json.dumps(challenge).encode() + b"\n")
        auth = json.loads(await reader.readline())
        mac = hmac_hex(KEY.encode(), f"bridge|{auth['nonce']}|{nonce}")
        writer.write(json.dumps({"type": "welcome", "mac": mac}).encode() + b"\n")
        await reader.read()  # Paired, but it never says who it is.

    return serve


NONCE = b"0" * 32


@pytest.mark.parametrize(
    ("serve", "key", "error"),
    [
        (saying(b"SSH-2.0-OpenSSH_9.2"), KEY, "bridge_not_a_bridge"),
        (saying(b"\x00\xff" * 40_000), KEY, "bridge_not_a_bridge"),
        (saying(b'{"type":"challenge"}'), KEY, "bridge_version"),
        (saying(b'{"type":"challenge","v":2,"nonce":"%s"}' % NONCE), KEY, "bridge_version"),
        (saying(b'{"type":"challenge","v":1,"nonce":"x"}'), KEY, "bridge_not_a_bridge"),
        (saying(b'{"type":"challenge","v":1,"nonce":"%s"}' % NONCE), None, "bridge_key_needed"),
        (
            saying(b'{"type":"challenge","v":1,"nonce":"%s"}' % NONCE, b'{"type":"denied"}'),
            KEY,
            "bridge_key_refused",
        ),
        (
            saying(b'{"type":"challenge","v":1,"nonce":"%s"}' % NONCE, b'{"type":"x"}'),
            KEY,
            "bridge_not_a_bridge",
        ),
        (silent, KEY, "bridge_no_answer"),
        (silent, None, "bridge_no_answer"),
        (denying(), KEY, "bridge_no_answer"),
        (saying(b"SSH-2.0-OpenSSH_9.2"), None, "bridge_not_a_bridge"),
    ],
)
async def test_a_probe_says_what_is_wrong(
    serve: Serve, key: str | None, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_PROBE_TIMEOUT", "_HELLO_TIMEOUT"):
        monkeypatch.setattr(tcp_link, name, 0.5)
    monkeypatch.setattr(tcp_link, "_FIRST_LINE_TIMEOUT", 0.2)
    async with serving(serve) as port:
        with pytest.raises(SourceError) as caught:
            await tcp_probe("127.0.0.1", port, key)
    assert caught.value.key == error


async def test_a_probe_of_a_port_where_nobody_listens() -> None:
    async with serving(silent) as port:
        pass
    with pytest.raises(SourceError) as caught:
        await tcp_probe("127.0.0.1", port, KEY)
    assert caught.value.key == "bridge_cannot_connect"
    assert caught.value.placeholders["detail"]


async def test_a_probe_finds_a_bridge_that_asks_for_no_key() -> None:
    bridge = SimulatedBridge(meters=[SimulatedMeter()])
    try:
        hello = await tcp_probe("127.0.0.1", await bridge.listen(), None)
    finally:
        await bridge.close()
    assert [meter.id for meter in hello.meters] == ["oven"]


async def test_a_key_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ValueError):
        TcpLink("127.0.0.1", 1, "short")
    with pytest.raises(ValueError):
        await tcp_probe("127.0.0.1", 1, "short")


async def test_pauses_between_attempts_grow_and_begin_anew_after_a_good_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paused: list[float] = []

    class Link(links.StreamLink):
        """Fails; the fourth attempt is up for a while."""

        up = False

        async def _once(self, session: BridgeSession) -> float:
            self.up = len(paused) == 3
            if self.up:
                now = asyncio.get_running_loop().time
                monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now() + 60)
            return 0.0

        def _was_up(self) -> bool:
            return self.up

        def send(self, line: bytes) -> None:
            """Not used."""

        @property
        def connected(self) -> bool:
            return self.up

        def describe(self) -> str:
            return "nowhere"

    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        paused.append(seconds)
        await real_sleep(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    link = Link(longest_pause=3)
    listener = RecordingListener()
    await link.start(BridgeSession(listener, link.send, clock=lambda: (0.0, 0.0)))
    while len(paused) < 8:
        await real_sleep(0)
    await link.stop()
    assert paused[:8] == [0.5, 1.0, 2.0, 0.5, 1.0, 2.0, 3, 3]
