"""An RS-485 line in virtual time: the real client stack on one end, simple meters on the other.

Only the port is replaced: `modbus_connection` and `tmodbus` run as they do in Home Assistant, so that what
they make of a late, damaged or foreign frame is what really happens. Characters take their time on the
loop's clock; thousands of exchanges pass in seconds.
"""

import asyncio
from collections.abc import Callable, Iterator
import contextlib
from dataclasses import dataclass, field
import itertools
import random
from typing import Any, override
from unittest.mock import patch

from modbus_connection import ModbusSerialParams, ModbusUnit
from modbus_connection.tmodbus import ModbusConnection

from custom_components.energy_meter.sources.modbus.profile import Table
from custom_components.energy_meter.sources.modbus.timing import LineTiming

from .frames import Adu, take_rtu_request

type Words = Callable[[int, int, Table, int], int | None]
"""What a register holds: unit id, reply number, table, address; None if the meter has no such register."""

_TABLES = {1: Table.COIL, 2: Table.DISCRETE, 3: Table.HOLDING, 4: Table.INPUT}


@dataclass(slots=True)
class VirtualMeter:
    """One unit on the line."""

    unit_id: int
    registers: dict[tuple[Table, int], int] = field(default_factory=dict)
    turnaround: Callable[[], float] = lambda: 0.02
    """Seconds from hearing a request to the start of its answer, drawn anew for each."""
    queues: bool = False
    """Whether it answers all it was asked, in order, however late; else only the last request."""
    silent: bool = False
    refused: set[tuple[Table, int]] = field(default_factory=set)
    max_registers: int = 125
    strict: bool = False
    """Whether a read that touches an undefined register is refused; else it holds 0."""
    exception: Callable[[], int | None] = lambda: None
    """Code of an exception to answer with, drawn anew for each request."""
    before_read: Callable[[VirtualMeter, Table, int, int], None] | None = None
    asked: list[tuple[float, int, int, int]] = field(default_factory=list)
    """(time, function, address, count) of every request heard."""
    written: list[tuple[int, int, tuple[int, ...]]] = field(default_factory=list)
    free_at: float = 0.0

    def answer(self, request: Adu) -> Adu:
        """Return the reply, as of now."""
        pdu = request.pdu
        function = pdu[0]
        code = self.exception()
        if code is not None:
            return request.exception(code)
        address = int.from_bytes(pdu[1:3])
        if function in _TABLES:
            return self._read(request, _TABLES[function], address, int.from_bytes(pdu[3:5]))
        if function == 6:
            values: tuple[int, ...] = (int.from_bytes(pdu[3:5]),)
        elif function == 16:
            values = tuple(
                int.from_bytes(pdu[6 + 2 * n : 8 + 2 * n]) for n in range(int.from_bytes(pdu[3:5]))
            )
        elif function == 5:
            values = (int(pdu[3] == 0xFF),)
        else:
            return request.exception(1)
        table = Table.COIL if function == 5 else Table.HOLDING
        if (table, address) not in self.registers:
            return request.exception(2)
        self.written.append((function, address, values))
        for offset, value in enumerate(values):
            self.registers[table, address + offset] = value
        return Adu(request.unit_id, pdu[:5])

    def _read(self, request: Adu, table: Table, address: int, count: int) -> Adu:
        if count > self.max_registers:
            return request.exception(3)
        touched = [(table, address + offset) for offset in range(count)]
        if any(place in self.refused for place in touched) or (
            self.strict and any(place not in self.registers for place in touched)
        ):
            return request.exception(2)
        if self.before_read:
            self.before_read(self, table, address, count)
        words = [self.registers.get(place, 0) for place in touched]
        if table in {Table.COIL, Table.DISCRETE}:
            data = sum(bool(word) << place for place, word in enumerate(words)).to_bytes(
                -(-count // 8), "little"
            )
        else:
            data = b"".join(word.to_bytes(2) for word in words)
        return Adu(request.unit_id, bytes([request.pdu[0], len(data)]) + data)


class VirtualLine:
    """The wire and the meters on it."""

    def __init__(self, baudrate: int = 9600, *, seed: int = 0) -> None:
        """Make a line without meters, 8N1."""
        self.baudrate = baudrate
        self.timing = LineTiming.serial(baudrate, 8, "N", 1)
        self.meters: dict[int, VirtualMeter] = {}
        self.random = random.Random(seed)
        self.damage: Callable[[Adu, bytes], bytes] = lambda _, frame: frame
        """What becomes of a reply on its way."""
        self.plugged = True
        self.broken: OSError | None = None
        """What writing to the port raises, if anything, before anybody has learnt that it is gone."""
        self.opened = 0
        self.busy = 0.0
        """Seconds in which a frame was on the line or a meter turning around."""
        self.connection = ModbusConnection(ModbusSerialParams(device="virtual", baudrate=baudrate))
        self._port: _Port | None = None

    def add(self, meter: VirtualMeter) -> VirtualMeter:
        """Put a meter on the line."""
        self.meters[meter.unit_id] = meter
        return meter

    def unit(self, unit_id: int) -> ModbusUnit:
        """Return the client's unit."""
        return self.connection.for_unit(unit_id)

    def unplug(self) -> None:
        """Take the adapter away."""
        self.plugged = False
        if self._port is not None:
            self._port.abort()

    def plug(self) -> None:
        """Put the adapter back."""
        self.plugged = True

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Let the client open this line instead of a port."""

        async def open_port(
            loop: asyncio.AbstractEventLoop, factory: Callable[[], asyncio.Protocol], **_: Any
        ) -> tuple[asyncio.Transport, asyncio.Protocol]:
            if not self.plugged:
                raise FileNotFoundError("virtual")
            self.opened += 1
            protocol = factory()
            self._port = _Port(self, loop, protocol)
            protocol.connection_made(self._port)
            return self._port, protocol

        with patch("serialx.create_serial_connection", open_port):
            yield

    def heard(self, request: Adu, port: _Port, loop: asyncio.AbstractEventLoop) -> None:
        """A request has reached the meters."""
        meter = self.meters.get(request.unit_id)
        if meter is None or meter.silent:
            return
        now = loop.time()
        pdu = request.pdu
        meter.asked.append((now, pdu[0], int.from_bytes(pdu[1:3]), int.from_bytes(pdu[3:5])))
        begin = max(now, meter.free_at if meter.queues else now) + meter.turnaround()
        if not meter.queues:
            port.forget(meter.unit_id)
        frame = self.damage(request, meter.answer(request).rtu())
        end = begin + self.timing.character * len(frame)
        meter.free_at = end
        self.busy += end - now + self.timing.character * (len(pdu) + 3)
        if frame:
            port.deliver(request.unit_id, frame, end)


class _Port(asyncio.Transport):
    """The client's port."""

    def __init__(
        self, line: VirtualLine, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol
    ) -> None:
        super().__init__()
        self._line = line
        self._loop = loop
        self._protocol = protocol
        self._buffer = bytearray()
        self._closing = False
        self._due: dict[int, dict[int, asyncio.TimerHandle]] = {}
        self._numbers = itertools.count()

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._line.broken is not None:
            raise self._line.broken
        self._loop.call_later(self._line.timing.character * len(data), self._arrive, bytes(data))

    def _arrive(self, data: bytes) -> None:
        if self._closing:
            return
        self._buffer.extend(data)
        request = take_rtu_request(self._buffer)
        if request is not None:
            self._line.heard(request, self, self._loop)

    def deliver(self, unit_id: int, frame: bytes, at: float) -> None:
        number = next(self._numbers)

        def hand_over() -> None:
            self._due[unit_id].pop(number, None)
            if not self._closing:
                self._protocol.data_received(frame)

        self._due.setdefault(unit_id, {})[number] = self._loop.call_at(at, hand_over)

    def forget(self, unit_id: int) -> None:
        """The meter hears a new request and drops what it has not begun to answer."""
        for handle in self._due.pop(unit_id, {}).values():
            handle.cancel()

    @override
    def is_closing(self) -> bool:
        return self._closing

    @override
    def close(self) -> None:
        self._lose(None)

    @override
    def abort(self) -> None:
        self._lose(OSError("unplugged"))

    def _lose(self, error: Exception | None) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._protocol.connection_lost, error)
