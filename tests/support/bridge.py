"""A simulated bridge: the other end of `docs/bridge-protocol.md`, written from the document.

It shares no code with the integration: its own JSON, CRC and HMAC, so that a mistake does not cancel out. It speaks
over a pseudo terminal (`plug`), over TCP with or without a key (`listen`), or through a callable (`attach`).
"""

import asyncio
import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
import hashlib
import hmac
import json
import os
from pathlib import Path
import secrets
import time
import tty
from typing import Any


def crc16_modbus(data: bytes) -> int:
    """CRC-16/MODBUS, bit by bit."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def hmac_hex(key: bytes, message: str | bytes) -> str:
    """HMAC-SHA256 in lower-case hexadecimal."""
    data = message.encode() if isinstance(message, str) else message
    return hmac.new(key, data, hashlib.sha256).hexdigest()


@dataclass(slots=True, kw_only=True)
class SimulatedMeter:
    """One meter of a simulated bridge."""

    id: str = "oven"
    name: str | None = "Oven"
    model: str | None = "UNO node"
    quantities: Sequence[str] = ("voltage", "current", "power", "energy_import")
    resolution: Mapping[str, float] = field(default_factory=lambda: {"energy_import": 0.001})
    phases: int = 1
    rated_current: float | None = 20
    serial: str | None = None
    controls: list[dict[str, Any]] = field(default_factory=list)
    """As in the hello, with `value`."""

    def hello(self) -> dict[str, Any]:
        """Its entry in the bridge's hello."""
        entry = {
            "id": self.id,
            "name": self.name,
            "model": self.model,
            "serial": self.serial,
            "phases": self.phases,
            "rated_current": self.rated_current,
            "quantities": list(self.quantities),
            "resolution": dict(self.resolution),
            "controls": [dict(control) for control in self.controls],
        }
        return {key: value for key, value in entry.items() if value is not None}


def relay(value: int = 1) -> dict[str, Any]:
    """A relay as it stands in a hello."""
    return {"key": "relay", "kind": "switch", "value": value}


def gain(key: str = "voltage_gain", value: float = 1.0) -> dict[str, Any]:
    """A calibration as it stands in a hello."""
    return {"key": key, "kind": "number", "value": value, "min": 0.5, "max": 2.0, "step": 0.0001}


@dataclass(slots=True)
class _Kept:
    """A numbered message in the bridge's memory."""

    boot: int
    seq: int
    message: dict[str, Any]
    measured: float


