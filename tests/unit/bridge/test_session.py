"""A bridge's conversation, with a simulated bridge at the other end and a clock that is moved by hand."""

from collections.abc import Callable
from datetime import UTC, datetime
import json
from typing import Any

from hypothesis import given, settings, strategies as st
import pytest

from custom_components.energy_meter.sources.bridge import BridgeSession, Hello
from custom_components.energy_meter.sources.bridge.crc import with_crc
from custom_components.energy_meter.sources.bridge.protocol import MAX_METERS
from tests.support.bridge import SimulatedBridge, SimulatedMeter, relay
from tests.support.bridge_listener import MovedClock, RecordingListener

OVEN = {"voltage": 227.5, "current": 1.42}


class Talk:
    """A session and a simulated bridge, joined by calls."""

    def __init__(
        self,
        bridge: SimulatedBridge | None = None,
        *,
        clock: MovedClock | None = None,
        **session: Any,
    ) -> None:
        self.clock = clock or MovedClock()
        self.listener = RecordingListener()
        self.bridge = bridge or SimulatedBridge(
            meters=[SimulatedMeter(controls=[relay()])], clock=self.clock.wall
        )
        self.said: list[bytes] = []
        self.session = BridgeSession(self.listener, self._send, clock=self.clock, **session)

    def _send(self, line: bytes) -> None:
        self.said.append(line)
        if self.bridge._write is not None:
            self.bridge.hear(line + b"\n")

    def up(self) -> Talk:
        """The link comes up."""
        self.session.connected()
        self.bridge.attach(self.session.feed)
        return self

    def down(self) -> None:
        """The link goes down."""
        self.bridge.detach()
        self.session.disconnected()

    def wait(self, seconds: float) -> None:
        """Let time pass, with a tick each second."""
        for _ in range(round(seconds)):
            self.clock.move(1)
            self.session.tick()

    def line(self, message: dict[str, Any] | bytes) -> int:
        """Bring one message to the session."""
        line = message if isinstance(message, bytes) else json.dumps(message).encode()
        return self.session.feed_lines([line])

    def asked(self, kind: str) -> list[dict[str, Any]]:
        """What the bridge was told of that type."""
        return [message for message in map(json.loads, self.said) if message["type"] == kind]


def bare_talk() -> Talk:
    talk = Talk()
    talk.session.connected()
    return talk


# Bare boards


def test_a_bare_line_is_all_a_board_needs() -> None:
    talk = bare_talk()
    talk.session.feed(b'{"Voltage": 227.5, "Current": 1.42}\n')
    (hello,) = talk.listener.hellos
    assert hello.synthesised
    assert [(meter.id, meter.quantities) for meter in hello.meters] == [
        ("main", ("voltage", "current"))
    ]
    ((meter, reading, flags, old),) = talk.listener.readings
    assert (meter, flags, old) == ("main", frozenset(), False)
    assert dict(reading.values) == OVEN
    assert reading.time == datetime.fromtimestamp(talk.clock.unix, UTC)
    assert reading.monotonic == talk.clock.monotonic


def test_volts_and_amperes_make_no_power() -> None:
    talk = bare_talk()
    talk.line(b'{"Voltage": 227.5, "Current": 1.42}')
    assert "power" not in talk.listener.readings[0][1].values
    assert "power" not in talk.listener.hellos[-1].meters[0].quantities


def test_a_bare_board_is_known_by_its_place() -> None:
    talk = Talk(name="usb_1")
    talk.session.connected()
    talk.line(b'{"V": 230}')
    assert talk.session.hello is not None
    assert talk.session.hello.bridge == "usb_1"


def test_a_second_meter_is_believed_at_its_second_line_and_loses_nothing() -> None:
    talk = bare_talk()
    talk.line(b'{"meter": "oven", "V": 230}')
    talk.clock.move(1)
    talk.line(b'{"meter": "pump", "V": 231}')
    assert [meter.id for meter in talk.listener.hellos[-1].meters] == ["oven"]
    talk.clock.move(1)
    talk.line(b'{"meter": "pump", "V": 232}')
    assert [meter.id for meter in talk.listener.hellos[-1].meters] == ["oven", "pump"]
    assert talk.listener.values("voltage", "pump") == [231, 232]


