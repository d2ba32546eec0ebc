"""What each message of the protocol turns into, and that nothing makes the parser fail."""

import json
from typing import Any

from hypothesis import given, settings, strategies as st
import pytest

from custom_components.energy_meter.model import ControlKind
from custom_components.energy_meter.sources.bridge.crc import with_crc
from custom_components.energy_meter.sources.bridge.protocol import (
    MAX_DEPTH,
    MAX_LINE,
    MAX_METERS,
    Ack,
    BadLine,
    BridgeHealth,
    Gone,
    HealthMessage,
    HelloMessage,
    LogMessage,
    Message,
    Other,
    RawEvent,
    RawReading,
    Readings,
    Taken,
    encode,
    parse_line,
    split_body,
)

MEASURED = (
    "voltage",
    "frequency",
    "current",
    "power",
    "reactive_power",
    "apparent_power",
    "power_factor",
    "current_crest_factor",
    "voltage_peak",
    "current_peak",
    "energy_import",
    "energy_export",
)


def parse(message: dict[str, Any] | bytes) -> Message:
    line = message if isinstance(message, bytes) else json.dumps(message).encode()
    return parse_line(line)[0]


def is_message_or_bad(message: dict[str, Any] | bytes) -> bool:
    """Parse it; whether what comes out is fit for a log line. Anything raised but `BadLine` fails the test."""
    try:
        return bool(parse(message))
    except BadLine as err:
        return err.detail.isprintable() and len(err.detail) < 140


HELLO = {
    "type": "hello",
    "v": 1,
    "bridge": "a4cf12d3e4f5",
    "boot": 17,
    "firmware": "1.0.0",
    "hardware": "ESP32",
    "name": "Workshop",
    "kind": "esp32",
    "capabilities": ["buffer", "config", "update", "time"],
    "interval": 1.0,
    "meters": [
        {
            "id": "oven",
            "name": "Oven",
            "model": "UNO node",
            "firmware": "1.0.0",
            "serial": "0042",
            "phases": 1,
            "rated_current": 20,
            "quantities": ["voltage", "current", "power", "energy_import"],
            "resolution": {"energy_import": 0.001},
            "controls": [
                {"key": "relay", "kind": "switch", "value": 1},
                {
                    "key": "voltage_gain",
                    "kind": "number",
                    "value": 1.0,
                    "min": 0.5,
                    "max": 2.0,
                    "step": 0.0001,
                },
                {"key": "mode", "kind": "select", "options": {"0": "off", "1": "on"}, "value": 1},
            ],
        }
    ],
}


def test_the_hello_of_the_document() -> None:
    message = parse(HELLO)
    assert isinstance(message, HelloMessage)
    hello = message.hello
    assert hello is not None
    assert (hello.bridge, hello.boot, hello.firmware, hello.kind) == (
        "a4cf12d3e4f5",
        17,
        "1.0.0",
        "esp32",
    )
    assert hello.capabilities == {"buffer", "config", "update", "time"}
    assert hello.interval == 1.0
    oven = hello.meter("oven")
    assert oven is not None
    assert (oven.serial, oven.rated_current, oven.phases) == ("0042", 20.0, 1)
    assert oven.quantities == ("voltage", "current", "power", "energy_import")
    assert oven.resolution == {"energy_import": 0.001}
    relay, gain, mode = oven.controls
    assert relay.kind is ControlKind.SWITCH
    assert (gain.minimum, gain.maximum, gain.step) == (0.5, 2.0, 0.0001)
    assert mode.options == {0: "off", 1: "on"}
    assert oven.settings == {"relay": 1, "voltage_gain": 1.0, "mode": 1}
    assert hello.meter("pump") is None


def hello_of(**changes: Any) -> Any:
    message = parse(HELLO | changes)
    assert isinstance(message, HelloMessage)
    return message.hello


@pytest.mark.parametrize("interval", [0, -1, "1", None, True, []])
def test_an_interval_that_is_none_is_five_seconds(interval: object) -> None:
    assert hello_of(interval=interval).interval == 5.0


def test_another_version_gives_no_hello_but_its_number() -> None:
    message = parse(HELLO | {"v": 2})
    assert isinstance(message, HelloMessage)
    assert message.hello is None
    assert message.version == 2


