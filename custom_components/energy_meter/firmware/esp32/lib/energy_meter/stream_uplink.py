"""A session over a stream of lines: what TCP and USB have in common."""

import asyncio

from . import says
from .lines import BadLine, message

MAX_LINE = 8192
"""Bytes of a line of the host, as the protocol allows: the list of files of an update has about 6 KB."""
PING_MS = 15_000
DEAD_MS = 45_000
_ROOM = 1400
"""Bytes written at once: what fits one packet."""


class Waker:
    """Lets a sender sleep until there is something to say."""

    def __init__(self):
        """Nothing yet."""
        self._event = asyncio.Event()

    def wake(self):
        """There is something to say."""
        self._event.set()

    async def sleep(self, milliseconds):
        """Wait for it, or so long."""
        try:
            await asyncio.wait_for_ms(self._event.wait(), milliseconds)
        except asyncio.TimeoutError:
            pass
        self._event.clear()


async def speak(session, clock, waker, write, ping):
    """Say what the session has to say, for ever; `write` is a coroutine function of one line's bytes."""
    said_ms = clock.ms()
    while True:
        lines = session.take(_ROOM)
        for line in lines:
            await write(line)
        session.succeeded()
        now = clock.ms()
        if lines:
            said_ms = now
        elif ping and now - said_ms >= PING_MS:
            await write(says.PING)
            said_ms = now
        else:
            await waker.sleep(1000)


def hear(session, line, trouble):
    """Let the session hear one line, if it is a message."""
    try:
        found = message(line)
    except BadLine as bad:
        trouble("%s: line %s" % (session.name, bad))
        return
    session.receive(found)
