"""How long things take on a Modbus line, and how long it is worth waiting.

An RTU request to read takes 8 characters, its answer 5 and the data; between the two lies the meter's
turn-around, and 3.5 characters of silence separate any two frames (Modbus over Serial Line V1.02, 2.5.1).
What a meter's turn-around really is, adapters and gateways included, is learned from its answers.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from .profile import Table

REQUEST_CHARACTERS: Final = 8
"""Unit id, function, address, count, checksum."""
REPLY_CHARACTERS: Final = 5
"""Unit id, function, byte count, checksum; the data comes on top."""
FRAME_CHARACTERS: Final = REQUEST_CHARACTERS + REPLY_CHARACTERS

LINK_TIMEOUT_FLOOR: Final = 1.0
"""Seconds; opening a port or a proxy is bounded by the same time, so it cannot be much shorter."""
LINK_TIMEOUT_CEILING: Final = 3.0
DEFAULT_TURNAROUND: Final = 0.05
"""Seconds, for a meter of which nothing is known yet."""
TURNAROUNDS: Final = 4
"""How many usual turn-arounds a meter is given to begin its answer."""
PATIENCE_FLOOR: Final = 0.06
"""Seconds; USB adapters hand received bytes over every 16 ms."""
NETWORK_PATIENCE_FLOOR: Final = 0.25
"""Seconds; what a wireless network may take for a packet that had to be sent again."""

MOST_DOUBLINGS: Final = 2
"""How often the patience doubles after time-outs."""
FULL_WAIT_EVERY: Final = 4
"""After time-outs, which attempt waits as long as the link does."""

_NETWORK_BYTE: Final = 1e-6
"""Seconds per byte on a network: nothing, but of two equal plans the shorter is better."""


def data_bytes(table: Table, count: int, register_bytes: int = 2) -> int:
    """Return how many bytes `count` registers, or coils, take in an answer."""
    if table in {Table.COIL, Table.DISCRETE}:
        return -(-count // 8)
    return count * register_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LineTiming:
    """Durations on one line, in seconds."""

    character: float
    """One character on the wire; 0 on a network."""
    silence: float
    """Quiet between two frames: 3.5 characters, at least 1.75 ms (Modbus over Serial Line 2.5.1.1)."""

    @classmethod
    def serial(cls, baudrate: int, bytesize: int, parity: str, stopbits: int) -> LineTiming:
        """Timing of an RTU line with these settings."""
        character = (1 + bytesize + (parity != "N") + stopbits) / baudrate
        return cls(character=character, silence=max(3.5 * character, 0.00175))

    @classmethod
    def network(cls) -> LineTiming:
        """Timing of a link without characters: Modbus TCP, UDP, TLS."""
        return cls(character=0, silence=0)

    @property
    def is_network(self) -> bool:
        """Whether the link has no characters whose time would count."""
        return self.character == 0

    @property
    def byte(self) -> float:
        """What one more byte of data costs, seconds."""
        return self.character or _NETWORK_BYTE

    @property
    def patience_floor(self) -> float:
        """Least time worth waiting for an answer to begin, seconds."""
        return NETWORK_PATIENCE_FLOOR if self.is_network else PATIENCE_FLOOR

    def frames(self, table: Table, count: int, register_bytes: int = 2) -> float:
        """Return how long request and answer of one read are on the wire, seconds."""
        return self.character * (FRAME_CHARACTERS + data_bytes(table, count, register_bytes))

    def request_overhead(self, turnaround: float, gap: float = 0) -> float:
        """Return what one request costs before any data, seconds.

        `gap` is the pause that the meter wants between two requests, if longer than the silence.
        """
        return self.character * FRAME_CHARACTERS + turnaround + max(self.silence, gap)

    def link_timeout(self, max_registers: int, turnaround: float) -> float:
        """Return what the shared link is asked to wait for an answer, seconds.

        The longest answer that the meter may give and four turn-arounds, within 1 and 3 s. Everyday
        waiting is bounded much tighter, see `Turnaround.patience`.
        """
        wanted = self.frames(Table.HOLDING, max_registers) + TURNAROUNDS * max(turnaround, 0.1)
        return min(max(wanted, LINK_TIMEOUT_FLOOR), LINK_TIMEOUT_CEILING)


class Turnaround:
    """Learns how long a meter takes to begin its answer, and so how long to wait for one.

    Mean and deviation are smoothed as TCP does for its retransmission timer (RFC 6298). Time-outs double
    the patience until the next answer, twice at most; every fourth attempt gets as long as the link waits, so
    that a meter slower than expected is still learned.
    """

    _GAIN: Final = 1 / 8
    _DEVIATION_GAIN: Final = 1 / 4
    _SLOWEST_DECAY: Final = 0.99

    def __init__(
        self, start: float, *, floor: float, ceiling: float, learned: bool = False
    ) -> None:
        """Begin with `start` seconds; `floor` and `ceiling` bound the patience."""
        self.mean = start
        self.learned = learned
        self._deviation = start / 4
        self._slowest = start
        self._floor = floor
        self._ceiling = ceiling
        self._misses = 0

    def note(self, seconds: float) -> None:
        """Take one answer's measured turn-around."""
        seconds = max(seconds, 0.0)
        self._misses = 0
        if not self.learned:
            self.learned = True
            self.mean, self._deviation, self._slowest = seconds, seconds / 2, seconds
            return
        off = seconds - self.mean
        self._deviation += self._DEVIATION_GAIN * (abs(off) - self._deviation)
        self.mean += self._GAIN * off
        self._slowest = max(seconds, self._slowest * self._SLOWEST_DECAY)

    def answered(self) -> None:
        """The meter answered, in a time that cannot be told from waiting for others."""
        self._misses = 0

    def missed(self) -> None:
        """Nothing came in time: wait longer next time."""
        self._misses += 1

    @property
    def patience(self) -> float:
        """How long to wait for an answer to begin, seconds."""
        wanted = max(TURNAROUNDS * self.mean, self.mean + 4 * self._deviation, 1.5 * self._slowest)
        if self._misses % FULL_WAIT_EVERY == FULL_WAIT_EVERY - 1:
            return self._ceiling
        longer = float(2 ** min(self._misses, MOST_DOUBLINGS))
        return min(max(wanted, self._floor) * longer, self._ceiling)


