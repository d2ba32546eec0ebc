"""One or two cycles of a circuit's voltage and current, fetched from a monitor in chunks."""

import asyncio
from typing import Final

from ...metering.waveform import Waveform, waveform
from ..base import SourceError
from .bus import I2CBus, Transfer
from .controls import read_block, run_command
from .multiplexer import Place
from .readings import Identity
from .registers import PAIRS_PER_CHUNK, RESULT, SAMPLES, WAVEFORM, Block, Capability, Opcode

_PATIENCE: Final = 1.0
_PAUSE: Final = 0.02


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
    return waveform(
        rate=head["rate"] / 1000,
        cycles=head["cycles"] or 1,
        delay=(head["delay"] or 0) * 1e-7,
        voltage=voltage,
        current=current,
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
