"""A bridge as a source: start, stop, the clock that drives its session."""

import asyncio
from typing import override

import pytest

from custom_components.energy_meter.sources.base import SourceError
from custom_components.energy_meter.sources.bridge import BridgeLink, BridgeSession, BridgeSource
from tests.support.bridge import SimulatedBridge, SimulatedMeter, relay
from tests.support.bridge_listener import RecordingListener
from tests.support.virtual_time import run_virtual


class CallLink(BridgeLink):
    """A link made of calls."""

    def __init__(self, bridge: SimulatedBridge) -> None:
        self.bridge = bridge
        self.up = False

    @override
    async def start(self, session: BridgeSession) -> None:
        self.up = True
        session.connected(greets=True)
        self.bridge.attach(session.feed)

    @override
    async def stop(self) -> None:
        self.up = False
        self.bridge.detach()

    @override
    def send(self, line: bytes) -> None:
        asyncio.get_running_loop().call_soon(self.bridge.hear, line + b"\n")

    @property
    @override
    def connected(self) -> bool:
        return self.up

    @override
    def describe(self) -> str:
        return "calls"


def source_of(bridge: SimulatedBridge, listener: RecordingListener) -> BridgeSource:
    loop = asyncio.get_running_loop()
    link = CallLink(bridge)
    return BridgeSource(
        link, BridgeSession(listener, link.send, clock=lambda: (loop.time(), 1.8e9))
    )


def test_a_source_acknowledges_without_being_asked() -> None:
    async def run() -> tuple[SimulatedBridge, RecordingListener]:
        bridge, listener = SimulatedBridge(meters=[SimulatedMeter()]), RecordingListener()
        source = source_of(bridge, listener)
        await source.start()
        bridge.measure("oven", {"voltage": 1}, ago=0)
        await asyncio.sleep(1.5)
        assert source.health.connected
        assert source.health.requests == 2
        await source.stop()
        assert not source.health.connected
        return bridge, listener

    bridge, listener = run_virtual(run())
    assert bridge.acknowledged == {1: 1}
    assert listener.links == [True, False]


def test_commands_go_to_a_meter_or_to_the_bridge() -> None:
    async def run() -> list[object]:
        bridge = SimulatedBridge(meters=[SimulatedMeter(controls=[relay()])])
        source = source_of(bridge, RecordingListener())
        await source.start()
        values: list[object] = [
            await source.command("oven", "relay", 0),
            await source.command(None, "identify", None),
        ]
        source.remove_meter("oven")
        with pytest.raises(SourceError, match="bridge_unknown_control"):
            await source.command("oven", "lever", 1)
        await source.stop()
        return values

    assert run_virtual(run()) == [0, None]


def test_a_fault_above_does_not_stop_the_clock(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> SimulatedBridge:
        bridge = SimulatedBridge(meters=[SimulatedMeter()])
        listener = RecordingListener()
        source = source_of(bridge, listener)
        await source.start()
        for number in range(3):
            bridge.lose = lambda message, number=number: number == 1  # type: ignore[misc]
            bridge.measure("oven", {"voltage": number})
            if not number:
                bridge.buffer.clear()
        listener.on_reading = None  # type: ignore[method-assign, assignment]
        bridge.mute = True
        await asyncio.sleep(15)  # What waits is given up within, and nobody can be told.
        del listener.on_reading
        bridge.mute = False
        bridge.measure("oven", {"voltage": 4})
        await asyncio.sleep(1.5)
        await source.stop()
        return bridge

    bridge = run_virtual(run())
    assert bridge.acknowledged[1] == 4
    assert "its clock goes on" in caplog.text
