"""What waits for a bridge that has to ask: nothing is said too late."""

import json
from typing import Any

from hypothesis import given, strategies as st

from custom_components.energy_meter.bridge_webhook import (
    COMMAND_PATIENCE,
    MAX_ANSWER,
    MAX_WAITING,
    Outbox,
)
from custom_components.energy_meter.sources.bridge.crc import with_crc
from custom_components.energy_meter.sources.bridge.protocol import encode, split_crc


def _said(outbox: Outbox, now: float, unix: float = 0.0) -> list[dict[str, Any]]:
    return [json.loads(split_crc(line)[0]) for line in outbox.take(now, unix).splitlines()]


def test_everything_is_said_once_in_its_order() -> None:
    outbox = Outbox()
    for number in range(3):
        outbox.put(encode({"type": "ack", "seq": number}), number)
    assert [message["seq"] for message in _said(outbox, 3)] == [0, 1, 2]
    assert _said(outbox, 3) == []


def test_a_command_that_nobody_waits_for_any_more_is_not_carried_out() -> None:
    outbox = Outbox()
    outbox.put(encode({"type": "command", "id": 1, "control": "relay", "value": 0}), 100)
    outbox.put(encode({"type": "ack", "seq": 9}), 100)
    outbox.put(encode({"type": "command", "id": 2, "control": "relay", "value": 1}), 101)
    said = _said(outbox, 100 + COMMAND_PATIENCE)
    assert [message.get("id", "ack") for message in said] == ["ack", 2]


def test_the_time_is_that_of_the_answer_with_a_crc_if_it_had_one() -> None:
    for checked in (False, True):
        outbox = Outbox()
        line = encode({"type": "time", "unix": 1.0})
        outbox.put(with_crc(line) if checked else line, 0)
        answer = outbox.take(7, 1_794_000_000.25)
        body, crc = split_crc(answer.rstrip())
        assert crc is checked
        assert json.loads(body) == {"type": "time", "unix": 1_794_000_000.25}


@given(st.lists(st.integers(1, 8_000), max_size=30))
def test_answers_never_grow_beyond_what_a_bridge_takes_and_the_rest_follows(
    sizes: list[int],
) -> None:
    outbox = Outbox()
    lines = [encode({"type": "log", "n": n, "text": "x" * size}) for n, size in enumerate(sizes)]
    for line in lines:
        outbox.put(line, 0)
    said: list[bytes] = []
    while answer := outbox.take(0, 0):
        assert len(answer) <= MAX_ANSWER
        said += answer.splitlines()
    # What did not fit at all was dropped from its beginning.
    assert said == lines[len(lines) - len(said) :]
    assert sum(map(len, lines)) > MAX_WAITING - 10_000 or said == lines


def test_a_message_of_the_greatest_length_fits() -> None:
    outbox = Outbox()
    outbox.put(b"{" + b" " * (MAX_ANSWER - 2) + b"}", 0)
    assert len(outbox.take(0, 0)) == MAX_ANSWER
