"""The RS-485 gateway: a Modbus meter behind a pty is read by Home Assistant's own Modbus library through it."""

import asyncio
import contextlib
import os
from pathlib import Path
import tty

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException
from pymodbus.framer import FramerType
import pytest

from tests.support.esp32 import Board, free_port, settings

pytestmark = pytest.mark.usefixtures("socket_enabled")


def crc(frame: bytes) -> bytes:
    """The CRC of an RTU frame, low byte first."""
    value = 0xFFFF
    for byte in frame:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value.to_bytes(2, "little")


class Meter:
    """A meter on the line: answers reads of unit 1 with register numbers, in dribs and drabs."""

    def __init__(self) -> None:
        """Open a pty."""
        self.near, far = os.openpty()
        tty.setraw(far)
        self.path = os.ttyname(far)
        self._far = far
        os.set_blocking(self.near, False)
        self.requests: list[bytes] = []

    async def run(self) -> None:
        """Answer."""
        while True:
            try:
                request = os.read(self.near, 300)
            except BlockingIOError:
                await asyncio.sleep(0.002)
                continue
            self.requests.append(request)
            if request[:1] != b"\x01":
                continue
            start, count = int.from_bytes(request[2:4]), int.from_bytes(request[4:6])
            values = b"".join((start + at).to_bytes(2) for at in range(count))
            answer = bytes((1, request[1], 2 * count)) + values
            answer += crc(answer)
            await asyncio.sleep(0.02)
            for at in range(0, len(answer), 16):
                os.write(self.near, answer[at : at + 16])

    def close(self) -> None:
        """Pull the cable."""
        os.close(self.near)
        os.close(self._far)


async def listens(port: int) -> bool:
    """Whether somebody listens there, at the latest after some seconds."""
    for _ in range(100):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await asyncio.sleep(0.05)
            return True
        await asyncio.sleep(0.05)
    return False


async def test_frames_pass_unchanged_and_one_client_at_a_time(tmp_path: Path) -> None:
    """Long answers come in one piece, a silent unit costs nothing, a second client waits outside."""
    meter = Meter()
    port = free_port()
    config = settings(uarts=[], rs485={"on": True, "listen": port, "baud": 115200})
    bridge = Board(tmp_path, config, {2: meter.path})
    answering = asyncio.create_task(meter.run())
    client = AsyncModbusTcpClient(
        "127.0.0.1", port=port, framer=FramerType.RTU, timeout=2, retries=0
    )
    try:
        await bridge.start()
        assert await listens(port)
        await client.connect()
        for count in (1, 10, 80, 125):
            answer = await client.read_input_registers(100, count=count, device_id=1)
            assert answer.registers == list(range(100, 100 + count))
        with pytest.raises(ModbusIOException):
            await client.read_input_registers(0, count=1, device_id=7)
        if not client.connected:
            await client.connect()
        answer = await client.read_holding_registers(5, count=2, device_id=1)
        assert answer.registers == [5, 6]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(1), 5) == b"", "another client"
        writer.close()
        answer = await client.read_holding_registers(7, count=1, device_id=1)
        assert answer.registers == [7]
        assert all(crc(request[:-2]) == request[-2:] for request in meter.requests)
    finally:
        client.close()
        answering.cancel()
        await asyncio.wait({answering})
        await bridge.cut_power()
        meter.close()
