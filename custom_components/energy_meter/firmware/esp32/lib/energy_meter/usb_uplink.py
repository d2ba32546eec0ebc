"""Lines over the board's own USB port, which is also its console."""

import asyncio

from .crc import with_crc
from .lines import BadLine, CrcGate, Lines
from .session import Session
from .stream_uplink import MAX_LINE, Waker, hear, speak


class UsbUplink:
    """Nobody can tell whether somebody listens: it speaks from the start, and repeats what was not acknowledged when asked."""

    def __init__(self, bridge, streams, crc):
        """`streams`: (reader, writer) of asyncio; `crc`: whether each line ends in one."""
        self._bridge = bridge
        self._reader, self._writer = streams
        self._crc = crc
        self._gate = CrcGate()
        self._waker = Waker()
        self.session = Session("usb", bridge)
        self.session.on_news = self._waker.wake

    async def run(self):
        """Speak and listen, for ever."""
        self.session.connect()
        speaker = asyncio.create_task(
            speak(self.session, self._bridge.clock, self._waker, self._write, False)
        )
        try:
            await self._listen()
        finally:
            speaker.cancel()
            self.session.disconnect()

    async def _write(self, line):
        self._writer.write((with_crc(line) if self._crc else line) + b"\n")
        await self._writer.drain()

    async def _listen(self):
        lines = Lines(MAX_LINE)
        while True:
            data = await self._reader.read(256)
            if not data:
                await asyncio.sleep_ms(200)  # The port is closed at the other end.
                continue
            for line in lines.feed(data):
                try:
                    opened = self._gate.opened(line)
                except BadLine as bad:
                    self._bridge.trouble("usb: line %s" % bad)
                    continue
                hear(self.session, opened, self._bridge.trouble)
