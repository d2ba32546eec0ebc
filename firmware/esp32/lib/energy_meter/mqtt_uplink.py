"""Messages over a broker: QoS 1, one on its way at a time, a last will, keep-alive. One socket."""

import asyncio

from . import mqtt_packets as packets, net
from .lines import BadLine, message
from .session import Session
from .stream_uplink import MAX_LINE, Waker

KEEP_ALIVE_S = 30
_PING_MS = 15_000
_DEAD_MS = 45_000
_ANSWER_S = 15
_ROOM = 3000
_MOST_BACKOFF_S = 60
_HELLO = b'{"type":"hello"'


class MqttUplink:
    """A client of its own making."""

    def __init__(self, bridge, settings):
        """`settings`: `mqtt` of the configuration."""
        self._bridge = bridge
        self._clock = bridge.clock
        self._settings = settings
        self._tls = (settings["verify"], settings["ca"]) if settings["tls"] else None
        self._base = "%s/%s/" % (settings["prefix"].strip("/"), bridge.who["id"])
        self._waker = Waker()
        self.session = Session("mqtt", bridge)
        self.session.on_news = self._waker.wake
        self._packet = 0
        self._acked = None
        self.failures = 0

    async def run(self):
        """Connect, and again, for ever."""
        while True:
            try:
                await self._once()
            except (OSError, ValueError, asyncio.TimeoutError) as error:
                self.failures += 1
                self._bridge.trouble("mqtt: %s: %r" % (self._settings["host"], error))
            await asyncio.sleep(min(_MOST_BACKOFF_S, 1 << min(self.failures, 6)))

    async def _once(self):
        connection = net.Connection(self._settings["host"], self._settings["port"], self._tls)
        reader = None
        self._cut = packets.Packets(MAX_LINE + 128)
        try:
            await connection.open()
            await self._begin(connection)
            self._heard_ms = self._sent_ms = self._clock.ms()
            reader = asyncio.create_task(self._listen(connection))
            await self._publish(connection, reader, "status", b"online", True)
            self.failures = 0
            self.session.connect()
            await self._speak(connection, reader)
        finally:
            self.session.failed()
            self.session.disconnect()
            if reader:
                reader.cancel()
            await connection.close()

    async def _begin(self, connection):
        settings = self._settings
        client = "energy_meter_%s" % self._bridge.who["id"]
        will = (self._base + "status", "offline")
        await connection.send(
            packets.connect(client, KEEP_ALIVE_S, will, settings["user"], settings["password"])
        )
        body = await self._wait_for(connection, packets.CONNACK)
        if body[1]:
            raise OSError(packets.REFUSALS.get(body[1], "the broker refuses (%d)" % body[1]))
        await connection.send(packets.subscribe(self._base + "down", self._next_packet()))
        body = await self._wait_for(connection, packets.SUBACK)
        if body[2] > 1:
            raise OSError("the broker refuses the topic %sdown" % self._base)

    async def _wait_for(self, connection, kind):
        """The body of the next packet of a kind, while nothing else is going on."""
        while True:
            for found, _, body in self._cut.feed(await connection.receive(256, _ANSWER_S)):
                if found == kind and len(body) >= 2:
                    return body + b"\x80"

    async def _speak(self, connection, reader):
        """Publish what the session has to say until the connection ends."""
        while True:
            lines = self.session.take(_ROOM)
            group = []
            for line in lines:
                if bytes(line[: len(_HELLO)]) == _HELLO:
                    await self._publish(connection, reader, "hello", line, True)
                else:
                    group.append(line)
            if group:
                payload = group[0] if len(group) == 1 else b"\n".join(group)
                await self._publish(connection, reader, "up", payload, False)
            if lines:
                self.session.succeeded()
            else:
                await self._waker.sleep(1000)
            if reader.done():
                raise OSError("the broker closed the connection")
            await self._keep_alive(connection)

    async def _publish(self, connection, reader, topic, payload, retain):
        """Publish, and wait until the broker has it. Raises OSError."""
        packet = self._next_packet()
        self._acked = None
        head = packets.publish(self._base + topic, len(payload), packet, retain)
        await connection.send(head, payload)
        self._sent_ms = self._clock.ms()
        end = self._sent_ms + _ANSWER_S * 1000
        while self._acked != packet:
            if reader.done() or self._clock.ms() > end:
                raise OSError("the broker does not take a message")
            await self._waker.sleep(500)

    async def _keep_alive(self, connection):
        now = self._clock.ms()
        if now - self._heard_ms >= _DEAD_MS:
            raise OSError("the broker is silent")
        if now - self._sent_ms >= _PING_MS:  # Its answer is what tells that the broker is there.
            await connection.send(packets.PINGREQ)
            self._sent_ms = now

    async def _listen(self, connection):
        """Take what comes, until the connection ends."""
        try:
            while True:
                data = await connection.reader.read(1024)
                if not data:
                    return
                self._heard_ms = self._clock.ms()
                for kind, flags, body in self._cut.feed(data):
                    await self._take(connection, kind, flags, body)
        except (OSError, ValueError):
            return
        finally:
            self._waker.wake()

    async def _take(self, connection, kind, flags, body):
        if kind == packets.PUBACK and len(body) >= 2:
            self._acked = body[0] << 8 | body[1]
            self._waker.wake()
        elif kind == packets.PUBLISH:
            _, packet, payload = packets.published(flags, body)
            if packet is not None:
                await connection.send(packets.puback(packet))
            for line in payload.split(b"\n"):
                if line.strip():
                    self._hear(line.strip())

    def _hear(self, line):
        try:
            self.session.receive(message(line))
        except BadLine as bad:
            self._bridge.trouble("mqtt: line %s" % bad)

    def _next_packet(self):
        self._packet = self._packet % 65535 + 1
        return self._packet