def test_a_damaged_name_makes_no_meter() -> None:
    talk = bare_talk()
    for name in (b"oven", b"oven", b"Oven", b"oven", b"ovem", b"oven"):
        talk.line(b'{"meter": "%s", "V": 230}' % name)
    assert [meter.id for meter in talk.listener.hellos[-1].meters] == ["oven"]
    assert len(talk.listener.hellos) == 1


def test_a_quantity_that_comes_later_is_added_when_it_comes_again() -> None:
    talk = bare_talk()
    talk.line(b'{"V": 230}')
    talk.line(b'{"I": 1}')
    assert talk.listener.values("current") == []
    talk.line(b'{"I": 2}')
    talk.line(b'{"V": 231}')
    assert talk.listener.hellos[-1].meters[0].quantities == ("voltage", "current")
    assert talk.listener.values("current") == [2]


def test_a_meter_that_is_listed_without_quantities_is_believed_its_first() -> None:
    talk = Talk(SimulatedBridge(meters=[SimulatedMeter(quantities=())])).up()
    talk.bridge.measure("oven", OVEN)
    assert talk.listener.hellos[-1].meters[0].quantities == ("voltage", "current")
    assert talk.listener.values("voltage") == [227.5]
    talk.bridge.measure("oven", {"power": 1})
    assert len(talk.listener.readings) == 1


def test_meters_of_a_board_that_invents_names_are_bounded() -> None:
    talk = bare_talk()
    for number in range(MAX_METERS + 50):
        for _ in range(2):
            talk.line(b'{"meter": %d, "V": 230}' % number)
    assert len(talk.listener.hellos[-1].meters) == MAX_METERS
    assert talk.listener.trouble_keys() == ["too_many_meters"]


def test_three_phases_are_counted() -> None:
    talk = bare_talk()
    talk.line(b'{"V1": 230, "V2": 231, "V3": 232}')
    assert talk.listener.hellos[-1].meters[0].phases == 3


# Hello


def test_a_bridge_is_asked_who_it_is_and_says_it() -> None:
    talk = Talk().up()
    assert talk.asked("hello?") == [{"type": "hello?"}]
    hello = talk.listener.hellos[-1]
    assert (hello.bridge, hello.boot, hello.synthesised) == ("a4cf12d3e4f5", 1, False)
    assert [meter.id for meter in hello.meters] == ["oven"]


def test_a_hello_that_says_the_same_is_told_once() -> None:
    talk = Talk().up()
    talk.bridge.say_hello()
    talk.bridge.say_hello()
    assert len(talk.listener.hellos) == 1


def test_a_meter_that_is_missing_from_a_later_hello_is_gone() -> None:
    talk = Talk().up()
    talk.bridge.meters["pump"] = SimulatedMeter(id="pump")
    talk.bridge.say_hello()
    del talk.bridge.meters["oven"]
    talk.bridge.say_hello()
    assert [[meter.id for meter in hello.meters] for hello in talk.listener.hellos] == [
        ["oven"],
        ["oven", "pump"],
        ["pump"],
    ]


@pytest.mark.parametrize("version", [0, 2, 99])
def test_another_version_is_refused_and_told(version: int) -> None:
    talk = Talk()
    talk.session.connected()
    talk.line(talk.bridge.hello() | {"v": version})
    talk.line({"type": "reading", "seq": 1, "meter": "oven", "values": OVEN})
    assert talk.listener.troubles == [("version", str(version))]
    assert talk.listener.readings == []
    assert talk.listener.hellos == []


def test_a_bridge_that_greets_is_asked_only_if_it_does_not() -> None:
    talk = Talk()
    talk.session.connected(greets=True)
    assert talk.session.is_connected
    talk.line({"type": "reading", "boot": 1, "seq": 1, "meter": "oven", "values": OVEN})
    talk.wait(1)
    assert talk.asked("hello?") == []
    talk.wait(1)
    assert len(talk.asked("hello?")) == 1
    talk.line(talk.bridge.hello())
    talk.wait(60)
    assert len(talk.asked("hello?")) == 1


def test_another_bridge_at_this_place_is_not_taken() -> None:
    talk = Talk(expected="theotherone")
    talk.up()
    talk.bridge.measure("oven", OVEN)
    talk.wait(30)
    assert talk.listener.troubles == [("wrong_bridge", "a4cf12d3e4f5")]
    assert talk.listener.readings == []
    assert talk.bridge.acknowledged == {}


