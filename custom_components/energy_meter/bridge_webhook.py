"""Bridges that post to a webhook of Home Assistant; what waits for them goes out with the answer.

Everybody who knows the address may post, so nothing is believed before it is checked: how often, how much, and,
with a key, by whom and that it is no repetition.
"""

import asyncio
from collections import deque
from http import HTTPStatus
import json
import logging
import time
from typing import Any, Final, override

from aiohttp.web import Request, Response
from homeassistant.components import webhook
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.event import async_call_later
from homeassistant.helpers.storage import Store
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN
from .sources.bridge import BridgeLink, BridgeSession
from .sources.bridge.crc import with_crc
from .sources.bridge.limits import TokenBucket
from .sources.bridge.protocol import decode, encode, split_body, split_crc
from .sources.bridge.security import sign_answer, verify_post

_LOGGER = logging.getLogger(__name__)

MAX_BODY: Final = 65_536
"""Bytes of one POST, unpacked."""
BODY_TIMEOUT: Final = 10.0
"""Seconds that a body may take to arrive."""
RATE: Final = 10.0
BURST: Final = 30
"""POSTs a second on average, and at once."""
MAX_NUMBER: Final = 2**64 - 1
PATIENCE: Final = 60.0
"""Seconds without a POST after which a bridge counts as away, if its own pace is not slower."""
PATIENCE_LIMIT: Final = 7_200.0
ROUNDS: Final = 3
"""POSTs that have to be missing at the pace that the bridge has."""
COMMAND_PATIENCE: Final = 10.0
"""Seconds that a command waits at most; its sender gives up later."""
LONGEST_SLACK: Final = 60.0
"""Seconds that answers may take longer because a bridge posts seldom."""
MAX_ANSWER: Final = 8_192
"""Bytes of one answer, as many as of one message to a bridge."""
MAX_WAITING: Final = 49_152
"""Bytes that wait for the bridge; what does not fit is dropped, oldest first."""

HEADER_NUMBER: Final = "X-Energy-Meter-Number"
HEADER_SIGNATURE: Final = "X-Energy-Meter-Signature"

STORAGE_VERSION: Final = 1
SAVE_DELAY: Final = 10.0
"""Seconds between two writes of the numbers: posts come every second, and a disk is no friend of that."""


class PostNumbers:
    """The highest number that was used at each webhook, kept over restarts, so that no post is taken twice."""

    def __init__(self, hass: HomeAssistant) -> None:
        """Choose the file; `async_load` reads it."""
        self._store: Store[dict[str, int]] = Store(hass, STORAGE_VERSION, f"{DOMAIN}.post_numbers")
        self._numbers: dict[str, int] = {}
        self._loading = asyncio.Lock()
        self._loaded = False
        self._pending = False

    async def async_load(self) -> None:
        """Read the file, once."""
        async with self._loading:
            if not self._loaded:
                self._numbers = await self._store.async_load() or {}
                self._loaded = True

    @callback
    def async_use(self, webhook_id: str, number: int) -> bool:
        """Use a number; False if it is not higher than all before."""
        if number <= self._numbers.get(webhook_id, -1):
            return False
        self._numbers[webhook_id] = number
        if not self._pending:  # Asking again would put the write off.
            self._pending = True
            self._store.async_delay_save(self._data, SAVE_DELAY)
        return True

    @callback
    def async_forget(self, webhook_id: str) -> None:
        """Drop a webhook that is no more."""
        if self._numbers.pop(webhook_id, None) is not None:
            self._store.async_delay_save(self._data, 0)

    @callback
    def _data(self) -> dict[str, int]:
        self._pending = False
        return dict(self._numbers)


DATA_NUMBERS: HassKey[PostNumbers] = HassKey(f"{DOMAIN}_post_numbers")


async def async_post_numbers(hass: HomeAssistant) -> PostNumbers:
    """The numbers of all webhooks, loaded."""
    numbers = hass.data.setdefault(DATA_NUMBERS, PostNumbers(hass))
    await numbers.async_load()
    return numbers


class RefusedError(Exception):
    """A POST that is not taken: the status and the word that say why."""

    def __init__(self, status: HTTPStatus, error: str) -> None:
        """Keep both."""
        super().__init__(status, error)
        self.status = status
        self.error = error


class Outbox:
    """What waits for a bridge's next post, and is worth saying when it comes."""

    def __init__(self) -> None:
        """Begin empty."""
        self._lines: deque[tuple[float, bytes]] = deque()
        self._size = 0

    def put(self, line: bytes, now: float) -> None:
        """Have a message wait; what does not fit is dropped, oldest first.

        Args:
            line: without its line feed.
            now: seconds of a monotonic clock.
        """
        self._lines.append((now, line))
        self._size += len(line) + 1
        while self._size > MAX_WAITING:
            self._size -= len(self._lines.popleft()[1]) + 1

    def take(self, now: float, unix: float) -> bytes:
        """What waited, one message per line, as far as a bridge takes it at once; the rest waits on.

        A command whose sender may have given up must not be carried out any more, and the time has to be that of
        the answer.

        Args:
            now: seconds of a monotonic clock.
            unix: the time, Unix seconds.
        """
        answer: list[bytes] = []
        room = MAX_ANSWER + 1
        while self._lines:
            at, waited = self._lines[0]
            line = _now_said(waited, now - at, unix)
            if line is not None and len(line) >= room:
                break
            self._lines.popleft()
            self._size -= len(waited) + 1
            if line is not None:
                answer.append(line)
                room -= len(line) + 1
        return b"\n".join(answer)

    def clear(self) -> None:
        """Drop everything."""
        self._lines.clear()
        self._size = 0


