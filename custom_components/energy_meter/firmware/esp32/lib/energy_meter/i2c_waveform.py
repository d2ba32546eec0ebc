"""One or two cycles of a circuit's voltage and current: captured by the monitor, fetched in chunks, said as JSON."""

import asyncio
import struct

from . import i2c_blocks as blocks
from .decimals import MICRO, decimal
from .desk import Refused
from .i2c_controls import read_block, run_command

_PATIENCE_MS = 1000
_PAUSE_MS = 20
_PER_CHUNK = 14


async def capture(bus, monitor, value):
    """Take `value` cycles (millionths; two if None) and fetch them, JSON text. Raises Refused."""
    if not monitor.capabilities & blocks.CAPTURES:
        raise Refused("unsupported", "this monitor cannot capture a waveform")
    if value not in (None, MICRO, 2 * MICRO):
        raise Refused("bad_value", "'capture' takes 1 or 2 cycles")
    before = await read_block(bus, monitor, blocks.RESULT, True)
    if before is None:
        raise Refused("no_answer", "the monitor does not answer")
    cycles = 2 if value is None else value // MICRO
    await run_command(bus, monitor, blocks.CAPTURE, cycles)
    number = await _finished(bus, monitor, before[6] | before[7] << 8)
    head = await _chunk(bus, monitor, number, 0)
    pairs, _, taken, rate, volts, amperes, volts_zero, amperes_zero, delay = struct.unpack_from(
        "<HBBIIIiih", head, 4
    )
    if not 0 < pairs <= 512 or not rate:
        raise Refused("no_answer", "the monitor has captured nothing")
    voltage, current = [], []
    for chunk in range(1, (pairs + _PER_CHUNK - 1) // _PER_CHUNK + 1):
        data = await _chunk(bus, monitor, number, chunk)
        for pair in range(min(_PER_CHUNK, pairs - len(voltage))):
            volt, ampere = struct.unpack_from("<hh", data, 4 + 4 * pair)
            voltage.append(volt)
            current.append(ampere)
    return '{"rate":%s,"cycles":%d,"delay":%s,"voltage":%s,"current":%s}' % (
        decimal(rate * 1000),
        taken,
        _tenths_of_microseconds(delay),
        _signal(volts, volts_zero, voltage),
        _signal(amperes, amperes_zero, current),
    )


def _tenths_of_microseconds(value):
    """As seconds; `decimal` knows no digits beyond the sixth."""
    return "%s0.%07d" % ("-" if value < 0 else "", abs(value))


def _signal(scale, zero, samples):
    return '{"scale":%s,"zero":%s,"samples":[%s]}' % (
        decimal(scale),
        decimal(zero * 1000),
        ",".join([str(sample) for sample in samples]),
    )


async def _finished(bus, monitor, before):
    """The number of the new capture, once it is complete. Raises Refused."""
    for _ in range(_PATIENCE_MS // _PAUSE_MS):
        result = await read_block(bus, monitor, blocks.RESULT, True)
        number = before if result is None else result[6] | result[7] << 8
        if number not in (0, before):
            return number
        await asyncio.sleep_ms(_PAUSE_MS)
    raise Refused("no_answer", "the capture did not end within a second")


async def _chunk(bus, monitor, number, chunk):
    """One chunk of this very capture. Raises Refused."""
    pointer, size = blocks.WAVEFORM
    data = bytearray(size)
    for _ in range(2):
        if await bus.read(monitor.place, pointer << 8 | chunk, data, True):
            break
        if blocks.is_good(pointer, data):
            if (data[0] | data[1] << 8, data[2], data[3]) == (monitor.tag, number & 0xFF, chunk):
                return data
            break
    raise Refused("no_answer", "a piece of the waveform did not come")
