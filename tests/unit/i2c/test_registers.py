"""The register map: the document and the tables agree, and nothing damaged passes for a block."""

import itertools
from pathlib import Path
import re

from hypothesis import given, strategies as st
import pytest

from custom_components.energy_meter.sources.i2c.readings import (
    has_magic,
    identity_of,
    measured_of,
    speaks_for_two,
)
from custom_components.energy_meter.sources.i2c.registers import (
    ALL_BITS,
    CALIBRATION,
    COMMAND,
    DIAGNOSTICS,
    IDENTITY,
    MAGIC,
    MEASUREMENT,
    RESULT,
    SAMPLES,
    WAVEFORM,
    BadBlockError,
    Block,
    Flag,
    Opcode,
    bus_clocks,
    command,
)

DOCUMENT = (Path(__file__).parents[3] / "docs" / "i2c-monitor.md").read_text("utf-8")
BLOCKS = {
    "0x00 Identity": IDENTITY,
    "0x40 Measurement": MEASUREMENT,
    "0x80 Diagnostics": DIAGNOSTICS,
    "0xA0 Calibration": CALIBRATION,
    "0xC0 Command": COMMAND,
    "0xD0 Result": RESULT,
    "0xE0 Waveform": WAVEFORM,
}
each_block = pytest.mark.parametrize(
    "block",
    [*BLOCKS.values(), SAMPLES],
    ids=lambda b: f"{b.pointer:02X}-{b.length}-{len(b.fields)}",
)


def rows(chapter: str) -> list[list[str]]:
    """The rows of a chapter's first table."""
    text = DOCUMENT.split(f"\n## {chapter}")[1].split("\n## ")[0]
    table = next(line for line in text.split("\n\n") if line.startswith("| Offset"))
    lines = [line for line in table.split("\n")[2:] if line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("chapter", BLOCKS)
def test_the_document_says_where_each_field_is(chapter: str) -> None:
    block = BLOCKS[chapter]
    said: dict[int, int] = {}
    for offset, kind, *_rest in rows(chapter):
        if kind == "3 × u8":
            said |= {int(offset) + index: 8 for index in range(3)}
        elif kind == "4 bytes":
            said[int(offset)] = 32
        elif kind[0] in "ui":
            said[int(offset)] = int(kind[1:])
    crc = max(said)
    assert said.pop(crc) == 16
    assert crc + 2 == block.length
    assert said == {field.offset: field.size * 8 for field in block.fields.values()}


def test_the_document_says_what_each_command_and_flag_is() -> None:
    opcodes = {
        int(each, 16)
        for each in re.findall(r"^\| (0x[0-9A-F]{2}) \| [a-z]", DOCUMENT, re.MULTILINE)
    }
    assert {opcode.value for opcode in Opcode} <= opcodes
    flags = rows_of_flags()
    assert {1 << int(bit) for bit in flags} == {flag.value for flag in Flag}


def rows_of_flags() -> list[str]:
    return re.findall(
        r"^\| (\d+) \| [a-zEV]", DOCUMENT.split("| Bit | Flag |")[1].split("\n\n")[0], re.MULTILINE
    )


def test_the_document_says_the_bus_time() -> None:
    assert bus_clocks(MEASUREMENT.length) == 480
    assert "4.80 ms" in DOCUMENT
    assert "1.20 ms" in DOCUMENT


@each_block
def test_a_block_fits_into_one_transaction(block: Block) -> None:
    assert block.length <= 64
    ends = sorted((field.offset, field.offset + field.size) for field in block.fields.values())
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(ends))
    assert ends[-1][1] <= block.length - 2


@each_block
@given(data=st.data())
def test_what_is_written_is_read(block: Block, data: st.DataObject) -> None:
    values = {
        name: data.draw(
            st.integers(-(1 << field.size * 8 - 1), (1 << field.size * 8 - 1) - 1)
            if field.signed
            else st.integers(0, (1 << field.size * 8) - 1)
        )
        for name, field in block.fields.items()
    }
    expected = {
        name: None if value == block.fields[name].missing else value
        for name, value in values.items()
    }
    assert block.decode(block.encode(values)) == expected