def _now_said(line: bytes, age: float, unix: float) -> bytes | None:
    """A message as it is to be said after it has waited for `age` seconds; None if not any more."""
    body, crc = split_crc(line)
    message = decode(body)
    if message.get("type") == "command":
        return line if age < COMMAND_PATIENCE else None
    if message.get("type") != "time":
        return line
    fresh = encode({**message, "unix": unix})
    return with_crc(fresh) if crc else fresh


class WebhookLink(BridgeLink):
    """One webhook and the bridge that posts to it."""

    def __init__(
        self,
        hass: HomeAssistant,
        webhook_id: str,
        *,
        name: str,
        key: str | None = None,
        local_only: bool = True,
    ) -> None:
        """Keep what the webhook is; it is not registered before `start`.

        Args:
            hass: Home Assistant.
            webhook_id: the secret part of the address.
            name: for Home Assistant's list of webhooks.
            key: of 20 characters; posts have to be signed with it. None: whoever knows the address may post.
            local_only: whether posts from outside of the local network are ignored.
        """
        self._hass = hass
        self._webhook_id = webhook_id
        self._name = name
        self._key = key
        self._local_only = local_only
        self._bucket = TokenBucket(RATE, BURST)
        self._waiting = Outbox()
        self._session: BridgeSession | None = None
        self._numbers: PostNumbers | None = None
        self._connected = False
        self._posted_at = hass.loop.time()
        self._gap = 0.0
        self._away: CALLBACK_TYPE | None = None

    @override
    async def start(self, session: BridgeSession) -> None:
        """Register the webhook."""
        self._numbers = await async_post_numbers(self._hass)
        self._session = session
        webhook.async_register(
            self._hass,
            DOMAIN,
            self._name,
            self._webhook_id,
            self._async_handle,
            local_only=self._local_only,
            allowed_methods=("POST",),
        )

    @override
    async def stop(self) -> None:
        """Take the webhook away."""
        webhook.async_unregister(self._hass, self._webhook_id)
        self._leave()
        self._session = None

    @override
    def send(self, line: bytes) -> None:
        """Have a message wait for the next post."""
        if self._connected:
            self._waiting.put(line, self._hass.loop.time())

    @property
    @override
    def connected(self) -> bool:
        """Whether the bridge has posted lately."""
        return self._connected

    @override
    def describe(self) -> str:
        """No address: who knows it may post."""
        return "webhook"

    async def _async_handle(
        self, _hass: HomeAssistant, _webhook_id: str, request: Request
    ) -> Response:
        try:
            return await self._async_take(request)
        except RefusedError as refused:
            _LOGGER.debug("A post was refused: %s", refused.error)
            return Response(
                status=refused.status,
                body=json.dumps({"error": refused.error}).encode(),
                content_type="application/json",
            )

    async def _async_take(self, request: Request) -> Response:
        """Check a post, pass on what is in it, and answer with what waits.

        Raises:
            RefusedError: with the status to answer.
        """
        if not self._bucket.take(self._hass.loop.time()):
            raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "too_often")
        body = await _async_body(request)
        session = self._session
        if session is None:  # Taken away while the body was arriving.
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "not_running")
        number = self._check(request, body)
        lines = split_body(body)
        self._arrive(session)
        if lines and not session.feed_lines(lines):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "nothing_usable")
        answer = self._waiting.take(self._hass.loop.time(), time.time())
        headers = {}
        if self._key is not None and number is not None:
            headers[HEADER_SIGNATURE] = sign_answer(self._key, number, answer)
        return Response(body=answer, headers=headers, content_type="application/x-ndjson")

    def _check(self, request: Request, body: bytes) -> int | None:
        """The number of a post that is signed rightly and new; None where no key is asked for.

        Raises:
            RefusedError: it is not.
        """
        if self._key is None:
            return None
        text = request.headers.get(HEADER_NUMBER, "")
        signature = request.headers.get(HEADER_SIGNATURE, "")
        if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) <= MAX_NUMBER):
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "number")
        number = int(text)
        if not verify_post(self._key, number, body, signature):
            if signature and self._session is not None:
                self._session.trouble("key_refused", str(request.remote))
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "signature")
        assert self._numbers is not None
        if not self._numbers.async_use(self._webhook_id, number):
            raise RefusedError(HTTPStatus.CONFLICT, "number_used")
        return number

    def _arrive(self, session: BridgeSession) -> None:
        """A bridge that posts is there, until it has not posted for some of its own rounds."""
        now = self._hass.loop.time()
        self._gap, self._posted_at = now - self._posted_at, now
        if not self._connected:
            self._gap = 0.0
            self._connected = True
            session.connected()
        session.slack = min(ROUNDS * self._gap, LONGEST_SLACK)
        interval = session.hello.interval if session.hello else 0.0
        patience = min(max(PATIENCE, ROUNDS * interval, ROUNDS * self._gap), PATIENCE_LIMIT)
        if self._away is not None:
            self._away()
        self._away = async_call_later(self._hass, patience, self._async_away)

    @callback
    def _async_away(self, _now: Any) -> None:
        self._away = None
        self._leave()

    def _leave(self) -> None:
        if self._away is not None:
            self._away()
            self._away = None
        self._waiting.clear()
        if self._connected and self._session is not None:
            self._connected = False
            self._session.disconnected()


async def _async_body(request: Request) -> bytes:
    """The body, as far as it is short enough and in time.

    Raises:
        RefusedError: it is not.
    """
    body = b""
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            while len(body) <= MAX_BODY:
                chunk = await request.content.read(MAX_BODY + 1 - len(body))
                if not chunk:
                    return body
                body += chunk
    except TimeoutError:
        raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, "too_slow") from None
    raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_long")
