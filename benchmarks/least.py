"""The least time that a serial line needs for a set of registers: what every figure is measured against.

One request for `n` registers takes

    T(n) = (8 + 5 + 2·n) · c + t + s

`8` characters of a read request and `5 + 2·n` of its reply (Modbus over Serial Line V1.02, 2.5.1), `c` seconds per
character (bits per character / baud rate), `t` the meter's turn-around, `s` the 3.5 characters of silence that
separate two frames, or the meter's own pause where that is longer. The least time of a sweep is the sum over the
cut into blocks that makes it smallest; a block may run over registers that nobody wants while that is cheaper
than another request.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from tests.support.wire import ByteTiming

type Block = tuple[int, int]
"""(address, count)"""


@dataclass(frozen=True, slots=True)
class LeastTime:
    """The blocks to read and the seconds that one sweep of them takes."""

    seconds: float
    blocks: tuple[Block, ...]


def request_time(count: int, timing: ByteTiming, turnaround: float, pause: float = 0) -> float:
    """Return T(count) in seconds."""
    return (13 + 2 * count) * timing.character + turnaround + max(timing.silence, pause)


def least_time(
    spans: Iterable[Block],
    timing: ByteTiming,
    turnaround: float,
    *,
    max_registers: int = 125,
    pause: float = 0,
) -> LeastTime:
    """Cut the wanted spans of one meter into the blocks that take the least time together.

    Args:
        spans: (address, count) of every wanted value.
        timing: the line's speed.
        turnaround: seconds from the end of a request to the start of its reply.
        max_registers: most registers in one request.
        pause: seconds that the meter wants between its answer and the next request.
    """
    wanted: Sequence[Block] = sorted(set(spans))

    @cache
    def best(first: int) -> tuple[float, tuple[Block, ...]]:
        if first == len(wanted):
            return 0.0, ()
        start = wanted[first][0]
        found: tuple[float, tuple[Block, ...]] | None = None
        end = start
        for last in range(first, len(wanted)):
            end = max(end, sum(wanted[last]))
            if end - start > max_registers:
                break
            rest, blocks = best(last + 1)
            time = request_time(end - start, timing, turnaround, pause) + rest
            if found is None or time < found[0]:
                found = time, ((start, end - start), *blocks)
        if found is None:
            raise ValueError(f"{wanted[first]} is longer than a request may be")
        return found

    return LeastTime(*best(0))