@each_block
@given(data=st.data())
def test_damage_within_sixteen_bits_in_the_order_of_the_crc_never_passes(
    block: Block, data: st.DataObject
) -> None:
    # The CRC begins with each byte's lowest bit, so that any damage to two neighbouring bytes is among these.
    good = int.from_bytes(block.encode({}), "little")
    burst = data.draw(st.integers(1, 0xFFFF))
    shift = data.draw(st.integers(0, block.length * 8 - 16))
    damaged = (good ^ burst << shift).to_bytes(block.length, "little")
    with pytest.raises(BadBlockError):
        block.decode(damaged)


@each_block
def test_a_silent_or_a_held_bus_is_no_block(block: Block) -> None:
    for byte in (b"\x00", b"\xff"):
        assert not block.is_good(byte * block.length)
        assert not block.is_good(byte * (block.length - 1))


def test_no_block_passes_for_another_of_the_same_length() -> None:
    moved = Block(0x41, MEASUREMENT.length)
    assert not moved.is_good(MEASUREMENT.encode({}))


@given(st.binary(max_size=70))
def test_whatever_comes_is_a_measurement_or_a_bad_block(data: bytes) -> None:
    try:
        measured_of(data)
    except BadBlockError as err:
        assert err.reason in ("length", "crc")  # noqa: PT017


def identity(monitor_id: int) -> bytes:
    return IDENTITY.encode(
        {
            "magic": MAGIC,
            "version": 1,
            "length": 40,
            "id": monitor_id,
            "complement": monitor_id ^ ALL_BITS,
        }
    )


@given(st.integers(1, ALL_BITS - 1), st.integers(1, ALL_BITS - 1))
def test_two_monitors_at_once_are_told_from_one(one: int, other: int) -> None:
    both = bytes(a & b for a, b in zip(identity(one), identity(other), strict=True))
    assert has_magic(both)
    assert speaks_for_two(both) == (one != other)
    if one != other:
        assert not IDENTITY.is_good(both)


@given(st.integers(1, ALL_BITS - 1), st.integers(22 * 8, 40 * 8 - 1))
def test_one_monitor_with_noise_elsewhere_is_not_two(monitor_id: int, bit: int) -> None:
    data = bytearray(identity(monitor_id))
    data[bit // 8] ^= 1 << bit % 8
    assert not speaks_for_two(bytes(data))


def test_a_measurement_is_in_the_units_of_the_vocabulary() -> None:
    block = MEASUREMENT.encode(
        {
            "tag": 7,
            "sequence": 9,
            "boot": 3,
            "state": 1,
            "flags": Flag.CURRENT_CLIPS | Flag.RESTARTED,
            "voltage": 23012,
            "frequency": 4998,
            "current": 5432,
            "power": -1_234_500,
            "reactive_power": 200_000,
            "apparent_power": 1_250_596,
            "power_factor": -9871,
            "crest_factor": 2512,
            "energy_import": 1_234_567_891,
            "energy_export": None,
            "voltage_peak": 3261,
            "current_peak": 1364,
        }
    )
    measured = measured_of(block)
    assert measured.values == {
        "voltage": 230.12,
        "frequency": 49.98,
        "current": 5.432,
        "power": -1234.5,
        "reactive_power": 200.0,
        "apparent_power": 1250.596,
        "power_factor": -0.9871,
        "current_crest_factor": 2.512,
        "voltage_peak": 326.1,
        "current_peak": 13.64,
    }
    assert measured.energies == (1_234_567_891, None)
    assert measured.words == {"clipping", "restarted"}
    assert (measured.tag, measured.sequence, measured.boot, measured.relay) == (7, 9, 3, 1)


def test_what_is_not_available_is_none_and_never_zero() -> None:
    measured = measured_of(MEASUREMENT.encode({}))
    assert set(measured.values.values()) == {None}
    assert measured.energies == (None, None)


def test_an_identity_says_who_it_is() -> None:
    found = identity_of(identity(0x0123456789ABCDEF))
    assert found.meter_id == "0123456789abcdef"
    assert found.rated_current is None


def test_a_command_names_its_monitor_and_is_guarded_by_its_sum() -> None:
    written = command(Opcode.PHASE_SHIFT, 0x0123456789ABCDEF, -150)
    assert written[0] == COMMAND.pointer
    values = COMMAND.decode(written[1:])
    assert values == {"opcode": 0x12, "id": 0x0123456789ABCDEF, "argument": 2**32 - 150}
