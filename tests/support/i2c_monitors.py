"""A bus of simulated monitors with everything that goes wrong on one, and a hub on it in virtual time.

A double of the wire and of smbus2's calls, because no kernel of a test machine has an I²C bus. The monitors on
it speak the register map byte by byte.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
import errno
from random import Random
from typing import Any, override

from smbus2 import i2c_msg

from custom_components.energy_meter.model import Reading
from custom_components.energy_meter.sources.bridge import BridgeEvent, BridgeHealth, Hello
from custom_components.energy_meter.sources.i2c.bus import Answer, Call, I2CBus
from custom_components.energy_meter.sources.i2c.hub import I2CHub
from custom_components.energy_meter.sources.i2c.multiplexer import Multiplexers
from custom_components.energy_meter.sources.simulated.panel import (
    Chip,
    SimulatedI2CBus,
    SimulatedMonitor,
    simulated_panel,
)

EPOCH = 1_790_000_000.0
"""Unix time at which tests begin, less the loop's own."""


class FaultyBus(SimulatedI2CBus):
    """A bus that can be disturbed."""

    def __init__(self, chips: Iterable[Chip], **more: Any) -> None:
        super().__init__(chips, **more)
        self.held = False
        """SDA is low and no transaction can begin."""
        self.reads_zero = False
        """SDA is low, yet the controller takes that for an answer of everybody."""
        self.gone = False
        """The device has been unplugged."""
        self.damage = 0.0
        """Share of answers in which a bit is wrong."""
        self.damaged = 0
        self.stretching: set[int] = set()
        """Addresses whose transactions end in a time-out."""
        self.released_by_open = False
        """Whether opening the device anew clears `held`."""
        self.random = Random(4)

    @override
    def open(self) -> SimulatedI2CBus:
        if self.gone:
            raise OSError(errno.ENOENT, "No such file or directory")
        if self.released_by_open:
            self.held = False
        return super().open()

    @override
    def i2c_rdwr(self, *i2c_msgs: i2c_msg) -> None:
        if self.gone:
            raise OSError(errno.ENODEV, "No such device")
        if self.held or i2c_msgs[0].addr in self.stretching:
            self.bus_time += 0.1
            raise OSError(errno.ETIMEDOUT, "Connection timed out")
        if self.reads_zero:
            for message in i2c_msgs:
                for index in range(message.len if message.flags & 1 else 0):
                    message.buf[index] = b"\x00"
            return
        super().i2c_rdwr(*i2c_msgs)
        for message in i2c_msgs:
            if message.flags & 1 and self.random.random() < self.damage:
                self.damaged += 1
                index = self.random.randrange(message.len)
                byte = bytes(message)[index] ^ 1 << self.random.randrange(8)
                message.buf[index] = bytes((byte,))


class ForeignChip:
    """A chip of somebody else, which must never be written to."""

    def __init__(self, address: int, content: bytes = b"\x3c\x00\x7f\x80") -> None:
        self.address = address
        self.content = content
        self.written: list[bytes] = []
        self.reads = 0

    @property
    def answers(self) -> bool:
        return True

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def read(self, length: int) -> bytes:
        self.reads += 1
        return (self.content * length)[:length]

    def stop(self) -> None:
        pass


class GarblingMonitor(SimulatedMonitor):
    """A monitor that can be made to answer nonsense."""

    garbles = False

    @override
    def read(self, length: int) -> bytes:
        data = super().read(length)
        return Random(data).randbytes(length) if self.garbles else data


