"""The wire between the ESP32's firmware in MicroPython and simulated I²C devices: a socket, one line per transaction.

MicroPython's unix port has no I²C; the stand-in for `machine.I2C` asks here, and waits, as the real one does. Each line
begins with the board's own time, so that the devices live in its time and it may jump. At the other end is what a test
puts there: the monitors of `i2c_monitors`, or the real firmware of monitors in simavr.
"""

import asyncio
from collections.abc import Iterable
import contextlib
import errno
from typing import Any, Protocol, Self

from smbus2 import i2c_msg

from custom_components.energy_meter.sources.simulated.panel import Chip
from tests.support.avr_bench import AvrBench, BenchError
from tests.support.i2c_monitors import EPOCH, FaultyBus

SCL = "22"
"""The pin of the settings' default."""
SLICE = 0.05
"""Seconds of simulated AVRs between two of the machine's pauses."""
PACE = 0.02
"""Seconds of these."""


class Board:
    """The board's time, for devices that live in it."""

    def __init__(self) -> None:
        """Not started."""
        self.seconds = 0.0

    def unix(self) -> float:
        """Unix time of the board, of which it knows nothing itself."""
        return EPOCH + self.seconds


class Backend(Protocol):
    """What is on the wire."""

    def open(self, speed: float) -> None:
        """The controller is set up for a clock in Hz."""

    def transact(self, address: int, written: bytes, read: int) -> tuple[bytes, float]:
        """Carry out a transaction: (what was read, microseconds). Raises OSError."""

    def clocked(self) -> None:
        """SCL rose by hand."""


class Monitors:
    """The devices of `i2c_monitors`."""

    def __init__(self, chips: Iterable[Chip]) -> None:
        """Put them on a bus."""
        self.bus = FaultyBus(chips, stretch=12e-6)
        self.clocks = 0
        """Rising edges of SCL made by hand."""
        self.clocks_to_free: int | None = None
        """After how many of them a slave lets go that holds SDA."""
        self.asked: list[tuple[float, int]] = []
        """(board's bus time, address) of every transaction."""

    def open(self, speed: float) -> None:
        """Note the clock."""
        self.bus.speed = speed

    def transact(self, address: int, written: bytes, read: int) -> tuple[bytes, float]:
        """As smbus2 is asked."""
        before = self.bus.bus_time
        messages = [i2c_msg.write(address, written)] if written else []
        if read:
            messages.append(i2c_msg.read(address, read))
        try:
            self.bus.i2c_rdwr(*messages)
        except OSError as err:
            # What an ESP32's driver says of it.
            err.errno = errno.ENODEV if err.errno == errno.EREMOTEIO else errno.ETIMEDOUT
            err.strerror = str(round((self.bus.bus_time - before) * 1e6))
            raise
        return bytes(messages[-1]) if read else b"", (self.bus.bus_time - before) * 1e6

    def clocked(self) -> None:
        """A slave in the middle of a byte counts."""
        self.clocks += 1
        if self.clocks_to_free is not None and self.clocks >= self.clocks_to_free:
            self.bus.held = self.bus.reads_zero = False


class Avrs:
    """Monitors that run their real firmware in simavr; to be entered, so that their time passes in the background."""

    def __init__(self, bench: AvrBench) -> None:
        """`bench` has been powered up."""
        self._bench = bench
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Let time pass."""
        self._task = asyncio.create_task(self._pass_time())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let it stand still again."""
        self._stop.set()
        if self._task is not None:
            await self._task

    async def _pass_time(self) -> None:
        while not self._stop.is_set():
            await asyncio.to_thread(self._bench.run, SLICE)
            await asyncio.sleep(PACE)

    def open(self, speed: float) -> None:
        """The bench has a clock of its own."""

    def transact(self, address: int, written: bytes, read: int) -> tuple[bytes, float]:
        """On the TWI pins."""
        try:
            done = self._bench.i2c(address, written, read)
        except BenchError as err:
            raise OSError(errno.ENODEV, "110") from err
        return done.data, done.microseconds

    def clocked(self) -> None:
        """Nobody holds SDA here."""


class Wire:
    """Serves one board."""

    def __init__(self, backend: Backend, board: Board) -> None:
        """`board`: its time is kept there."""
        self.backend = backend
        self.board = board
        self.opened = 0
        self.port = 0
        self.paced = False
        """Whether a transaction takes its time for real, and the board with it; else its clock jumps."""
        self._writer: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it, with what is still under way for a board."""
        assert self._server is not None
        self._server.close()
        self.tear()
        if self._serving:
            await asyncio.wait(self._serving)

    def tear(self) -> None:
        """Let the transaction that is under way fail as no driver of a chip does."""
        if self._writer is not None:
            self._writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        with contextlib.suppress(ConnectionError):
            base, last = self.board.seconds, 0.0
            while line := await reader.readline():
                ticks, what, *rest = line.decode().split()
                last = max(last, int(ticks) / 1000)
                self.board.seconds = base + last
                if isinstance(
                    self.backend, Avrs
                ):  # They take their time; the loop has other things to do.
                    answer = await asyncio.to_thread(self._answer, what, rest)
                else:
                    answer = self._answer(what, rest)
                if self.paced:
                    error, spent, data = answer.split()
                    await asyncio.sleep(int(spent) / 1e6)
                    answer = f"{error} 0 {data}"
                writer.write(answer.encode() + b"\n")
        writer.close()

    def _answer(self, what: str, rest: list[str]) -> str:
        if what == "open":
            self.opened += 1
            self.backend.open(float(rest[0]))
        elif what == "pin":
            if rest == [SCL, "1"]:
                self.backend.clocked()
        else:
            address, written, read = int(rest[0]), rest[1], int(rest[2])
            try:
                data, spent = self.backend.transact(
                    address, b"" if written == "-" else bytes.fromhex(written), read
                )
            except OSError as err:
                return f"{err.errno} {err.strerror} -"
            return f"0 {round(spent)} {data.hex() or '-'}"
        return "0 0 -"
