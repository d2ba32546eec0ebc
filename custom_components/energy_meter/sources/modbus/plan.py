"""What to read together: the fewest seconds on the wire within what a meter allows.

Reading over a hole costs its bytes, another request costs 13 characters, a turn-around and a silence. The
cheapest partition of the wanted spans into requests is found by dynamic programming over the spans in
order of address. Everything here is pure.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from .profile import Span, Table
from .timing import data_bytes

MAX_BITS: Final = 2000
"""Most coils or discrete inputs in one request (Modbus Application Protocol V1.1b3, 6.1)."""
ADDRESSES: Final = 65536

_BIT_TABLES: Final = {Table.COIL, Table.DISCRETE}
_DISTINCT_EXTRA: Final = 4
"""Registers that a length of its own may cost a block."""
_MOST_ALTERNATIVES: Final = 24


@dataclass(frozen=True, slots=True, order=True)
class Need:
    """Registers that one request has to cover."""

    span: Span
    alone: bool = False
    """Whether the request has to be for exactly this span."""


@dataclass(frozen=True, slots=True)
class Block:
    """One request and the needs it serves."""

    span: Span
    needs: tuple[Need, ...]

    @property
    def alone(self) -> bool:
        """Whether the request may not be made longer or shorter."""
        return any(need.alone for need in self.needs)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request takes on the line, seconds."""

    request: float
    """Everything but the data."""
    byte: float
    register_bytes: int = 2

    def of(self, span: Span) -> float:
        """Seconds for one read of this span."""
        return self.request + self.byte * data_bytes(span.table, span.count, self.register_bytes)

    def total(self, blocks: Iterable[Block]) -> float:
        """Seconds for all of these."""
        return sum(self.of(block.span) for block in blocks)


class _Intervals:
    """Disjoint address intervals of each table, for quick questions."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._starts: dict[Table, list[int]] = {}
        self._ends: dict[Table, list[int]] = {}
        for span in sorted(spans):
            starts = self._starts.setdefault(span.table, [])
            ends = self._ends.setdefault(span.table, [])
            if ends and span.address <= ends[-1]:
                ends[-1] = max(ends[-1], span.end)
            else:
                starts.append(span.address)
                ends.append(span.end)

    def covers(self, span: Span) -> bool:
        """Whether every address of the span is inside."""
        starts = self._starts.get(span.table, [])
        place = bisect_right(starts, span.address) - 1
        return place >= 0 and span.end <= self._ends[span.table][place]

    def touches(self, span: Span) -> bool:
        """Whether any address of the span is inside."""
        starts = self._starts.get(span.table, [])
        place = bisect_right(starts, span.end - 1) - 1
        return place >= 0 and self._ends[span.table][place] > span.address

    def extent(self, table: Table) -> tuple[int, int] | None:
        """First address and the one behind the last."""
        if table not in self._starts:
            return None
        return self._starts[table][0], self._ends[table][-1]


class Limits:
    """What a meter allows in one request.

    Args:
        max_registers: most registers in one request.
        alignment: start and count are multiples of this, except for needs that stand alone.
        strict: whether a request may only touch `known` registers.
        known: registers that the profile defines, and extra readable ranges.
        apart: known registers that only answer a request of their own; no other request touches them.
        barred: registers that the meter refuses; no request touches them.
        refused: requests that the meter refused as a whole; no request covers one of them whole.
    """

    def __init__(
        self,
        *,
        max_registers: int = 125,
        alignment: int = 1,
        strict: bool = False,
        known: Iterable[Span] = (),
        apart: Iterable[Span] = (),
        barred: Iterable[Span] = (),
        refused: Iterable[Span] = (),
    ) -> None:
        """Keep the limits in a form that answers quickly."""
        self.max_registers = max_registers
        self.alignment = max(alignment, 1)
        self.strict = strict
        known = tuple(known)
        self._known = _Intervals(known)
        self._edges = {
            table: tuple(sorted({(s.address, s.end) for s in known if s.table is table}))
            for table in Table
        }
        self._apart = _Intervals(apart)
        self._barred = _Intervals(barred)
        self._refused = tuple(refused)

    def most(self, table: Table) -> int:
        """Most registers, or bits, in one request."""
        if table in _BIT_TABLES:
            return min(MAX_BITS, self.max_registers * 16)
        return self.max_registers

    def aligned(self, span: Span) -> Span:
        """The span, widened to where requests may start and end."""
        if self.alignment == 1 or span.table in _BIT_TABLES:
            return span
        start = span.address - span.address % self.alignment
        end = span.end + -span.end % self.alignment
        return Span(span.table, start, end - start)

    def allow(self, span: Span, *, alone: bool = False) -> bool:
        """Return whether the meter may be asked for exactly this span."""
        if not 1 <= span.count <= self.most(span.table):
            return False
        if span.address < 0 or span.end > ADDRESSES or self._barred.touches(span):
            return False
        if any(
            refused.table is span.table
            and span.address <= refused.address
            and refused.end <= span.end
            for refused in self._refused
        ):
            return False
        if alone:
            return True
        if self._apart.touches(span):
            return False
        return not self.strict or self._known.covers(span)

    def cuts(self, span: Span) -> bool:
        """Whether the span begins or ends inside a register that the profile defines."""
        for start, end in self._edges[span.table]:
            if start >= span.end:
                return False
            if start < span.address < end or start < span.end < end:
                return True
        return False

    def fits(self, span: Span, inner: Span) -> bool:
        """Whether the span, where it goes beyond `inner`, begins and ends with a defined register."""
        edges = self._edges[span.table]
        return (
            span.address == inner.address or any(start == span.address for start, _ in edges)
        ) and (span.end == inner.end or any(end == span.end for _, end in edges))

    def extent(self, table: Table) -> tuple[int, int] | None:
        """Where the profile's registers begin and end in a table."""
        return self._known.extent(table)


