"""The RS-485 gateway: bytes of one TCP client onto the line and back, as they are (RTU frames over TCP).

The gateway understands nothing of Modbus. It keeps the line's manners: the driver is on only while something is
sent, and before that the line has been silent for 3.5 characters (Modbus over serial line 1.02, section 2.5.1.1).
"""

import asyncio

from .net import shut

MAX_FRAME = 300
"""Bytes; an RTU frame has 256 at most."""
_TAKE_OVER_MS = 10_000
"""A client that has asked nothing for so long gives way to a newer one."""


def gap_ms(baud, bits):
    """3.5 characters in whole milliseconds, at least 2: the fixed 1.75 ms from 19200 baud on."""
    return max(2, (3500 * bits + baud - 1) // baud)


class Gateway:
    """One line, one client at a time."""

    def __init__(self, uart, de, settings, clock, log):
        """`uart`: `machine.UART`; `de`: a pin's function that switches the driver on (1) and off (0), or None."""
        self._uart = uart
        self._de = de or (lambda level: None)
        self._port = settings["listen"]
        self._allow = [one.strip() for one in settings["allow"].split(",") if one.strip()]
        self._bits = 9 + settings["stop"] + (settings["parity"] != "none")
        self._baud = settings["baud"]
        self._gap = gap_ms(self._baud, self._bits)
        self._clock = clock
        self._log = log
        self._client = None
        self._asked_ms = 0
        self._quiet_ms = clock.ms()
        """When the line was last known to carry something."""
        self.refused = 0

    async def run(self):
        """Serve, for ever."""
        self._de(0)
        server = await asyncio.start_server(self._serve, "0.0.0.0", self._port, 2)
        listener = asyncio.create_task(self._listen())
        try:
            await server.wait_closed()
        finally:
            listener.cancel()
            server.close()
            self._de(0)

    async def _serve(self, reader, writer):
        try:
            if not self._may_come(writer.get_extra_info("peername")):
                self.refused += 1
                return
            older, self._client = self._client, writer
            if older:
                await shut(older)
            self._asked_ms = self._clock.ms()
            await self._carry(reader, writer)
        except OSError:
            pass  # The client went away.
        except Exception as error:
            self._log("error", "gateway: %r" % error)
        finally:
            await shut(writer)
            if self._client is writer:
                self._client = None

    def _may_come(self, peer):
        if self._allow and peer[0] not in self._allow:
            return False
        return self._client is None or self._clock.ms() - self._asked_ms >= _TAKE_OVER_MS

    async def _carry(self, reader, writer):
        """From the client to the line."""
        while self._client is writer:
            frame = await reader.read(MAX_FRAME)
            if not frame or self._client is not writer:
                return
            self._asked_ms = self._clock.ms()
            while self._clock.ms() - self._quiet_ms <= self._gap:
                await asyncio.sleep_ms(1)
            await self._transmit(frame)

    async def _transmit(self, frame):
        self._de(1)
        try:
            self._uart.write(frame)
            # Sleep while it goes out, and wait for the last bit without giving anything else a chance to be late.
            await asyncio.sleep_ms(max(0, len(frame) * self._bits * 1000 // self._baud - 3))
            self._uart.flush()
        finally:
            self._de(0)
            self._quiet_ms = self._clock.ms()

    async def _listen(self):
        """From the line to the client, a frame in one piece: what arrives until the line is silent."""
        frame = bytearray()
        while True:
            waiting = self._uart.any()
            if waiting:
                frame += self._uart.read(min(waiting, MAX_FRAME - len(frame))) or b""
                self._quiet_ms = self._clock.ms()
            if frame and (len(frame) >= MAX_FRAME or self._clock.ms() - self._quiet_ms > self._gap):
                client, piece = self._client, bytes(frame)
                frame = bytearray()
                if client:
                    try:
                        client.write(piece)
                        await client.drain()
                    except OSError:
                        await shut(client)
            # While nobody asks nothing can come but noise: look less often.
            busy = frame or self._clock.ms() - self._asked_ms < 2000
            await asyncio.sleep_ms(1 if busy else 20)
