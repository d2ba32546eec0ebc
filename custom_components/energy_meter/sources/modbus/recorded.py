"""A unit whose requests go through the line's bookkeeping."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from modbus_connection import ModbusUnit

from .late import READ_FUNCTIONS, Form
from .profile import Table
from .timing import data_bytes


class Exchange(Protocol):
    """Carries out one request and keeps the books about it."""

    async def __call__[T](self, form: Form, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what the request brings; its errors pass through."""


class RecordedUnit:
    """Lends a unit to somebody else: what is asked, and what stays unanswered, is taken note of.

    The link itself is not theirs: time-out, spacing and disconnecting stay with the line.
    """

    def __init__(self, unit: ModbusUnit, exchange: Exchange) -> None:
        """Wrap a unit."""
        self._unit = unit
        self._exchange = exchange

    @property
    def connected(self) -> bool:
        """Whether the link is up."""
        return self._unit.connected

    def set_message_spacing(self, seconds: float) -> None:
        """The line keeps its own spacing."""

    def require_timeout(self, seconds: float | None) -> None:
        """The line keeps its own time-out."""

    def require_connect_delay(self, seconds: float | None) -> None:
        """Ask for a pause after the link opens."""
        self._unit.require_connect_delay(seconds)

    def on_connection_lost(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Register a callback for when the link drops."""
        return self._unit.on_connection_lost(callback)

    async def disconnect(self) -> None:
        """Drop the link; the next request opens it again."""
        await self._unit.disconnect()

    async def read_holding_registers(self, address: int, count: int) -> list[int]:
        """Function 3."""
        return await self._exchange(
            _read(Table.HOLDING, address, count),
            lambda: self._unit.read_holding_registers(address, count),
        )

    async def read_input_registers(self, address: int, count: int) -> list[int]:
        """Function 4."""
        return await self._exchange(
            _read(Table.INPUT, address, count),
            lambda: self._unit.read_input_registers(address, count),
        )

    async def read_coils(self, address: int, count: int) -> list[bool]:
        """Function 1."""
        return await self._exchange(
            _read(Table.COIL, address, count), lambda: self._unit.read_coils(address, count)
        )

    async def read_discrete_inputs(self, address: int, count: int) -> list[bool]:
        """Function 2."""
        return await self._exchange(
            _read(Table.DISCRETE, address, count),
            lambda: self._unit.read_discrete_inputs(address, count),
        )

    async def write_register(self, address: int, value: int) -> None:
        """Function 6."""
        await self._exchange(
            Form(0x06, address, 0), lambda: self._unit.write_register(address, value)
        )

    async def write_registers(self, address: int, values: list[int]) -> None:
        """Function 16."""
        await self._exchange(
            Form(0x10, address, 0), lambda: self._unit.write_registers(address, values)
        )

    async def write_coil(self, address: int, value: bool) -> None:
        """Function 5."""
        await self._exchange(Form(0x05, address, 0), lambda: self._unit.write_coil(address, value))

    async def write_coils(self, address: int, values: list[bool]) -> None:
        """Function 15."""
        await self._exchange(
            Form(0x0F, address, 0), lambda: self._unit.write_coils(address, values)
        )

    async def read_exception_status(self) -> int:
        """Function 7."""
        return await self._exchange(Form(0x07, 0, 0), self._unit.read_exception_status)

    async def report_server_id(self) -> bytes:
        """Function 17."""
        return await self._exchange(Form(0x11, 0, 0), self._unit.report_server_id)

    async def mask_write_register(self, address: int, and_mask: int, or_mask: int) -> None:
        """Function 22."""
        await self._exchange(
            Form(0x16, address, 0),
            lambda: self._unit.mask_write_register(address, and_mask, or_mask),
        )

    async def read_write_registers(
        self, read_address: int, read_count: int, write_address: int, write_values: list[int]
    ) -> list[int]:
        """Function 23."""
        return await self._exchange(
            Form(0x17, read_address, 2 * read_count),
            lambda: self._unit.read_write_registers(
                read_address, read_count, write_address, write_values
            ),
        )

    async def read_fifo_queue(self, address: int) -> list[int]:
        """Function 24."""
        return await self._exchange(
            Form(0x18, address, 0), lambda: self._unit.read_fifo_queue(address)
        )

    async def read_device_identification(self) -> dict[int, bytes]:
        """Function 43/14."""
        return await self._exchange(Form(0x2B, 0, 0), self._unit.read_device_identification)

    async def read_file_record(self, file: int, record: int, length: int) -> list[int]:
        """Function 20."""
        return await self._exchange(
            Form(0x14, record, 2 * length),
            lambda: self._unit.read_file_record(file, record, length),
        )

    async def write_file_record(self, file: int, record: int, values: list[int]) -> None:
        """Function 21."""
        await self._exchange(
            Form(0x15, record, 0), lambda: self._unit.write_file_record(file, record, values)
        )

    async def diagnostics(self, sub_function: int, data: int = 0) -> int:
        """Function 8."""
        return await self._exchange(
            Form(0x08, sub_function, 0), lambda: self._unit.diagnostics(sub_function, data)
        )

    async def get_comm_event_counter(self) -> tuple[bool, int]:
        """Function 11."""
        return await self._exchange(Form(0x0B, 0, 0), self._unit.get_comm_event_counter)

    async def get_comm_event_log(self) -> bytes:
        """Function 12."""
        return await self._exchange(Form(0x0C, 0, 0), self._unit.get_comm_event_log)


def _read(table: Table, address: int, count: int) -> Form:
    return Form(READ_FUNCTIONS[table], address, data_bytes(table, count))
