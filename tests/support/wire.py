"""An emulated RS-485 line between a client and simulated meters, with true byte timing and faults.

The client opens a pty (`Wire.path`) or a TCP port (`Wire.port`). pymodbus answers on a second pty. In
between a thread frames requests, holds every reply back until a real line would have carried its last
character, and does to it what the faults say:

    client writes ──► request characters ──► turn-around ──► reply characters ──► client reads
                      8 × bits / baud        of the meter    n × bits / baud

Times are planned on the monotonic clock from the moment the first byte of a request arrives; how much later
than planned a reply was handed over is kept as `Exchange.lateness`, so that a benchmark can show what its
machine could not do.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
import contextlib
from dataclasses import dataclass, field
from enum import StrEnum
import heapq
import itertools
import os
from pathlib import Path
import random
import select
import socket
import tempfile
import threading
import time
import tty
from types import TracebackType
from typing import Final, Literal, Protocol, Self

from .frames import Adu, rtu_reply_length, take_mbap_request, take_rtu_request
from .meters import Meter, MeterServer

SILENCE_CHARACTERS: Final = 3.5
"""Silence between two frames, in characters (Modbus over Serial Line V1.02, 2.5.1.1)."""

_SPIN: Final = 0.00025
"""Last seconds before a planned moment that are spent looking at the clock."""
_SERVER_PATIENCE: Final = 2.0
_PARTIAL_REQUEST_LIFE: Final = 0.05


@dataclass(frozen=True, slots=True)
class ByteTiming:
    """How long characters take on the line."""

    baudrate: int
    bits: int = 10
    """Bits per character: start, data, parity and stop bits; 10 for 8N1, 11 for 8E1 and 8N2."""

    @property
    def character(self) -> float:
        """Seconds per character."""
        return self.bits / self.baudrate

    @property
    def silence(self) -> float:
        """Seconds that separate two frames: 3.5 characters, 1.75 ms above 19200 baud."""
        return SILENCE_CHARACTERS * self.character if self.baudrate <= 19200 else 0.00175


class FaultKind(StrEnum):
    """What may happen to one exchange."""

    LOSE_REQUEST = "lose_request"
    """The meter does not hear it."""
    DROP = "drop"
    """The meter acts, the reply gets lost."""
    CORRUPT = "corrupt"
    """One bit of the reply is turned over."""
    TRUNCATE = "truncate"
    """The reply ends early."""
    NOISE_BEFORE = "noise_before"
    """One to four bytes that belong to nothing come before the reply."""
    NOISE_AFTER = "noise_after"
    EXCEPTION = "exception"
    """The meter answers with exception `code` and does not act."""
    DELAY = "delay"
    """The reply starts `seconds` later; the meter keeps what it is asked meanwhile and answers that after."""
    TWICE = "twice"
    """The reply is sent twice."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, with what it needs."""

    kind: FaultKind
    seconds: float = 0
    code: int = 4


class Faults(Protocol):
    """Decides what happens to a request."""

    def __call__(self, request: Adu, /) -> Fault | None:
        """Return the fault of this exchange, if any."""


class RandomFaults:
    """Each fault with a probability of its own, by a seed, so that a run can be repeated."""

    def __init__(
        self, seed: int, chances: Sequence[tuple[float, Fault]], units: Iterable[int] | None = None
    ) -> None:
        """Take `(probability, fault)` pairs; `units` limits them to these meters."""
        self._random = random.Random(seed)
        self._chances = tuple(chances)
        self._units = None if units is None else frozenset(units)

    def __call__(self, request: Adu, /) -> Fault | None:
        """Draw once per request."""
        draw = self._random.random()
        if self._units is not None and request.unit_id not in self._units:
            return None
        for probability, fault in self._chances:
            if draw < probability:
                return fault
            draw -= probability
        return None


@dataclass(slots=True)
class Exchange:
    """One request and what became of it; times on the monotonic clock."""

    start: float
    """When the first character of the request was on the line."""
    request: Adu
    reply: bytes = b""
    """What the client was given; empty if nothing."""
    fault: str | None = None
    """The fault, or `silent`, `collision`, `no_silence`, `too_early`, `unknown_unit`."""
    planned: float = 0
    """When the last character of the reply was due at the client."""
    lateness: float = 0
    """Seconds that it was handed over after that."""

    @property
    def block(self) -> tuple[int, int, int]:
        """(function, address, count) of a read request."""
        pdu = self.request.pdu
        return pdu[0], int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")


