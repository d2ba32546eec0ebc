"""Registers into values and back, for every type, order, scale, factor and sign."""

from fractions import Fraction
import math
import struct

from hypothesis import assume, given, strategies as st
import pytest

from custom_components.energy_meter.model import QUANTITIES
from custom_components.energy_meter.sources.modbus.codec import (
    REGISTERS,
    MissingRegisters,
    RegisterImage,
    decode,
    encode,
    words_of,
)
from custom_components.energy_meter.sources.modbus.profile import (
    Factor,
    Formula,
    Order,
    Register,
    RegisterType,
    Sign,
    Span,
    Table,
)

HOLDING = Table.HOLDING
ORDERS: st.SearchStrategy[Order] = st.sampled_from(["big", "little"])
SCALES = st.sampled_from([1, 0.1, 0.01, 0.001, 0.0001, 10, 1000, 1 / 3600, 1 / 800, 0.5])
WHOLE_RANGES = {
    RegisterType.UINT16: (0, 0xFFFF),
    RegisterType.INT16: (-0x8000, 0x7FFF),
    RegisterType.UINT32: (0, 0xFFFF_FFFF),
    RegisterType.INT32: (-0x8000_0000, 0x7FFF_FFFF),
    RegisterType.UINT64: (0, (1 << 64) - 1),
    RegisterType.INT64: (-(1 << 63), (1 << 63) - 1),
    RegisterType.BCD16: (0, 9999),
    RegisterType.BCD32: (0, 99_999_999),
    RegisterType.BCD64: (0, 9_999_999_999_999_999),
    RegisterType.T16: (0, 0xFFFF),
    RegisterType.T17: (-0x8000, 0x7FFF),
}


def register(kind: RegisterType, address: int = 10, **what: object) -> Register:
    count = REGISTERS.get(kind, 1)
    return Register(key="power", span=Span(HOLDING, address, count), type=kind, **what)  # type: ignore[arg-type]


def image_of(words: list[int], address: int = 10, table: Table = HOLDING) -> RegisterImage:
    image = RegisterImage()
    image.set(Span(table, address, len(words)), words)
    return image


@given(st.sampled_from(sorted(WHOLE_RANGES)), st.data(), SCALES, ORDERS, ORDERS)
def test_whole_numbers_come_back(
    kind: RegisterType, data: st.DataObject, scale: float, word_order: Order, byte_order: Order
) -> None:
    raw = data.draw(st.integers(*WHOLE_RANGES[kind]))
    one = register(kind, scale=scale, word_order=word_order, byte_order=byte_order)
    value = float(Fraction(raw) * Fraction(scale).limit_denominator(10**12))
    if kind in {RegisterType.T16, RegisterType.T17}:
        value /= 100
    assume(abs(raw) < 1 << 50)  # A float cannot hold more digits.
    image = RegisterImage()

    encode(one, value, image)

    assert decode(one, image) == pytest.approx(value, rel=1e-15)
    assert words_of(one, value) == image.get(one.span)


@given(st.floats(allow_nan=False, allow_infinity=False, width=32), ORDERS, ORDERS)
def test_single_floats_come_back(value: float, word_order: Order, byte_order: Order) -> None:
    one = register(RegisterType.FLOAT32, word_order=word_order, byte_order=byte_order)
    image = RegisterImage()

    encode(one, value, image)

    assert decode(one, image) == value


@given(st.floats(allow_nan=False, allow_infinity=False), ORDERS)
def test_double_floats_come_back(value: float, word_order: Order) -> None:
    one = register(RegisterType.FLOAT64, word_order=word_order)
    image = RegisterImage()

    encode(one, value, image)

    assert decode(one, image) == value


@given(st.integers(-0x7FFF, 0x7FFF))
def test_sign_and_magnitude_come_back(raw: int) -> None:
    one = register(RegisterType.INT16, sign_magnitude=True)
    image = RegisterImage()

    encode(one, raw, image)

    assert decode(one, image) == raw
    assert image.get(one.span)[0] == abs(raw) | (0x8000 if raw < 0 else 0)


