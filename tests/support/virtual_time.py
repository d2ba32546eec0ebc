"""An event loop whose clock jumps to the next timer instead of waiting for it."""

import asyncio
from collections.abc import Coroutine
import selectors
import time
from typing import Any, override
from unittest.mock import patch


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: the time it was asked to wait is added to the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("everybody waits and nothing will ever happen")
            self.now += max(timeout, 0)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop in which an hour passes as fast as the machine computes."""

    def __init__(self) -> None:
        """Begin at a time that is neither zero nor now."""
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self._clock_resolution = 1e-9

    @override
    def time(self) -> float:
        """The loop's clock, seconds."""
        return self._jumping.now


def run_virtual[T](coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time, and everything it left behind to nothing.

    Libraries that measure pauses by `time.monotonic` see the same clock.
    """
    with (
        asyncio.Runner(loop_factory=VirtualTimeLoop) as runner,
        patch.object(time, "monotonic", runner.get_loop().time),
    ):
        return runner.run(coroutine)