@dataclass(order=True, slots=True)
class _Event:
    due: float
    number: int
    act: Callable[[float], None] = field(compare=False)
    precise: bool = field(compare=False)


@dataclass(slots=True)
class _Transmission:
    """A reply on its way."""

    exchange: Exchange | None
    unit_id: int
    data: bytes
    ruined: bool = False


@dataclass(slots=True)
class WireStatistics:
    """What happened on the line since the last reset."""

    since: float
    requests: int
    replies: int
    faults: dict[str, int]
    busy: float
    """Seconds in which a frame was on the line or a meter was turning around."""
    lateness_mean: float
    lateness_max: float
    """How precise the emulation was, seconds."""


class Wire:
    """The line; a context manager, sync or async, that starts and ends everything it needs.

    `timing` None is a link without byte timing (a network). `endpoint` is what the client finds: `pty`, RTU over
    TCP or Modbus TCP (a gateway in front of the same serial line).
    """

    def __init__(
        self,
        meters: Iterable[Meter],
        *,
        timing: ByteTiming | None,
        endpoint: Literal["pty", "rtu_over_tcp", "tcp"] = "pty",
        turnaround: float = 0.0,
        insist_on_silence: bool = False,
        faults: Faults | None = None,
        seed: int = 1,
        path: Path | None = None,
    ) -> None:
        """Plan the line.

        Args:
            meters: the units on the line.
            timing: the line's speed.
            endpoint: what the client opens.
            turnaround: seconds from the end of a request to the start of its reply.
            insist_on_silence: whether a request that comes before 3.5 characters of silence is lost.
            faults: what goes wrong, unless `inject` says otherwise.
            seed: for the bits and bytes that faults choose.
            path: where the client finds the pty; a place in a temporary directory if None.
        """
        self.timing = timing
        self.turnaround = turnaround
        self.insist_on_silence = insist_on_silence
        self.faults = faults
        self.log: list[Exchange] = []
        self._server = MeterServer(meters)
        self._endpoint = endpoint
        self._random = random.Random(seed)
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        if path is None:
            self._directory = tempfile.TemporaryDirectory(prefix="line-")
            path = Path(self._directory.name) / "tty"
        self._path = path
        self._lock = threading.RLock()
        self._injected: list[tuple[int | None, Fault]] = []
        self._silent: set[int] = set()
        self._events: list[_Event] = []
        self._numbers = itertools.count()
        self._client: int | socket.socket | None = None
        self._client_slave: int | None = None
        self._listener: socket.socket | None = None
        self._port = 0
        self._server_master = -1
        self._server_slave = -1
        self._wake_read, self._wake_write = os.pipe()
        self._buffer = bytearray()
        self._buffer_since = 0.0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="wire", daemon=True)
        self._line_free_at = 0.0
        self._quiet_since = 0.0
        self._unit_free_at: dict[int, float] = {}
        self._unit_heard_at: dict[int, float] = {}
        self._sending: _Transmission | None = None
        self._busy = 0.0
        self._since = time.monotonic()
        self._first_exchange = 0

    # What a test does to the line.

    @property
    def path(self) -> str:
        """Where the client finds the serial port."""
        return str(self._path)

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1."""
        if self._listener is None:
            raise RuntimeError("this line is a pty")
        return int(self._listener.getsockname()[1])

    @property
    def meters(self) -> dict[int, Meter]:
        """The units on the line; may be changed at any time."""
        return self._server.meters

    def inject(self, fault: Fault, *, unit: int | None = None, count: int = 1) -> None:
        """Let the next `count` requests (to this unit, if given) meet the fault."""
        with self._lock:
            self._injected += [(unit, fault)] * count

    def silence(self, *units: int) -> None:
        """Let these units hear nothing from now on."""
        with self._lock:
            self._silent.update(units)

    def revive(self, *units: int) -> None:
        """Let these units answer again."""
        with self._lock:
            self._silent.difference_update(units)

    def unplug(self) -> None:
        """Take the adapter away: the port is gone, with its path; over TCP the gateway is off."""
        with self._lock:
            if self._endpoint == "pty":
                self._path.unlink(missing_ok=True)
            elif self._listener is not None:
                self._port = self.port
                self._listener.close()
                self._listener = None
            self._close_client()
            self._events.clear()
            self._buffer.clear()
            self._sending = None
        self._wake()

    def plug(self) -> None:
        """Bring the adapter back under the same path or port."""
        with self._lock:
            self._open_client(self._port)
        self._wake()

    def send_stray(self, data: bytes) -> None:
        """Put bytes on the line that nobody asked for, as soon as it is free."""
        with self._lock:
            self._at(
                time.monotonic(),
                lambda now: self._begin_reply(now, _Transmission(None, -1, data)),
            )
        self._wake()

    def foreign_exchange(self, request: Adu, reply: Adu) -> None:
        """Let another master ask and a meter answer it, heard by our client."""
        self.send_stray(request.rtu())
        self.send_stray(reply.rtu())

    def statistics(self) -> WireStatistics:
        """Count since the start or the last `reset_statistics`."""
        with self._lock:
            exchanges = self.log[self._first_exchange :]
            answered = [one for one in exchanges if one.reply]
            faults: dict[str, int] = {}
            for one in exchanges:
                if one.fault is not None:
                    faults[one.fault] = faults.get(one.fault, 0) + 1
            late = [one.lateness for one in answered]
            return WireStatistics(
                since=self._since,
                requests=len(exchanges),
                replies=len(answered),
                faults=faults,
                busy=self._busy,
                lateness_mean=sum(late) / len(late) if late else 0.0,
                lateness_max=max(late, default=0.0),
            )

    def reset_statistics(self) -> None:
        """Count from here."""
        with self._lock:
            self._first_exchange = len(self.log)
            self._busy = 0.0
            self._since = time.monotonic()

    # Life.

    def __enter__(self) -> Self:
        """Start meters and line."""
        self._server.__enter__()
        self._server_master, self._server_slave = os.openpty()
        tty.setraw(self._server_slave)
        os.set_blocking(self._server_master, False)
        self._server.serve_serial(os.ttyname(self._server_slave))
        self._open_client(0)
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End line and meters, and leave nothing behind."""
        self._stopping = True
        self._wake()
        self._thread.join(5)
        self._server.__exit__(exc_type, exc, traceback)
        self._close_client()
        if self._listener is not None:
            self._listener.close()
        for descriptor in (
            self._server_master,
            self._server_slave,
            self._wake_read,
            self._wake_write,
        ):
            os.close(descriptor)
        self._path.unlink(missing_ok=True)
        if self._directory is not None:
            self._directory.cleanup()

    async def __aenter__(self) -> Self:
        """Start meters and line."""
        return self.__enter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End line and meters, and leave nothing behind."""
        self.__exit__(exc_type, exc, traceback)

    def _open_client(self, port: int) -> None:
        if self._endpoint == "pty":
            self._client, self._client_slave = os.openpty()
            tty.setraw(self._client_slave)
            os.set_blocking(self._client, False)
            self._path.unlink(missing_ok=True)
            self._path.symlink_to(os.ttyname(self._client_slave))
        else:
            self._listener = socket.create_server(("127.0.0.1", port), reuse_port=False)
            self._listener.setblocking(False)

    def _close_client(self) -> None:
        if isinstance(self._client, socket.socket):
            self._client.close()
        elif self._client is not None:
            os.close(self._client)
        self._client = None
        if self._client_slave is not None:
            os.close(self._client_slave)
            self._client_slave = None

    def _wake(self) -> None:
        os.write(self._wake_write, b".")

    # The line's thread.

    def _at(self, due: float, act: Callable[[float], None], *, precise: bool = False) -> None:
        heapq.heappush(self._events, _Event(due, next(self._numbers), act, precise))

    def _run(self) -> None:
        while not self._stopping:
            with self._lock:
                due = self._events[0].due if self._events else None
                watched: list[int | socket.socket] = [self._wake_read]
                if self._client is not None:
                    watched.append(self._client)
                if self._listener is not None:
                    watched.append(self._listener)
            wait = None if due is None else max(0.0, due - _SPIN - time.monotonic())
            try:
                ready, _, _ = select.select(watched, [], [], wait)
            except OSError, ValueError:
                continue  # A descriptor was closed by unplug() meanwhile.
            with self._lock:
                if self._wake_read in ready:
                    os.read(self._wake_read, 4096)
                if self._listener is not None and self._listener in ready:
                    self._accept()
                if self._client is not None and self._client in ready:
                    self._read_client()
                if self._events and self._events[0].due - time.monotonic() <= _SPIN:
                    event = heapq.heappop(self._events)
                    while event.precise and time.monotonic() < event.due:
                        pass
                    event.act(event.due)

    def _accept(self) -> None:
        assert self._listener is not None
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # One client at a time, the newest: a gateway that has lost a peer learns it that way.
            self._close_client()
            self._client = connection
            self._buffer.clear()

    def _read_client(self) -> None:
        arrival = time.monotonic()
        assert self._client is not None
        try:
            if isinstance(self._client, socket.socket):
                data = self._client.recv(4096)
                if not data:
                    self._close_client()
                    return
            else:
                data = os.read(self._client, 4096)
        except BlockingIOError:
            return
        except OSError:
            self._close_client()
            return
        if self._buffer and arrival - self._buffer_since > _PARTIAL_REQUEST_LIFE:
            self._buffer.clear()
        if not self._buffer:
            self._buffer_since = arrival
        self._buffer += data
        take = take_mbap_request if self._endpoint == "tcp" else take_rtu_request
        while (request := take(self._buffer)) is not None:
            self._hear(request, arrival)

    def _hear(self, request: Adu, arrival: float) -> None:
        """A request is being sent: decide what the meters make of it, and plan the reply."""
        exchange = Exchange(arrival, request)
        self.log.append(exchange)
        character = self.timing.character if self.timing else 0.0
        length = len(request.pdu) + 3
        if self._sending is not None and self.timing is not None and self._endpoint == "pty":
            # Two talk at once: neither is understood.
            exchange.fault = "collision"
            self._sending.ruined = True
            self._line_free_at = max(self._line_free_at, arrival + length * character)
            return
        # The adapter sends what it is given one after the other.
        start = max(arrival, self._line_free_at)
        end = start + length * character
        quiet = start - self._quiet_since
        self._busy += length * character
        self._line_free_at = end
        self._quiet_since = end
        if self.insist_on_silence and self.timing and quiet < self.timing.silence:
            exchange.fault = "no_silence"
            return
        unit_id = request.unit_id
        meter = self.meters.get(unit_id)
        if meter is None:
            exchange.fault = "unknown_unit"
            return
        if unit_id in self._silent:
            exchange.fault = "silent"
            return
        if start - self._unit_heard_at.get(unit_id, 0.0) < meter.min_gap:
            exchange.fault = "too_early"
            return
        fault = self._choose_fault(request)
        if fault is not None:
            exchange.fault = fault.kind.value
        reply = self._ask_meter(request, fault)
        turnaround = self.turnaround if meter.turnaround is None else meter.turnaround
        self._busy += turnaround
        if fault is not None and fault.kind is FaultKind.DELAY:
            turnaround += fault.seconds
        if reply is None:
            return
        reply_start = max(end, self._unit_free_at.get(unit_id, 0.0)) + turnaround
        self._unit_free_at[unit_id] = reply_start + len(reply) * character
        transmission = _Transmission(exchange, unit_id, reply)
        self._at(reply_start, lambda now: self._begin_reply(now, transmission))

    def _choose_fault(self, request: Adu) -> Fault | None:
        for index, (unit, fault) in enumerate(self._injected):
            if unit is None or unit == request.unit_id:
                del self._injected[index]
                return fault
        return self.faults(request) if self.faults is not None else None

    def _ask_meter(self, request: Adu, fault: Fault | None) -> bytes | None:
        """Return the reply as the client will get it; None if there will be none."""
        match fault:
            case Fault(FaultKind.LOSE_REQUEST):
                return None
            case Fault(FaultKind.EXCEPTION, code=code):
                return self._wrap(request.exception(code))
        frame = self._ask_server(request)
        if frame is None:
            return None
        reply = self._wrap(Adu(frame[0], frame[1:-2], request.transaction))
        if fault is None:
            return reply
        match fault.kind:
            case FaultKind.DROP:
                return None
            case FaultKind.CORRUPT:
                # On TCP the check sum is the network's; what a broken gateway mixes up is the transaction.
                position = 0 if self._endpoint == "tcp" else self._random.randrange(len(reply))
                flipped = reply[position] ^ (1 << self._random.randrange(8))
                return reply[:position] + bytes([flipped]) + reply[position + 1 :]
            case FaultKind.TRUNCATE:
                return reply[: self._random.randrange(1, len(reply))]
            case FaultKind.NOISE_BEFORE:
                return self._noise() + reply
            case FaultKind.NOISE_AFTER:
                return reply + self._noise()
            case FaultKind.TWICE:
                return reply * 2
        return reply

    def _noise(self) -> bytes:
        return self._random.randbytes(self._random.randint(1, 4))

    def _wrap(self, reply: Adu) -> bytes:
        return reply.mbap() if self._endpoint == "tcp" else reply.rtu()

    def _ask_server(self, request: Adu) -> bytes | None:
        """Put the request to pymodbus and wait for its whole reply."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._server_master, 4096)
        os.write(self._server_master, request.rtu())
        reply = b""
        deadline = time.monotonic() + _SERVER_PATIENCE
        while (length := rtu_reply_length(reply)) is None or len(reply) < length:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._server_master], [], [], max(0.0, left))
            if not ready:
                return None
            reply += os.read(self._server_master, 4096)
        return reply[:length]

    def _begin_reply(self, now: float, transmission: _Transmission) -> None:
        """The meter starts to send; it waits while somebody else is sending."""
        if self._line_free_at > now:
            wait = self._line_free_at + (self.timing.silence if self.timing else 0.0)
            self._at(wait, lambda later: self._begin_reply(later, transmission))
            return
        character = self.timing.character if self.timing else 0.0
        duration = len(transmission.data) * character
        self._busy += duration
        self._line_free_at = now + duration
        self._sending = transmission
        self._at(now + duration, lambda then: self._end_reply(then, transmission), precise=True)

    def _end_reply(self, now: float, transmission: _Transmission) -> None:
        if self._sending is transmission:
            self._sending = None
        data = transmission.data
        if transmission.ruined:
            data = bytes(byte ^ 0x55 for byte in data)
            if transmission.exchange is not None:
                transmission.exchange.fault = "collision"
        # All is noted before the client can know, lest it sees a log, or a silence, that is not yet true.
        done = time.monotonic()
        self._quiet_since = done
        self._unit_heard_at[transmission.unit_id] = done
        if (exchange := transmission.exchange) is not None:
            exchange.reply = data
            exchange.planned = now
            exchange.lateness = done - now
        self._write_client(data)

    def _write_client(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            if isinstance(self._client, socket.socket):
                self._client.sendall(data)
            elif self._client is not None:
                os.write(self._client, data)


@contextlib.asynccontextmanager
async def rtu_line(
    meters: Iterable[Meter],
    *,
    baudrate: int = 115200,
    bits: int = 10,
    turnaround: float = 0.002,
    insist_on_silence: bool = False,
    faults: Faults | None = None,
    seed: int = 1,
    path: Path | None = None,
) -> AsyncIterator[Wire]:
    """A serial line at `line.path`; fast by default, so that tests are."""
    async with Wire(
        meters,
        timing=ByteTiming(baudrate, bits),
        turnaround=turnaround,
        insist_on_silence=insist_on_silence,
        faults=faults,
        seed=seed,
        path=path,
    ) as line:
        yield line


@contextlib.asynccontextmanager
async def rtu_over_tcp_line(
    meters: Iterable[Meter],
    *,
    baudrate: int = 115200,
    turnaround: float = 0.002,
    faults: Faults | None = None,
    seed: int = 1,
) -> AsyncIterator[Wire]:
    """A bridge that carries the frames of a serial line as they are, at 127.0.0.1:`line.port`."""
    async with Wire(
        meters,
        timing=ByteTiming(baudrate),
        endpoint="rtu_over_tcp",
        turnaround=turnaround,
        faults=faults,
        seed=seed,
    ) as line:
        yield line


@contextlib.asynccontextmanager
async def tcp_line(
    meters: Iterable[Meter],
    *,
    baudrate: int | None = None,
    turnaround: float = 0.001,
    faults: Faults | None = None,
    seed: int = 1,
) -> AsyncIterator[Wire]:
    """A Modbus TCP gateway at 127.0.0.1:`line.port`; with a baud rate, in front of a serial line."""
    async with Wire(
        meters,
        timing=ByteTiming(baudrate) if baudrate else None,
        endpoint="tcp",
        turnaround=turnaround,
        faults=faults,
        seed=seed,
    ) as line:
        yield line
