"""Posts to a webhook of Home Assistant; the answer carries what it has to say to the bridge."""

import asyncio

from . import mac, net
from .lines import BadLine, message
from .session import Session
from .stream_uplink import Waker

MAX_ANSWER = 8192
_ROOM = 6000
"""Bytes of one post; the host takes 64 KiB, the board's memory does not."""
_IDLE_MS = 10_000
_PAUSE_MS = 250
"""Between two posts while there is much to say: the host takes ten a second."""
_BACKOFF_MS = 1000
_MOST_BACKOFF_MS = 60_000
_FINAL = {
    401: "the host refuses the key",
    404: "the address of the webhook is not known there",
    409: "the number of the message was used before: pair again",
    413: "the host finds the messages too long",
    429: "the host finds the messages too many",
}


class HttpUplink:
    """One post at a time; what did not get through is posted again."""

    def __init__(self, bridge, settings, key):
        """`settings`: `http` of the configuration; `key`: the 20 characters, or None to leave posts unsigned."""
        self._bridge = bridge
        self._clock = bridge.clock
        every = settings["every"]
        if bridge.settings["i2c"][
            "on"
        ]:  # The memory holds few of a hub's rounds: none waits for long.
            every = min(every, bridge.settings["interval"])
        self._every_ms = int(every * 1000)
        self._key = key.encode() if key else None
        tls, self._host, self._port, self._path = net.split_url(settings["url"])
        self._tls = (settings["verify"], settings["ca"]) if tls else None
        self._waker = Waker()
        self.session = Session("http", bridge)
        self.session.on_news = self._waker.wake
        self.failures = 0

    async def run(self):
        """Post, for ever."""
        session = self.session
        session.connect()
        posted_ms = -_IDLE_MS
        try:
            while True:
                lines = session.take(_ROOM)
                if not lines and self._clock.ms() - posted_ms < _IDLE_MS:
                    await self._waker.sleep(500)
                    continue
                posted_ms = self._clock.ms()
                trouble = await self._posted(lines)
                if trouble:
                    session.failed()
                    self.failures += 1
                    self._bridge.trouble("http: " + trouble)
                    await asyncio.sleep_ms(
                        min(_MOST_BACKOFF_MS, _BACKOFF_MS << min(self.failures, 6))
                    )
                    continue
                self.failures = 0
                session.succeeded()
                self._bridge.heard()
                more = self._bridge.outbox.end - session.position > 16
                soon = more or session.full or session.has_urgent
                await asyncio.sleep_ms(_PAUSE_MS if soon else self._every_ms)
        finally:
            session.disconnect()

    async def _posted(self, lines):
        """Post, and hear the answer; what went wrong, or None."""
        body = []
        for line in lines:
            body += [b"\n", line] if body else [line]
        connection = net.Connection(self._host, self._port, self._tls)
        number = (self._bridge.outbox.boot << 32) + self._bridge.posts
        self._bridge.posts += 1
        try:
            await connection.open()
            await connection.send(self._head(number, body), *body)
            status, headers, answer = await _answer(connection)
        except (OSError, ValueError, asyncio.TimeoutError) as error:
            return "%s cannot be reached (%r)" % (self._host, error)
        finally:
            await connection.close()
        if status != 200:
            return _FINAL.get(status, "the host answers %d" % status)
        if self._key:
            given = headers.get(b"x-energy-meter-signature", b"")
            right = mac.hmac(self._key, b"answer|%d|" % number, answer)
            if not mac.same(given, mac.hexadecimal(right)):
                return "the answer is not signed with the key"
        for line in answer.split(b"\n"):
            if line.strip():
                try:
                    self.session.receive(message(line.strip()))
                except BadLine as bad:
                    self._bridge.trouble("http: line %s" % bad)
        return None

    def _head(self, number, body):
        lines = [
            "POST %s HTTP/1.0"
            % self._path,  # 1.0: the answer comes in one piece, and then the end.
            "Host: %s:%d" % (self._host, self._port),
            "Content-Type: application/x-ndjson",
            "Content-Length: %d" % sum(len(part) for part in body),
        ]
        if self._key:
            signature = mac.hexadecimal(mac.hmac(self._key, b"post|%d|" % number, *body)).decode()
            lines.append("X-Energy-Meter-Number: %d" % number)
            lines.append("X-Energy-Meter-Signature: %s" % signature)
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _answer(connection):
    """(status, headers with lower-case names, body). Raises OSError, ValueError, asyncio.TimeoutError."""
    data = b""
    while b"\r\n\r\n" not in data:
        if len(data) > 4096:
            raise ValueError("a head without end")
        data += await connection.receive(1024, net.CONNECT_S)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    status = int(lines[0].split()[1])
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        headers[name.strip().lower()] = value.strip()
    length = int(headers.get(b"content-length", b"0"))
    if length > MAX_ANSWER:
        raise ValueError("an answer of %d bytes" % length)
    while len(body) < length:
        body += await connection.receive(1024, net.CONNECT_S)
    return status, headers, body[:length]