@dataclass(frozen=True, slots=True)
class Plan:
    """Requests that together serve all needs that can be served."""

    blocks: tuple[Block, ...]
    impossible: tuple[Need, ...] = ()
    """Needs that no allowed request covers."""


def plan(needs: Iterable[Need], limits: Limits, cost: Cost) -> Plan:
    """Return the cheapest set of requests that serves the needs."""
    blocks: list[Block] = []
    impossible: list[Need] = []
    joinable: dict[Table, list[Need]] = {}
    for need in sorted(set(needs)):
        if need.alone:
            if limits.allow(need.span, alone=True):
                blocks.append(Block(need.span, (need,)))
            else:
                impossible.append(need)
        elif limits.allow(limits.aligned(need.span)):
            joinable.setdefault(need.span.table, []).append(need)
        else:
            impossible.append(need)
    for wanted in joinable.values():
        blocks += _partition(wanted, limits, cost)
    return Plan(_with_distinct_lengths(blocks, limits, cost), tuple(impossible))


def _hull(needs: Sequence[Need], limits: Limits) -> Span:
    first = needs[0].span
    start = min(need.span.address for need in needs)
    end = max(need.span.end for need in needs)
    return limits.aligned(Span(first.table, start, end - start))


def _partition(needs: list[Need], limits: Limits, cost: Cost) -> list[Block]:
    """Dynamic programming: best[j] is the least time for the first j needs."""
    best: list[tuple[float, int]] = [(0.0, 0)]
    cut: list[tuple[int, Span]] = []
    table = needs[0].span.table
    for last in range(len(needs)):
        end = 0
        found: tuple[tuple[float, int], int, Span] | None = None
        for first in range(last, -1, -1):
            end = max(end, needs[first].span.end)
            start = needs[first].span.address
            span = limits.aligned(Span(table, start, end - start))
            if not limits.allow(span):
                break  # A longer request is no more allowed than this one.
            seconds, requests = best[first]
            candidate = (seconds + cost.of(span), requests + 1)
            if found is None or candidate < found[0]:
                found = (candidate, first, span)
        assert found is not None  # Every need by itself is allowed.
        best.append(found[0])
        cut.append((found[1], found[2]))
    blocks: list[Block] = []
    place = len(needs)
    while place:
        first, span = cut[place - 1]
        blocks.append(Block(span, tuple(needs[first:place])))
        place = first
    blocks.reverse()
    return blocks


