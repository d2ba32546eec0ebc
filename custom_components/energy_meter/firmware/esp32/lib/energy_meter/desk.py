"""Requests of the host: each is carried out once, and answered whenever it is asked again within a minute."""

import asyncio
import json

from . import says

_REMEMBERED = 8
_FOR_MS = 60_000


class Refused(Exception):
    """A request that is not carried out: one of the protocol's errors, and a sentence."""

    def __init__(self, error, text=""):
        """Keep both."""
        super().__init__(error, text)
        self.error = error
        self.text = text


class Desk:
    """Hands requests to whoever can carry them out."""

    def __init__(self, clock, handlers):
        """`handlers`: message type → coroutine function of the message that returns JSON text or raises Refused."""
        self._clock = clock
        self._handlers = handlers
        self._answers = []
        """[when ms, request, answer or None while it is being carried out, who waits], oldest first."""

    def ask(self, message, reply):
        """Carry a request out, and call `reply` with the answer."""
        request = message.get("id")
        if not isinstance(request, (int, str)):
            return  # Nobody could tell the answer.
        now = self._clock.ms()
        self._answers = [one for one in self._answers if now - one[0] < _FOR_MS]
        for answer in self._answers:
            if answer[1] == request:
                if answer[2] is None:
                    answer[3] = reply
                else:
                    reply(answer[2])
                return
        if len(self._answers) >= _REMEMBERED:
            finished = [one for one in self._answers if one[2] is not None]
            if not finished:
                reply(says.refused(request, "busy", "too many requests at once"))
                return
            self._answers.remove(finished[0])
        answer = [now, request, None, reply]
        self._answers.append(answer)
        asyncio.create_task(self._carry_out(message, answer))

    async def _carry_out(self, message, answer):
        request = message["id"]
        try:
            value = await self._handlers[message["type"]](message)
            answer[2] = says.done(request, value)
        except Refused as refused:
            answer[2] = says.refused(request, refused.error, refused.text)
        except Exception as error:  # The one who asked has to hear of it, whatever it is.
            answer[2] = says.refused(
                request, "unsupported", "it went wrong: %s" % json.dumps(repr(error))
            )
        answer[3](answer[2])
