"""One I²C bus of this machine: `/dev/i2c-N` through smbus2, off the event loop, one transaction at a time.

What smbus2 does blocks, so it is done by an executor; never two calls at once. A few transactions go together in
one call, because each way to the executor and back costs more than a short transaction at 400 kHz.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
import contextlib
from dataclasses import dataclass, replace
from enum import StrEnum
import errno
import fcntl
import time
from typing import Final, Protocol

from smbus2 import SMBus, i2c_msg

from .multiplexer import Multiplexers, Segment
from .registers import bus_clocks

AT_ONCE: Final = 8
"""Transactions per call: 50 ms at 100 kHz, which is what a relay may have to wait."""
ATTEMPTS_ON_A_DISTURBED_BUS: Final = 2
"""Disturbed transactions in a row after which a call does not try its others."""
_I2C_RETRIES: Final = 0x0701
_I2C_TIMEOUT: Final = 0x0702
_TIMEOUT: Final = 10
"""10 ms each: how long the kernel waits for a bus that does not move; its own default is a second."""


class Fault(StrEnum):
    """Why a transaction brought nothing."""

    NO_ANSWER = "no_answer"
    """Nobody acknowledged the address, or a byte."""
    DISTURBED = "disturbed"
    """The bus itself: busy, held, arbitration lost, clock stretched for too long."""
    UNREACHABLE = "unreachable"
    """The segment could not be selected."""
    GONE = "gone"
    """There is no such bus (any more), or it may not be used."""


_NO_ANSWER: Final = frozenset({errno.ENXIO, errno.EREMOTEIO})
_GONE: Final = frozenset(
    {errno.ENODEV, errno.ENOENT, errno.EBADF, errno.EACCES, errno.EPERM, errno.ESHUTDOWN}
)


def fault_of(err: OSError) -> Fault:
    """What an error of the kernel's I²C drivers means."""
    if err.errno in _NO_ANSWER:
        return Fault.NO_ANSWER
    return Fault.GONE if err.errno in _GONE else Fault.DISTURBED


class BusObject(Protocol):
    """The little of `smbus2.SMBus` that is used."""

    def i2c_rdwr(self, *i2c_msgs: i2c_msg) -> None:
        """Carry out messages as one combined transaction; raises OSError."""

    def close(self) -> None:
        """Close it."""


type Opener = Callable[[], BusObject]
type Call = Callable[[], Sequence[Answer]]
type Executor = Callable[[Call], Awaitable[Sequence[Answer]]]


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transaction: write (if anything), repeated START, read (if anything)."""

    address: int
    written: bytes = b""
    read: int = 0
    good: Callable[[bytes], bool] | None = None
    """Judges what was read; what is not good is asked for once more at once, before its block is renewed."""

    @property
    def clocks(self) -> int:
        """Clocks on the bus without any stretching."""
        return bus_clocks(self.read, len(self.written))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a transaction brought."""

    data: bytes
    fault: Fault | None
    time: float
    """End of the transaction on the monotonic clock, seconds."""
    again: bool = False
    """Whether it had to be asked for a second time."""


def open_bus(number: int) -> BusObject:
    """Open `/dev/i2c-<number>`; blocks.

    Raises:
        OSError: there is none, or it may not be used.
    """
    bus = SMBus(number)
    # Without retries of the kernel's own: this side knows better which block is worth asking for again.
    assert bus.fd is not None
    for request, value in ((_I2C_RETRIES, 0), (_I2C_TIMEOUT, _TIMEOUT)):
        with contextlib.suppress(OSError):
            fcntl.ioctl(bus.fd, request, value)
    return bus


async def _default_executor(call: Call) -> Sequence[Answer]:
    return await asyncio.get_running_loop().run_in_executor(None, call)