@given(st.integers(0, 0xFF), st.integers(0, 0xFF), ORDERS)
def test_halves_of_a_register_do_not_touch_each_other(high: int, low: int, order: Order) -> None:
    upper = register(RegisterType.UINT8, byte="high", byte_order=order)
    lower = register(RegisterType.UINT8, byte="low", byte_order=order)
    image = RegisterImage()

    encode(upper, high, image)
    encode(lower, low, image)

    assert (decode(upper, image), decode(lower, image)) == (high, low)
    assert image.get(upper.span) == [high << 8 | low if order == "big" else low << 8 | high]


@given(
    st.sampled_from([RegisterType.T5, RegisterType.T6]),
    st.integers(-(1 << 22), 1 << 22),
    st.integers(-6, 3),
)
def test_decade_exponents_come_back(kind: RegisterType, mantissa: int, exponent: int) -> None:
    assume(kind is RegisterType.T6 or mantissa >= 0)
    value = float(Fraction(mantissa) * Fraction(10) ** exponent)
    image = RegisterImage()

    encode(register(kind), value, image)

    assert decode(register(kind), image) == pytest.approx(value, rel=1e-6, abs=1e-10)


@given(st.integers(-10_000, 10_000))
def test_iskra_power_factors_come_back(raw: int) -> None:
    image = RegisterImage()

    encode(register(RegisterType.T7), raw / 10_000, image)

    assert decode(register(RegisterType.T7), image) == raw / 10_000


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12), ORDERS)
def test_texts_come_back(text: str, order: Order) -> None:
    one = Register(
        key="serial_number",
        span=Span(HOLDING, 10, 6),
        type=RegisterType.STRING,
        byte_order=order,
    )
    image = RegisterImage()

    encode(one, text, image)

    assert decode(one, image) == (text or None)


@given(st.integers(-30_000, 30_000), st.integers(-6, 4))
def test_a_power_of_ten_is_respected_and_written_when_missing(raw: int, exponent: int) -> None:
    source = register(RegisterType.INT16, 20)
    one = register(
        RegisterType.INT16,
        factor=Factor(formula=Formula.POWER_OF_TEN, sources=(source,), coherent=True),
        quantity=QUANTITIES["power"],
    )
    image = image_of([exponent & 0xFFFF], 20)
    value = float(Fraction(raw) * Fraction(10) ** exponent)

    encode(one, value, image)

    assert decode(one, image) == pytest.approx(value, rel=1e-12)
    assert image.get(source.span) == [exponent & 0xFFFF]

    fresh = RegisterImage()
    encode(one, 2300.0, fresh)
    assert decode(one, fresh) == 2300


@given(st.integers(1, 500), st.integers(1, 400), st.integers(-20_000, 20_000))
def test_ratios_multiply(ct: int, vt: int, raw: int) -> None:
    sources = (register(RegisterType.UINT16, 20), register(RegisterType.UINT16, 21, scale=0.1))
    one = register(
        RegisterType.INT16,
        scale=0.1,
        factor=Factor(formula=Formula.RATIO, sources=sources),
        quantity=QUANTITIES["power"],
    )
    image = image_of([ct, vt], 20)
    value = float(Fraction(raw * ct * vt, 100))

    encode(one, value, image)

    assert decode(one, image) == pytest.approx(value, rel=1e-12)


@given(st.sampled_from([0, 1, 2, 3]), st.integers(0, 60_000))
def test_a_code_looks_up_its_factor(code: int, raw: int) -> None:
    table = {0: 0.001, 1: 0.1, 2: 1, 3: 10}
    one = register(
        RegisterType.UINT16,
        factor=Factor(
            formula=Formula.LOOKUP, sources=(register(RegisterType.UINT16, 20),), table=table
        ),
        quantity=QUANTITIES["energy_import"],
    )
    image = image_of([raw], 10)
    image.set(Span(HOLDING, 20, 1), [code])

    assert decode(one, image) == pytest.approx(raw * table[code], rel=1e-12)


