"""What a host may say to the UNO node: commands good and bad, and whatever a noisy cable makes of them."""

from collections.abc import Iterator
import ctypes
import itertools
import json
from typing import Any

from hypothesis import given, settings, strategies as st
import pytest

from custom_components.energy_meter.sources.bridge.protocol import (
    HelloMessage,
    Readings,
    parse_line,
)
from tests.support.avr_bench import with_crc

from .logic import SETTINGS, LogicNode, erase, variable

IDS = itertools.count(1)


@pytest.fixture
def node() -> Iterator[LogicNode]:
    erase()
    started = LogicNode()
    started.work()
    started.sent()
    yield started
    erase()


def command(node: LogicNode, control: str, value: object = None, **more: Any) -> dict[str, Any]:
    message = {"type": "command", "id": next(IDS), "control": control, "value": value} | more
    node.line(with_crc(json.dumps(message)).encode())
    answer = next(message for message in node.messages() if message["type"] == "ack")
    assert answer.pop("id") == message["id"]
    return answer


@pytest.mark.parametrize(
    ("control", "value", "kept"),
    [
        ("voltage_gain", 1.0234, 10234),
        ("voltage_offset", -1.5, -150),
        ("current_gain", 0.5405, 5405),
        ("current_offset", 0.012, 12),
        ("phase_shift", -2.25, -225),
        ("dead_band", 0.15, 150),
        ("dead_band", 0, 0),
        ("relay_output", 2, 2),
        ("relay_feedback", 1, 1),
        ("relay_at_start", 1, 1),
        ("minimum_off_time", 300, 300),
    ],
)
def test_a_setting_is_kept_read_back_and_there_after_a_restart(
    node: LogicNode, control: str, value: float, kept: int
) -> None:
    answer = command(node, control, value, meter="main")
    assert answer == {"type": "ack", "ok": True, "value": value}
    assert node.setting(control) == kept
    assert LogicNode().setting(control) == kept


@pytest.mark.parametrize(
    ("control", "value"),
    [
        ("voltage_gain", 0.05),
        ("voltage_gain", 6),
        ("voltage_gain", "1.0"),
        ("voltage_gain", None),
        ("voltage_gain", True),
        ("voltage_gain", [1]),
        ("voltage_gain", 1e30),
        ("dead_band", -0.1),
        ("relay_output", 3),
        ("form", 2),
    ],
)
def test_a_value_that_is_none_changes_nothing_and_is_answered(
    node: LogicNode, control: str, value: object
) -> None:
    before = node.setting(control)
    assert command(node, control, value) == {
        "type": "ack", "ok": False, "error": "bad_value",
    }  # fmt: skip
    assert node.setting(control) == before


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"control": "voltage_gain", "meter": "oven"}, "unknown_meter"),
        ({"control": "warp", "meter": "main"}, "unknown_control"),
        ({"control": "voltage_gai"}, "unknown_control"),
        ({"control": "relay"}, "unknown_control"),
        ({"control": ""}, "unknown_control"),
    ],
)
def test_what_is_not_there_is_said_so(node: LogicNode, message: dict[str, Any], error: str) -> None:
    assert command(node, message.pop("control"), 1, **message)["error"] == error


@pytest.mark.parametrize("kind", ["config", "update"])
def test_what_it_cannot_do_is_answered(node: LogicNode, kind: str) -> None:
    node.line(f'{{"type":"{kind}","id":9,"step":"abort"}}'.encode())
    assert node.messages() == [{"type": "ack", "id": 9, "ok": False, "error": "unsupported"}]


def test_the_same_id_within_a_minute_is_answered_again_and_not_carried_out_again(
    node: LogicNode,
) -> None:
    line = b'{"type":"command","id":77,"control":"identify","value":1}'
    count = variable("host_identified", ctypes.c_uint)
    before = count.value
    for _ in range(3):
        node.line(line)
    assert [message["id"] for message in node.messages()] == [77, 77, 77]
    assert count.value == before + 1
    variable("host_uptime", ctypes.c_uint32).value += 61
    node.line(line)
    assert count.value == before + 2


def test_reset_energy_sets_both_counters_to_zero(node: LogicNode) -> None:
    for _ in range(400):
        node.sent()
        node.window(230, 15)
        node.pass_time(1)
    assert node.messages()[-1]["values"]["energy_import"] > 0.1
    assert command(node, "reset_energy")["ok"]
    node.window()
    node.work()
    assert node.messages()[-1]["values"]["energy_import"] == 0


