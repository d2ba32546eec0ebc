"""The simulated bridge speaks the protocol as the document says, to whoever knows its key."""

import asyncio
from collections.abc import AsyncIterator
import json
from typing import Any

import pytest

from custom_components.energy_meter.sources.bridge.security import HostHandshake, LineSigner
from custom_components.energy_meter.sources.simulated.bridge import (
    BRIDGE,
    HOST,
    METER,
    SimulatedBridge,
)
from custom_components.energy_meter.sources.simulated.house import shared_house

pytestmark = pytest.mark.usefixtures("socket_enabled")

KEY = "ABCDEFGHJKLMNPQRSTUV"
NOON = 1_780_000_000.0
"""Some time; the house shows the same at it in every run."""


class Host:
    """A host on one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take the connection; nobody is paired yet."""
        self.reader = reader
        self.writer = writer
        self.signer: LineSigner | None = None

    @classmethod
    async def connect(cls, port: int, key: str = KEY, bridge: str = BRIDGE) -> Host:
        """Connect and pair."""
        host = cls(*await asyncio.open_connection(HOST, port, limit=2**17))
        challenge = await host.next()
        assert challenge["bridge"] == bridge
        handshake = HostHandshake(key, challenge["nonce"])
        host.send({"type": "auth", "nonce": handshake.nonce, "mac": handshake.proof})
        answer = await host.next()
        if answer["type"] == "welcome":
            assert handshake.accepts(answer["mac"])
            host.signer = handshake.signer()
        return host

    def send(self, message: dict[str, Any]) -> None:
        """Send a message, signed once that is agreed on."""
        line = json.dumps(message).encode()
        self.writer.write((self.signer.sign(line) if self.signer else line) + b"\n")

    async def next(self, kind: str | None = None, patience: float = 5) -> dict[str, Any]:
        """The next message, or the next of a kind; its signature has to be right."""
        async with asyncio.timeout(patience):
            while True:
                line = (await self.reader.readuntil(b"\n")).rstrip()
                body = self.signer.check(line) if self.signer else line
                assert body is not None
                message: dict[str, Any] = json.loads(body)
                if kind in (None, message["type"]):
                    return message

    async def ended(self) -> bool:
        """Whether the bridge hangs up, whatever it says before."""
        async with asyncio.timeout(5):
            while await self.reader.read(4096):
                pass
        return True


@pytest.fixture
async def bridge() -> AsyncIterator[tuple[SimulatedBridge, int]]:
    one = SimulatedBridge(KEY, clock=lambda: NOON, interval=0.05)
    port = await one.start()
    try:
        yield one, port
    finally:
        await one.stop()


async def test_it_says_who_it_is_and_then_what_the_bench_takes(
    bridge: tuple[SimulatedBridge, int],
) -> None:
    host = await Host.connect(bridge[1])
    hello = await host.next()
    assert (hello["type"], hello["v"], hello["bridge"]) == ("hello", 1, BRIDGE)
    [meter] = hello["meters"]
    assert (meter["id"], meter["name"]) == (METER, "Workshop bench")
    first, second = await host.next("reading"), await host.next("reading")
    assert (first["boot"], first["seq"], second["seq"]) == (hello["boot"], 1, 2)
    assert list(first["values"]) == meter["quantities"]
    now = shared_house().circuits["bench"].at(None, NOON)
    watts = now.voltage * now.current * now.factor
    assert watts == pytest.approx(now.power, abs=1e-6)
    shown = first["values"]
    power = shown["voltage"] * shown["current"] * shown["power_factor"]
    assert power == pytest.approx(now.power, abs=0.5)


async def test_who_does_not_know_the_key_hears_nothing_and_who_does_waits_a_little_after_that(
    bridge: tuple[SimulatedBridge, int],
) -> None:
    stranger = await Host.connect(bridge[1], "Z" * 20)
    assert stranger.signer is None
    assert await stranger.ended()
    begin = asyncio.get_running_loop().time()
    host = await Host.connect(bridge[1])
    assert asyncio.get_running_loop().time() - begin > 0.9
    assert (await host.next())["type"] == "hello"


async def test_a_newer_host_ends_the_older(bridge: tuple[SimulatedBridge, int]) -> None:
    older = await Host.connect(bridge[1])
    await older.next("reading")
    newer = await Host.connect(bridge[1])
    assert (await newer.next())["type"] == "hello"
    assert await older.ended()
    # Its numbers go on.
    assert (await newer.next("reading"))["seq"] > 1


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ({"type": "hello?"}, {"type": "hello", "bridge": BRIDGE}),
        (
            {"type": "command", "id": 7, "control": "identify", "value": None},
            {"type": "ack", "id": 7, "ok": True},
        ),
        (
            {"type": "command", "id": 8, "meter": METER, "control": "relay", "value": 0},
            {"type": "ack", "id": 8, "ok": False, "error": "unknown_control"},
        ),
        ({"type": "config", "id": 9}, {"type": "ack", "ok": False, "error": "unsupported"}),
        (
            {"type": "resend", "boot": 1, "from": 1, "to": 2},
            {"type": "gone", "boot": 1, "from": 1, "to": 2},
        ),
    ],
)
async def test_it_answers_what_it_is_asked(
    bridge: tuple[SimulatedBridge, int], asked: dict[str, Any], answered: dict[str, Any]
) -> None:
    host = await Host.connect(bridge[1])
    await host.next("reading")
    host.send(asked)
    answer = await host.next(answered["type"])
    assert answered.items() <= answer.items()


@pytest.mark.parametrize(
    "line", [b"garbage", b'{"type":"command"}#0000000000000000', b"", b"x" * 100_000]
)
async def test_what_is_not_signed_ends_the_connection_and_nothing_else(
    bridge: tuple[SimulatedBridge, int], line: bytes
) -> None:
    host = await Host.connect(bridge[1])
    await host.next("reading")
    host.writer.write(line + b"\n")
    assert await host.ended()
    again = await Host.connect(bridge[1])
    assert (await again.next())["type"] == "hello"
