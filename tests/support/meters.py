"""Simulated meters: pymodbus servers that answer for one or many units.

They are the other end of a Modbus line in tests and benchmarks: an implementation of the protocol that is
not the one under test. Servers run on an event loop in a thread of their own, so that a test may block or
move its clock without the meters noticing. Tests that use TCP need the `socket_enabled` fixture.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
import contextlib
from dataclasses import dataclass, field
from pathlib import Path
import ssl
import threading
import time
from types import TracebackType
from typing import Any, Self, cast, override

from pymodbus.constants import ExcCodes
from pymodbus.datastore import ModbusServerContext
from pymodbus.exceptions import NoSuchIdException
from pymodbus.framer import FramerType
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.mei_message import ReadDeviceInformationRequest, ReadDeviceInformationResponse
from pymodbus.pdu.other_message import ReportDeviceIdRequest, ReportDeviceIdResponse
from pymodbus.server import ModbusSerialServer, ModbusTcpServer, ModbusTlsServer, ModbusUdpServer

from custom_components.energy_meter.sources.modbus.codec import RegisterImage, encode
from custom_components.energy_meter.sources.modbus.profile import Profile, Register, Span, Table

type Registers = dict[int, int]
type _Server = ModbusSerialServer | ModbusTcpServer | ModbusUdpServer

_TABLE_OF_FUNCTION: Mapping[int, Table] = {
    1: Table.COIL,
    2: Table.DISCRETE,
    3: Table.HOLDING,
    4: Table.INPUT,
    5: Table.COIL,
    6: Table.HOLDING,
    15: Table.COIL,
    16: Table.HOLDING,
    22: Table.HOLDING,
    23: Table.HOLDING,
}


@dataclass(frozen=True, slots=True)
class Access:
    """One read or write that a meter has seen; `values` is empty for a read."""

    time: float
    table: Table
    address: int
    count: int
    values: tuple[int, ...] = ()


@dataclass(slots=True, kw_only=True)
class Meter:
    """One unit: its registers, how it refuses, and what was asked of it.

    Registers may be changed at any time, from any thread. A read that touches an undefined register is
    answered with exception 2 if the meter is strict, and as 0 for that register otherwise.
    """

    unit_id: int
    holding: Registers = field(default_factory=dict)
    input: Registers = field(default_factory=dict)
    coils: Registers = field(default_factory=dict)
    discrete: Registers = field(default_factory=dict)
    strict: bool = True
    alignment: int = 1
    """Reads whose start or count is no multiple of this are answered with exception 2."""
    max_registers: int = 125
    """Reads of more registers are answered with exception 3."""
    refused: set[tuple[Table, int]] = field(default_factory=set)
    """Registers that are answered with exception 2 although they are defined."""
    server_id: bytes | None = None
    """Answer to function 17; exception 1 if None."""
    identification: Mapping[int, str] | None = None
    """Objects of function 43/14; exception 1 if None."""
    turnaround: float | None = None
    """Seconds from the end of a request to the start of the answer; the line's own if None."""
    min_gap: float = 0
    """Seconds of pause after its own answer within which it does not hear a request."""
    before_read: Callable[[Meter], None] | None = None
    """Called in the server's thread before every read: a place to bring the registers up to date."""
    after_write: Callable[[Meter, Access], None] | None = None
    reads: list[Access] = field(default_factory=list)
    writes: list[Access] = field(default_factory=list)

    @classmethod
    def from_profile(
        cls,
        profile: Profile,
        unit_id: int,
        values: Mapping[str, float | str],
        *,
        variant: str | None = None,
        base_address: int = 0,
    ) -> Self:
        """Return a meter of this family that shows these values, and 0 in every other register it has.

        Args:
            profile: the meter family.
            unit_id: address on the line.
            values: by quantity, or by the name of an information or control register.
            variant: the layout, where the family has several.
            base_address: where the block begins, for a relocatable profile.
        """
        profile = profile.arranged(variant, base_address)
        registers = (
            *profile.registers,
            *profile.info,
            *(control.register for control in profile.controls),
        )
        meter = cls(
            unit_id=unit_id,
            strict=profile.strict,
            max_registers=profile.max_registers,
            turnaround=None,
        )
        spans = {span for register in registers for span in _all_spans(register)}
        for span in (*spans, *profile.readable):
            for address in range(span.address, span.end):
                meter.table(span.table).setdefault(address, 0)
        meter.show(registers, values)
        return meter

    def show(self, registers: Iterable[Register], values: Mapping[str, float | str]) -> None:
        """Let registers of a profile take these values, by their keys."""
        image = RegisterImage()
        for table in Table:
            image.table(table).update(self.table(table))
        for register in registers:
            if register.key in values:
                encode(register, values[register.key], image)
        for table in Table:
            self.table(table).update(image.table(table))

    def table(self, table: Table) -> Registers:
        """Return the registers of one table, to read or change in place."""
        match table:
            case Table.HOLDING:
                return self.holding
            case Table.INPUT:
                return self.input
            case Table.COIL:
                return self.coils
            case Table.DISCRETE:
                return self.discrete

    def set(self, table: Table, address: int, words: Iterable[int]) -> None:
        """Write words from an address on, as the meter itself does; not recorded as a write."""
        self.table(table).update(enumerate(words, address))

    def answer_read(self, table: Table, address: int, count: int) -> list[int] | ExcCodes:
        """Return the registers asked for, or why not."""
        self.reads.append(Access(time.monotonic(), table, address, count))
        if self.before_read is not None:
            self.before_read(self)
        if table in (Table.HOLDING, Table.INPUT):
            if count > self.max_registers:
                return ExcCodes.ILLEGAL_VALUE
            if address % self.alignment or count % self.alignment:
                return ExcCodes.ILLEGAL_ADDRESS
        registers = self.table(table)
        wanted = range(address, address + count)
        if any((table, one) in self.refused for one in wanted):
            return ExcCodes.ILLEGAL_ADDRESS
        if self.strict:
            if any(one not in registers for one in wanted):
                return ExcCodes.ILLEGAL_ADDRESS
        elif not registers:
            return ExcCodes.ILLEGAL_ADDRESS
        return [registers.get(one, 0) for one in wanted]

    def answer_write(self, table: Table, address: int, values: Sequence[int]) -> ExcCodes | None:
        """Take a write, or say why not."""
        registers = self.table(table)
        if any(
            one not in registers or (table, one) in self.refused
            for one in range(address, address + len(values))
        ):
            return ExcCodes.ILLEGAL_ADDRESS
        access = Access(time.monotonic(), table, address, len(values), tuple(map(int, values)))
        self.writes.append(access)
        registers.update(enumerate(access.values, address))
        if self.after_write is not None:
            self.after_write(self, access)
        return None