def test_the_full_form_waits_for_the_hello() -> None:
    talk = Talk()
    talk.session.connected()
    talk.line({"type": "reading", "boot": 1, "seq": 1, "meter": "oven", "values": OVEN})
    assert talk.listener.readings == []
    talk.line(talk.bridge.hello())
    assert talk.listener.values("voltage") == [227.5]


def test_what_waits_for_a_hello_is_bounded() -> None:
    talk = Talk()
    talk.session.connected()
    for seq in range(1, 600):
        talk.line({"type": "reading", "seq": seq, "meter": "oven", "values": {"voltage": seq}})
    assert talk.listener.values("voltage") == list(range(1, 600))


def test_a_board_that_never_says_hello_is_taken_as_it_is() -> None:
    talk = Talk()
    talk.session.connected()
    for seq in (1, 2):
        talk.line({"type": "reading", "seq": seq, "meter": "oven", "values": OVEN})
    talk.wait(16)
    assert talk.listener.values("voltage") == [227.5, 227.5]
    assert talk.listener.hellos[-1].synthesised
    assert len(talk.asked("hello?")) == 1


def test_a_remembered_hello_stands_in_for_one_that_does_not_come() -> None:
    before = Talk().up()
    before.bridge.measure("oven", OVEN)
    after = Talk(memory=json.loads(json.dumps(before.session.memory)))
    after.session.connected()
    after.line({"type": "reading", "boot": 1, "seq": 2, "meter": "oven", "values": OVEN})
    assert after.listener.readings == []
    after.wait(4)
    assert after.listener.hellos == before.listener.hellos
    assert after.listener.values("voltage") == [227.5]


def test_a_meter_missing_from_the_hello_is_asked_for() -> None:
    talk = Talk().up()
    talk.clock.move(20)
    talk.bridge.measure("pump", {"voltage": 230})
    assert len(talk.asked("hello?")) == 2
    talk.bridge.measure("pump", {"voltage": 231})
    assert [meter.id for meter in talk.listener.hellos[-1].meters] == ["oven", "pump"]
    assert talk.listener.values("voltage", "pump") == [230, 231]


def test_the_time_is_sent_after_each_hello_and_each_hour() -> None:
    talk = Talk().up()
    first = talk.clock.unix
    talk.wait(3601)
    times = [message["unix"] for message in talk.asked("time")]
    assert times[0] == first
    assert times[-1] - first == pytest.approx(3600, abs=1)


def test_who_does_not_want_the_time_gets_none() -> None:
    bridge = SimulatedBridge(meters=[SimulatedMeter()], capabilities=["buffer"])
    talk = Talk(bridge).up()
    talk.wait(7200)
    assert talk.asked("time") == []


# Readings in their own time


def test_a_reading_has_the_time_at_which_it_was_taken() -> None:
    talk = Talk().up()
    talk.bridge.measure("oven", OVEN, ago=2.5)
    _, reading, _, old = talk.listener.readings[0]
    assert reading.monotonic == pytest.approx(talk.clock.monotonic - 2.5, abs=1e-6)
    assert reading.time.timestamp() == pytest.approx(talk.clock.unix - 2.5, abs=1e-3)
    assert old is False


@pytest.mark.parametrize(("ago", "old"), [(0, False), (7.0, False), (7.1, True), (86_400, True)])
def test_a_reading_older_than_two_intervals_and_five_seconds_is_old(ago: float, old: bool) -> None:
    talk = Talk().up()
    talk.bridge.measure("oven", OVEN, ago=ago)
    assert talk.listener.readings[0][3] is old


def test_a_reading_with_its_own_unix_time() -> None:
    talk = Talk().up()
    at = talk.clock.unix - 100
    talk.line({"type": "reading", "boot": 1, "seq": 1, "at": at, "meter": "oven", "values": OVEN})
    _, reading, _, old = talk.listener.readings[0]
    assert reading.time.timestamp() == pytest.approx(at, abs=1e-3)
    assert reading.monotonic == pytest.approx(talk.clock.monotonic - 100, abs=1e-3)
    assert old is True


