"""Lines over the board's own USB port, which is also its console."""

import asyncio

from .crc import crc16
from .lines import BadLine, CrcGate, Lines
from .session import Session
from .stream_uplink import MAX_LINE, Waker, hear, speak

_PIECE = 512


class UsbUplink:
    """Nobody can tell whether somebody listens: it speaks from the start, and repeats what was not acknowledged when asked."""

    def __init__(self, bridge, port, crc):
        """`port`: reads and writes bytes (`board.Usb`); `crc`: whether each line ends in one."""
        self._bridge = bridge
        self._port = port
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
        crc = 0xFFFF
        for at in range(0, len(line), _PIECE):
            piece = memoryview(line)[at : at + _PIECE]
            if self._crc:
                crc = crc16(piece, crc)
            await self._port.write(piece)
        await self._port.write(b"*%04X\n" % crc if self._crc else b"\n")

    async def _listen(self):
        lines = Lines(MAX_LINE)
        while True:
            data = await self._port.read(512)
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
