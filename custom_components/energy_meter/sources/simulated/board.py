"""What simulated boards on a local socket have in common: the pairing, signed lines, one host at a time."""

from abc import ABC, abstractmethod
import asyncio
from collections.abc import Mapping
from contextlib import suppress
import hashlib
import hmac
import json
import secrets
from typing import Any, Final

from ..bridge.protocol import MAX_LINE, VERSION
from ..bridge.security import FROM_BRIDGE, TO_BRIDGE, LineSigner, mac, new_key, normalise_key

HOST: Final = "127.0.0.1"
_PATIENCE: Final = 10.0
"""Seconds for each line of the pairing."""
_LONGEST_PENALTY: Final = 60.0
_RESTARTING: Final = 0.2
"""Seconds from the answer to a restart to the restart."""


class Line:
    """A connection whose lines are signed."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, signer: LineSigner
    ) -> None:
        """Take a connection on which both ends know the session key."""
        self._reader = reader
        self._writer = writer
        self._signer = signer
        self.bytes_sent = 0

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message."""
        self.bytes_sent += _write(self._writer, message, self._signer)

    async def receive(self) -> dict[str, Any] | None:
        """The next message; None at the end, or if it was not signed as it has to be.

        Raises:
            OSError, ValueError: the connection broke, or what came is no message.
        """
        raw = await self._reader.readline()
        body = self._signer.check(raw.rstrip(b"\r\n")) if raw.endswith(b"\n") else None
        message = None if body is None else json.loads(body)
        return message if isinstance(message, dict) else None


class SimulatedBoard(ABC):
    """A board that a host can connect to, from `listen` to `hang_up`."""

    bridge_id: str

    def __init__(self, key: str | None) -> None:
        """Take the pairing key however it is typed; a fresh one if none is given."""
        self.key = normalise_key(key or new_key())
        self.port = 0
        """Where it listens; 0 before `listen`."""
        self.boot = secrets.randbelow(2**31)
        self.sequence = 0
        self.line: Line | None = None
        """To the host that is connected."""
        self._failures = 0
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._talking: asyncio.Task[None] | None = None

    @abstractmethod
    def hello(self) -> Mapping[str, Any]:
        """Who is here."""

    @abstractmethod
    async def tell(self, line: Line) -> None:
        """Say readings for as long as the host is there."""

    async def command(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Carry out a command and return the answer but for its id; all boards know their own two."""
        control = message.get("control") if message.get("meter") is None else None
        if control == "restart":
            asyncio.get_running_loop().call_later(_RESTARTING, self._restart)
        known = control in ("identify", "restart")
        return {"ok": True} if known else {"ok": False, "error": "unknown_control"}

    def _restart(self) -> None:
        """Forget the host and count anew."""
        self.boot, self.sequence = self.boot + 1, 0
        if self._talking is not None:
            self._talking.cancel()

    def number(self, count: int = 1) -> dict[str, int]:
        """The numbers of the next message with so many rows."""
        first = self.sequence + 1
        self.sequence += count
        return {"boot": self.boot, "seq": first}

    async def listen(self, port: int = 0) -> int:
        """Listen on a local port, 0 for any free one, and return it.

        Raises:
            OSError: it is taken.
        """
        self._server = await asyncio.start_server(self._accept, HOST, port, limit=2 * MAX_LINE)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self.port

    async def hang_up(self) -> None:
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
                    await self._talk(task, Line(reader, writer, signer))
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
        _write(writer, {"type": "challenge", "v": VERSION, "bridge": self.bridge_id, "nonce": ours})
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

    async def _talk(self, task: asyncio.Task[None], line: Line) -> None:
        """Say hello, then what there is to tell, until the other end goes or a newer one comes."""
        if self._talking is not None:
            self._talking.cancel()
        self._talking, self.line = task, line
        line.send(self.hello())
        try:
            async with asyncio.TaskGroup() as group:
                telling = group.create_task(self.tell(line))
                while (message := await line.receive()) is not None:
                    group.create_task(self._obey(message, line))
                telling.cancel()
        finally:
            if self.line is line:
                self.line = None

    async def _obey(self, message: dict[str, Any], line: Line) -> None:
        kind = message.get("type")
        if kind == "hello?":
            line.send(self.hello())
        elif kind == "resend":  # Nothing is kept.
            line.send({**message, "type": "gone"})
        elif kind == "command":
            line.send({"type": "ack", "id": message.get("id"), **await self.command(message)})
        elif kind in ("config", "update"):
            line.send({"type": "ack", "id": message.get("id"), "ok": False, "error": "unsupported"})


def _write(
    writer: asyncio.StreamWriter, message: Mapping[str, Any], signer: LineSigner | None = None
) -> int:
    line = json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()
    whole = (line if signer is None else signer.sign(line)) + b"\n"
    writer.write(whole)
    return len(whole)