@pytest.mark.parametrize(
    ("formula", "code"),
    [
        (Formula.RATIO, 0),
        (Formula.POWER_OF_TEN, 11),
        (Formula.POWER_OF_TEN, 0x8000),
        (Formula.LOOKUP, 7),
    ],
)
def test_a_factor_that_makes_no_sense_gives_no_value(formula: Formula, code: int) -> None:
    factor = Factor(
        formula=formula,
        sources=(register(RegisterType.INT16, 20),),
        table={1: 10} if formula is Formula.LOOKUP else {},
    )
    image = image_of([5])
    image.set(Span(HOLDING, 20, 1), [code])

    assert decode(register(RegisterType.UINT16, factor=factor), image) is None


@given(st.integers(0, 50_000), st.booleans(), st.sampled_from([0xFFFF, 0x0008, 0xFF00]))
def test_a_sign_kept_elsewhere(size: int, negative: bool, mask: int) -> None:
    source = register(RegisterType.UINT16, 20)
    one = register(RegisterType.UINT16, scale=0.1, sign=Sign(source=source, mask=mask))
    image = image_of([0x0001 if mask == 0x0008 else 0], 20)
    value = (-size if negative else size) / 10

    encode(one, value, image)

    assert decode(one, image) == value
    if mask == 0x0008:
        assert image.get(source.span)[0] & 1, "the other signs stay"


@given(st.integers(0, 0xFFFF_FFFF), ORDERS)
def test_only_the_marks_mean_not_available(raw: int, order: Order) -> None:
    marks = frozenset({0x7FFF_FFFF, 0})
    one = register(RegisterType.INT32, word_order=order, invalid=marks)
    words = list(struct.unpack(">HH", raw.to_bytes(4)))
    image = image_of(words if order == "big" else words[::-1])

    assert (decode(one, image) is None) == (raw in marks)


@pytest.mark.parametrize("raw", [0x7FC0_0000, 0xFFC0_0001, 0x7F80_0000, 0xFF80_0000])
def test_what_is_no_number_gives_no_value(raw: int) -> None:
    image = image_of([raw >> 16, raw & 0xFFFF])

    assert decode(register(RegisterType.FLOAT32), image) is None


def test_digits_above_nine_give_no_value() -> None:
    assert decode(register(RegisterType.BCD16), image_of([0x12A4])) is None


def test_none_is_written_as_the_mark() -> None:
    marked = register(RegisterType.INT16, invalid=frozenset({0x8000}))
    floating = register(RegisterType.FLOAT32)
    image = RegisterImage()
    for one in (marked, floating):
        encode(one, None, image)
        assert decode(one, image) is None
    with pytest.raises(ValueError, match="no mark"):
        encode(register(RegisterType.UINT16), None, image)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (RegisterType.UINT16, -1),
        (RegisterType.UINT16, 65536),
        (RegisterType.INT16, 32768),
        (RegisterType.BCD16, 10_000),
        (RegisterType.FLOAT32, 1e39),
        (RegisterType.T5, -1),
        (RegisterType.T6, 1e20),
        (RegisterType.BIT, 2),
        (RegisterType.INT32, math.nan),
        (RegisterType.FLOAT32, math.inf),
    ],
)
def test_a_value_that_does_not_fit_is_refused(kind: RegisterType, value: float) -> None:
    with pytest.raises(ValueError):
        words_of(register(kind), value)


def test_a_text_that_does_not_fit_is_refused() -> None:
    one = Register(key="model", span=Span(HOLDING, 0, 2), type=RegisterType.STRING)
    with pytest.raises(ValueError, match="room for 4"):
        words_of(one, "SDM630")


