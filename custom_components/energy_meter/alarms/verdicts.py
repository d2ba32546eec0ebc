"""Telling verdicts to whoever keeps their history, also those from before anybody listened."""

from collections import deque
from collections.abc import Callable
from typing import Final

MOST_UNTOLD: Final = 8
"""Verdicts that are kept while nobody listens; a history that is switched off never will."""


class Verdicts[V]:
    """Verdicts of one alarm.

    An alarm judges at once when it is set, and its entities take a moment to come: the first who listens is told
    what was said meanwhile.
    """

    def __init__(self) -> None:
        """Begin with nothing said."""
        self._listeners: set[Callable[[V], None]] = set()
        self._untold: deque[V] = deque(maxlen=MOST_UNTOLD)

    def listen(self, update: Callable[[V], None]) -> Callable[[], None]:
        """Call `update` with every verdict, and at once with those that nobody was told of; returns how to end it."""
        self._listeners.add(update)
        while self._untold:
            update(self._untold.popleft())
        return lambda: self._listeners.discard(update)

    def tell(self, verdict: V) -> None:
        """Say a verdict."""
        if not self._listeners:
            self._untold.append(verdict)
        for update in tuple(self._listeners):
            update(verdict)