@pytest.mark.parametrize("off", [-41 * 86_400, 301, 1_794_000_000])
def test_with_a_clock_that_is_wrong_only_counters_are_used(off: float) -> None:
    talk = Talk().up()
    values = OVEN | {"energy_import": 12.5}
    at = talk.clock.unix + off
    talk.line({"type": "reading", "boot": 1, "seq": 1, "at": at, "meter": "oven", "values": values})
    talk.wait(6)
    ((_, reading, _, old),) = talk.listener.readings
    assert dict(reading.values) == {"energy_import": 12.5}
    assert reading.monotonic == talk.clock.monotonic - 1  # Five seconds after it came.
    assert old is False
    assert talk.listener.trouble_keys() == ["clock"]


def test_a_clock_a_little_ahead_means_now() -> None:
    talk = Talk().up()
    at = talk.clock.unix + 200
    talk.line({"type": "reading", "boot": 1, "seq": 1, "at": at, "meter": "oven", "values": OVEN})
    assert talk.listener.readings[0][1].monotonic == talk.clock.monotonic
    assert talk.listener.troubles == []


def test_counters_of_unknown_time_come_before_the_dated_readings_that_follow() -> None:
    talk = Talk().up()
    talk.bridge.measure("oven", {"energy_import": 12.0, "voltage": 230}, ago=None)
    talk.bridge.measure("oven", {"energy_import": 12.1}, ago=3600)
    talk.bridge.measure("oven", {"energy_import": 12.2}, ago=0)
    assert talk.listener.values("energy_import") == [12.0, 12.1, 12.2]
    assert talk.listener.values("voltage") == []
    times = [reading.monotonic for _, reading, _, _ in talk.listener.readings]
    assert times == pytest.approx([talk.clock.monotonic - ago for ago in (3600, 3600, 0)], abs=1e-3)


def test_values_of_unknown_time_that_are_no_counters_are_not_used() -> None:
    talk = Talk().up()
    talk.bridge.measure("oven", OVEN, ago=None)
    talk.wait(10)
    assert talk.listener.readings == []


def test_what_comes_too_late_is_not_put_before_what_was_used() -> None:
    bridge = SimulatedBridge(meters=[SimulatedMeter()], capabilities=[])
    talk = Talk(bridge).up()
    reading = {"type": "reading", "boot": 1, "meter": "oven"}
    talk.line(reading | {"seq": 1, "values": {"voltage": 1}, "age": 3000})
    talk.line(reading | {"seq": 3, "values": {"voltage": 3}, "age": 1000})
    talk.line(reading | {"seq": 2, "values": {"voltage": 2}, "age": 2000})
    talk.line(reading | {"seq": 4, "values": {"voltage": 4}, "age": 0})
    assert talk.listener.values("voltage") == [1, 3, 4]
    assert talk.session.counters.reordered == 1


def test_flags_without_values_are_told_of_a_known_meter_only() -> None:
    talk = Talk().up()
    talk.bridge.measure("oven", {}, flags=["stuck"])
    talk.bridge.measure("pump", {}, flags=["stuck"])
    assert [(meter, flags) for meter, _, flags, _ in talk.listener.readings] == [
        ("oven", frozenset({"stuck"}))
    ]
    assert talk.session.hello is not None
    assert [meter.id for meter in talk.session.hello.meters] == ["oven"]


def test_times_never_go_back_for_a_meter() -> None:
    talk = Talk().up()
    for ago in (1.0, 1.2, 0.5, 400, 0):
        talk.bridge.measure("oven", OVEN, ago=ago)
    times = [reading.monotonic for _, reading, _, _ in talk.listener.readings]
    assert times == sorted(times)
    assert len(times) == 5
    assert talk.listener.trouble_keys() == ["clock"]


def test_no_voltage_means_zero_volts_and_power_as_given() -> None:
    talk = Talk().up()
    talk.bridge.measure("oven", {"current": 0.0, "power": 3.0}, flags=["no_voltage", "odd"])
    _, reading, flags, _ = talk.listener.readings[0]
    assert dict(reading.values) == {"voltage": 0.0, "current": 0.0, "power": 3.0}
    assert flags == {"no_voltage", "odd"}
    assert talk.session.counters.flags == {"no_voltage": 1, "odd": 1}


def test_a_value_that_is_none_is_counted_and_told_once() -> None:
    talk = Talk().up()
    for _ in range(5):
        talk.bridge.measure("oven", {"voltage": "227 V", "current": 1.42})
    assert talk.listener.values("current") == [1.42] * 5
    assert talk.session.counters.refused == 5
    assert talk.listener.troubles == [("refused", "voltage: '227 V'")]


# Loss, repetition, order


