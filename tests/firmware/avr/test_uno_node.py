"""The UNO node's firmware in simavr: from the waves at its pins to the lines on its cable."""

from collections.abc import Iterator
import math
from typing import Any

import pytest

from tests.support.avr_bench import AvrBench, parse, uno_node

SETTLING = 2.0
"""Simulated seconds after which a reading comes from a window that began after a change."""
FULL = 14.1
"""A: the range of an ACS712-20A, 20 A at the peak of a sine."""


@pytest.fixture(scope="module")
def board() -> Iterator[AvrBench]:
    """One board for everything that only changes the waves."""
    with uno_node() as bench:
        bench.await_message("reading")
        yield bench


@pytest.fixture
def own() -> Iterator[AvrBench]:
    """A board of its own for what changes more."""
    with uno_node() as bench:
        bench.await_message("reading")
        yield bench


PLAIN: dict[str, float] = {
    "vrms": 230, "irms": 5, "hz": 50, "phi": 0, "noise": 0, "vdc": 2500, "idc": 2500,
    "vhold": -1, "ihold": -1, "igain": 100,
    **{f"{signal}h{order}": 0 for signal in "vi" for order in (3, 5, 7, 9)},
}  # fmt: skip


def reading(bench: AvrBench, **waves: float) -> dict[str, Any]:
    """The values of a reading that was measured wholly after the waves became these."""
    bench.set(**PLAIN | waves)
    bench.run(SETTLING)
    bench.messages()
    message = bench.await_message("reading")
    assert isinstance(message["values"], dict)
    return message["values"] | {"flags": {*message.get("flags", [])} - {"uncalibrated"}}


def check(bench: AvrBench, **waves: float) -> dict[str, Any]:
    """A reading whose volts, amperes and watts are as accurate as promised."""
    got, true = reading(bench, **waves), bench.true()
    assert got["flags"] == set()
    assert got["voltage"] == pytest.approx(true["voltage"], abs=0.01 * true["voltage"])
    assert got["current"] == pytest.approx(true["current"], abs=0.01 * true["current"])
    if abs(true["power_factor"]) >= 0.5:
        assert got["power"] == pytest.approx(true["power"], abs=0.015 * abs(true["power"]))
    else:
        assert got["power"] == pytest.approx(true["power"], abs=0.0075 * true["apparent_power"])
    assert got["power_factor"] == pytest.approx(true["power_factor"], abs=0.01)
    assert got["frequency"] == pytest.approx(true["frequency"], abs=0.05)
    return got


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.5, 1])
@pytest.mark.parametrize("phi", [0, 60, -60, 180])
def test_a_sine_from_5_to_100_percent_of_the_range(
    board: AvrBench, share: float, phi: float
) -> None:
    check(board, irms=share * FULL, phi=phi, vrms=195 if share == 0.2 else 230)


@pytest.mark.parametrize("volts", [13.8, 50, 115, 276])
def test_voltage_from_5_to_100_percent_of_the_range(board: AvrBench, volts: float) -> None:
    """The range is 276 V, 20 % above the nominal voltage."""
    check(board, vrms=volts, noise=3)


@pytest.mark.parametrize("hz", [45, 49.5, 50.5, 60, 65])
def test_mains_of_any_frequency(board: AvrBench, hz: float) -> None:
    check(board, hz=hz, phi=50)


LOADS: dict[str, dict[str, float]] = {
    "a lamp": {"irms": 0.75},
    "a motor": {"irms": 4, "phi": 45, "ih3": 0.05},
    "a capacitor": {"irms": 3, "phi": -58},
    "solar power": {"irms": 8, "phi": 180},
    "a rectifier": {"irms": 3, "ih3": -0.8, "ih5": 0.5, "ih7": -0.25, "ih9": 0.1, "phi": 5},
    "bad mains": {"irms": 6, "vh3": 0.06, "vh5": 0.05, "vh7": 0.04, "phi": 30, "ih3": 0.2},
    "noise": {"irms": 2, "noise": 10, "phi": 40},
    "offsets": {"irms": 4, "vdc": 2350, "idc": 2620, "phi": 20},
    "all at once": {
        "irms": 5, "vdc": 2420, "idc": 2560, "noise": 5, "vh3": 0.04, "ih3": 0.3, "ih5": 0.2,
        "phi": 35, "hz": 49.8,
    },
}  # fmt: skip


@pytest.mark.parametrize("load", LOADS)
def test_loads_of_every_kind(board: AvrBench, load: str) -> None:
    check(board, **LOADS[load])


def test_a_sensor_that_is_turned_round_shows_power_with_the_other_sign(board: AvrBench) -> None:
    got = reading(board, igain=-100)
    assert got["power"] == pytest.approx(-1150, abs=12)
    assert got["power_factor"] == pytest.approx(-1, abs=0.005)


def test_at_a_power_factor_of_zero_there_is_next_to_no_power(board: AvrBench) -> None:
    got = reading(board, phi=90)
    assert got["power"] == pytest.approx(0, abs=5)
    assert got["apparent_power"] == pytest.approx(1150, abs=12)


