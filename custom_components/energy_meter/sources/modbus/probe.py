"""Asking one address of a line whether anybody is there, without ever writing.

A search needs no meter that is known: any frame with the asked address in it is a sign of life, be it
values or a refusal. How long to wait is worked out from the line's speed, since a search of 247
addresses is almost nothing but waiting for those that do not exist.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
import errno
from types import TracebackType
from typing import Any, Final, Protocol, Self

from modbus_connection import (
    GatewayPathUnavailableError,
    GatewayTargetError,
    ModbusConnectionError,
    ModbusExceptionError,
    ModbusProtocolError,
    ModbusTimeoutError,
    ModbusUnit,
)
from tmodbus.exceptions import CRCError, RTUFrameError

from .profile import Table
from .timing import LineTiming, within


class ProbeChannel(Protocol):
    """A line that takes single requests: a running `ModbusLine`, or a `TemporaryChannel`."""

    async def request[T](
        self,
        unit_id: int,
        operation: Callable[[ModbusUnit], Coroutine[Any, Any, T]],
        *,
        timeout: float | None = None,
        urgent: bool = False,
    ) -> T:
        """Carry out an operation on one unit when the line is free.

        Args:
            unit_id: address to ask.
            operation: what to do with the unit; one request.
            timeout: seconds for the request, not counting the wait for the line.
            urgent: whether it goes before waiting polls.

        Raises:
            TimeoutError: no answer.
            ModbusError: a refusal, a frame that cannot be used, or a link that is down.
        """


class TemporaryChannel:
    """A line borrowed for a while, as in a configuration flow; a context manager.

    Args:
        borrow: lends one unit, as `homeassistant.components.modbus.async_get_temporary_unit` does
            with its first two arguments filled in. Units are given back when the context ends.
    """

    def __init__(self, borrow: Callable[[int], AbstractAsyncContextManager[ModbusUnit]]) -> None:
        """Take the lender; nothing is opened before the first request."""
        self._borrow = borrow
        self._units: dict[int, ModbusUnit] = {}
        self._stack = AsyncExitStack()
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Begin; opens nothing."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give all units back; the link closes with its last user."""
        self._units.clear()
        await self._stack.aclose()

    async def request[T](
        self,
        unit_id: int,
        operation: Callable[[ModbusUnit], Coroutine[Any, Any, T]],
        *,
        timeout: float | None = None,
        urgent: bool = False,
    ) -> T:
        """Carry out an operation; see `ProbeChannel`. Opening the port is not counted either."""
        async with self._turn:
            unit = self._units.get(unit_id)
            if unit is None:
                unit = await self._stack.enter_async_context(self._borrow(unit_id))
                self._units[unit_id] = unit
            if unit.connected:
                try:
                    return await within(operation(unit), timeout)
                except TimeoutError:
                    raise
                except OSError as err:
                    # A port that breaks while it is written to.
                    raise ModbusConnectionError(str(err)) from err
            return await _when_free(unit, operation, timeout)

    async def recycle(self) -> None:
        """Close the link; the next request opens it again.

        tmodbus keeps in mind which units did not answer, to recognise their late answers. After many of
        them, damaged bytes easily look like the beginning of one, and swallow what comes next.
        """
        async with self._turn:
            for unit in self._units.values():
                await unit.disconnect()
                return


async def _when_free[T](
    unit: ModbusUnit,
    operation: Callable[[ModbusUnit], Coroutine[Any, Any, T]],
    timeout: float | None,
) -> T:
    """Ask over a link that has to be opened first, and may be about to be closed by its last user.

    serialx gives a port back some time after it was closed, with nobody waiting for that.
    """
    loop = asyncio.get_running_loop()
    patience = loop.time() + _CLOSING
    while True:
        try:
            return await _open_and_ask(unit, operation, timeout)
        except ModbusConnectionError as err:
            if loop.time() >= patience or not _is_busy(err):
                raise
        await asyncio.sleep(_OPEN_POLL)


def _is_busy(err: BaseException | None) -> bool:
    while err is not None:
        if isinstance(err, OSError) and err.errno == errno.EBUSY:
            return True
        err = err.__cause__
    return False


async def _open_and_ask[T](
    unit: ModbusUnit,
    operation: Callable[[ModbusUnit], Coroutine[Any, Any, T]],
    timeout: float | None,
) -> T:
    """Ask over a link that has to be opened first, counting from when it is open."""
    async with asyncio.timeout(None) as limit:

        async def start_clock() -> None:
            while not unit.connected:  # noqa: ASYNC110 - a unit tells no one when its link opens
                await asyncio.sleep(_OPEN_POLL)
            if timeout is not None:
                limit.reschedule(asyncio.get_running_loop().time() + timeout)

        clock = asyncio.create_task(start_clock())
        asked = asyncio.create_task(operation(unit))
        try:
            await asyncio.wait({asked})
            return asked.result()
        except asyncio.CancelledError:
            # A link that is closed while it opens fails with nobody left to tell, which asyncio logs.
            while not unit.connected and not asked.done():  # noqa: ASYNC110 - as above
                await asyncio.sleep(_OPEN_POLL)
            asked.cancel()
            await asyncio.wait({asked})
            raise
        except ModbusTimeoutError as err:
            if unit.connected:
                raise
            # The port itself did not open; that is no silent meter.
            raise ModbusConnectionError(str(err)) from err
        finally:
            clock.cancel()