@dataclass
class Heard:
    """What a hub has told; a `BridgeListener`."""

    hellos: list[Hello] = field(default_factory=list)
    readings: list[tuple[Reading, frozenset[str]]] = field(default_factory=list)
    events: list[BridgeEvent] = field(default_factory=list)
    healths: list[BridgeHealth] = field(default_factory=list)
    connections: list[bool] = field(default_factory=list)
    troubles: list[tuple[str, str]] = field(default_factory=list)
    logs: list[tuple[str, str]] = field(default_factory=list)

    def on_hello(self, hello: Hello) -> None:
        self.hellos.append(hello)

    def on_reading(self, meter: str, reading: Reading, flags: frozenset[str], *, old: bool) -> None:
        assert meter == reading.meter_id
        assert not old
        self.readings.append((reading, flags))

    def on_event(self, event: BridgeEvent) -> None:
        self.events.append(event)

    def on_health(self, health: BridgeHealth) -> None:
        self.healths.append(health)

    def on_connected(self, connected: bool) -> None:
        self.connections.append(connected)

    def on_log(self, level: str, text: str) -> None:
        self.logs.append((level, text))

    def on_trouble(self, key: str, detail: str) -> None:
        self.troubles.append((key, detail))

    def of(self, monitor: SimulatedMonitor) -> list[Reading]:
        """The readings of one monitor."""
        return [reading for reading, _ in self.readings if reading.meter_id == f"{monitor.id:016x}"]

    def times(self, monitor: SimulatedMonitor) -> list[float]:
        """When they were taken."""
        return [reading.monotonic for reading in self.of(monitor)]

    @property
    def present(self) -> set[str]:
        """Who is there, by the last hello."""
        return {meter.id for meter in self.hellos[-1].meters}


class Wire:
    """Lets the time that a simulated bus takes pass in virtual time."""

    def __init__(self, sim: SimulatedI2CBus, turn_around: float = 0.0003) -> None:
        self._sim = sim
        self._turn_around = turn_around
        self._from = 0.0
        self._calling = False

    def monotonic(self) -> float:
        """The loop's clock, and within a call what the call has taken."""
        now = asyncio.get_running_loop().time()
        return now + (self._sim.bus_time - self._from if self._calling else 0.0)

    async def executor(self, call: Call) -> Sequence[Answer]:
        """Carry out a call, and wait as long as it takes on the wire."""
        self._from, transactions = self._sim.bus_time, self._sim.transactions
        self._calling = True
        try:
            found = call()
        finally:
            self._calling = False
        spent = self._sim.bus_time - self._from
        await asyncio.sleep(spent + self._turn_around * (self._sim.transactions - transactions))
        return found


@dataclass
class Rig:
    """A hub on a bus that can be disturbed."""

    sim: FaultyBus
    monitors: list[SimulatedMonitor]
    bus: I2CBus
    hub: I2CHub
    heard: Heard


def unix() -> float:
    """Unix time of the test."""
    return EPOCH + asyncio.get_running_loop().time()


def make_rig(
    count: int = 3,
    *,
    multiplexers: Iterable[int] = (),
    arrange: Callable[[list[SimulatedMonitor]], list[Chip]] = list,
    memory: Mapping[str, Any] | None = None,
    speed: float = 100_000,
) -> Rig:
    """A hub that is not started yet, on a bus with `count` monitors; to be called within the loop."""
    monitors = simulated_panel(count, clock=unix)
    sim = FaultyBus(arrange(monitors), speed=speed, stretch=12e-6)
    wire = Wire(sim)
    bus = I2CBus(
        sim.open,
        name="/dev/i2c-1",
        multiplexers=Multiplexers(multiplexers),
        executor=wire.executor,
        clock=wire.monotonic,
    )
    heard = Heard()
    hub = I2CHub(
        heard,
        bus,
        hub_id="i2c-1",
        name="Panel",
        clock=lambda: (wire.monotonic(), EPOCH + wire.monotonic()),
        memory=memory,
    )
    return Rig(sim, monitors, bus, hub, heard)


async def running(rig: Rig, story: Callable[[Rig], Awaitable[None]]) -> None:
    """Start the hub, tell the story, stop it."""
    await rig.hub.start()
    try:
        await story(rig)
    finally:
        await rig.hub.stop()


def check_values(rig: Rig) -> None:
    """Everything that was ever published is what the circuit carried."""
    circuits = {f"{monitor.id:016x}": monitor.circuit for monitor in rig.monitors}
    for reading, _ in rig.heard.readings:
        circuit = circuits[reading.meter_id]
        # A window ends up to 0.2 s before it is read, and the house moves on meanwhile.
        near = [circuit.at(reading.time.timestamp() - back / 100) for back in range(0, 60, 4)]
        for name in ("voltage", "power", "current"):
            figure = reading.values[name]
            assert figure is not None
            assert min(abs(figure - getattr(now, name)) for now in near) < 2.0
