"""The planner keeps a meter's limits, reads all that is wanted, and wastes nothing."""

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.sources.modbus.plan import (
    Block,
    Cost,
    Limits,
    Need,
    Plan,
    alternatives,
    halves,
    longer,
    plan,
)
from custom_components.energy_meter.sources.modbus.profile import Span, Table
from custom_components.energy_meter.sources.modbus.timing import LineTiming

AT_9600 = LineTiming.serial(9600, 8, "N", 1)
COST = Cost(AT_9600.request_overhead(0.02), AT_9600.byte)


def holding(address: int, count: int) -> Span:
    return Span(Table.HOLDING, address, count)


@st.composite
def wants(draw: st.DrawFn) -> list[Need]:
    """Values of 1, 2 or 4 registers that do not overlap, with holes, in two tables."""
    needs = []
    for table in draw(
        st.lists(st.sampled_from([Table.HOLDING, Table.INPUT]), min_size=1, unique=True)
    ):
        address = draw(st.integers(0, 200))
        for _ in range(draw(st.integers(1, 18))):
            count = draw(st.sampled_from([1, 2, 2, 2, 4]))
            needs.append(Need(Span(table, address, count), draw(st.integers(0, 11)) == 0))
            address += count + draw(st.sampled_from([0, 0, 0, 1, 2, 6, 15, 17, 18, 19, 40, 300]))
    return needs


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[Need], Limits, Cost, dict[str, object]]:
    needs = draw(wants())
    spans = [need.span for need in needs]
    readable = [
        Span(table, first, draw(st.integers(1, 30)))
        for table, first in draw(
            st.lists(st.tuples(st.sampled_from(list(Table)), st.integers(0, 400)), max_size=4)
        )
    ]
    barred = draw(st.lists(st.sampled_from(spans), max_size=2))
    refused = [
        Span(span.table, max(span.address - 1, 0), draw(st.integers(2, 20)))
        for span in draw(st.lists(st.sampled_from(spans), max_size=2))
    ]
    facts: dict[str, object] = {
        "max_registers": draw(st.sampled_from([4, 8, 20, 60, 80, 125])),
        "alignment": draw(st.sampled_from([1, 1, 2])),
        "strict": draw(st.booleans()),
        "known": [*spans, *readable],
        "apart": [need.span for need in needs if need.alone],
        "barred": barred,
        "refused": refused,
    }
    cost = Cost(draw(st.floats(0.001, 0.9)), draw(st.sampled_from([1e-6, 0.0001, 0.001, 0.0045])))
    return needs, Limits(**facts), cost, facts  # type: ignore[arg-type]


def addresses(span: Span) -> set[tuple[Table, int]]:
    return {(span.table, address) for address in range(span.address, span.end)}


def inside(span: Span, outer: Span) -> bool:
    return span.table is outer.table and outer.address <= span.address and span.end <= outer.end


def assert_allowed(block: Block, facts: dict[str, object]) -> None:
    """Check a request against the limits by counting addresses, not with the planner's own tools."""
    known = set().union(*(addresses(span) for span in facts["known"]))  # type: ignore[attr-defined]
    touched = addresses(block.span)
    assert 1 <= block.span.count <= facts["max_registers"]  # type: ignore[operator]
    for span in facts["barred"]:  # type: ignore[attr-defined]
        assert not touched & addresses(span)
    for span in facts["refused"]:  # type: ignore[attr-defined]
        assert not inside(span, block.span)
    if block.alone:
        return
    assert block.span.address % facts["alignment"] == 0  # type: ignore[operator]
    assert block.span.count % facts["alignment"] == 0  # type: ignore[operator]
    for span in facts["apart"]:  # type: ignore[attr-defined]
        assert not touched & addresses(span)
    if facts["strict"]:
        assert touched <= known


@given(problems())
def test_no_request_breaks_a_limit_and_every_need_is_whole_in_one(
    problem: tuple[list[Need], Limits, Cost, dict[str, object]],
) -> None:
    needs, limits, cost, facts = problem
    made = plan(needs, limits, cost)
    for block in made.blocks:
        assert_allowed(block, facts)
        for need in block.needs:
            assert inside(need.span, block.span)
            assert not need.alone or need.span == block.span
    served = [need for block in made.blocks for need in block.needs]
    assert sorted(served + list(made.impossible)) == sorted(set(needs))


@given(problems())
def test_what_is_called_impossible_cannot_be_asked_for_even_alone(
    problem: tuple[list[Need], Limits, Cost, dict[str, object]],
) -> None:
    needs, limits, cost, _ = problem
    for need in plan(needs, limits, cost).impossible:
        span = need.span if need.alone else limits.aligned(need.span)
        assert not limits.allow(span, alone=need.alone)


def one_by_one(needs: list[Need], limits: Limits, cost: Cost) -> float:
    return sum(cost.of(need.span if need.alone else limits.aligned(need.span)) for need in needs)