def test_restart_saves_what_was_counted(node: LogicNode) -> None:
    for _ in range(5):
        node.window(230, 15)
        node.work()
    node.sent()
    restarts = variable("host_restarts", ctypes.c_uint)
    before = restarts.value
    assert command(node, "restart")["ok"]
    assert restarts.value == before + 1
    again = LogicNode()
    again.work()
    assert again.messages()[-1]["values"]["energy_import"] == 0.002  # 5 · 3450 W · 0.44 s


def test_a_resend_is_answered_with_gone(node: LogicNode) -> None:
    node.line(b'{"type":"resend","boot":17,"from":1040,"to":1041}')
    assert node.messages() == [{"type": "gone", "boot": 17, "from": 1040, "to": 1041}]


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"ping"}',
        b'{"type":"time","unix":1794000000.25}',
        b'{"type":"news","a":[{}]}',
        b"",
        b"\r",
    ],
)
def test_what_is_not_for_it_is_passed_over(node: LogicNode, line: bytes) -> None:
    node.line(line)
    assert node.messages() == []
    assert node.errors == 0


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"command","id":1,"control":"voltage_gain","value":2}*0000',
        b'{"type":"command","id":1,"control":"voltage_gain","val',
        b'"type":"command","id":1,"control":"voltage_gain","value":2}',
        b'{"type":"command","id":1,"control":"voltage_gain","value":2} x',
        b'{"type":"command",,"id":1,"control":"voltage_gain","value":2}',
        b'{"type":"command","id":1,"control":"voltage_gain","value":2' + b" " * 200 + b"}",
        b"\x00\xff\x80",
        b"hello?",
        b"[" * 150,
        b'{"type":"resend","from":"a","to":-1}',
    ],
)
def test_a_damaged_line_is_counted_and_nothing_else(node: LogicNode, line: bytes) -> None:
    node.line(line)
    assert node.messages() == []
    assert node.errors == 1
    assert node.setting("voltage_gain") == 10_000


def test_the_hello_is_what_home_assistant_reads(node: LogicNode) -> None:
    command(node, "relay_output", 1)
    node.sent()
    node.line(b'{"type":"hello?"}')
    message, with_crc_ = parse_line(node.sent())
    assert with_crc_
    assert isinstance(message, HelloMessage)
    assert message.hello is not None
    assert message.hello.kind == "uno"
    assert message.hello.interval == 1
    meter = message.hello.meter("main")
    assert meter is not None
    assert meter.rated_current == 20
    assert [control.key for control in meter.controls] == ["reset_energy", "relay", *SETTINGS[:-1]]
    assert meter.settings["dead_band"] == 0.08
    assert meter.resolution == {"energy_import": 0.01, "energy_export": 0.01}


def test_in_the_bare_form_only_readings_and_answers_are_sent_and_without_a_crc(
    node: LogicNode,
) -> None:
    assert command(node, "form", 0)["ok"]
    node.line(b'{"type":"hello?"}')
    node.line(b'{"type":"resend","from":1,"to":2}')
    node.window(230, 5)
    node.pass_time(6)
    (line,) = node.sent().splitlines()
    message, crc = parse_line(line)
    assert not crc
    assert isinstance(message, Readings)
    assert message.bare
    assert message.refused == ()
    (reading,) = message.readings
    assert reading.values.keys() == {
        "voltage", "current", "power", "apparent_power", "power_factor", "frequency",
        "energy_import", "energy_export",
    }  # fmt: skip
    assert reading.values["power"] == pytest.approx(1150, abs=2)
    assert command(node, "form", 1)["ok"]


def test_health_is_told_soon_after_the_start_and_then_once_a_minute(node: LogicNode) -> None:
    node.line(b"?")
    node.pass_time(120)
    healths = [message for message in node.messages() if message["type"] == "health"]
    assert [health["uptime"] for health in healths] == [5, 65]
    assert healths[0]["errors"] == 1
    assert healths[0]["reset"] == "power"


# The relay


def relay_node(node: LogicNode, **changes: float) -> None:
    for control, value in {"relay_output": 1, "minimum_off_time": 10, **changes}.items():
        command(node, control, value)
    variable("host_feedback_follows", ctypes.c_int).value = 1
    node.sent()


def pin() -> bool:
    return bool(variable("host_relay_pin", ctypes.c_bool).value)


def test_a_relay_is_an_output_only_once_it_is_fitted_and_then_it_is_open(node: LogicNode) -> None:
    output = variable("host_relay_out", ctypes.c_bool)
    assert not output.value
    relay_node(node)
    assert output.value
    assert not pin()
    command(node, "relay_output", 2)
    assert pin()  # active low: open is high


