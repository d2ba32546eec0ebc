"""The simulated hub says of its circuits what the document wants of a hub."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
import json
from typing import Any

import pytest

from custom_components.energy_meter.sources.bridge.protocol import (
    MAX_LINE,
    HelloMessage,
    parse_line,
)
from custom_components.energy_meter.sources.bridge.waveform import parse_waveform
from custom_components.energy_meter.sources.simulated.hub import DIGITS, SimulatedHub
from custom_components.energy_meter.sources.simulated.panel import SimulatedMonitor

from .test_bridge import KEY, Host

pytestmark = pytest.mark.usefixtures("socket_enabled")


@asynccontextmanager
async def connected(circuits: int) -> AsyncIterator[tuple[SimulatedHub, Host]]:
    hub = SimulatedHub(circuits, KEY, interval=0.2)
    port = await hub.start()
    try:
        host = await Host.connect(port, bridge=hub.bridge_id)
        try:
            yield hub, host
        finally:
            host.writer.close()
    finally:
        await hub.stop()


async def said(host: Host, circuits: int) -> dict[str, Any]:
    """The hello that tells of so many."""
    while len((hello := await host.next("hello"))["meters"]) < circuits:
        pass
    return hello


async def answer(host: Host, **command: Any) -> dict[str, Any]:
    host.send({"type": "command", "id": 5, **command})
    return await host.next("ack")


async def test_a_hundred_circuits_fit_one_hello_and_one_message_of_eleven_thousand_bytes() -> None:
    async with connected(100) as (_, host):
        hello = await said(host, 100)
        line = json.dumps(hello, separators=(",", ":"), ensure_ascii=False).encode()
        assert len(line) < MAX_LINE
        message, _ = parse_line(line)
        assert isinstance(message, HelloMessage) and message.hello is not None
        assert {meter.quantities for meter in message.hello.meters} == {
            message.hello.meters[0].quantities
        }
        relays = [
            meter.id
            for meter in message.hello.meters
            if "relay" in {control.key for control in meter.controls}
        ]
        assert len(relays) == 1
        while len((round_ := await host.next("readings"))["rows"]) < 100:
            pass
        assert round_["columns"] == ["meter", *DIGITS, "start", "flags"]
        assert len(json.dumps(round_, separators=(",", ":")).encode()) <= 11_000


async def test_numbers_rise_by_one_with_every_row_and_event() -> None:
    async with connected(3) as (_, host):
        last = None
        for _ in range(12):
            message = await host.next()
            if "seq" not in message:
                continue
            if last is not None:
                assert message["seq"] == last + 1
            last = message["seq"] + len(message.get("rows", [0])) - 1


async def test_commands_are_carried_out_by_the_monitor_and_read_back() -> None:
    async with connected(6) as (hub, host):
        hello = await said(host, 6)
        first, pump = hello["meters"][0]["id"], hello["meters"][5]["id"]
        done = await answer(host, meter=first, control="voltage_gain", value=1.01)
        assert done == {"type": "ack", "id": 5, "ok": True, "value": 1.01}
        assert (await answer(host, meter=pump, control="relay", value=0))["value"] == 0
        refused = await answer(host, meter=first, control="relay", value=0)
        assert (refused["ok"], refused["error"]) == (False, "unknown_control")
        monitor = hub.chips[5]
        assert isinstance(monitor, SimulatedMonitor) and monitor.relay == 0


async def test_a_waveform_is_answered_as_counts() -> None:
    async with connected(2) as (hub, host):
        hello = await said(host, 2)
        done = await answer(host, meter=hello["meters"][0]["id"], control="capture", value=2)
        wave = parse_waveform(done["value"], 2)
        monitor = hub.chips[0]
        assert isinstance(monitor, SimulatedMonitor)
        assert wave.cycles == 2
        assert wave.voltage.rms == pytest.approx(
            monitor.circuit.at(monitor._clock()).voltage, abs=3
        )


async def test_what_is_wrong_with_the_bus_is_said_at_once_and_taken_back() -> None:
    async with connected(3) as (hub, host):
        await said(host, 3)
        first = hub.chips[0].address
        hub.chips[1].address = first
        async with asyncio.timeout(20):
            while not (problems := (await host.next("health"))["problems"]):
                pass
        assert problems == {"address_shared": [f"0x{first:02X}"]}
        hub.chips[1].address = 0x44
        async with asyncio.timeout(40):
            while (await host.next("health", patience=35))["problems"]:
                pass


async def test_a_restart_is_answered_and_then_everything_begins_anew() -> None:
    async with connected(2) as (hub, host):
        before = (await said(host, 2))["boot"]
        assert (await answer(host, control="restart"))["ok"]
        assert await host.ended()
        again = await Host.connect(hub.port, bridge=hub.bridge_id)
        assert (await again.next("hello"))["boot"] == before + 1
        assert (await again.next("readings"))["seq"] == 1
        again.writer.close()
