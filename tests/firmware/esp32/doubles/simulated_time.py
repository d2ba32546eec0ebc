"""Stands for the passing of time: while everybody sleeps, the clock jumps to the next who wants to wake."""

import asyncio
import asyncio.core
import time

_jumped = 0
_until = 0
_rest = 0
"""Microseconds that are no millisecond yet."""


def ticks():
    """Milliseconds: the machine's, and what was jumped over."""
    return time.ticks_ms() + _jumped


def takes(microseconds):
    """What happens just now takes so long."""
    global _jumped, _rest
    _rest += microseconds
    _jumped += _rest // 1000
    _rest %= 1000


def install():
    """Give asyncio this clock; returns it for `Clock(ticks)`."""
    asyncio.core.ticks = ticks
    queue = asyncio.core._io_queue

    class Jumping:
        """asyncio's queue of sockets, whose waiting is a jump as long as somebody lets time pass."""

        def __getattr__(self, name):
            return getattr(queue, name)

        def wait_io_event(self, milliseconds):
            """Wait, or jump."""
            global _jumped
            if milliseconds > 0 and ticks() < _until:
                queue.wait_io_event(0)
                task = asyncio.core._task_queue.peek()
                if task is None or time.ticks_diff(task.ph_key, ticks()) > 0:
                    # Nobody has something to do by now: what has just come is read before any time passes.
                    _jumped += min(milliseconds, max(0, _until - ticks()))
            else:
                queue.wait_io_event(milliseconds)

    asyncio.core._io_queue = Jumping()
    return ticks


def forget_everything():
    """Drop all tasks and sockets, as a loss of power does, and go on with this clock."""
    asyncio.new_event_loop()
    install()


async def passes(milliseconds):
    """Let so much time pass, at once."""
    global _until
    end = ticks() + milliseconds
    _until = max(_until, end)
    while ticks() < end:
        await asyncio.sleep_ms(min(1000, end - ticks()))
