"""A bridge on the network that listens, and lets in who knows its pairing key."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, override

from ..base import SourceError
from .lines import LineSplitter
from .link import MAX_UNSENT, PIECE, StreamLink, Throttle
from .probe import Prober
from .protocol import MAX_LINE, VERSION, Hello, decode, encode
from .security import SUFFIX_LENGTH, HostHandshake, LineSigner, normalise_key
from .session import BridgeSession

DEFAULT_PORT: Final = 8731
PING_AFTER: Final = 15.0
"""Seconds without a line of our own."""
DEAD_AFTER: Final = 45.0
"""Seconds without a line of the bridge's."""
_CONNECT_TIMEOUT: Final = 10.0
_HANDSHAKE_TIMEOUT: Final = 75.0
"""Seconds; after failed attempts a bridge takes up to 60 before it says anything."""
_PROBE_TIMEOUT: Final = 20.0
_HELLO_TIMEOUT: Final = 10.0
_FIRST_LINE_TIMEOUT: Final = 3.0
"""Seconds in which a bridge that wants a key has said so."""
_LONGEST_PAUSE: Final = 30.0
_AFTER_REFUSAL: Final = 60.0
"""Seconds before a key that was refused is tried again: each attempt makes the bridge slower for everybody."""
_PING: Final = encode({"type": "ping"})


class TcpLink(StreamLink):
    """Signed lines over TCP."""

    def __init__(self, host: str, port: int = DEFAULT_PORT, key: str | None = None) -> None:
        """Keep the address; without a key only a bridge that asks for none is taken.

        Raises:
            ValueError: the key is none.
        """
        super().__init__(longest_pause=_LONGEST_PAUSE)
        self._host = host
        self._port = port
        self._key = None if key is None else normalise_key(key)
        self._channel: _Channel | None = None
        self._up = False

    @override
    def send(self, line: bytes) -> None:
        if self._channel is not None:
            self._channel.send(line)

    @property
    @override
    def connected(self) -> bool:
        return self._channel is not None

    @override
    def describe(self) -> str:
        return f"{self._host}:{self._port}"

    @override
    def _was_up(self) -> bool:
        return self._up

    @override
    async def _once(self, session: BridgeSession) -> float:
        self._up = False
        try:
            async with _connect(self._host, self._port) as channel:
                async with asyncio.timeout(_HANDSHAKE_TIMEOUT):
                    await channel.shake_hands(self._key)
                self._up = True
                self._channel = channel
                session.connected(greets=True)
                await channel.talk(session)
        except SourceError as err:
            session.trouble(err.key.removeprefix("bridge_"), err.placeholders.get("detail", ""))
            return 0.0 if self._up else _AFTER_REFUSAL
        except (OSError, TimeoutError) as err:
            if not self._up:
                session.trouble("cannot_connect", str(err) or "no answer")
        finally:
            self._channel = None
            session.disconnected()
        return 0.0


async def tcp_probe(host: str, port: int = DEFAULT_PORT, key: str | None = None) -> Hello:
    """Who is at an address.

    Raises:
        SourceError: `bridge_cannot_connect` (placeholder `detail`), `bridge_key_needed`, `bridge_key_refused` (wrong key),
            `bridge_not_a_bridge` (something else answers there), `bridge_no_answer`, `bridge_version` (placeholder `version`).
        ValueError: the key is none.
    """
    normalised = None if key is None else normalise_key(key)
    try:
        async with _connect(host, port) as channel:
            try:
                async with asyncio.timeout(_PROBE_TIMEOUT):
                    await channel.shake_hands(normalised)
            except TimeoutError as err:
                raise SourceError("bridge_no_answer") from err
            prober = Prober(channel.send)
            prober.session.connected(greets=True)
            talking = asyncio.create_task(channel.talk(prober.session))
            try:
                return await prober.wait(_HELLO_TIMEOUT, ended=talking)
            finally:
                talking.cancel()
                await asyncio.wait({talking})
    except (OSError, TimeoutError) as err:
        raise SourceError("bridge_cannot_connect", {"detail": str(err) or "timeout"}) from err
    except SourceError as err:
        unknown = {
            "bridge_silent": "bridge_no_answer",
            "bridge_not_understood": "bridge_not_a_bridge",
        }
        raise SourceError(unknown.get(err.key, err.key), err.placeholders) from err