_OPEN_POLL: Final = 0.005
_CLOSING: Final = 1.0
"""Seconds within which a port that was closed is free again."""


class Question(Enum):
    """A read that any meter answers, if only with a refusal.

    Of two registers, since some meters know 32-bit values only.
    """

    HOLDING = "holding"
    INPUT = "input"

    @property
    def other(self) -> Question:
        """The read of the other table."""
        return Question.INPUT if self is Question.HOLDING else Question.HOLDING

    async def ask(self, unit: ModbusUnit) -> list[int]:
        """Send it."""
        if self is Question.HOLDING:
            return await unit.read_holding_registers(0, 2)
        return await unit.read_input_registers(0, 2)


class Sign(StrEnum):
    """What came back from an address."""

    ANSWER = "answer"
    """Registers, or a refusal that only a present meter gives."""
    UNCLEAR = "unclear"
    """Bytes that make no frame: two meters with one address, noise, or the wrong line settings."""
    DOUBTFUL = "doubtful"
    """A refusal that some gateways give in the name of a meter that is not there."""
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Sighting:
    """One address, asked once."""

    unit_id: int
    sign: Sign
    answer_time: float
    """Seconds from the request's turn to its end; 0 where the link had to be opened first."""


_DOUBTFUL_CODES: Final = (4, 5, 6)
"""Device failure, acknowledge, busy: what gateways say that know no better."""


async def look(
    channel: ProbeChannel,
    unit_id: int,
    question: Question,
    timeout: float,
    *,
    gateway: bool = False,
) -> Sighting:
    """Ask one address and judge what comes back.

    Args:
        channel: the line.
        unit_id: address to ask.
        question: the read to send.
        timeout: seconds to wait for a whole answer.
        gateway: whether something between us and the meter may refuse in its name.

    Raises:
        ModbusConnectionError: the link is down.
    """
    clock = asyncio.get_running_loop().time
    started: float | None = None

    def sighting(sign: Sign) -> Sighting:
        return Sighting(unit_id, sign, 0.0 if started is None else clock() - started)

    async def operation(unit: ModbusUnit) -> list[int]:
        nonlocal started
        started = clock() if unit.connected else None
        return await question.ask(unit)

    try:
        await channel.request(unit_id, operation, timeout=timeout)
    except TimeoutError:
        return sighting(Sign.NOTHING)
    except GatewayPathUnavailableError, GatewayTargetError:
        return sighting(Sign.NOTHING)
    except ModbusExceptionError as err:
        if gateway and err.exception_code in _DOUBTFUL_CODES:
            return sighting(Sign.DOUBTFUL)
        return sighting(Sign.ANSWER)
    except ModbusProtocolError as err:
        return sighting(Sign.UNCLEAR if is_garbled(err) else Sign.ANSWER)
    return sighting(Sign.ANSWER)


def is_garbled(err: ModbusProtocolError) -> bool:
    """Return whether bytes were damaged, and not merely other than asked for."""
    return isinstance(err.__cause__, CRCError | RTUFrameError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for an answer on one line, seconds, counted from the request's turn."""

    fast: float
    """For an address that probably is not there."""
    likely: float
    """For an address that meters leave the factory with."""
    slow: float
    """For a second look, when nothing else was found."""
    value: float
    """For reading values from a meter that is there, before its answer time is known."""

    @classmethod
    def serial(cls, timing: LineTiming, *, latency: float = 0.0) -> Patience:
        """Patience on an RTU line.

        The least time for an answer is the silence before the request, the request and an answer of
        two registers; what is left for the meter's turn-around is the choice made here.

        Args:
            timing: of the line.
            latency: of what carries it, seconds both ways together.
        """
        # tmodbus counts 11 bits per character whatever the settings: up to 4 % more silence.
        wire = 1.1 * timing.silence + timing.frames(Table.HOLDING, 2) + latency
        return cls(
            fast=wire + _TURNAROUND_FAST,
            likely=wire + _TURNAROUND_LIKELY,
            slow=wire + _TURNAROUND_SLOW,
            value=wire + timing.frames(Table.HOLDING, 32) + _TURNAROUND_SLOW,
        )

    @classmethod
    def network(cls) -> Patience:
        """Patience with gateways, which wait for their own meter before they say that it is not there."""
        return cls(fast=0.5, likely=1.5, slow=3.0, value=3.0)

    def learned(self, answer_time: float) -> Patience:
        """The patience beside a meter that answers so late: lines tend to hold meters of one kind."""
        if answer_time <= self.fast:
            return self
        return replace(
            self,
            fast=min(1.3 * answer_time, self.slow),
            likely=min(max(self.likely, 1.5 * answer_time), self.slow),
        )


_TURNAROUND_FAST: Final = 0.025
"""Most meters begin to answer within 25 ms; the slower ones are found in the other looks."""
_TURNAROUND_LIKELY: Final = 0.09
_TURNAROUND_SLOW: Final = 1.0
