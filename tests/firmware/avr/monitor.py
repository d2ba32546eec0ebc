"""A simulated bus of I²C monitors, and what a careful master does with them."""

from custom_components.energy_meter.sources.i2c.registers import (
    CALIBRATION,
    DIAGNOSTICS,
    IDENTITY,
    MEASUREMENT,
    RESULT,
    UNLOCK_KEY,
    Block,
    Flag,
    Opcode,
    Result,
    command,
    tag_of,
)
from tests.support.avr_bench import AvrBench, Transaction, build_firmware

STARTED = 0.6
"""Simulated seconds after which a monitor answers, also at its very first start."""
ACS758 = 40
"""mV per ampere."""
TIMSK1 = 0x6F
"""Which interrupts timer 1 raises: without its own no more samples are taken."""
COIL = ("B", 1)
STRAPS = {"relay": ("C", 2), "rests closed": ("C", 3)}
"""Pins; a strap is in place when its pin is on ground."""


def monitors(count: int = 1, *, scl: float = 100_000, seed: int = 1) -> AvrBench:
    """New monitors with erased EEPROMs, all at 0x08 until something else is set."""
    bench = AvrBench(build_firmware("i2c_monitor"), nodes=count, scl=scl, seed=seed)
    for node in range(count):
        bench.set(node, igain=ACS758, irms=10)
    return bench


def strap(bench: AvrBench, *names: str, node: int = 0) -> None:
    """Solder straps before a monitor is powered up; the other pins are left to their pull-ups."""
    for name, pin in STRAPS.items():
        bench.drive(*pin, 0 if name in names else 1, node)


class Monitor:
    """One of them."""

    def __init__(self, bench: AvrBench, address: int = 0x08) -> None:
        """Find out who answers at an address."""
        self.bench = bench
        self.address = address
        self.last = Transaction(b"", 0, 0, 0)
        self.id = self.identity()["id"]

    def identity(self) -> dict[str, int]:
        """Its identity, read with a pointer."""
        return {key: value or 0 for key, value in self.block(IDENTITY).items()}

    def block(self, block: Block) -> dict[str, int | None]:
        """A block; its CRC, and its tag where it has one, are checked."""
        self.last = self.bench.i2c(self.address, bytes((block.pointer,)), block.length)
        values = block.decode(self.last.data)
        if "tag" in values and hasattr(self, "id"):
            assert values["tag"] == tag_of(self.id)
        return values

    def measurement(self) -> dict[str, int | None]:
        """The measurement block."""
        return self.block(MEASUREMENT)

    def flags(self) -> Flag | int:
        """The flags of the measurement, without `uncalibrated`."""
        return (self.measurement()["flags"] or 0) & ~Flag.UNCALIBRATED

    def after_change(self) -> dict[str, int | None]:
        """A measurement that was made wholly after what has just been changed; the one before is read."""
        self.bench.run(0.75)
        self.measurement()
        self.bench.run(0.25)
        return self.measurement()

    def diagnostics(self) -> dict[str, int | None]:
        """The diagnostics, as of the last window."""
        self.bench.run(0.3)
        return self.block(DIAGNOSTICS)

    def calibration(self) -> dict[str, int | None]:
        """The calibration block."""
        return self.block(CALIBRATION)

    def result(self) -> dict[str, int | None]:
        """What became of the last command."""
        return self.block(RESULT)

    def write(self, opcode: int, argument: int = 0) -> None:
        """Send a command and nothing else."""
        self.bench.i2c(self.address, command(Opcode(opcode), self.id, argument))

    def order(self, opcode: Opcode, argument: int = 0) -> Result:
        """Send a command, and read until it has been carried out, as the map says."""
        before = self.result()["count"] or 0
        self.write(opcode, argument)
        for _ in range(25):
            self.bench.run(0.02)
            after = self.result()
            if after["count"] != before and after["result"] != Result.UNDER_WAY:
                assert after["count"] == before + 1
                assert after["opcode"] == opcode
                return Result(after["result"] or 0)
        raise AssertionError("no result within 500 ms")

    def guarded(self, opcode: Opcode, argument: int = 0) -> Result:
        """Unlock, and order."""
        assert self.order(Opcode.UNLOCK, UNLOCK_KEY) is Result.DONE
        return self.order(opcode, argument)