def test_no_load_reads_as_nothing(board: AvrBench) -> None:
    """30 mA of noise are a ghost, not a current."""
    got = reading(board, irms=0, noise=3)
    assert (got["current"], got["power"], got["apparent_power"], got["power_factor"]) == (
        0, 0, 0, None,
    )  # fmt: skip
    assert got["voltage"] == pytest.approx(230, abs=2.3)


def test_without_voltage_the_current_is_still_measured(board: AvrBench) -> None:
    got = reading(board, vrms=0)
    assert got["flags"] == {"no_voltage"}
    assert (got["voltage"], got["power"], got["frequency"]) == (0, 0, None)
    assert got["current"] == pytest.approx(5, abs=0.1)
    check(board)  # and it comes back


@pytest.mark.parametrize("waves", [{"irms": 25}, {"vrms": 230, "vdc": 600}])
def test_an_input_that_is_driven_to_its_end_is_flagged(
    board: AvrBench, waves: dict[str, float]
) -> None:
    assert "clipping" in reading(board, **waves)["flags"]


def test_what_is_no_mains_has_no_frequency(board: AvrBench) -> None:
    got = reading(board, hz=25)
    assert got["flags"] == {"no_zero_crossing"}
    assert got["frequency"] is None


def test_a_sensor_without_supply_is_stuck(board: AvrBench) -> None:
    assert "stuck" in reading(board, ihold=0)["flags"]


def test_it_sends_at_least_one_reading_a_second_and_samples_2000_pairs(board: AvrBench) -> None:
    board.set(**PLAIN)
    board.run(1)
    board.messages()
    board.run(20)
    readings = [message for message in board.messages() if message["type"] == "reading"]
    assert len(readings) >= 20
    assert all("overrun" not in message.get("flags", []) for message in readings)
    stat = board.stat()
    assert stat["conversions"] / 2 >= 2000
    assert stat["interrupts"] < 0.2


def test_energy_is_that_of_the_mains_and_counted_by_direction(own: AvrBench) -> None:
    """A restart saves what has been counted, and what has been saved is told."""
    own.set(**PLAIN | {"irms": 14})
    own.run(60)
    own.set(phi=180)
    own.run(30)
    own.say({"type": "command", "id": 1, "control": "restart"})
    own.await_message("ack")
    values = own.await_message("reading")["values"]
    assert values["energy_import"] == pytest.approx(3.22 * 60 / 3600, abs=0.002)
    assert values["energy_export"] == pytest.approx(3.22 * 30 / 3600, abs=0.002)


# The line


def test_it_introduces_itself_and_numbers_what_it_says() -> None:
    with uno_node() as bench:
        hello = bench.await_message("hello")
        assert hello["bridge"].startswith("uno-")
        bench.run(5)
        readings = [message for message in bench.messages() if "seq" in message]
        assert [message["seq"] for message in readings] == list(range(1, len(readings) + 1))
        assert {message["boot"] for message in readings} == {hello["boot"]}
        assert "restarted" in readings[0]["flags"]
        assert "restarted" not in readings[1].get("flags", [])


def test_two_boards_have_different_names() -> None:
    names = set()
    for seed in (1, 2):
        with uno_node(seed=seed) as bench:
            names.add(bench.await_message("hello")["bridge"])
    assert len(names) == 2


def test_a_setting_takes_effect_and_outlives_the_supply(own: AvrBench) -> None:
    own.say({"type": "command", "id": 5, "meter": "main", "control": "voltage_gain", "value": 1.1})
    assert own.await_message("ack") == {"type": "ack", "id": 5, "ok": True, "value": 1.1}
    own.run(SETTLING)
    own.messages()
    before = own.await_message("reading")
    assert before["values"]["voltage"] == pytest.approx(253, abs=2)
    assert "uncalibrated" not in before.get("flags", [])
    own.power(False)
    own.run(3)
    own.power(True)
    own.messages()
    hello = own.await_message("hello")
    assert hello["boot"] == before["boot"] + 1
    gain = next(c for c in hello["meters"][0]["controls"] if c["key"] == "voltage_gain")
    assert gain["value"] == 1.1


def test_a_command_is_answered_while_a_hello_is_being_sent(own: AvrBench) -> None:
    own.say({"type": "hello?"})
    own.run(0.2)
    own.say({"type": "command", "id": 6, "control": "identify", "value": 1})
    assert own.await_message("ack")["ok"]


def test_garbage_on_the_cable_costs_nothing_but_a_count(own: AvrBench) -> None:
    own.send(bytes(range(256)) * 2)
    own.send(b'\n{"type":"command","id":1,"control":"voltage_gain","value":2}*0000\n')
    own.send(b"[" * 1000 + b"\n")
    own.run(4)
    messages = own.messages()
    assert sum(message["type"] == "reading" for message in messages) >= 4
    (health,) = [message for message in messages if message["type"] == "health"]
    assert health["errors"] >= 4
    assert health["free_memory"] > 400
    own.say({"type": "command", "id": 2, "control": "dead_band", "value": 0.2})
    assert own.await_message("ack")["ok"]


