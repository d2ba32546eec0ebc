"""What can be done to a monitor, and how: a command, unlocked where a slip would cost something, and read back."""

import asyncio
import struct

from . import i2c_blocks as blocks, says
from .decimals import MICRO, decimal, micro
from .desk import Refused
from .i2c_bus import NO_ANSWER, address_text

_PATIENCE_MS = 500
_PAUSE_MS = 20
_BLINK_S = 10
_UNDER_WAY = 1

CONTROLS = (
    # control, kind, opcode, digits of one unit, unit, least, most, step, what a monitor needs for it
    ("relay", "switch", blocks.SWITCH, 1, None, "0", "1", None, blocks.RELAY),
    ("voltage_gain", "number", blocks.VOLTAGE_GAIN, 1_000_000, None, "0.5", "2", "0.0001", 0),
    ("current_gain", "number", blocks.CURRENT_GAIN, 1_000_000, None, "0.1", "10", "0.0001", 0),
    ("phase_shift", "number", blocks.PHASE_SHIFT, 100, "°", "-20", "20", "0.01", 0),
    ("dead_band", "number", blocks.DEAD_BAND, 1000, "A", "0", "10", "0.001", 0),
    ("i2c_address", "number", blocks.MOVE, 1, None, "8", "119", "1", blocks.ADDRESS),
    ("identify", "button", blocks.BLINK, 1, None, None, None, None, blocks.LED),
    ("learn_zero", "button", blocks.LEARN_ZERO, 1, None, None, None, None, 0),
    ("reset_energy", "button", blocks.RESET_ENERGY, 1, None, None, None, None, 0),
    ("restart", "button", blocks.RESTART, 1, None, None, None, None, 0),
)
CALIBRATED = ("voltage_gain", "current_gain", "phase_shift", "dead_band")
"""In the order of the calibration block."""
_DIGITS = (1_000_000, 1_000_000, 100, 1000)
_REFUSALS = {
    2: ("unsupported", "the monitor does not know this command"),
    3: ("bad_value", "the monitor finds the value out of range"),
    4: ("not_allowed", "the monitor stayed locked"),
    5: ("not_allowed", "the address is set by the monitor's switch"),
    6: ("unsupported", "this monitor's hardware cannot do it"),
    7: ("not_allowed", "the monitor could not do it now"),
    8: ("not_allowed", "switch the relay to where it stands without current first"),
}


def offered(capabilities):
    """JSON texts of the controls of a monitor with these capabilities."""
    return [
        says.control(key, kind, unit, None, None if kind == "switch" else least, None if kind == "switch" else most, step)
        for key, kind, _, _, unit, least, most, step, needs in CONTROLS
        if capabilities & needs == needs
    ]  # fmt: skip


def lacking(capabilities, wanted):
    """Keys of the controls that `wanted` brings and `capabilities` do not."""
    return [
        row[0]
        for row in CONTROLS
        if wanted & row[8] == row[8] and capabilities & row[8] != row[8]
    ]  # fmt: skip


def settings_text(monitor):
    """Where a monitor's controls stand, as JSON."""
    pairs = []
    if monitor.relay is not None:
        pairs.append('"relay":%d' % monitor.relay)
    if monitor.settings:
        for key, value, digits in zip(CALIBRATED, monitor.settings, _DIGITS):
            pairs.append('"%s":%s' % (key, decimal(value * (MICRO // digits))))
    if monitor.capabilities & blocks.ADDRESS:
        pairs.append('"i2c_address":%d' % (monitor.place & 0xFF))
    return "{%s}" % ",".join(pairs)


async def read_block(bus, monitor, block, urgent=False, place=None):
    """A block of this very monitor; None if it did not come, was damaged twice, or came from another one."""
    data = bytearray(block[1])
    for _ in range(2):
        if await bus.read(monitor.place if place is None else place, block[0], data, urgent):
            return None
        if blocks.is_good(block[0], data):
            return data if data[0] | data[1] << 8 == monitor.tag else None
    return None


async def read_settings(bus, monitor, urgent=False):
    """What the four calibrated numbers stand at, in their digits; None if they could not be read."""
    data = await read_block(bus, monitor, blocks.CALIBRATION, urgent)
    return None if data is None else struct.unpack_from("<IIhH", data, 2)


def argument_of(row, value):
    """The argument of a control's command for a value in millionths (None: none). Raises Refused."""
    key, kind, opcode, digits, _, least, most = row[:7]
    if kind == "button":
        return _BLINK_S if opcode == blocks.BLINK else 0
    if value is None or not micro(least) <= value <= micro(most):
        raise Refused("bad_value", "'%s' is between %s and %s" % (key, least, most))
    if digits == 1 and value % MICRO:
        raise Refused("bad_value", "'%s' is a whole number" % key)
    return (value * digits + MICRO // 2) // MICRO


async def execute(bus, monitor, control, value):
    """Carry out a control; what the monitor stands at afterwards in millionths, None for a button. Raises Refused."""
    row = None
    for one in CONTROLS:
        if one[0] == control and monitor.capabilities & one[8] == one[8]:
            row = one
    if row is None:
        raise Refused("unknown_control", "this monitor has no control of this name")
    opcode = row[2]
    argument = argument_of(row, value)
    place = monitor.place
    if opcode == blocks.MOVE:
        place = place & ~0xFF | argument
        if place != monitor.place and await _is_taken(bus, place):
            raise Refused("not_allowed", "the address %s is taken" % address_text(place))
    await run_command(bus, monitor, opcode, argument, place)
    if control in CALIBRATED:
        settings = await read_settings(bus, monitor, True)
        if settings is None:
            raise Refused("no_answer", "it cannot be read back")
        monitor.settings = settings
        found = settings[CALIBRATED.index(control)]
        if found != argument:
            raise Refused("mismatch", "it reads back as %s" % decimal(found * (MICRO // row[3])))
    return None if row[1] == "button" else argument * (MICRO // row[3])


async def _is_taken(bus, place):
    """Whether anybody answers at an address: a second one there would take both off the bus."""
    if place & 0xFF in bus.multiplexers:
        return True
    return await bus.read(place, None, bytearray(1), True) != NO_ANSWER


async def run_command(bus, monitor, opcode, argument, place=None):
    """Have a monitor carry out a command; its result block. Raises Refused.

    A write whose fate is not known is never repeated: the count of commands says what became of it. `place`: where
    it is to be found afterwards.
    """
    before = await read_block(bus, monitor, blocks.RESULT, True)
    if before is None:
        raise Refused("no_answer", "the monitor does not answer")
    count = before[4] | before[5] << 8
    if opcode >= blocks.GUARDED:
        await bus.write(
            monitor.place, blocks.command(blocks.UNLOCK, monitor.key, blocks.UNLOCK_KEY)
        )
        count += 1
    await bus.write(monitor.place, blocks.command(opcode, monitor.key, argument))
    count = count + 1 & 0xFFFF
    for _ in range(_PATIENCE_MS // _PAUSE_MS):
        await asyncio.sleep_ms(_PAUSE_MS)
        result = await read_block(bus, monitor, blocks.RESULT, True, place)
        if result is None and place not in (None, monitor.place):
            result = await read_block(bus, monitor, blocks.RESULT, True)  # It has refused.
        if result is None or result[4] | result[5] << 8 != count or result[2] != opcode:
            continue
        if result[3] == 0:
            return result
        if result[3] != _UNDER_WAY:
            raise Refused(*_REFUSALS.get(result[3], ("unsupported", "result %d" % result[3])))
    raise Refused("no_answer", "the monitor did not do it within half a second")
