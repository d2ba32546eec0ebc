"""Simulated ATmega328P boards that run our firmware, in lockstep with the test.

The bench (`tests/firmware/bench`) runs the firmware in simavr: the board's registers, its interrupts and its
instruction timing are real, the mains and the cable are formulas. Simulated time passes only in `run` and in
transactions on the bus, so that a test is as fast as the machine and repeats exactly.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
import json
from pathlib import Path
import subprocess
import threading
from typing import Any, Self

from tests.support.bridge import crc16_modbus

ROOT = Path(__file__).parents[2]
ARTIFACTS = ROOT / "artifacts" / "firmware"


class BenchError(Exception):
    """The bench refused a command, or a transaction on the bus failed."""


def build_bench() -> Path:
    """Build the bench where it is not up to date, and say where it is."""
    script = ROOT / "tests" / "firmware" / "bench" / "build"
    done = subprocess.run([script], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(done.stderr)
    return Path(done.stdout.strip())


def build_firmware(name: str) -> Path:
    """Build one of `firmware/avr` where it is not up to date, and give its ELF file."""
    done = subprocess.run(
        [ROOT / "firmware" / "avr" / "build", "-q", name],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchError(done.stderr)
    return ARTIFACTS / f"{name}.elf"


def with_crc(line: str) -> str:
    """The line as a host sends it on a noisy cable."""
    return f"{line}*{crc16_modbus(line.encode()):04X}"


@dataclass(frozen=True, slots=True)
class Transaction:
    """What came of one on the I²C bus."""

    data: bytes
    microseconds: float
    stretched: float
    """Microseconds that the slave held the clock low, summed up."""
    longest: float
    """Microseconds of the longest single stretch."""


class AvrBench:
    """One process with one or more simulated boards; `node` is a board's number from 0."""

    def __init__(self, elf: Path, *, nodes: int = 1, scl: float = 100_000, seed: int = 1) -> None:
        """Power up `nodes` boards with the same firmware and erased EEPROMs.

        Args:
            elf: the firmware.
            nodes: how many.
            scl: clock of the I²C bus, Hz.
            seed: of the noise, the phase of the mains and what RAM holds at power-up.
        """
        self._process = subprocess.Popen(
            [build_bench(), "-n", str(nodes), "-s", str(scl), "-x", str(seed), elf],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._rest: dict[int, bytes] = {}
        self._turn = threading.Lock()
        """A test's loop and an executor that drives the bus may ask at the same time."""

    def __enter__(self) -> Self:
        """Be closed at the end of a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.communicate()

    def ask(self, command: str) -> str:
        """One command, one answer without its `ok`.

        Raises:
            BenchError: the answer is none, or begins with `error`.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._turn:
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline().rstrip("\n")
        verdict, _, rest = answer.partition(" ")
        if verdict != "ok":
            raise BenchError(f"{command}: {answer or 'the bench has ended'}")
        return rest

    # Time and mains

    def run(self, seconds: float) -> float:
        """Let time pass; gives the time, s."""
        return float(self.ask(f"run {seconds:.9f}"))

    def set(self, node: int = 0, /, **values: float) -> None:
        """Change the waves at the pins: keys as in `wave.h`, e.g. `vrms=230, irms=5, hz=50, phi=30`."""
        pairs = " ".join(f"{key} {value!r}" for key, value in values.items())
        self.ask(f"set {node} {pairs}")

    def true(self, node: int = 0) -> dict[str, float]:
        """What a perfect meter reads, in double precision."""
        return _numbers(self.ask(f"true {node}"))

    def stat(self, node: int = 0) -> dict[str, float]:
        """Share of time in interrupts, the longest (µs), conversions per second, EEPROM writes, lowest stack."""
        return _numbers(self.ask(f"stat {node}"))

    # The serial port

    def received(self, node: int = 0) -> bytes:
        """What the board has sent since the last call."""
        return bytes.fromhex(self.ask(f"uart {node}"))

    def send(self, data: bytes, node: int = 0) -> None:
        """Put bytes on the cable to the board; they go in at the pace of its baud rate."""
        for start in range(0, len(data), 512):
            self.ask(f"send {node} {data[start : start + 512].hex()}")

    def say(self, message: Mapping[str, Any] | str, node: int = 0, *, crc: bool = True) -> None:
        """Send one message as a line."""
        line = message if isinstance(message, str) else json.dumps(message, separators=(",", ":"))
        self.send(((with_crc(line) if crc else line) + "\n").encode(), node)

    def lines(self, node: int = 0) -> list[str]:
        """Whole lines that have come since the last call."""
        data = self._rest.get(node, b"") + self.received(node)
        *lines, self._rest[node] = data.split(b"\n")
        return [line.decode() for line in lines]

    def messages(self, node: int = 0) -> list[dict[str, Any]]:
        """The messages that have come since the last call; their CRCs are checked.

        Raises:
            AssertionError: a CRC is wrong or a line is no JSON object.
        """
        return [parse(line) for line in self.lines(node) if line]

    def await_message(
        self, kind: str, node: int = 0, *, within: float = 5, every: float = 0.1
    ) -> dict[str, Any]:
        """Let time pass until a message of that type has come; everything before it is dropped.

        Raises:
            AssertionError: none came `within` simulated seconds.
        """
        for _ in range(round(within / every)):
            self.run(every)
            for message in self.messages(node):
                if message.get("type") == kind:
                    return message
        raise AssertionError(f"no {kind} within {within} s")

    def pty(self, node: int = 0) -> str:
        """Lay the board's serial port on a pseudo terminal; bytes pass while time does."""
        return self.ask(f"pty {node}")

    # Power, memory and pins

    def power(self, on: bool, node: int = 0) -> None:
        """Cut the supply, or (after cutting it) switch it on; the EEPROM keeps what it has.

        What has not been fetched of what the board sent before is dropped: its last line may be torn.
        """
        self.received(node)
        self._rest.pop(node, None)
        self.ask(f"power {node} {'on' if on else 'off'}")

    def cut_at_write(self, count: int, node: int = 0) -> None:
        """Cut the supply while the `count`-th byte from now (from 0) is written to the EEPROM."""
        self.ask(f"cut {node} {count}")

    def eeprom(self, offset: int = 0, length: int = 1024, node: int = 0) -> bytes:
        """What is in the EEPROM."""
        return bytes.fromhex(self.ask(f"eeprom {node} {offset} {length}"))

    def preset(self, offset: int, data: bytes, node: int = 0) -> None:
        """Put something into the EEPROM, as a programmer does."""
        self.ask(f"preset {node} {offset} {data.hex()}")

    def pin(self, port: str, bit: int, node: int = 0) -> int | None:
        """The level that the board drives a pin to; None: it is an input."""
        level = self.ask(f"pin {node} {port} {bit}")
        return None if level == "z" else int(level)

    def drive(self, port: str, bit: int, level: int | None, node: int = 0) -> None:
        """Hold a pin from outside, or (None) let it go."""
        self.ask(f"drive {node} {port} {bit} {'z' if level is None else level}")

    def poke(self, address: int, value: int, node: int = 0) -> None:
        """Write a register, to break something."""
        self.ask(f"poke {node} {address:#x} {value:#x}")

    # The I²C bus

    def i2c(
        self, address: int, write: bytes = b"", read: int = 0, *, fault: str = ""
    ) -> Transaction:
        """One transaction; `fault` is `stop` (in the middle of a byte) or `vanish` (the master falls silent).

        Raises:
            BenchError: it was not acknowledged, or the slave held the clock for 25 ms.
        """
        answer = self.ask(f"i2c {address:#x} {write.hex() or '-'} {read} {fault}")
        data, *figures = answer.split()
        values = [float(figure.partition("=")[2]) for figure in figures]
        return Transaction(b"" if data == "-" else bytes.fromhex(data), *values)

    def general_call(self, data: bytes) -> None:
        """A write to address 0."""
        self.ask(f"call {data.hex()}")


def parse(line: str) -> dict[str, Any]:
    """One line of a board as a message; its CRC, if it has one, is checked."""
    body, star, crc = line.rpartition("*")
    if star and len(crc) == 4:
        assert crc == f"{crc16_modbus(body.encode()):04X}", line
        line = body
    message = json.loads(line)
    assert isinstance(message, dict)
    return message


def _numbers(answer: str) -> dict[str, float]:
    pairs = (word.partition("=") for word in answer.split())
    return {key: float(value) for key, _, value in pairs}


@contextmanager
def uno_node(*, seed: int = 1) -> Iterator[AvrBench]:
    """An Arduino UNO with our firmware, just powered up."""
    with AvrBench(build_firmware("uno_node"), seed=seed) as bench:
        yield bench