def _all_spans(register: Register) -> Iterator[Span]:
    """Everything that a register's value depends on."""
    yield register.span
    if register.factor is not None:
        for source in register.factor.sources:
            yield source.span
    if register.sign is not None:
        yield register.sign.source.span


class _Units(ModbusServerContext):
    """All units of a server, in the shape that pymodbus asks them in."""

    simdevices: list[Any] = []

    def __init__(self, meters: Mapping[int, Meter]) -> None:
        # The base class's own constructor builds register blocks of another kind.
        self.meters = meters

    def meter(self, unit_id: int) -> Meter:
        try:
            return self.meters[unit_id]
        except KeyError:
            raise NoSuchIdException(f"no unit {unit_id}") from None  # type: ignore[no-untyped-call]

    @override
    async def async_getValues(
        self, device_id: int, func_code: int, address: int, count: int = 1
    ) -> list[int] | list[bool] | ExcCodes:
        table = _TABLE_OF_FUNCTION[func_code]
        answer = self.meter(device_id).answer_read(table, address, count)
        if isinstance(answer, list) and table in (Table.COIL, Table.DISCRETE):
            return [bool(bit) for bit in answer]
        return answer

    @override
    async def async_setValues(
        self, device_id: int, func_code: int, address: int, values: list[int] | list[bool]
    ) -> ExcCodes | None:
        return self.meter(device_id).answer_write(
            _TABLE_OF_FUNCTION[func_code], address, [int(value) for value in values]
        )

    @override
    def device_ids(self) -> list[int]:
        return list(self.meters)


class _ReportServerId(ReportDeviceIdRequest):
    """Function 17, answered by the unit and not by the server as a whole."""

    @override
    async def datastore_update(self, context: ModbusServerContext, device_id: int) -> ModbusPDU:
        server_id = cast("_Units", context).meter(device_id).server_id
        if server_id is None:
            return ExceptionResponse(self.function_code, ExcCodes.ILLEGAL_FUNCTION)
        return ReportDeviceIdResponse(
            identifier=server_id, dev_id=device_id, transaction_id=self.transaction_id
        )