_LOOK_EVERY: Final = 0.004
_GRACE: Final = 0.003
_LONGEST_GRACE: Final = 0.5


async def within[T](
    operation: Coroutine[Any, Any, T],
    limit: float | None,
    *,
    begun: Callable[[], bool] | None = None,
    opening: float = 0,
) -> T:
    """Await an operation for at most `limit` seconds.

    Unlike `asyncio.timeout`, an answer that arrived in time is never thrown away because the event loop
    was busy elsewhere when the limit passed: what is already there is looked at first, and a loop that was
    blocked gives its lateness back.

    Args:
        operation: what to await.
        limit: seconds; None for as long as it takes.
        begun: from when on the limit counts, such as that the port is open; looked at every few ms.
        opening: seconds that this may take at most.

    Raises:
        TimeoutError: it took longer.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(operation, eager_start=True)
    if task.done():
        return task.result()
    try:
        if begun is not None:
            opened_by = loop.time() + opening
            while not task.done() and not begun() and loop.time() < opened_by:
                await asyncio.wait((task,), timeout=_LOOK_EVERY)
        if limit is None:
            await asyncio.wait((task,))
        elif not task.done():
            deadline = loop.time() + limit
            done, _ = await asyncio.wait((task,), timeout=limit)
            if not done:
                late = loop.time() - deadline
                await asyncio.wait((task,), timeout=min(_GRACE + max(late, 0), _LONGEST_GRACE))
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
    if task.cancelled():
        raise TimeoutError
    return task.result()