def _with_distinct_lengths(
    blocks: Iterable[Block], limits: Limits, cost: Cost
) -> tuple[Block, ...]:
    """Lengthen blocks of equal length where a few registers do it.

    Replies of different lengths cannot be taken for each other (lessons F2).
    """
    taken: set[tuple[Table, int]] = set()
    done: list[Block] = []
    for block in sorted(blocks, key=lambda block: (not block.alone, block.span)):
        span = block.span
        if _length(span) in taken and not block.alone:
            span = next(
                (
                    wider
                    for wider in longer(span, limits)
                    if limits.fits(wider, span)
                    and _length(wider) not in taken
                    and wider.count <= span.count + _DISTINCT_EXTRA
                    and cost.of(wider) - cost.of(span) <= cost.request / 2
                ),
                span,
            )
        taken.add(_length(span))
        done.append(replace(block, span=span))
    return tuple(sorted(done, key=lambda block: block.span))


def _length(span: Span) -> tuple[Table, int]:
    """What tells one block's replies from another's."""
    return span.table, data_bytes(span.table, span.count)


def longer(span: Span, limits: Limits) -> Iterator[Span]:
    """Yield allowed requests that cover the span and more, the shortest first.

    They stay between the first and the last register that the profile knows, and cut none of those.
    """
    extent = limits.extent(span.table)
    if extent is None:
        return
    low, high = min(extent[0], span.address), max(extent[1], span.end)
    step = 8 if span.table in _BIT_TABLES else limits.alignment
    for extra in range(step, limits.most(span.table) - span.count + 1, step):
        count = span.count + extra
        candidates = [
            Span(span.table, start, count)
            for start in (span.address, span.address - extra)
            if low <= start and start + count <= high
        ]
        candidates = [each for each in candidates if limits.allow(each) and not limits.cuts(each)]
        if candidates:
            yield max(candidates, key=lambda each: limits.fits(each, span))


def alternatives(block: Block, limits: Limits) -> Iterator[Block]:
    """Yield other requests for a block's needs, each of another length.

    First those that cover all of it and more, then those that cover a part, the largest part first.
    """
    if block.alone:
        return
    # A request that ends where the profile knows a register to end is the least likely to be refused.
    wider = sorted(
        islice(longer(block.span, limits), _MOST_ALTERNATIVES),
        key=lambda span: (not limits.fits(span, block.span), span.count),
    )
    for span in wider:
        yield replace(block, span=span)
    needs = block.needs
    seen: set[int] = {block.span.count}
    for count in range(len(needs) - 1, 0, -1):
        for part in (needs[:count], needs[-count:]):
            span = _hull(part, limits)
            if span.count not in seen and limits.allow(span):
                seen.add(span.count)
                covered = tuple(
                    need
                    for need in needs
                    if span.address <= need.span.address and need.span.end <= span.end
                )
                yield Block(span, covered)


def halves(block: Block) -> tuple[tuple[Need, ...], tuple[Need, ...]] | None:
    """Cut a block's needs in two at the hole nearest to the middle, else in the middle; None for one need."""
    needs = block.needs
    if len(needs) < 2:
        return None
    middle = len(needs) / 2
    holes = [
        place
        for place in range(1, len(needs))
        if needs[place].span.address > max(need.span.end for need in needs[:place])
    ]
    cut = min(holes or range(1, len(needs)), key=lambda place: abs(place - middle))
    return needs[:cut], needs[cut:]
