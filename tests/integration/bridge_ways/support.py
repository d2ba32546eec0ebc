"""Boards and flows for the tests of the ways in."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
import json
import os
from pathlib import Path
import termios
import tty
from typing import Any, Self

from homeassistant.config_entries import SOURCE_REAUTH, ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import entity_registry as er
import pytest

from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.flows import bridge, bridge_mqtt, bridge_serial
from tests.integration.flow_support import Flow
from tests.integration.runtime_support import until
from tests.support.bridge import SimulatedBridge, SimulatedMeter

KEY = "ABCDEFGHJKLMNPQRSTUV"
SPEEDS = {getattr(termios, f"B{speed}"): speed for speed in (4800, 9600, 19200, 57600, 115200)}
_INPUT_SPEED = 4
"""Where `termios.tcgetattr` has it."""


@contextmanager
def impatient() -> Iterator[None]:
    """Flows that listen for as long as a board of these tests needs, not one of flesh and blood."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bridge_serial, "_LISTEN", 1.0)
        patch.setattr(bridge_serial, "_LISTEN_ELSEWHERE", 0.6)
        patch.setattr(bridge_mqtt, "_LISTEN", 2.0)
        patch.setattr(bridge, "VALUES_PATIENCE", 1.0)
        yield


class PrintingBoard:
    """An Arduino that prints a line every now and then at its speed, whether anybody listens or not.

    A pseudo terminal carries everything at any speed; this one hands out what a UART would make of it.
    """

    def __init__(self, line: bytes, *, baudrate: int = 9600, every: float = 0.1) -> None:
        """Choose what is printed, and how fast."""
        self.line = line
        self.baudrate = baudrate
        self._every = every
        self._near, self._far = os.openpty()
        tty.setraw(self._far)
        os.set_blocking(self._near, False)
        self.path = os.ttyname(self._far)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Plug it in."""
        self._task = asyncio.create_task(self._print())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Pull the cable."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait({self._task})
        os.close(self._near)
        os.close(self._far)

    async def _print(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            speed = SPEEDS.get(termios.tcgetattr(self._near)[_INPUT_SPEED])
            text = self.line + b"\r\n"
            if self.line and speed != self.baudrate:
                text = bytes(byte * 37 % 251 | 0x80 for byte in text[: len(text) // 2])
            try:
                os.write(self._near, text if self.line else b"")
            except BlockingIOError:
                # Nobody reads, and a UART does not wait either.
                termios.tcflush(self._far, termios.TCIFLUSH)


def oven(quantities: Sequence[str] = ("voltage", "current", "power")) -> SimulatedMeter:
    """The meter that most bridges of these tests have."""
    return SimulatedMeter(id="oven", name="Oven", quantities=quantities)


@asynccontextmanager
async def measuring(board: SimulatedBridge, every: float = 0.1) -> AsyncIterator[None]:
    """Have a bridge measure all the time."""

    async def measure() -> None:
        while True:
            board.measure("oven", {"voltage": 230.4, "current": 2.5, "power": 570.0})
            await asyncio.sleep(every)

    task = asyncio.create_task(measure())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


@asynccontextmanager
async def plugged(board: SimulatedBridge, port: Path) -> AsyncIterator[None]:
    """Have a bridge on a serial port, unless a test pulls it."""
    board.plug(port)
    try:
        yield
    finally:
        await board.close()
        await asyncio.sleep(0.02)  # It looks now and then whether somebody has opened its port.


async def choose_way(hass: HomeAssistant, way: str) -> Flow:
    """Add a bridge, as far as the form of its way."""
    flow = await Flow.first(hass)
    await flow.choose("bridge")
    return await flow.choose(f"bridge_{way}")


async def reauthenticated(hass: HomeAssistant, entry: ConfigEntry) -> Flow:
    """Begin to ask for a key again, as the runtime does."""
    manager = hass.config_entries.flow
    result = await manager.async_init(
        DOMAIN,
        context={"source": SOURCE_REAUTH, "entry_id": entry.entry_id},
        data=dict(entry.data),
    )
    return Flow(hass, manager, result)


async def heard(flow: Flow) -> str:
    """What the flow has heard in the end."""
    await flow.wait()
    assert flow.step == "bridge_heard", flow.result
    return flow.placeholders["heard"]


def created(flow: Flow) -> ConfigEntry:
    """The entry that the flow has made."""
    assert flow.kind is FlowResultType.CREATE_ENTRY, flow.result
    entry: ConfigEntry = flow.result["result"]
    return entry


def value(hass: HomeAssistant, key: str, meter: str, bridge_id: str) -> str | None:
    """What an entity of a bridge's meter shows; None while there is none."""
    found = er.async_get(hass).async_get_entity_id("sensor", DOMAIN, f"{bridge_id}_{meter}_{key}")
    state = hass.states.get(found) if found else None
    return state.state if state else None


async def shows(hass: HomeAssistant, key: str, expected: float, meter: str, bridge_id: str) -> None:
    """Wait until an entity shows this number."""

    def there() -> bool:
        try:
            return abs(float(value(hass, key, meter, bridge_id) or "nan") - expected) < 1e-6
        except ValueError:
            return False

    await until(there)


async def gone(hass: HomeAssistant, key: str, meter: str, bridge_id: str) -> None:
    """Wait until an entity is unavailable."""
    await until(lambda: value(hass, key, meter, bridge_id) == "unavailable")


def lines(text: bytes) -> list[dict[str, Any]]:
    """The messages in an answer."""
    return [json.loads(line) for line in text.splitlines() if line]


@asynccontextmanager
async def unloaded(hass: HomeAssistant) -> AsyncIterator[None]:
    """See to it that no entry outlives the board that it listens to."""
    try:
        yield
    finally:
        for entry in hass.config_entries.async_entries(DOMAIN):
            if entry.state.recoverable:
                await hass.config_entries.async_unload(entry.entry_id)
        await hass.async_block_till_done()