def test_a_meter_that_makes_no_sense_is_left_out_and_the_others_stay() -> None:
    meters = [
        5,
        {},
        {"id": "a b"},
        {"id": "a", "phases": 7, "quantities": "all", "controls": {"x": 1}, "resolution": [1]},
        {"id": "a", "name": "again"},
        {
            "id": 3,
            "name": "Three\n\x00phases" + "!" * 100,
            "quantities": ["Wh", "voltage_l2", 7, "horse_power", "voltage_l2"],
            "resolution": {"Wh": 1, "voltage": -1, "power": "x"},
            "controls": [1, {"key": "Relay"}, {"key": "relay", "kind": "lever"}],
        },
    ]
    first, second = hello_of(meters=meters).meters
    assert (first.id, first.name, first.phases, first.quantities) == ("a", None, 1, ())
    assert second.id == "3"
    assert second.name == ("Three phases" + "!" * 100)[:63]
    assert second.quantities == ("energy_import", "voltage_l2")
    assert second.phases == 2
    assert second.resolution == {"energy_import": 0.001}
    assert second.controls == ()


GAIN = {"key": "voltage_gain", "kind": "number", "min": 0.5, "max": 2.0, "step": 0.0001}
CIRCUIT = {
    "model": "I²C monitor",
    "manufacturer": "Energy Meter",
    "firmware": "1.0.0",
    "rated_current": 16,
    "quantities": [*MEASURED],
    "resolution": {"energy_import": 0.000001, "energy_export": 0.000001},
    "controls": [
        GAIN,
        {**GAIN, "key": "current_gain", "min": 0.1, "max": 10},
        {**GAIN, "key": "phase_shift", "min": -20, "max": 20, "step": 0.01},
        {**GAIN, "key": "dead_band", "min": 0, "max": 10, "step": 0.001},
        {**GAIN, "key": "i2c_address", "min": 8, "max": 119, "step": 1},
        *({"key": key, "kind": "button"} for key in ("identify", "learn_zero", "reset_energy")),
    ],
    "capabilities": ["waveform"],
}
SETTINGS = {
    "voltage_gain": 1.002345,
    "current_gain": 0.987654,
    "phase_shift": -1.25,
    "dead_band": 0.02,
    "i2c_address": 119,
}


def circuits(count: int) -> dict[str, Any]:
    """A hello of so many circuits, as a hub says it."""
    return {
        "type": "hello",
        "v": 1,
        "bridge": "a4cf12d3e4f5",
        "boot": 123_456,
        "firmware": "1.0.0",
        "hardware": "ESP32",
        "name": "Panel in the cellar",
        "kind": "i2c_hub",
        "capabilities": ["buffer", "config", "update", "time"],
        "interval": 1.0,
        "common": CIRCUIT,
        "meters": [
            {
                "id": f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}",
                "name": f"Circuit 70.{number % 8} 0x{number + 8:02X}",
                "segment": f"70.{number % 8}",
                "address": f"0x{number + 8:02X}",
                "settings": SETTINGS,
            }
            for number in range(count)
        ],
    }


def test_a_hundred_circuits_with_all_that_they_share_fit_one_line() -> None:
    line = json.dumps(circuits(100), separators=(",", ":"), ensure_ascii=False).encode()
    assert len(line) < MAX_LINE
    message = parse(line)
    assert isinstance(message, HelloMessage) and message.hello is not None
    assert len(message.hello.meters) == 100
    for meter in message.hello.meters:
        assert meter.quantities == MEASURED
        assert meter.settings == SETTINGS
        assert len(meter.controls) == 8
        assert meter.capabilities == {"waveform"}
        assert (meter.model, meter.rated_current) == ("I²C monitor", 16)
        assert meter.resolution["energy_import"] == pytest.approx(1e-6, abs=1e-12)


def test_what_a_meter_says_itself_counts_before_what_all_share() -> None:
    own = {"id": "a", "model": "Other", "controls": [], "settings": {"voltage_gain": 1.5}}
    message = parse({**circuits(1), "meters": [own, {"id": "b", "settings": {"nobody": 1}}]})
    assert isinstance(message, HelloMessage) and message.hello is not None
    a, b = message.hello.meters
    assert (a.model, a.controls, dict(a.settings)) == ("Other", (), {})
    assert a.quantities == MEASURED
    assert (b.model, len(b.controls), dict(b.settings)) == ("I²C monitor", 8, {})


def test_a_meter_may_lack_some_of_what_all_share() -> None:
    lacking = {"id": "a", "without": ["energy_export", "dead_band", 5], "settings": SETTINGS}
    message = parse({**circuits(1), "meters": [lacking, {"id": "b", "without": "x"}]})
    assert isinstance(message, HelloMessage) and message.hello is not None
    a, b = message.hello.meters
    assert a.quantities == MEASURED[:-1]
    assert set(a.resolution) == {"energy_import"}
    assert "dead_band" not in {control.key for control in a.controls}
    assert a.settings.keys() == SETTINGS.keys() - {"dead_band"}
    assert b.quantities == MEASURED and len(b.controls) == 8


