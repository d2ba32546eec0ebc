"""Who is at an address: asked by plain reads alone, which no chip takes for a write.

A monitor answers a plain read with its identity. Whatever answers otherwise is a foreign chip, and nothing is
ever written to it.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import batched
from typing import Final

from .bus import AT_ONCE, Answer, Fault, I2CBus, Transfer
from .multiplexer import Place, Segment
from .readings import Identity, has_magic, identity_of, speaks_for_two, version_in
from .registers import ADDRESSES, IDENTITY, MAGIC_BYTES, VERSION

ATTEMPTS: Final = 3
"""Reads of an identity before it is judged."""
ATTEMPTS_BEHIND: Final = 6
"""Comparisons before something counts as hidden: so often in a row noise does not look like it."""
ZEROS_OF_A_HELD_BUS: Final = 4
"""Answers in a row of nothing but zeros: SDA is held low, and everybody seems to be there."""
DISTURBANCES: Final = 4
"""Disturbed transactions in a row, whoever was asked, after which the bus counts as held."""


class Found(StrEnum):
    """What is at an address."""

    NOBODY = "nobody"
    MONITOR = "monitor"
    FOREIGN = "foreign"
    SHARED = "shared"
    """Two monitors."""
    HIDDEN = "hidden"
    """On a segment something at the address of a monitor on the trunk."""
    OTHER_VERSION = "other_version"
    """A monitor with another version of the register map."""
    TWIN = "twin"
    """A monitor with the id of another one that is there too."""
    UNCLEAR = "unclear"
    """Something that may become clear later: damaged answers, or zeros."""
    TROUBLE = "trouble"
    """The bus itself."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found at one place."""

    found: Found
    identity: Identity | None = None
    version: int | None = None


class HeldBusError(Exception):
    """The bus is held low or does not move, so that nothing it says counts."""


def first_read(address: int) -> Transfer:
    """The question that every address is asked."""
    return Transfer(address, read=MAGIC_BYTES)


async def examine(bus: I2CBus, place: Place) -> Probe:
    """Find out who is at a place that answered something.

    The first read may deliver another block to which a master that died had pointed; the ones after it do not.
    """
    question = (first_read(place.address), Transfer(place.address, read=IDENTITY.length))
    two = 0
    magic = False
    data = b""
    for attempt in range(ATTEMPTS):
        if attempt == 0:
            begun = await bus.run(place.segment, question[:1])
            if begun[0].fault is not None:
                return Probe(_without_answer(begun[0].fault))
            magic = has_magic(begun[0].data)
        answer = (await bus.run(place.segment, question[1:]))[0]
        if answer.fault is not None:
            return Probe(_without_answer(answer.fault))
        data = answer.data
        if not has_magic(data):
            continue
        magic = True
        if IDENTITY.is_good(data):
            if version_in(data) != VERSION:
                return Probe(Found.OTHER_VERSION, version=version_in(data))
            return Probe(Found.MONITOR, identity_of(data))
        two += speaks_for_two(data)
    if two == ATTEMPTS:
        return Probe(Found.SHARED)
    return Probe(Found.UNCLEAR if magic or not any(data) else Found.FOREIGN)


def _without_answer(fault: Fault) -> Found:
    return Found.NOBODY if fault is Fault.NO_ANSWER else Found.TROUBLE


class BusWatch:
    """Looks at everything that comes from a bus for signs that it is the bus that is ill, not a device."""

    def __init__(self) -> None:
        """Begin with none."""
        self._zeros = 0
        self._disturbed = 0

    def look(self, answer: Answer) -> None:
        """Take an answer.

        Raises:
            HeldBusError: too many in a row were zeros, or disturbed.
        """
        if answer.fault is Fault.DISTURBED:
            self._disturbed += 1
        elif answer.fault in (None, Fault.NO_ANSWER):
            self._disturbed = 0
            zeros = answer.fault is None and bool(answer.data) and not any(answer.data)
            self._zeros = self._zeros + 1 if zeros else 0
        if self._zeros >= ZEROS_OF_A_HELD_BUS or self._disturbed >= DISTURBANCES:
            raise HeldBusError


async def search(
    bus: I2CBus,
    segment: Segment | None,
    addresses: Iterable[int],
    watch: BusWatch,
) -> list[Place]:
    """Ask addresses of one segment whether anybody is there; gives where somebody answered.

    Raises:
        HeldBusError: the bus does not move.
    """
    answered: list[Place] = []
    for batch in batched(addresses, AT_ONCE, strict=False):
        waiting: Sequence[int] = batch
        while waiting:
            answers = await bus.run(segment, [first_read(address) for address in waiting])
            for address, answer in zip(waiting, answers, strict=False):
                if answer.fault in (Fault.UNREACHABLE, Fault.GONE):
                    return []
                watch.look(answer)
                if answer.fault is None:
                    answered.append(Place(segment, address))
            waiting = waiting[len(answers) :]
    return answered


async def look_behind(bus: I2CBus, place: Place, front: Identity) -> Found:
    """What answers on a segment at the address of a monitor on the trunk, beside that monitor: by plain reads alone.

    With the segment selected both answer at once, and a bit reads 0 if either sends 0: what comes is then never the
    monitor's identity, while without the segment it is.

    Returns:
        `NOBODY`, `HIDDEN`, or `UNCLEAR` if it could not be told.
    """
    question = (Transfer(place.address, read=IDENTITY.length),)
    for _ in range(ATTEMPTS_BEHIND):
        behind = (await bus.run(place.segment, question))[0]
        if behind.fault is not None:
            return Found.UNCLEAR
        if _is(behind.data, front):
            return Found.NOBODY
        alone = (await bus.run(None, question))[0]
        if alone.fault is not None or not _is(alone.data, front):
            return Found.UNCLEAR
    return Found.HIDDEN


def _is(data: bytes, monitor: Identity) -> bool:
    return IDENTITY.is_good(data) and identity_of(data).id == monitor.id


def free_addresses(
    multiplexers: Collection[int], segment: Segment | None, taken: Iterable[Place]
) -> list[int]:
    """Addresses of a segment that may be asked: not the multiplexers', nor what answers on the trunk.

    What is on the trunk answers with every segment selected.
    """
    busy = {
        place.address for place in taken if place.segment is None or place.segment == segment
    }.union(multiplexers)
    return [address for address in ADDRESSES if address not in busy]
