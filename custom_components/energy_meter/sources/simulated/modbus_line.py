"""The simulated house's meters on a Modbus line: a pymodbus server that speaks RTU over a local socket."""

import asyncio
from collections.abc import Callable, Sequence
import time
from typing import Any, Final, cast, override

from pymodbus.constants import ExcCodes
from pymodbus.datastore import ModbusServerContext
from pymodbus.exceptions import NoSuchIdException
from pymodbus.framer import FramerType
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.server import ModbusTcpServer

from ..modbus.library import ProfileLibrary
from ..modbus.profile import Table
from .house import House, shared_house
from .meter import METERS, MeterSpec, Refused, SimulatedMeter, meter_of

HOST: Final = "127.0.0.1"

_TABLES: Final = {
    1: Table.COIL,
    2: Table.DISCRETE,
    3: Table.HOLDING,
    4: Table.INPUT,
    5: Table.COIL,
    6: Table.HOLDING,
    15: Table.COIL,
    16: Table.HOLDING,
}
"""The functions that the meters understand, and the table each is about."""


class SimulatedLine:
    """A line with the simulated house's meters on it, from `start` to `stop`."""

    def __init__(
        self,
        meters: Sequence[MeterSpec] = METERS,
        *,
        house: House | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Choose the meters; nothing is computed and nothing listens before `start`.

        Args:
            meters: which meters hang on the line.
            house: what they measure; without one, the house that all such lines of this process share.
            clock: the Unix time that registers are filled for.
        """
        self._specs = tuple(meters)
        self._house = house
        self._clock = clock
        self._server: ModbusTcpServer | None = None

    async def start(self) -> int:
        """Listen on a free local port, and return it.

        Raises:
            OSError: no socket can be had.
        """
        units = _Units(await asyncio.to_thread(self._build), self._clock)
        self._server = ModbusTcpServer(
            units,
            framer=FramerType.RTU,
            address=(HOST, 0),
            ignore_missing_devices=True,
            trace_pdu=_only_registers,
        )
        if not await self._server.listen():
            raise OSError("No local socket for the simulated line")
        listener = cast("asyncio.Server", self._server.transport)
        port: int = listener.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Hang up on everybody and stop listening."""
        if self._server is not None:
            await self._server.shutdown()  # type: ignore[no-untyped-call]
            self._server = None

    def _build(self) -> list[SimulatedMeter]:
        """Work out the house and load the profiles; blocking."""
        house, library = self._house or shared_house(), ProfileLibrary(None)
        return [meter_of(spec, library.load(spec.profile), house) for spec in self._specs]


class _Units(ModbusServerContext):
    """The meters of a line, in the shape that pymodbus asks them in."""

    simdevices: list[Any] = []

    def __init__(self, meters: Sequence[SimulatedMeter], clock: Callable[[], float]) -> None:
        # The base class's own constructor builds register blocks of another kind.
        self._meters = meters
        self._clock = clock

    def meter(self, unit_id: int) -> SimulatedMeter:
        for meter in self._meters:
            if meter.unit_id == unit_id:
                return meter
        raise NoSuchIdException(f"no unit {unit_id}")  # type: ignore[no-untyped-call]

    @override
    async def async_getValues(
        self, device_id: int, func_code: int, address: int, count: int = 1
    ) -> list[int] | list[bool] | ExcCodes:
        try:
            table = _TABLES[func_code]
            words = self.meter(device_id).read(table, address, count, self._clock())
        except Refused as refused:
            return _code(refused)
        return [bool(word) for word in words] if table in (Table.COIL, Table.DISCRETE) else words

    @override
    async def async_setValues(
        self, device_id: int, func_code: int, address: int, values: list[int] | list[bool]
    ) -> ExcCodes | None:
        words = [int(value) for value in values]
        try:
            self.meter(device_id).write(_TABLES[func_code], address, words, self._clock())
        except Refused as refused:
            return _code(refused)
        return None

    @override
    def device_ids(self) -> list[int]:
        return [meter.unit_id for meter in self._meters]


def _code(refused: Refused) -> ExcCodes:
    return ExcCodes.ILLEGAL_VALUE if refused.value else ExcCodes.ILLEGAL_ADDRESS


class _Unsupported(ModbusPDU):
    """A request for a function that the meters do not have; a unit that is not there is silent here too."""

    @override
    async def datastore_update(self, context: ModbusServerContext, device_id: int) -> ModbusPDU:
        cast("_Units", context).meter(device_id)
        return ExceptionResponse(self.function_code, ExcCodes.ILLEGAL_FUNCTION)


def _only_registers(sending: bool, pdu: ModbusPDU) -> ModbusPDU:
    """Let pymodbus answer reads and writes of registers, and nothing on its own account."""
    if sending or pdu.function_code in _TABLES:
        return pdu
    unsupported = _Unsupported(dev_id=pdu.dev_id, transaction_id=pdu.transaction_id)
    unsupported.function_code = pdu.function_code
    return unsupported
