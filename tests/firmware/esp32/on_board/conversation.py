"""What an uplink says and hears: order, acknowledgements, repetition, requests."""

import asyncio
import json

from energy_meter import says
from energy_meter.desk import Desk, Refused
from energy_meter.lines import message
from energy_meter.outbox import Outbox
from energy_meter.ram_ring import RamRing
from energy_meter.session import Session
from support import FakeBridge, Moved


def _setting(said=0):
    moved = Moved()
    outbox = Outbox(moved.clock, 17, RamRing(8192, 200))
    session = Session("test", FakeBridge(moved.clock, outbox))
    for number in range(said):
        outbox.add(says.reading("m", (("power", number * 1_000_000),), ()))
    return moved, outbox, session


def _numbers(lines):
    return [json.loads(line).get("seq") for line in lines]


def hello_comes_first_then_the_oldest():
    _, outbox, session = _setting(3)
    session.connect()
    outbox.add(b'"type":"event","event":"relay"')
    lines = session.take(10_000)
    assert json.loads(lines[0])["type"] == "hello"
    assert _numbers(lines) == [None, 1, 2, 3, 4]
    assert session.take(10_000) == []


def nothing_is_said_to_nobody():
    _, _, session = _setting(3)
    session.say(b"{}")
    assert not session.has_urgent


def a_new_connection_repeats_what_was_not_acknowledged():
    _, _, session = _setting(5)
    session.connect()
    session.take(10_000)
    session.receive({"type": "ack", "boot": 17, "seq": 3})
    session.disconnect()
    session.connect()
    assert _numbers(session.take(10_000)) == [None, 4, 5]


def what_did_not_get_through_is_said_again():
    _, _, session = _setting(5)
    session.connect()
    session.say(b'{"type":"ack","id":1}')
    first = session.take(200)
    session.failed()
    assert session.take(200) == first


def a_small_packet_takes_a_part_and_nothing_is_skipped():
    for room in range(1, 400, 13):
        _, _, session = _setting(9)
        session.connect()
        session.receive({"type": "resend", "boot": 17, "from": 4, "to": 6})
        found = []
        for _ in range(40):
            lines = session.take(room)
            assert len(lines) == 1 or sum(len(line) + 1 for line in lines) <= room
            found += _numbers(lines)
        assert found == [None, 4, 5, 6, 1, 2, 3, 4, 5, 6, 7, 8, 9], (room, found)


def what_is_asked_for_again_is_said_or_gone():
    _, _, session = _setting(6)
    session.connect()
    session.take(10_000)
    session.receive({"type": "ack", "boot": 17, "seq": 3})
    session.receive({"type": "resend", "boot": 17, "from": 2, "to": 5})
    session.receive({"type": "resend", "boot": 16, "from": 1, "to": 9})
    lines = [json.loads(line) for line in session.take(10_000)]
    assert lines[0] == {"type": "gone", "boot": 17, "from": 2, "to": 3}
    assert [line["seq"] for line in lines[1:3]] == [4, 5]
    assert lines[3] == {"type": "gone", "boot": 16, "from": 1, "to": 9}
    assert len(lines) == 4


def hello_is_said_when_asked_and_everything_again():
    _, _, session = _setting(2)
    session.connect()
    session.take(10_000)
    session.receive({"type": "hello?"})
    assert _numbers(session.take(10_000)) == [None, 1, 2]
    assert session.repeated == 2


def a_host_that_forgot_is_told_again():
    moved, _, session = _setting(3)
    session.connect()
    session.take(10_000)
    session.receive({"type": "ack", "boot": 17, "seq": 1})
    moved.passes(299_000)
    assert session.take(10_000) == []
    moved.passes(1000)
    assert _numbers(session.take(10_000)) == [2, 3]


def nonsense_of_the_host_changes_nothing():
    _, outbox, session = _setting(3)
    session.connect()
    session.take(10_000)
    for line in (
        b'{"type":"ack"}',
        b'{"type":"ack","boot":"x","seq":2}',
        b'{"type":"ack","boot":17,"seq":-1}',
        b'{"type":"ack","boot":17,"seq":true}',
        b'{"type":"ack","boot":17,"seq":2.5}',
        b'{"type":"ack","boot":18,"seq":2}',
        b'{"type":"resend","boot":17}',
        b'{"type":"resend","boot":17,"from":9,"to":3}',
        b'{"type":"time","unix":"now"}',
        b'{"type":"time"}',
        b'{"type":7}',
        b'{"type":"new in version 2"}',
        b"{}",
    ):
        session.receive(message(line))
    assert outbox.buffered == 3
    assert session.take(10_000) == []


def the_time_is_taken_with_its_fraction():
    _, _, session = _setting()
    session.receive(message(b'{"type":"time","unix":1794000000.25}'))
    assert session._bridge.told == [("time", 1794000000250)]


def many_answers_are_bounded():
    _, _, session = _setting()
    session.connect()
    for number in range(100):
        session.say(b"%d" % number)
    lines = session.take(10_000)
    assert len(lines) <= 25 and lines[-1] == b"99"


async def a_request_is_carried_out_once():
    moved = Moved()
    calls = []

    async def command(found):
        calls.append(found["control"])
        if found["control"] == "no":
            raise Refused("not_allowed", 'he said "no"')
        if found["control"] == "broken":
            raise KeyError("oops")
        return "1"

    desk = Desk(moved.clock, {"command": command})
    answers = []
    for control, request in (("yes", 7), ("yes", 7), ("no", "a"), ("broken", 9)):
        desk.ask({"type": "command", "id": request, "control": control}, answers.append)
    await asyncio.sleep_ms(10)
    desk.ask({"type": "command", "id": 7, "control": "yes"}, answers.append)
    assert calls == ["yes", "no", "broken"]
    found = [json.loads(answer) for answer in answers]
    assert found[0] == found[3] == {"type": "ack", "id": 7, "ok": True, "value": 1}
    assert found[1]["error"] == "not_allowed" and found[1]["text"] == 'he said "no"'
    assert found[2]["ok"] is False
    moved.passes(60_000)
    desk.ask({"type": "command", "id": 7, "control": "yes"}, answers.append)
    await asyncio.sleep_ms(10)
    assert calls[-1] == "yes" and len(calls) == 4
    desk.ask({"type": "command", "control": "yes"}, answers.append)
    await asyncio.sleep_ms(10)
    assert len(calls) == 4, "a request without a number"


async def too_many_requests_at_once_are_refused():
    moved = Moved()

    async def command(_):
        await asyncio.sleep(60)

    desk = Desk(moved.clock, {"command": command})
    answers = []
    for request in range(12):
        desk.ask({"type": "command", "id": request}, answers.append)
    assert [json.loads(answer)["error"] for answer in answers] == ["busy"] * 4
