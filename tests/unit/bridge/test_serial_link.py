"""A bridge on a real pseudo terminal and on a real socket: the cable pulled, put back, noise, floods."""

import asyncio
from collections.abc import AsyncIterator, Callable
import contextlib
import os
from pathlib import Path
import threading
import time
import tty
from typing import Any

import pytest

from custom_components.energy_meter.sources.base import SourceError
from custom_components.energy_meter.sources.bridge import (
    BridgeSession,
    BridgeSource,
    SerialLink,
    serial_link,
    serial_probe,
)
from tests.support.bridge import SimulatedBridge, SimulatedMeter, relay
from tests.support.bridge_listener import RecordingListener

pytestmark = pytest.mark.usefixtures("socket_enabled")


async def until(condition: Callable[[], Any], seconds: float = 10) -> None:
    """Wait until something is so; the wait is for the system's ports, not for a clock."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 — nobody tells of it.
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(url: str) -> AsyncIterator[tuple[BridgeSource, RecordingListener]]:
    """A source on that port."""
    listener = RecordingListener()
    link = SerialLink(url, 9600)
    session = BridgeSession(
        listener, link.send, clock=lambda: (time.monotonic(), time.time()), name="port"
    )
    source = BridgeSource(link, session)
    await source.start()
    try:
        yield source, listener
    finally:
        await source.stop()


@pytest.fixture
async def bridge() -> AsyncIterator[SimulatedBridge]:
    """A bridge with an oven; not plugged in yet."""
    bridge = SimulatedBridge(meters=[SimulatedMeter(controls=[relay()])])
    yield bridge
    await bridge.close()


@pytest.fixture
def port(tmp_path: Path) -> Path:
    """Where the bridge is plugged in."""
    return tmp_path / "ttyUSB0"


async def test_readings_come_and_commands_go(bridge: SimulatedBridge, port: Path) -> None:
    bridge.plug(port)
    async with running(str(port)) as (source, listener):
        await until(lambda: listener.hellos)
        bridge.measure("oven", {"voltage": 227.5, "energy_import": 1.25})
        await until(lambda: listener.readings)
        assert listener.values("voltage") == [227.5]
        assert await source.command("oven", "relay", 0) == 0
        assert bridge.meters["oven"].controls[0]["value"] == 0
        await until(lambda: not bridge.buffer)
        assert source.health.connected
        assert source.health.errors == 0
        assert source.link.describe() == str(port)
    assert listener.links == [True, False]


async def test_a_pulled_cable_loses_nothing(bridge: SimulatedBridge, port: Path) -> None:
    bridge.plug(port)
    async with running(str(port)) as (source, listener):
        await until(lambda: listener.hellos)
        bridge.measure("oven", {"voltage": 1})
        await until(lambda: listener.values("voltage") == [1])
        bridge.unplug()
        await until(lambda: listener.links == [True, False])
        assert not source.link.connected
        with pytest.raises(SourceError, match="bridge_away"):
            await source.command("oven", "relay", 0)
        bridge.measure("oven", {"voltage": 2})
        bridge.measure("oven", {"voltage": 3})
        bridge.plug(port)
        await until(lambda: listener.values("voltage") == [1, 2, 3])
        assert listener.links == [True, False, True]
        assert source.session.counters.lost == 0


async def test_a_port_that_comes_later_is_found(bridge: SimulatedBridge, port: Path) -> None:
    async with running(str(port)) as (_, listener):
        await until(lambda: listener.troubles)
        assert listener.trouble_keys() == ["cannot_connect"]
        bridge.plug(port)
        await until(lambda: listener.hellos)


async def test_a_stop_while_the_port_is_being_opened_leaves_nothing_behind(
    bridge: SimulatedBridge, port: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = threading.Event()
    system_open = os.open

    def slow_open(path: Any, *arguments: Any) -> int:
        if path == str(port):
            opening.set()
            time.sleep(0.1)
        return system_open(path, *arguments)

    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    for plugged in (False, True):
        if plugged:
            bridge.plug(port)
        opening.clear()
        monkeypatch.setattr(os, "open", slow_open)
        async with running(str(port)):
            await until(opening.is_set)
        monkeypatch.undo()
        await asyncio.sleep(0.2)
    async with running(str(port)) as (_, listener):  # Nobody holds the port.
        await until(lambda: listener.hellos)
    assert told == []


async def test_noise_and_torn_lines_cost_a_count(bridge: SimulatedBridge, port: Path) -> None:
    bridge.plug(port)
    async with running(str(port)) as (source, listener):
        await until(lambda: listener.hellos)
        for noise in (b"\xff\x00\xfe", b'{"Voltage": 2', b"[" * 3000, b"ets Jul 29 2019"):
            bridge.say_raw(noise)
        bridge.measure("oven", {"voltage": 230})
        await until(lambda: listener.readings)
        assert source.session.counters.bad == 4
        assert listener.trouble_keys() == ["bad_line"]


async def test_what_was_begun_before_the_port_was_open_is_nobodys_fault(port: Path) -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    port.symlink_to(os.ttyname(slave))  # noqa: ASYNC240 — a link in a temporary folder.
    os.write(master, b'{"Voltage": 999}\n{"Voltage": 99')
    try:
        async with running(str(port)) as (source, listener):
            await until(lambda: listener.links)
            os.write(master, b'9}\n{"Voltage": 230}\n')
            await until(lambda: listener.readings)
            assert listener.values("voltage") == [230]
            assert source.session.counters.bad == 0
    finally:
        os.close(master)
        os.close(slave)


async def test_a_raw_socket_will_do_and_may_go_away(bridge: SimulatedBridge) -> None:
    port = await bridge.listen()
    async with running(f"socket://127.0.0.1:{port}") as (_, listener):
        await until(lambda: listener.hellos)
        bridge.measure("oven", {"voltage": 1})
        await until(lambda: listener.values("voltage") == [1])
        bridge.cut()
        bridge.measure("oven", {"voltage": 2})
        await until(lambda: listener.values("voltage") == [1, 2])
        assert listener.links == [True, False, True]


async def test_a_connection_over_the_network_that_is_dead_without_a_sign_is_made_anew(
    bridge: SimulatedBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serial_link, "_SILENCE", 0.3)
    monkeypatch.setattr(serial_link, "_INTERVALS_OF_SILENCE", 0)
    port = await bridge.listen()
    async with running(f"socket://127.0.0.1:{port}") as (_, listener):
        await until(lambda: listener.links[:3] == [True, False, True])
    assert bridge.connections >= 2


async def test_a_flood_does_not_hold_up_the_loop(bridge: SimulatedBridge) -> None:
    port = await bridge.listen()
    async with running(f"socket://127.0.0.1:{port}") as (source, listener):
        await until(lambda: listener.hellos)
        assert bridge._host_writer is not None
        bridge._host_writer.write(b"{}\n" * 700_000)
        worst = 0.0
        for _ in range(60):
            began = time.monotonic()
            await asyncio.sleep(0.01)
            worst = max(worst, time.monotonic() - began - 0.01)
        assert source.session.counters.flooded > 0
        assert "flood" in listener.trouble_keys()
        assert worst < 0.2  # Unbounded it would be seconds.


async def test_a_port_that_swallows_everything_does_not_fill_memory(
    bridge: SimulatedBridge, port: Path
) -> None:
    bridge.plug(port)
    async with running(str(port)) as (source, listener):
        await until(lambda: listener.hellos)
        assert bridge._master is not None
        asyncio.get_running_loop().remove_reader(bridge._master)
        for _ in range(3000):
            source.link.send(b"x" * 100)
        assert isinstance(source.link, SerialLink)
        assert source.link._writer is not None
        assert source.link._writer.transport.get_write_buffer_size() < 100_000


async def test_a_probe_finds_a_bridge(bridge: SimulatedBridge, port: Path) -> None:
    bridge.plug(port)
    hello = await serial_probe(str(port), 9600, 5)
    assert (hello.bridge, hello.synthesised) == ("a4cf12d3e4f5", False)
    assert [meter.id for meter in hello.meters] == ["oven"]


async def printing(bridge: SimulatedBridge, lines: list[bytes]) -> None:
    """Print lines again and again, as a board does."""
    while True:
        for line in lines:
            bridge.say_raw(line)
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("lines", "meters"),
    [
        ([b'{"Voltage": 227.5, "Current": 1.42}'], {"main": ("voltage", "current")}),
        (
            [b'{"meter": "a", "V": 230}', b"ready.", b'{"meter": "b", "P": 5}'],
            {"a": ("voltage",), "b": ("power",)},
        ),
        ([b'{"type": "reading", "meter": "x", "values": {"power": 1}}'], {"x": ("power",)}),
    ],
)
async def test_a_probe_finds_what_a_board_shows(
    port: Path, lines: list[bytes], meters: dict[str, tuple[str, ...]]
) -> None:
    board = SimulatedBridge()
    board.greet = lambda: None  # type: ignore[method-assign]
    board.say_hello = lambda: None  # type: ignore[method-assign]
    board.plug(port)
    task = asyncio.create_task(printing(board, lines))
    try:
        hello = await serial_probe(str(port), 9600, 0.6)
    finally:
        task.cancel()
        await board.close()
    assert hello.synthesised
    assert {meter.id: meter.quantities for meter in hello.meters} == meters


@pytest.mark.parametrize(
    ("lines", "key"),
    [
        ([], "bridge_silent"),
        ([b"\xf0\x80\x78\xe0\x1e\x86\xff"], "bridge_not_understood"),
        ([b'{"type":"hello","v":2,"bridge":"a"}'], "bridge_version"),
    ],
)
async def test_a_probe_says_what_is_wrong(port: Path, lines: list[bytes], key: str) -> None:
    board = SimulatedBridge()
    board.mute = True
    board.plug(port)
    task = asyncio.create_task(printing(board, lines))
    try:
        with pytest.raises(SourceError) as caught:
            await serial_probe(str(port), 9600, 0.4)
    finally:
        task.cancel()
        await board.close()
    assert caught.value.key == key


async def test_a_probe_of_a_port_that_is_not_there(port: Path) -> None:
    with pytest.raises(SourceError) as caught:
        await serial_probe(str(port), 9600, 1)
    assert caught.value.key == "bridge_cannot_open"
    assert str(port) in caught.value.placeholders["detail"]


@pytest.mark.parametrize("url", ["socket://nowhere", "socket://127.0.0.1:1", "gopher://x", ""])
async def test_a_probe_of_what_is_no_port(url: str) -> None:
    with pytest.raises(SourceError) as caught:
        await serial_probe(url, 9600, 1)
    assert caught.value.key == "bridge_cannot_open"


async def test_a_probe_of_a_port_that_is_in_use(bridge: SimulatedBridge, port: Path) -> None:
    bridge.plug(port)
    async with running(str(port)) as (_, listener):
        await until(lambda: listener.hellos)
        with pytest.raises(SourceError) as caught:
            await serial_probe(str(port), 9600, 1)
        assert caught.value.key == "bridge_in_use"
