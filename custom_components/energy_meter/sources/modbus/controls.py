"""Writing a control and believing only what the meter reads back."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
import math
from typing import Any, Final, Protocol

from modbus_connection import ModbusConnectionError, ModbusError, ModbusExceptionError, ModbusUnit

from ...model import ControlKind, Value
from ..base import SourceError
from .codec import MissingRegisters, RegisterImage, decode, encode
from .late import Form
from .profile import Order, ProfileControl, Register, Span, Table

UNIT_ID: Final = "unit_id"
"""The control after which a meter answers at another address."""
LINE_SETTINGS: Final = {"baudrate", "parity", "stopbits", "line_format", "line_settings"}
"""Controls after which a meter may be out of reach, whose acknowledgement has to be enough."""
READ_BACK_PAUSES: Final = (0.0, 0.2, 0.5)
"""Seconds before each attempt to read back: a relay takes its time to move."""


class Write(Protocol):
    """Carries out one write request."""

    async def __call__[T](
        self, form: Form, call: Callable[[ModbusUnit], Coroutine[Any, Any, T]]
    ) -> T:
        """Return what the request brings; its errors pass through."""


class Read(Protocol):
    """Reads exactly a span."""

    async def __call__(self, span: Span, unit_id: int | None = None) -> list[int] | None:
        """Return the words; None if the meter refuses.

        Args:
            span: what to read.
            unit_id: whom to ask instead of the meter.

        Raises:
            TimeoutError: no answer.
            ModbusConnectionError: the link is down.
        """


@dataclass(frozen=True, slots=True)
class ControlPort:
    """What a control needs to reach its meter."""

    write: Write
    read: Read
    word_order: Order | None = None


async def carry_out(control: ProfileControl, value: Value, port: ControlPort) -> Value:
    """Write a control's value and return what the meter reads back; None for a button.

    Raises:
        SourceError: the value is out of range, the meter refused, did not answer, or reads back something
            else.
        ModbusConnectionError: the link is down.
    """
    key = control.control.key
    register = control.register
    if control.control.kind is ControlKind.BUTTON:
        value = control.write_value if control.write_value is not None else 1
        wanted = float(value)
        words = await _words(register, value, port, raw=True)
    else:
        wanted = _checked(control, value)
        words = await _words(register, wanted, port)
    reads_back = control.readable and control.control.kind is not ControlKind.BUTTON
    answered = await _write(control, words, port)
    if not reads_back:
        if not answered:
            raise SourceError("control_no_answer", {"control": key})
        return None
    found = await _read_back(register, wanted, port)
    if not _same(found, wanted, register) and not answered:
        # Whether the request or its answer got lost is known only now; writing it again is harmless.
        answered = await _write(control, words, port)
        found = await _read_back(register, wanted, port)
    if found is None and answered and key in LINE_SETTINGS:
        return wanted
    if _same(found, wanted, register):
        return found
    if found is None:
        raise SourceError("control_no_answer", {"control": key})
    raise SourceError(
        "control_mismatch", {"control": key, "expected": f"{wanted:g}", "found": f"{found:g}"}
    )


def _checked(control: ProfileControl, value: Value) -> float:
    """The value, if the control allows it."""
    description = control.control
    low, high = description.minimum, description.maximum
    if (
        value is None
        or not math.isfinite(value)
        or (description.options and value not in description.options)
        or (low is not None and value < low)
        or (high is not None and value > high)
    ):
        raise SourceError(
            "control_invalid_value", {"control": description.key, "value": str(value)}
        )
    return value


async def _words(
    register: Register, value: float, port: ControlPort, *, raw: bool = False
) -> list[int]:
    """What to write: with the other half of a shared register as it is, and the factor as it is."""
    image = RegisterImage()
    needed = list(register.factor_spans)
    if register.byte is not None:
        needed.append(register.span)
    for span in needed:
        words = await _asked(port.read(span), register)
        if words is not None:
            image.set(span, words)
    try:
        if raw:
            whole = int(value)
            size = register.span.count
            words = [whole >> (16 * place) & 0xFFFF for place in range(size - 1, -1, -1)]
            return words if register.word_order == "big" else words[::-1]
        encode(register, value, image, word_order=port.word_order)
        return image.get(register.span)
    except (ValueError, MissingRegisters) as err:
        raise SourceError(
            "control_invalid_value", {"control": register.key, "value": f"{value:g}"}
        ) from err


async def _asked[T](reading: Coroutine[Any, Any, T], register: Register) -> T:
    try:
        return await reading
    except TimeoutError as err:
        raise SourceError("control_no_answer", {"control": register.key}) from err


async def _write(control: ProfileControl, words: list[int], port: ControlPort) -> bool:
    """Send the write; return whether the meter acknowledged it."""
    span = control.register.span
    address = span.address
    multiple = control.write_multiple or len(words) > 1
    try:
        if span.table is Table.COIL:
            bits = [bool(word) for word in words]
            if control.write_multiple:
                await port.write(
                    Form(0x0F, address, 0), lambda unit: unit.write_coils(address, bits)
                )
            else:
                await port.write(
                    Form(0x05, address, 0), lambda unit: unit.write_coil(address, bits[0])
                )
        elif multiple:
            await port.write(
                Form(0x10, address, 0), lambda unit: unit.write_registers(address, words)
            )
        else:
            await port.write(
                Form(0x06, address, 0), lambda unit: unit.write_register(address, words[0])
            )
    except ModbusConnectionError:
        raise
    except ModbusExceptionError as err:
        raise SourceError(
            "control_refused",
            {"control": control.control.key, "code": str(int(err.exception_code or 0))},
        ) from err
    except ModbusError, TimeoutError:
        return False
    return True


async def read_control(control: ProfileControl, port: ControlPort) -> Value:
    """Return what a control is set to now; None if it cannot be told.

    Raises:
        SourceError: the meter did not answer.
        ModbusConnectionError: the link is down.
    """
    return await _asked(_value(control.register, port), control.register)


async def _read_back(register: Register, wanted: float, port: ControlPort) -> float | None:
    """What the meter says now; asked again for a while as long as it is not what was wanted."""
    found: float | None = None
    for pause in READ_BACK_PAUSES:
        if pause:
            await asyncio.sleep(pause)
        found = await _read_once(register, port)
        if found is None and register.key == UNIT_ID:
            found = await _read_once(register, port, int(wanted))
        if _same(found, wanted, register) or (found is None and register.key in LINE_SETTINGS):
            break
    return found


async def _read_once(
    register: Register, port: ControlPort, unit_id: int | None = None
) -> float | None:
    try:
        return await _value(register, port, unit_id)
    except TimeoutError:
        return None


async def _value(register: Register, port: ControlPort, unit_id: int | None = None) -> Value:
    """What the register says now; None if the meter does not give it."""
    image = RegisterImage()
    for span in (*register.coherent_spans, *register.factor_spans):
        words = await port.read(span, unit_id)
        if words is None:
            return None
        image.set(span, words)
    value = decode(register, image, word_order=port.word_order)
    return None if isinstance(value, str) else value


def _same(found: Value, wanted: float, register: Register) -> bool:
    if found is None:
        return False
    return math.isclose(found, wanted, rel_tol=1e-6, abs_tol=abs(register.scale) / 2)