def test_everything_measured_while_the_link_was_down_comes_once_and_in_its_own_time() -> None:
    talk = Talk().up()
    for number in range(10):
        talk.bridge.measure("oven", {"voltage": number})
        talk.wait(1)
    talk.down()
    begin = talk.clock.monotonic
    for number in range(10, 600):
        talk.clock.move(1)
        talk.bridge.measure("oven", {"voltage": number})
    talk.up()
    assert talk.listener.values("voltage") == list(range(600))
    times = [reading.monotonic for _, reading, _, _ in talk.listener.readings[10:]]
    assert times == pytest.approx([begin + number for number in range(1, 591)], abs=1e-3)
    assert [old for *_, old in talk.listener.readings[10:]] == [True] * 582 + [False] * 8
    talk.wait(1)
    assert talk.bridge.buffer == []
    assert talk.session.counters.lost == 0


def test_a_lost_message_is_asked_for_and_comes_in_its_place() -> None:
    talk = Talk().up()
    talk.bridge.measure("oven", {"voltage": 1})
    talk.bridge.lose = lambda message: message["type"] == "reading"
    talk.bridge.measure("oven", {"voltage": 2})
    talk.bridge.lose = lambda message: False
    talk.bridge.measure("oven", {"voltage": 3})
    assert talk.listener.values("voltage") == [1, 2, 3]
    assert talk.asked("resend") == [{"type": "resend", "boot": 1, "from": 2, "to": 2}]
    assert talk.session.counters.lost == 0
    assert talk.session.counters.resends == 1


def test_what_is_gone_is_lost_and_the_rest_goes_on() -> None:
    talk = Talk().up()
    talk.bridge.lose = lambda message: message.get("seq") == 1
    talk.bridge.measure("oven", {"voltage": 1})
    talk.bridge.buffer.clear()
    talk.bridge.measure("oven", {"voltage": 2})
    talk.bridge.measure("oven", {"voltage": 3})
    talk.bridge.measure("oven", {"voltage": 4})
    assert talk.listener.values("voltage") == [2, 3, 4]


def test_a_bridge_that_does_not_answer_holds_nothing_up_for_long() -> None:
    talk = Talk().up()
    talk.bridge.measure("oven", {"voltage": 1})
    talk.bridge.lose = lambda message: message.get("seq") == 2
    talk.bridge.measure("oven", {"voltage": 2})
    talk.bridge.measure("oven", {"voltage": 3})
    talk.wait(9)
    assert talk.listener.values("voltage") == [1]
    talk.wait(2)
    assert talk.listener.values("voltage") == [1, 3]
    assert talk.session.counters.lost == 1
    talk.bridge.lose = lambda message: False
    talk.bridge.measure("oven", {"voltage": 4})
    assert talk.listener.values("voltage") == [1, 3, 4]


def test_readings_that_outlived_a_restart_of_the_bridge_carry_its_old_boot() -> None:
    talk = Talk().up()
    talk.bridge.measure("oven", {"voltage": 1})
    talk.down()
    talk.bridge.measure("oven", {"voltage": 2})
    talk.bridge.restart()
    talk.bridge.measure("oven", {"voltage": 3})
    talk.up()
    assert talk.listener.values("voltage") == [1, 2, 3]
    talk.wait(1)
    assert talk.bridge.acknowledged == {1: 2, 2: 1}


def test_a_restart_of_home_assistant_takes_nothing_twice_and_leaves_nothing_out() -> None:
    talk = Talk().up()
    talk.bridge.measure("oven", {"voltage": 1})
    talk.bridge.measure("oven", {"voltage": 2})
    memory = json.loads(json.dumps(talk.session.memory))
    talk.bridge.detach()  # Nothing was acknowledged.
    talk.bridge.measure("oven", {"voltage": 3})
    after = Talk(talk.bridge, clock=talk.clock, memory=memory).up()
    assert after.listener.values("voltage") == [3]
    assert after.session.counters.repeated == 2
    after.wait(1)
    assert after.bridge.buffer == []


