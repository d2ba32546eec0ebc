"""Text messages to a person's messenger through CallMeBot, without Home Assistant.

The gateway takes one HTTP GET per message. It answers in prose, mostly with status 200 whatever has happened, so that the words
decide: only "Message queued" is a yes. What it says and with which status is known from its users' programs:
200 "Message queued. You will receive it in a few seconds.", 203 "APIKey is invalid …", 201 and 203 "Too many requests",
200 "Your Account is Paused … send the word 'resume'", 200 "… 0 messages left", 208 for one that was queued but not delivered,
209 for a used-up quota (alteriom-hil's and other programs' tests, read 2026-11). It never answers with the text's delivery itself.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
import html
import re
from typing import Final

from aiohttp import ClientError, ClientSession, ClientTimeout

BASE_URL: Final = "https://api.callmebot.com"
PATHS: Final = {"whatsapp": "/whatsapp.php", "signal": "/signal/send.php"}
"""Messenger → where its messages go."""
MAX_TEXT: Final = 1000
"""Characters of a message; the gateway takes the text in the address of the request."""
MAX_BODY: Final = 4096
TIMEOUT: Final = ClientTimeout(total=20)
PAUSES: Final = (2.0, 5.0)
"""Seconds before each repetition of what may work the next time."""
SPACING: Final = 3.0
"""Seconds between two messages; the gateway refuses what comes faster than about one in two seconds."""
MAX_WAITING: Final = 20
"""Messages that may wait for their turn."""

_PHONE: Final = re.compile(r"\+?[1-9][0-9]{6,14}")
_TAG: Final = re.compile(r"<[^>]*>")


class Reason(StrEnum):
    """Why a message was not taken."""

    INVALID_KEY = "invalid_key"
    PAUSED = "paused"
    QUOTA = "quota"
    TOO_MANY = "too_many"
    """The gateway, or the queue here, has too much to do."""
    NOT_DELIVERED = "not_delivered"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    """It said something that is not known."""


PASSING: Final = frozenset({Reason.TOO_MANY, Reason.UNREACHABLE, Reason.NOT_DELIVERED})
"""Reasons that may be gone the next time; the others need the user."""


class CallMeBotError(Exception):
    """A message that was not taken; holds neither key nor number."""

    def __init__(self, reason: Reason, said: str = "") -> None:
        """Keep the reason and what the gateway said."""
        super().__init__(reason.value, said)
        self.reason = reason
        self.said = said


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Who is written to."""

    messenger: str
    """A key of `PATHS`."""
    phone: str
    key: str


def normalise_phone(text: str) -> str:
    """A number in international form, `+4917012345678`, however it was typed.

    Raises:
        ValueError: it is no international number.
    """
    digits = re.sub(r"[\s()/.\-]", "", text)
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    if not _PHONE.fullmatch(digits):
        raise ValueError(text)
    return digits if digits.startswith("+") else "+" + digits


def judge(status: int, body: str) -> Reason | None:
    """What an answer means: None if the message was taken."""
    said = plain(body).lower()
    verdict: Reason | None = Reason.REFUSED
    if "apikey" in said and "invalid" in said:
        verdict = Reason.INVALID_KEY
    elif "paused" in said:
        verdict = Reason.PAUSED
    elif "too many" in said or status == 429:
        verdict = Reason.TOO_MANY
    elif status == 209 or "quota" in said or "message not sent" in said:
        verdict = Reason.QUOTA
    elif status == 208:
        verdict = Reason.NOT_DELIVERED
    elif status >= 500:
        verdict = Reason.UNREACHABLE
    elif status == 200 and "message queued" in said:
        verdict = None
    return verdict


def plain(body: str) -> str:
    """An answer without its markup, on one line."""
    return " ".join(html.unescape(_TAG.sub(" ", body)).split())


class CallMeBot:
    """Sends to one recipient, one message at a time.

    Args:
        session: Home Assistant's own.
        recipient: who is written to.
        base_url: of the gateway.
        sleep, clock: replaced in tests.
    """

    def __init__(
        self,
        session: ClientSession,
        recipient: Recipient,
        *,
        base_url: str = BASE_URL,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Take the session; nothing is sent."""
        self._session = session
        self._recipient = recipient
        self._url = base_url + PATHS[recipient.messenger]
        self._sleep = sleep
        self._clock = clock or asyncio.get_running_loop().time
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._free_at = self._clock()

    async def send(self, text: str) -> None:
        """Have a message sent; repeats what may work the next time, and waits for its turn.

        Raises:
            CallMeBotError: it was not taken.
        """
        if self._waiting >= MAX_WAITING:
            raise CallMeBotError(Reason.TOO_MANY)
        self._waiting += 1
        try:
            async with self._turn:
                await self._send_with_repetitions(shortened(text))
        finally:
            self._waiting -= 1

    async def _send_with_repetitions(self, text: str) -> None:
        for pause in (*PAUSES, None):
            await self._wait_for_turn()
            try:
                await self._send_once(text)
            except CallMeBotError as err:
                if pause is None or err.reason not in PASSING:
                    raise
                await self._sleep(pause)
            else:
                return

    async def _wait_for_turn(self) -> None:
        wait = self._free_at - self._clock()
        if wait > 0:
            await self._sleep(wait)
        self._free_at = self._clock() + SPACING

    async def _send_once(self, text: str) -> None:
        recipient = self._recipient
        query = {"phone": recipient.phone, "text": text, "apikey": recipient.key}
        try:
            async with self._session.get(self._url, params=query, timeout=TIMEOUT) as answer:
                body = (await answer.content.read(MAX_BODY)).decode("utf-8", "replace")
                status = answer.status
        except (ClientError, TimeoutError) as err:
            # The error's own words hold the address, and that the key.
            raise CallMeBotError(Reason.UNREACHABLE, type(err).__name__) from None
        reason = judge(status, body)
        if reason is not None:
            raise CallMeBotError(reason, self._without_secrets(plain(body))[:200])

    def _without_secrets(self, text: str) -> str:
        for secret in (self._recipient.key, self._recipient.phone, self._recipient.phone[1:]):
            text = text.replace(secret, "•••")
        return text


def shortened(text: str) -> str:
    """A text that the gateway takes; what is cut off is marked."""
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
