"""A hub of the ESP32's firmware on a simulated bus, and a host that keeps what it says."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
import json
from pathlib import Path
from typing import Any

from custom_components.energy_meter.sources.bridge.protocol import Readings, parse_line
from custom_components.energy_meter.sources.simulated.panel import (
    Chip,
    SimulatedMonitor,
    simulated_panel,
)
from tests.firmware.esp32.counterparts import TcpHost, until
from tests.support.esp32 import Board, free_port, settings
from tests.support.i2c_monitors import FaultyBus
from tests.support.i2c_wire import Board as BoardTime, Monitors, Wire


def id_of(monitor: SimulatedMonitor) -> str:
    """What everybody calls it."""
    return f"{monitor.id:016x}"


@dataclass
class Row:
    """One circuit in a `readings` message."""

    seq: int
    meter: str
    values: dict[str, Any]
    flags: frozenset[str]
    start: int | None
    second: float
    """The board's time when the message came."""


@dataclass
class Hub:
    """A hub that runs."""

    board: Board
    wire: Wire
    monitors: list[SimulatedMonitor]
    port: int
    messages: list[dict[str, Any]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    """Bytes of each `readings` message."""
    hello_size: int = 0
    """Bytes of the last hello."""
    host: TcpHost | None = None
    _reader: asyncio.Task[None] | None = None
    _requests: int = 0

    @property
    def bus(self) -> FaultyBus:
        """What can be disturbed."""
        assert isinstance(self.wire.backend, Monitors)
        return self.wire.backend.bus

    async def connect(self) -> None:
        """Be its host."""
        self.host = await TcpHost.connect(self.port)
        self._reader = asyncio.create_task(self._read(self.host))
        await self.host.say({"type": "hello?"})

    async def disconnect(self) -> None:
        """Go away."""
        if self._reader is not None:
            self._reader.cancel()
            with suppress(asyncio.CancelledError):
                await self._reader
        if self.host is not None:
            self.host.writer.close()
        self.host = self._reader = None

    async def _read(self, host: TcpHost) -> None:
        with suppress(EOFError, ConnectionError):
            while True:
                line = await host.reader.readline()
                if not line.endswith(b"\n"):
                    return  # The connection has ended, perhaps in the middle of a line.
                body = host.signer.check(line[:-1])
                assert body is not None, line
                self._keep(body)

    def _keep(self, line: bytes) -> None:
        message = json.loads(line)
        self.messages.append(message)
        if message["type"] == "hello":
            self.hello_size = len(line)
        parsed, _ = parse_line(line)  # Home Assistant's own parser understands every line.
        if message["type"] == "readings":
            assert isinstance(parsed, Readings)
            assert parsed.refused == ()
            self.sizes.append(len(line))
            self.rows += [
                Row(
                    one.seq or 0,
                    one.meter,
                    dict(one.values),
                    one.flags,
                    one.start,
                    self.wire.board.seconds,
                )
                for one in parsed.readings
            ]

    async def passes(self, seconds: int) -> dict[str, Any]:
        """So much of the board's time passes, and everything that it said has come; what the board knows."""
        look: dict[str, Any] = {}
        for done in range(0, seconds, 20):
            look = await self.board.do("pass", seconds=min(20, seconds - done))
            if self.host is not None:
                await until(lambda seq=look["seq"]: self.seq >= seq)  # type: ignore[misc]
                await self.host.say({"type": "ack", "boot": look["boot"], "seq": self.seq})
        return look

    @property
    def seq(self) -> int:
        """The last number that came."""
        last = 0
        for message in reversed(self.messages):
            if "seq" in message:
                last = message["seq"] + len(message.get("rows", "x")) - 1
                break
        return last

    async def ask(self, **message: Any) -> dict[str, Any]:
        """A request, and its answer."""
        assert self.host is not None
        self._requests += 1
        await self.host.say({"id": self._requests, **message})
        answers: list[dict[str, Any]] = []

        def answered() -> bool:
            answers[:] = [
                one for one in self.messages if one["type"] == "ack" and one["id"] == self._requests
            ]
            return bool(answers)

        await until(answered)
        return answers[0]

    async def command(
        self, monitor: SimulatedMonitor, control: str, value: float | None = None
    ) -> dict[str, Any]:
        """A command to a monitor, and its answer."""
        return await self.ask(type="command", meter=id_of(monitor), control=control, value=value)

    def of(self, monitor: SimulatedMonitor) -> list[Row]:
        """The rows of one monitor."""
        return [row for row in self.rows if row.meter == id_of(monitor)]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of a name."""
        return [one for one in self.messages if one["type"] == "event" and one["event"] == name]

    @property
    def hello(self) -> dict[str, Any]:
        """The last hello."""
        return [one for one in self.messages if one["type"] == "hello"][-1]

    @property
    def present(self) -> set[str]:
        """Who is there, by the last hello."""
        return {meter["id"] for meter in self.hello["meters"]}

    @property
    def problems(self) -> dict[str, Any]:
        """What is wrong, by the last health."""
        found = [one for one in self.messages if one["type"] == "health"]
        return dict(found[-1]["problems"]) if found else {}

    def forget(self) -> None:
        """Begin to count anew; the last numbered message stays, to know its number."""
        self.rows.clear()
        last = [one for one in self.messages if "seq" in one][-1:]
        self.messages[:] = [one for one in self.messages if one["type"] in ("hello", "health")]
        self.messages += last


@asynccontextmanager
async def hub(
    folder: Path,
    count: int = 3,
    *,
    arrange: Callable[[list[SimulatedMonitor]], Sequence[Chip]] = list,
    connected: bool = True,
    heap: str = "2m",
    i2c: dict[str, Any] | None = None,
    uart_files: dict[int, str] | None = None,
    **changes: Any,
) -> AsyncIterator[Hub]:
    """A hub on a bus with `count` monitors, and its host."""
    time = BoardTime()
    monitors = simulated_panel(count, clock=time.unix)
    port = free_port()
    config = settings(
        **{
            "tcp": {"on": True, "port": port},
            "uarts": [],
            "i2c": {"on": True, **(i2c or {})},
            **changes,
        }
    )
    async with Wire(Monitors(arrange(monitors)), time) as wire:
        board = Board(folder, config, uart_files or {}, wire=wire.port)
        one = Hub(board, wire, monitors, port)
        try:
            await board.start(heap=heap)
            if connected:
                await one.connect()
                look = await one.passes(2)
                while look["hub"] and look["hub"]["rounds"] < 2:
                    look = await one.passes(1)
            yield one
        finally:
            await one.disconnect()
            await board.cut_power()