def test_with_durable_only_what_is_saved_is_acknowledged() -> None:
    talk = Talk(durable=True).up()
    for number in range(200):
        talk.bridge.measure("oven", {"voltage": number})
    talk.wait(5)
    assert talk.bridge.acknowledged == {}
    memory = json.loads(json.dumps(talk.session.memory))
    talk.bridge.measure("oven", {"voltage": 200})
    talk.session.saved(memory)
    talk.wait(1)
    assert talk.bridge.acknowledged == {1: 200}
    # Home Assistant dies, and begins again with what was on disk.
    talk.bridge.detach()
    after = Talk(talk.bridge, clock=talk.clock, memory=memory, durable=True).up()
    assert after.listener.values("voltage") == [200]


def test_a_bridge_without_a_buffer_is_not_acknowledged() -> None:
    bridge = SimulatedBridge(meters=[SimulatedMeter()], capabilities=[])
    talk = Talk(bridge).up()
    for number in range(100):
        bridge.measure("oven", {"voltage": number})
    talk.wait(5)
    assert talk.asked("ack") == []
    assert len(talk.listener.readings) == 100


def test_a_bridge_without_a_buffer_is_not_waited_for() -> None:
    bridge = SimulatedBridge(meters=[SimulatedMeter()], capabilities=[])
    talk = Talk(bridge).up()
    bridge.lose = lambda message: message.get("seq") == 2
    for number in (1, 2, 3):
        bridge.measure("oven", {"voltage": number})
    assert talk.listener.values("voltage") == [1, 3]
    assert talk.session.counters.lost == 1
    assert talk.asked("resend") == []


def test_another_bridge_counts_its_own_starts() -> None:
    talk = Talk().up()
    talk.bridge.measure("oven", {"voltage": 1})
    talk.down()
    talk.bridge = SimulatedBridge("other", meters=[SimulatedMeter()], clock=talk.clock.wall)
    talk.up()
    talk.bridge.measure("oven", {"voltage": 2})
    assert talk.listener.values("voltage") == [1, 2]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_happens_to_link_bridge_and_home_assistant_each_reading_counts_once(
    data: st.DataObject,
) -> None:
    """Losses, link failures, restarts at either end; the totals at the end are those of the bridge."""
    clock = MovedClock()
    bridge = SimulatedBridge(meters=[SimulatedMeter()], clock=clock.wall)
    talk = Talk(bridge, clock=clock).up()
    seen: list[Any] = []
    memory: dict[str, Any] = {}
    bridge.measure("oven", {"voltage": 0})  # From here on the bridge is known.
    for number in range(1, 40):
        clock.move(1)
        act = data.draw(
            st.sampled_from(["", "", "", "lose", "cut", "join", "restart", "new", "tick"])
        )
        if act == "lose":
            bridge.lose = lambda message: message["type"] == "reading"
        elif act == "cut":
            talk.down()
        elif act == "restart":
            bridge.restart()
        elif act == "join" and bridge._write is None:
            talk.up()
        elif act == "new":
            seen += talk.listener.values("voltage")
            memory = json.loads(json.dumps(talk.session.memory))
            talk.down()
            talk = Talk(bridge, clock=clock, memory=memory).up()
        elif act == "tick":
            talk.session.tick()
        bridge.measure("oven", {"voltage": number})
        bridge.lose = lambda message: False
    if bridge._write is None:
        talk.up()
    for _ in range(30):
        clock.move(1)
        bridge.measure("oven", {"current": 0})
        talk.session.tick()
    seen += talk.listener.values("voltage")
    assert seen == list(range(40))
    assert bridge.buffer == []


# Events, health, log


def test_an_event_has_its_own_time_and_place_in_the_order() -> None:
    talk = Talk().up()
    talk.bridge.event("relay", meter="oven", value=0, reason="button", ago=3)
    talk.bridge.event("control", meter="oven", control="voltage_gain", value=1.01, ago=60)
    relay_event, control = talk.listener.events
    assert (relay_event.meter, relay_event.event, relay_event.value) == ("oven", "relay", 0)
    assert (relay_event.reason, relay_event.old) == ("button", False)
    assert relay_event.time.timestamp() == pytest.approx(talk.clock.unix - 3, abs=1e-3)
    assert (control.control, control.value, control.old) == ("voltage_gain", 1.01, True)
    talk.down()
    talk.up()
    assert len(talk.listener.events) == 2


def test_health_and_log_are_passed_on() -> None:
    talk = Talk().up()
    talk.bridge.health(rssi=-61, uptime=86400, free_memory=81234, buffered=0, reset="power")
    talk.bridge.log("UART 1: no line for 30 s", "warning")
    (health,) = talk.listener.healths
    assert (health.rssi, health.uptime, health.free_memory, health.reset) == (
        -61,
        86400,
        81234,
        "power",
    )
    assert talk.listener.logs == [("warning", "UART 1: no line for 30 s")]


