"""The bridge as a TCP server: pairing handshake, then lines with a MAC each. One host at a time."""

import asyncio
import json

from . import mac, net
from .lines import BadLine, Lines, message
from .session import Session
from .stream_uplink import DEAD_MS, MAX_LINE, Waker, hear, speak

_HANDSHAKE_S = 10
_MOST_DELAY_MS = 60_000
_ONE_PACKET = 1000


class TcpUplink:
    """Whoever knows the pairing key is let in; a newer host ends the older one's connection."""

    def __init__(self, bridge, key, port):
        """`key`: the 20 characters; nobody is let in without one."""
        self._bridge = bridge
        self._clock = bridge.clock
        self._key = key.encode()
        self._port = port
        self._waker = Waker()
        self.session = Session("tcp", bridge)
        self.session.on_news = self._waker.wake
        self._greeting = False
        self._task = None
        self._failures = 0
        self._failed_ms = 0

    async def run(self):
        """Listen, for ever."""
        server = await asyncio.start_server(self._serve, "0.0.0.0", self._port, 2)
        try:
            await server.wait_closed()
        finally:
            server.close()

    async def _serve(self, reader, writer):
        try:
            if self._greeting:  # One socket for strangers, so that many of them cost nothing.
                return
            self._greeting = True
            try:
                seal = await self._greet(reader, writer)
            finally:
                self._greeting = False
            if seal:
                await self._converse(reader, writer, seal)
        except (OSError, asyncio.TimeoutError):
            pass  # The connection ended; the host comes back when it wants to.
        except Exception as error:
            self._bridge.log("error", "tcp: %r" % error)
        finally:
            await net.shut(writer)

    def delay_ms(self):
        """How long a stranger has to wait now: 1 s after a failed attempt, then 2, 4 … up to 60 s."""
        if not self._failures:
            return 0
        wait = min(_MOST_DELAY_MS, 500 << min(self._failures, 10))
        return max(0, self._failed_ms + wait - self._clock.ms())

    async def _greet(self, reader, writer):
        """The seal for the connection, or None if the other end does not know the key."""
        await asyncio.sleep_ms(self.delay_ms())
        ours = mac.nonce()
        challenge = {
            "type": "challenge",
            "v": 1,
            "bridge": self._bridge.who["id"],
            "nonce": ours.decode(),
        }
        await _write(writer, json.dumps(challenge).encode())
        theirs, proof = await asyncio.wait_for(_read_auth(reader), _HANDSHAKE_S)
        right = mac.hexadecimal(mac.hmac(self._key, b"host|", ours, b"|", theirs))
        if not theirs or not mac.same(right, proof):
            self._failures += 1
            self._failed_ms = self._clock.ms()
            self._bridge.trouble("tcp: somebody tried a wrong key")
            await _write(writer, b'{"type":"denied","reason":"key"}')
            return None
        self._failures = 0
        welcome = mac.hexadecimal(mac.hmac(self._key, b"bridge|", theirs, b"|", ours))
        await _write(writer, b'{"type":"welcome","mac":"%s"}' % welcome)
        return mac.Seal(mac.hmac(self._key, b"session|", ours, b"|", theirs))

    async def _converse(self, reader, writer, seal):
        if self._task:
            self._task.cancel()
            await asyncio.sleep_ms(0)
        self._task = me = asyncio.current_task()
        session = self.session
        session.connect()
        lines = Lines(MAX_LINE)

        async def write(line):
            end = seal.seal(line) + b"\n"
            if len(line) < _ONE_PACKET:
                await net.write(writer, bytes(line) + end)
            else:
                await net.write(writer, line, end)

        speaker = asyncio.create_task(
            _quietly(speak(session, self._clock, self._waker, write, True))
        )
        heard_ms = self._clock.ms()
        try:
            while not speaker.done():
                try:
                    data = await asyncio.wait_for(reader.read(1024), 5)
                except asyncio.TimeoutError:
                    if self._clock.ms() - heard_ms >= DEAD_MS:
                        return
                    continue
                if not data:
                    return
                heard_ms = self._clock.ms()
                for line in lines.feed(data):
                    opened = seal.opened(line)
                    if opened is None:
                        self._bridge.trouble("tcp: a line with a wrong MAC ended the connection")
                        return
                    hear(session, opened, self._bridge.trouble)
        finally:
            speaker.cancel()
            if self._task is me:
                self._task = None
                session.disconnect()


async def _quietly(coroutine):
    """Run something whose connection may end."""
    try:
        await coroutine
    except OSError:
        pass  # The reader sees it, too.


async def _write(writer, line):
    writer.write(line + b"\n")
    await writer.drain()


async def _read_auth(reader):
    """(nonce, MAC) of the host's answer, as ASCII; empty if it is none. Raises OSError when it goes away."""
    lines = Lines(512)
    while True:
        data = await reader.read(512)
        if not data:
            raise OSError("closed")
        for line in lines.feed(data):
            try:
                found = message(line)
            except BadLine:
                return b"", b""
            nonce, proof = found.get("nonce"), found.get("mac")
            if found.get("type") != "auth" or not isinstance(nonce, str) or len(nonce) != 32:
                return b"", b""
            return nonce.encode(), proof.encode() if isinstance(proof, str) else b""