class I2CBus:
    """The queue in front of one bus.

    Args:
        opener: opens the bus; blocks, raises OSError.
        name: for people, `/dev/i2c-1`.
        multiplexers: addresses of the multiplexers on it.
        executor: carries out a blocking call off the event loop.
        clock: seconds of a monotonic clock, also called from the executor.
    """

    def __init__(
        self,
        opener: Opener,
        *,
        name: str,
        multiplexers: Multiplexers | None = None,
        executor: Executor = _default_executor,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Open nothing yet."""
        self.name = name
        self.multiplexers = multiplexers or Multiplexers()
        self.busy_time = 0.0
        """Seconds that transactions have taken so far."""
        self.error: OSError | None = None
        """Why the bus could not be opened last."""
        self._opener = opener
        self._executor = executor
        self._clock = clock or time.monotonic
        self._bus: BusObject | None = None
        self._taken = False
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()

    def describe(self) -> str:
        """Where it is, for logs."""
        return self.name

    @property
    def is_open(self) -> bool:
        """Whether the device is open."""
        return self._bus is not None

    async def open(self) -> bool:
        """Open the device if it is not; return whether it is, else see `error`."""
        if self._bus is None:
            await self._call(self._open, urgent=False)
        return self._bus is not None

    async def close(self) -> None:
        """Close the device, after the transaction that is under way."""
        await self._call(self._close, urgent=False)

    async def run(
        self, segment: Segment | None, transfers: Sequence[Transfer], *, urgent: bool = False
    ) -> Sequence[Answer]:
        """Carry out transactions on a segment, at most `AT_ONCE`.

        Args:
            segment: where; None for the trunk.
            transfers: what.
            urgent: before everything else that waits: a command.

        Returns:
            An answer for each, in order; fewer if the bus is disturbed, so that a held bus does not cost one
            time-out for each of them. At least one.
        """
        return await self._call(lambda: self._work(segment, transfers), urgent=urgent)

    # One call at a time

    async def _call(self, call: Call, *, urgent: bool) -> Sequence[Answer]:
        await self._enter(urgent)
        # A cancelled caller does not end the call: the next one waits until it has ended.
        task = asyncio.ensure_future(self._executor(call))
        task.add_done_callback(self._leave)
        return await asyncio.shield(task)

    async def _enter(self, urgent: bool) -> None:
        if not self._taken:
            self._taken = True
            return
        queue = self._urgent if urgent else self._waiting
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._next()
            elif turn in queue:
                queue.remove(turn)
            raise

    def _leave(self, task: asyncio.Future[Sequence[Answer]]) -> None:
        if not task.cancelled():
            task.exception()  # Somebody who was cancelled does not fetch it.
        self._next()

    def _next(self) -> None:
        for queue in (self._urgent, self._waiting):
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._taken = False

    # In the executor

    def _open(self) -> Sequence[Answer]:
        if self._bus is None:
            try:
                self._bus = self._opener()
            except OSError as err:
                self.error = err
            else:
                self.error = None
        return ()

    def _close(self) -> Sequence[Answer]:
        bus, self._bus = self._bus, None
        self.multiplexers.forget()
        if bus is not None:
            with contextlib.suppress(OSError):
                bus.close()
        return ()

    def _work(self, segment: Segment | None, transfers: Sequence[Transfer]) -> Sequence[Answer]:
        bus = self._bus
        start = self._clock()
        if bus is None:
            return [Answer(b"", Fault.GONE, start)]
        answers: list[Answer] = []
        disturbed = 0
        if not self.multiplexers.select(segment, lambda *step: self._switch(bus, *step)):
            answers.append(Answer(b"", Fault.UNREACHABLE, self._clock()))
            transfers = ()
        for transfer in transfers:
            answer = self._transact(bus, transfer)
            if answer.fault is None and transfer.good and not transfer.good(answer.data):
                answer = replace(self._transact(bus, transfer), again=True)
            answers.append(answer)
            if answer.fault is Fault.GONE:
                break
            disturbed = disturbed + 1 if answer.fault is Fault.DISTURBED else 0
            if disturbed:
                self.multiplexers.forget()
            if disturbed >= ATTEMPTS_ON_A_DISTURBED_BUS:
                break
            if disturbed and segment is not None:
                break  # The segment has to be selected again first.
        self.busy_time += self._clock() - start
        return answers

    def _transact(self, bus: BusObject, transfer: Transfer) -> Answer:
        messages = []
        if transfer.written:
            messages.append(i2c_msg.write(transfer.address, transfer.written))
        if transfer.read:
            messages.append(i2c_msg.read(transfer.address, transfer.read))
        try:
            bus.i2c_rdwr(*messages)
        except OSError as err:
            return Answer(b"", fault_of(err), self._clock())
        return Answer(bytes(messages[-1]) if transfer.read else b"", None, self._clock())

    def _switch(self, bus: BusObject, address: int, register: int) -> int | None:
        answer = self._transact(bus, Transfer(address, bytes((register,)), 1))
        return answer.data[0] if answer.fault is None else None