def test_a_chatty_log_is_cut_short() -> None:
    talk = Talk().up()
    for _ in range(500):
        talk.bridge.log("again")
    assert len(talk.listener.logs) == 20


# Bad input


def test_bad_lines_are_counted_and_told_once_in_ten_minutes() -> None:
    talk = bare_talk()
    for _ in range(100):
        talk.session.feed(b"ets Jul 29 2019\n")
    assert talk.session.counters.bad == 100
    assert talk.listener.troubles == [("bad_line", "json: ets Jul 29 2019")]
    talk.clock.move(601)
    talk.session.feed(b"again\n")
    assert len(talk.listener.troubles) == 2


def test_a_megabyte_line_costs_one_count() -> None:
    talk = bare_talk()
    for _ in range(250):
        talk.session.feed(b"[" * 4096)
    talk.session.feed(b'\n{"V": 230}\n')
    assert talk.session.counters.bad == 1
    assert talk.listener.values("voltage") == [230]


def test_a_flood_is_cut_off_and_told() -> None:
    talk = bare_talk()
    talk.session.feed(b'{"V": 230}\n' * 30_000)
    assert talk.session.counters.flooded == 10_000
    assert talk.listener.trouble_keys() == ["flood"]
    talk.clock.move(1)
    talk.session.feed(b'{"V": 231}\n')
    assert talk.listener.values("voltage")[-1] == 231


def test_rows_without_end_are_a_flood_too() -> None:
    talk = bare_talk()
    rows = {"type": "readings", "columns": ["V"], "rows": [[1]] * 1000}
    understood = sum(talk.line(rows) for _ in range(200))
    assert 70 < understood < 90
    assert talk.session.counters.flooded == 200 - understood
    assert talk.listener.trouble_keys() == ["flood"]


def test_once_a_line_had_a_crc_all_must() -> None:
    talk = bare_talk()
    good, damaged = with_crc(b'{"V": 230}'), with_crc(b'{"V": 230}').replace(b"230", b"280")
    talk.session.feed_lines([b'{"V": 229}', good, damaged, b'{"V": 999}', good])
    assert talk.listener.values("voltage") == [229, 230, 230]
    assert talk.session.counters.bad == 2
    assert talk.listener.trouble_keys() == ["crc"]
    talk.session.disconnected()
    talk.session.connected()
    talk.line(b'{"V": 231}')
    assert talk.listener.values("voltage")[-1] == 231


def test_who_uses_a_crc_gets_one() -> None:
    bridge = SimulatedBridge(meters=[SimulatedMeter()], crc=True)
    talk = Talk(bridge).up()
    talk.bridge.say({"type": "ping"})
    bridge.measure("oven", OVEN)
    talk.wait(1)
    assert bridge.acknowledged == {1: 1}
    assert talk.said[-1][-5:-4] == b"*"


def test_half_a_line_of_a_lost_link_does_not_spoil_the_next() -> None:
    talk = bare_talk()
    talk.session.feed(b'{"V": 2')
    talk.session.disconnected()
    talk.session.connected()
    talk.session.feed(b'{"V": 230}\n')
    assert talk.listener.values("voltage") == [230]
    assert talk.session.counters.bad == 0


def test_how_many_messages_were_understood_is_said() -> None:
    talk = Talk()
    lines = [b'{"V": 230}', b"x", b'{"type": "weather"}', b'{"type": "ping"}', b'{"Power_hp": 1}']
    assert talk.session.feed_lines(lines) == 2


def test_the_link_is_told_once_each_way() -> None:
    talk = Talk()
    talk.session.connected()
    talk.session.connected()
    talk.session.disconnected()
    talk.session.disconnected()
    assert talk.listener.links == [True, False]


@pytest.mark.parametrize(
    "memory",
    [
        {"hello": 5, "starts": "x"},
        {"hello": {"type": "hello"}, "starts": [None]},
        {"hello": {"type": "reading", "values": {"voltage": 1}}},
        {"hello": {"x": "y" * 40_000}},
    ],
)
def test_a_memory_that_makes_no_sense_is_no_memory(memory: dict[str, Any]) -> None:
    talk = Talk(memory=memory).up()
    talk.bridge.measure("oven", OVEN)
    assert talk.listener.values("voltage") == [227.5]


