"""A message with a hundred circuits does not hold the event loop up."""

import asyncio
from itertools import pairwise

from hypothesis import given, strategies as st

from custom_components.energy_meter.burst import AT_ONCE, MOST, Burst


def test_one_thing_is_taken_at_once() -> None:
    async def run() -> list[int]:
        taken: list[int] = []
        Burst(taken.append).put(1)
        return taken

    assert asyncio.run(run()) == [1]


def test_many_are_taken_in_turns_in_their_order_and_others_get_theirs_between() -> None:
    async def run() -> tuple[list[int], list[int]]:
        taken: list[int] = []
        burst = Burst(taken.append)
        for number in range(100):
            burst.put(number)
        seen = [len(taken)]
        while len(taken) < 100:
            await asyncio.sleep(0)
            seen.append(len(taken))
        return taken, seen

    taken, seen = asyncio.run(run())
    assert taken == list(range(100))
    assert all(later - sooner <= AT_ONCE for sooner, later in pairwise(seen))


def test_what_waits_is_bounded() -> None:
    async def run() -> int:
        taken: list[int] = []
        burst = Burst(taken.append)
        for number in range(AT_ONCE + MOST + 1):
            burst.put(number)
        return len(taken)

    assert asyncio.run(run()) == AT_ONCE + MOST + 1


def test_a_thing_that_cannot_be_taken_costs_only_itself() -> None:
    async def run() -> list[int]:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        taken: list[int] = []

        def take(number: int) -> None:
            if number == 50:
                raise ValueError(number)
            taken.append(number)

        burst = Burst(take)
        for number in range(100):
            burst.put(number)
        for _ in range(20):
            await asyncio.sleep(0)
        return taken

    assert asyncio.run(run()) == [number for number in range(100) if number != 50]


@given(st.lists(st.integers(0, 60) | st.none(), max_size=12))
def test_nothing_is_lost_or_changes_places(story: list[int | None]) -> None:
    """So many come at once; None: everything has to be taken now."""

    async def run() -> tuple[list[int], int]:
        taken: list[int] = []
        burst, number = Burst(taken.append), 0
        for step in story:
            if step is None:
                burst.flush()
                assert len(taken) == number
                continue
            for _ in range(step):
                burst.put(number)
                number += 1
            await asyncio.sleep(0)
        burst.flush()
        return taken, number

    taken, number = asyncio.run(run())
    assert taken == list(range(number))