def test_the_bare_form_is_one_plain_object_per_reading(own: AvrBench) -> None:
    own.say({"type": "command", "id": 3, "control": "form", "value": 0})
    own.await_message("ack")
    own.run(SETTLING)
    own.lines()
    own.run(5)
    lines = own.lines()
    assert len(lines) >= 5
    assert all(line.startswith('{"Voltage": ') and line.endswith("}") for line in lines)
    assert parse(lines[-1])["Power"] == pytest.approx(1150, abs=12)


# Supply, watchdog, relay


@pytest.mark.parametrize("byte", [0, 7, 19, 25])
def test_a_supply_that_fails_while_energy_is_saved_costs_what_was_not_saved(
    own: AvrBench, byte: int
) -> None:
    """A restart saves at once, so that the test need not wait for a save."""
    own.set(irms=14)
    own.run(10)
    own.say({"type": "command", "id": 1, "control": "restart"})
    own.await_message("ack")
    before = own.await_message("reading")
    told = before["values"]["energy_import"]
    assert told > 0.007
    own.run(5)
    own.cut_at_write(byte)
    own.say({"type": "command", "id": 2, "control": "restart"})
    own.run(2)
    own.power(True)
    after = own.await_message("reading")
    assert after["boot"] == before["boot"] + 1
    assert after["values"]["energy_import"] == told


TIMSK1 = 0x6F


def test_the_watchdog_restarts_a_board_that_no_longer_samples(own: AvrBench) -> None:
    own.poke(TIMSK1, 0)
    own.run(4)
    messages = own.messages()
    own.run(4)
    messages += own.messages()
    kinds = [message["type"] for message in messages]
    assert "hello" in kinds
    event = messages[kinds.index("event")]
    assert event["event"] == "watchdog"
    assert "reading" in kinds[kinds.index("event") :]


def test_a_restart_that_was_asked_for_is_no_event(own: AvrBench) -> None:
    own.say({"type": "command", "id": 8, "control": "restart"})
    assert own.await_message("ack")["ok"]
    own.run(7)
    messages = own.messages()
    kinds = [message["type"] for message in messages]
    assert kinds[0] == "hello"
    assert "event" not in kinds
    assert messages[kinds.index("health")]["reset"] == "command"


def test_identify_blinks_for_ten_seconds_and_else_the_light_shows_the_mains(own: AvrBench) -> None:
    def seen() -> set[int | None]:
        levels = set()
        for _ in range(12):
            own.run(0.25)
            levels.add(own.pin("B", 5))
        return levels

    assert seen() == {1}
    own.say({"type": "command", "id": 9, "control": "identify", "value": 1})
    own.run(0.5)
    assert seen() == {0, 1}
    own.run(8)
    assert seen() == {1}
    own.set(vrms=0)
    own.run(2)
    assert seen() == {0}


def test_the_relay_switches_its_pin_and_is_read_back_from_its_contact(own: AvrBench) -> None:
    def say(number: int, control: str, value: int) -> dict[str, Any]:
        message = {"type": "command", "id": number, "meter": "main"}
        own.say(message | {"control": control, "value": value})
        return own.await_message("ack")

    assert own.pin("D", 7) is None
    assert say(1, "relay", 1)["error"] == "unknown_control"
    say(2, "relay_output", 2)
    assert own.pin("D", 7) == 1  # active low: open
    say(3, "minimum_off_time", 5)
    say(4, "relay_feedback", 1)
    assert say(5, "relay", 1)["error"] == "minimum_off_time"
    own.run(6)
    own.drive("B", 0, 1)
    assert say(6, "relay", 1)["error"] == "mismatch"
    assert own.pin("D", 7) == 0
    own.drive("B", 0, 0)
    assert own.await_message("event")["value"] == 1
    assert say(7, "relay", 1)["value"] == 1
    own.drive("B", 0, 1)
    assert say(8, "relay", 0)["value"] == 0
    assert own.pin("D", 7) == 1


def test_the_reference_is_right() -> None:
    """The bench's closed formulas against sums over a finely sampled cycle."""
    with uno_node() as bench:
        bench.set(vrms=230, irms=5, phi=30, vh3=0.1, ih3=0.3, ia3=40)
        true = bench.true()
    v, i = [], []
    for step in range(7200):
        a = step * math.pi / 3600
        b = a - math.radians(30)
        v.append(230 * math.sqrt(2) * (math.sin(a) + 0.1 * math.sin(3 * a)))
        i.append(5 * math.sqrt(2) * (math.sin(b) + 0.3 * math.sin(3 * b + math.radians(40))))
    assert true["voltage"] == pytest.approx(math.sqrt(sum(x * x for x in v) / 7200), abs=1e-4)
    assert true["current"] == pytest.approx(math.sqrt(sum(x * x for x in i) / 7200), abs=1e-5)
    assert true["power"] == pytest.approx(sum(x * y for x, y in zip(v, i)) / 7200, abs=1e-3)
    rms = math.sqrt(sum(x * x for x in i) / 7200)
    assert true["crest"] == pytest.approx(max(map(abs, i)) / rms, abs=1e-4)