def test_fillers_are_no_part_of_a_text() -> None:
    one = Register(key="model", span=Span(HOLDING, 10, 4), type=RegisterType.STRING)

    assert decode(one, image_of([0x0053, 0x004F, 0x0043, 0x004F])) == "SOCO"
    assert decode(one, image_of([0x4142, 0x2000, 0xFFFF, 0xFFFF])) == "AB"
    assert decode(one, image_of([0, 0, 0, 0])) is None


@pytest.mark.parametrize(
    ("raw", "value"), [(0.8, 0.8), (-0.8, -0.8), (1.2, 0.8), (-1.2, -0.8), (2.5, None)]
)
def test_four_quadrant_power_factor(raw: float, value: float | None) -> None:
    # The formulas of Schneider's iEM3000 manual, DOCA0005EN-04, page 109.
    one = register(RegisterType.FLOAT32, quadrants=True)
    image = RegisterImage()
    encode(one, raw, image)

    assert decode(one, image) == pytest.approx(value, rel=1e-6)


def test_decimals_are_as_the_meter_shows_them() -> None:
    image = image_of([2301])

    assert decode(register(RegisterType.UINT16, scale=0.1), image) == 230.1
    assert decode(register(RegisterType.UINT16), image) == 2301


def test_the_order_set_up_by_the_user_wins() -> None:
    one = register(RegisterType.FLOAT32)
    image = image_of([0x3334, 0x4366])

    assert decode(one, image, word_order="little") == pytest.approx(230.2)
    assert decode(one, image) != pytest.approx(230.2)


def test_a_wide_register_holds_32_bits() -> None:
    one = Register(key="voltage_ch1", span=Span(HOLDING, 10, 1), type=RegisterType.UINT32)
    image = RegisterImage()

    encode(one, 2_300_000, image)

    assert image.get(one.span) == [2_300_000]
    assert decode(one, image) == 2_300_000


def test_what_was_not_read_is_named() -> None:
    factor = Factor(formula=Formula.RATIO, sources=(register(RegisterType.UINT16, 30),))
    sign = Sign(source=register(RegisterType.UINT16, 40), mask=1)
    image = image_of([1, 2])
    for one, missing in (
        (register(RegisterType.UINT32, 11), Span(HOLDING, 11, 2)),
        (register(RegisterType.UINT64), Span(HOLDING, 10, 4)),
        (register(RegisterType.UINT16, factor=factor), Span(HOLDING, 30, 1)),
        (register(RegisterType.UINT16, sign=sign), Span(HOLDING, 40, 1)),
    ):
        with pytest.raises(MissingRegisters) as caught:
            decode(one, image)
        assert caught.value.span == missing


@given(
    st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=20),
    st.integers(0, 0xFF00),
    st.integers(0, 19),
)
def test_an_image_keeps_what_was_read_until_forgotten(
    words: list[int], address: int, lost: int
) -> None:
    span = Span(Table.INPUT, address, len(words))
    image = RegisterImage()
    assert not image.has(span)

    image.set(span, words)

    assert image.has(span)
    assert image.get(span) == words
    assert not image.has(Span(HOLDING, address, len(words))), "tables are apart"

    image.forget(Span(Table.INPUT, address + lost % len(words), 1))
    assert not image.has(span)
    with pytest.raises(MissingRegisters):
        image.get(span)


def test_an_image_refuses_a_wrong_number_of_words() -> None:
    with pytest.raises(ValueError, match="3 words for 2"):
        RegisterImage().set(Span(HOLDING, 0, 2), [1, 2, 3])


def test_bits_are_zero_or_one() -> None:
    one = Register(key="relay", span=Span(Table.COIL, 3, 1), type=RegisterType.BIT)
    for state in (0, 1):
        assert decode(one, image_of([state], 3, Table.COIL)) == state
