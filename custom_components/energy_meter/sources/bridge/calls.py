"""Requests to a bridge that it answers with an `ack`."""

import asyncio
from collections.abc import Callable, Mapping
import random
from typing import Any, Final

from ..base import SourceError
from .protocol import Ack, encode

AGAIN: Final = (3.0, 3.0)
"""Seconds after which an unanswered request is sent again; the bridge carries it out once."""
_MAX_ID: Final = 2**31 - 1

ERRORS: Final = frozenset(
    {
        "unknown_meter",
        "unknown_control",
        "bad_value",
        "minimum_off_time",
        "busy",
        "no_answer",
        "mismatch",
        "not_allowed",
        "bad_config",
        "bad_update",
        "unsupported",
    }
)
"""What a bridge may answer; anything else is `bridge_refused`."""


class Calls:
    """Numbers requests and brings their answers back."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        """Keep who sends a line."""
        self._send = send
        self._waiting: dict[int, asyncio.Future[Ack]] = {}
        # Somewhere: the bridge remembers numbers for a minute, and Home Assistant may just have restarted.
        self._next = random.randrange(1, 2**30)

    def answer(self, ack: Ack) -> None:
        """Take an answer; one that nobody waits for is dropped."""
        future = self._waiting.get(ack.id)
        if future is not None and not future.done():
            future.set_result(ack)

    def fail(self) -> None:
        """The link is gone: nothing under way will be answered."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(SourceError("bridge_away"))

    async def call(
        self, message: Mapping[str, Any], timeout: float, placeholders: Mapping[str, str]
    ) -> Any:
        """Send a request and return the `value` of its answer.

        Raises:
            SourceError: it was refused, or not answered in `timeout` seconds.
        """
        number = self._next
        self._next = self._next % _MAX_ID + 1
        try:
            line = encode({**message, "id": number})
        except ValueError as err:
            key = "bridge_bad_config" if message["type"] == "config" else "bridge_bad_value"
            raise SourceError(key, {**placeholders, "text": str(err)}) from err
        future: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            async with asyncio.timeout(timeout):
                for pause in AGAIN:
                    self._send(line)
                    if (await asyncio.wait({future}, timeout=pause))[0]:
                        break
                else:
                    self._send(line)
                ack = await future
        except TimeoutError as err:
            raise SourceError("bridge_no_answer", {**placeholders, "text": ""}) from err
        except SourceError as err:
            raise SourceError(err.key, {**placeholders, "text": ""}) from err
        finally:
            del self._waiting[number]
        if not ack.ok:
            key = f"bridge_{ack.error}" if ack.error in ERRORS else "bridge_refused"
            raise SourceError(key, {**placeholders, "text": ack.text or ack.error or ""})
        return ack.value