class _ReadDeviceIdentification(ReadDeviceInformationRequest):
    """Function 43/14, answered by the unit and not by the server as a whole."""

    @override
    async def datastore_update(self, context: ModbusServerContext, device_id: int) -> ModbusPDU:
        objects = cast("_Units", context).meter(device_id).identification
        if objects is None:
            return ExceptionResponse(self.function_code, ExcCodes.ILLEGAL_FUNCTION)
        return ReadDeviceInformationResponse(
            self.read_code,
            {key: text.encode() for key, text in objects.items() if key >= self.object_id},
            dev_id=device_id,
            transaction_id=self.transaction_id,
        )


class MeterServer:
    """pymodbus servers for a set of meters; a context manager, sync or async.

    `meters` may be changed while it runs. A unit that is not there does not answer.
    """

    def __init__(self, meters: Iterable[Meter]) -> None:
        """Take the meters; nothing runs before the context is entered."""
        self.meters = {meter.unit_id: meter for meter in meters}
        self._units = _Units(self.meters)
        self._loop = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(target=self._run, name="meter-server", daemon=True)
        self._servers: list[_Server] = []

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def _call[T](self, work: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(5)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close every server and end the thread."""
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    async def __aenter__(self) -> Self:
        """Start the thread."""
        return self.__enter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close every server and end the thread."""
        self.__exit__(exc_type, exc, traceback)

    async def _close(self) -> None:
        for server in self._servers:
            await server.shutdown()  # type: ignore[no-untyped-call]
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, server: _Server) -> None:
        # `custom_pdu` reaches functions, not the sub-functions of function 43.
        server.decoder.pdu_sub_table = {
            **DecodePDU.pdu_sub_table,
            _ReadDeviceIdentification.function_code: {
                _ReadDeviceIdentification.sub_function_code: (
                    _ReadDeviceIdentification,
                    ReadDeviceInformationResponse,
                )
            },
        }
        await server.serve_forever(background=True)
        self._servers.append(server)

    def serve_serial(self, port: str) -> None:
        """Answer RTU requests on a serial port."""

        async def start() -> None:
            server = ModbusSerialServer(
                self._units,
                framer=FramerType.RTU,
                port=port,
                baudrate=115200,
                ignore_missing_devices=True,
                custom_pdu=[_ReportServerId, _ReadDeviceIdentification],
            )
            await self._serve(server)

        self._call(start())

    def serve_tcp(self, *, framer: FramerType = FramerType.SOCKET, port: int = 0) -> int:
        """Answer Modbus TCP (or, with `FramerType.RTU`, RTU over TCP) on 127.0.0.1; return the port."""

        async def start() -> int:
            return await self._listen(
                ModbusTcpServer(
                    self._units,
                    framer=framer,
                    address=("127.0.0.1", port),
                    ignore_missing_devices=True,
                    custom_pdu=[_ReportServerId, _ReadDeviceIdentification],
                )
            )

        return self._call(start())

    def serve_tls(
        self, certificate: Path, key: Path, *, clients: Path | None = None, port: int = 0
    ) -> int:
        """Answer Modbus TCP Security on 127.0.0.1; return the port.

        Args:
            certificate: what the server shows.
            key: of the certificate.
            clients: certificates of those who may connect; None for everybody.
            port: 0 for any free one.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients)

        async def start() -> int:
            return await self._listen(
                ModbusTlsServer(
                    self._units,
                    address=("127.0.0.1", port),
                    sslctx=context,
                    ignore_missing_devices=True,
                    custom_pdu=[_ReportServerId, _ReadDeviceIdentification],
                )
            )

        return self._call(start())

    async def _listen(self, server: ModbusTcpServer) -> int:
        await self._serve(server)
        listener = cast("asyncio.Server", server.transport)
        return cast("int", listener.sockets[0].getsockname()[1])

    def serve_udp(self, *, port: int = 0) -> int:
        """Answer Modbus in UDP datagrams on 127.0.0.1; return the port."""

        async def start() -> int:
            server = ModbusUdpServer(
                self._units,
                address=("127.0.0.1", port),
                ignore_missing_devices=True,
                custom_pdu=[_ReportServerId, _ReadDeviceIdentification],
            )
            await self._serve(server)
            endpoint = cast("asyncio.DatagramTransport", server.transport)
            return cast("int", endpoint.get_extra_info("sockname")[1])

        return self._call(start())
