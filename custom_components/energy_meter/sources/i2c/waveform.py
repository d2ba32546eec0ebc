"""One or two cycles of a circuit's voltage and current: fetched in chunks, and what can be read off them.

Pure but for `capture`.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, hypot, pi, sin, sqrt
from typing import Final

from ..base import SourceError
from .bus import I2CBus, Transfer
from .controls import read_block, run_command
from .multiplexer import Place
from .readings import Identity
from .registers import PAIRS_PER_CHUNK, RESULT, SAMPLES, WAVEFORM, Block, Capability, Opcode

HARMONICS: Final = 15
"""Highest order that is worked out; above it a few dozen samples a cycle say little."""
_PATIENCE: Final = 1.0
_PAUSE: Final = 0.02
_SMALLEST: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What can be read off one quantity's samples; V or A."""

    samples: tuple[float, ...]
    rms: float
    peak: float
    """Largest magnitude."""
    crest_factor: float | None
    harmonics: tuple[float, ...]
    """Effective values of the orders 1, 2, 3 …"""
    distortion: float | None
    """Effective value of the harmonics above the first over the first's, percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waveform:
    """A capture."""

    rate: float
    """Pairs per second."""
    cycles: int
    frequency: float
    """Hz, as the length of the capture says."""
    voltage: Signal
    current: Signal
    delay: float
    """Seconds that the current's samples are late; put right in phase-sensitive results by whoever makes them."""


def _rms(samples: Sequence[float]) -> float:
    return sqrt(sum(sample * sample for sample in samples) / len(samples))


def harmonics_of(samples: Sequence[float], cycles: int, orders: int = HARMONICS) -> list[float]:
    """Effective values of the harmonics 1 … `orders` of samples that cover `cycles` cycles.

    The discrete Fourier sum at multiples of the fundamental; orders above half the samples of a cycle are 0.
    """
    count = len(samples)
    found = []
    for order in range(1, orders + 1):
        if order * cycles * 2 >= count:
            found.append(0.0)
            continue
        step = 2 * pi * order * cycles / count
        real = sum(sample * cos(step * index) for index, sample in enumerate(samples))
        imaginary = sum(sample * sin(step * index) for index, sample in enumerate(samples))
        found.append(hypot(real, imaginary) * sqrt(2) / count)
    return found


def analyse(samples: Sequence[float], cycles: int) -> Signal:
    """Read off samples that cover whole cycles: effective value, peak, crest factor, harmonics, distortion."""
    rms = _rms(samples)
    peak = max(abs(sample) for sample in samples)
    orders = harmonics_of(samples, cycles)
    first = orders[0]
    return Signal(
        samples=tuple(samples),
        rms=rms,
        peak=peak,
        crest_factor=peak / rms if rms > _SMALLEST else None,
        harmonics=tuple(orders),
        distortion=100 * hypot(*orders[1:]) / first if first > _SMALLEST else None,
    )


async def capture(bus: I2CBus, place: Place, identity: Identity, cycles: int) -> Waveform:
    """Have a monitor take one or two cycles, and fetch them.

    Raises:
        SourceError: `bridge_unsupported`, `bridge_no_answer` or what the monitor gives as its reason.
    """
    placeholders = {"control": "capture", "meter": str(place), "text": ""}
    if not identity.can(Capability.WAVEFORM):
        raise SourceError("bridge_unsupported", placeholders)
    nothing = SourceError("bridge_no_answer", placeholders)
    before = await read_block(bus, place, identity, RESULT, urgent=True)
    if before is None:
        raise nothing
    await run_command(
        bus, place, identity, opcode=Opcode.CAPTURE, argument=cycles, placeholders=placeholders
    )
    number = await _finished(bus, place, identity, before["capture"] or 0)

    async def fetch(block: Block, chunk: int) -> dict[str, int | None] | None:
        """One chunk of this very capture; None if it did not come."""
        transfer = Transfer(
            place.address, bytes((block.pointer, chunk)), block.length, block.is_good
        )
        answer = (await bus.run(place.segment, (transfer,), urgent=True))[0]
        if answer.fault is not None or not block.is_good(answer.data):
            return None
        values = block.decode(answer.data)
        mine = (identity.tag, (number or 0) & 0xFF, chunk)
        return values if (values["tag"], values["capture"], values["chunk"]) == mine else None

    head = await fetch(WAVEFORM, 0) if number else None
    if not number or head is None or not (pairs := head["pairs"] or 0) or not head["rate"]:
        raise nothing
    voltage: list[float] = []
    current: list[float] = []
    for chunk in range(1, -(-pairs // PAIRS_PER_CHUNK) + 1):
        block = await fetch(SAMPLES, chunk)
        if block is None:
            raise nothing
        for pair in range(PAIRS_PER_CHUNK):
            v, i = block[f"v{pair}"], block[f"i{pair}"]
            if v is not None and i is not None and len(voltage) < pairs:
                voltage.append(
                    (v - (head["voltage_zero"] or 0) / 1000) * (head["volts"] or 0) / 1e6
                )
                current.append(
                    (i - (head["current_zero"] or 0) / 1000) * (head["amperes"] or 0) / 1e6
                )
    if len(voltage) != pairs:
        raise nothing
    taken = head["cycles"] or 1
    rate = head["rate"] / 1000
    return Waveform(
        rate=rate,
        cycles=taken,
        frequency=rate * taken / pairs,
        voltage=analyse(voltage, taken),
        current=analyse(current, taken),
        delay=(head["delay"] or 0) * 1e-7,
    )


async def _finished(bus: I2CBus, place: Place, identity: Identity, before: int) -> int | None:
    """The number of the new capture, when it is complete."""
    deadline = asyncio.get_running_loop().time() + _PATIENCE
    while asyncio.get_running_loop().time() < deadline:
        result = await read_block(bus, place, identity, RESULT, urgent=True)
        if result is not None and result["capture"] not in (before, 0, None):
            return result["capture"]
        await asyncio.sleep(_PAUSE)
    return None
