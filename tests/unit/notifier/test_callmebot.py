"""Messages through CallMeBot, against a local server that answers as the gateway does."""

import asyncio
from collections.abc import AsyncIterator
import logging

from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
import pytest

from custom_components.energy_meter.notifier.callmebot import (
    MAX_TEXT,
    MAX_WAITING,
    PAUSES,
    SPACING,
    CallMeBot,
    CallMeBotError,
    Reason,
    Recipient,
    judge,
    normalise_phone,
)
from tests.support.callmebot import QUEUED, Gateway

ME = Recipient(messenger="whatsapp", phone="+34123456789", key="987654")


class Time:
    """A clock that moves by being slept on."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        self.now += seconds
        await asyncio.sleep(0)

    def clock(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def gateway(socket_enabled: None) -> AsyncIterator[Gateway]:
    gateway = Gateway()
    async with TestServer(gateway.app) as server:
        gateway.url = str(server.make_url("")).rstrip("/")
        yield gateway


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


@pytest.fixture
def bot(gateway: Gateway, session: ClientSession, time: Time) -> CallMeBot:
    return CallMeBot(session, ME, base_url=gateway.url, sleep=time.sleep, clock=time.clock)


async def test_a_message_arrives_as_it_was_written(bot: CallMeBot, gateway: Gateway) -> None:
    await bot.send("Oven & kettle: 3.6 kW > 3.5 kW ⚡\nswitch off?")
    assert gateway.received == [
        ("/whatsapp.php", ME.phone, ME.key, "Oven & kettle: 3.6 kW > 3.5 kW ⚡\nswitch off?")
    ]


async def test_signal_has_an_address_of_its_own(
    gateway: Gateway, session: ClientSession, time: Time
) -> None:
    to = Recipient(messenger="signal", phone=ME.phone, key=ME.key)
    bot = CallMeBot(session, to, base_url=gateway.url, sleep=time.sleep, clock=time.clock)
    await bot.send("hello")
    assert gateway.received[0][0] == "/signal/send.php"


async def test_messages_keep_their_distance(bot: CallMeBot, gateway: Gateway, time: Time) -> None:
    await asyncio.gather(*(bot.send(str(number)) for number in range(3)))
    assert [text for *_, text in gateway.received] == ["0", "1", "2"]
    assert time.slept == [SPACING, SPACING]


async def test_too_many_waiting_messages_are_refused_at_once(
    bot: CallMeBot, gateway: Gateway
) -> None:
    results = await asyncio.gather(
        *(bot.send(str(number)) for number in range(MAX_WAITING + 2)), return_exceptions=True
    )
    refused = [result for result in results if result is not None]
    assert len(refused) == 2
    assert all(isinstance(err, CallMeBotError) and err.reason is Reason.TOO_MANY for err in refused)
    assert len(gateway.received) == MAX_WAITING


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (203, "<h1>Oops! Too many requests...</h1>"),
        (201, "Oops! Too many requests ... Message queued"),
        (429, ""),
        (500, "Message queued"),
        (208, "Message queued"),
    ],
)
async def test_what_passes_is_tried_again(
    bot: CallMeBot, gateway: Gateway, time: Time, status: int, body: str
) -> None:
    gateway.answers = [(status, body), QUEUED]
    await bot.send("again")
    assert len(gateway.received) == 2
    assert time.slept[0] == PAUSES[0]


async def test_a_gateway_that_stays_away_is_given_up(
    bot: CallMeBot, gateway: Gateway, time: Time
) -> None:
    gateway.answers = [(503, "")] * 10
    with pytest.raises(CallMeBotError) as failure:
        await bot.send("again")
    assert failure.value.reason is Reason.UNREACHABLE
    assert len(gateway.received) == 1 + len(PAUSES)
    gateway.answers = []
    await bot.send("later")
    assert gateway.received[-1][-1] == "later"


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (203, "Message to: +34123456789 Text to send: x <b>APIKey is invalid.</b> Please create a new one", Reason.INVALID_KEY),
        (200, "<p>APIKey is invalid</p>", Reason.INVALID_KEY),
        (200, "+34123456789 Your Account is Paused ... send the word 'resume'", Reason.PAUSED),
        (209, "Quota exceeded or banned", Reason.QUOTA),
        (200, "Message not sent. You have 0 messages left", Reason.QUOTA),
        (200, "<html>Welcome to nginx</html>", Reason.REFUSED),
        (404, "Message queued", Reason.REFUSED),
    ],
)  # fmt: skip
async def test_what_needs_the_user_is_not_tried_again(
    bot: CallMeBot, gateway: Gateway, status: int, body: str, reason: Reason
) -> None:
    gateway.answers = [(status, body)]
    with pytest.raises(CallMeBotError) as failure:
        await bot.send("x")
    assert failure.value.reason is reason
    assert len(gateway.received) == 1


def test_the_last_message_of_a_quota_still_counts_as_sent() -> None:
    assert judge(200, "Message queued. You have 0 Messages left") is None


async def test_neither_key_nor_number_is_told_to_anybody(
    bot: CallMeBot, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    gateway.answers = [(200, f"Strange: phone={ME.phone} ({ME.phone[1:]}) apikey={ME.key}")]
    with pytest.raises(CallMeBotError) as failure:
        await bot.send("x")
    told = repr(failure.value) + failure.value.said
    logged = "".join(
        record.getMessage() for record in caplog.records if "aiohttp.access" not in record.name
    )
    for secret in (ME.key, ME.phone[1:]):
        assert secret not in told
        assert secret not in logged


async def test_an_unreachable_gateway_does_not_betray_the_address(
    socket_enabled: None, session: ClientSession, time: Time, unused_tcp_port: int
) -> None:
    bot = CallMeBot(
        session,
        ME,
        base_url=f"http://127.0.0.1:{unused_tcp_port}",
        sleep=time.sleep,
        clock=time.clock,
    )
    with pytest.raises(CallMeBotError) as failure:
        await bot.send("x")
    assert failure.value.reason is Reason.UNREACHABLE
    assert ME.key not in repr(failure.value)
    assert failure.value.__cause__ is None


async def test_a_long_text_is_cut_and_a_long_answer_not_read_whole(
    bot: CallMeBot, gateway: Gateway
) -> None:
    gateway.answers = [(200, "Message queued" + "x" * 1_000_000)]
    await bot.send("y" * 5000)
    assert len(gateway.received[0][-1]) == MAX_TEXT
    assert gateway.received[0][-1].endswith("…")


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("+34 123 456 789", "+34123456789"),
        ("0034-123-456789", "+34123456789"),
        ("34123456789", "+34123456789"),
        ("+1 (555) 010-9999", "+15550109999"),
    ],
)
def test_a_number_is_understood_however_it_is_typed(typed: str, number: str) -> None:
    assert normalise_phone(typed) == number


@pytest.mark.parametrize("typed", ["", "hello", "0170 1234567", "+12", "+123456789012345678"])
def test_what_is_no_international_number_is_refused(typed: str) -> None:
    with pytest.raises(ValueError):
        normalise_phone(typed)