@given(
    st.sets(st.sampled_from(sorted(CIRCUIT))),
    st.sets(st.sampled_from(sorted(CIRCUIT))),
    st.dictionaries(st.sampled_from(sorted(SETTINGS)), st.floats(-5, 200)),
)
def test_it_makes_no_difference_whether_a_meter_says_it_or_all_share_it(
    shared: set[str], own: set[str], stand: dict[str, float]
) -> None:
    common = {key: CIRCUIT[key] for key in shared}
    said = {key: CIRCUIT[key] for key in own}
    meter = {"id": "a", "settings": stand}
    apart = parse({**circuits(0), "common": common, "meters": [meter | said]})
    at_once = parse({**circuits(0), "common": {}, "meters": [meter | common | said]})
    assert isinstance(apart, HelloMessage) and isinstance(at_once, HelloMessage)
    assert apart.hello == at_once.hello


@pytest.mark.parametrize("common", [None, 5, [], "x", {"controls": 7, "settings": [1]}])
def test_what_all_share_may_be_nonsense(common: object) -> None:
    message = parse({**circuits(0), "common": common, "meters": [{"id": "a", "settings": 4}]})
    assert isinstance(message, HelloMessage) and message.hello is not None
    assert [meter.id for meter in message.hello.meters] == ["a"]


def test_a_row_may_say_which_start_of_its_meter_it_is_of() -> None:
    message = parse(
        {
            "type": "readings",
            "seq": 1,
            "columns": ["meter", "start", "energy_import"],
            "rows": [["a", 3, 1.5], ["b", "-", 2.5], ["c", None, 3.5], ["d", "x", 4.5]],
        }
    )
    assert isinstance(message, Readings)
    assert [(each.meter, each.start) for each in message.readings[:3]] == [
        ("a", 3),
        ("b", None),
        ("c", None),
    ]
    # One that makes no sense could hide a fall: the row counts as come, and nothing of it is used.
    assert message.readings[3].values == {} and message.readings[3].seq == 4
    assert len(message.refused) == 1


def test_a_start_outside_the_rows_and_in_a_single_reading_counts_too() -> None:
    message = parse(
        {"type": "readings", "start": 9, "columns": ["meter", "power"], "rows": [["a", 1]]}
    )
    assert isinstance(message, Readings) and message.readings[0].start == 9
    message = parse({"type": "reading", "start": 2, "values": {"energy_import": 1}})
    assert isinstance(message, Readings) and message.readings[0].start == 2
    with pytest.raises(BadLine):
        parse({"type": "reading", "start": -2, "values": {"energy_import": 1}})


def test_health_of_a_hub_says_what_is_wrong_where() -> None:
    problems = {"address_shared": ["0x12", "70.1 0x13"], "bus_held": [], "Bad Key": [], "x": 5}
    message = parse({"type": "health", "problems": problems})
    assert isinstance(message, HealthMessage)
    assert message.health.problems == {
        "address_shared": ("0x12", "70.1 0x13"),
        "bus_held": (),
        "x": (),
    }


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_problems_make_the_parser_fail(problems: object) -> None:
    message = parse({"type": "health", "problems": problems})
    assert isinstance(message, HealthMessage)
    assert len(message.health.problems) <= 16


def test_the_meters_of_a_bridge_are_bounded() -> None:
    assert len(hello_of(meters=[{"id": number} for number in range(400)]).meters) == MAX_METERS


def test_a_reading() -> None:
    message = parse(
        {
            "type": "reading",
            "boot": 17,
            "seq": 1042,
            "age": 1500,
            "meter": "oven",
            "values": {"voltage": 227.5, "Current_mA": 1420, "power": None, "x": 1, "pf": "1"},
            "flags": ["clipping", "Not a flag", 5],
        }
    )
    assert message == Readings(
        readings=(
            RawReading(
                meter="oven",
                values={"voltage": 227.5, "current": 1.42, "power": None},
                taken=Taken(age=1.5),
                flags=frozenset({"clipping"}),
                boot=17,
                seq=1042,
            ),
        ),
        refused=("x: 1", "pf: '1'"),
    )


@pytest.mark.parametrize(
    ("keys", "taken"),
    [
        ({}, Taken(age=0.0)),
        ({"age": 250}, Taken(age=0.25)),
        ({"age": None}, Taken(age=None)),
        ({"age": "5"}, Taken(age=None)),
        ({"at": 1794000000.25}, Taken(age=None, at=1794000000.25)),
        ({"at": None}, Taken(age=None)),
        ({"age": 250, "at": 1}, Taken(age=0.25)),
        ({"age": -1000}, Taken(age=-1.0)),
    ],
)
def test_when_a_reading_is_from(keys: dict[str, Any], taken: Taken) -> None:
    message = parse({"type": "reading", "values": {"voltage": 1}, **keys})
    assert isinstance(message, Readings)
    assert message.readings[0].taken == taken


