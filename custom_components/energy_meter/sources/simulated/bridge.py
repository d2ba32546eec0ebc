"""A simulated bridge on a local socket: an Arduino UNO at the workshop's bench, behind an ESP32.

It measures as the UNO does, volts, amperes and the power factor, and speaks the bridge protocol with its
pairing key like the real thing. What it shows follows from the house and the time alone.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
import hashlib
import hmac
import json
import secrets
import time
from typing import Any, Final

from ..bridge.protocol import MAX_LINE, VERSION
from ..bridge.security import FROM_BRIDGE, TO_BRIDGE, LineSigner, mac, new_key, normalise_key
from .circuit import Circuit
from .house import House, shared_house

HOST: Final = "127.0.0.1"
BRIDGE: Final = "5eed0000bec4"
METER: Final = "bench"
INTERVAL: Final = 1.0
"""Seconds between two readings."""
_HEALTH_EVERY: Final = 30
"""Readings."""
_PATIENCE: Final = 10.0
"""Seconds for each line of the pairing."""
_LONGEST_PENALTY: Final = 60.0
_PLACES: Final = {"voltage": 1, "current": 3, "power_factor": 3}
"""Digits behind the point, as the UNO prints them."""


class SimulatedBridge:
    """One board with one meter, from `start` to `stop`."""

    def __init__(
        self,
        key: str | None = None,
        *,
        house: House | None = None,
        clock: Callable[[], float] = time.time,
        interval: float = INTERVAL,
    ) -> None:
        """Choose the key; nothing is computed and nothing listens before `start`.

        Args:
            key: the pairing key however it is typed; a fresh one if none is given.
            house: what it measures; without one, the house that all simulations of this process share.
            clock: the Unix time that readings are for.
            interval: seconds between two readings.
        """
        self.key = normalise_key(key or new_key())
        self._house = house
        self._clock = clock
        self._interval = interval
        self._boot = secrets.randbelow(2**31)
        self._sequence = 0
        self._failures = 0
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._talking: asyncio.Task[None] | None = None

    async def start(self, port: int = 0) -> int:
        """Listen on a local port, 0 for any free one, and return it.

        Raises:
            OSError: it is taken.
        """
        if self._house is None:
            self._house = await asyncio.to_thread(shared_house)
        self._circuit: Circuit = self._house.circuits["bench"]
        self._server = await asyncio.start_server(self._accept, HOST, port, limit=2 * MAX_LINE)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Hang up and listen no more."""
        if self._server is not None:
            self._server.close()
        for task in (connections := list(self._connections)):
            task.cancel()
        if connections:
            await asyncio.wait(connections)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with suppress(OSError, TimeoutError, ValueError, asyncio.CancelledError):
                signer = await self._pair(reader, writer)
                if signer is not None:
                    await self._talk(task, _Line(reader, writer, signer))
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _pair(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> LineSigner | None:
        """Let in who knows the key; who does not makes the next one wait.

        Raises:
            OSError, TimeoutError, ValueError: the other end does not speak the protocol.
        """
        if self._failures:
            await asyncio.sleep(min(2.0 ** (self._failures - 1), _LONGEST_PENALTY))
        key, ours = self.key.encode("ascii"), secrets.token_hex(16)
        _write(writer, {"type": "challenge", "v": VERSION, "bridge": BRIDGE, "nonce": ours})
        async with asyncio.timeout(_PATIENCE):
            answer = json.loads(await reader.readline())
        theirs = str(answer["nonce"]) if isinstance(answer, dict) and "nonce" in answer else ""
        nonces = f"{ours}|{theirs}".encode()
        right = mac(key, b"host|" + nonces)
        if not isinstance(answer, dict) or not hmac.compare_digest(
            str(answer.get("mac")).encode(), right.encode()
        ):
            self._failures += 1
            _write(writer, {"type": "denied", "reason": "key"})
            await writer.drain()
            return None
        self._failures = 0
        proof = mac(key, f"bridge|{theirs}|{ours}".encode())
        _write(writer, {"type": "welcome", "mac": proof})
        session = hmac.digest(key, b"session|" + nonces, hashlib.sha256)
        return LineSigner(session, ours=FROM_BRIDGE, theirs=TO_BRIDGE)

    async def _talk(self, task: asyncio.Task[None], line: _Line) -> None:
        """Say hello, then a reading every interval, until the other end goes or a newer one comes."""
        if self._talking is not None:
            self._talking.cancel()
        self._talking = task
        line.send(self._hello())
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(self._tell(line))
            while (message := await line.receive()) is not None:
                self._obey(message, line)
            telling.cancel()

    async def _tell(self, line: _Line) -> None:
        while True:
            self._sequence += 1
            line.send(
                {
                    "type": "reading",
                    "boot": self._boot,
                    "seq": self._sequence,
                    "age": 0,
                    "meter": METER,
                    "values": self.values(),
                }
            )
            if self._sequence % _HEALTH_EVERY == 1:
                line.send({"type": "health", "rssi": -58, "free_memory": 81_920, "errors": 0})
            await asyncio.sleep(self._interval)

    def values(self) -> dict[str, float]:
        """What the meter shows now: V, A and the power factor."""
        now = self._circuit.at(None, self._clock())
        shown = {"voltage": now.voltage, "current": now.current, "power_factor": now.factor}
        return {key: round(value, _PLACES[key]) for key, value in shown.items()}

    def _obey(self, message: dict[str, Any], line: _Line) -> None:
        kind = message.get("type")
        if kind == "hello?":
            line.send(self._hello())
        elif kind == "resend":  # Nothing is kept.
            line.send({**message, "type": "gone"})
        elif kind == "command":
            known = message.get("control") == "identify" and message.get("meter") is None
            outcome = {"ok": True} if known else {"ok": False, "error": "unknown_control"}
            line.send({"type": "ack", "id": message.get("id"), **outcome})
        elif kind in ("config", "update"):
            line.send({"type": "ack", "id": message.get("id"), "ok": False, "error": "unsupported"})

    def _hello(self) -> dict[str, Any]:
        return {
            "type": "hello",
            "v": VERSION,
            "bridge": BRIDGE,
            "boot": self._boot,
            "firmware": "1.0.0",
            "hardware": "Simulated ESP32",
            "name": "Workshop bridge",
            "kind": "simulated",
            "capabilities": [],
            "interval": self._interval,
            "meters": [
                {
                    "id": METER,
                    "name": "Workshop bench",
                    "model": "UNO node",
                    "phases": 1,
                    "rated_current": 20,
                    "quantities": list(_PLACES),
                }
            ],
        }


class _Line:
    """A connection whose lines are signed."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, signer: LineSigner
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._signer = signer

    def send(self, message: dict[str, Any]) -> None:
        """Send a message."""
        _write(self._writer, message, self._signer)

    async def receive(self) -> dict[str, Any] | None:
        """The next message; None at the end, or if it was not signed as it has to be.

        Raises:
            OSError, ValueError: the connection broke, or what came is no message.
        """
        raw = await self._reader.readline()
        body = self._signer.check(raw.rstrip(b"\r\n")) if raw.endswith(b"\n") else None
        message = None if body is None else json.loads(body)
        return message if isinstance(message, dict) else None


def _write(
    writer: asyncio.StreamWriter, message: dict[str, Any], signer: LineSigner | None = None
) -> None:
    line = json.dumps(message, separators=(",", ":")).encode()
    writer.write((line if signer is None else signer.sign(line)) + b"\n")