def greedy(needs: list[Need], limits: Limits, cost: Cost, gap: int) -> float:
    """Join what is closer than a fixed gap, as simple planners do."""
    total = sum(cost.of(need.span) for need in needs if need.alone)
    run: Span | None = None
    for need in sorted(need for need in needs if not need.alone):
        if run is not None and run.table is need.span.table:
            joined = limits.aligned(
                Span(run.table, run.address, max(run.end, need.span.end) - run.address)
            )
            if need.span.address - run.end <= gap and limits.allow(joined):
                run = joined
                continue
        if run is not None:
            total += cost.of(run)
        run = limits.aligned(need.span)
    return total + (cost.of(run) if run is not None else 0)


@given(problems())
def test_no_plan_is_slower_than_simple_ones_but_for_lengths_of_their_own(
    problem: tuple[list[Need], Limits, Cost, dict[str, object]],
) -> None:
    needs, limits, cost, _ = problem
    made = plan(needs, limits, cost)
    possible = [need for need in set(needs) if need not in made.impossible]
    # A block may be lengthened by up to four registers, worth half a request, to be told from others.
    lengthened = len(made.blocks) * min(cost.request / 2, 8 * cost.byte)
    spent = cost.total(made.blocks)
    for simple in (
        one_by_one(possible, limits, cost),
        *(greedy(possible, limits, cost, gap) for gap in (0, 4, 16, 60)),
    ):
        assert spent <= simple + lengthened + 1e-9


@given(problems())
def test_alternatives_keep_the_limits_and_have_other_lengths(
    problem: tuple[list[Need], Limits, Cost, dict[str, object]],
) -> None:
    needs, limits, cost, facts = problem
    for block in plan(needs, limits, cost).blocks:
        lengths = []
        for other in alternatives(block, limits):
            assert_allowed(other, facts)
            assert other.needs
            assert all(inside(need.span, other.span) for need in other.needs)
            lengths.append(other.span.count)
        assert block.span.count not in lengths


def test_a_hole_is_bridged_exactly_as_long_as_that_is_cheaper() -> None:
    # 13 characters, 20 ms and 3.5 characters of silence are worth 35.7 characters: 17 registers.
    for hole, requests in ((17, 1), (18, 2)):
        made = plan([Need(holding(0, 2)), Need(holding(2 + hole, 4))], Limits(), COST)
        assert len(made.blocks) == requests


def test_a_slow_meter_has_longer_holes_bridged_than_a_quick_one() -> None:
    needs = [Need(holding(0, 2)), Need(holding(42, 4))]
    quick = Cost(AT_9600.request_overhead(0.005), AT_9600.byte)
    slow = Cost(AT_9600.request_overhead(0.2), AT_9600.byte)
    assert len(plan(needs, Limits(), quick).blocks) == 2
    assert len(plan(needs, Limits(), slow).blocks) == 1


def test_on_a_network_only_the_longest_request_counts() -> None:
    timing = LineTiming.network()
    needs = [Need(holding(address, 2)) for address in (0, 60, 120, 180)]
    cost = Cost(timing.request_overhead(0.01), timing.byte)
    assert [block.span for block in plan(needs, Limits(), cost).blocks] == [
        holding(0, 122),
        holding(180, 2),
    ]


def test_the_sdm120_takes_three_requests() -> None:
    """The 13 values of lessons, section 9: two holes that cost more than a request."""
    needs = [
        Need(Span(Table.INPUT, address, 2))
        for address in (0, 6, 12, 18, 24, 30, 70, 72, 74, 76, 78, 342, 344)
    ]
    made = plan(needs, Limits(max_registers=80, alignment=2), COST)
    assert [(block.span.address, block.span.count) for block in made.blocks] == [
        (0, 32),
        (70, 10),
        (342, 4),
    ]


def test_blocks_of_one_length_are_made_different_where_that_is_cheap() -> None:
    known = [holding(0, 2), holding(2, 2), holding(200, 2), holding(202, 2)]
    made = plan([Need(holding(0, 2)), Need(holding(200, 2))], Limits(known=known), COST)
    counts = [block.span.count for block in made.blocks]
    assert sorted(counts) == [2, 4]


def test_a_block_is_not_lengthened_into_the_middle_of_a_value() -> None:
    known = [holding(0, 2), holding(2, 4), holding(6, 2)]
    assert [span.count for span in longer(holding(0, 2), Limits(known=known))] == [6, 8]


def test_halves_part_at_the_hole_nearest_to_the_middle() -> None:
    spans = [holding(address, 2) for address in (0, 2, 4, 10, 12)]
    block = Block(holding(0, 14), tuple(Need(span) for span in spans))
    parts = halves(block)
    assert parts is not None
    assert [len(part) for part in parts] == [3, 2]
    assert halves(Block(spans[0], (Need(spans[0]),))) is None


def test_nothing_wanted_is_nothing_asked() -> None:
    assert plan([], Limits(), COST) == Plan(())


@pytest.mark.parametrize("table", [Table.COIL, Table.DISCRETE])
def test_bits_are_cheap_and_joined_over_long_holes(table: Table) -> None:
    needs = [Need(Span(table, 0, 1)), Need(Span(table, 200, 1))]
    assert len(plan(needs, Limits(), COST).blocks) == 1
