"""A panel of single-circuit monitors in the simulated house, behind the few methods of smbus2 that are used.

The monitors speak the register map of `docs/i2c-monitor.md` byte by byte: pointers, commands, guards, banks. The
bus knows multiplexers, chips that are none of ours, and how long its transactions take.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
import errno
from math import pi, sin, sqrt
from random import Random
import time
from typing import Any, Final, Protocol

from smbus2 import i2c_msg

from ..i2c.registers import (
    ALL_BITS,
    CALIBRATION,
    COMMAND,
    DIAGNOSTICS,
    GUARDED,
    IDENTITY,
    MAGIC,
    MEASUREMENT,
    NOWHERE,
    PAIRS_PER_CHUNK,
    RELAY_CLOSED,
    RESULT,
    SAMPLES,
    UNLOCK_KEY,
    VERSION,
    WAVEFORM,
    WAVEFORM_READY,
    Block,
    Capability,
    Flag,
    Opcode,
    Result,
    bus_clocks,
    tag_of,
)
from . import loads
from .circuit import PHASES, Circuit, Instant
from .curve import Energy
from .house import House, shared_house

WINDOW: Final = 0.2
"""Seconds of a measurement."""
UNLOCKED_FOR: Final = 2.0
STARTING: Final = 0.3
"""Seconds from power to the first answer."""
RESTART_AFTER: Final = 0.5
"""Seconds from the command to restart until it does."""
POWER_ON, BY_COMMAND = 1, 0
"""Causes of a start, as the diagnostics say them."""
SAMPLE_RATE: Final = 2000
FIRST_ADDRESS: Final = 0x08
_READ: Final = 1
_VOLTS_PER_COUNT: Final = 0.8
_DEFAULTS: Final[Mapping[str, int]] = {
    "voltage_gain": 1_000_000,
    "current_gain": 1_000_000,
    "phase_shift": 0,
    "dead_band": 20,
}
_RANGES: Final[Mapping[Opcode, tuple[str, int, int]]] = {
    Opcode.VOLTAGE_GAIN: ("voltage_gain", 500_000, 2_000_000),
    Opcode.CURRENT_GAIN: ("current_gain", 100_000, 10_000_000),
    Opcode.PHASE_SHIFT: ("phase_shift", -2000, 2000),
    Opcode.DEAD_BAND: ("dead_band", 0, 10_000),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelCircuit:
    """One circuit of the panel."""

    name: str
    phase: str
    circuit: Circuit
    rated_current: float
    share: float = 1.0
    """Of what flows in `circuit` on this phase."""
    sharpness: int = 1
    """The current is the sine to this power: 1 a resistor, 12 a rectifier with a crest factor of 2.5."""

    def at(self, time: float) -> Instant:
        """What flows at a Unix time."""
        now = self.circuit.at(self.phase, time)
        return Instant(
            power=now.power * self.share,
            reactive=now.reactive * self.share,
            voltage=now.voltage,
            current=now.current * self.share,
        )

    def energy(self, time: float) -> Energy:
        """Energy since installation, kWh."""
        energy = self.circuit.energy(self.phase, time)
        return Energy(energy.taken * self.share, energy.given * self.share)

    @property
    def crest_factor(self) -> float:
        """Peak over effective value of the current."""
        steps = 360
        mean = sum(sin(2 * pi * step / steps) ** (2 * self.sharpness) for step in range(steps))
        return 1 / sqrt(mean / steps)


def panel_circuits(count: int, house: House | None = None) -> list[PanelCircuit]:
    """The first `count` circuits: three mains, what hangs on them, then lights, evenly over the phases."""
    house = house or shared_house()
    found = [
        PanelCircuit(name=name, phase=phase, circuit=house.circuits[circuit], rated_current=rated, sharpness=sharp)
        for name, circuit, phase, rated, sharp in (
            *((f"Main {phase.upper()}", "grid", phase, 63, 1) for phase in PHASES),
            ("Kitchen", "kitchen", "l2", 16, 1),
            ("Workshop", "workshop", "l3", 16, 4),
            ("Pond pump", "pump", "l1", 10, 1),
            *((f"Heat pump {phase.upper()}", "heat_pump", phase, 20, 2) for phase in PHASES),
            *((f"Car {phase.upper()}", "car", phase, 16, 1) for phase in PHASES),
            ("Solar", "solar", "l1", 32, 1),
            ("Battery", "battery", "l1", 32, 1),
        )
    ]  # fmt: skip
    more = count - len(found)
    if more > 0:
        base = loads.base(Random("1 base"))
        lights = {
            phase: Circuit(house.mains, {phase: (base, [watts * 0.395 for watts in base])})
            for phase in PHASES
        }
        of_house = {"l1": 0.4, "l2": 0.25, "l3": 0.35}
        for number in range(more):
            phase = PHASES[number % len(PHASES)]
            each = len(range(number % len(PHASES), more, len(PHASES)))
            found.append(
                PanelCircuit(
                    name=f"Lights {number + 1}",
                    phase=phase,
                    circuit=lights[phase],
                    rated_current=10,
                    share=0.9 * of_house[phase] / each,
                    sharpness=12 if number % 2 else 1,
                )
            )
    return found[:count]


class Chip(Protocol):
    """Anything with an address."""

    address: int

    def write(self, data: bytes) -> None:
        """Take the bytes of one message; they count at STOP."""

    def read(self, length: int) -> bytes:
        """Answer one message."""

    def stop(self) -> None:
        """The transaction has ended."""

    @property
    def answers(self) -> bool:
        """Whether it acknowledges its address."""


class SimulatedMonitor:
    """One monitor, byte by byte.

    Args:
        monitor_id: its own id.
        address: where it answers.
        circuit: what it measures.
        clock: Unix time, seconds.
        capabilities: what it can do.
    """

    def __init__(
        self,
        monitor_id: int,
        address: int,
        circuit: PanelCircuit,
        *,
        clock: Callable[[], float] = time.time,
        capabilities: int = Capability.WAVEFORM
        | Capability.EXPORT
        | Capability.ADDRESS
        | Capability.LED,
    ) -> None:
        """Switch it on."""
        self.id = monitor_id
        self.address = address
        self.circuit = circuit
        self.capabilities = capabilities
        self.calibration = dict(_DEFAULTS)
        self.rests_closed = True
        """Whether the circuit hangs on the relay's normally closed contact."""
        self.relay = 1
        self.diagnostics = {
            "reset": POWER_ON,
            "refused": 0,
            "bus_errors": 0,
            "overruns": 0,
            "longest_stretch": 20,
        }
        self.powered = True
        self.frozen: int | None = None
        """The sequence at which it stopped to measure, for tests."""
        self.lost = 0.0
        """kWh that it forgot with its supply."""
        self.flags = 0
        self._clock = clock
        self._boot = 1
        self._since = clock() - 1.0
        self._pointer = IDENTITY.pointer
        self._chunk = 0
        self._pending = b""
        self._result = {"opcode": 0, "result": 0, "count": 0, "capture": 0}
        self._unlocked: float | None = None
        self._waveform: dict[str, int | None] = {}
        self._samples: list[tuple[int, int]] = []
        self._fresh = True
        self._opened: float | None = None
        self._restarts_at: float | None = None
        self.writes = 0

    @property
    def answers(self) -> bool:
        """Whether it acknowledges its address."""
        if self._restarts_at is not None and self._clock() >= self._restarts_at:
            self.start(BY_COMMAND)
        return self.powered and self._clock() - self._since >= STARTING

    def power(self, on: bool, forgets: float = 0.0) -> None:
        """Give it its supply or take it away; `forgets` kWh had not been saved."""
        if on and not self.powered:
            self.start(POWER_ON)
            self.lost += forgets
        self.powered = on

    def start(self, reset: int) -> None:
        """Begin anew for a cause, with the relay at rest."""
        self._boot = self._boot + 1 & 0xFF
        self._since = self._clock()
        self._pointer = IDENTITY.pointer
        self._result = {"opcode": 0, "result": 0, "count": 0, "capture": 0}
        self._fresh = True
        self._restarts_at = None
        self.diagnostics["reset"] = reset
        self.switch(self.rests_closed)

    def switch(self, closed: bool) -> None:
        """Move the relay; while it is open nothing flows."""
        now = self._clock()
        if self._opened is not None and closed:
            self.lost += self.circuit.energy(now).taken - self.circuit.energy(self._opened).taken
        if closed:
            self._opened = None
        elif self._opened is None:
            self._opened = now
        self.relay = int(closed)

    # The bus

    def write(self, data: bytes) -> None:
        """Take a pointer, or a command that counts at STOP."""
        self._pending = data

    def read(self, length: int) -> bytes:
        """The block that the pointer chose; then the identity again."""
        self._take_pointer()
        data = self._block()
        self._pointer, self._chunk = IDENTITY.pointer, 0
        return (data + bytes([NOWHERE]) * length)[:length]

    def stop(self) -> None:
        """A whole command is carried out."""
        if len(self._pending) > 2:
            self._command(self._pending)
        else:
            self._take_pointer()
        self._pending = b""

    def _take_pointer(self) -> None:
        if self._pending:
            self._pointer = self._pending[0]
            self._chunk = self._pending[1] if len(self._pending) > 1 else 0
            self._pending = b""

    # Blocks

    def _block(self) -> bytes:
        blocks: Mapping[int, Callable[[], tuple[Block, Mapping[str, int | None]]]] = {
            IDENTITY.pointer: lambda: (IDENTITY, self._identity()),
            MEASUREMENT.pointer: lambda: (MEASUREMENT, self._measurement()),
            DIAGNOSTICS.pointer: lambda: (DIAGNOSTICS, self._diagnostics()),
            CALIBRATION.pointer: lambda: (
                CALIBRATION,
                {
                    **self.calibration,
                    "current_offset": 0,
                    "voltage_offset": 0,
                    "writes": self.writes,
                },
            ),
            RESULT.pointer: lambda: (RESULT, self._result),
            WAVEFORM.pointer: self._chunk_block,
        }
        found = blocks.get(self._pointer)
        if found is None:
            return b""
        block, values = found()
        return block.encode({"tag": tag_of(self.id), **values})

    def _identity(self) -> dict[str, int | None]:
        return {
            "magic": MAGIC,
            "version": VERSION,
            "length": IDENTITY.length,
            "id": self.id,
            "complement": self.id ^ ALL_BITS,
            "major": 1,
            "minor": 0,
            "patch": 0,
            "hardware": 1,
            "capabilities": self.capabilities,
            "rated_current": round(self.circuit.rated_current * 10),
            "rated_voltage": 3000,
            "sample_rate": SAMPLE_RATE,
            "switch": 0,
            "address": self.address,
            "window": 10,
        }

    def _measurement(self) -> dict[str, int | None]:
        sequence = int((self._clock() - self._since) / WINDOW)
        if self.frozen is not None:
            sequence = self.frozen
        moment = self._since + sequence * WINDOW
        now, energy = self.circuit.at(moment), self.circuit.energy(moment)
        if self._opened is not None:
            now = replace(now, current=0.0, power=0.0, reactive=0.0)
            energy = self.circuit.energy(self._opened)
        apparent = now.voltage * now.current
        flags = self.flags | (Flag.RESTARTED if self._fresh else 0)
        self._fresh = False
        crest = self.circuit.crest_factor
        return {
            "sequence": sequence & 0xFFFF,
            "boot": self._boot,
            "state": (RELAY_CLOSED if self.relay else 0)
            | (WAVEFORM_READY if self._result["capture"] else 0),
            "flags": flags,
            "voltage": round(now.voltage * 100),
            "frequency": round(self.circuit.circuit.mains.frequency(moment) * 100),
            "current": round(now.current * 1000),
            "power": round(now.power * 1000),
            "reactive_power": round(now.reactive * 1000),
            "apparent_power": round(apparent * 1000),
            "power_factor": round(now.factor * 10_000) if apparent >= 0.5 else None,
            "crest_factor": round(crest * 1000) if now.current >= 0.02 else None,
            "energy_import": round(max(energy.taken - self.lost, 0.0) * 1e6),
            "energy_export": round(energy.given * 1e6),
            "voltage_peak": round(now.voltage * sqrt(2) * 10),
            "current_peak": round(now.current * crest * 100),
        }

    def _diagnostics(self) -> dict[str, int | None]:
        return {
            **self.diagnostics,
            "uptime": int(self._clock() - self._since),
            "pairs": round(SAMPLE_RATE * WINDOW),
        }

    def _chunk_block(self) -> tuple[Block, Mapping[str, int | None]]:
        chunks = -(-len(self._samples) // PAIRS_PER_CHUNK)
        number = self._result["capture"] & 0xFF
        if self._chunk == 0:
            return WAVEFORM, {"capture": number, "chunk": 0, **self._waveform}
        if self._chunk > chunks:
            return WAVEFORM, {"capture": 0, "chunk": self._chunk}
        start = (self._chunk - 1) * PAIRS_PER_CHUNK
        values: dict[str, int | None] = {"capture": number, "chunk": self._chunk}
        for pair, (volts, amperes) in enumerate(self._samples[start : start + PAIRS_PER_CHUNK]):
            values[f"v{pair}"], values[f"i{pair}"] = volts, amperes
        return SAMPLES, values

    # Commands

    def _command(self, data: bytes) -> None:
        if data[0] != COMMAND.pointer or not COMMAND.is_good(data[1:]):
            return
        values = COMMAND.decode(data[1:])
        if values["id"] != self.id:
            return
        opcode, argument = values["opcode"] or 0, values["argument"] or 0
        self._result["opcode"] = opcode
        self._result["count"] = self._result["count"] + 1 & 0xFFFF
        signed = argument - (1 << 32) if argument >> 31 else argument
        unlocked = self._unlocked is not None and self._clock() - self._unlocked <= UNLOCKED_FOR
        self._unlocked = None
        if opcode in GUARDED and not unlocked:
            self._result["result"] = Result.LOCKED
        else:
            self._result["result"] = self._carry_out(opcode, signed)

    def _carry_out(self, opcode: int, argument: int) -> Result:
        if opcode == Opcode.UNLOCK:
            if argument != UNLOCK_KEY:
                return Result.RANGE
            self._unlocked = self._clock()
        elif opcode in _RANGES:
            name, low, high = _RANGES[Opcode(opcode)]
            if not low <= argument <= high:
                return Result.RANGE
            self.calibration[name] = argument
            self.writes += 1
        elif opcode == Opcode.RELAY:
            if not self.capabilities & Capability.RELAY:
                return Result.UNSUPPORTED
            if argument not in (0, 1):
                return Result.RANGE
            self.switch(bool(argument))
        elif opcode == Opcode.RESTART:
            if self.capabilities & Capability.RELAY and self.relay != self.rests_closed:
                return Result.NOT_AT_REST
            self._restarts_at = self._clock() + RESTART_AFTER
        elif opcode == Opcode.ADDRESS:
            if not self.capabilities & Capability.ADDRESS:
                return Result.SWITCH
            if not 0x08 <= argument <= 0x77:
                return Result.RANGE
            self.address = argument
        elif opcode == Opcode.CAPTURE:
            if argument not in (1, 2):
                return Result.RANGE
            self._take_waveform(argument)
        elif opcode == Opcode.DEFAULTS:
            self.calibration = dict(_DEFAULTS)
        elif opcode == Opcode.RESET_ENERGY:
            self.lost = self.circuit.energy(self._clock()).taken
        elif opcode not in (Opcode.BLINK, Opcode.LEARN_ZERO):
            return Result.UNKNOWN
        return Result.DONE

    def _take_waveform(self, cycles: int) -> None:
        moment = self._clock()
        now = self.circuit.at(moment)
        frequency = self.circuit.circuit.mains.frequency(moment)
        pairs = round(SAMPLE_RATE * cycles / frequency)
        scale = max(self.circuit.rated_current, 1.0) * 4 / 1024
        peak = now.current * self.circuit.crest_factor
        direction = -1 if now.power < 0 else 1
        self._samples = []
        for pair in range(pairs):
            wave = sin(2 * pi * cycles * pair / pairs)
            shape = abs(wave) ** self.circuit.sharpness * (1 if wave >= 0 else -1)
            self._samples.append(
                (
                    round(512 + now.voltage * sqrt(2) * wave / _VOLTS_PER_COUNT),
                    round(512 + direction * peak * shape / scale),
                )
            )
        self._waveform = {
            "pairs": pairs,
            "pairs_per_chunk": PAIRS_PER_CHUNK,
            "cycles": cycles,
            "rate": round(SAMPLE_RATE * 1000),
            "volts": round(_VOLTS_PER_COUNT * 1e6),
            "amperes": round(scale * 1e6),
            "voltage_zero": 512_000,
            "current_zero": 512_000,
            "delay": 1100,
            "flags": 0,
        }
        self._result["capture"] = self._result["capture"] % 0xFFFE + 1


class SimulatedMultiplexer:
    """A TCA9548A: one register, a bit per channel."""

    def __init__(self, address: int, channels: Mapping[int, list[Chip]]) -> None:
        """Switch it on with no channel selected."""
        self.address = address
        self.channels = channels
        self.register = 0
        self._next: int | None = None

    @property
    def answers(self) -> bool:
        """It always does."""
        return True

    def write(self, data: bytes) -> None:
        """Take the register; in force at STOP."""
        self._next = data[-1] if data else None

    def read(self, length: int) -> bytes:
        """The register, as often as one likes."""
        register = self.register if self._next is None else self._next
        return bytes([register]) * length

    def stop(self) -> None:
        """Join what was chosen."""
        if self._next is not None:
            self.register, self._next = self._next, None

    @property
    def joined(self) -> Iterable[Chip]:
        """The chips on the channels that are selected."""
        for channel, chips in self.channels.items():
            if self.register >> channel & 1:
                yield from chips


class SimulatedI2CBus:
    """A bus behind the methods of `smbus2.SMBus` that are used.

    Args:
        chips: what is on the trunk, multiplexers included.
        speed: clock, Hz.
        stretch: seconds that a monitor holds the clock after each byte.
        pace: waits as long as the wire would take, if given: `time.sleep`.
    """

    def __init__(
        self,
        chips: Iterable[Chip],
        *,
        speed: float = 100_000,
        stretch: float = 0.0,
        pace: Callable[[float], Any] | None = None,
    ) -> None:
        """Put the chips on it."""
        self.chips = list(chips)
        self.speed = speed
        self.stretch = stretch
        self.bus_time = 0.0
        """Seconds that the wire was busy so far."""
        self.transactions = 0
        self.opened = 0
        self._pace = pace

    def open(self) -> SimulatedI2CBus:
        """What the opener of an `I2CBus` does."""
        self.opened += 1
        return self

    def close(self) -> None:
        """Nothing is kept open."""

    def at(self, address: int) -> list[Chip]:
        """Who answers at an address now."""
        everybody = list(self.chips)
        for chip in self.chips:
            if isinstance(chip, SimulatedMultiplexer):
                everybody += chip.joined
        return [chip for chip in everybody if chip.address == address and chip.answers]

    def i2c_rdwr(self, *i2c_msgs: i2c_msg) -> None:
        """Carry out one combined transaction.

        Raises:
            OSError: nobody acknowledges.
        """
        self.transactions += 1
        written = sum(each.len for each in i2c_msgs if not each.flags & _READ)
        read = sum(each.len for each in i2c_msgs if each.flags & _READ)
        chips = self.at(i2c_msgs[0].addr)
        if not chips:
            self._spend(11)
            raise OSError(errno.EREMOTEIO, "Remote I/O error")
        self._spend(bus_clocks(read, written), written + read + len(i2c_msgs))
        for message in i2c_msgs:
            if message.flags & _READ:
                data = [chip.read(message.len) for chip in chips]
                for index in range(message.len):
                    byte = NOWHERE
                    for each in data:
                        byte &= each[index]  # SDA is low as soon as one pulls it.
                    message.buf[index] = bytes((byte,))
            else:
                for chip in chips:
                    chip.write(bytes(message))
        for chip in chips:
            chip.stop()

    def _spend(self, clocks: int, stretched: int = 0) -> None:
        seconds = clocks / self.speed + stretched * self.stretch
        self.bus_time += seconds
        if self._pace is not None:
            self._pace(seconds)


def panel_id(number: int, panel: str = "panel") -> int:
    """The id of a panel's monitor of this number: the same in every run."""
    return Random(f"{panel} {number}").getrandbits(63) | 1


def simulated_panel(
    count: int,
    *,
    clock: Callable[[], float] = time.time,
    house: House | None = None,
    panel: str = "panel",
) -> list[SimulatedMonitor]:
    """`count` monitors at 0x08 and up, whose ids hang on the panel's name; the pond pump's has a relay.

    Working out the house takes some tenths of a second, so keep it off the event loop.
    """
    monitors = []
    for number, circuit in enumerate(panel_circuits(count, house)):
        monitor = SimulatedMonitor(
            panel_id(number, panel), FIRST_ADDRESS + number, circuit, clock=clock
        )
        if circuit.name == "Pond pump":
            monitor.capabilities |= Capability.RELAY
        monitors.append(monitor)
    return monitors
