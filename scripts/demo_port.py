"""The simulated meters behind a serial port that any program on this machine can open.

The port is a pseudo terminal, so it has no parity and no wire, but it knows the speed that it was opened
with: a meter answers only at its own.
"""

import asyncio
from itertools import groupby
import os
import termios
import tty
from types import TracebackType
from typing import Self

from custom_components.energy_meter.sources.simulated.meter import METERS
from custom_components.energy_meter.sources.simulated.modbus_line import HOST, SimulatedLine

_SPEED = 4
"""Where `termios.tcgetattr` has the input speed."""
_SPEEDS = {
    getattr(termios, f"B{baudrate}"): baudrate
    for baudrate in (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
}


class SimulatedPort:
    """A serial port with the house's meters on it, open as a context."""

    def __init__(self) -> None:
        """Make the port; nobody listens yet."""
        self._near, self._far = os.openpty()
        tty.setraw(self._far)
        os.set_blocking(self._near, False)
        self.path = os.ttyname(self._far)
        self._lines: dict[int, tuple[SimulatedLine, asyncio.StreamWriter]] = {}
        self._replies: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Start one line per speed, and carry bytes between them and the port."""
        by_speed = sorted(METERS, key=lambda spec: spec.baudrate)
        for baudrate, specs in groupby(by_speed, key=lambda spec: spec.baudrate):
            line = SimulatedLine(list(specs))
            reader, writer = await asyncio.open_connection(HOST, await line.start())
            self._lines[baudrate] = line, writer
            self._replies.append(asyncio.create_task(self._pass_replies(reader)))
        asyncio.get_running_loop().add_reader(self._near, self._pass_request)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the port."""
        asyncio.get_running_loop().remove_reader(self._near)
        for task in self._replies:
            task.cancel()
        for line, writer in self._lines.values():
            writer.close()
            await line.stop()
        os.close(self._near)
        os.close(self._far)

    def _pass_request(self) -> None:
        data = os.read(self._near, 4096)
        speed = _SPEEDS.get(termios.tcgetattr(self._far)[_SPEED])
        if speed in self._lines:
            self._lines[speed][1].write(data)

    async def _pass_replies(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(4096):
            os.write(self._near, data)
