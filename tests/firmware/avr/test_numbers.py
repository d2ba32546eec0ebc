"""The AVR firmware reads and writes numbers and JSON as Python does."""

import ctypes
from decimal import ROUND_HALF_UP, Decimal
import json
from typing import Any

from hypothesis import given, settings, strategies as st

from custom_components.energy_meter.sources.bridge.crc import crc16

from .logic import logic

MOST = 2**31 - 1

NUMBERS = st.from_regex(
    r"-?(0|[1-9][0-9]{0,12})(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,2})?", fullmatch=True
)


def parse(text: str, decimals: int) -> int | None:
    value = ctypes.c_int32()
    good = logic().number_parse(text.encode(), len(text), decimals, ctypes.byref(value))
    return value.value if good else None


@given(NUMBERS, st.integers(0, 4))
def test_a_number_is_read_rounded_to_its_decimals_or_refused_when_it_does_not_fit(
    text: str, decimals: int
) -> None:
    exact = Decimal(text).scaleb(decimals)
    got = parse(text, decimals)
    if abs(exact) < 400_000_000:
        assert got == int(exact.to_integral_value(ROUND_HALF_UP))
    elif abs(exact) <= MOST - 10:
        assert got is not None and abs(got - exact) <= 1
    elif abs(exact) > MOST + 10:
        assert got is None


@given(st.text(alphabet="0123456789.-+eE x", max_size=12))
def test_what_json_calls_no_number_is_none(text: str) -> None:
    try:
        value: Any = json.loads(text) if text == text.strip() else None
    except ValueError:
        value = None
    if value is None:
        assert parse(text, 2) is None


@given(st.integers(-(2**63) + 1, 2**63 - 1), st.integers(0, 6))
def test_a_number_is_written_with_all_its_decimals(value: int, decimals: int) -> None:
    room = ctypes.create_string_buffer(24)
    text = logic().number_text(value, decimals, room).decode()
    assert Decimal(text) == Decimal(value).scaleb(-decimals)
    assert len(text.partition(".")[2]) == decimals


@given(st.integers(-MOST, MOST), st.integers(0, 6))
def test_what_is_written_reads_the_same(value: int, decimals: int) -> None:
    room = ctypes.create_string_buffer(24)
    assert parse(logic().number_text(value, decimals, room).decode(), decimals) == value


@given(st.binary(max_size=300))
def test_the_crc_is_that_of_home_assistant(data: bytes) -> None:
    assert logic().crc16(data, len(data)) == crc16(data)


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


def members(text: bytes) -> int:
    return int(logic().host_json(text, len(text)))


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max((depth(inner) for inner in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((depth(inner) for inner in value), default=0)
    return 0


@given(
    st.dictionaries(st.text(max_size=6), VALUES, max_size=4),
    st.booleans(),
    st.sampled_from([None, 1]),
)
def test_every_object_that_json_writes_is_read_whole(
    message: dict[str, Any], ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(message, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "replace")
    if len(text) <= 255:
        fits = all(depth(value) <= 5 for value in message.values())
        assert members(text) == (len(message) if fits else -1)


@given(st.data())
def test_an_object_that_is_cut_short_is_none(data: st.DataObject) -> None:
    message = data.draw(st.dictionaries(st.text(max_size=6), VALUES, min_size=1, max_size=3))
    text = json.dumps(message).encode()[:250]
    assert members(text[: data.draw(st.integers(0, len(text) - 1))]) == -1


@settings(max_examples=500)
@given(st.text(alphabet='{}[]",:\\utrfalsn0 1', max_size=40))
def test_what_is_read_as_an_object_is_one(text: str) -> None:
    """Only inside of nested values, which are passed over, it is more lenient."""
    if members(text.encode()) > 0 and not ("[" in text or "{" in text[1:].lstrip()):
        try:
            assert isinstance(json.loads(text, strict=False), dict)
        except ValueError:
            assert any(mark in text for mark in "01")  # numbers are looked at when they are used