def test_the_relay_waits_out_its_minimum_off_time_and_says_how_long(node: LogicNode) -> None:
    relay_node(node)
    node.pass_time(4)
    node.sent()
    assert command(node, "relay", 1) == {
        "type": "ack", "ok": False, "error": "minimum_off_time", "text": "6 s to go",
    }  # fmt: skip
    node.pass_time(6)
    node.sent()
    assert command(node, "relay", 1)["value"] == 1
    assert pin()
    assert command(node, "relay", 0)["value"] == 0
    assert not pin()
    assert command(node, "relay", 1)["error"] == "minimum_off_time"


def test_a_relay_that_does_not_move_is_a_mismatch(node: LogicNode) -> None:
    relay_node(node, relay_feedback=1, minimum_off_time=0)
    variable("host_feedback_follows", ctypes.c_int).value = 0
    variable("host_feedback", ctypes.c_bool).value = False
    assert command(node, "relay", 1)["error"] == "mismatch"
    variable("host_feedback_follows", ctypes.c_int).value = 1
    assert command(node, "relay", 1)["value"] == 1


def test_a_relay_that_moves_by_itself_is_an_event(node: LogicNode) -> None:
    relay_node(node, relay_feedback=1)
    variable("host_feedback", ctypes.c_bool).value = True
    node.pass_time(2)
    (event,) = [message for message in node.messages() if message["type"] == "event"]
    assert (event["event"], event["meter"], event["value"]) == ("relay", "main", 1)
    variable("host_feedback", ctypes.c_bool).value = False


def test_a_relay_that_is_to_close_at_the_start_waits_as_well(node: LogicNode) -> None:
    relay_node(node, relay_at_start=1)
    again = LogicNode()
    again.pass_time(9)
    assert not pin()
    again.sent()
    again.pass_time(1)
    assert pin()
    assert [m["value"] for m in again.messages() if m["type"] == "event"] == [1]


# Whatever comes

good = st.builds(
    lambda control, value, id_: json.dumps(
        {"type": "command", "id": id_, "control": control, "value": value}
    ).encode(),
    st.sampled_from([*SETTINGS, "relay", "reset_energy", "identify", "restart", "nonsense"]),
    st.integers(-5, 70_000) | st.floats(allow_nan=False) | st.text(max_size=5) | st.none(),
    st.integers(0, 2**31 - 1),
)
others = st.sampled_from(
    [b'{"type":"hello?"}', b'{"type":"resend","from":1,"to":9}', b'{"type":"ping"}']
)
noise = st.binary(max_size=80) | st.text(alphabet='{}[]":,*typecmand0', max_size=60).map(str.encode)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    line = bytearray(with_crc(draw(good).decode()).encode() if draw(st.booleans()) else draw(good))
    for _ in range(draw(st.integers(0, 2))):
        line[draw(st.integers(0, len(line) - 1))] = draw(st.integers(0, 255))
    return bytes(line[: draw(st.integers(0, len(line)))])


LEAST_MOST = {
    "voltage_gain": (1000, 50_000), "voltage_offset": (-5000, 5000), "current_gain": (1000, 50_000),
    "current_offset": (-2000, 2000), "phase_shift": (-1000, 1000), "dead_band": (0, 2000),
    "relay_output": (0, 2), "relay_feedback": (0, 1), "relay_at_start": (0, 1),
    "minimum_off_time": (0, 3600), "form": (0, 1),
}  # fmt: skip


@settings(max_examples=300)
@given(st.lists(good | others | noise | damaged(), max_size=12))
def test_whatever_is_said_it_answers_in_whole_messages_and_keeps_its_limits(
    lines: list[bytes],
) -> None:
    erase()
    node = LogicNode()
    for line in lines:
        node.line(line)
        node.pass_time(1)
    node.window(230, 3)
    node.work()
    messages = node.messages()
    assert messages
    for name, (least, most) in LEAST_MOST.items():
        assert least <= node.setting(name) <= most
    numbers = [message["seq"] for message in messages if "seq" in message]
    assert numbers == list(range(1, len(numbers) + 1))


@settings(max_examples=300)
@given(good, st.integers(0, 200), st.integers(0, 7))
def test_no_single_damaged_bit_gets_past_the_crc(line: bytes, at: int, bit: int) -> None:
    erase()
    node = LogicNode()
    node.work()
    before = [node.setting(name) for name in SETTINGS]
    node.sent()
    sent = bytearray(with_crc(line.decode()).encode())
    at %= len(sent)
    if at == len(sent) - 5 or at == len(sent) - 6:
        return  # the mark of a CRC itself, or the brace before it: then there is none
    if at > len(sent) - 5 and bit == 5:
        return  # a digit of the CRC in small letters is the same digit
    sent[at] ^= 1 << bit
    node.line(bytes(sent))
    assert [node.setting(name) for name in SETTINGS] == before
    assert node.messages() == []