def test_rows_have_their_own_numbers() -> None:
    message = parse(
        {
            "type": "readings",
            "boot": 17,
            "seq": 1043,
            "age": 0,
            "columns": ["meter", "age", "voltage", "current"],
            "rows": [
                ["oven", 2000, 227.5, 1.42],
                ["oven", 1000, None, "-"],
                ["pump", 0, 227.6, 0.2],
            ],
        }
    )
    assert isinstance(message, Readings)
    assert [(row.meter, row.taken.age, row.seq, row.values) for row in message.readings] == [
        ("oven", 2.0, 1043, {"voltage": 227.5, "current": 1.42}),
        ("oven", 1.0, 1044, {"voltage": None}),
        ("pump", 0.0, 1045, {"voltage": 227.6, "current": 0.2}),
    ]


def test_what_stands_outside_the_rows_holds_for_all() -> None:
    message = parse(
        {
            "type": "readings",
            "meter": "oven",
            "at": 1794000000,
            "flags": ["estimated"],
            "columns": ["mA", "age"],
            "rows": [[1420, 5], [100, "-"]],
        }
    )
    assert isinstance(message, Readings)
    assert [(row.meter, row.taken, row.flags) for row in message.readings] == [
        ("oven", Taken(age=0.005), frozenset({"estimated"})),
        ("oven", Taken(age=0.0), frozenset({"estimated"})),
    ]


def test_a_row_that_makes_no_sense_keeps_its_number() -> None:
    message = parse(
        {
            "type": "readings",
            "seq": 5,
            "columns": ["meter", "voltage", "horses"],
            "rows": [["a", 1], 7, ["a b", 2, 3], ["a", "x", 3], ["a", 4, 5]],
        }
    )
    assert isinstance(message, Readings)
    assert [(row.seq, row.values) for row in message.readings] == [
        (5, {}),
        (6, {}),
        (7, {}),
        (8, {}),
        (9, {"voltage": 4}),
    ]
    assert len(message.refused) == 5


def test_rows_are_bounded() -> None:
    rows = {"type": "readings", "columns": ["V"], "rows": [[1]] * 1001}
    with pytest.raises(BadLine, match="rows"):
        parse(rows)


def test_an_event() -> None:
    assert parse(
        {
            "type": "event",
            "seq": 3,
            "meter": "oven",
            "event": "relay",
            "value": False,
            "reason": "button",
        }
    ) == RawEvent(event="relay", meter="oven", value=0, reason="button", seq=3)


def test_a_control_that_stands_elsewhere() -> None:
    message = parse({"type": "event", "event": "control", "control": "dead_band", "value": 0.1})
    assert message == RawEvent(event="control", control="dead_band", value=0.1)


def test_health_gives_what_makes_sense() -> None:
    message = parse(
        {
            "type": "health",
            "rssi": -61,
            "uptime": 86400,
            "free_memory": -5,
            "lost": "many",
            "errors": 2,
            "reset": "power",
        }
    )
    assert message == HealthMessage(
        health=BridgeHealth(rssi=-61.0, uptime=86400.0, errors=2, reset="power")
    )


def test_a_log_line_is_one_printable_line() -> None:
    message = parse(
        {"type": "log", "level": "fatal", "text": "UART 1:\r\n\x1b[31mno line" + "!" * 999}
    )
    assert isinstance(message, LogMessage)
    assert message.level == "info"
    assert message.text.startswith("UART 1:···[31mno line")
    assert len(message.text) == 256


def test_answers_and_what_is_gone() -> None:
    assert parse({"type": "ack", "id": 8, "ok": False, "error": "busy", "text": "17 s"}) == Ack(
        id=8, ok=False, error="busy", text="17 s"
    )
    assert parse({"type": "gone", "boot": "f00d", "from": 1040, "to": 1041}) == Gone(
        boot="f00d", first=1040, last=1041
    )


@pytest.mark.parametrize("kind", ["ping", "weather", "hello?", "command", "\u2028" * 99])
def test_an_unknown_type_is_not_an_error(kind: str) -> None:
    assert isinstance(parse({"type": kind, "x": 1}), Other)


def test_a_crc_is_told_of() -> None:
    assert parse_line(with_crc(b'{"V":1}'))[1] is True
    assert parse_line(b'{"V":1}')[1] is False