def test_what_cannot_be_said_again_is_not_remembered() -> None:
    talk = Talk()
    talk.session.connected()
    talk.line(b'{"type":"hello","v":1,"bridge":"a","name":"\\ud800","meters":[{"id":"m"}]}')
    assert talk.session.memory["hello"] is None
    hello = talk.session.hello
    assert isinstance(hello, Hello)
    assert hello.name is None


FEEDS: list[Callable[[bytes], bytes]] = [
    lambda line: line + b"\n",
    lambda line: line,
    lambda line: line[: len(line) // 2] + b"\n",
    lambda line: line[::-1] + b"\r\n",
    lambda line: line.replace(b"1", b"NaN") + b"\n",
    lambda line: line.replace(b"}", b"") + b"\n",
    lambda line: line + line + b"\n",
    lambda line: line.replace(b'"', b"") + b"\n",
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 11), st.sampled_from(FEEDS)), max_size=40))
def test_no_stream_makes_the_session_fail(
    pieces: list[tuple[int, Callable[[bytes], bytes]]],
) -> None:
    talk = Talk().up()
    said: list[bytes] = []
    other = SimulatedBridge(meters=[SimulatedMeter()], clock=talk.clock.wall)
    other.attach(said.append)
    other.measure("oven", OVEN)
    other.measure("pump", OVEN, flags=["clipping"], ago=None)
    other.event("relay", meter="oven", value=1)
    other.event("new_meter", meter="x")
    other.health(rssi=-1)
    other.log("1")
    other.bare({"V": 1})
    other.say({"type": "ack", "id": 1, "ok": True})
    other.say({"type": "gone", "boot": 1, "from": 1, "to": 11})
    other.say({"type": "readings", "seq": 1, "columns": ["V", "meter"], "rows": [[1, 1], [1]]})
    said.append(b"\xff\x00" * 50)
    for index, change in pieces:
        talk.session.feed(change(said[index % len(said)].rstrip(b"\n")))
        talk.wait(1)
    times: dict[str, float] = {}
    for meter, reading, _, _ in talk.listener.readings:
        assert reading.monotonic >= times.get(meter, reading.monotonic)
        times[meter] = reading.monotonic
    json.dumps(talk.session.memory)


# Circuits of a hub


def test_the_start_of_a_meter_comes_with_its_readings() -> None:
    talk = Talk(SimulatedBridge(meters=[SimulatedMeter(id="a")])).up()
    row = {"type": "readings", "boot": 1, "columns": ["meter", "start", "energy_import"]}
    talk.line({**row, "seq": 1, "rows": [["a", 4, 10.5]]})
    talk.line({**row, "seq": 2, "rows": [["a", "-", 10.6]]})
    assert [each.start for _, each, _, _ in talk.listener.readings] == [4, None]


def test_counters_without_a_time_wait_apart_for_each_start_of_their_meter() -> None:
    talk = Talk(SimulatedBridge(meters=[SimulatedMeter(id="a")])).up()
    for seq, (start, age, total) in enumerate(((4, None, 10.5), (5, None, 10.1), (5, 0, 10.2)), 1):
        message = {"type": "reading", "boot": 1, "seq": seq, "meter": "a", "start": start}
        talk.line({**message, "age": age, "values": {"energy_import": total}})
    told = [(each.start, each.values["energy_import"]) for _, each, _, _ in talk.listener.readings]
    assert told == [(4, 10.5), (5, 10.1), (5, 10.2)]


def test_a_late_counter_of_an_earlier_start_does_not_pass_for_one_that_has_fallen() -> None:
    talk = Talk(SimulatedBridge(meters=[SimulatedMeter(id="a")])).up()

    def tell(seq: int, start: int, age: int | None, total: float) -> None:
        message = {"type": "reading", "boot": 1, "seq": seq, "meter": "a", "start": start}
        talk.line({**message, "age": age, "values": {"energy_import": total}})

    tell(1, 4, 0, 10.4)
    tell(3, 5, 0, 10.1)
    talk.wait(15)  # Number 2 is given up …
    tell(2, 4, None, 10.5)  # … and comes after all.
    talk.wait(10)
    assert [each.start for _, each, _, _ in talk.listener.readings] == [4, 5]
