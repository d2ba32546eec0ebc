"""What a profile file may say, and how each mistake is named: file, line, key, what was expected."""

import re

from hypothesis import given, settings, strategies as st
import pytest

from custom_components.energy_meter.model import ControlKind, Counts
from custom_components.energy_meter.sources.modbus.profile import (
    Formula,
    Profile,
    RegisterType,
    SerialDefaults,
    Span,
    Table,
    TestKind,
)
from custom_components.energy_meter.sources.modbus.profile_loader import (
    LARGEST,
    Problem,
    ProfileError,
    load_profile,
)

GOOD = """\
manufacturer: Example
model: E1
aliases: [E1-DIN, 230]
phases: 1
topology: one_phase
transports: [rtu, tcp]
serial: {baudrate: 9600, parity: N, stopbits: 1, unit_id: 1}
network: {port: 502, unit_id: 255}
modbus:
  table: input
  word_order: little
  max_registers: 40
  strict: false
  min_gap: 0.05
  readable: [{address: 90, count: 20}]
invalid: {int16: 0x8000, uint32: [0, 0xFFFFFFFF]}
factors:
  ct: {formula: ratio, sources: [{address: 50, table: holding, type: uint16, scale: 0.1}]}
identification:
  - {address: 11, type: uint16, equals: [100, 0x65]}
  - {address: 40, table: holding, type: string, length: 4, prefix: [E1, E2], ignore_case: true}
registers:
  - {key: voltage, address: 0, type: uint16, scale: 0.1, unit: V}
  - {key: power, address: 1, type: int16, unit: W, factor: ct}
  - {key: energy_total, address: 2, type: uint32, scale: 1/800, unit: kWh, counts: both, note: net}
  - {key: power_factor, address: 4, type: uint8, byte: high, scale: 0.01}
  - {key: frequency, address: 5, type: uint16, scale: 0.01, unit: Hz, alone: true}
info:
  - {key: serial_number, address: 100, type: string, length: 8}
controls:
  - {key: relay, kind: switch, address: 30, table: holding, type: uint16, options: {0: off, 1: on}}
  - {key: unit_id, kind: number, address: 31, table: holding, type: uint16, minimum: 1, maximum: 247, guarded: true}
  - {key: reset_energy, kind: button, address: 32, table: holding, type: uint16, write_value: 1, write: single}
  - {key: password, kind: number, address: 33, table: holding, type: uint16, minimum: 0, maximum: 9999, expose: false}
variants:
  - key: swapped
    description: Older units
    replaces: false
    registers:
      - {key: voltage, address: 8, type: uint16, scale: 0.1, unit: V}
quirks: [Needs a good earth.]
sources: [the display]
confidence: medium
"""


def load(text: str) -> Profile:
    return load_profile(text, slug="example", source="example.yaml", custom=True)


def line_of(text: str) -> int:
    return GOOD[: GOOD.index(text)].count("\n") + 1


def test_everything_a_profile_says_arrives() -> None:
    profile = load(GOOD)

    assert (profile.name, profile.aliases, profile.custom) == (
        "Example E1",
        ("E1-DIN", "230"),
        True,
    )
    assert profile.serial == SerialDefaults(baudrate=9600, parity="N", stopbits=1, unit_id=1)
    assert (profile.tcp_port, profile.network_unit_id) == (502, 255)
    assert (profile.table, profile.word_order, profile.max_registers) == (Table.INPUT, "little", 40)
    assert (profile.strict, profile.min_gap, profile.alignment) == (False, 0.05, 1)
    assert profile.readable == (Span(Table.INPUT, 90, 20),)

    voltage, power, energy, factor, frequency = profile.registers
    assert (voltage.span, voltage.scale) == (Span(Table.INPUT, 0, 1), 0.1)
    assert power.factor is not None
    assert power.factor.formula is Formula.RATIO
    assert power.factor.sources[0].span == Span(Table.HOLDING, 50, 1)
    assert power.factor_spans == (Span(Table.HOLDING, 50, 1),)
    assert power.invalid == {0x8000}
    assert (energy.scale, energy.counts, energy.note) == (1 / 800, Counts.BOTH, "net")
    assert energy.invalid == {0, 0xFFFF_FFFF}
    assert (factor.type, factor.byte) == (RegisterType.UINT8, "high")
    assert frequency.alone

    equals, prefix = profile.identification
    assert (equals.kind, equals.values) == (TestKind.EQUALS_ANY, (100, 101))
    assert (prefix.kind, prefix.values, prefix.ignore_case) == (TestKind.PREFIX, ("E1", "E2"), True)
    serial = profile.info_register("serial_number")
    assert serial is not None
    assert serial.span.count == 8

    relay, unit_id, reset, password = profile.controls
    assert relay.control.kind is ControlKind.SWITCH
    assert relay.control.options == {0: "off", 1: "on"}
    assert unit_id.control.guarded
    assert (reset.write_value, reset.write_multiple, reset.readable) == (1, False, False)
    assert not password.exposed
    assert profile.arranged("swapped").register("voltage").span.address == 8  # type: ignore[union-attr]
    assert profile.quirks == ("Needs a good earth.",)


