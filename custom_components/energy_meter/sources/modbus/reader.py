"""Reading single registers of one meter that nobody has set up: each span once, then from memory."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from modbus_connection import (
    ModbusConnectionError,
    ModbusError,
    ModbusExceptionError,
    ModbusProtocolError,
    ModbusUnit,
)

from ...model import Value
from .codec import MissingRegisters, RegisterImage, decode
from .probe import ProbeChannel, Question, Sign, look
from .profile import Order, Register, Span, Table
from .wide_registers import wide_words

type _Operation[T] = Callable[[ModbusUnit], Coroutine[Any, Any, T]]

_LEAST_TIMEOUT: Final = 0.15
_TIMEOUT_PER_ANSWER: Final = 5.0
_SILENCES_BEFORE_CHECKING: Final = 4
"""Unanswered requests in a row after which the meter is asked whether it is there at all."""


class MeterLost(Exception):
    """The meter has stopped answering altogether."""


class MeterReader:
    """One unit's registers, each span read at most once.

    A span that the meter refused, or did not answer, counts as read and missing. The time-out follows
    the answers: a meter that ignores what it does not know would otherwise cost a second each.
    """

    def __init__(self, channel: ProbeChannel, unit_id: int, *, timeout: float) -> None:
        """Take the line; nothing is read yet.

        Args:
            channel: the line.
            unit_id: address of the meter.
            timeout: seconds for an answer, as long as none is known.
        """
        self.channel = channel
        self.unit_id = unit_id
        self._image = RegisterImage()
        self._wide = RegisterImage()
        """What came with four bytes per register, see `Profile.wide_registers`."""
        self.reads = 0
        """Requests sent."""
        self._timeout = timeout
        self._slowest: float | None = None
        self._missing: set[Span] = set()
        self._words: dict[Span, list[int]] = {}
        self._texts: dict[str, str | None] = {}
        self._silences = 0

    async def words(self, span: Span) -> list[int] | None:
        """Return a span's words, asked for as exactly this span; None if the meter does not give them.

        Raises:
            ModbusConnectionError: the link is down.
            MeterLost: the meter has stopped answering.
        """
        if span in self._words:
            return self._words[span]
        if span in self._missing:
            return None
        words = await self._request(span)
        if words is None or len(words) != span.count:
            self._missing.add(span)
            return None
        self._words[span] = words
        self._image.set(span, words)
        return words

    async def value(
        self, register: Register, *, word_order: Order | None = None, wide: bool = False
    ) -> Value | str:
        """Return a register's value, its factor and sign read as well; None if there is none.

        Args:
            register: what to read.
            word_order: instead of the register's own.
            wide: whether the meter is one with four bytes per register.

        Raises:
            ModbusConnectionError: the link is down.
            MeterLost: the meter has stopped answering.
        """
        if not await self.obtain(register, wide=wide):
            return None
        try:
            return decode(register, self._wide if wide else self._image, word_order=word_order)
        except MissingRegisters:
            return None

    async def obtain(self, register: Register, *, wide: bool = False) -> bool:
        """Read all that a register's value needs; return whether the meter gave it."""
        image = self._wide if wide else self._image
        for span in _spans(register):
            if register.alone or not image.has(span):
                await self.words(span)
            if not image.has(span):
                return False
        return True

    async def text(self, function: str) -> str | None:
        """Return what a standard identification function says, its parts joined; None if nothing.

        Args:
            function: `report_server_id` or `device_identification`.
        """
        if function not in self._texts:

            async def ask(unit: ModbusUnit) -> str:
                if function == "report_server_id":
                    return (await unit.report_server_id()).decode("latin-1")
                objects = await unit.read_device_identification()
                return " ".join(objects[key].decode("latin-1") for key in sorted(objects))

            self._texts[function] = await self._send(ask)
        return self._texts[function]

    async def _request(self, span: Span) -> list[int] | None:
        async def read(unit: ModbusUnit) -> list[int]:
            try:
                return await read_plainly(unit)
            except ModbusProtocolError as err:
                wide = wide_words(err, span.count)
                if wide is None:
                    raise
                self._wide.set(span, wide)
                return []

        async def read_plainly(unit: ModbusUnit) -> list[int]:
            match span.table:
                case Table.HOLDING:
                    return await unit.read_holding_registers(span.address, span.count)
                case Table.INPUT:
                    return await unit.read_input_registers(span.address, span.count)
                case Table.COIL:
                    return [int(bit) for bit in await unit.read_coils(span.address, span.count)]
                case Table.DISCRETE:
                    bits = await unit.read_discrete_inputs(span.address, span.count)
                    return [int(bit) for bit in bits]

        return await self._send(read)

    async def _send[T](self, operation: _Operation[T]) -> T | None:
        """Send one request; a damaged frame is repeated once, a refusal and silence are an answer."""
        for attempt in range(2):
            started = asyncio.get_running_loop().time()
            self.reads += 1
            try:
                answer = await self.channel.request(self.unit_id, operation, timeout=self._patience)
            except ModbusConnectionError:
                if attempt:
                    raise
                continue
            except TimeoutError:
                self._silences += 1
                # A late answer must not be taken for the next question's, which may look alike.
                await asyncio.sleep(self._patience)
                if self._silences % _SILENCES_BEFORE_CHECKING == 0:
                    await self._check_presence()
                return None
            except ModbusExceptionError:
                self._heard(started)
                return None
            except ModbusError:
                continue
            self._heard(started)
            return answer
        return None

    async def _check_presence(self) -> None:
        """Some meters ignore what they do not know; those answer at least one of these.

        Raises:
            MeterLost: nothing came.
        """
        for question in Question:
            sighting = await look(self.channel, self.unit_id, question, self._timeout)
            if sighting.sign is not Sign.NOTHING:
                return
            await asyncio.sleep(self._patience)
        raise MeterLost(self.unit_id)

    def _heard(self, started: float) -> None:
        self._silences = 0
        self._slowest = max(self._slowest or 0.0, asyncio.get_running_loop().time() - started)

    @property
    def _patience(self) -> float:
        if self._slowest is None:
            return self._timeout
        return min(max(_TIMEOUT_PER_ANSWER * self._slowest, _LEAST_TIMEOUT), self._timeout)


def _spans(register: Register) -> tuple[Span, ...]:
    """Everything that has to be read for a register's value, its own registers first."""
    return (*register.coherent_spans, *register.factor_spans)
