"""Many things that come at once, taken a few at a time, so that everybody else on the event loop gets a turn between."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

AT_ONCE: Final = 10
"""Taken in one turn of the event loop."""
MOST: Final = 2000
"""That wait; if more come, memory counts for more than turns."""


class Burst[T]:
    """Hands things over in their order: the first few at once, the rest in turns."""

    def __init__(self, take: Callable[[T], None]) -> None:
        """`take` is what they are handed to."""
        self._take = take
        self._waiting: deque[T] = deque()
        self._taken = 0
        """In this turn of the event loop."""
        self._turn: asyncio.Handle | None = None

    def put(self, thing: T) -> None:
        """Hand it over now, or in one of the next turns."""
        if self._turn is None:
            self._begin_turn()
        if not self._waiting and self._taken < AT_ONCE:
            self._taken += 1
            self._take(thing)
            return
        self._waiting.append(thing)
        if len(self._waiting) > MOST:
            self.flush()

    def flush(self) -> None:
        """Hand everything over now."""
        while self._waiting:
            self._take(self._waiting.popleft())

    def _begin_turn(self) -> None:
        self._taken = 0
        self._turn = asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._turn = None
        if not self._waiting:
            return
        self._begin_turn()
        while self._waiting and self._taken < AT_ONCE:
            self._taken += 1
            self._take(self._waiting.popleft())