def test_what_is_left_out_has_careful_defaults() -> None:
    profile = load(
        "{manufacturer: A, model: B, phases: 3, modbus: {table: holding},"
        " registers: [{key: power, address: 1, type: int16}]}"
    )

    assert profile.strict, "holes are not bridged unless the file says that they may be"
    assert profile.transports == ("rtu",)
    assert profile.confidence == "low"
    assert profile.topology == "three_phase_4w"
    assert profile.serial is None


# What to change, into what, the line of the problem (the changed one's if None), its key, its words.
MISTAKES = [
    ("{key: voltage, address: 0,", "{key: voltag, address: 0,", "registers[0]", "there is no quantity 'voltag'"),
    ("unit: V}\n  - {key: power,", "unit: mV}\n  - {key: power,", "registers[0]", "is in V, not mV"),
    ("address: 0, type: uint16,", "address: 0, type: u16,", "registers[0].type", "one of uint8"),
    ("{key: voltage, address: 0, type", "{key: voltage, adress: 0, type", "registers[0].adress", "unknown key"),
    ("{key: voltage, address: 0, type", "{key: voltage, type", "registers[0].address", "is missing"),
    ("{key: voltage, address: 0, type", "{key: voltage, address: -1, type", "registers[0].address", "whole number from 0 to 65535"),
    ("{key: voltage, address: 0, type", "{key: voltage, address: 70000, type", "registers[0].address", "found 70000"),
    ("{key: voltage, address: 0, type", "{key: voltage, address: zero, type", "registers[0].address", "found 'zero'"),
    ("{key: voltage, address: 0, type", "{key: voltage, address: 0, address: 0, type", "registers[0].address", "given twice"),
    ("{key: voltage, address: 0, type", "{key: voltage, address: 1, type", "registers[1].address", "power overlaps voltage"),
    ("{key: power, address: 1,", "{key: voltage, address: 1,", "registers[1]", "is in V, not W"),
    ("{key: power, address: 1, type: int16, unit: W", "{key: voltage, address: 1, type: int16", "registers[1]", "given twice, see registers[0]"),
    ("scale: 0.1, unit: V}\n  - {key: power,", "scale: 0, unit: V}\n  - {key: power,", "registers[0].scale", "from 0.000000001"),
    ("scale: 1/800", "scale: 1/0", "registers[2].scale", "divided by 0"),
    ("scale: 1/800", "scale: .nan", "registers[2].scale", "expected a number"),
    ("factor: ct}", "factor: vt}", "registers[1].factor", "no factor 'vt'"),
    ("factor: ct}", "sign: {address: 9, type: uint16, mask: 0}}", "registers[1].sign", "mask from 1 to 65535"),
    ("formula: ratio,", "formula: lookup,", "factors.ct", "a table is needed"),
    ("byte: high,", "byte: top,", "registers[3].byte", "one of high, low"),
    ("type: uint8, byte: high,", "type: uint8,", "registers[3].byte", "needed for uint8"),
    ("type: uint8, byte: high,", "type: float32, sign_magnitude: true,", "registers[3].sign_magnitude", "whole numbers only"),
    ("counts: both, note: net", "counts: down", "registers[2].counts", "one of up, both, resettable"),
    ("alone: true}", "alone: yes}", "registers[4].alone", "true or false"),
    ("unit: Hz, alone: true", "unit: Hz, counts: up", "registers[4]", "no counter"),
    ("type: uint16, scale: 0.01, unit: Hz", "type: string, length: 2", "registers[4]", "not a string"),
    ("invalid: {int16: 0x8000,", "invalid: {int16: 0x18000,", "invalid.int16", "at most 65535"),
    ("phases: 1", "phases: 4", "phases", "from 1 to 3"),
    ("topology: one_phase", "topology: single", "topology", "one of one_phase"),
    ("transports: [rtu, tcp]", "transports: [rtu, can]", "transports[1]", "one of rtu, tcp, udp"),
    ("parity: N", "parity: none", "serial.parity", "one of N, E, O"),
    ("port: 502", "port: 0", "network.port", "from 1 to 65535"),
    ("max_registers: 40", "max_registers: 126", "modbus.max_registers", "from 1 to 125"),
    ("max_registers: 40", "max_registers: 4", "info[0]", "takes 8 registers, max_registers is 4"),
    ("min_gap: 0.05", "min_gap: 50", "modbus.min_gap", "seconds from 0 to 10"),
    ("table: input\n", "table: coil\n", "modbus.table", "one of holding, input"),
    ("equals: [100, 0x65]", "equals: E1", "identification[0]", "a number to compare"),
    ("equals: [100, 0x65]", "range: [9, 3]", "identification[0]", "[low, high]"),
    ("equals: [100, 0x65]", "models: [203]", "identification[0]", "function sunspec"),
    ("equals: [100, 0x65]", "note: nothing", "identification[0]", "one of equals"),
    ("address: 11, type: uint16, equals: [100, 0x65]", "address: 11, type: uint16, prefix: E", "identification[0]", "is for strings"),
    ("options: {0: off, 1: on}", "options: {0: off}", "controls[0]", "at least two options"),
    ("options: {0: off, 1: on}", "options: {0: off, x: on}", "controls[0].options", "whole number"),
    ("options: {0: off, 1: on}", "options: {0: off, 0: on}", "controls[0].options.0", "given twice"),
    ("minimum: 1, maximum: 247", "minimum: 247, maximum: 1", "controls[1]", "minimum and maximum"),
    ("write_value: 1, write: single", "write: single", "controls[2]", "write_value is needed"),
    ("{key: password, kind", "{key: secret, kind", None, None),
    ("maximum: 9999, expose: false", "maximum: 9999", "controls[3]", "no control 'password'"),
    ("{key: reset_energy, kind: button, address: 32, table: holding", "{key: reset_energy, kind: button, address: 32", "controls[2]", "holding or coil"),
    ("address: 8, type: uint16, scale: 0.1, unit: V}\nquirks", "address: 1, type: uint16, scale: 0.1, unit: V}\nquirks", "variants[0].registers[0].address", "overlaps"),
    ("confidence: medium", "confidence: sure", "confidence", "one of high, medium, low"),
    ("aliases: [E1-DIN, 230]", "aliases: E1-DIN", "aliases", "expected a list"),
    ("quirks: [Needs a good earth.]", "quirks: [[a, b]]", "quirks[0]", "expected text"),
    ("strict: false", "strikt: false", "modbus.strikt", "unknown key"),
    ("manufacturer: Example\n", "", "manufacturer", "is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "key", "expected"), MISTAKES)
def test_a_mistake_is_named(old: str, new: str, key: str | None, expected: str | None) -> None:
    assert GOOD.count(old) == 1, "the test changes one place"
    text = GOOD.replace(old, new)
    if key is None or expected is None:
        assert load(text), "a fact that is not offered may have any name"
        return

    with pytest.raises(ProfileError) as caught:
        load(text)

    found = [one for one in caught.value.problems if one.key == key and expected in one.expected]
    assert found, [str(one) for one in caught.value.problems]
    problem = found[0]
    assert problem.file == "example.yaml"
    assert text.splitlines()[problem.line - 1].strip(), "the line exists"
    if expected != "is missing":
        assert str(problem).startswith(f"example.yaml, line {problem.line}: {key}: ")
    assert str(problem) in str(caught.value)


def test_the_line_of_a_mistake_is_its_own() -> None:
    with pytest.raises(ProfileError) as caught:
        load(
            GOOD.replace(
                "{key: power, address: 1, type: int16", "{key: power, address: 1, type: int"
            )
        )

    (problem,) = caught.value.problems
    assert problem.line == line_of("  - {key: power,")


def test_all_mistakes_are_told_at_once() -> None:
    text = GOOD.replace(
        "scale: 0.1, unit: V}\n  - {key: power", "scale: x, unit: V}\n  - {key: power"
    )
    text = text.replace("phases: 1", "phases: 9").replace(
        "confidence: medium", "confidense: medium"
    )

    with pytest.raises(ProfileError) as caught:
        load(text)

    assert [one.key for one in caught.value.problems] == [
        "phases",
        "confidense",
        "registers[0].scale",
    ]


def test_meters_of_32_bit_values_have_even_addresses() -> None:
    rows = "[{key: voltage, address: 3, type: float32}, {key: power, address: 6, type: int16}]"
    with pytest.raises(ProfileError) as caught:
        load(
            "{manufacturer: A, model: B, phases: 1, modbus: {table: input, alignment: 2},"
            f" registers: {rows}}}"
        )

    assert [one.key for one in caught.value.problems] == [
        "registers[0].address",
        "registers[1].address",
    ]
    assert "even" in caught.value.problems[0].expected


def test_a_short_register_hidden_in_a_long_one_is_found() -> None:
    rows = (
        "[{key: energy_import, address: 0, type: uint64}, {key: voltage, address: 1, type: uint16},"
        " {key: current, address: 3, type: uint16}]"
    )
    with pytest.raises(ProfileError) as caught:
        load(
            f"{{manufacturer: A, model: B, phases: 1, modbus: {{table: input}}, registers: {rows}}}"
        )

    assert [one.key for one in caught.value.problems] == [
        "registers[1].address",
        "registers[2].address",
    ]


BROKEN = {
    "no YAML": ("registers: [", "not YAML"),
    "tabs": ("a:\n\t- b", "not YAML"),
    "control characters": ("model: \x07", "not YAML"),
    "two documents": ("a: 1\n---\nb: 2", "not YAML"),
    "a list": ("- a\n- b", "expected a profile"),
    "a word": ("profile", "expected a profile"),
    "nothing": ("", "expected a profile"),
    "only a comment": ("# later", "expected a profile"),
    "too large": ("#" * (LARGEST + 1), "at most 256 KiB"),
    "too deep": ("registers: " + "[" * 100_000, "not YAML"),
    "a tag": (GOOD.replace("model: E1", "model: !!python/name:os.system E1"), None),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_profile_is_one_error(case: str) -> None:
    text, expected = BROKEN[case]
    if expected is None:
        assert load(text).model == "E1", "tags are ignored, never carried out"
        return

    with pytest.raises(ProfileError) as caught:
        load(text)

    assert expected in str(caught.value)
    assert len(caught.value.problems) == 1


def test_aliases_are_refused_before_they_multiply() -> None:
    bomb = "a: &a [x, x]\nb: &b [*a, *a, *a, *a]\naliases: [*b, *b, *b, *b]\n"
    text = GOOD.replace("aliases: [E1-DIN, 230]\n", "")
    with pytest.raises(ProfileError):
        load(bomb + text)

    shared = GOOD.replace("network: {port: 502, unit_id: 255}", "network: &n {port: 502}")
    shared = shared.replace(
        "serial: {baudrate: 9600, parity: N, stopbits: 1, unit_id: 1}\n", ""
    ).replace("strict: false", "readable: *n")
    with pytest.raises(ProfileError):
        load(shared)


def test_an_alias_is_told_as_such() -> None:
    text = GOOD.replace(
        "  - {key: voltage, address: 0, type: uint16, scale: 0.1, unit: V}\n",
        "  - &v {key: voltage, address: 0, type: uint16, scale: 0.1, unit: V}\n  - *v\n",
    )
    with pytest.raises(ProfileError, match=r"aliases .* are not supported"):
        load(text)


def test_the_number_of_messages_is_limited() -> None:
    rows = "\n".join(f"  - {{key: nonsense_{i}, address: {i}, type: uint16}}" for i in range(500))
    text = re.sub(r"registers:\n(  - .*\n)+info", f"registers:\n{rows}\ninfo", GOOD)

    with pytest.raises(ProfileError) as caught:
        load(text)

    assert len(caught.value.problems) == 20


@pytest.mark.parametrize("slug", ["", "Example", "../etc", "a b", "ä", "x" * 65])
def test_a_name_that_is_no_slug_is_refused(slug: str) -> None:
    with pytest.raises(ProfileError, match="small letters"):
        load_profile(GOOD, slug=slug, source="x.yaml")


@settings(max_examples=300)
@given(st.integers(0, len(GOOD)), st.integers(0, 12), st.text(max_size=6))
def test_no_damage_to_a_file_does_more_than_an_error(place: int, removed: int, put: str) -> None:
    text = GOOD[:place] + put + GOOD[place + removed :]
    problems: tuple[Problem, ...] = ()
    try:
        load(text)
    except ProfileError as error:
        problems = error.problems
    assert all(one.expected and str(one).startswith("example.yaml") for one in problems)


@given(st.text(max_size=200))
def test_any_text_is_a_profile_or_an_error(text: str) -> None:
    with pytest.raises(ProfileError):
        load(text)
