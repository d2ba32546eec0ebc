"""A bridge on a serial port, an ESPHome serial proxy or a raw socket (serialx)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
import errno
from typing import Final, override

from serialx import BaseSerialTransport, SerialException, SerialStreamWriter, open_serial_connection

from ..base import SourceError
from .lines import LineSplitter
from .link import MAX_UNSENT, PIECE, StreamLink, Throttle
from .probe import Prober
from .protocol import BadLine, Hello, parse_line
from .session import BridgeSession

_OPEN_TIMEOUT: Final = 15.0
_CANCEL_TIMEOUT: Final = 0.5
"""Seconds in which the system has opened a port or said that it cannot; over the network it takes longer."""
_CLOSE_TIMEOUT: Final = 2.0
_STALE: Final = 0.05
"""Seconds after opening whose bytes are dropped: what an adapter kept from before is no present value."""
_MOST_KEPT: Final = 1 << 20
_LONGEST_PAUSE: Final = 5.0
_SILENCE: Final = 60.0
"""Seconds without a byte after which a connection over the network is made anew: it may be dead without a sign."""
_INTERVALS_OF_SILENCE: Final = 10
_FAILURES: Final = (OSError, SerialException, ValueError, TimeoutError)
"""What serialx raises for a port that cannot be opened, is gone, or is no port at all."""

type _Port = tuple[asyncio.StreamReader, SerialStreamWriter[BaseSerialTransport]]


class SerialLink(StreamLink):
    """Lines over a port that may be pulled and come back."""

    def __init__(self, url: str, baudrate: int = 9600) -> None:
        """Keep the port: a path, `socket://host:port` or `esphome-hass://…`."""
        super().__init__(longest_pause=_LONGEST_PAUSE)
        self._url = url
        self._baudrate = baudrate
        self._writer: SerialStreamWriter[BaseSerialTransport] | None = None
        self._up = False

    @override
    def send(self, line: bytes) -> None:
        if self._writer is not None:
            _write(self._writer, line)

    @property
    @override
    def connected(self) -> bool:
        return self._writer is not None

    @override
    def describe(self) -> str:
        return self._url

    @override
    def _was_up(self) -> bool:
        return self._up

    @override
    async def _once(self, session: BridgeSession) -> float:
        self._up = False
        try:
            async with _open(self._url, self._baudrate) as (reader, writer):
                self._up = True
                await _settle(reader)
                self._writer = writer
                session.connected()
                await _read_all(reader, session, network="://" in self._url)
        except _FAILURES as err:
            if not self._up:
                session.trouble("cannot_connect", str(err))
        finally:
            self._writer = None
            session.disconnected()
        return 0.0


async def serial_probe(url: str, baudrate: int = 9600, wait: float = 6) -> Hello:
    """Who is at a port: its hello, or after `wait` seconds one put together from the bare readings seen.

    Raises:
        SourceError: `bridge_cannot_open` (placeholder `detail`), `bridge_in_use`, `bridge_silent` (nothing came),
            `bridge_not_understood` (something came but no message: another speed?), `bridge_version` (placeholder `version`).
    """
    try:
        async with _open(url, baudrate) as (reader, writer):
            prober = Prober(lambda line: _write(writer, line))
            await _settle(reader)
            prober.session.connected()
            reading = asyncio.create_task(_read_all(reader, prober.session, torn=False))
            try:
                return await prober.wait(wait, ended=reading)
            finally:
                reading.cancel()
                await asyncio.wait({reading})
    except _FAILURES as err:
        if isinstance(err, OSError) and err.errno in {errno.EBUSY, errno.EAGAIN}:
            raise SourceError("bridge_in_use", {"detail": str(err)}) from err
        raise SourceError("bridge_cannot_open", {"detail": str(err)}) from err


@asynccontextmanager
async def _open(url: str, baudrate: int) -> AsyncIterator[_Port]:
    opening = asyncio.ensure_future(open_serial_connection(url, baudrate))
    try:
        await asyncio.wait({opening}, timeout=_OPEN_TIMEOUT)
        if not opening.done():
            raise TimeoutError(f"{url} could not be opened in {_OPEN_TIMEOUT:.0f} s")
        reader, writer = opening.result()
        yield reader, writer
    finally:
        await _close(opening)


async def _close(opening: asyncio.Future[_Port]) -> None:
    """Close what was opened, or is about to be: the system's `open` cannot be taken back half-way."""
    await asyncio.wait({opening}, timeout=_CANCEL_TIMEOUT)
    if not opening.done():
        opening.cancel()
        await asyncio.wait({opening})
    if opening.cancelled() or opening.exception() is not None:
        return
    _, writer = opening.result()
    # Not `close`, which waits until everything is sent: nobody may be there to take it.
    writer.transport.abort()
    with suppress(*_FAILURES):
        async with asyncio.timeout(_CLOSE_TIMEOUT):
            await writer.transport.wait_closed()


def _write(writer: SerialStreamWriter[BaseSerialTransport], line: bytes) -> None:
    with suppress(*_FAILURES):  # The reading end notices too, and opens the port again.
        if writer.transport.get_write_buffer_size() < MAX_UNSENT:
            writer.write(line + b"\n")


async def _settle(reader: asyncio.StreamReader) -> None:
    """Drop what was kept while nobody had the port open."""
    await asyncio.sleep(_STALE)
    with suppress(TimeoutError):
        async with asyncio.timeout(0):
            await reader.read(_MOST_KEPT)


async def _read_all(
    reader: asyncio.StreamReader,
    session: BridgeSession,
    *,
    network: bool = False,
    torn: bool = True,
) -> None:
    """Bring everything to the session until the port ends; the rest of a line at the start is nobody's fault.

    Args:
        reader: the port.
        session: takes what comes.
        network: whether the connection may be dead without a sign.
        torn: leave the first line out if it is none; a probe wants to know of everything that comes.

    Raises:
        TimeoutError: with `network`, nothing came for so long that the connection may be dead.
    """
    loop = asyncio.get_running_loop()
    throttle = Throttle(loop.time, asyncio.sleep)
    first = LineSplitter() if torn else None
    while True:
        async with asyncio.timeout(_longest_silence(session) if network else None):
            data = await reader.read(PIECE)
        if not data:
            return
        if first is not None:
            cut = data.find(b"\n") + 1
            begun = [line for line in first.feed(data[:cut] or data) if line is not None]
            if not cut:
                continue
            first, data = None, data[cut:]
            session.feed_lines(line for line in begun if _is_whole(line))
        session.feed(data)
        await throttle.passed(len(data))


def _longest_silence(session: BridgeSession) -> float:
    interval = session.hello.interval if session.hello is not None else 0.0
    return max(_SILENCE, _INTERVALS_OF_SILENCE * interval)


def _is_whole(line: bytes) -> bool:
    try:
        parse_line(line)
    except BadLine:
        return False
    return True
