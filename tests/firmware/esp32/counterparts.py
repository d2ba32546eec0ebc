"""What the ESP32's firmware talks to in these tests, on real sockets: a host over a stream of lines, and a web server."""

import asyncio
from collections.abc import AsyncIterator, Callable
import contextlib
from contextlib import asynccontextmanager
import json
from pathlib import Path
import time
from typing import Any

from custom_components.energy_meter.sources.bridge.security import (
    HostHandshake,
    sign_answer,
    verify_post,
)
from tests.support.esp32 import KEY, Board, settings

LINE = '{"Voltage": 230.0, "Current": 4.0, "PF": 1.0}'


@asynccontextmanager
async def board(folder: Path, **changes: Any) -> AsyncIterator[Board]:
    """A board that runs and has seen its first line."""
    one = Board(folder, settings(**changes))
    try:
        await one.start()
        await one.do("uart", port=1, text="\n")
        yield one
    finally:
        await one.cut_power()


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait in real time until it is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not in time"
        await asyncio.sleep(0.01)


class TcpHost:
    """One connection to the bridge, made by the document: handshake, then lines with a MAC."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Keep the connection."""
        self.reader = reader
        self.writer = writer
        self.signer: Any = None

    @classmethod
    async def connect(cls, port: int, key: str = KEY) -> TcpHost:
        """Connect and shake hands."""
        for _ in range(500):  # A board that has just started listens a moment later.
            with contextlib.suppress(ConnectionRefusedError):
                host = cls(*await asyncio.open_connection("127.0.0.1", port))
                break
            await asyncio.sleep(0.01)
        else:
            raise AssertionError("nobody listens")
        challenge = await host.message()
        handshake = HostHandshake(key, challenge["nonce"])
        await host.say({"type": "auth", "nonce": handshake.nonce, "mac": handshake.proof})
        answer = await host.message()
        if answer["type"] == "welcome":
            assert handshake.accepts(answer["mac"])
            host.signer = handshake.signer()
        else:
            assert answer == {"type": "denied", "reason": "key"}
        return host

    async def say(self, message: dict[str, Any]) -> None:
        """Say something."""
        line = json.dumps(message).encode()
        self.writer.write((self.signer.sign(line) if self.signer else line) + b"\n")
        await self.writer.drain()

    async def message(self, *kinds: str) -> dict[str, Any]:
        """The next message, or the next of these kinds. Raises EOFError at the end of the connection."""
        while True:
            line = await asyncio.wait_for(self.reader.readline(), 10)
            if not line:
                raise EOFError
            body = self.signer.check(line[:-1]) if self.signer else line[:-1]
            assert body is not None, line
            found: dict[str, Any] = json.loads(body)
            if not kinds or found["type"] in kinds:
                return found

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Say something, and the acknowledgement of it."""
        await self.say(message)
        while True:
            answer = await self.message("ack")
            if answer.get("id") == message["id"]:
                return answer

    async def ends(self) -> None:
        """Wait until the bridge has ended the connection."""
        while await asyncio.wait_for(self.reader.read(4096), 10):
            pass


class Webhook:
    """A web server that takes signed posts as the document says, or fails as it is told."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.lines: list[dict[str, Any]] = []
        self.numbers: list[int] = []
        self.to_say: list[dict[str, Any]] = []
        self.fail = 0
        """Posts to refuse."""
        self.wrong_key = False
        self.port = 0

    async def start(self) -> asyncio.Server:
        """Listen."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        body = await reader.readexactly(int(fields["Content-Length"]))
        number = int(fields["X-Energy-Meter-Number"])
        assert verify_post(KEY, number, body, fields["X-Energy-Meter-Signature"])
        assert head.startswith("POST /api/webhook/secret HTTP/1.0\r\n")
        self.numbers.append(number)
        status, answer = "500 Internal Server Error", b""
        if self.fail:
            self.fail -= 1
        else:
            status = "200 OK"
            found = [json.loads(line) for line in body.split(b"\n") if line]
            self.lines += found
            said = [*self.to_say, *self._acknowledged(found)]
            self.to_say = []
            answer = b"\n".join(json.dumps(one).encode() for one in said)
        signature = sign_answer(KEY[::-1] if self.wrong_key else KEY, number, answer)
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Length: {len(answer)}\r\nX-Energy-Meter-Signature: {signature}\r\n\r\n".encode()
            + answer
        )
        await writer.drain()
        writer.close()

    def _acknowledged(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        numbered = [one for one in found if "seq" in one]
        return [{"type": "ack", "boot": one["boot"], "seq": one["seq"]} for one in numbered[-1:]]

    def numbered(self) -> list[tuple[int, int]]:
        """(boot, seq) of what came."""
        return [(one["boot"], one["seq"]) for one in self.lines if "seq" in one]