def test_a_line_of_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    line = b'{"V":1,"x":"%s"}' % (b"x" * (MAX_LINE - 14))
    assert len(line) == MAX_LINE
    assert isinstance(parse(line), Readings)
    with pytest.raises(BadLine, match="too_long"):
        parse(line.replace(b'"x"', b'"xy"', 1))


@pytest.mark.parametrize(("depth", "fits"), [(MAX_DEPTH, True), (MAX_DEPTH + 1, False)])
def test_nesting_is_bounded(depth: int, fits: bool) -> None:
    line = b'{"V":1,"x":' + b"[" * (depth - 1) + b"1," * 9 + b"1" + b"]" * (depth - 1) + b"}"
    if fits:
        assert isinstance(parse(line), Readings)
    else:
        with pytest.raises(BadLine, match="too_deep"):
            parse(line)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":[', b'["\\"[",'])
def test_nesting_without_end_costs_nothing(opening: bytes) -> None:
    with pytest.raises(BadLine):
        parse((opening * MAX_LINE)[:MAX_LINE])


@settings(max_examples=400)
@given(st.binary(max_size=400))
def test_no_bytes_make_the_parser_fail(line: bytes) -> None:
    assert is_message_or_bad(line)


PIECES = st.sampled_from(
    [
        *(b'{}[]":,*#\\ \x00\xff\n\r'[index : index + 1] for index in range(15)),
        *(json.dumps(HELLO).encode()[start : start + 9] for start in range(0, 400, 9)),
        b'"type":"reading"',
        b'"values":',
        b'"seq":1',
        b"1e999",
        b"NaN",
        b"nan",
        b"null",
        b"true",
        b"-",
        b"\\ud800",
        b'{"Voltage": 1}',
        b"*34EE",
    ]
)


@settings(max_examples=600)
@given(st.lists(PIECES, max_size=30).map(b"".join))
def test_no_pieces_of_messages_make_the_parser_fail(line: bytes) -> None:
    assert is_message_or_bad(line)


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=40)
    | st.sampled_from(["oven", "-", "voltage", "switch", "relay", 17, 0, 1]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)
KEYS = [
    *HELLO,
    "seq",
    "age",
    "at",
    "meter",
    "values",
    "flags",
    "columns",
    "rows",
    "event",
    "value",
    "control",
    "controls",
    "id",
    "ok",
    "error",
    "text",
    "from",
    "to",
    "rssi",
]
TYPES = ["hello", "reading", "readings", "event", "health", "log", "ack", "gone", "ping", None]


@settings(max_examples=600)
@given(st.sampled_from(TYPES), st.dictionaries(st.sampled_from(KEYS), ANY_JSON, max_size=8))
def test_no_value_of_any_key_makes_the_parser_fail(kind: str | None, keys: dict[str, Any]) -> None:
    assert is_message_or_bad(keys | {"type": kind, "v": 1, "bridge": "a"})


@given(st.data())
def test_a_damaged_hello_is_understood_or_bad(data: st.DataObject) -> None:
    line = bytearray(json.dumps(HELLO).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        line[data.draw(st.integers(0, len(line) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(line)))
    for broken in (line, line[:cut], line[cut:]):
        assert is_message_or_bad(bytes(broken))


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b"", []),
        (b" \n ", []),
        (b'{"V":1}', [b'{"V":1}']),
        (b'{"V":1}\r\n\n{"V":2}\n', [b'{"V":1}\r', b'{"V":2}']),
        (b'[{"V":1},{"V":2}]', [b'{"V":1}', b'{"V":2}']),
        (b"[]", [b"[]"]),
        (b"[1,", [b"[1,"]),
        (b"[" * 5000, [b"[" * 5000]),
    ],
)
def test_the_body_of_a_post_is_cut_into_messages(body: bytes, lines: list[bytes]) -> None:
    assert split_body(body) == lines


@given(st.binary(max_size=200))
def test_any_body_is_cut(body: bytes) -> None:
    for line in split_body(body):
        assert isinstance(line, bytes)


@pytest.mark.parametrize(
    "message", [{"x": "y" * MAX_LINE}, {"x": [[[[[[[1, 2, 3]]]]]]]}, {"x": object()}]
)
def test_what_does_not_fit_into_a_line_is_not_encoded(message: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        encode(message)


@given(st.dictionaries(st.text(max_size=8), ANY_JSON, max_size=4))
def test_what_is_encoded_is_one_line(message: dict[str, Any]) -> None:
    try:
        line = encode(message)
    except ValueError:
        return
    assert b"\n" not in line