@asynccontextmanager
async def _connect(host: str, port: int) -> AsyncIterator[_Channel]:
    async with asyncio.timeout(_CONNECT_TIMEOUT):
        reader, writer = await asyncio.open_connection(host, port)
    try:
        yield _Channel(reader, writer)
    finally:
        # Not `close`, which waits until everything is sent: nobody may be there to take it.
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


class _Channel:
    """One connection: lines out of the stream, signed once both ends have shown that they know the key."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._splitter = LineSplitter(MAX_LINE + SUFFIX_LENGTH)
        self._lines: Iterator[bytes | None] = iter(())
        self._signer: LineSigner | None = None
        self._throttle = Throttle(self._loop.time, asyncio.sleep)
        self._sent_at = self._heard_at = self._loop.time()

    def send(self, line: bytes) -> None:
        """Send a line; where the bridge does not take any, it is dropped and the connection is as good as dead."""
        if self._writer.transport.get_write_buffer_size() >= MAX_UNSENT:
            return
        self._sent_at = self._loop.time()
        signed = line if self._signer is None else self._signer.sign(line)
        self._writer.write(signed + b"\n")

    async def shake_hands(self, key: str | None) -> None:
        """Show that both ends know the key.

        Raises:
            SourceError: they do not, or the other end is something else.
        """
        if key is None:
            await self._expect_no_challenge()
            return
        challenge = await self._message()
        if challenge.get("type") != "challenge":
            raise SourceError("bridge_not_a_bridge")
        if challenge.get("v") != VERSION:
            version = str(challenge.get("v"))
            raise SourceError("bridge_version", {"version": version, "detail": version})
        try:
            handshake = HostHandshake(key, str(challenge.get("nonce")))
        except ValueError as err:
            raise SourceError("bridge_not_a_bridge") from err
        self.send(encode({"type": "auth", "nonce": handshake.nonce, "mac": handshake.proof}))
        answer = await self._message()
        if answer.get("type") == "denied":
            raise SourceError("bridge_key_refused")
        if answer.get("type") != "welcome":
            raise SourceError("bridge_not_a_bridge")
        if not handshake.accepts(str(answer.get("mac"))):
            # It does not know the key: somebody in its place.
            raise SourceError("bridge_key_refused")
        self._signer = handshake.signer()

    async def talk(self, session: BridgeSession) -> None:
        """Bring the bridge's lines to the session until the connection ends or is dead.

        Raises:
            SourceError: `bridge_tampered`: a line was not signed as it has to be.
            TimeoutError: nothing came for `DEAD_AFTER`.
        """
        self._heard_at = self._loop.time()
        while True:
            for line in self._lines:
                self._take(line, session)
            now = self._loop.time()
            if now - self._sent_at >= PING_AFTER:
                self.send(_PING)
            due = min(self._heard_at + DEAD_AFTER, self._sent_at + PING_AFTER)
            try:
                async with asyncio.timeout_at(due):
                    if not await self._more():
                        return
            except TimeoutError:
                if self._loop.time() - self._heard_at >= DEAD_AFTER:
                    raise

    def _take(self, line: bytes | None, session: BridgeSession) -> None:
        if self._signer is None:
            self._heard_at = self._loop.time()
            # One byte more than any line: the session says what it thinks of it.
            session.feed_lines([b" " * (MAX_LINE + 1) if line is None else line])
            return
        body = None if line is None else self._signer.check(line)
        if body is None:
            raise SourceError("bridge_tampered")
        self._heard_at = self._loop.time()
        session.feed_lines([body])

    async def _expect_no_challenge(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_LINE_TIMEOUT):
                line = await self._line()
            if line is not None and decode(line).get("type") == "challenge":
                raise SourceError("bridge_key_needed")
            self._lines = iter([line, *self._lines])

    async def _message(self) -> dict[str, Any]:
        line = await self._line()
        message = {} if line is None else decode(line)
        if not message:
            raise SourceError("bridge_not_a_bridge")
        return message

    async def _line(self) -> bytes | None:
        while True:
            for line in self._lines:
                return line
            if not await self._more():
                raise ConnectionResetError("closed by the bridge")

    async def _more(self) -> bool:
        data = await self._reader.read(PIECE)
        self._lines = iter(self._splitter.feed(data))
        # Last: whoever stops waiting here must find the lines, for each is counted in its signature.
        await self._throttle.passed(len(data))
        return bool(data)
