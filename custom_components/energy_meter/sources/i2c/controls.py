"""What can be done to a monitor, and how it is carried out: a command, guarded where a slip would cost something."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ...model import Control, ControlKind, Value
from ..base import SourceError
from .bus import Fault, I2CBus, Transfer
from .multiplexer import Place
from .readings import Identity
from .registers import (
    CALIBRATION,
    GUARDED,
    RESULT,
    UNLOCK_KEY,
    BadBlockError,
    Block,
    Capability,
    Opcode,
    Result,
    command,
)

PATIENCE: Final = 0.5
"""Seconds that a command may take."""
_PAUSE: Final = 0.02


@dataclass(frozen=True, slots=True)
class _Action:
    """A control and the command behind it."""

    control: Control
    opcode: Opcode
    digits: int = 1
    """Digits of the argument in one unit of the control."""
    needs: Capability | None = None
    field: str | None = None
    """Where it can be read back in the calibration."""


_NUMBER, _BUTTON = ControlKind.NUMBER, ControlKind.BUTTON

_ACTIONS: Final[Mapping[str, _Action]] = {
    action.control.key: action
    for action in (
        _Action(Control(key="relay", kind=ControlKind.SWITCH, options={0: "off", 1: "on"}), Opcode.RELAY, needs=Capability.RELAY),
        _Action(Control(key="voltage_gain", kind=_NUMBER, minimum=0.5, maximum=2, step=0.0001, guarded=True), Opcode.VOLTAGE_GAIN, 1_000_000, field="voltage_gain"),
        _Action(Control(key="current_gain", kind=_NUMBER, minimum=0.1, maximum=10, step=0.0001, guarded=True), Opcode.CURRENT_GAIN, 1_000_000, field="current_gain"),
        _Action(Control(key="phase_shift", kind=_NUMBER, unit="°", minimum=-20, maximum=20, step=0.01, guarded=True), Opcode.PHASE_SHIFT, 100, field="phase_shift"),
        _Action(Control(key="dead_band", kind=_NUMBER, unit="A", minimum=0, maximum=10, step=0.001, guarded=True), Opcode.DEAD_BAND, 1000, field="dead_band"),
        _Action(Control(key="i2c_address", kind=_NUMBER, minimum=0x08, maximum=0x77, step=1, guarded=True), Opcode.ADDRESS, needs=Capability.ADDRESS),
        _Action(Control(key="identify", kind=_BUTTON), Opcode.BLINK, needs=Capability.LED),
        _Action(Control(key="learn_zero", kind=_BUTTON, guarded=True), Opcode.LEARN_ZERO),
        _Action(Control(key="reset_energy", kind=_BUTTON, guarded=True), Opcode.RESET_ENERGY),
        _Action(Control(key="restart", kind=_BUTTON, guarded=True), Opcode.RESTART),
    )
}  # fmt: skip

_REASONS: Final[Mapping[int, str]] = {
    Result.UNKNOWN: "bridge_unsupported",
    Result.RANGE: "bridge_bad_value",
    Result.LOCKED: "bridge_not_allowed",
    Result.SWITCH: "i2c_address_by_switch",
    Result.UNSUPPORTED: "bridge_unsupported",
    Result.NOT_AT_REST: "i2c_relay_not_at_rest",
}
_BLINKS: Final = 10
"""Seconds."""


def controls_of(identity: Identity) -> tuple[Control, ...]:
    """What this monitor offers."""
    return tuple(
        action.control
        for action in _ACTIONS.values()
        if action.needs is None or identity.can(action.needs)
    )


async def read_block(
    bus: I2CBus, place: Place, identity: Identity, block: Block, *, urgent: bool = False
) -> dict[str, int | None] | None:
    """A block of this very monitor; None if it did not come, damaged twice, or from another one."""
    transfer = Transfer(place.address, bytes((block.pointer,)), block.length, block.is_good)
    answer = (await bus.run(place.segment, (transfer,), urgent=urgent))[0]
    if answer.fault is not None:
        return None
    try:
        values = block.decode(answer.data)
    except BadBlockError:
        return None
    return values if values["tag"] == identity.tag else None


async def read_settings(bus: I2CBus, place: Place, identity: Identity) -> dict[str, Value] | None:
    """What the numbers of a monitor stand at, by control; None if they could not be read."""
    block = await read_block(bus, place, identity, CALIBRATION)
    if block is None:
        return None
    settings: dict[str, Value] = {
        key: None if (value := block[action.field]) is None else value / action.digits
        for key, action in _ACTIONS.items()
        if action.field is not None
    }
    if identity.can(Capability.ADDRESS):
        settings["i2c_address"] = place.address
    return settings


def argument_of(control: str, value: Value) -> int:
    """The argument of a control's command.

    Raises:
        ValueError: not a value of this control.
    """
    action = _ACTIONS[control]
    if action.control.kind is ControlKind.BUTTON:
        return _BLINKS if action.opcode is Opcode.BLINK else 0
    if value is None:
        raise ValueError(value)
    if action.control.kind is ControlKind.SWITCH:
        if value not in (0, 1):
            raise ValueError(value)
        return int(value)
    low, high = action.control.minimum, action.control.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        raise ValueError(value)
    return round(value * action.digits)  # Not a number raises here.


async def execute(
    bus: I2CBus, place: Place, identity: Identity, control: str, value: Value
) -> Value:
    """Carry out a control and return what the monitor stands at afterwards; None for a button.

    Raises:
        SourceError: `bridge_unknown_control`, `bridge_bad_value`, `bridge_no_answer`, `bridge_mismatch` or what
            the monitor gives as its reason.
    """
    placeholders = {"control": control, "meter": str(place), "text": ""}
    action = _ACTIONS.get(control)
    if action is None or (action.needs and not identity.can(action.needs)):
        raise SourceError("bridge_unknown_control", placeholders)
    try:
        argument = argument_of(control, value)
    except (ValueError, OverflowError) as err:
        raise SourceError("bridge_bad_value", placeholders | {"text": str(value)}) from err
    moved = Place(place.segment, argument) if action.opcode is Opcode.ADDRESS else place
    if moved != place and await _is_taken(bus, moved):
        raise SourceError("i2c_address_taken", placeholders | {"text": f"0x{argument:02X}"})
    await run_command(
        bus,
        place,
        identity,
        opcode=action.opcode,
        argument=argument,
        placeholders=placeholders,
        answers_at=moved,
    )
    if action.field is not None:
        block = await read_block(bus, place, identity, CALIBRATION, urgent=True)
        if block is None:
            raise SourceError("bridge_no_answer", placeholders)
        found = block[action.field]
        if found != argument:
            raise SourceError("bridge_mismatch", placeholders | {"text": str(found)})
        return argument / action.digits
    return None if action.control.kind is ControlKind.BUTTON else argument


async def _is_taken(bus: I2CBus, place: Place) -> bool:
    """Whether anybody answers at an address: a second one there would take both off the bus."""
    if place.address in bus.multiplexers.addresses:
        return True
    answer = (await bus.run(place.segment, (Transfer(place.address, read=1),), urgent=True))[0]
    return answer.fault is not Fault.NO_ANSWER


async def run_command(
    bus: I2CBus,
    place: Place,
    identity: Identity,
    *,
    opcode: Opcode,
    argument: int,
    placeholders: Mapping[str, str],
    answers_at: Place | None = None,
) -> dict[str, int | None]:
    """Have a monitor carry out a command and return its result block.

    A write whose fate is not known is never repeated: the count of commands says what became of it.

    Raises:
        SourceError: it could not be written, was refused, or nothing came of it in time.
    """
    before = await read_block(bus, place, identity, RESULT, urgent=True)
    if before is None:
        raise SourceError("bridge_no_answer", placeholders)
    writes = [command(opcode, identity.id, argument)]
    if opcode in GUARDED:
        writes.insert(0, command(Opcode.UNLOCK, identity.id, UNLOCK_KEY))
    count = ((before["count"] or 0) + len(writes)) & 0xFFFF
    await bus.run(place.segment, [Transfer(place.address, each) for each in writes], urgent=True)
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(_PAUSE)
        result = await read_block(bus, answers_at or place, identity, RESULT, urgent=True)
        if result is None and answers_at not in (None, place):
            result = await read_block(bus, place, identity, RESULT, urgent=True)  # It has refused.
        if result is None or (result["count"] or 0) != count or result["opcode"] != opcode:
            continue
        code = result["result"]
        if code == Result.DONE:
            return result
        if code is not None and code != Result.UNDER_WAY:
            raise SourceError(_reason(opcode, code), placeholders)
    raise SourceError("bridge_no_answer", placeholders)


def _reason(opcode: Opcode, code: int) -> str:
    """The key of what a monitor says against a command."""
    if opcode is Opcode.RELAY and code == Result.FAILED:
        return "relay_not_confirmed"
    return _REASONS.get(code, "bridge_refused")