class SimulatedBridge:
    """A bridge with meters, a buffer, and faults on demand."""

    def __init__(
        self,
        bridge: str = "a4cf12d3e4f5",
        *,
        meters: Iterable[SimulatedMeter] = (),
        key: str | None = None,
        capabilities: Sequence[str] = ("buffer", "config", "update", "time"),
        interval: float = 1.0,
        crc: bool = False,
        clock: Callable[[], float] = time.time,
        boot: int = 1,
        firmware: str = "1.0.0",
        kind: str = "esp32",
        name: str = "Workshop",
    ) -> None:
        """Set up a bridge that nobody is connected to.

        Args:
            bridge: its id.
            meters: what hangs on it.
            key: pairing key for `listen`, 20 upper-case characters; None: none is asked for.
            capabilities: as in the hello.
            interval: seconds between readings, for the hello; nothing is measured by itself.
            crc: whether lines carry a CRC.
            clock: Unix time.
            boot: number of this start.
            firmware: version it says it runs.
            kind: what it says it is.
            name: its name for people.
        """
        self.bridge = bridge
        self.meters = {meter.id: meter for meter in meters}
        self.key = key
        self.capabilities = list(capabilities)
        self.interval = interval
        self.crc = crc
        self.clock = clock
        self.boot = boot
        self.firmware = firmware
        self.kind = kind
        self.name = name
        self.seq = 0
        self.buffer: list[_Kept] = []
        self.heard: list[dict[str, Any]] = []
        """Every message that came."""
        self.carried_out: list[dict[str, Any]] = []
        """Commands that were carried out, repetitions left out."""
        self.acknowledged: dict[int, int] = {}
        self.lose: Callable[[dict[str, Any]], bool] = lambda message: False
        """Whether a message to the host gets lost on the way."""
        self.mute = False
        """Hears, but says nothing."""
        self.refuse: dict[str, tuple[str, str]] = {}
        """Control → (error, text) with which it is refused."""
        self.config: dict[str, Any] = {"name": name, "wifi": {"ssid": "home", "password": "***"}}
        self.files: dict[str, bytes] = {}
        self.rolls_back = False
        """Whether new firmware fails and the old one comes back."""
        self.connections = 0
        self.denials = 0
        self._staged: dict[str, bytearray] = {}
        self._wanted: dict[str, dict[str, Any]] = {}
        self._version = firmware
        self._answers: dict[int, dict[str, Any]] = {}
        self._write: Callable[[bytes], None] | None = None
        self._rest = b""
        self._server: asyncio.Server | None = None
        self._host_writer: asyncio.StreamWriter | None = None
        self._sign_key: bytes | None = None
        self._sent = self._received = 0
        self._master: int | None = None
        self._port_path: Path | None = None
        self._look_again: asyncio.TimerHandle | None = None

    # What it does of its own

    def measure(
        self,
        meter: str,
        values: Mapping[str, Any],
        *,
        ago: float | None = 0.0,
        flags: Sequence[str] = (),
    ) -> int:
        """Take a reading `ago` seconds back; return its number. It is kept if the bridge has a buffer, and sent."""
        message: dict[str, Any] = {"type": "reading", "meter": meter, "values": dict(values)}
        if flags:
            message["flags"] = list(flags)
        return self._number(message, ago)

    def event(self, event: str, *, meter: str | None = None, ago: float = 0.0, **more: Any) -> int:
        """Something happens; return its number."""
        message: dict[str, Any] = {"type": "event", "event": event, **more}
        if meter is not None:
            message["meter"] = meter
        return self._number(message, ago)

    def health(self, **values: Any) -> None:
        """Say how it fares."""
        self.say({"type": "health", **values})

    def log(self, text: str, level: str = "info") -> None:
        """Say a line of its log."""
        self.say({"type": "log", "level": level, "text": text})

    def bare(self, values: Mapping[str, Any]) -> None:
        """Print what a board prints that knows no more than values."""
        self.say(dict(values))

    def say_hello(self) -> None:
        """Say who it is."""
        self.say(self.hello())

    def hello(self) -> dict[str, Any]:
        """Its hello."""
        return {
            "type": "hello",
            "v": 1,
            "bridge": self.bridge,
            "boot": self.boot,
            "firmware": self.firmware,
            "hardware": "simulated",
            "name": self.name,
            "kind": self.kind,
            "capabilities": self.capabilities,
            "interval": self.interval,
            "meters": [meter.hello() for meter in self.meters.values()],
        }

    def restart(self, *, keep: bool = True) -> None:
        """Start anew: the next boot, numbers from 1; `keep`: the buffer is in flash."""
        self.boot += 1
        self.seq = 0
        self._answers.clear()
        if not keep:
            self.buffer.clear()
        if self._write is not None:
            self.greet()

    def greet(self) -> None:
        """What it says first on a connection: hello, then everything that was not acknowledged, oldest first."""
        self.say_hello()
        for kept in list(self.buffer):
            self._say_kept(kept)

    def say(self, message: Mapping[str, Any]) -> None:
        """Send a message, if somebody is connected and it does not get lost."""
        if not self.mute and not self.lose(dict(message)):
            self.say_raw(json.dumps(message, separators=(",", ":")).encode())

    def say_raw(self, line: bytes) -> None:
        """Send a line as it is, with CRC and signature where they are on."""
        if self._write is None:
            return
        if self.crc:
            line += b"*%04X" % crc16_modbus(line)
        if self._sign_key is not None:
            digest = hmac_hex(self._sign_key, b"b%d:%s" % (self._sent, line))
            self._sent += 1
            line += b"#" + digest[:16].encode()
        self._write(line + b"\n")

    def _number(self, message: dict[str, Any], ago: float | None) -> int:
        self.seq += 1
        kept = _Kept(self.boot, self.seq, message, self.clock() - (ago or 0.0))
        if ago is None:
            message["age"] = None
        if "buffer" in self.capabilities:
            self.buffer.append(kept)
        self._say_kept(kept)
        return self.seq

    def _say_kept(self, kept: _Kept) -> None:
        age = round((self.clock() - kept.measured) * 1000)
        self.say({"boot": kept.boot, "seq": kept.seq, "age": age} | kept.message)

    # What it is told

    def hear(self, data: bytes) -> None:
        """Take bytes from the host."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self.hear_line(line.rstrip(b"\r"))
            if self._write is None:
                return  # That line has ended the connection.

    def hear_line(self, line: bytes) -> None:
        """Take one message from the host, a line without its end."""
        if self._sign_key is not None:
            body, digits = line[:-17], line[-16:]
            right = hmac_hex(self._sign_key, b"h%d:%s" % (self._received, body))[:16]
            if line[-17:-16] != b"#" or digits != right.encode():
                self.cut()
                return
            self._received += 1
            line = body
        if line[-5:-4] == b"*":
            assert int(line[-4:], 16) == crc16_modbus(line[:-5]), line
            line = line[:-5]
        message = json.loads(line)
        self.heard.append(message)
        answer = getattr(self, f"_on_{message['type'].rstrip('?')}", None)
        if answer is not None:
            answer(message)

    def _on_hello(self, message: dict[str, Any]) -> None:
        self.greet()

    def _on_ack(self, message: dict[str, Any]) -> None:
        boot = message.get("boot", self.boot)
        self.acknowledged[boot] = max(self.acknowledged.get(boot, 0), message["seq"])
        self.buffer = [
            kept for kept in self.buffer if kept.boot != boot or kept.seq > message["seq"]
        ]

    def _on_resend(self, message: dict[str, Any]) -> None:
        boot = message.get("boot", self.boot)
        there = {kept.seq: kept for kept in self.buffer if kept.boot == boot}
        for seq in range(message["from"], message["to"] + 1):
            if seq in there:
                self._say_kept(there[seq])
            else:
                self.say({"type": "gone", "boot": boot, "from": seq, "to": seq})

    def _on_command(self, message: dict[str, Any]) -> None:
        self._once(message, self._carry_out)

    def _on_config(self, message: dict[str, Any]) -> None:
        self._once(message, self._configure)

    def _on_update(self, message: dict[str, Any]) -> None:
        self._once(message, self._update)

    def _once(
        self, message: dict[str, Any], act: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> None:
        """Carry a request out and answer it; one that comes again is only answered again."""
        ident = message["id"]
        if ident not in self._answers:
            self._answers[ident] = {"type": "ack", "id": ident, **act(message)}
        self.say(self._answers[ident])
        if message.get("step") == "commit" and self._answers[ident]["ok"]:
            self._start_new_firmware()

    def _carry_out(self, message: dict[str, Any]) -> dict[str, Any]:
        control = message["control"]
        if control in self.refuse:
            error, text = self.refuse[control]
            return {"ok": False, "error": error, "text": text}
        self.carried_out.append(message)
        if "meter" not in message:
            known = control in {"restart", "identify"}
            return {"ok": True} if known else {"ok": False, "error": "unknown_control"}
        if message["meter"] not in self.meters:
            return {"ok": False, "error": "unknown_meter"}
        for each in self.meters[message["meter"]].controls:
            if each["key"] == control:
                if each["kind"] == "button":
                    return {"ok": True}
                each["value"] = message["value"]
                return {"ok": True, "value": each["value"]}
        return {"ok": False, "error": "unknown_control"}

    def _configure(self, message: dict[str, Any]) -> dict[str, Any]:
        for key, value in message.get("config", {}).items():
            if value is None:
                self.config.pop(key, None)
            else:
                self.config[key] = value
        return {"ok": True, "value": self.config}

    def _update(self, message: dict[str, Any]) -> dict[str, Any]:
        match message["step"]:
            case "begin":
                self._version = message["version"]
                self._wanted = {each["name"]: each for each in message["files"]}
                self._staged = {
                    name: bytearray(self.files[name])
                    for name, each in self._wanted.items()
                    if name in self.files
                    and hashlib.sha256(self.files[name]).hexdigest() == each["sha256"]
                }
                return {"ok": True, "value": {"have": list(self._staged)}}
            case "data":
                piece = base64.b64decode(message["data"])
                staged = self._staged.setdefault(message["name"], bytearray())
                if message["offset"] != len(staged) or len(piece) > 1024:
                    return {"ok": False, "error": "bad_update", "text": "not the next piece"}
                staged += piece
                return {"ok": True}
            case "commit":
                for name, each in self._wanted.items():
                    if hashlib.sha256(self._staged.get(name, b"")).hexdigest() != each["sha256"]:
                        return {"ok": False, "error": "bad_update", "text": name}
                return {"ok": True}
            case _:
                self._staged.clear()
                return {"ok": True}

    def _start_new_firmware(self) -> None:
        if not self.rolls_back:
            self.files = {name: bytes(data) for name, data in self._staged.items()}
            self.firmware = self._version
        self.restart()
        if self.rolls_back:
            self.event("rolled_back")

    # How it is reached

    def attach(self, write: Callable[[bytes], None]) -> None:
        """Connect to something that takes bytes, and greet it; give what it answers to `hear`."""
        self.connections += 1
        self._rest = b""
        self._write = write
        self.greet()

    def detach(self) -> None:
        """The connection is gone; measuring goes on."""
        self._write = None
        self._sign_key = None

    def plug(self, path: Path) -> None:
        """Appear as a serial port at `path`, and start like a board that gets power there."""
        master, slave = os.openpty()
        tty.setraw(slave)
        path.unlink(missing_ok=True)
        path.symlink_to(os.ttyname(slave))
        os.close(slave)
        os.set_blocking(master, False)
        self._master, self._port_path = master, path
        asyncio.get_running_loop().add_reader(master, self._read_port)
        self.attach(lambda data: self._write_port(master, data))

    def unplug(self) -> None:
        """The cable is pulled: the port is gone."""
        self.detach()
        if self._look_again is not None:
            self._look_again.cancel()
        if self._master is not None:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            self._master = None
        if self._port_path is not None:
            self._port_path.unlink(missing_ok=True)

    def _read_port(self) -> None:
        assert self._master is not None
        try:
            self.hear(os.read(self._master, 4096))
        except BlockingIOError:
            return
        except OSError:
            # Nobody has the port open: wait a little instead of being told so without end.
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._master)
            self._look_again = loop.call_later(0.01, loop.add_reader, self._master, self._read_port)

    @staticmethod
    def _write_port(master: int, data: bytes) -> None:
        try:
            os.write(master, data)
        except OSError:
            return  # Nobody reads; a UART does not wait either.

    async def listen(self, port: int = 0) -> int:
        """Listen on 127.0.0.1; return the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        listening: int = self._server.sockets[0].getsockname()[1]
        return listening

    def cut(self) -> None:
        """End the present connection without a word."""
        self.detach()
        if self._host_writer is not None:
            self._host_writer.transport.abort()
            self._host_writer = None

    async def close(self) -> None:
        """End everything: port, server, connection."""
        self.unplug()
        self.cut()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            session_key = await self._pair(reader, writer) if self.key else None
            if self.key and session_key is None:
                return
            self.cut()  # A newer host ends the older.
            self._host_writer = writer
            self._sign_key, self._sent, self._received = session_key, 0, 0
            self.attach(writer.write)
            while data := await reader.read(4096):
                if self._host_writer is not writer:
                    return
                self.hear(data)
        except OSError, asyncio.IncompleteReadError:
            return
        finally:
            if self._host_writer is writer:
                self.cut()
            writer.close()

    async def _pair(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes | None:
        """The handshake; the session key, or None if the host does not know the pairing key."""
        assert self.key is not None
        key, ours = self.key.encode(), secrets.token_hex(16)
        challenge = {"type": "challenge", "v": 1, "bridge": self.bridge, "nonce": ours}
        writer.write(json.dumps(challenge).encode() + b"\n")
        auth = json.loads(await reader.readuntil(b"\n"))
        theirs = auth["nonce"]
        if auth["mac"] != hmac_hex(key, f"host|{ours}|{theirs}"):
            self.denials += 1
            writer.write(b'{"type":"denied","reason":"key"}\n')
            await writer.drain()
            return None
        welcome = {"type": "welcome", "mac": hmac_hex(key, f"bridge|{theirs}|{ours}")}
        writer.write(json.dumps(welcome).encode() + b"\n")
        return bytes.fromhex(hmac_hex(key, f"session|{ours}|{theirs}"))


def signed_post(key: str, number: int, body: bytes) -> dict[str, str]:
    """The headers of a signed POST."""
    return {
        "X-Energy-Meter-Number": str(number),
        "X-Energy-Meter-Signature": hmac_hex(key.encode(), b"post|%d|%s" % (number, body)),
    }


def answer_signature(key: str, number: int, body: bytes) -> str:
    """What the signature of the answer to a signed POST has to be."""
    return hmac_hex(key.encode(), b"answer|%d|%s" % (number, body))
